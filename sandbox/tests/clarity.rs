//! The voice clarity chain as a whole: state carried over, blocks of any length, channels apart, nothing but numbers.

mod common;

use common::{intensity, peak, rms_db, settings, speech, without_rumble, Random, ALL_CHANNELS};
use opus::Channels;
use proptest::prelude::*;
use sandbox::{limiter::CEILING, SampleRate, Settings, VoiceClarity};

fn clarity(rate: SampleRate, channels: Channels, strength: f64) -> VoiceClarity {
    VoiceClarity::new(&settings(rate, channels, intensity(strength)))
}

/// The chain over a whole signal in one block.
fn enhanced(settings: &Settings, pcm: &[f32]) -> Vec<f32> {
    let mut out = pcm.to_vec();
    VoiceClarity::new(settings).process(&mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn how_a_stream_is_cut_into_blocks_makes_no_difference_to_the_bit(
        rate in prop::sample::select(SampleRate::ALL.to_vec()),
        stereo in any::<bool>(),
        strength in 0.0..=2.0f64,
        gain in prop_oneof![Just(1.0f32), Just(5.0f32)],
        cuts in prop::collection::vec(1..700usize, 1..40),
    ) {
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        let session = settings(rate, channels, intensity(strength));
        let mut pcm = speech(rate, channels);
        pcm.truncate(rate.hz() as usize * channels as usize);
        pcm.iter_mut().for_each(|sample| *sample *= gain);
        let whole = enhanced(&session, &pcm);

        let mut chain = VoiceClarity::new(&session);
        let mut rest = &mut pcm[..];
        for cut in cuts.iter().cycle() {
            let (block, behind) = rest.split_at_mut((cut * channels as usize).min(rest.len()));
            chain.process(block);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(pcm == whole);
    }

    #[test]
    fn whatever_goes_in_only_numbers_below_the_ceiling_come_out(
        rate in prop::sample::select(SampleRate::ALL.to_vec()),
        stereo in any::<bool>(),
        strength in 0.01..=2.0f64,
        pcm in prop::collection::vec(any::<f32>(), 0..2_000),
    ) {
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        let mut chain = clarity(rate, channels, strength);
        let whole = pcm.len() / channels as usize * channels as usize;
        let mut out = pcm[..whole].to_vec();
        chain.process(&mut out);
        prop_assert!(out.iter().all(|sample| sample.abs() < CEILING));
        // and speech that follows is speech again
        let mut after = speech(rate, channels);
        chain.process(&mut after);
        prop_assert!(after.iter().all(|sample| sample.abs() < CEILING));
        prop_assert!(rms_db(&after) > -40.0);
    }
}

#[test]
fn at_intensity_0_samples_pass_bit_for_bit_and_what_is_no_number_becomes_one() {
    let mut chain = clarity(SampleRate::Hz48000, Channels::Mono, 0.0);
    let pcm = speech(SampleRate::Hz48000, Channels::Mono);
    let mut out = pcm.clone();
    chain.process(&mut out);
    assert_eq!(out, pcm);
    let mut bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-42, -0.5];
    chain.process(&mut bad);
    // What is subnormal only slows down.
    assert_eq!(bad, [0.0, 16.0, -16.0, 16.0, 0.0, -0.5]);
}

#[test]
fn the_strength_moves_continuously_from_nothing() {
    // The recording has rumble, which even the gentlest high-pass takes away.
    let pcm = without_rumble(&speech(SampleRate::Hz16000, Channels::Mono));
    let at = |strength| enhanced(&settings(SampleRate::Hz16000, Channels::Mono, intensity(strength)), &pcm);
    let change = |one: f64, other: f64| {
        let difference: Vec<f32> = at(one).iter().zip(at(other)).map(|(a, b)| a - b).collect();
        rms_db(&difference) - rms_db(&pcm)
    };
    assert!(change(0.0, 0.002) < -40.0, "{} dB between 0 and almost 0", change(0.0, 0.002));
    for strength in [0.25, 0.5, 0.999, 1.0, 1.5, 1.998] {
        let step = change(strength, strength + 0.002);
        assert!(step < -45.0, "{step} dB from {strength} on");
    }
    assert!(change(0.0, 1.0) > -10.0, "and 1 is audible");
}

#[test]
fn a_change_of_strength_in_mid_stream_makes_no_click() {
    // A period of the tone takes 2 ms; its level tells the gain.
    let tone = |index: usize| 0.03 * (index as f32 * 500.0 * std::f32::consts::TAU / 48_000.0).sin();
    let mut chain = clarity(SampleRate::Hz48000, Channels::Mono, 0.5);
    let mut pcm: Vec<f32> = (0..48_000).map(tone).collect();
    let mut strengths = [2.0, 0.5, 1.0, 0.1].into_iter().cycle();
    for (index, block) in pcm.chunks_mut(960).enumerate() {
        if index % 8 == 7 {
            chain.set_intensity(strengths.next().unwrap());
        }
        chain.process(block);
    }
    let levels: Vec<f32> = pcm[960..].chunks_exact(96).map(rms_db).collect();
    let step = levels.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    let whole =
        levels.iter().copied().fold(f32::MIN, f32::max) - levels.iter().copied().fold(f32::MAX, f32::min);
    assert!(step < 1.5, "a step of {step} dB in 2 ms");
    assert!(whole > 6.0, "only {whole} dB between the strengths");
}

#[test]
fn an_intensity_before_the_first_sample_is_in_force_from_there_on_and_after_a_pause_at_0_the_past_is_forgotten(
) {
    let speech = speech(SampleRate::Hz48000, Channels::Mono);
    for (first, then) in [(0.0, 1.5), (1.5, 0.0), (0.5, 1.5)] {
        let (mut changed, mut built) =
            [first, then].map(|at| clarity(SampleRate::Hz48000, Channels::Mono, at)).into();
        changed.set_intensity(then as f32);
        let [mut out, mut expected] = [speech.clone(), speech.clone()];
        changed.process(&mut out);
        built.process(&mut expected);
        assert!(out == expected, "{first} to {then}");
    }
    let [mut used, mut fresh] = [1.0, 0.0].map(|at| clarity(SampleRate::Hz48000, Channels::Mono, at));
    used.process(&mut speech.clone());
    used.set_intensity(0.0);
    let heard: [Vec<f32>; 2] = [&mut used, &mut fresh].map(|chain| {
        let mut pause = [0.3; 480];
        chain.process(&mut pause);
        assert_eq!(pause[479], 0.3);
        chain.set_intensity(2.0);
        let mut out = speech.clone();
        chain.process(&mut out);
        out
    });
    assert!(heard[0] == heard[1]);
}

/// A high-pass that is handed another cutoff with its memory takes what it holds back for a slope, and swings.
#[test]
fn a_change_of_strength_leaves_the_sound_where_it_is() {
    let period = 240;
    for (from, to) in [(2.0, 0.1), (1.0, 0.1), (1.0, 0.5), (2.0, 1.0), (0.1, 1.0)] {
        let mut swing = 0.0f32;
        for phase in 0..16 {
            let turn = |index: usize| index as f32 / period as f32 + phase as f32 / 16.0;
            let mut pcm: Vec<f32> = (0..96_000)
                .map(|index| 0.03 * (turn(index % period) * std::f32::consts::TAU).sin())
                .collect();
            let mut chain = clarity(SampleRate::Hz48000, Channels::Mono, from);
            chain.process(&mut pcm[..48_000]);
            chain.set_intensity(to as f32);
            chain.process(&mut pcm[48_000..]);
            let means = pcm[47_000..].windows(period).map(|at| at.iter().sum::<f32>() / period as f32);
            swing =
                swing.max(means.fold(0.0f32, |most, mean| most.max(mean.abs())) / peak(&pcm[40_000..47_000]));
        }
        assert!(swing < 0.1, "{from} to {to}: {swing} times the tone");
    }
}

#[test]
fn the_same_voice_on_both_channels_comes_out_as_it_would_alone() {
    let mono = speech(SampleRate::Hz48000, Channels::Mono);
    let both: Vec<f32> = mono.iter().flat_map(|sample| [*sample; 2]).collect();
    let alone = enhanced(&settings(SampleRate::Hz48000, Channels::Mono, intensity(1.5)), &mono);
    let together = enhanced(&settings(SampleRate::Hz48000, Channels::Stereo, intensity(1.5)), &both);
    let expected: Vec<f32> = alone.iter().flat_map(|sample| [*sample; 2]).collect();
    assert!(together == expected);
}

#[test]
fn a_voice_on_one_side_is_not_turned_down_for_the_silence_on_the_other() {
    let mono = speech(SampleRate::Hz48000, Channels::Mono);
    let alone = enhanced(&settings(SampleRate::Hz48000, Channels::Mono, intensity(1.0)), &mono);
    let session = settings(SampleRate::Hz48000, Channels::Stereo, intensity(1.0));
    for side in [0, 1] {
        let one_sided: Vec<f32> =
            mono.iter().flat_map(|sample| if side == 0 { [*sample, 0.0] } else { [0.0, *sample] }).collect();
        let out = enhanced(&session, &one_sided);
        assert!(out.chunks(2).map(|frame| frame[side]).eq(alone.iter().copied()), "side {side}");
    }
}

#[test]
fn channels_do_not_mix_and_the_image_does_not_wander() {
    let stereo: Vec<f32> = speech(SampleRate::Hz48000, Channels::Mono)
        .iter()
        .flat_map(|sample| [*sample, 0.25 * sample])
        .collect();
    let session = settings(SampleRate::Hz48000, Channels::Stereo, intensity(1.0));
    let out = enhanced(&session, &stereo);
    // The ratio of the channels stays what it was, in every sample that is not tiny.
    for frame in out.chunks(2).filter(|frame| frame[0].abs() > 1e-3) {
        assert!((frame[1] / frame[0] - 0.25).abs() < 1e-3, "{frame:?}");
    }
    // A silent channel stays silent beside a loud one.
    let one_sided: Vec<f32> = stereo.chunks(2).flat_map(|frame| [frame[0], 0.0]).collect();
    assert!(enhanced(&session, &one_sided).chunks(2).all(|frame| frame[1] == 0.0));
}

#[test]
fn state_is_carried_from_block_to_block() {
    let pcm = speech(SampleRate::Hz48000, Channels::Mono);
    let session = settings(SampleRate::Hz48000, Channels::Mono, intensity(1.0));
    let carried = enhanced(&session, &pcm);
    let restarted: Vec<f32> = pcm.chunks(960).flat_map(|block| enhanced(&session, block)).collect();
    let difference: Vec<f32> = carried.iter().zip(&restarted).map(|(a, b)| a - b).collect();
    assert!(rms_db(&difference) > -40.0, "forgetting all between two blocks would be heard");
}

#[test]
fn rumble_goes_and_steady_noise_is_turned_down() {
    for rate in SampleRate::ALL {
        for channels in ALL_CHANNELS {
            let session = settings(rate, channels, intensity(1.0));
            let frames = 3 * rate.hz() as usize;
            let rumble: Vec<f32> = (0..frames)
                .map(|index| 0.1 * (index as f32 * 20.0 * std::f32::consts::TAU / rate.hz() as f32).sin())
                .flat_map(|sample| vec![sample; channels as usize])
                .collect();
            let second = rate.hz() as usize * channels as usize;
            let change =
                |pcm: &[f32]| rms_db(&enhanced(&session, pcm)[2 * second..]) - rms_db(&pcm[2 * second..]);
            assert!(change(&rumble) < -12.0, "rumble {:+.1} dB at {rate:?}", change(&rumble));
            let mut random = Random(3);
            let noise: Vec<f32> = (0..frames * channels as usize).map(|_| 0.002 * random.sample()).collect();
            assert!(change(&noise) < -8.0, "noise {:+.1} dB at {rate:?}", change(&noise));
        }
    }
}

#[test]
fn digital_silence_stays_silence() {
    for strength in [0.0, 0.5, 1.0, 2.0] {
        let mut chain = clarity(SampleRate::Hz48000, Channels::Stereo, strength);
        let mut pcm = speech(SampleRate::Hz48000, Channels::Stereo);
        chain.process(&mut pcm);
        assert!(peak(&pcm) > 0.1);
        let mut silence = vec![0.0; 96_000];
        chain.process(&mut silence);
        assert!(silence[48_000..].iter().all(|sample| *sample == 0.0));
    }
}
