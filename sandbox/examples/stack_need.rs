//! How much stack each step needs: `cargo run --release -p sandpool-sandbox --example stack_need` (Linux only).
//!
//! Each step runs on a thread of its own, whose stack is new memory. Afterwards `/proc/self/pagemap` tells which of
//! its pages were touched; the deepest of them is the need, to a page of 4 KiB. Unlike trying ever smaller stacks
//! until one overflows, this also sees a function that steps over the guard page.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread;

use sandbox::{
    AudioSandbox, Channels, Format, Incoming, Packets, SampleRate, Scratch, Settings, SettingsUpdate,
};

const PAGE: usize = 4096;
const STACK: usize = 1 << 20;
/// The bit of an entry that says the page is there.
const PRESENT: u64 = 1 << 63;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    println!("KiB of stack at complexity 10 with FEC; nothing at all: {}", need(0, || Ok(()))?);
    let mut order = 1;
    for channels in [Channels::Mono, Channels::Stereo] {
        for rate in [SampleRate::Hz48000, SampleRate::Hz16000] {
            for units in [1, 4, 8, 16, 24, 48, 12] {
                let mut line = Vec::new();
                for step in ["new", "configure", "reset", "decode", "enhance", "encode", "process"] {
                    order += 1;
                    line.push(format!("{step} {}", need(order, step_of(step, channels, rate, units)?)?));
                }
                let milliseconds = units as f32 * 2.5;
                println!("{channels:?}, {} Hz, {milliseconds} ms: {}", rate.hz(), line.join(", "));
            }
            for formats in [["opus", "opus"], ["s16le", "opus"], ["f32le", "s24le"]] {
                let mut line = Vec::new();
                for step in ["build", "first", "warm"] {
                    order += 1;
                    line.push(format!("{step} {}", need(order, everything(step, channels, rate, formats)?)?));
                }
                println!(
                    "{channels:?}, {} Hz, all stages, {} to {}: {}",
                    rate.hz(),
                    formats[0],
                    formats[1],
                    line.join(", ")
                );
            }
        }
    }
    Ok(())
}

/// The stack that `work` needs, in KiB. `order` makes each thread's stack a little larger than all before, so that
/// none is handed on from one thread to the next with its pages.
fn need(order: usize, work: impl FnOnce() -> Outcome<()> + Send + 'static) -> Outcome<usize> {
    let size = STACK + order * PAGE;
    let measured = move || {
        let here = 0u8;
        let top = std::hint::black_box(&here) as *const u8 as usize / PAGE;
        work()?;
        // The lowest page of the stack that is there, found from far below.
        let pages = STACK / PAGE - 8;
        let mut entries = vec![0; 8 * pages];
        File::open("/proc/self/pagemap")?.read_exact_at(&mut entries, 8 * (top - pages) as u64)?;
        let present = |entry: &[u8]| {
            entry.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte)) & PRESENT != 0
        };
        let untouched = entries.chunks_exact(8).take_while(|entry| !present(entry)).count();
        Outcome::Ok((pages - untouched + 1) * PAGE / 1024)
    };
    thread::Builder::new().stack_size(size).spawn(measured)?.join().map_err(|_| "panicked")?
}

/// All stages on, de-noise as well, and PCM at other rates: building all of it in a sandbox that has none yet, the first
/// packets of all after that, or packets, losses and resets in one that is warm.
fn everything(
    step: &'static str,
    channels: Channels,
    rate: SampleRate,
    formats: [&'static str; 2],
) -> Outcome<impl FnOnce() -> Outcome<()> + Send + 'static> {
    let wishes = Settings::switches()
        .fold(SettingsUpdate::default(), |update, stage| update.with(stage, true))
        .with("quality", "high_quality")
        .with("equaliser.band_2_kind", "peak")
        .with("equaliser.band_2_gain_db", 3.0)
        .with("fec", true)
        .with("expected_loss_percent", 20)
        .with("input_format", formats[0])
        .with("output_format", formats[1])
        .with("input_sample_rate", 44_100)
        .with("output_sample_rate", 96_000);
    let settings = Settings::default().with_channels(channels).with_sample_rate(rate).with(&wishes)?;
    let channels = settings.channel_count();
    let mut blocks = Vec::new();
    match settings.input_format() {
        Format::Opus => {
            let mut encoder = AudioSandbox::new(settings)?;
            let block = rate.hz() as usize / 50 * channels;
            let (mut scratch, mut out) = (Scratch::default(), Packets::default());
            for block in speech_and_noise(50 * block, 3 * channels)?.chunks_exact(block) {
                encoder.encode(block, &mut scratch, &mut out)?;
                blocks.push(out[0].to_vec());
            }
        }
        Format::Pcm(format) => {
            for block in speech_and_noise(50 * 882 * channels, 3 * channels)?.chunks_exact(882 * channels) {
                let mut bytes = Vec::new();
                format.encode(block, &mut bytes);
                blocks.push(bytes);
            }
        }
    }
    let mut sandbox = AudioSandbox::new(Settings::default())?;
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    if step != "build" {
        sandbox.configure(&settings)?;
    }
    if step == "warm" {
        through(&blocks, &mut sandbox, &mut scratch, &mut out)?;
    }
    Ok(move || match step {
        "build" => Ok(sandbox.configure(&settings)?),
        _ => {
            through(&blocks, &mut sandbox, &mut scratch, &mut out)?;
            Ok(sandbox.restart()?)
        }
    })
}

/// Each block, and once more as one that was lost.
fn through(
    blocks: &[Vec<u8>],
    sandbox: &mut AudioSandbox,
    scratch: &mut Scratch,
    out: &mut Packets,
) -> Outcome<()> {
    for block in blocks {
        sandbox.process(block, scratch, out)?;
        sandbox.process(Incoming::Lost { next: Some(block) }, scratch, out)?;
    }
    Ok(())
}

/// One step, with everything it needs made before.
fn step_of(
    step: &'static str,
    channels: Channels,
    rate: SampleRate,
    units: usize,
) -> Outcome<impl FnOnce() -> Outcome<()> + Send + 'static> {
    let wishes =
        SettingsUpdate::default().with("complexity", 10).with("fec", true).with("expected_loss_percent", 20);
    let settings = Settings::default().with_channels(channels).with_sample_rate(rate).with(&wishes)?;
    let block = units * rate.samples_per_unit() * settings.channel_count();
    let pcm =
        speech_and_noise(block * (480 / units), rate.hz() as usize / 16_000 * settings.channel_count())?;
    let mut sandbox = AudioSandbox::new(settings)?;
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut packets = Vec::new();
    for (index, block) in pcm.chunks_exact(block).enumerate() {
        swing(&mut sandbox, index)?;
        sandbox.encode(block, &mut scratch, &mut out)?;
        packets.push(out[0].to_vec());
    }
    Ok(move || {
        match step {
            "new" => drop(AudioSandbox::new(settings.with_sample_rate(SampleRate::Hz24000))?),
            "configure" => sandbox.configure(&settings.with_sample_rate(SampleRate::Hz12000))?,
            "reset" => sandbox.reset()?,
            "decode" => {
                for packet in &packets {
                    sandbox.decode(packet, &mut scratch)?;
                }
            }
            "enhance" => sandbox.enhance(&mut pcm.clone())?,
            "encode" => {
                for (index, block) in pcm.chunks_exact(block).enumerate() {
                    swing(&mut sandbox, index)?;
                    sandbox.encode(block, &mut scratch, &mut out)?;
                }
            }
            _ => {
                for (index, packet) in packets.iter().enumerate() {
                    swing(&mut sandbox, index)?;
                    sandbox.process(packet, &mut scratch, &mut out)?;
                }
            }
        }
        Ok(())
    })
}

/// Changes bitrate and signal type now and then, so that every mode and the changes between them are met.
fn swing(sandbox: &mut AudioSandbox, index: usize) -> Outcome<()> {
    let wishes = SettingsUpdate::default()
        .with("bitrate", [16_000, 32_000, 128_000, 24_000, 64_000][index / 3 % 5])
        .with("signal", ["auto", "voice", "music"][index / 5 % 3]);
    sandbox.configure(&sandbox.settings().with(&wishes)?)?;
    Ok(())
}

/// The test recording, each sample `times` times, from its middle on, with noise in every third part of it.
fn speech_and_noise(samples: usize, times: usize) -> Outcome<Vec<f32>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/voice_16k.wav");
    let speech: Vec<i16> = hound::WavReader::open(path)?.into_samples().collect::<Result<_, _>>()?;
    let mut noise = 1u32;
    let sample = |index: usize| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let voice = f32::from(speech[(speech.len() / 2 + index / times) % speech.len()]) / 32_768.0;
        let noise = (noise >> 8) as f32 / (1 << 25) as f32 - 0.25;
        if index / times / 4_000 % 3 == 2 {
            noise
        } else {
            voice
        }
    };
    Ok((0..samples).map(sample).collect())
}
