//! Packets of any kind, and good ones.

use std::f64::consts::TAU;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use opus::{Application, Bitrate, Channels, Encoder};
use sandbox::pcm::SampleFormat;
use sandbox::{Format, Settings};

use super::signal::Signal;

pub(super) const TONE_HZ: f64 = 440.0;
pub(super) const TONE_AMPLITUDE: f64 = 0.25;

#[derive(Debug, Arbitrary)]
pub(super) enum Packet {
    Raw(Vec<u8>),
    /// One of [`REAL`].
    Real(u8),
    /// One of them with some bytes changed, and perhaps cut.
    Damaged {
        which: u8,
        changes: Vec<(u16, u8)>,
        keep: Option<u16>,
    },
    /// One of them under another first byte, which says what it is.
    Renamed(u8, u8),
    /// Samples in the session's own format, where that is PCM, or in one of three.
    Samples(Signal, u8),
}

impl Packet {
    pub(super) fn bytes(&self, settings: &Settings) -> Vec<u8> {
        match self {
            Packet::Raw(bytes) => bytes.clone(),
            Packet::Real(which) => any_real(*which).clone(),
            Packet::Damaged { which, changes, keep } => {
                let mut packet = any_real(*which).clone();
                for (place, change) in changes {
                    let place = usize::from(*place) % packet.len();
                    packet[place] ^= change;
                }
                packet.truncate(keep.map_or(usize::MAX, usize::from));
                packet
            }
            Packet::Renamed(which, first) => {
                let mut packet = any_real(*which).clone();
                packet[0] = *first;
                packet
            }
            Packet::Samples(signal, format) => {
                let format = match settings.input_format() {
                    Format::Pcm(format) => format,
                    Format::Opus => SampleFormat::ALL[usize::from(*format) % 3],
                };
                let mut samples = signal.samples();
                samples.truncate(samples.len() / settings.channel_count() * settings.channel_count());
                bytes_of(format, &samples)
            }
        }
    }
}

/// A good packet of 20 ms of voice in the session's input format.
pub(super) fn real(settings: &Settings, index: usize) -> Vec<u8> {
    match settings.input_format() {
        Format::Opus => REAL[index].clone(),
        Format::Pcm(format) => {
            let rate = settings.input_sample_rate();
            bytes_of(format, &interleaved(settings, index, |at| voice(at, f64::from(rate))))
        }
    }
}

/// The same of a tone.
pub(super) fn tone(settings: &Settings, index: usize) -> Vec<u8> {
    static TONE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Audio).expect("an encoder");
        encoder.set_bitrate(Bitrate::Bits(64_000)).expect("bitrate");
        let block = |block: usize| {
            let pcm: Vec<f32> = (block * 960..(block + 1) * 960).map(|at| tone_at(at, 48_000.0)).collect();
            encoder.encode_vec_float(&pcm, 4_000).expect("a packet")
        };
        (0..40).map(block).collect()
    });
    match settings.input_format() {
        Format::Opus => TONE[index].clone(),
        Format::Pcm(format) => {
            let rate = f64::from(settings.input_sample_rate());
            bytes_of(format, &interleaved(settings, index, |at| tone_at(at, rate)))
        }
    }
}

fn tone_at(at: usize, rate: f64) -> f32 {
    (TONE_AMPLITUDE * (TAU * TONE_HZ * at as f64 / rate).sin()) as f32
}

/// 20 ms, alike in all channels.
fn interleaved(settings: &Settings, index: usize, at: impl Fn(usize) -> f32) -> Vec<f32> {
    let block = settings.input_sample_rate() as usize / 50;
    let channels = settings.channel_count();
    (index * block * channels..(index + 1) * block * channels).map(|sample| at(sample / channels)).collect()
}

fn bytes_of(format: SampleFormat, samples: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::new();
    format.encode(samples, &mut bytes);
    bytes
}

fn any_real(which: u8) -> &'static Vec<u8> {
    &REAL[usize::from(which) % REAL.len()]
}

/// Packets of all kinds: every mode, mono and stereo, 2.5 to 120 ms, with and without FEC. Not one is empty.
static REAL: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut packets = Vec::new();
    for (rate, channels, units, bitrate, loss, application) in [
        (48_000, 1, 8, 32_000, 0, Application::Voip),
        (16_000, 1, 8, 24_000, 20, Application::Voip),
        (48_000, 2, 8, 64_000, 10, Application::Voip),
        (48_000, 1, 1, 96_000, 0, Application::LowDelay),
        (24_000, 2, 24, 32_000, 30, Application::Voip),
        (8_000, 1, 4, 12_000, 0, Application::Voip),
        (12_000, 1, 48, 16_000, 0, Application::Voip),
        (48_000, 2, 2, 200_000, 0, Application::Audio),
        (48_000, 1, 16, 10_000, 25, Application::Voip),
        (48_000, 1, 8, 28_000, 20, Application::Voip),
    ] {
        let count = if channels == 1 { Channels::Mono } else { Channels::Stereo };
        let mut encoder = Encoder::new(rate, count, application).expect("an encoder");
        encoder.set_bitrate(Bitrate::Bits(bitrate)).expect("bitrate");
        encoder.set_inband_fec(loss > 0).expect("fec");
        encoder.set_packet_loss_perc(loss).expect("loss");
        let frames = units * rate as usize / 400;
        for block in 0..12 {
            let sample = |index: usize| {
                let left = voice(index / channels, f64::from(rate));
                if index % channels == 1 {
                    0.5 * left
                } else {
                    left
                }
            };
            let pcm: Vec<f32> =
                (block * frames * channels..(block + 1) * frames * channels).map(sample).collect();
            packets.push(encoder.encode_vec_float(&pcm, 8_000).expect("a packet"));
        }
    }
    packets
});

/// Something like a voice: a buzz that comes and goes, and a little noise.
fn voice(at: usize, rate: f64) -> f32 {
    let seconds = at as f64 / rate;
    let buzz: f64 = (1..20)
        .map(|harmonic| (TAU * 130.0 * f64::from(harmonic) * seconds).sin() / f64::from(harmonic))
        .sum();
    let noise = ((at as u32).wrapping_mul(2_654_435_761) >> 8) as f64 / (1u32 << 24) as f64 - 0.5;
    (0.15 * buzz * (0.6 + 0.4 * (TAU * 3.0 * seconds).sin()) + 0.01 * noise) as f32
}
