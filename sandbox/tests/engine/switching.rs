//! What is switched in mid-stream is cross-faded: no click, no gap, however the stream is cut.

use sandbox::pcm::SampleFormat;
use sandbox::{AudioSandbox, Packets, Scratch, Settings, SettingsUpdate};

use crate::common::{intensity, peak, Random};

const RATE_HZ: usize = 48_000;
const MS: usize = RATE_HZ / 1_000;

/// 203.7 Hz, unlike and out of step on both channels, so that width makes a difference.
fn tone(amplitude: f32, frames: usize) -> Vec<f32> {
    let at = |index: usize, phase: f32| (index as f64 * 203.7 / RATE_HZ as f64 + f64::from(phase)).fract();
    (0..frames)
        .flat_map(|index| [(1.0, 0.0), (0.6, 0.2)].map(|(level, phase)| (level, at(index, phase))))
        .map(|(level, turn)| amplitude * level * (turn as f32 * std::f32::consts::TAU).sin())
        .collect()
}

/// Nothing on, but set so that each stage is well heard when it is.
fn all_off() -> SettingsUpdate {
    let update = intensity(0.0)
        .with("quality", "high_quality")
        .with("channels", 2)
        .with("input_format", "f32le")
        .with("output_format", "f32le")
        .with("noise_gate.threshold_db", -6)
        .with("compressor.threshold_db", -30)
        .with("compressor.ratio", 8)
        .with("equaliser.band_1_kind", "low_shelf")
        .with("equaliser.band_1_gain_db", 12)
        .with("spatial.width", 2)
        .with("limiter.ceiling_db", -20);
    Settings::switches().fold(update, |update, stage| update.with(stage, false))
}

/// A stream of f32 samples through a sandbox with two channels.
struct Line {
    sandbox: AudioSandbox,
    scratch: Scratch,
    out: Packets,
    heard: Vec<f32>,
}

impl Line {
    fn new(update: SettingsUpdate) -> Line {
        let sandbox = AudioSandbox::new(Settings::default().with(&update).unwrap()).unwrap();
        Line { sandbox, scratch: Scratch::default(), out: Packets::default(), heard: Vec::new() }
    }

    fn set(&mut self, update: SettingsUpdate) {
        let settings = self.sandbox.settings().with(&update).unwrap();
        self.sandbox.configure(&settings).unwrap();
    }

    /// In packets of so many sample frames.
    fn say(&mut self, pcm: &[f32], packet: usize) {
        for packet in pcm.chunks(2 * packet) {
            let mut bytes = Vec::new();
            SampleFormat::F32Le.encode(packet, &mut bytes);
            self.sandbox.process(&bytes, &mut self.scratch, &mut self.out).unwrap();
            let samples =
                self.out[0].chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            self.heard.extend(samples);
        }
    }
}

/// The sharpest bend of either channel: what a click is, and a slow sine has little of.
fn bend(heard: &[f32]) -> f32 {
    heard.windows(5).map(|at| (at[4] - 2.0 * at[2] + at[0]).abs()).fold(0.0, f32::max)
}

/// The largest step of either channel between two sample frames.
fn step(heard: &[f32]) -> f32 {
    heard.windows(3).map(|at| (at[2] - at[0]).abs()).fold(0.0, f32::max)
}

/// By how much the steps and bends around each change exceed those of the sound before and after, and as it came.
fn clicks(changes: &[SettingsUpdate]) -> (f32, f32) {
    let mut line = Line::new(all_off());
    let (apart, packet) = (700 * MS, 7 * MS);
    let pcm = tone(0.2, apart * (changes.len() + 1));
    let mut worst = (0.0f32, 0.0f32);
    for (index, pcm) in pcm.chunks(2 * apart).enumerate() {
        if index > 0 {
            line.set(changes[index - 1].clone());
        }
        line.say(pcm, packet);
    }
    for index in 1..=changes.len() {
        let at = |from_ms: isize, to_ms: isize| {
            let [from, to] =
                [from_ms, to_ms].map(|ms| 2 * (index * apart).saturating_add_signed(ms * MS as isize));
            &line.heard[from..to]
        };
        let (before, around, after) = (at(-150, -1), at(-1, 80), at(550, 700));
        let own = |what: fn(&[f32]) -> f32| what(before).max(what(after)).max(what(&pcm));
        worst.0 = worst.0.max(step(around) / own(step));
        worst.1 = worst.1.max(bend(around) / own(bend));
    }
    worst
}

#[test]
fn nothing_clicks_when_it_is_switched_on_or_off_in_mid_stream() {
    let mut clicked = Vec::new();
    let switches = Settings::switches().map(|name| (name, [true, false].map(|on| all_off().with(name, on))));
    let strengths = [("intensity", [2.0, 0.0].map(intensity)), ("intensity", [0.3, 0.0].map(intensity))];
    for (name, [on, off]) in switches.chain(strengths) {
        let (step, bend) = clicks(&[on.clone(), off.clone(), on, off]);
        println!("{name}: steps {step:.2} times the tone's own, bends {bend:.2} times");
        if step > 1.5 || bend > 3.0 {
            clicked.push((name, step, bend));
        }
    }
    assert!(clicked.is_empty(), "{clicked:?}");
}

#[test]
fn what_begins_with_its_delay_leaves_no_gap() {
    for name in ["denoise", "limiter"] {
        // Too quiet for the limiter, and speech is not turned down.
        let speech = crate::common::speech(sandbox::SampleRate::Hz48000, opus::Channels::Stereo);
        let mut line = Line::new(all_off().with("limiter.ceiling_db", 0));
        let (before, after) = speech[2 * 500 * MS..2 * 1_500 * MS].split_at(2 * 500 * MS);
        line.say(before, 960);
        line.set(SettingsUpdate::default().with(name, true));
        line.say(after, 960);
        let delay = line.sandbox.settings().engine_delay_samples();
        assert!(delay > 0);
        assert!(line.heard[..2 * (500 * MS + delay)] == [before, &after[..2 * delay]].concat(), "{name}");
        assert!(line.heard[2 * (500 * MS + delay)..] != after[2 * delay..], "{name}");
    }
}

#[test]
fn switched_to_and_fro_in_the_middle_of_a_fade_nothing_clicks() {
    let mut clicked = Vec::new();
    for name in Settings::switches().chain(["intensity"]) {
        let [on, off] = match name {
            "intensity" => [2.0, 0.0].map(intensity),
            stage => [true, false].map(|on| SettingsUpdate::default().with(stage, on)),
        };
        let mut line = Line::new(all_off());
        let pcm = tone(0.2, 1_500 * MS);
        let (before, rest) = pcm.split_at(2 * 200 * MS);
        let (restless, after) = rest.split_at(2 * 600 * MS);
        line.say(before, 960);
        let mut random = Random(7);
        let mut rest = restless;
        for update in [on.clone(), off].iter().cycle() {
            line.set(update.clone());
            let (piece, behind) = rest.split_at((2 * (1 + random.below(30 * MS))).min(rest.len()));
            line.say(piece, 960);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        line.set(on);
        line.say(after, 960);
        let own = |what: fn(&[f32]) -> f32| {
            what(&line.heard[..2 * 200 * MS]).max(what(&line.heard[2 * 1_300 * MS..]))
        };
        let around = &line.heard[2 * 199 * MS..2 * 900 * MS];
        let (step, bend) = (step(around) / own(step), bend(around) / own(bend));
        println!("{name}: steps {step:.2} times the tone's own, bends {bend:.2} times");
        if step > 1.5 || bend > 3.0 {
            clicked.push((name, step, bend));
        }
    }
    assert!(clicked.is_empty(), "{clicked:?}");
}

#[test]
fn another_look_ahead_of_the_limiter_fades_to_the_sound_without_it_and_back() {
    let look_ahead = |ms: f64| SettingsUpdate::default().with("limiter.look_ahead_ms", ms);
    let on = all_off().with("limiter", true);
    let (step, bend) = clicks(&[on, look_ahead(5.0), look_ahead(2.0)]);
    assert!(step < 1.5 && bend < 3.0, "steps {step:.2}, bends {bend:.2}");
}

/// However it is cut, and with switches at any time, some of them in the middle of a fade.
#[test]
fn how_a_stream_is_cut_makes_no_difference_to_a_fade() {
    let heard = |packet: usize| {
        let mut line = Line::new(all_off());
        let pcm = tone(0.3, 1_200 * MS);
        let mut random = Random(11);
        let mut rest = &pcm[..];
        for name in Settings::switches().collect::<Vec<_>>().into_iter().cycle() {
            line.set(SettingsUpdate::default().with(name, random.below(3) > 0));
            line.set(intensity([0.0, 0.7, 2.0][random.below(3)]));
            line.set(SettingsUpdate::default().with("limiter.look_ahead_ms", 1.5 + random.below(3) as f64));
            let (piece, behind) = rest.split_at((2 * (1 + random.below(40 * MS))).min(rest.len()));
            line.say(piece, packet);
            rest = behind;
            if rest.is_empty() {
                return line.heard;
            }
        }
        unreachable!("cycle")
    };
    let whole = heard(5_760);
    for packet in [1, 77, 480, 961] {
        assert!(heard(packet) == whole, "{packet}");
    }
}

#[test]
fn the_limiters_ceiling_holds_once_it_has_faded_in_and_before_nothing_rises_above_the_sound_without_it() {
    let mut line = Line::new(all_off());
    let pcm = tone(0.9, 600 * MS);
    let (before, after) = pcm.split_at(2 * 300 * MS);
    line.say(before, 960);
    line.set(SettingsUpdate::default().with("limiter", true));
    line.say(after, 960);
    let faded = 2 * (310 * MS + line.sandbox.settings().engine_delay_samples());
    assert!(peak(&line.heard[..faded]) <= 0.9);
    assert!(peak(&line.heard[faded..]) <= 0.1, "{}", peak(&line.heard[faded..]));
}
