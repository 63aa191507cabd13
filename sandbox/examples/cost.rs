//! What the sandbox's steps cost on one core: `cargo run --release -p sandpool-sandbox --example cost`.
//!
//! Real speech at 48 kHz mono in packets of 20 ms. Each step runs over the whole recording several times; the fastest
//! run counts, as everything else on the machine can only add to it.

use std::time::{Duration, Instant};

use sandbox::{AudioSandbox, Channels, Packets, SampleRate, Scratch, Settings, SettingsUpdate};

const RUNS: usize = 15;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let speech = speech_at_48_khz()?;
    for (complexity, bitrate) in [(1, 24_000), (5, 24_000), (5, 32_000), (10, 32_000)] {
        measure(&speech, Channels::Mono, complexity, bitrate)?;
    }
    let both: Vec<f32> = speech.iter().flat_map(|sample| [*sample, *sample * 0.5]).collect();
    measure(&both, Channels::Stereo, 5, 32_000)?;
    Ok(())
}

fn measure(
    speech: &[f32],
    channels: Channels,
    complexity: i64,
    bitrate: i64,
) -> Result<(), Box<dyn std::error::Error>> {
    let update = SettingsUpdate::default().with("complexity", complexity).with("bitrate", bitrate);
    let settings = Settings::default().with_channels(channels).with(&update)?;
    let mut sandbox = AudioSandbox::new(settings)?;
    let mut scratch = Scratch::default();
    let mut packet = Packets::default();
    let block = 960 * settings.channel_count();
    let mut packets = Vec::new();
    for pcm in speech.chunks_exact(block) {
        sandbox.encode(pcm, &mut scratch, &mut packet)?;
        packets.push(packet[0].to_vec());
    }
    let mut decoded = Vec::new();
    for packet in &packets {
        decoded.extend_from_slice(sandbox.decode(packet, &mut scratch)?);
    }
    let enhanced = {
        let mut pcm = decoded.clone();
        sandbox.enhance(&mut pcm)?;
        pcm
    };

    let each = |time: Duration| time.as_secs_f64() * 1e6 / packets.len() as f64;
    let decode = fastest(|| {
        for packet in &packets {
            sandbox.decode(packet, &mut scratch).expect("a good packet");
        }
    });
    let mut pcm = decoded.clone();
    let enhance = fastest(|| {
        pcm.copy_from_slice(&decoded);
        for block in pcm.chunks_exact_mut(block) {
            sandbox.enhance(block).expect("whole sample frames");
        }
    });
    let encode = fastest(|| {
        for block in enhanced.chunks_exact(block) {
            sandbox.encode(block, &mut scratch, &mut packet).expect("20 ms");
        }
    });
    let mut answer = Packets::default();
    let process = fastest(|| {
        for packet in &packets {
            sandbox.process(packet, &mut scratch, &mut answer).expect("a good packet");
        }
    });
    let reset = fastest(|| {
        for _ in &packets {
            sandbox.reset().expect("reset");
        }
    });
    let near = settings.with(&SettingsUpdate::default().with("bitrate", 20_000))?;
    let far = settings.with_sample_rate(SampleRate::Hz16000);
    let mut configure = |other: &Settings| {
        fastest(|| {
            for pair in packets.chunks(2) {
                sandbox.configure(if pair.len() == 2 { other } else { &settings }).expect("configure");
                sandbox.configure(&settings).expect("configure");
            }
        })
    };
    let (same_stream, new_stream) = (configure(&near), configure(&far));
    let build = fastest(|| {
        for _ in &packets {
            drop(AudioSandbox::new(settings).expect("a sandbox"));
        }
    });
    println!(
        "{channels:?}, complexity {complexity}, {bitrate} bit/s: decode {:.1} us, enhance {:.2} us, encode {:.1} us, \
         process {:.1} us ({:.3} of decode + encode), reset {:.2} us, configure {:.2} us / {:.2} us with another \
         rate, new {:.1} us",
        each(decode),
        each(enhance),
        each(encode),
        each(process),
        process.as_secs_f64() / (decode + encode).as_secs_f64(),
        each(reset),
        each(same_stream),
        each(new_stream),
        each(build),
    );
    Ok(())
}

fn fastest(mut step: impl FnMut()) -> Duration {
    let timed = |_| {
        let begin = Instant::now();
        step();
        begin.elapsed()
    };
    (0..RUNS).map(timed).min().unwrap_or_default()
}

/// The test recording, three samples for each of its own by straight lines.
fn speech_at_48_khz() -> Result<Vec<f32>, hound::Error> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/voice_16k.wav");
    let samples: Vec<i16> = hound::WavReader::open(path)?.into_samples().collect::<Result<_, _>>()?;
    let line = |pair: &[i16]| {
        let [from, to] = [f32::from(pair[0]) / 32_768.0, f32::from(pair[1]) / 32_768.0];
        [from, from + (to - from) / 3.0, from + (to - from) * 2.0 / 3.0]
    };
    Ok(samples.windows(2).flat_map(line).collect())
}
