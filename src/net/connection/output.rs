//! What is encoded for a WebSocket's client and not written yet.

/// An empty buffer of more than this is freed.
const KEPT_BYTES: usize = 64 * 1024;

/// Bytes that wait to be written, oldest first.
///
/// Its buffer grows by what waits, not by what has been written, however long the client keeps something waiting.
#[derive(Debug)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    /// How much of `buffer` has been written.
    written: usize,
    /// Up to this capacity the buffer doubles as it grows; beyond, it takes little more than it needs.
    usual: usize,
}

impl Output {
    /// An empty one. What waits is usually not more than half of `usual`.
    pub(crate) fn new(usual: usize) -> Output {
        Output { buffer: Vec::new(), written: 0, usual }
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// What waits.
    pub(crate) fn unwritten(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// How much more than usual the buffer takes: all of it, or nothing.
    pub(crate) fn excess(&self) -> usize {
        self.excess_of(self.buffer.capacity())
    }

    fn excess_of(&self, capacity: usize) -> usize {
        if capacity > self.usual {
            capacity
        } else {
            0
        }
    }

    /// Has `encode` append at most `more` bytes. `false`: there is no room for them, and `grant`, which is told what the
    /// [excess](Self::excess) would be, does not allow it.
    #[must_use]
    pub(crate) fn append(
        &mut self,
        more: usize,
        grant: impl FnOnce(usize) -> bool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if self.buffer.len() + more > self.buffer.capacity() {
            // Rarely enough that the moving costs no more than the writing did.
            if self.written >= self.len() || self.buffer.len() + more > self.usual {
                self.forget_written();
            }
            let (needed, capacity) = (self.buffer.len() + more, self.buffer.capacity());
            if needed > capacity {
                let roomy = if needed <= self.usual {
                    (2 * capacity).min(self.usual)
                } else {
                    capacity + capacity / 4
                };
                let capacity = needed.max(roomy);
                if !grant(self.excess_of(capacity)) {
                    return false;
                }
                self.buffer.reserve_exact(capacity - self.buffer.len());
            }
        }
        encode(&mut self.buffer);
        true
    }

    /// `written` more bytes have been written.
    pub(crate) fn advance(&mut self, written: usize) {
        self.written += written;
        if self.len() == 0 {
            self.written = 0;
            self.buffer.clear();
            self.free_above(KEPT_BYTES.min(self.usual));
        } else if self.excess() > 0 && self.written >= self.len() {
            self.forget_written();
            self.buffer.shrink_to(self.buffer.len());
        }
    }

    /// Frees the buffer if it is empty and takes more than `bytes`.
    pub(crate) fn free_above(&mut self, bytes: usize) {
        if self.buffer.is_empty() && self.buffer.capacity() > bytes {
            self.buffer = Vec::new();
        }
    }

    fn forget_written(&mut self) {
        self.buffer.drain(..self.written);
        self.written = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(output: &mut Output, bytes: &[u8]) {
        assert!(output.append(bytes.len(), |_| true, |buffer| buffer.extend_from_slice(bytes)));
    }

    #[test]
    fn what_is_appended_comes_out_in_order_whatever_is_written_in_between() {
        let mut output = Output::new(64);
        let (mut seen, mut next) = (Vec::new(), 0_u8);
        for round in 0..200 {
            for _ in 0..round % 7 {
                append(&mut output, &[next; 3]);
                next = next.wrapping_add(1);
            }
            let written = output.len().min(round % 11);
            seen.extend_from_slice(&output.unwritten()[..written]);
            output.advance(written);
        }
        seen.extend_from_slice(output.unwritten());
        let expected: Vec<u8> = (0..seen.len() / 3).flat_map(|at| [at as u8; 3]).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_client_that_reads_but_never_all_makes_the_buffer_no_larger_than_what_waits() {
        let mut output = Output::new(4_096);
        append(&mut output, &[0; 1_000]);
        for _ in 0..10_000 {
            assert!(output.append(300, |excess| excess == 0, |buffer| buffer.extend([0; 300])));
            output.advance(300);
            assert_eq!(output.len(), 1_000);
        }
    }

    #[test]
    fn a_large_message_gives_its_room_back_as_it_is_written() {
        let mut output = Output::new(4_096);
        append(&mut output, &vec![0; 1 << 20]);
        assert_eq!(output.excess(), 1 << 20);
        let mut before = output.excess();
        while output.len() > 0 {
            output.advance(output.len().min(10_000));
            assert!(output.excess() <= before && output.excess() <= 2 * output.len() + 10_000);
            before = output.excess();
        }
        assert_eq!(output.buffer.capacity(), 0);
    }

    #[test]
    fn what_is_not_granted_is_not_appended() {
        let mut output = Output::new(4_096);
        append(&mut output, &[1; 4_000]);
        let mut asked = 0;
        let refuse = |excess| {
            asked = excess;
            false
        };
        assert!(!output.append(97, refuse, |_| panic!("there is no room")));
        assert!(asked >= 4_097);
        assert_eq!(output.unwritten(), [1; 4_000]);
        assert!(output.append(96, |excess| excess == 0, |buffer| buffer.extend([2; 96])));
    }
}
