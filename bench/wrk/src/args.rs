//! The command line: wrk's and wrk2's, and what goes beyond.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Parser};

use crate::plan::{Mode, Plan, PlanError, Wishes};
use crate::units::{parse_count, parse_rate, parse_time};

/// Load for HTTP and WebSocket servers, with wrk's command line and report. Every answer is checked: echoes by content,
/// Opus packets by their structure and duration, and one client in 16 decodes its answers and recognises its own voice in
/// them (see --decode-every). The exit code is 1 if anything that came back was wrong, or was no success: an HTTP status that
/// is neither 2xx nor 3xx, a message that the server refused with an error; or if there was none at all: no answer, with
/// --hold no connection that had one and was open at the end, with --handshakes no handshake.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "sandpool-wrk",
    version,
    disable_version_flag = true,
    after_help = "Numbers may have a unit: 1k, 1M, 1G; times 100ms, 30s, 2m, 1h.\n\n\
        http://HOST/PATH sends GET requests. ws://HOST/ streams Opus packets of a recorded voice, 20 ms each.\n\
        ws://HOST/.../echo, or any ws:// address with --payload, sends binary messages that have to come back.\n\n\
        Without -R each connection sends when it has its answer (closed loop). With -R each has times at which its messages \
        are due, and latency counts from then, also where the server, or this tool, was late (open loop); what has no \
        answer in the end counts with its age."
)]
pub struct Args {
    /// Connections to keep open
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = count)]
    connections: usize,
    /// Duration of the test, once all connections are open
    #[arg(short, long, value_name = "T", default_value = "10s", value_parser = parse_time)]
    duration: Duration,
    /// Threads
    #[arg(short, long, value_name = "N", default_value = "2", value_parser = count)]
    threads: usize,
    /// Messages a second of all connections together: an open loop
    #[arg(short = 'R', long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,
    /// Lua scripts are wrk's: this tool has none
    #[arg(short, long, value_name = "S", hide = true)]
    script: Option<String>,
    /// Adds a header to the request; Host replaces the one of the address
    #[arg(short = 'H', long = "header", value_name = "Name: value", action = ArgAction::Append)]
    headers: Vec<String>,
    /// Print latency statistics
    #[arg(short = 'L', long)]
    pub latency: bool,
    /// Print latency from the time messages were sent as well, which leaves out what they waited before
    #[arg(short = 'U', long = "u_latency", alias = "u-latency")]
    pub since_sent: bool,
    /// Each message that has no answer for so long after it was sent counts as a time-out, once: answered later, or not at
    /// all by the end, or by the end of its connection. With -R it counts from when it was due, also while it waited to be
    /// sent; what was missed (see the report) is none
    #[arg(short = 'T', long, value_name = "T", default_value = "2s", value_parser = parse_time)]
    timeout: Duration,
    /// Load that is not measured, before the test
    #[arg(long, value_name = "T", default_value = "0s", value_parser = parse_time)]
    warm_up: Duration,
    /// Messages that each connection may have under way [default: 1; 64 for ws:// with -R]
    #[arg(long, value_name = "N", value_parser = count)]
    in_flight: Option<usize>,
    /// Sends binary messages of N bytes instead of Opus packets, which have to come back (16 bytes to 16 MiB; 128 at /echo)
    #[arg(long, value_name = "N", value_parser = count)]
    payload: Option<usize>,
    /// A text message that each WebSocket begins with; it is waited for an answer, such as config_updated
    #[arg(long, value_name = "JSON")]
    first_message: Option<String>,
    /// Of every N clients one decodes its Opus answers; 1 is all, 0 none
    #[arg(long, value_name = "N", default_value = "16", value_parser = count)]
    decode_every: usize,
    /// Connections that may be on their way to be opened at a time
    #[arg(long, value_name = "N", default_value = "256", value_parser = count)]
    ramp: usize,
    /// Has each connection send one message, and holds all of them idle for the duration
    #[arg(long, conflicts_with = "handshakes")]
    hold: bool,
    /// Opens, upgrades and closes connections as fast as it can, -c of them at a time
    #[arg(long)]
    handshakes: bool,
    /// With --handshakes: opens all connections once, as fast as it can, without waiting for those before
    #[arg(long, requires = "handshakes")]
    at_once: bool,
    /// Never sleeps, but looks for answers again and again: to wake a sleeping client interrupts its processor, which in a
    /// virtual machine costs the server more than the rest of its system call. Each thread then takes a core for itself
    #[arg(long)]
    busy_poll: bool,
    /// Reports the resident memory of this process before, with all connections and at the end, and its processor time
    #[arg(long = "watch", value_name = "PID")]
    watched: Option<u32>,
    /// Writes the report as JSON to a file, or with - to the standard output (the text then goes to the standard error). The
    /// file is emptied before the load begins
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the latencies in the format of HdrHistogram's plotter, in milliseconds, to a file or to - as --json does
    #[arg(long, value_name = "FILE")]
    pub hgrm: Option<PathBuf>,
    /// Print version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    /// http://HOST:PORT/PATH or ws://HOST:PORT/PATH
    url: String,
}

/// The path that means the standard output.
pub const STDOUT: &str = "-";

fn count(text: &str) -> Result<usize, String> {
    parse_count(text).and_then(|count| usize::try_from(count).map_err(|_| format!("{text:?} is too much")))
}

impl Args {
    /// What they ask for, checked.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn plan(&self) -> Result<Plan, PlanError> {
        if self.script.is_some() {
            return Err(PlanError::Conflict(
                "-s: there are no Lua scripts here; wrk itself runs those in bench/wrk (wrk -s bench/wrk/plaintext.lua URL)",
            ));
        }
        let is_stdout = |path: &Option<PathBuf>| path.as_deref() == Some(Path::new(STDOUT));
        if is_stdout(&self.json) && is_stdout(&self.hgrm) {
            return Err(PlanError::Conflict(
                "--json - and --hgrm -: the standard output can have one of them, the other needs a file",
            ));
        }
        Plan::new(Wishes {
            url: self.url.clone(),
            mode: match (self.hold, self.handshakes, self.at_once) {
                (true, ..) => Mode::Hold,
                (_, true, false) => Mode::Handshakes,
                (_, true, true) => Mode::AtOnce,
                _ => Mode::Stream,
            },
            payload: self.payload,
            threads: self.threads,
            connections: self.connections,
            duration: self.duration,
            warm_up: self.warm_up,
            timeout: self.timeout,
            rate: self.rate,
            in_flight: self.in_flight,
            headers: self.headers.clone(),
            first_message: self.first_message.clone(),
            ramp: self.ramp,
            decode_every: self.decode_every,
            busy_poll: self.busy_poll,
            watched: self.watched,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn wrks_own_lines_are_taken() {
        let args =
            parse("sandpool-wrk -t4 -c100 -d30s --latency -R 2k --timeout 8s ws://127.0.0.1:9501").unwrap();
        assert_eq!((args.threads, args.connections, args.duration), (4, 100, Duration::from_secs(30)));
        assert_eq!((args.latency, args.rate, args.timeout), (true, Some(2000.0), Duration::from_secs(8)));
        let long = "sandpool-wrk --threads 4 --connections 1k --duration 2m --rate 50.5 http://127.0.0.1:1/";
        let args = parse(long).unwrap();
        assert_eq!((args.threads, args.connections, args.duration), (4, 1000, Duration::from_secs(120)));
        assert_eq!(args.rate, Some(50.5));
        let with_header =
            Args::try_parse_from(["w", "-H", "X: y", "--header", "Z: 1", "http://127.0.0.1:1/"]).unwrap();
        assert_eq!(with_header.plan().unwrap().headers, "X: y\r\nZ: 1\r\n");
    }

    #[test]
    fn modes_are_told_apart_and_exclude_each_other() {
        let mode = |line: &str| parse(line).unwrap().plan().unwrap().mode;
        assert_eq!(mode("w ws://127.0.0.1:1"), Mode::Stream);
        assert_eq!(mode("w --hold ws://127.0.0.1:1"), Mode::Hold);
        assert_eq!(mode("w --handshakes ws://127.0.0.1:1"), Mode::Handshakes);
        assert_eq!(mode("w --handshakes --at-once ws://127.0.0.1:1"), Mode::AtOnce);
        assert!(parse("w --hold --handshakes ws://127.0.0.1:1").is_err());
        assert!(parse("w --at-once ws://127.0.0.1:1").is_err());
    }

    #[test]
    fn what_is_not_accepted_is_named() {
        assert!(parse("w -c many ws://127.0.0.1:1")
            .unwrap_err()
            .to_string()
            .contains("\"many\" is no count"));
        assert!(parse("w -d 30x ws://127.0.0.1:1").unwrap_err().to_string().contains("\"30x\" is no time"));
        assert!(parse("w").is_err());
        let script = parse("w -s a.lua http://127.0.0.1:1").unwrap().plan().unwrap_err();
        assert!(script.to_string().contains("Lua"), "{script}");
        let both = parse("w --json - --hgrm - http://127.0.0.1:1").unwrap().plan().unwrap_err();
        assert!(both.to_string().contains("--hgrm -"), "{both}");
    }

    #[test]
    fn version_and_help_are_there() {
        use clap::error::ErrorKind;
        assert_eq!(parse("w --version").unwrap_err().kind(), ErrorKind::DisplayVersion);
        assert_eq!(parse("w -v").unwrap_err().kind(), ErrorKind::DisplayVersion);
        let help = parse("w --help").unwrap_err();
        assert_eq!(help.kind(), ErrorKind::DisplayHelp);
        assert!(help.to_string().contains("one client in 16 decodes"), "{help}");
    }
}
