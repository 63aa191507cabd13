//! `sandpool client`: tries a server, or streams a recording through it.
//!
//! An ordinary program on one blocking socket: no coroutine, nothing of the runtime, so that it shows what
//! any WebSocket client sees.
//!
//! ```text
//!   checks ---.                            ping, stats, frames, config, reset, stress
//!   stream ----+--> exchange --> connection --> server
//!                   (a bounded window       (commands, packets, server errors)
//!                    of packets in flight)
//! ```

mod checks;
mod codec;
mod connection;
mod exchange;
mod stream;
#[cfg(test)]
mod test_server;

use super::{files, with_causes, Failure};
use connection::ServerUrl;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Where `sandpool serve` listens unless told otherwise.
const DEFAULT_URL: &str = "ws://127.0.0.1:9501/";
/// The lengths an Opus packet can have, in milliseconds.
const PACKET_LENGTHS_MS: [f32; 9] = [2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0];

/// Checks a running server, or streams a recording through it.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientArgs {
    /// The server's WebSocket address
    #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
    url: ServerUrl,

    /// A WAV recording to stream through the server: 8 to 96 kHz, mono or stereo, 8, 16, 24 or 32 bit or
    /// float. Without it the client runs six checks
    #[arg(long = "in", value_name = "WAV", requires = "output")]
    input: Option<PathBuf>,

    /// Where the enhanced recording goes, as a WAV file like the input: same rate, channels, sample format
    /// and length
    #[arg(long = "out", value_name = "WAV", requires = "input")]
    output: Option<PathBuf>,

    /// How much the server does, 0 (nothing) to 2
    #[arg(long, value_name = "X", requires = "input", value_parser = parse_intensity)]
    intensity: Option<f32>,

    /// What the server encodes with, in bit/s
    #[arg(long, value_name = "BITS", requires = "input", value_parser = clap::value_parser!(u32).range(6_000..=510_000))]
    bitrate: Option<u32>,

    /// How thoroughly the server encodes
    #[arg(long, value_name = "0..10", requires = "input", value_parser = clap::value_parser!(u8).range(0..=10))]
    complexity: Option<u8>,

    /// How much audio each packet holds, in milliseconds: 2.5, 5, 10, 20, 40, 60, 80, 100 or 120
    #[arg(long, value_name = "MS", requires = "input", default_value = "20", value_parser = parse_packet_length)]
    frame_ms: PacketLength,

    /// Send each packet when it would have been spoken, not as fast as the server answers
    #[arg(long, requires = "input")]
    realtime: bool,

    /// How long to wait for the server, in seconds, before giving up
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_timeout)]
    timeout: Duration,
}

/// How much audio a packet holds; one of [`PACKET_LENGTHS_MS`].
#[derive(Debug, Clone, Copy, PartialEq)]
struct PacketLength {
    ms: f32,
}

impl PacketLength {
    /// What every step of the checks uses, and what most clients send.
    const DEFAULT: Self = Self { ms: 20.0 };

    fn duration(self) -> Duration {
        Duration::from_secs_f32(self.ms / 1_000.0)
    }

    /// Frames (one sample of each channel) at `sample_rate`: a whole number at every rate of Opus.
    fn frames(self, sample_rate: u32) -> usize {
        (f64::from(self.ms) * f64::from(sample_rate) / 1_000.0).round() as usize
    }
}

/// Runs the client and says how it went on standard output and standard error. The exit code is 1 when a
/// check fails, or when a recording could not be streamed whole.
pub fn run(args: ClientArgs) -> ExitCode {
    let mut out = std::io::stdout().lock();
    let outcome = match (&args.input, &args.output) {
        (Some(input), Some(output)) => stream::run(&args, input, output, &mut out),
        _ => checks::run(&args.url, args.timeout, &mut out),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // nowhere is left to say so if standard error is closed as well
            let _ = writeln!(std::io::stderr(), "error: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn parse_intensity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err("accepted are 0 to 2".to_string()),
    }
}

fn parse_packet_length(text: &str) -> Result<PacketLength, String> {
    match text.parse::<f32>() {
        Ok(ms) if PACKET_LENGTHS_MS.contains(&ms) => Ok(PacketLength { ms }),
        _ => Err(format!("Opus packets last {PACKET_LENGTHS_MS:?} ms")),
    }
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    match text.trim_end_matches('s').parse::<f64>() {
        Ok(seconds) if (0.001..=3_600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("accepted are 0.001 to 3600 seconds".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        client: ClientArgs,
    }

    fn parse(line: &str) -> Result<ClientArgs, String> {
        Cli::try_parse_from(std::iter::once("client").chain(line.split_whitespace()))
            .map(|cli| cli.client)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_arguments_it_checks_the_server_of_make_run() {
        let args = parse("").unwrap();
        assert_eq!(args.url.to_string(), DEFAULT_URL);
        assert!(args.input.is_none());
    }

    #[test]
    fn a_recording_needs_both_ends_and_accepted_values() {
        let args = parse("--in a.wav --out b.wav --frame-ms 2.5 --intensity 1.5 --realtime").unwrap();
        assert_eq!(args.frame_ms.frames(48_000), 120);
        assert_eq!(args.intensity, Some(1.5));
        for (line, expected) in [
            ("--in a.wav", "--out"),
            ("--out a.wav", "--in"),
            ("--realtime", "--in"),
            ("--in a --out b --frame-ms 15", "2.5, 5.0, 10.0"),
            ("--in a --out b --intensity nan", "0 to 2"),
            ("--in a --out b --complexity 11", "0..=10"),
            ("--in a --out b --bitrate 1", "6000..=510000"),
            ("--timeout 0", "0.001 to 3600"),
            ("--url http://localhost/", "ws://"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(expected), "{line}: {message}");
        }
    }
}
