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

/// By how much the steps and bends around each change exceed those of the sound before and after.
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
        worst.0 = worst.0.max(step(around) / step(before).max(step(after)));
        worst.1 = worst.1.max(bend(around) / bend(before).max(bend(after)));
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
