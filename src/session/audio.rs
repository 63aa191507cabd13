//! The audio endpoint: packets in, packets out.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::framing::{Entries, Entry, FramingError};
use sandbox::{AudioSandbox, Incoming, Packets, Processed, Replacement, SandboxError, Scratch, Settings};

use super::answers::Answers;
use super::{SessionHub, Spurt};
use crate::net::{Closed, Endpoint, Flow, Message, Outbox};
use crate::protocol::{ErrorCode, Reply, MAX_COMMAND_BYTES};
use crate::runtime::watchdog::Work;
use crate::runtime::{deep_stack, panic_message, time, CheckoutError, Lease};

/// One client's session. It survives its leases, and lies on the heap with its connection.
pub struct Session {
    pub(super) hub: Arc<SessionHub>,
    pub(super) id: u64,
    /// Shared with all sessions that never changed any.
    pub(super) settings: Arc<Settings>,
    pub(super) started: Instant,
    /// When the last packet was answered: the end of a spurt is counted from here.
    last_audio: Instant,
    pub(super) counts: Counts,
    /// Until then this client gets no sandbox, after there was none for it: what it has sent meanwhile is refused at once.
    /// Each of its packets would wait for a sandbox anew otherwise, and what it sends grow faster than it is refused.
    refused_until: Option<Instant>,
    /// Bad commands since the last good one.
    pub(super) bad_commands: u32,
}

#[derive(Default)]
pub(super) struct Counts {
    pub(super) frames: u64,
    pub(super) errors: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) talk_spurts: u64,
    pub(super) recovered: u64,
    pub(super) concealed: u64,
    pub(super) over_budget: u64,
    pub(super) last_nanos: u64,
    pub(super) total_nanos: u64,
}

/// How long one message's packets are worked on before others have their turn.
const TURN: Duration = Duration::from_millis(1);

/// Why a packet was not answered with a packet.
pub(super) enum Refusal {
    NoSandbox(CheckoutError),
    /// There was none a moment ago; so long it is not asked for again.
    TooSoon(Duration),
    Bad(SandboxError),
    Failed(String),
}

impl Session {
    /// A new session with the template's settings.
    pub fn new(hub: Arc<SessionHub>) -> Self {
        let now = Instant::now();
        hub.totals.sessions.count();
        Self {
            id: hub.next_id(),
            settings: Arc::clone(&hub.template),
            started: now,
            last_audio: now,
            counts: Counts::default(),
            refused_until: None,
            bad_commands: 0,
            hub,
        }
    }

    /// A binary message: one packet, or framed ones.
    fn audio(&mut self, message: &[u8], spurt: &mut Spurt, out: &mut Outbox) {
        self.counts.bytes_in += message.len() as u64;
        self.hub.totals.bytes_in.add(message.len() as u64);
        if !self.settings.framing() {
            return self.packets([Incoming::Packet(message)], spurt, out);
        }
        let whole = match Entries::parse(message) {
            Ok(entries) if entries.len() == 0 => Err(FramingError::Empty),
            whole => whole,
        };
        match whole {
            Ok(entries) => self.packets(with_copies(entries), spurt, out),
            Err(error) => {
                self.count_error();
                out.text(deep_stack::run(|| Reply::error(ErrorCode::InvalidPacket, &error.to_string())));
            }
        }
    }

    /// Processes packets in their order, and lets others have their turn in between.
    pub(super) fn packets<'p>(
        &mut self,
        packets: impl IntoIterator<Item = Incoming<'p>>,
        spurt: &mut Spurt,
        out: &mut Outbox,
    ) {
        let hub = Arc::clone(&self.hub);
        let mut answers = Answers::new(out, &hub.packets, self.settings.framing());
        let mut turn = Instant::now();
        for incoming in packets {
            if turn.elapsed() > TURN {
                time::yield_now();
                turn = Instant::now();
            }
            match self.process(incoming, spurt, &mut answers) {
                Ok((processed, spent)) => self.count(&processed, spent),
                Err(refusal) => {
                    self.count_error();
                    answers.text(deep_stack::run(|| self.refusal(&refusal)));
                    answers.add_missing();
                }
            }
            self.last_audio = Instant::now();
        }
        let bytes = answers.finish();
        self.counts.bytes_out += bytes;
        self.hub.totals.bytes_out.add(bytes);
    }

    fn count(&mut self, processed: &Processed, spent: Duration) {
        let nanos = spent.as_nanos() as u64;
        let counts = &mut self.counts;
        counts.frames += 1;
        counts.last_nanos = nanos;
        counts.total_nanos += nanos;
        match processed.replaced {
            None => {}
            Some(Replacement::Recovered) => counts.recovered += 1,
            Some(Replacement::Concealed | Replacement::Silence) => counts.concealed += 1,
        }
        counts.over_budget += u64::from(processed.over_budget);
        self.hub.totals.frames.count();
        self.hub.totals.processing_nanos.add(nanos);
    }

    fn count_error(&mut self) {
        self.counts.errors += 1;
        self.hub.totals.errors.count();
    }

    /// Processes one packet, adds what becomes of it to `answers`, and tells the time it took in its sandbox. What a wait
    /// for the sandbox took is not in it.
    fn process(
        &mut self,
        incoming: Incoming<'_>,
        spurt: &mut Spurt,
        answers: &mut Answers<'_>,
    ) -> Result<(Processed, Duration), Refusal> {
        let lease = match &mut spurt.lease {
            Some(lease) => lease,
            none => none.insert(self.begin_spurt(answers.outbox())?),
        };
        let _watch = self.hub.watchdog.begin(Work::step("packet").soft_limit(self.hub.options.slow_packet));
        let rate_hz = self.settings.sample_rate().hz();
        let begun = Instant::now();
        let result = caught(|| {
            lease.enter_deep(|sandbox| {
                deep_stack::scratch(|Buffers { scratch, answer }| {
                    let processed = sandbox.process_within(incoming, &|| begun.elapsed(), scratch, answer)?;
                    answers.add(answer);
                    for event in sandbox.events() {
                        answers.text(Reply::heard(*event, rate_hz));
                    }
                    Ok(processed)
                })
            })
        });
        match result {
            Ok(processed) => processed.map(|processed| (processed, begun.elapsed())).map_err(Refusal::Bad),
            Err(panic) => {
                // Poisoned: dropping the lease discards the sandbox, and the next packet takes another.
                spurt.lease = None;
                Err(Refusal::Failed(panic))
            }
        }
    }

    fn begin_spurt(&mut self, out: &Outbox) -> Result<Lease<AudioSandbox>, Refusal> {
        if let Some(left) = self.refused_until.and_then(|until| until.checked_duration_since(Instant::now()))
        {
            return Err(Refusal::TooSoon(left));
        }
        let checkout = out.unless_client_leaves(|left| self.hub.pool.checkout_unless(left));
        let mut lease = checkout.map_err(|error| {
            self.refused_until = Some(Instant::now() + self.hub.options.retry_after);
            Refusal::NoSandbox(error)
        })?;
        self.counts.talk_spurts += 1;
        match try_in(&mut lease, |sandbox| sandbox.configure(&self.settings)) {
            Ok(()) => Ok(lease),
            Err(what) => {
                lease.discard();
                Err(Refusal::Failed(what))
            }
        }
    }

    pub(super) fn refusal(&self, refusal: &Refusal) -> String {
        match refusal {
            Refusal::Bad(error) => Reply::error(ErrorCode::InvalidPacket, &error.to_string()),
            Refusal::Failed(what) => {
                tracing::error!(
                    client = self.id,
                    "a packet made its sandbox fail, which is replaced: {what}"
                );
                Reply::error(
                    ErrorCode::ProcessingFailed,
                    "the packet could not be processed; the session goes on",
                )
            }
            Refusal::NoSandbox(error @ CheckoutError::Closed { .. }) => {
                Reply::error(ErrorCode::ShuttingDown, &error.to_string())
            }
            Refusal::NoSandbox(error @ CheckoutError::Build { .. }) => {
                tracing::error!(client = self.id, "{error}: {:?}", std::error::Error::source(error));
                Reply::error(ErrorCode::ProcessingFailed, &error.to_string())
            }
            Refusal::TooSoon(left) => Reply::Error {
                code: ErrorCode::PoolExhausted,
                message: "there was no sandbox for the packet before, and it is too soon to ask again",
                retry_after_ms: Some((left.as_millis() as u64).max(1)),
            }
            .to_json(),
            Refusal::NoSandbox(error) => Reply::Error {
                code: ErrorCode::PoolExhausted,
                message: &error.to_string(),
                retry_after_ms: Some(self.hub.options.retry_after.as_millis() as u64),
            }
            .to_json(),
        }
    }
}

impl Endpoint for Session {
    type Held = Spurt;

    fn max_message(&self) -> usize {
        self.hub.options.max_message.max(MAX_COMMAND_BYTES)
    }

    fn open(&mut self, out: &mut Outbox) {
        let welcome = Reply::Welcome {
            message: "sandpool: send Opus packets, get them back enhanced",
            client_id: self.id,
            delay_ms: delay_ms(&self.settings),
            sample_rate: self.settings.sample_rate().hz(),
            channels: self.settings.channel_count(),
        };
        out.text(deep_stack::run(|| welcome.to_json()));
    }

    fn message(&mut self, message: Message, spurt: &mut Spurt, out: &mut Outbox) -> Flow {
        match message {
            Message::Binary(packet) => {
                self.audio(&packet, spurt, out);
                Flow::Continue
            }
            Message::Text(text) => self.text(&text, spurt, out),
        }
    }

    fn must_stay(&self, spurt: &Spurt) -> bool {
        spurt.is_active()
    }

    fn next_deadline(&self, spurt: &Spurt) -> Option<Instant> {
        spurt.is_active().then(|| self.last_audio + self.hub.options.idle)
    }

    fn on_deadline(&mut self, now: Instant, spurt: &mut Spurt, _: &mut Outbox) -> Flow {
        if now.duration_since(self.last_audio) >= self.hub.options.idle {
            spurt.lease = None;
        }
        Flow::Continue
    }

    fn closed(&mut self, why: Closed) {
        tracing::debug!(client = self.id, frames = self.counts.frames, ?why, "session ended");
    }
}

/// A message's entries as what came in: a packet that is missing is told with the one behind it, which may carry a copy.
fn with_copies(entries: Entries<'_>) -> impl Iterator<Item = Incoming<'_>> {
    let mut entries = entries.peekable();
    std::iter::from_fn(move || {
        Some(match entries.next()? {
            Entry::Packet(packet) => Incoming::Packet(packet),
            Entry::Missing => Incoming::Lost {
                next: match entries.peek() {
                    Some(Entry::Packet(next)) => Some(next),
                    _ => None,
                },
            },
        })
    })
}

/// What a worker's deep stack keeps for packets.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    answer: Packets,
}

/// Has the current worker ready for its first packet: takes some through a sandbox of its own, on the deep stack and with
/// the buffers that packets have. The pages of memory and of the program that a packet needs are there then, and the first
/// client does not wait for them.
///
/// # Errors
/// What speaks against any packet: libopus cannot be initialised.
pub fn warm_up(template: Settings) -> Result<(), SandboxError> {
    deep_stack::run(|| {
        let mut sandbox = AudioSandbox::new(template)?;
        deep_stack::scratch(|Buffers { scratch, answer }| {
            let rate_hz = template.sample_rate().hz();
            let channels = template.channel_count();
            let samples = rate_hz as usize / 50 * channels;
            let mut packet = Packets::default();
            for number in 0..WARMING_PACKETS {
                // A saw-tooth: a voice's harmonics.
                let tone = (number * samples..(number + 1) * samples)
                    .map(|at| 0.3 * ((at / channels) as f32 * 150.0 / rate_hz as f32).fract() - 0.15);
                sandbox.encode(&tone.collect::<Vec<_>>(), scratch, &mut packet)?;
                for packet in packet.iter() {
                    sandbox.process(packet, scratch, answer)?;
                }
            }
            sandbox.reset()
        })
    })
}

/// So many packets of 20 ms a worker warms up with: the codec and the stages do not do the same with the first one as
/// with those that come behind it.
const WARMING_PACKETS: usize = 5;

/// Runs `f` in a sandbox, on the deep stack; what goes wrong comes back as its message.
pub(super) fn try_in(
    lease: &mut Lease<AudioSandbox>,
    f: impl FnOnce(&mut AudioSandbox) -> Result<(), SandboxError>,
) -> Result<(), String> {
    caught(|| lease.enter_deep(f))?.map_err(|error| error.to_string())
}

/// Runs `f`; a panic in it comes back as its message.
fn caught<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| panic_message(&*panic).to_owned())
}

pub(super) fn delay_ms(settings: &Settings) -> f64 {
    settings.delay().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::watchdog::{Watchdog, WatchdogOptions};
    use crate::runtime::{Pool, PoolOptions};
    use crate::session::SessionOptions;

    #[test]
    fn after_one_refusal_the_packets_behind_it_wait_for_no_sandbox() {
        let options = PoolOptions::default().capacity(1).acquire_timeout(Duration::from_millis(20));
        let pool = Pool::new(options, || AudioSandbox::new(Settings::default())).unwrap();
        let watchdog = Watchdog::start(WatchdogOptions::default());
        let options = SessionOptions {
            template: Settings::default(),
            idle: Duration::from_secs(30),
            max_message: 1_500,
            retry_after: Duration::from_secs(3_600),
            slow_packet: Duration::from_secs(60),
        };
        let hub = Arc::new(SessionHub::new(pool.clone(), watchdog, options, 1));
        crate::runtime::spawn(move || {
            let held = pool.checkout().unwrap();
            let (mut session, mut spurt, mut out) = (Session::new(hub), Spurt::default(), Outbox::detached());
            for _ in 0..20 {
                session.message(Message::binary(vec![0xF8, 0xFF, 0xFE]), &mut spurt, &mut out);
            }
            assert_eq!(pool.status().timed_out, 1);
            assert_eq!(out.len(), 20);
            while let Some(answer) = out.pop() {
                let answer = String::from_utf8_lossy(answer.as_bytes()).into_owned();
                assert!(answer.contains("POOL_EXHAUSTED") && answer.contains("retry_after_ms"), "{answer}");
            }
            drop(held);
            // The time is over.
            session.refused_until = Some(Instant::now());
            session.message(Message::binary(vec![0xF8, 0xFF, 0xFE]), &mut spurt, &mut out);
            assert!(spurt.is_active());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_worker_warms_up_with_packets_on_the_deep_stack_and_with_the_buffers_that_clients_packets_have() {
        let answered = crate::runtime::spawn(|| {
            // Whatever another test has left there.
            let answer_bytes =
                || deep_stack::run(|| deep_stack::scratch(|buffers: &mut Buffers| buffers.answer.bytes()));
            deep_stack::run(|| deep_stack::scratch(|buffers: &mut Buffers| buffers.answer.clear()));
            assert_eq!(answer_bytes(), 0);
            warm_up(Settings::default()).unwrap();
            answer_bytes()
        });
        assert!(answered.join().unwrap() > 10, "a tone takes more than silence");
    }
}
