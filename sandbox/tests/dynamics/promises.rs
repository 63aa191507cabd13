//! What all stages promise, whatever the parameters and the sound.

use super::*;

#[test]
fn both_channels_get_the_same_gain_by_the_louder_one() {
    let stream = Stream { sample_rate_hz: 48_000, channels: 2 };
    let tone = |at: usize, level: f32| level * (at as f32 * 0.05).sin();
    let signal: Vec<f32> = (0..9_600).flat_map(|at| [tone(at, 0.02), tone(at, 2.0)]).collect();
    fn alike<S: Stage>(stream: Stream, parameters: &S::Parameters, signal: &[f32]) {
        let mut out = signal.to_vec();
        S::new(stream, parameters).process(&mut out);
        assert!(out.chunks(2).all(|frame| (frame[0] - 0.01 * frame[1]).abs() < 1e-6));
    }
    let compressor = CompressorParameters::default();
    alike::<Compressor>(stream, &compressor, &signal);
    alike::<Limiter>(stream, &LimiterParameters::default(), &signal);
    alike::<NoiseGate>(stream, &NoiseGateParameters { threshold_db: -10.0, ..Default::default() }, &signal);
    // and the equaliser filters each as if it were alone
    let mut p = EqualiserParameters::default();
    p.bands[2] = Band { kind: BandKind::Peak, frequency_hz: 700.0, gain_db: 9.0, q: 2.0 };
    let mut both = signal.clone();
    Equaliser::new(stream, &p).process(&mut both);
    for channel in 0..2 {
        let mut alone: Vec<f32> = signal.iter().skip(channel).step_by(2).copied().collect();
        Equaliser::new(mono(48_000), &p).process(&mut alone);
        assert!(both.iter().skip(channel).step_by(2).eq(&alone));
    }
}

#[test]
fn silence_after_loud_sound_becomes_silence_and_never_subnormal() {
    let mut random = Random(21);
    let mut signal: Vec<f32> = (0..16_000).map(|_| 4.0 * random.sample()).collect();
    signal.extend(vec![0.0; 8_000 * 40]);
    fn silent<S: Stage>(parameters: &S::Parameters, signal: &[f32]) -> S {
        let mut out = signal.to_vec();
        let mut stage = S::new(mono(8_000), parameters);
        stage.process(&mut out);
        assert!(out.iter().all(|sample| *sample == 0.0 || sample.is_normal()));
        assert!(out[out.len() - 100..].iter().all(|sample| *sample == 0.0));
        // Nor from a fading tail of which nothing is subnormal yet, turned down further.
        let mut tail: Vec<f32> = (0..3_000).map(|at| (40.0 * 0.9f32.powi(at)).max(2e-38)).collect();
        S::new(mono(8_000), parameters).process(&mut tail);
        assert!(tail.iter().all(|sample| *sample == 0.0 || sample.is_normal()));
        stage
    }
    let mut p = EqualiserParameters::default();
    for (band, kind) in p.bands.iter_mut().zip(&BandKind::ALL[1..]) {
        *band = Band { kind: *kind, frequency_hz: 20.0, gain_db: 24.0, q: 10.0 };
    }
    p.bands[4].frequency_hz = 3_000.0;
    silent::<Equaliser>(&p, &signal);
    let compressor =
        silent::<Compressor>(&CompressorParameters { make_up_db: 9.0, ..Default::default() }, &signal);
    assert_eq!(compressor.reduction_db(), 0.0, "there, not almost there");
    let gate = silent::<NoiseGate>(&NoiseGateParameters::default(), &signal);
    assert_eq!(gate.reduction_db(), 30.0);
    let limiter = silent::<Limiter>(&LimiterParameters { release_ms: 500.0, ..Default::default() }, &signal);
    assert_eq!(limiter.reduction_db(), 0.0);
}

/// Parameters within their ranges, one number from 0 to 1 for each.
fn parameters<P: Described>(numbers: &[f32]) -> P {
    let mut parameters = P::default();
    for (parameter, number) in P::PARAMETERS.iter().zip(numbers.iter().cycle()) {
        let (low, high) = (*parameter.range.start(), *parameter.range.end());
        (parameter.set)(&mut parameters, low + number * (high - low));
    }
    parameters
}

/// What every stage promises, whatever the parameters and the sound.
fn keeps_its_promises<S: Stage + Clone>(
    stream: Stream,
    [first, second]: [&S::Parameters; 2],
    signal: &[f32],
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    // The parameters change in the middle.
    let middle = signal.len() / 2 / stream.channels * stream.channels;
    let mut whole = signal.to_vec();
    let mut stage = S::new(stream, first);
    let (before, behind) = whole.split_at_mut(middle);
    stage.process(before);
    stage.set(second);
    stage.process(behind);
    prop_assert!(whole.iter().all(|sample| sample.is_finite()), "finite");

    // The same stage, used, begins anew, and in blocks of other lengths.
    stage.start(stream, first);
    let mut cut = signal.to_vec();
    let mut lengths = cuts.iter().cycle().map(|frames| frames * stream.channels);
    for (number, half) in [0..middle, middle..signal.len()].into_iter().enumerate() {
        if number == 1 {
            stage.set(second);
        }
        let mut rest = &mut cut[half];
        while !rest.is_empty() {
            let length = lengths.next().unwrap_or(stream.channels).min(rest.len());
            let (block, behind) = rest.split_at_mut(length);
            stage.process(block);
            rest = behind;
        }
    }
    let same = whole.iter().zip(&cut).all(|(one, other)| one.to_bits() == other.to_bits());
    prop_assert!(same, "bit for bit, anew and cut");

    // Begun anew on another stream it is like a fresh one there.
    let other = Stream { sample_rate_hz: 22_050, channels: 3 - stream.channels };
    let (mut used, mut fresh) = (signal[..middle / 2 * 2].to_vec(), signal[..middle / 2 * 2].to_vec());
    stage.start(other, second);
    prop_assert_eq!(stage.delay_samples(), S::new(other, second).delay_samples());
    stage.process(&mut used);
    S::new(other, second).process(&mut fresh);
    prop_assert!(used.iter().zip(&fresh).all(|(one, other)| one.to_bits() == other.to_bits()), "start");
    Ok(())
}

/// Noise whose loudness changes now and then, from silence to far above full scale.
fn noise(seed: u64, frames: usize, channels: usize, loudness: &[f32]) -> Vec<f32> {
    let mut random = Random(seed | 1);
    let part = frames / loudness.len() + 1;
    (0..frames * channels).map(|at| loudness[at / channels / part] * random.sample()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stage_is_finite_exact_after_start_and_independent_of_cuts(
        rate in prop::sample::select(RATES.to_vec()),
        channels in 1..=2usize,
        numbers in prop::collection::vec(prop_oneof![Just(0.0f32), Just(1.0f32), 0.0..=1.0f32], 40),
        seed in any::<u64>(),
        loudness in prop::collection::vec(
            prop_oneof![Just(0.0f32), Just(1.0f32), Just(1e-30f32), Just(16.0f32), Just(3e38f32), 0.0..=1.0f32], 1..6),
        cuts in prop::collection::vec(1..700usize, 1..10),
    ) {
        let stream = Stream { sample_rate_hz: rate, channels };
        let signal = noise(seed, 6_000, channels, &loudness);
        let (one, other) = (&numbers[..20], &numbers[20..]);
        keeps_its_promises::<NoiseGate>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
        keeps_its_promises::<Compressor>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
        keeps_its_promises::<Equaliser>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
        keeps_its_promises::<Limiter>(stream, [&parameters(one), &parameters(other)], &signal, &cuts)?;
    }

    #[test]
    fn the_limiter_keeps_its_ceiling_for_whatever_comes(
        rate in prop::sample::select(RATES.to_vec()),
        channels in 1..=2usize,
        numbers in prop::collection::vec(0.0..=1.0f32, 3),
        seed in any::<u64>(),
        loudness in prop::collection::vec(prop_oneof![Just(0.0f32), Just(16.0f32), Just(3e38f32), 0.0..=4.0f32], 1..20),
    ) {
        let p: LimiterParameters = parameters(&numbers);
        let mut out = noise(seed, 8_000, channels, &loudness);
        Limiter::new(Stream { sample_rate_hz: rate, channels }, &p).process(&mut out);
        let ceiling = amplitude(p.ceiling_db.into());
        prop_assert!(f64::from(peak(&out)) <= ceiling, "{} above {ceiling}", peak(&out));
    }

    /// Gate and compressor move by at most 20 dB a millisecond after a change, the limiter within its look-ahead: as a
    /// share of the largest gain, 2.5 a millisecond.
    #[test]
    fn a_change_with_a_steady_sound_makes_no_jump(
        rate in prop::sample::select(RATES.to_vec()),
        numbers in prop::collection::vec(0.0..=1.0f32, 14),
        level_db in -60.0..0.0f64,
    ) {
        fn largest_step<S: Stage>(stream: Stream, [one, other]: [S::Parameters; 2], level_db: f64) -> f32 {
            let mut stage = S::new(stream, &one);
            let mut settled = constant(stream, level_db, 1_500.0);
            stage.process(&mut settled);
            stage.set(&other);
            let mut out = constant(stream, level_db, 150.0);
            out.insert(0, settled[settled.len() - 1]);
            stage.process(&mut out[1..]);
            out.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max) / peak(&out)
        }
        let stream = mono(rate);
        let bound = 2_500.0 / rate as f32;
        let mut one: NoiseGateParameters = parameters(&numbers[..7]);
        one.hold_ms = 20.0;
        let step = largest_step::<NoiseGate>(stream, [one, parameters(&numbers[7..])], level_db);
        prop_assert!(step <= bound, "gate: {step}, bound {bound}");
        let step = largest_step::<Compressor>(stream, [parameters(&numbers[..7]), parameters(&numbers[7..])], level_db);
        prop_assert!(step <= bound, "compressor: {step}, bound {bound}");
        let step = largest_step::<Limiter>(stream, [parameters(&numbers[..7]), parameters(&numbers[7..])], level_db);
        prop_assert!(step <= bound, "limiter: {step}, bound {bound}");
    }

    #[test]
    fn absurd_parameters_break_nothing(numbers in prop::collection::vec(any::<f32>(), 20)) {
        fn absurd<P: Described>(numbers: &[f32]) -> P {
            let mut parameters = P::default();
            P::PARAMETERS.iter().zip(numbers).for_each(|(parameter, number)| (parameter.set)(&mut parameters, *number));
            parameters
        }
        fn survives<S: Stage>(parameters: &S::Parameters) -> bool {
            let mut out = noise(7, 3_000, 1, &[1.0, 0.0, 0.3]);
            S::new(mono(48_000), parameters).process(&mut out);
            out.iter().all(|sample| sample.is_finite())
        }
        prop_assert!(survives::<NoiseGate>(&absurd(&numbers)));
        prop_assert!(survives::<Compressor>(&absurd(&numbers)));
        prop_assert!(survives::<Equaliser>(&absurd(&numbers)));
        prop_assert!(survives::<Limiter>(&absurd(&numbers)));
    }
}
