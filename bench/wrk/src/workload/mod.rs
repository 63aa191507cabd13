//! What is sent, and what is right about an answer; no sockets in here.
//!
//! * [`echo`]: messages whose content names client and place, and comes back.
//! * [`voice`]: a recorded voice as Opus packets; each client speaks it from a place of its own.
//! * [`opus_packet`]: whether an answer is a packet, and of which duration, without decoding it.
//! * [`listener`]: decodes one client's answers and recognises its voice in them.

pub(crate) mod echo;
pub(crate) mod listener;
pub(crate) mod opus_packet;
pub(crate) mod voice;

use std::sync::Arc;

use voice::Voice;

use crate::plan::Work;
use crate::totals::Fault;

/// The messages of a run; shared by all threads.
#[derive(Clone, Debug)]
pub(crate) enum Messages {
    /// HTTP requests have no content.
    None,
    Echo(usize),
    Opus(Arc<Voice>),
}

impl Messages {
    /// # Errors
    /// A sentence, if the voice can't be encoded.
    pub(crate) fn of(work: Work) -> Result<Self, String> {
        Ok(match work {
            Work::Http => Self::None,
            Work::Echo(bytes) => Self::Echo(bytes),
            Work::Opus => Self::Opus(Arc::new(Voice::recorded()?)),
        })
    }

    /// Length in bytes of message `sequence` of `client`.
    pub(crate) fn length(&self, client: usize, sequence: u64) -> usize {
        match self {
            Self::None => 0,
            Self::Echo(bytes) => *bytes,
            Self::Opus(voice) => voice.packet(client, sequence).len(),
        }
    }

    /// Appends that message to `out`.
    pub(crate) fn write(&self, client: usize, sequence: u64, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Echo(bytes) => echo::write(client, sequence, *bytes, out),
            Self::Opus(voice) => out.extend_from_slice(voice.packet(client, sequence)),
        }
    }

    /// Whether `answer` can be the one to message `sequence` of `client`.
    pub(crate) fn check(&self, client: usize, sequence: u64, answer: &[u8]) -> Result<(), Fault> {
        match self {
            Self::None => Ok(()),
            Self::Echo(bytes) => echo::check(client, sequence, *bytes, answer),
            Self::Opus(_) => match opus_packet::duration(answer) {
                Some(duration) if duration == voice::PACKET => Ok(()),
                _ => Err(Fault::NotOpus),
            },
        }
    }
}
