//! What comes in, and whether it is right.

use rustix::io::Errno;

use super::{Connection, Shared, Stage};
use crate::clock::Nanos;
use crate::plan::{Mode, Work};
use crate::totals::{Fault, Problem};
use crate::wire::websocket::{self, Frame, OpCode, Parsed};
use crate::wire::Violation;
use crate::workload::listener::Heard;

/// A buffer that is larger than this is given back when it is empty.
const KEPT_BYTES: usize = 4096;

impl Connection {
    /// Reads until nothing is left. `hung_up`: up to the end, because no further event will tell of it.
    pub(super) fn read(&mut self, hung_up: bool, buffer: &mut Vec<u8>, shared: &mut Shared<'_>) {
        loop {
            let Some(socket) = &self.socket else { return };
            let kept = self.partial.len();
            let wanted = self.needs.max(kept * 2);
            if buffer.len() < wanted {
                buffer.resize(wanted, 0);
            }
            let room = buffer.len() - kept;
            let got = match rustix::io::read(socket, &mut buffer[kept..]) {
                Ok(0) => return self.ended(shared),
                Ok(got) => got,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(error) => return self.broke(Problem::Read, shared, || error.to_string()),
            };
            buffer[..kept].copy_from_slice(&self.partial);
            self.partial.clear();
            self.needs = 0;
            let now = shared.clock.now();
            if shared.measures(now) {
                shared.totals.bytes_read += got as u64;
            }
            let all = kept + got;
            let generation = self.generation;
            let used = match self.take(&buffer[..all], now, shared) {
                Ok(used) => used,
                Err(violation) if self.stage == Stage::Upgrading => {
                    return self.not_opened(shared, || violation.to_string())
                }
                Err(violation) => {
                    shared.totals.fault(Fault::Protocol, || violation.to_string());
                    return self.close(false, shared);
                }
            };
            if self.socket.is_none() || self.generation != generation {
                return;
            }
            self.partial.extend_from_slice(&buffer[used..all]);
            if self.partial.is_empty() && self.partial.capacity() > KEPT_BYTES {
                self.partial = Vec::new();
            }
            if got < room && !hung_up {
                return;
            }
        }
    }

    /// Takes whole things off the beginning of `bytes`: how many bytes.
    fn take(&mut self, bytes: &[u8], now: Nanos, shared: &mut Shared<'_>) -> Result<usize, Violation> {
        let mut used = 0;
        while used < bytes.len() {
            let rest = &bytes[used..];
            let taken = match self.stage {
                Stage::Upgrading => match websocket::upgraded(rest)? {
                    Some(length) => {
                        self.upgraded(shared);
                        length
                    }
                    None => 0,
                },
                Stage::Introducing | Stage::Open | Stage::Closing if shared.plan.work != Work::Http => {
                    match websocket::parse(rest)? {
                        Parsed::Frame(frame) => {
                            let end = frame.payload.end;
                            self.frame(&frame, &rest[frame.payload.clone()], now, shared)?;
                            end
                        }
                        Parsed::Needs(bytes) => {
                            self.needs = bytes;
                            0
                        }
                    }
                }
                Stage::Open => {
                    let (taken, answer) = self.http.take(rest)?;
                    if let Some(answer) = answer {
                        self.http_answer(answer, now, shared);
                    }
                    taken
                }
                _ => return Ok(bytes.len()),
            };
            if taken == 0 {
                break;
            }
            used += taken;
        }
        Ok(used)
    }

    /// The server has closed.
    fn ended(&mut self, shared: &mut Shared<'_>) {
        if let Some(answer) = self.http.end() {
            self.http_answer(answer, shared.clock.now(), shared);
        }
        match self.stage {
            Stage::Closing => self.close(true, shared),
            // between two requests a server may close when it likes, and not in the midst of one
            Stage::Open
                if shared.plan.work == Work::Http && self.under_way.is_empty() && self.partial.is_empty() =>
            {
                self.close(true, shared);
            }
            Stage::Closed | Stage::Done => {}
            _ => self.broke(Problem::Read, shared, || "closed by the server".into()),
        }
    }

    fn http_answer(&mut self, answer: crate::wire::http::Answer, now: Nanos, shared: &mut Shared<'_>) {
        if !(200..400).contains(&answer.status) && (shared.measures(now) || shared.plan.mode != Mode::Stream)
        {
            shared.totals.bad_statuses += 1;
        }
        // who is told that this was the last one must not send another
        let sending = shared.sending;
        shared.sending = sending && answer.keeps;
        self.answer(Ok(()), now, shared);
        shared.sending = sending;
        match shared.plan.mode {
            Mode::Handshakes => {
                self.record_handshake(shared);
                self.close(true, shared);
            }
            Mode::AtOnce => self.record_handshake(shared),
            _ if !answer.keeps => self.close(true, shared),
            _ => {}
        }
    }

    fn frame(
        &mut self,
        frame: &Frame,
        payload: &[u8],
        now: Nanos,
        shared: &mut Shared<'_>,
    ) -> Result<(), Violation> {
        match frame.opcode {
            OpCode::Ping => self.write_frame(OpCode::Pong, payload, shared),
            OpCode::Pong => {}
            OpCode::Close if self.stage == Stage::Closing => self.close(true, shared),
            OpCode::Close => {
                let why = close_reason(payload);
                self.broke(Problem::Read, shared, || format!("closed by the server: {why}"));
            }
            OpCode::Continuation => {
                let Some(mut fragments) = self.fragments.take() else {
                    return Err(Violation("WebSocket frame: a continuation of nothing".into()));
                };
                fragments.1.extend_from_slice(payload);
                if frame.last {
                    self.message(fragments.0, &fragments.1, now, shared);
                } else {
                    self.fragments = Some(fragments);
                }
            }
            _ if self.fragments.is_some() => {
                return Err(Violation("WebSocket frame: a new message within another".into()))
            }
            opcode if !frame.last => {
                self.fragments = Some(Box::new((opcode == OpCode::Text, payload.to_vec())))
            }
            opcode => self.message(opcode == OpCode::Text, payload, now, shared),
        }
        Ok(())
    }

    fn message(&mut self, text: bool, payload: &[u8], now: Nanos, shared: &mut Shared<'_>) {
        if text {
            return self.text(payload, now, shared);
        }
        match self.stage {
            Stage::Open if self.under_way.is_empty() => {
                shared.totals.fault(Fault::Unasked, || self.place_of(0, "an answer to nothing"));
            }
            Stage::Open => {
                let sequence = self.answered;
                let mut verdict = shared.messages.check(self.client, sequence, payload);
                if let (Ok(()), Some(listener)) = (verdict, &mut self.listener) {
                    shared.totals.decoded += 1;
                    match listener.hear(self.client, sequence, payload) {
                        Ok(Heard::Recognised) => shared.totals.recognised += 1,
                        Ok(Heard::More) => {}
                        Err(fault) => verdict = Err(fault),
                    }
                }
                self.answer(verdict, now, shared);
            }
            _ => {}
        }
    }

    /// A text message: nothing that is waited for here, but for the answer to the first message, and errors.
    fn text(&mut self, payload: &[u8], now: Nanos, shared: &mut Shared<'_>) {
        if matches!(shared.plan.work, Work::Echo(_))
            && self.stage == Stage::Open
            && !self.under_way.is_empty()
        {
            return self.answer(Err(Fault::Changed), now, shared);
        }
        let message: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        let kind = message["type"].as_str().unwrap_or("");
        let said = || String::from_utf8_lossy(payload).into_owned();
        match (self.stage, kind) {
            (Stage::Introducing, "error") => {
                self.not_opened(shared, || format!("the first message was refused: {}", said()));
            }
            (Stage::Introducing, "welcome") => {}
            (Stage::Introducing, _) => self.opened(shared),
            (Stage::Open, "error") => {
                shared.totals.refused += 1;
                shared.totals.first_refusal.get_or_insert_with(said);
                if let Some(sent) = self.under_way.pop_front() {
                    if shared.counts(sent.due, now) {
                        shared.count_if_late(sent.due, now);
                    }
                    shared.in_flight -= 1;
                    self.answered += 1;
                    if let Some(listener) = &mut self.listener {
                        listener.reset();
                    }
                    match shared.plan.mode {
                        // it is as idle as it will be; the report says that it was refused
                        Mode::Hold | Mode::AtOnce => self.settle(shared),
                        Mode::Stream | Mode::Handshakes => self.send_what_may_go(now, shared),
                    }
                }
            }
            _ => {}
        }
    }

    /// The oldest message under way is answered.
    fn answer(&mut self, verdict: Result<(), Fault>, now: Nanos, shared: &mut Shared<'_>) {
        let Some(sent) = self.under_way.pop_front() else {
            return shared.totals.fault(Fault::Unasked, || self.place_of(0, "an answer to nothing"));
        };
        if let Err(fault) = verdict {
            let name = Fault::ALL[fault as usize].1;
            shared.totals.fault(fault, || self.place_of(self.answered, name));
        }
        shared.in_flight -= 1;
        self.answered += 1;
        if shared.measures(now) {
            shared.totals.answers += 1;
            self.measured += 1;
        }
        if shared.counts(sent.due, now) {
            shared.count_if_late(sent.due, now);
            shared.totals.latencies.record(now.saturating_sub(sent.due));
            shared.totals.since_sent.record(now.saturating_sub(sent.at));
        }
        match shared.plan.mode {
            Mode::Stream => self.send_what_may_go(now, shared),
            Mode::Hold | Mode::AtOnce => self.settle(shared),
            Mode::Handshakes => {}
        }
    }

    fn place_of(&self, sequence: u64, what: &str) -> String {
        format!("{what}: client {}, message {sequence}", self.client)
    }
}

/// Code and words of a close frame.
fn close_reason(payload: &[u8]) -> String {
    match payload.split_first_chunk::<2>() {
        Some((code, words)) => format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(words)),
        None => "no code".into(),
    }
}
