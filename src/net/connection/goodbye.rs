//! The end of a connection, after the last that is written to it.
//!
//! A socket that is closed with unread bytes in it resets the connection, and the client may lose the answer (RFC 9112,
//! section 9.6). So the server finishes sending and reads on, to nowhere, until the client has finished as well. A
//! client that takes its time holds no coroutine: the connection is parked meanwhile.

use std::net::Shutdown;

use super::driver::{Driver, Leave};
use super::io::ReadOutcome;
use super::poller::millis;
use crate::net::app::App;

/// The most that a client may still send after it was told that the connection closes, before it is cut off.
const MAX_DISCARDED: usize = 8 << 20;

/// A connection to which everything has been written.
pub(crate) struct Goodbye {
    /// When the client is cut off, in the poller's milliseconds.
    due: u64,
    discarded: usize,
}

impl Goodbye {
    /// Finishes sending; `None` when the client is gone.
    pub(crate) fn begin<A: App>(driver: &Driver<'_, A>) -> Option<Goodbye> {
        driver.link.socket.with(|socket| socket.shutdown(Shutdown::Write)).ok()?;
        let due = driver.now() + millis(driver.link.poller.front.options.close_timeout);
        Some(Goodbye { due, discarded: 0 })
    }

    /// Reads what there is.
    pub(crate) fn run<A: App>(&mut self, driver: &mut Driver<'_, A>) -> Leave {
        let mut buffer = driver.link.poller.buffers.take();
        let leave = loop {
            buffer.clear();
            driver.take_flags();
            match driver.read(&mut buffer) {
                Ok(ReadOutcome::Bytes(length)) => {
                    self.discarded += length;
                    if self.discarded > MAX_DISCARDED || driver.now() >= self.due {
                        break Leave::Drop;
                    }
                    driver.share_worker();
                }
                Ok(ReadOutcome::Nothing) if driver.readiness.is_broken() || driver.now() >= self.due => {
                    break Leave::Drop
                }
                Ok(ReadOutcome::Nothing) => {
                    driver.link.set_deadline(self.due);
                    break Leave::Park;
                }
                Ok(ReadOutcome::End) | Err(_) => break Leave::Drop,
            }
        };
        driver.link.poller.buffers.give(buffer);
        leave
    }
}
