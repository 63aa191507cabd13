//! Six steps that show whether a server is well, each with a tick and a figure.

use super::codec::Codec;
use super::connection::{Connection, ConnectionError, ServerUrl};
use super::exchange::{exchange, Answer, Manner, Tally, WINDOW};
use super::{with_causes, Failure, PacketLength};
use crate::audio_file::OPUS_RATES_HZ;
use serde_json::{json, Value};
use std::f32::consts::TAU;
use std::io::Write;
use std::time::{Duration, Instant};

/// The rate that the fourth step changes to, in Hz.
const CHANGED_RATE_HZ: u32 = 16_000;

/// How long a step asks on when the server has no sandbox free: a check is about now.
const PATIENCE: Duration = Duration::from_secs(1);

/// A step: what it is called, and what it finds.
type Step = (&'static str, fn(&mut Session) -> Result<String, Failure>);

const STEPS: [Step; 6] = [
    ("ping", ping),
    ("stats", stats),
    ("10 audio frames", ten_frames),
    ("config to 16 kHz", config),
    ("reset", reset),
    ("stress, 100 frames", stress),
];

/// Runs the steps, writes a line for each to `out`, and says whether all went well.
///
/// # Errors
/// When there is no server to try, or `out` can't be written.
pub(super) fn run(url: &ServerUrl, timeout: Duration, out: &mut impl Write) -> Result<bool, Failure> {
    let connection = Connection::open(url, timeout)?;
    let mut session = Session::new(connection)?;
    writeln!(out, "{url}: {}", session.connection.welcome["message"].as_str().unwrap_or("welcome"))?;
    let (mut failed, mut lost) = (0, false);
    for (name, step) in STEPS {
        let outcome = if lost { Err("not tried: the connection is lost".into()) } else { step(&mut session) };
        match outcome {
            Ok(figure) => writeln!(out, "✓ {name:<18}  {figure}")?,
            Err(error) => {
                failed += 1;
                lost |= is_fatal(error.as_ref());
                writeln!(out, "✗ {name:<18}  {}", with_causes(error.as_ref()))?;
            }
        }
    }
    session.connection.close();
    match failed {
        0 => writeln!(out, "all {} steps passed", STEPS.len())?,
        _ => writeln!(out, "{failed} of {} steps failed", STEPS.len())?,
    }
    Ok(failed == 0)
}

/// Whether nothing more can come of the connection. After a message out of turn, answers and questions no
/// longer match.
fn is_fatal(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(error) if !matches!(error, ConnectionError::Server(_) | ConnectionError::NoSandbox { .. }))
}

/// The connection and the codec that fits the session's settings.
struct Session {
    connection: Connection,
    sample_rate: u32,
    codec: Codec,
    /// Frames of the test signal made so far, so that it goes on from step to step.
    position: usize,
}

impl Session {
    fn new(connection: Connection) -> Result<Self, Failure> {
        // any Opus decoder takes any rate of Opus, so a surprising welcome is no obstacle
        let welcome = connection.welcome["sample_rate"].as_u64();
        let sample_rate =
            OPUS_RATES_HZ.into_iter().find(|&rate| Some(u64::from(rate)) == welcome).unwrap_or(48_000);
        Ok(Self { codec: codec(sample_rate)?, connection, sample_rate, position: 0 })
    }

    /// Sends `count` packets of the test signal; each must be answered with a packet that lasts as long and
    /// that `accept` likes.
    fn send(
        &mut self,
        count: usize,
        accept: impl Fn(&[u8]) -> Result<(), Failure>,
    ) -> Result<Tally, Failure> {
        // encoded beforehand, so that what is measured is the server
        let mut packets = Vec::new();
        for _ in 0..count {
            let samples = self.test_signal();
            packets.push(self.codec.encode(&samples)?);
        }
        let mut packets = packets.into_iter();
        let tally = exchange(
            &mut self.connection,
            Manner { pace: None, patience: PATIENCE },
            || Ok::<_, Failure>(packets.next()),
            |answer| match answer {
                Answer::Packet(packet) => {
                    self.codec.decode(packet)?;
                    accept(packet)
                }
                Answer::Lost => Ok(()),
            },
        )?;
        match tally.errors.values().next() {
            _ if tally.is_complete() => Ok(tally),
            Some((_, error)) => {
                Err(format!("{} of {count} frames came back; {error}", tally.answered).into())
            }
            None => Err(format!("{} of {count} frames came back", tally.answered).into()),
        }
    }

    /// The next packet's worth of something like a voiced sound: harmonics of 140 Hz, three syllables a second.
    fn test_signal(&mut self) -> Vec<f32> {
        let frames = PacketLength::DEFAULT.frames(self.sample_rate);
        let start = self.position;
        self.position += frames;
        (start..start + frames)
            .map(|n| {
                let t = n as f32 / self.sample_rate as f32;
                let tone: f32 = (1..=12).map(|k| (TAU * 140.0 * k as f32 * t).sin() / k as f32).sum();
                0.15 * tone * (TAU * 1.5 * t).sin().abs()
            })
            .collect()
    }
}

fn codec(sample_rate: u32) -> Result<Codec, opus::Error> {
    Codec::new(sample_rate, 1, PacketLength::DEFAULT.frames(sample_rate))
}

fn ping(session: &mut Session) -> Result<String, Failure> {
    let start = Instant::now();
    let pong = session.connection.command(&json!({"command": "ping"}), "pong")?;
    let elapsed = start.elapsed();
    number(&pong, "timestamp")?;
    Ok(format!("{:.2} ms", elapsed.as_secs_f64() * 1_000.0))
}

fn stats(session: &mut Session) -> Result<String, Failure> {
    let stats = session.connection.command(&json!({"command": "stats"}), "stats")?;
    for field in ["processing_time_ms", "input_size", "output_size", "compression_ratio"] {
        number(&stats, field)?;
    }
    Ok(format!(
        "up {:.1} s, {} Hz, {} channel(s), {} frames, {} errors",
        number(&stats, "uptime_seconds")?,
        number(&stats, "sample_rate")?,
        number(&stats, "channels")?,
        number(&stats, "frames")?,
        number(&stats, "errors")?
    ))
}

fn ten_frames(session: &mut Session) -> Result<String, Failure> {
    let tally = session.send(10, |_| Ok(()))?;
    Ok(format!("{} of {} answered, latency p50 {:.2} ms", tally.answered, tally.sent, tally.latency_ms(0.5)))
}

fn config(session: &mut Session) -> Result<String, Failure> {
    let command = json!({"command": "config", "sample_rate": CHANGED_RATE_HZ, "channels": 1});
    let in_force = session.connection.command(&command, "config_updated")?;
    let rate = number(&in_force, "sample_rate")?;
    if rate != f64::from(CHANGED_RATE_HZ) {
        return Err(format!("the server changed to {rate} Hz instead of {CHANGED_RATE_HZ} Hz").into());
    }
    session.sample_rate = CHANGED_RATE_HZ;
    session.codec = codec(CHANGED_RATE_HZ)?;
    session.position = 0;
    session.send(1, |packet| match opus::packet::get_bandwidth(packet)? {
        opus::Bandwidth::Superwideband | opus::Bandwidth::Fullband => {
            Err("the server's packets still carry more than 16 kHz can hold".into())
        }
        _ => Ok(()),
    })?;
    Ok(format!("{rate} Hz in force, delay {:.1} ms", number(&in_force, "delay_ms")?))
}

fn reset(session: &mut Session) -> Result<String, Failure> {
    let start = Instant::now();
    session.connection.command(&json!({"command": "reset"}), "reset_done")?;
    let elapsed = start.elapsed();
    session.send(1, |_| Ok(()))?;
    Ok(format!("{:.2} ms, and audio goes on", elapsed.as_secs_f64() * 1_000.0))
}

fn stress(session: &mut Session) -> Result<String, Failure> {
    let tally = session.send(100, |_| Ok(()))?;
    Ok(format!(
        "{:.0} frames/s; latency p50 {:.2} ms, p90 {:.2} ms, p99 {:.2} ms, max {:.2} ms with {WINDOW} under way",
        tally.answered as f64 / tally.elapsed.as_secs_f64().max(1e-9),
        tally.latency_ms(0.5),
        tally.latency_ms(0.9),
        tally.latency_ms(0.99),
        tally.latency_ms(1.0)
    ))
}

fn number(message: &Value, field: &str) -> Result<f64, Failure> {
    message[field].as_f64().ok_or_else(|| format!("`{}` has no number `{field}`", message["type"]).into())
}

#[cfg(test)]
mod tests {
    use super::super::test_server::{Behaviour, TestServer};
    use super::*;

    fn checked(behaviour: Behaviour) -> (bool, String) {
        let server = TestServer::start(behaviour);
        let mut out = Vec::new();
        let passed = run(&server.url, Duration::from_secs(10), &mut out).unwrap();
        (passed, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_server_that_is_well_gets_six_ticks() {
        let (passed, out) = checked(Behaviour::default());
        assert!(passed, "{out}");
        assert_eq!(out.matches("✓ ").count(), 6, "{out}");
        assert!(out.contains("16000 Hz in force") && out.contains("frames/s"), "{out}");
    }

    #[test]
    fn a_step_that_fails_says_why_and_the_others_go_on() {
        // packets 0 to 9 are the ten frames, 10 follows the config, 11 the reset
        let (passed, out) = checked(Behaviour { refuse_packet: Some(11), ..Behaviour::default() });
        assert!(!passed);
        let failed = out.lines().find(|line| line.starts_with("✗ ")).unwrap();
        assert!(failed.contains("reset") && failed.contains("INVALID_PACKET"), "{out}");
        assert_eq!(out.matches("✓ ").count(), 5, "{out}");
        assert!(out.ends_with("1 of 6 steps failed\n"), "{out}");
    }

    #[test]
    fn after_a_lost_connection_the_other_steps_fail_at_once() {
        let (passed, out) = checked(Behaviour { close_at: Some(3), ..Behaviour::default() });
        assert!(!passed);
        assert_eq!(out.matches("✗ ").count(), 4, "{out}");
        assert!(out.contains("1001") && out.contains("not tried"), "{out}");
    }

    #[test]
    fn a_server_without_sandboxes_fails_where_audio_is_and_passes_elsewhere() {
        let (passed, out) = checked(Behaviour { exhausted_for: usize::MAX, ..Behaviour::default() });
        assert!(!passed);
        assert_eq!((out.matches("✓ ").count(), out.matches("POOL_EXHAUSTED").count()), (2, 4), "{out}");
    }

    #[test]
    fn a_server_short_of_sandboxes_is_waited_for() {
        let (passed, out) = checked(Behaviour { exhausted_for: 2, ..Behaviour::default() });
        assert!(passed, "{out}");
    }
}
