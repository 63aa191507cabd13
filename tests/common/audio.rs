//! Sound for tests, and what a sandbox of its own makes of it.

use std::path::{Path, PathBuf};

use sandbox::{AudioSandbox, Packets, Scratch, Settings};
use sandpool::audio_file::{Recording, SampleFormat, WavFormat};

/// `count` packets of 20 ms of something like a voice: a buzz that changes, at a pitch of its own for each `voice`.
pub fn packets(settings: &Settings, voice: usize, count: usize) -> Vec<Vec<u8>> {
    let mut sandbox = AudioSandbox::new(*settings).unwrap();
    let mut scratch = Scratch::default();
    let rate = settings.sample_rate().hz() as usize;
    let pitch = 90.0 + (voice % 160) as f32;
    let mut encode = |block: usize| {
        let first = block * rate / 50;
        let samples: Vec<f32> = (first..first + rate / 50)
            .flat_map(|at| {
                let seconds = at as f32 / rate as f32;
                let envelope = 0.55 + 0.45 * (seconds * 19.0).sin();
                let buzz =
                    (1..8).map(|k| (seconds * pitch * k as f32 * std::f32::consts::TAU).sin() / k as f32);
                std::iter::repeat_n(0.3 * envelope * buzz.sum::<f32>(), settings.channel_count())
            })
            .collect();
        let mut packet = Packets::default();
        sandbox.encode(&samples, &mut scratch, &mut packet).unwrap();
        packet[0].to_vec()
    };
    (0..count).map(&mut encode).collect()
}

/// What a sandbox of its own makes of `packets` with `settings`.
pub fn processed_alone(settings: &Settings, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut sandbox = AudioSandbox::new(*settings).unwrap();
    let mut scratch = Scratch::default();
    packets
        .iter()
        .map(|packet| {
            let mut answer = Packets::default();
            sandbox.process(packet, &mut scratch, &mut answer).unwrap();
            answer[0].to_vec()
        })
        .collect()
}

/// Somebody who reads aloud for 7.1 s, at 16 kHz.
pub fn voice() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox/tests/audio/voice_16k.wav")
}

pub fn read_wav(path: &Path) -> Recording {
    Recording::from_wav(&std::fs::read(path).unwrap()).unwrap()
}

/// By how many samples `b` is later than `a`, at most `most`, where the two are most alike.
pub fn best_lag(a: &[f32], b: &[f32], most: i64) -> i64 {
    let middle = (a.len() / 3) as i64;
    let span = 64_000.min(a.len() as i64 / 3);
    let likeness =
        |lag: i64| -> f32 { (middle..middle + span).map(|at| a[at as usize] * b[(at + lag) as usize]).sum() };
    let all = (-most..=most).map(|lag| (lag, likeness(lag)));
    all.max_by(|x, y| x.1.total_cmp(&y.1)).unwrap().0
}

/// A tone of 220 Hz under an envelope, the same in all channels, as a WAV file.
pub fn tone_wav(sample_rate: u32, channels: u16, sample_format: SampleFormat, seconds: f32) -> Vec<u8> {
    let samples = (0..(sample_rate as f32 * seconds) as usize).flat_map(|at| {
        let time = at as f32 / sample_rate as f32;
        let value = 0.2 * (time * 220.0 * std::f32::consts::TAU).sin() * (time * 12.0).sin();
        std::iter::repeat_n(value, usize::from(channels))
    });
    let format = WavFormat { sample_rate, channels, sample_format };
    wav_bytes(&Recording { format, samples: samples.collect() })
}

/// A recording as a WAV file.
pub fn wav_bytes(recording: &Recording) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    recording.write_wav(&mut bytes).unwrap();
    bytes.into_inner()
}
