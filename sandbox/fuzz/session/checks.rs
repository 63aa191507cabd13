//! What must hold.

use std::f64::consts::TAU;
use std::fmt::Display;

use opus::{Channels, Decoder};
use sandbox::{AudioSandbox, Format, Packets, Readings, Scratch, Settings, SettingsUpdate};

use super::packets;

/// The longest that an error may be, in bytes.
const LONGEST_ERROR: usize = 2_048;

/// An error's text is for people.
pub(super) fn assert_printable(error: &(impl Display + ?Sized)) {
    let text = error.to_string();
    assert!((1..=LONGEST_ERROR).contains(&text.len()), "{} bytes of error: {text}", text.len());
    assert!(!text.contains(|letter: char| letter.is_control()), "{text:?}");
}

pub(super) fn assert_numbers(pcm: &[f32], what: &str) {
    let bad = pcm.iter().position(|sample| !sample.is_finite());
    assert!(bad.is_none(), "{what}: sample {bad:?} of {} is no number", pcm.len());
}

pub(super) fn assert_readings_are_numbers(readings: &Readings) {
    let all = [
        readings.rms_dbfs,
        readings.peak_dbfs,
        readings.momentary_lufs,
        readings.short_term_lufs,
        readings.integrated_lufs,
        readings.gate_reduction_db,
        readings.compressor_reduction_db,
        readings.limiter_reduction_db,
    ];
    assert!(all.into_iter().flatten().all(|reading| reading.is_finite()), "{readings:?}");
}

/// Decodes answers, as their receiver would.
#[derive(Default)]
pub(super) struct Listener {
    decoder: Option<(Decoder, u32, Channels)>,
    pcm: Vec<f32>,
}

impl Listener {
    /// Hears all packets: samples of one channel that they hold.
    pub(super) fn hear(&mut self, settings: &Settings, out: &Packets) -> usize {
        out.iter().map(|packet| self.hear_one(settings, packet)).sum()
    }

    fn hear_one(&mut self, settings: &Settings, packet: &[u8]) -> usize {
        match settings.output_format() {
            Format::Opus => self.hear_opus(settings, packet),
            Format::Pcm(format) => {
                self.pcm.clear();
                // Samples beyond what is accepted are no error on the way out; those that are no numbers would be.
                if let sandbox::pcm::SampleFormat::F32Le = format {
                    let floats = packet
                        .chunks_exact(4)
                        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
                    self.pcm.extend(floats);
                    assert_eq!(packet.len() % (4 * settings.channel_count()), 0);
                } else {
                    format
                        .decode(packet, settings.channel_count(), &mut self.pcm)
                        .expect("an answer holds whole frames");
                }
                assert_numbers(&self.pcm, "answer in PCM");
                self.pcm.len() / settings.channel_count()
            }
        }
    }

    pub(super) fn hear_opus(&mut self, settings: &Settings, packet: &[u8]) -> usize {
        let kind = (settings.sample_rate().hz(), settings.channels());
        if self.decoder.as_ref().is_none_or(|(_, rate, channels)| (*rate, *channels) != kind) {
            self.decoder = Some((Decoder::new(kind.0, kind.1).expect("a decoder"), kind.0, kind.1));
        }
        let (decoder, ..) = self.decoder.as_mut().expect("made above");
        self.pcm.resize(settings.sample_rate().longest_packet() * settings.channel_count(), 0.0);
        let frames = decoder.decode_float(packet, &mut self.pcm, false).expect("an answer is a good packet");
        self.pcm.truncate(frames * settings.channel_count());
        assert_numbers(&self.pcm, "answer in Opus");
        frames
    }
}

/// Milliseconds of tone, of which the last are looked at. What went before has 600 ms to fade.
const TONE_MS: usize = 800;
const LAST_MS: usize = 200;

/// Switches everything off, in mid-stream, and sends a tone through. It is heard by who has listened all along: to a decoder
/// that comes in late, libopus's predictions from what it has not heard sound wrong for a second and more.
pub(super) fn assert_a_tone_sounds_right(
    sandbox: &mut AudioSandbox,
    scratch: &mut Scratch,
    listener: &mut Listener,
) {
    let neutral = Settings::switches()
        .chain(["dtx", "fec"])
        .fold(SettingsUpdate::default(), |update, name| update.with(name, false))
        .with("intensity", 0)
        .with("bitrate", 64_000)
        .with("vbr", true)
        .with("complexity", 5)
        .with("signal", "auto")
        .with("expected_loss_percent", 0);
    let settings = sandbox.settings().with(&neutral).expect("valid");
    sandbox.configure(&settings).expect("configure");
    let (mut heard, mut out) = (Vec::new(), Packets::default());
    let rate = match settings.output_format() {
        Format::Opus => settings.sample_rate().hz(),
        Format::Pcm(_) => settings.output_sample_rate(),
    };
    for block in 0..TONE_MS / 20 {
        sandbox.process(&packets::tone(&settings, block), scratch, &mut out).expect("a good packet");
        for packet in out.iter() {
            listener.hear_one(&settings, packet);
            heard.extend(
                listener.pcm.iter().step_by(settings.channel_count()).map(|sample| f64::from(*sample)),
            );
        }
    }
    let last = &heard[heard.len() - rate as usize * LAST_MS / 1_000..];
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / last.len() as f64;
    let power = mean(&mut last.iter().map(|sample| sample * sample));
    let angle = |index: usize| TAU * packets::TONE_HZ * index as f64 / f64::from(rate);
    let with_cosine = mean(&mut last.iter().enumerate().map(|(index, sample)| sample * angle(index).cos()));
    let with_sine = mean(&mut last.iter().enumerate().map(|(index, sample)| sample * angle(index).sin()));
    let of_the_tone = 2.0 * (with_cosine.powi(2) + with_sine.powi(2));
    let expected = packets::TONE_AMPLITUDE.powi(2) / 2.0;
    assert!(
        of_the_tone > 0.9 * power && (0.5..2.0).contains(&(power / expected)),
        "of a power of {power:.6} (sent: {expected:.6}) the tone has {of_the_tone:.6}; {settings:?}"
    );
}

/// After a reset it answers as one just built from its template does.
pub(super) fn assert_reset_is_fresh(sandbox: &mut AudioSandbox, scratch: &mut Scratch, template: Settings) {
    sandbox.reset().expect("reset");
    let mut fresh = AudioSandbox::new(template).expect("settings that exist are valid");
    let (mut own, mut out, mut expected) = (Scratch::default(), Packets::default(), Packets::default());
    assert_eq!(sandbox.settings(), fresh.settings());
    for index in 0..3 {
        let packet = packets::real(&template, index);
        let processed = sandbox.process(&packet, scratch, &mut out);
        assert_eq!(processed, fresh.process(&packet, &mut own, &mut expected), "packet {index}");
        assert_eq!(out, expected, "packet {index}");
        assert_eq!(sandbox.readings(), fresh.readings(), "packet {index}");
        assert_eq!(sandbox.events(), fresh.events(), "packet {index}");
        assert!(processed.is_ok(), "packet {index}: {processed:?}");
    }
}
