//! What goes out, and when.

use rustix::io::Errno;

use super::{Connection, Sent, Shared, Stage};
use crate::clock::Nanos;
use crate::plan::Mode;
use crate::totals::Problem;
use crate::wire::websocket::{self, OpCode};

impl Connection {
    /// Sends as many messages as may be under way, or as are due.
    pub(crate) fn send_what_may_go(&mut self, now: Nanos, shared: &mut Shared<'_>) {
        if !shared.sending || self.stage != Stage::Open {
            return;
        }
        shared.outgoing.clear();
        while self.under_way.len() < shared.plan.in_flight {
            let due = match &shared.schedule {
                None if shared.window.is_some_and(|(_, end)| now >= end) => break,
                None => now,
                Some(schedule) if self.round < schedule.rounds_of(self.place) => {
                    let due = schedule.due_of(self.place, self.round);
                    self.round += 1;
                    due
                }
                Some(_) => break,
            };
            self.put(Sent { due, at: now }, shared);
        }
        if !shared.outgoing.is_empty() {
            self.write(shared);
        }
    }

    /// Sends one message, whatever the plan's rate.
    pub(super) fn send_one(&mut self, shared: &mut Shared<'_>) {
        shared.outgoing.clear();
        let now = shared.clock.now();
        self.put(Sent { due: now, at: now }, shared);
        self.write(shared);
    }

    /// What was due while the connection was not open is not made up for.
    pub(super) fn skip_missed(&mut self, shared: &mut Shared<'_>) {
        if let Some(schedule) = &shared.schedule {
            let due = schedule.rounds_of(self.place);
            let missed =
                (self.round..due).filter(|&round| shared.measures(schedule.due_of(self.place, round)));
            let missed = missed.count() as u64;
            shared.totals.missed += missed;
            self.round = due;
        }
    }

    /// Counts what is under way and has no answer when the run, or the connection, ends.
    pub(super) fn give_up_under_way(&mut self, shared: &mut Shared<'_>) {
        let now = shared.clock.now();
        for sent in self.under_way.drain(..) {
            shared.in_flight -= 1;
            give_up(sent.due, now, shared);
        }
    }

    /// The same at the end of the run, for what was due and could not be sent as well. A closed loop has messages under
    /// way at its end whatever the server does: they are counted apart, with the age of the oldest.
    pub(crate) fn give_up_all(&mut self, shared: &mut Shared<'_>) {
        let now = shared.clock.now();
        let Some(schedule) = shared.schedule.clone() else {
            shared.totals.under_way += self.under_way.len() as u64;
            let age = self.under_way.front().map_or(0, |oldest| now.saturating_sub(oldest.due));
            shared.totals.oldest_under_way = shared.totals.oldest_under_way.max(age);
            return self.give_up_under_way(shared);
        };
        self.give_up_under_way(shared);
        let open = self.stage == Stage::Open;
        while self.round < schedule.rounds_of(self.place) {
            let due = schedule.due_of(self.place, self.round);
            self.round += 1;
            if open {
                give_up(due, now, shared);
            } else if shared.measures(due) {
                shared.totals.missed += 1;
            }
        }
    }

    /// Whether a message that was due is still waiting to be sent.
    pub(crate) fn has_backlog(&self, shared: &Shared<'_>) -> bool {
        let due = shared.schedule.as_ref().map_or(0, |schedule| schedule.rounds_of(self.place));
        self.stage == Stage::Open && self.round < due
    }

    /// Appends the next message to what goes out.
    fn put(&mut self, sent: Sent, shared: &mut Shared<'_>) {
        let sequence = self.answered + self.under_way.len() as u64;
        if self.under_way.capacity() == 0 {
            self.under_way.reserve_exact(if shared.plan.mode == Mode::Stream {
                shared.plan.in_flight
            } else {
                1
            });
        }
        self.under_way.push_back(sent);
        shared.in_flight += 1;
        if Self::is_websocket(shared) {
            let length = shared.messages.length(self.client, sequence);
            let mask = next_mask(&mut shared.mask);
            let messages = shared.messages;
            websocket::write(OpCode::Binary, length, mask, &mut shared.outgoing, |out| {
                messages.write(self.client, sequence, out);
            });
        } else {
            shared.outgoing.extend_from_slice(&shared.request);
        }
    }

    pub(super) fn write_frame(&mut self, opcode: OpCode, payload: &[u8], shared: &mut Shared<'_>) {
        shared.outgoing.clear();
        let mask = next_mask(&mut shared.mask);
        websocket::write(opcode, payload.len(), mask, &mut shared.outgoing, |out| {
            out.extend_from_slice(payload)
        });
        self.write(shared);
    }

    /// Writes `shared.outgoing`; what the socket does not take is kept.
    pub(super) fn write(&mut self, shared: &mut Shared<'_>) {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(&shared.outgoing);
            return;
        }
        let Some(socket) = &self.socket else { return };
        match write_some(socket, &shared.outgoing) {
            Ok(written) if written == shared.outgoing.len() => {}
            Ok(written) => self.unsent.extend_from_slice(&shared.outgoing[written..]),
            Err(error) => self.broke(Problem::Write, shared, || error.to_string()),
        }
    }

    /// The socket takes bytes again.
    pub(super) fn flush(&mut self, shared: &mut Shared<'_>) {
        let Some(socket) = &self.socket else { return };
        match write_some(socket, &self.unsent) {
            Ok(written) if written == self.unsent.len() => self.unsent = Vec::new(),
            Ok(written) => drop(self.unsent.drain(..written)),
            Err(error) => self.broke(Problem::Write, shared, || error.to_string()),
        }
    }
}

/// A message has had no answer until now and will have none. In an open loop its age counts as its latency, for what was asked
/// for does not depend on what was answered.
fn give_up(due: Nanos, now: Nanos, shared: &mut Shared<'_>) {
    if shared.schedule.is_none() {
        // also at the end of the measured time, which is no longer in it
        if shared.window.is_some_and(|(begin, _)| now >= begin) {
            shared.count_if_late(due, now);
        }
    } else if shared.measures(due) {
        shared.count_if_late(due, now);
        shared.totals.latencies.record(now.saturating_sub(due));
        shared.totals.unanswered += 1;
    }
}

/// Writes as much as the socket takes now.
fn write_some(socket: &rustix::fd::OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
    let mut written = 0;
    while written < bytes.len() {
        match rustix::io::write(socket, &bytes[written..]) {
            Ok(more) => written += more,
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// The next of a xorshift generator's: masks have to differ, not to be secret here.
fn next_mask(state: &mut u64) -> [u8; 4] {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    ((*state >> 16) as u32).to_ne_bytes()
}
