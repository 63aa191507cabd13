//! What a thread counts, and the sum of all threads.

use crate::histogram::Latencies;

/// What can be wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers another client.
    OtherClient,
    /// It answers another message of this client.
    OutOfOrder,
    /// Its content is not what was sent.
    Changed,
    /// It is no Opus packet of the right duration, or can't be decoded.
    NotOpus,
    /// Decoded, it is not the voice of this client at this place.
    OtherVoice,
    /// Nothing was asked.
    Unasked,
    /// It breaks the rules of HTTP or WebSocket.
    Protocol,
}

impl Fault {
    /// All of them, in the order of [`Totals::faults`], with the names the report gives them.
    pub const ALL: [(Fault, &'static str); 7] = [
        (Fault::OtherClient, "other client"),
        (Fault::OutOfOrder, "out of order"),
        (Fault::Changed, "changed"),
        (Fault::NotOpus, "not Opus"),
        (Fault::OtherVoice, "other voice"),
        (Fault::Unasked, "unasked"),
        (Fault::Protocol, "protocol"),
    ];
}

/// What can be wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It could not be opened, or the handshake failed.
    Connect,
    /// It broke, or the server closed it in the midst of something.
    Read,
    /// It could not be written to.
    Write,
    /// A message was answered later than the time-out after it was due (open loop) or sent (closed loop), or had no answer for
    /// so long when it was given up: each counts once.
    Timeout,
}

/// Figures of one thread, or of all.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Answers within the measured time.
    pub answers: u64,
    /// Bytes read within the measured time.
    pub bytes_read: u64,
    /// From when a message was due (open loop) or sent (closed loop) to its answer.
    pub latencies: Latencies,
    /// From when a message was sent to its answer.
    pub since_sent: Latencies,
    /// From when a message was due to when this tool came to it: its own lateness, which `latencies` contain.
    pub tool_late: Latencies,
    /// Handshakes: from the connect to the answer.
    pub handshakes: Latencies,
    /// Answers a second of one thread, sampled.
    pub rates: Vec<f64>,
    /// By [`Problem`].
    pub problems: [u64; 4],
    /// What the system or the server said of the first of them.
    pub first_problem: Option<String>,
    /// By [`Fault`].
    pub faults: [u64; 7],
    /// The first of them, in words.
    pub first_fault: Option<String>,
    /// Messages that the server refused with an error.
    pub refused: u64,
    /// What it said first.
    pub first_refusal: Option<String>,
    /// Answers with a status that is neither 2xx nor 3xx.
    pub bad_statuses: u64,
    /// Opus answers that were decoded.
    pub decoded: u64,
    /// Stretches of decoded answers in which a client recognised its voice.
    pub recognised: u64,
    /// Messages that were due in an open loop and had no answer in the end; they count in `latencies` with their age.
    pub unanswered: u64,
    /// Messages that could not be sent because their connection was not open, or closed before; they are not in `latencies`.
    pub missed: u64,
    /// Messages that were under way when a closed loop ended.
    pub under_way: u64,
    /// For how long the oldest of them had been, in nanoseconds. Longer than the longest of `latencies`: somebody waited
    /// of whom `latencies` say nothing.
    pub oldest_under_way: u64,
    /// Connections that were open when the measured time began.
    pub open: u64,
    /// Connections that were open when the run ended.
    pub open_at_end: u64,
    /// Connections that the server closed while they were held.
    pub lost: u64,
    /// Answers within the measured time, of each connection.
    pub per_connection: Vec<u64>,
}

impl Totals {
    pub(crate) fn problem(&mut self, problem: Problem, what: impl FnOnce() -> String) {
        self.problems[problem as usize] += 1;
        // what broke says more than what was late
        if problem != Problem::Timeout {
            self.first_problem.get_or_insert_with(what);
        }
    }

    pub(crate) fn fault(&mut self, fault: Fault, what: impl FnOnce() -> String) {
        self.faults[fault as usize] += 1;
        self.first_fault.get_or_insert_with(what);
    }

    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: Totals) {
        self.answers += other.answers;
        self.bytes_read += other.bytes_read;
        self.latencies.add(&other.latencies);
        self.since_sent.add(&other.since_sent);
        self.tool_late.add(&other.tool_late);
        self.handshakes.add(&other.handshakes);
        self.rates.extend(other.rates);
        self.problems.iter_mut().zip(other.problems).for_each(|(sum, more)| *sum += more);
        self.first_problem = self.first_problem.take().or(other.first_problem);
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
        self.first_fault = self.first_fault.take().or(other.first_fault);
        self.refused += other.refused;
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
        self.bad_statuses += other.bad_statuses;
        self.decoded += other.decoded;
        self.recognised += other.recognised;
        self.unanswered += other.unanswered;
        self.missed += other.missed;
        self.under_way += other.under_way;
        self.oldest_under_way = self.oldest_under_way.max(other.oldest_under_way);
        self.open += other.open;
        self.open_at_end += other.open_at_end;
        self.lost += other.lost;
        self.per_connection.extend(other.per_connection);
    }

    /// Connections that had no answer within the measured time.
    pub fn without_answer(&self) -> u64 {
        self.per_connection.iter().filter(|&&answers| answers == 0).count() as u64
    }

    /// Answers that were wrong.
    pub fn wrong(&self) -> u64 {
        self.faults.iter().sum()
    }

    /// How many there were of one problem.
    pub fn count(&self, problem: Problem) -> u64 {
        self.problems[problem as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_where_their_faults_are_counted() {
        for (place, (fault, name)) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place, "{name}");
        }
    }

    #[test]
    fn the_sum_has_all_and_keeps_the_first_words() {
        let (mut one, mut other) = (Totals::default(), Totals::default());
        one.fault(Fault::Changed, || "first".into());
        other.fault(Fault::Changed, || "second".into());
        other.problem(Problem::Timeout, || "late".into());
        other.problem(Problem::Read, || "broken".into());
        other.latencies.record(5_000);
        one.add(other);
        assert_eq!((one.wrong(), one.count(Problem::Timeout), one.count(Problem::Read)), (2, 1, 1));
        assert_eq!(one.first_fault.as_deref(), Some("first"));
        assert_eq!(one.first_problem.as_deref(), Some("broken"));
        assert_eq!(one.latencies.count(), 1);
    }
}
