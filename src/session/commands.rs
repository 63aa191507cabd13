//! Commands: what a client says in text messages.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use sandbox::{AudioSandbox, Incoming, Readings, SandboxError, SettingsUpdate};

use super::audio::{delay_ms, try_in, Refusal, Session};
use super::Spurt;
use crate::net::{CloseCode, Flow, Outbox};
use crate::protocol::{Command, ErrorCode, Reply, SessionStats};
use crate::runtime::{deep_stack, Lease};

/// So many bad commands in a row, and a client is no client of ours.
const MAX_BAD_COMMANDS: u32 = 16;

/// What a good command leads to.
enum Outcome {
    Reply(String),
    /// So many packets were lost, and are to be stood in for. That may wait for a sandbox, which the deep stack can't.
    Replace(usize),
}

impl Session {
    /// A text message: one command.
    pub(super) fn text(&mut self, text: &str, spurt: &mut Spurt, out: &mut Outbox) -> Flow {
        // JSON and formatted errors need more stack than a coroutine has to spare.
        let outcome = deep_stack::run(|| match Command::parse(text) {
            Ok(command) => self.command(command, spurt),
            Err(error) => Err(Reply::error(error.code(), &error.to_string())),
        });
        match outcome {
            Ok(outcome) => {
                self.bad_commands = 0;
                match outcome {
                    Outcome::Reply(reply) => out.text(reply),
                    Outcome::Replace(packets) => {
                        let lost = std::iter::repeat_n(Incoming::Lost { next: None }, packets);
                        self.packets(lost, spurt, out);
                    }
                }
                Flow::Continue
            }
            Err(reply) => {
                self.bad_commands += 1;
                out.text(reply);
                if self.bad_commands < MAX_BAD_COMMANDS {
                    Flow::Continue
                } else {
                    Flow::close(CloseCode::Policy, "too many bad commands in a row")
                }
            }
        }
    }

    /// Carries out a command, or gives the reply that says what was wrong. Runs on the deep stack.
    fn command(&mut self, command: Command, spurt: &mut Spurt) -> Result<Outcome, String> {
        let reply = match command {
            Command::Ping => Reply::Pong { timestamp: unix_seconds() }.to_json(),
            Command::Stats => {
                let mut readings = Readings::default();
                self.in_sandbox(spurt, |sandbox| {
                    readings = sandbox.readings();
                    Ok(())
                })?;
                Reply::Stats(&self.stats(readings)).to_json()
            }
            Command::Reset => {
                self.in_sandbox(spurt, AudioSandbox::restart)?;
                Reply::ResetDone.to_json()
            }
            Command::Config(update) => self.config(&update, spurt)?,
            Command::Lost { packets } => return Ok(Outcome::Replace(packets)),
        };
        Ok(Outcome::Reply(reply))
    }

    fn config(&mut self, update: &SettingsUpdate, spurt: &mut Spurt) -> Result<String, String> {
        let settings = self
            .settings
            .with(update)
            .map_err(|error| Reply::error(ErrorCode::InvalidConfig, &error.to_string()))?;
        self.in_sandbox(spurt, |sandbox| sandbox.configure(&settings))?;
        self.settings = Arc::new(settings);
        Ok(Reply::ConfigUpdated { delay_ms: delay_ms(&settings), settings: &settings }.to_json())
    }

    /// Does something to the sandbox of the current spurt; without one there is nothing to do, for the next one
    /// begins clean and gets the session's settings. A sandbox that fails at it is replaced, and the client told.
    fn in_sandbox(
        &self,
        spurt: &mut Spurt,
        f: impl FnOnce(&mut AudioSandbox) -> Result<(), SandboxError>,
    ) -> Result<(), String> {
        let Some(lease) = &mut spurt.lease else { return Ok(()) };
        try_in(lease, f).map_err(|what| {
            spurt.lease.take().into_iter().for_each(Lease::discard);
            self.refusal(&Refusal::Failed(what))
        })
    }

    fn stats(&self, readings: Readings) -> SessionStats {
        let counts = &self.counts;
        SessionStats {
            client_id: self.id,
            uptime_seconds: self.started.elapsed().as_secs_f64(),
            sample_rate: self.settings.sample_rate().hz(),
            channels: self.settings.channel_count(),
            frames: counts.frames,
            errors: counts.errors,
            processing_time_ms: counts.last_nanos as f64 / 1e6,
            average_processing_time_ms: ratio(counts.total_nanos, counts.frames) / 1e6,
            input_size: counts.bytes_in,
            output_size: counts.bytes_out,
            compression_ratio: ratio(counts.bytes_in, counts.bytes_out),
            talk_spurts: counts.talk_spurts,
            recovered: counts.recovered,
            concealed: counts.concealed,
            over_budget: counts.over_budget,
            readings,
        }
    }
}

fn ratio(numerator: u64, denominator: u64) -> f64 {
    if denominator == 0 {
        0.0
    } else {
        numerator as f64 / denominator as f64
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
