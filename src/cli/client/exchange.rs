//! Sends packets and takes their answers, with a bounded number of packets under way.
//!
//! The server answers each packet in order, with a packet or with an error in its place, so an answer
//! belongs to the oldest packet under way. A server that has no sandbox free says so and when to come back.
//! Then everything under way is answered first, and what was refused is sent again in its order: a codec
//! has state, so a late packet is worse than a lost one. The first packet goes alone, because it is the one
//! that may find no sandbox.

use super::connection::{Connection, ConnectionError, Received, ServerError};
use hdrhistogram::Histogram;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Packets under way at once: enough to hide the round trip, few enough to fit any socket buffer.
pub(super) const WINDOW: usize = 16;
/// A server's `retry_after_ms` is followed up to this.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(5);
/// Histogram range: an answer takes less than this, or the client has long given up.
const MAX_LATENCY_US: u64 = 3_600_000_000;

/// How an exchange goes about it.
pub(super) struct Manner {
    /// The time between two packets; without it they go as fast as the window allows.
    pub(super) pace: Option<Duration>,
    /// How long to go on asking a server that has no sandbox free.
    pub(super) patience: Duration,
}

/// What became of a packet.
pub(super) enum Answer<'a> {
    /// The server's packet in return.
    Packet(&'a [u8]),
    /// An error instead.
    Lost,
}

/// What an exchange amounted to.
pub(super) struct Tally {
    /// Packets sent, each counted once.
    pub(super) sent: usize,
    /// Packets answered with a packet.
    pub(super) answered: usize,
    /// Times a packet was sent again.
    pub(super) retries: usize,
    /// Error messages: how often, and the last one of each code.
    pub(super) errors: BTreeMap<String, (usize, ServerError)>,
    /// Other messages that came in between.
    pub(super) remarks: Vec<String>,
    /// From sending to answer, in microseconds; of answered packets.
    pub(super) latency_us: Histogram<u64>,
    /// From the first packet to the last answer.
    pub(super) elapsed: Duration,
}

impl Tally {
    /// Whether every packet came back as a packet.
    pub(super) fn is_complete(&self) -> bool {
        self.answered == self.sent
    }

    /// Latency in milliseconds that `quantile` of the answers stayed within.
    pub(super) fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64 / 1_000.0
    }
}

/// A packet under way, kept so that it can be sent again.
struct Sent {
    packet: Vec<u8>,
    at: Instant,
}

/// Sends every packet `next_packet` gives, and hands each answer to `on_answer`, in order.
///
/// # Errors
/// When the connection fails, `on_answer` refuses an answer, or the server has no sandbox free for longer
/// than the patience ([`ConnectionError::NoSandbox`]; nothing is under way then). Any other error about a packet is no
/// failure of the exchange: the packet counts as lost.
pub(super) fn exchange<E: From<ConnectionError>>(
    connection: &mut Connection,
    manner: Manner,
    mut next_packet: impl FnMut() -> Result<Option<Vec<u8>>, E>,
    mut on_answer: impl FnMut(Answer<'_>) -> Result<(), E>,
) -> Result<Tally, E> {
    let start = Instant::now();
    let mut tally = Tally {
        sent: 0,
        answered: 0,
        retries: 0,
        errors: BTreeMap::new(),
        remarks: Vec::new(),
        latency_us: Histogram::new_with_bounds(1, MAX_LATENCY_US, 3).expect("constant bounds are valid"),
        elapsed: Duration::ZERO,
    };
    let mut under_way: VecDeque<Sent> = VecDeque::new();
    // refused for want of a sandbox, oldest first; while any waits here, nothing is sent
    let mut refused: VecDeque<Sent> = VecDeque::new();
    let mut to_resend: VecDeque<Sent> = VecDeque::new();
    let mut retry_wait = Duration::ZERO;
    let mut refused_since: Option<Instant> = None;
    let mut window = 1;
    let mut exhausted = false;

    loop {
        let mut due = None;
        while refused.is_empty() && under_way.len() < window {
            if let Some(again) = to_resend.pop_front() {
                connection.write_packet(&again.packet)?;
                tally.retries += 1;
                under_way.push_back(Sent { at: Instant::now(), ..again });
                continue;
            }
            if exhausted {
                break;
            }
            if let Some(pace) = manner.pace {
                let at = start + pace * u32::try_from(tally.sent).unwrap_or(u32::MAX);
                if Instant::now() < at {
                    due = Some(at);
                    break;
                }
            }
            let Some(packet) = next_packet()? else {
                exhausted = true;
                break;
            };
            connection.write_packet(&packet)?;
            tally.sent += 1;
            under_way.push_back(Sent { packet, at: Instant::now() });
        }

        if under_way.is_empty() && !refused.is_empty() {
            std::thread::sleep(retry_wait);
            std::mem::swap(&mut refused, &mut to_resend);
            window = 1;
            continue;
        }
        if under_way.is_empty() && exhausted {
            break;
        }
        let Some(received) = connection.receive(due)? else { continue };
        let answer = match received {
            Received::Json(message) => {
                tally.remarks.push(message.to_string());
                continue;
            }
            Received::Packet(packet) => Ok(packet),
            Received::Error(error) => Err(error),
        };
        let Some(sent) = under_way.pop_front() else {
            match answer {
                Ok(packet) => {
                    return Err(ConnectionError::Unexpected {
                        expected: "no packet, for none was under way".to_string(),
                        got: format!("one of {} bytes", packet.len()),
                    }
                    .into())
                }
                // a complaint about something else than a packet
                Err(error) => note(&mut tally, error),
            }
            continue;
        };
        match answer {
            Err(error) if error.retry_after.is_some() => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if under_way.is_empty() && since.elapsed() >= manner.patience {
                    return Err(
                        ConnectionError::NoSandbox { patience: manner.patience, source: error }.into()
                    );
                }
                retry_wait = error.retry_after.unwrap_or_default().min(MAX_RETRY_WAIT);
                note(&mut tally, error);
                refused.push_back(sent);
            }
            answer => {
                // a later packet has had its answer: too late for those refused before it
                for _ in refused.drain(..) {
                    on_answer(Answer::Lost)?;
                }
                match answer {
                    Ok(packet) => {
                        tally.answered += 1;
                        let us = u64::try_from(sent.at.elapsed().as_micros()).unwrap_or(u64::MAX);
                        tally.latency_us.saturating_record(us);
                        window = WINDOW;
                        refused_since = None;
                        on_answer(Answer::Packet(&packet))?;
                    }
                    Err(error) => {
                        note(&mut tally, error);
                        on_answer(Answer::Lost)?;
                    }
                }
            }
        }
    }
    tally.elapsed = start.elapsed();
    Ok(tally)
}

fn note(tally: &mut Tally, error: ServerError) {
    let entry = tally.errors.entry(error.code.clone()).or_insert_with(|| (0, error.clone()));
    *entry = (entry.0 + 1, error);
}

#[cfg(test)]
mod tests {
    use super::super::test_server::{Behaviour, TestServer};
    use super::*;

    /// Sends `count` packets of silence and says which were lost.
    fn lost_of(
        behaviour: Behaviour,
        count: usize,
    ) -> (Result<Tally, ConnectionError>, Vec<bool>, TestServer) {
        let server = TestServer::start(behaviour);
        let mut connection = Connection::open(&server.url, Duration::from_secs(10)).unwrap();
        let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let (mut made, mut lost) = (0, Vec::new());
        let tally = exchange(
            &mut connection,
            Manner { pace: None, patience: Duration::from_millis(200) },
            || {
                made += 1;
                Ok((made <= count).then(|| encoder.encode_vec_float(&[0.0; 960], 4_000).unwrap()))
            },
            |answer| {
                lost.push(matches!(answer, Answer::Lost));
                Ok(())
            },
        );
        (tally, lost, server)
    }

    #[test]
    fn every_packet_is_answered_and_the_window_is_used_but_never_exceeded() {
        let (tally, lost, server) =
            lost_of(Behaviour { answer_when_quiet: true, ..Behaviour::default() }, 161);
        let tally = tally.unwrap();
        assert!(tally.is_complete() && tally.sent == 161 && lost == [false; 161]);
        assert_eq!(tally.latency_us.len(), 161);
        assert!(tally.errors.is_empty() && tally.retries == 0);
        assert_eq!(server.most_under_way(), WINDOW);
    }

    #[test]
    fn a_server_without_a_free_sandbox_is_asked_again_and_nothing_is_lost() {
        let (tally, lost, _server) = lost_of(Behaviour { exhausted_for: 3, ..Behaviour::default() }, 20);
        let tally = tally.unwrap();
        assert!(tally.is_complete() && lost == [false; 20]);
        assert_eq!(tally.retries, 3);
        assert_eq!(tally.errors["POOL_EXHAUSTED"].0, 3);
    }

    #[test]
    fn a_server_that_stays_exhausted_is_not_asked_for_ever() {
        let (tally, lost, server) =
            lost_of(Behaviour { exhausted_for: usize::MAX, ..Behaviour::default() }, 2);
        let error = tally.err().expect("no sandbox");
        assert!(matches!(error, ConnectionError::NoSandbox { .. }), "{error}");
        assert!(lost.is_empty());
        assert!(server.packets_seen() > 1);
    }

    #[test]
    fn a_packet_the_server_refuses_is_lost_in_its_place() {
        let (tally, lost, _server) = lost_of(Behaviour { refuse_packet: Some(4), ..Behaviour::default() }, 8);
        let tally = tally.unwrap();
        assert_eq!(lost, [false, false, false, false, true, false, false, false]);
        assert_eq!((tally.sent, tally.answered), (8, 7));
        assert_eq!(tally.errors["INVALID_PACKET"].0, 1);
    }

    #[test]
    fn refused_in_the_middle_of_a_window_only_what_no_answer_followed_is_sent_again() {
        // packets 5 and 6 find no sandbox, 7 does: 5 and 6 can't be played any more
        let (tally, lost, _server) =
            lost_of(Behaviour { exhausted_at: vec![5, 6], ..Behaviour::default() }, 12);
        let tally = tally.unwrap();
        let expected: Vec<bool> = (0..12).map(|n| n == 5 || n == 6).collect();
        assert_eq!((lost, tally.retries), (expected, 0));
    }

    #[test]
    fn a_server_that_closes_ends_the_exchange_with_its_reason() {
        let (tally, _, _server) = lost_of(Behaviour { close_at: Some(2), ..Behaviour::default() }, 8);
        let message = tally.err().expect("closed").to_string();
        assert!(message.contains("1001") && message.contains("shutting down"), "{message}");
    }
}
