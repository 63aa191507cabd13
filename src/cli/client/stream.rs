//! Streams a recording through a server and writes what comes back, aligned with the recording.
//!
//! ```text
//!   WAV -> rate of Opus -> encode -> server -> decode -> cut the delay -> rate of the WAV -> WAV
//! ```
//!
//! What delays is the look-ahead of the client's encoder and all that the server says of itself
//! (`delay_ms`); decoders add nothing. That much is cut from the beginning, and as much silence is sent after
//! the end, so that the last of the recording comes back as well.

use super::codec::Codec;
use super::connection::{Connection, ConnectionError};
use super::exchange::{exchange, Answer, Manner, Tally};
use super::files::{read_input, OutputFile};
use super::{ClientArgs, Failure, PacketLength};
use crate::audio_file::{opus_rate_for, Recording};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{json, Value};
use std::cell::RefCell;
use std::io::Write;
use std::path::Path;

/// A server that claims to delay more than this is not believed.
const MAX_DELAY_MS: f64 = 1_000.0;

/// What is asked of the server.
#[derive(Default)]
struct Wishes {
    intensity: Option<f32>,
    bitrate: Option<u32>,
    complexity: Option<u8>,
}

/// Streams `input` through the server into `output`, reports to `out`, and says whether every packet came
/// back.
///
/// # Errors
/// When a file can't be read or written, which shows before anything is sent, or when the connection fails.
pub(super) fn run(
    args: &ClientArgs,
    input: &Path,
    output: &Path,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let recording = read_input(input)?;
    let file = OutputFile::open(output, input)?;
    let mut connection = Connection::open(&args.url, args.timeout)?;
    let wishes = Wishes { intensity: args.intensity, bitrate: args.bitrate, complexity: args.complexity };
    let (enhanced, tally) = enhance(&mut connection, &recording, args.frame_ms, args.realtime, &wishes)?;
    connection.close();
    file.write(&enhanced)?;
    report(out, args, &recording, &enhanced, &tally)?;
    Ok(tally.is_complete())
}

/// Sends all of `recording`, and gives what came back: as long, in the same format, nothing shifted.
fn enhance(
    connection: &mut Connection,
    recording: &Recording,
    packet_length: PacketLength,
    realtime: bool,
    wishes: &Wishes,
) -> Result<(Recording, Tally), Failure> {
    let format = recording.format;
    let channels = usize::from(format.channels);
    let rate = opus_rate_for(format.sample_rate);
    let server_delay_ms = configure(connection, rate, format.channels, wishes)?;
    let packet_frames = packet_length.frames(rate);
    // what is sent and what is received take turns with it
    let codec = RefCell::new(Codec::new(rate, format.channels, packet_frames)?);
    let delay = codec.borrow().lookahead + (server_delay_ms * f64::from(rate) / 1_000.0).round() as usize;

    let mut sent = recording.at_rate(rate);
    let frames = sent.frames();
    let packets = (frames + delay).div_ceil(packet_frames);
    sent.samples.resize(packets * packet_frames * channels, 0.0);
    let mut blocks = sent.samples.chunks_exact(packet_frames * channels);

    let mut received = Vec::with_capacity(sent.samples.len());
    let progress = progress_bar(packets);
    let manner = Manner { pace: realtime.then(|| packet_length.duration()), patience: connection.timeout };
    let tally = exchange(
        connection,
        manner,
        || Ok::<_, Failure>(blocks.next().map(|block| codec.borrow_mut().encode(block)).transpose()?),
        |answer| {
            let mut codec = codec.borrow_mut();
            received.extend_from_slice(match answer {
                Answer::Packet(packet) => codec.decode(packet)?,
                Answer::Lost => codec.conceal(),
            });
            progress.inc(1);
            Ok(())
        },
    )?;
    progress.finish_and_clear();

    received.drain(..delay * channels);
    received.truncate(frames * channels);
    sent.samples = received;
    let mut enhanced = sent.at_rate(format.sample_rate);
    // there and back again can round to a frame more or less
    enhanced.samples.resize(recording.samples.len(), 0.0);
    Ok((enhanced, tally))
}

/// Puts rate, channels and wishes in force, and gives the server's delay in milliseconds.
fn configure(
    connection: &mut Connection,
    rate: u32,
    channels: u16,
    wishes: &Wishes,
) -> Result<f64, ConnectionError> {
    let mut command = json!({"command": "config", "sample_rate": rate, "channels": channels});
    let wished = [
        ("intensity", wishes.intensity.map(Value::from)),
        ("bitrate", wishes.bitrate.map(Value::from)),
        ("complexity", wishes.complexity.map(Value::from)),
    ];
    for (name, value) in wished {
        if let Some(value) = value {
            command[name] = value;
        }
    }
    let in_force = connection.command(&command, "config_updated")?;
    if in_force["sample_rate"] != rate || in_force["channels"] != channels {
        return Err(ConnectionError::Unexpected {
            expected: format!("{rate} Hz and {channels} channel(s) in force"),
            got: format!("{} Hz and {} channel(s)", in_force["sample_rate"], in_force["channels"]),
        });
    }
    match in_force["delay_ms"].as_f64() {
        Some(delay) if (0.0..=MAX_DELAY_MS).contains(&delay) => Ok(delay),
        _ => Err(ConnectionError::Unexpected {
            expected: format!("a `delay_ms` of 0 to {MAX_DELAY_MS}"),
            got: in_force["delay_ms"].to_string(),
        }),
    }
}

/// Drawn on standard error, and only if that is a terminal.
fn progress_bar(packets: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} frames, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(packets as u64).with_style(style)
}

fn report(
    out: &mut impl Write,
    args: &ClientArgs,
    before: &Recording,
    after: &Recording,
    tally: &Tally,
) -> std::io::Result<()> {
    let duration = before.duration().as_secs_f64();
    let elapsed = tally.elapsed.as_secs_f64();
    writeln!(out, "recording  {duration:.2} s, {}", before.format)?;
    writeln!(out, "frames     {} of {} ms, {} came back", tally.sent, args.frame_ms.ms, tally.answered)?;
    writeln!(out, "time       {elapsed:.2} s, {:.1} times real time", duration / elapsed.max(1e-9))?;
    if args.realtime {
        writeln!(
            out,
            "latency    p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
            tally.latency_ms(0.5),
            tally.latency_ms(0.99),
            tally.latency_ms(1.0)
        )?;
    }
    writeln!(
        out,
        "level      {:.1} dBFS before, {:.1} dBFS after (RMS)",
        before.rms_dbfs(),
        after.rms_dbfs()
    )?;
    for (code, (count, last)) in &tally.errors {
        writeln!(out, "error      {count} times {code}: {}", last.message)?;
    }
    if tally.retries > 0 {
        writeln!(out, "retries    {} frames were sent again", tally.retries)?;
    }
    for remark in &tally.remarks {
        writeln!(out, "server     {remark}")?;
    }
    if !tally.is_complete() {
        writeln!(out, "lost       {} frames are concealed in the output", tally.sent - tally.answered)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::files::TestDirectory;
    use super::super::test_server::{Behaviour, TestServer};
    use super::*;
    use crate::audio_file::{SampleFormat, WavFormat};
    use std::fs::File;
    use std::time::Duration;

    const LENGTH: PacketLength = PacketLength::DEFAULT;

    /// Half a second of a tone that rises from 200 to 1,500 Hz; each further channel is quieter.
    fn sweep(sample_rate: u32, channels: u16, sample_format: SampleFormat) -> Recording {
        let mut samples = Vec::new();
        for n in 0..sample_rate / 2 {
            let t = f64::from(n) / f64::from(sample_rate);
            let value = 0.4 * (std::f64::consts::TAU * (200.0 * t + 1_300.0 * t * t)).sin();
            samples.extend((0..channels).map(|channel| (value / f64::from(1 + 3 * channel)) as f32));
        }
        Recording { format: WavFormat { sample_rate, channels, sample_format }, samples }
    }

    fn enhanced(
        behaviour: Behaviour,
        recording: &Recording,
        length: PacketLength,
        intensity: f32,
    ) -> (Recording, Tally) {
        let server = TestServer::start(behaviour);
        let mut connection = Connection::open(&server.url, Duration::from_secs(10)).unwrap();
        let wishes = Wishes { intensity: Some(intensity), bitrate: Some(128_000), complexity: Some(5) };
        enhance(&mut connection, recording, length, false, &wishes).unwrap()
    }

    /// One channel's samples.
    fn channel(recording: &Recording, which: usize) -> Vec<f32> {
        let channels = usize::from(recording.format.channels);
        recording.samples.iter().skip(which).step_by(channels).copied().collect()
    }

    /// By how many samples `b` comes later than `a`, where their correlation is greatest, and how great it is.
    fn lag(a: &[f32], b: &[f32], most: isize) -> (isize, f64) {
        let dot = |x: &[f32], y: &[f32]| -> f64 {
            x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
        };
        let energy = (dot(a, a) * dot(b, b)).sqrt();
        let correlation = |lag: isize| -> f64 {
            let (x, y) = if lag < 0 { (&a[lag.unsigned_abs()..], b) } else { (a, &b[lag as usize..]) };
            dot(x, y) / energy
        };
        let all = (-most..=most).map(|lag| (lag, correlation(lag)));
        all.max_by(|x, y| x.1.total_cmp(&y.1)).unwrap()
    }

    /// The arguments in `line`; the files are given to [`run`] beside them.
    fn args(line: &str, server: &TestServer) -> ClientArgs {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            client: ClientArgs,
        }
        let url = server.url.to_string();
        let words = ["client", "--url", &url, "--in", "in.wav", "--out", "out.wav"]
            .into_iter()
            .chain(line.split_whitespace());
        <Cli as clap::Parser>::parse_from(words).client
    }

    fn streamed(line: &str, server: &TestServer, input: &Path, output: &Path) -> Result<bool, String> {
        run(&args(line, server), input, output, &mut Vec::new())
            .map_err(|error| super::super::with_causes(error.as_ref()))
    }

    #[test]
    fn what_comes_back_is_aligned_and_as_long_at_every_rate() {
        for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
            let recording = sweep(rate, 1, SampleFormat::I16);
            let (back, tally) = enhanced(Behaviour::default(), &recording, LENGTH, 0.0);
            assert!(tally.is_complete());
            assert_eq!(back.format, recording.format);
            assert_eq!(back.samples.len(), recording.samples.len());
            let (late, alike) = lag(&recording.samples, &back.samples, rate as isize / 50);
            assert!(late.unsigned_abs() <= rate as usize / 1_000, "{rate} Hz: {late} samples late");
            assert!(alike > 0.95, "{rate} Hz: only {alike} alike");
        }
    }

    #[test]
    fn packets_of_every_length_come_back_aligned() {
        let recording = sweep(48_000, 1, SampleFormat::F32);
        for ms in super::super::PACKET_LENGTHS_MS {
            let (back, tally) = enhanced(Behaviour::default(), &recording, PacketLength { ms }, 0.0);
            assert!(tally.is_complete());
            let (late, alike) = lag(&recording.samples, &back.samples, 960);
            assert!(late.abs() <= 48 && alike > 0.95, "{ms} ms: {late} samples late, {alike} alike");
        }
    }

    #[test]
    fn the_channels_of_a_stereo_recording_stay_two() {
        let recording = sweep(44_100, 2, SampleFormat::I24);
        let (back, _) = enhanced(Behaviour::default(), &recording, LENGTH, 0.0);
        assert_eq!(back.format, recording.format);
        for which in [0, 1] {
            let (before, after) = (channel(&recording, which), channel(&back, which));
            let (late, alike) = lag(&before, &after, 441);
            assert!(late.abs() <= 44 && alike > 0.95, "channel {which}: {late} samples late, {alike} alike");
        }
        let loudness = |which| channel(&back, which).iter().map(|s| s * s).sum::<f32>();
        assert!(loudness(0) > 8.0 * loudness(1));
    }

    #[test]
    fn a_lost_frame_is_concealed_and_moves_nothing() {
        let recording = sweep(16_000, 1, SampleFormat::I16);
        let behaviour = Behaviour { refuse_packet: Some(12), ..Behaviour::default() };
        let (back, tally) = enhanced(behaviour, &recording, LENGTH, 0.0);
        assert_eq!((tally.sent - tally.answered, tally.errors["INVALID_PACKET"].0), (1, 1));
        assert_eq!(back.samples.len(), recording.samples.len());
        let after_loss = 16_000 * 3 / 10..;
        let (late, _) = lag(&recording.samples[after_loss.clone()], &back.samples[after_loss], 320);
        assert!(late.abs() <= 16, "{late} samples late");
    }

    #[test]
    fn a_recording_becomes_a_file_like_it_and_a_report() {
        let (server, scratch) = (TestServer::start(Behaviour::default()), TestDirectory::new("report"));
        let recording = sweep(22_050, 2, SampleFormat::I24);
        let (input, output) = (scratch.wav("in.wav", &recording), scratch.0.join("out.wav"));
        let mut report = Vec::new();
        assert!(run(&args("--intensity 2", &server), &input, &output, &mut report).unwrap());
        let written = Recording::read_wav(File::open(&output).unwrap(), u64::MAX).unwrap();
        assert_eq!((written.format, written.frames()), (recording.format, recording.frames()));
        let report = String::from_utf8(report).unwrap();
        for part in
            ["0.50 s, 22050 Hz stereo 24-bit", "26 of 20 ms, 26 came back", "times real time", "dBFS before"]
        {
            assert!(report.contains(part), "{report}");
        }
    }

    #[test]
    fn a_file_that_will_not_do_fails_before_anything_is_sent() {
        let (server, scratch) = (TestServer::start(Behaviour::default()), TestDirectory::new("files"));
        let input = scratch.wav("in.wav", &sweep(8_000, 1, SampleFormat::I16));
        let out = scratch.0.join("out.wav");
        assert!(streamed("", &server, &scratch.0.join("missing.wav"), &out).is_err());
        assert!(streamed("", &server, &input, &input).is_err());
        assert!(streamed("", &server, &input, &scratch.0.join("no/such/dir.wav")).is_err());
        assert_eq!(server.packets_seen(), 0);
        assert!(!out.exists());
    }

    #[test]
    fn a_broken_stream_leaves_the_output_as_it_was() {
        let behaviour = Behaviour { close_at: Some(5), ..Behaviour::default() };
        let (server, scratch) = (TestServer::start(behaviour), TestDirectory::new("broken"));
        let input = scratch.wav("in.wav", &sweep(8_000, 1, SampleFormat::I16));
        let (kept, new) = (scratch.0.join("kept.wav"), scratch.0.join("new.wav"));
        std::fs::write(&kept, "precious").unwrap();
        let message = streamed("", &server, &input, &kept).unwrap_err();
        assert!(message.contains("closed the connection"), "{message}");
        assert_eq!(std::fs::read(&kept).unwrap(), b"precious");

        let server = TestServer::start(Behaviour { close_at: Some(5), ..Behaviour::default() });
        streamed("", &server, &input, &new).unwrap_err();
        assert!(!new.exists());
    }

    #[test]
    fn in_real_time_no_packet_is_early() {
        let (server, scratch) = (TestServer::start(Behaviour::default()), TestDirectory::new("realtime"));
        let mut recording = sweep(8_000, 1, SampleFormat::I16);
        recording.samples.truncate(800);
        let (input, output) = (scratch.wav("in.wav", &recording), scratch.0.join("out.wav"));
        let begun = std::time::Instant::now();
        assert!(streamed("--realtime --frame-ms 10", &server, &input, &output).unwrap());
        // 100 ms and the delay are 12 packets; the last leaves 11 packets' time after the first
        assert!(begun.elapsed() >= Duration::from_millis(110));
    }

    #[test]
    fn a_value_the_server_refuses_is_told_in_its_words() {
        let server = TestServer::start(Behaviour::default());
        let mut connection = Connection::open(&server.url, Duration::from_secs(10)).unwrap();
        let wishes = Wishes { bitrate: Some(1), ..Wishes::default() };
        let error = configure(&mut connection, 16_000, 1, &wishes).unwrap_err();
        assert!(error.to_string().contains("INVALID_CONFIG"), "{error}");
    }
}
