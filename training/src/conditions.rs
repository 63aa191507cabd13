//! How an excerpt may reach the detector: rates, levels, Opus.

use opus::{Application, Bitrate, Channels, Decoder, Encoder};
use sandbox::Stream;

use crate::corpus::RATE_HZ;
use crate::Outcome;

/// One way to hear an excerpt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    pub(crate) name: &'static str,
    rate_hz: u32,
    /// Opus at this bitrate, before the rate is changed.
    bitrate: Option<i32>,
    gain_db: f32,
}

const fn condition(name: &'static str, rate_hz: u32, bitrate: Option<i32>, gain_db: f32) -> Condition {
    Condition { name, rate_hz, bitrate, gain_db }
}

/// As it is, and what sessions do to it.
pub(crate) const CONDITIONS: [Condition; 8] = [
    condition("48 kHz", 48_000, None, 0.0),
    condition("48 kHz, -20 dB", 48_000, None, -20.0),
    condition("48 kHz, Opus 64 kbit/s", 48_000, Some(64_000), 0.0),
    condition("48 kHz, Opus 32 kbit/s", 48_000, Some(32_000), -6.0),
    condition("16 kHz, Opus 16 kbit/s", 16_000, Some(16_000), -6.0),
    condition("24 kHz, Opus 24 kbit/s", 24_000, Some(24_000), -12.0),
    condition("16 kHz", 16_000, None, -10.0),
    condition("8 kHz", 8_000, None, 0.0),
];

impl Condition {
    pub(crate) fn stream(&self) -> Stream {
        Stream { sample_rate_hz: self.rate_hz, channels: 1 }
    }

    /// The excerpt as this session has it.
    pub(crate) fn apply(&self, samples: &[f32]) -> Outcome<Vec<f32>> {
        let mut heard = decimated(samples, (RATE_HZ / self.rate_hz) as usize);
        let gain = 10.0_f32.powf(self.gain_db / 20.0);
        heard.iter_mut().for_each(|sample| *sample *= gain);
        if let Some(bitrate) = self.bitrate {
            heard = through_opus(&heard, self.rate_hz, bitrate)?;
        }
        Ok(heard)
    }
}

/// A long windowed sinc: the bands above go, whatever the detector would do with them.
fn decimated(samples: &[f32], factor: usize) -> Vec<f32> {
    if factor == 1 {
        return samples.to_vec();
    }
    let half = 24 * factor as isize;
    let kernel: Vec<f32> = (-half..=half)
        .map(|at| {
            let time = at as f32 / factor as f32 * 0.92 * std::f32::consts::PI;
            let window = 0.5 + 0.5 * (at as f32 / half as f32 * std::f32::consts::PI).cos();
            window * if at == 0 { 1.0 } else { time.sin() / time }
        })
        .collect();
    let sum: f32 = kernel.iter().sum();
    let padding = vec![0.0; half as usize];
    let padded = [&padding[..], samples, &padding[..]].concat();
    padded
        .windows(kernel.len())
        .step_by(factor)
        .map(|window| window.iter().zip(&kernel).map(|(sample, weight)| sample * weight).sum::<f32>() / sum)
        .collect()
}

fn through_opus(samples: &[f32], rate_hz: u32, bitrate: i32) -> Outcome<Vec<f32>> {
    let mut encoder = Encoder::new(rate_hz, Channels::Mono, Application::Audio)?;
    encoder.set_bitrate(Bitrate::Bits(bitrate))?;
    encoder.set_complexity(2)?;
    let mut decoder = Decoder::new(rate_hz, Channels::Mono)?;
    let block = rate_hz as usize / 50;
    let (mut packet, mut heard) = ([0; 4_000], Vec::with_capacity(samples.len()));
    let mut out = vec![0.0; block];
    for samples in samples.chunks_exact(block) {
        let length = encoder.encode_float(samples, &mut packet)?;
        decoder.decode_float(&packet[..length], &mut out, false)?;
        heard.extend_from_slice(&out);
    }
    Ok(heard)
}
