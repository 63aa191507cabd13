//! The law of the sandbox: after a reset it is, bit for bit, a fresh one, whatever happened before.

mod common;

use common::{intensity, settings, speech, PACKETS, SPEECH_16_KHZ};
use opus::{Application, Channels, Signal};
use proptest::prelude::*;
use sandbox::{
    AudioSandbox, Format, Incoming, Packets, Processed, SampleRate, SandboxError, Scratch, Settings,
    SettingsUpdate,
};

/// One thing that can happen to a sandbox.
#[derive(Debug, Clone)]
enum Step {
    /// A real packet, by its place in [`PACKETS`].
    Packet(usize),
    /// The front of a real packet.
    Truncated(usize, usize),
    /// A real packet with one byte changed.
    Damaged(usize, usize, u8),
    Garbage(Vec<u8>),
    /// Digital silence through the encoder alone, in units of 2.5 ms.
    Silence(usize),
    /// Speech through filters and encoder, by its start in milliseconds and its length in units.
    Speech(usize, usize),
    /// Speech as PCM, if the sandbox takes that: its start in samples, and its length.
    Pcm(usize, usize),
    /// Samples that are no numbers, through filters and encoder.
    NotNumbers,
    /// A lost packet, and perhaps the one behind it.
    Lost(Option<usize>),
    Configure(Box<Settings>),
    Restart,
}

/// All that can be seen of a step. Errors as they are told: one that names a sample that is no number equals no other.
type Seen = (Result<Option<Processed>, String>, Packets);

fn take(step: &Step, sandbox: &mut AudioSandbox, scratch: &mut Scratch) -> Seen {
    let mut out = Packets::default();
    let unit = sandbox.settings().sample_rate().samples_per_unit() * sandbox.settings().channel_count();
    let mut encode = |sandbox: &mut AudioSandbox, mut pcm: Vec<f32>| {
        sandbox.enhance(&mut pcm).and_then(|()| sandbox.encode(&pcm, scratch, &mut out)).map(|()| None)
    };
    let seen = match step {
        Step::Silence(units) => sandbox.encode(&vec![0.0; units * unit], scratch, &mut out).map(|()| None),
        Step::Speech(start, units) => {
            let pcm = speech(sandbox.settings().sample_rate(), sandbox.settings().channels());
            encode(sandbox, pcm[start * 2 / 5 * unit..][..units * unit].to_vec())
        }
        Step::Pcm(start, length) => match sandbox.settings().input_format() {
            Format::Opus => Ok(None),
            Format::Pcm(format) => {
                let mut bytes = Vec::new();
                let samples = length * sandbox.settings().channel_count();
                format.encode(&SPEECH_16_KHZ[*start..start + samples], &mut bytes);
                sandbox.process(&bytes, scratch, &mut out).map(Some)
            }
        },
        Step::NotNumbers => {
            let bad = [f32::NAN, f32::INFINITY, 0.5, f32::NEG_INFINITY, f32::MAX, -0.25];
            encode(sandbox, bad.into_iter().cycle().take(8 * unit).collect())
        }
        Step::Configure(settings) => sandbox.configure(settings).map(|()| None),
        Step::Restart => sandbox.restart().map(|()| None),
        Step::Lost(next) => {
            let next = next.map(|index| PACKETS[index].as_slice());
            sandbox.process(Incoming::Lost { next }, scratch, &mut out).map(Some)
        }
        packet => {
            let packet = match packet {
                Step::Packet(index) => PACKETS[*index].clone(),
                Step::Truncated(index, keep) => PACKETS[*index][..keep % PACKETS[*index].len()].to_vec(),
                Step::Damaged(index, place, flip) => {
                    let mut packet = PACKETS[*index].clone();
                    let place = place % packet.len();
                    packet[place] ^= flip;
                    packet
                }
                Step::Garbage(bytes) => bytes.clone(),
                other => unreachable!("{other:?} is no packet"),
            };
            sandbox.process(&packet, scratch, &mut out).map(Some)
        }
    };
    (seen.map_err(|error: SandboxError| error.to_string()), out)
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let signal = (
        prop::sample::select(SampleRate::ALL.to_vec()),
        any::<bool>(),
        prop_oneof![Just(0.0), 0.0..=2.0],
        prop_oneof![6_000..=510_000i64, 8_000..=40_000i64],
        prop_oneof![0..=10i64, 7..=10i64],
    );
    let switches = (any::<bool>(), any::<bool>(), any::<bool>(), 0..=40i64, 0..3usize, 0..8usize);
    let formats = || prop::sample::select(vec!["opus", "opus", "opus", "s16le", "f32le"]);
    let rates = || prop::sample::select(vec![8_000i64, 22_050, 44_100, 48_000, 96_000]);
    let engine = (0..512u16, 0..3usize, formats(), formats(), rates(), rates());
    (signal, switches, engine).prop_map(|(signal, switches, engine)| {
        let (rate, stereo, intensity, bitrate, complexity) = signal;
        let (vbr, dtx, fec, loss, signal, application) = switches;
        let channels = if stereo { Channels::Stereo } else { Channels::Mono };
        // Mostly VOIP.
        let application = *["audio", "lowdelay"].get(application).unwrap_or(&"voip");
        let wishes = SettingsUpdate::default()
            .with("intensity", intensity)
            .with("bitrate", bitrate)
            .with("complexity", complexity)
            .with("vbr", vbr)
            .with("dtx", dtx)
            .with("fec", fec)
            .with("expected_loss_percent", loss)
            .with("signal", ["auto", "voice", "music"][signal])
            .with("application", application);
        settings(rate, channels, with_engine(wishes, engine))
    })
}

type Engine = (u16, usize, &'static str, &'static str, i64, i64);

fn with_engine(mut wishes: SettingsUpdate, engine: Engine) -> SettingsUpdate {
    let (stages, quality, input, output, input_rate, output_rate) = engine;
    for (bit, name) in Settings::switches().enumerate() {
        wishes.set(name, (stages >> bit & 1 == 1).into());
    }
    wishes
        .with("quality", ["battery_saver", "balanced", "high_quality"][quality])
        .with("equaliser.band_1_kind", "peak")
        .with("equaliser.band_1_gain_db", f64::from(stages) / 32.0)
        .with("spatial.width", 1.0 + f64::from(stages) / 512.0)
        .with("input_format", input)
        .with("output_format", output)
        .with("input_sample_rate", input_rate)
        .with("output_sample_rate", output_rate)
}

fn any_step() -> impl Strategy<Value = Step> {
    let packet = || 0..PACKETS.len();
    prop_oneof![
        6 => packet().prop_map(Step::Packet),
        2 => (packet(), any::<usize>()).prop_map(|(index, keep)| Step::Truncated(index, keep)),
        2 => (packet(), any::<usize>(), 1..=255u8).prop_map(|(index, at, flip)| Step::Damaged(index, at, flip)),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Step::Garbage),
        2 => (1..=48usize).prop_map(Step::Silence),
        3 => (0..6_000usize, 1..=48usize).prop_map(|(start, units)| Step::Speech(start, units)),
        2 => prop::option::of(packet()).prop_map(Step::Lost),
        4 => (0..90_000usize, 1..2_400usize).prop_map(|(start, length)| Step::Pcm(start, length)),
        1 => Just(Step::NotNumbers),
        2 => any_settings().prop_map(|settings| Step::Configure(Box::new(settings))),
        1 => Just(Step::Restart),
    ]
}

/// What comes after the reset: also a silent first block, which libopus judges by what it still believes.
fn afterwards() -> impl Strategy<Value = Vec<Step>> {
    let first = prop_oneof![Just(Step::Silence(8)), any_step()];
    (first, prop::collection::vec(any_step(), 3..8)).prop_map(|(first, mut rest)| {
        rest.insert(0, first);
        rest
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_any_history_and_a_reset_a_sandbox_is_bit_identical_to_a_fresh_one(
        template in any_settings(),
        history in prop::collection::vec(any_step(), 0..14),
        afterwards in afterwards(),
    ) {
        let mut used = AudioSandbox::new(template).unwrap();
        let mut scratch = Scratch::default();
        for step in &history {
            let _ = take(step, &mut used, &mut scratch);
        }
        used.reset().unwrap();

        let mut fresh = AudioSandbox::new(template).unwrap();
        prop_assert_eq!(used.settings(), fresh.settings());
        prop_assert_eq!(used.settings().delay_samples(), fresh.settings().delay_samples());
        let mut own_scratch = Scratch::default();
        for step in &afterwards {
            prop_assert_eq!(take(step, &mut used, &mut scratch), take(step, &mut fresh, &mut own_scratch));
        }
    }

    #[test]
    fn after_any_history_and_a_restart_a_sandbox_is_bit_identical_to_a_fresh_one_configured_alike(
        template in any_settings(),
        history in prop::collection::vec(any_step(), 0..14),
        afterwards in afterwards(),
    ) {
        let mut used = AudioSandbox::new(template).unwrap();
        let mut scratch = Scratch::default();
        for step in &history {
            let _ = take(step, &mut used, &mut scratch);
        }
        used.restart().unwrap();

        let mut fresh = AudioSandbox::new(template).unwrap();
        fresh.configure(used.settings()).unwrap();
        for step in &afterwards {
            prop_assert_eq!(take(step, &mut used, &mut scratch), take(step, &mut fresh, &mut scratch));
        }
    }

    #[test]
    fn a_sandbox_that_was_reset_and_configured_is_bit_identical_to_one_built_with_those_settings(
        template in any_settings(),
        own in any_settings(),
        history in prop::collection::vec(any_step(), 0..8),
        afterwards in afterwards(),
    ) {
        let mut used = AudioSandbox::new(template).unwrap();
        let mut scratch = Scratch::default();
        for step in &history {
            let _ = take(step, &mut used, &mut scratch);
        }
        used.reset().unwrap();
        used.configure(&own).unwrap();

        let mut built = AudioSandbox::new(own).unwrap();
        for step in &afterwards {
            prop_assert_eq!(take(step, &mut used, &mut scratch), take(step, &mut built, &mut scratch));
        }
    }
}

/// In mid-stream they would glide there.
#[test]
fn settings_put_on_before_the_first_sound_are_in_force_from_its_first_sample() {
    let wishes = |gain_db: f64, ratio: i64| {
        SettingsUpdate::default()
            .with("equaliser.band_1_kind", "peak")
            .with("equaliser.band_1_gain_db", gain_db)
            .with("compressor.ratio", ratio)
            .with("spatial.width", 1.0 + gain_db / 20.0)
    };
    let of = |wishes| settings(SampleRate::Hz48000, Channels::Stereo, wishes);
    let (template, own) = (of(wishes(12.0, 20)), of(wishes(0.5, 2)));
    let mut used = AudioSandbox::new(template).unwrap();
    used.configure(&own).unwrap();
    let mut built = AudioSandbox::new(own).unwrap();
    let mut scratch = Scratch::default();
    for step in [Step::Speech(500, 8), Step::Speech(520, 8)] {
        assert_eq!(take(&step, &mut used, &mut scratch), take(&step, &mut built, &mut scratch));
    }
}

/// `LBRR_coded` outlives OPUS_RESET_STATE: with FEC at a bitrate near its threshold, the past decides.
#[test]
fn a_reset_forgets_the_hysteresis_of_in_band_fec() {
    for bitrate in (12_000..26_000).step_by(500) {
        let wishes = |bitrate: i64| {
            SettingsUpdate::default()
                .with("bitrate", bitrate)
                .with("fec", true)
                .with("expected_loss_percent", 10)
                .with("signal", "voice")
        };
        let template = settings(SampleRate::Hz16000, Channels::Mono, wishes(bitrate));
        let history = [
            Step::Configure(Box::new(settings(SampleRate::Hz16000, Channels::Mono, wishes(40_000)))),
            Step::Speech(500, 8),
            Step::Speech(520, 8),
        ];
        assert_reset_is_fresh(template, &history, &[Step::Speech(1_000, 8), Step::Speech(1_020, 8)]);
    }
}

/// `voice_ratio` outlives OPUS_RESET_STATE: it decides what a silent first block is taken for.
#[test]
fn a_reset_forgets_what_the_signal_was_taken_for() {
    for bitrate in (8_000..80_000).step_by(2_000) {
        let wishes = SettingsUpdate::default().with("bitrate", i64::from(bitrate)).with("complexity", 10);
        let template = settings(SampleRate::Hz48000, Channels::Mono, wishes);
        let mut history: Vec<Step> = (0..40).map(|block| Step::Speech(400 + 20 * block, 8)).collect();
        history.push(Step::Silence(8));
        assert_reset_is_fresh(template, &history, &[Step::Silence(8), Step::Silence(8), Step::Packet(3)]);
    }
}

#[test]
fn one_sessions_settings_do_not_reach_the_next() {
    let template = Settings::default();
    let wishes = intensity(2.0)
        .with("bitrate", 6_000)
        .with("complexity", 0)
        .with("dtx", true)
        .with("vbr", false)
        .with("application", "audio")
        .with("signal", "music");
    let mut sandbox = AudioSandbox::new(template).unwrap();
    let own = settings(SampleRate::Hz8000, Channels::Stereo, wishes);
    sandbox.configure(&own).unwrap();
    assert_eq!(sandbox.settings().application(), Application::Audio);
    assert_eq!(sandbox.settings().signal(), Signal::Music);
    sandbox.reset().unwrap();
    assert_eq!(sandbox.settings(), &template);
    assert_reset_is_fresh(template, &[Step::Configure(Box::new(own))], &[Step::Packet(5), Step::Packet(6)]);
}

fn assert_reset_is_fresh(template: Settings, history: &[Step], afterwards: &[Step]) {
    let mut scratch = Scratch::default();
    let mut used = AudioSandbox::new(template).unwrap();
    for step in history {
        take(step, &mut used, &mut scratch).0.unwrap();
    }
    used.reset().unwrap();
    let mut fresh = AudioSandbox::new(template).unwrap();
    for step in afterwards {
        assert_eq!(take(step, &mut used, &mut scratch), take(step, &mut fresh, &mut scratch), "{step:?}");
    }
}
