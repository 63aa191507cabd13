//! What the tests of this crate share: real speech, and packets as a client would make them.
#![allow(dead_code, unreachable_pub)] // each test file is a crate of its own and uses only a part of this

use std::sync::LazyLock;

use opus::{Application, Bitrate, Channels};
use sandbox::{RawValue, SampleRate, Settings, SettingsUpdate};

pub const ALL_CHANNELS: [Channels; 2] = [Channels::Mono, Channels::Stereo];

/// The recording at 16 kHz, mono.
pub static SPEECH_16_KHZ: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/voice_16k.wav");
    let reader = hound::WavReader::open(path).expect("the test recording");
    reader.into_samples::<i16>().map(|sample| f32::from(sample.expect("a sample")) / 32_768.0).collect()
});

/// The recording at any rate (by straight lines between its samples), interleaved; the right channel half as loud.
pub fn speech(rate: SampleRate, channels: Channels) -> Vec<f32> {
    let source = &*SPEECH_16_KHZ;
    let step = 16_000.0 / f64::from(rate.hz());
    let length = (source.len() as f64 / step) as usize - 3;
    let mono = (0..length).map(|index| {
        let position = index as f64 * step;
        let (whole, part) = (position as usize, position.fract() as f32);
        source[whole] + (source[whole + 1] - source[whole]) * part
    });
    match channels {
        Channels::Mono => mono.collect(),
        Channels::Stereo => mono.flat_map(|sample| [sample, 0.5 * sample]).collect(),
    }
}

/// What a client encoded: blocks of `units` times 2.5 ms of `pcm`, as packets, with the bare library.
pub fn client_packets(
    pcm: &[f32],
    rate: SampleRate,
    channels: Channels,
    units: usize,
    bitrate: i32,
    loss_percent: i32,
) -> Vec<Vec<u8>> {
    let mut encoder = opus::Encoder::new(rate.hz(), channels, Application::Voip).expect("an encoder");
    encoder.set_bitrate(Bitrate::Bits(bitrate)).expect("bitrate");
    encoder.set_inband_fec(loss_percent > 0).expect("fec");
    encoder.set_packet_loss_perc(loss_percent).expect("loss");
    pcm.chunks_exact(units * rate.samples_per_unit() * channels as usize)
        .map(|block| encoder.encode_vec_float(block, 8_000).expect("a packet"))
        .collect()
}

/// A sequence of Opus packets of all kinds: speech and silence, mono and stereo, 2.5 to 120 ms, with and without FEC.
pub static PACKETS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut packets = Vec::new();
    for (rate, channels, units, bitrate, loss) in [
        (SampleRate::Hz48000, Channels::Mono, 8, 32_000, 0),
        (SampleRate::Hz16000, Channels::Mono, 8, 24_000, 20),
        (SampleRate::Hz48000, Channels::Stereo, 8, 64_000, 10),
        (SampleRate::Hz48000, Channels::Mono, 1, 96_000, 0),
        (SampleRate::Hz24000, Channels::Stereo, 24, 32_000, 30),
        (SampleRate::Hz8000, Channels::Mono, 4, 12_000, 0),
        (SampleRate::Hz12000, Channels::Mono, 48, 16_000, 0),
    ] {
        let mut pcm = speech(rate, channels);
        pcm.truncate(rate.hz() as usize * channels as usize);
        pcm.extend(std::iter::repeat_n(0.0, pcm.len() / 2));
        packets.extend(client_packets(&pcm, rate, channels, units, bitrate, loss));
    }
    packets
});

/// Settings built as a client's message would build them.
pub fn settings(rate: SampleRate, channels: Channels, wishes: SettingsUpdate) -> Settings {
    Settings::default().with_sample_rate(rate).with_channels(channels).with(&wishes).expect("valid wishes")
}

/// Nothing but an intensity.
pub fn intensity(value: f64) -> SettingsUpdate {
    SettingsUpdate::default().with("intensity", RawValue::Number(value))
}

/// A recording at 16 kHz without its rumble, so that this does not count as level: two first-order high-passes at
/// 100 Hz, written out.
pub fn without_rumble(pcm: &[f32]) -> Vec<f32> {
    let high_pass = |pcm: &[f32]| -> Vec<f32> {
        let (mut last_in, mut last_out) = (0.0, 0.0);
        let step = |sample: &f32| {
            last_out = 0.962 * (last_out + sample - last_in);
            last_in = *sample;
            last_out
        };
        pcm.iter().map(step).collect()
    };
    high_pass(&high_pass(pcm))
}

/// Mean power in dB relative to full scale.
pub fn rms_db(pcm: &[f32]) -> f32 {
    let power = pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / pcm.len() as f64;
    10.0 * (power.max(1e-14)).log10() as f32
}

/// The largest magnitude.
pub fn peak(pcm: &[f32]) -> f32 {
    pcm.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}

/// A small generator of numbers that look random (xorshift64*), for tests that don't need shrinking.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    /// A sample from -1 to 1.
    pub fn sample(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}
