//! Joining packets of one frame each to one packet.

use opusic_sys as ffi;

use super::{check, StateMemory};
use crate::{Packets, SandboxError};

/// Puts packets of one frame each together to one packet.
#[derive(Debug, Default)]
pub(crate) struct PacketJoiner {
    pub(super) pieces: Packets,
    /// The encoder's state before the first piece.
    pub(super) before: StateMemory,
    repacketizer: StateMemory,
}

impl PacketJoiner {
    /// Whether all TOC bytes agree in everything but the frame count code (their last two bits).
    pub(super) fn pieces_match(&self) -> bool {
        let kind = |piece: &[u8]| piece.first().map(|toc| toc & 0xFC);
        let first = self.pieces.iter().next().and_then(kind);
        first.is_some() && self.pieces.iter().all(|piece| kind(piece) == first)
    }

    /// Appends the joined packet to `out`; padded to the length of all pieces together if the bitrate is constant.
    pub(super) fn join(&mut self, constant_bitrate: bool, out: &mut Vec<u8>) -> Result<(), SandboxError> {
        if self.repacketizer.blocks.is_empty() {
            // SAFETY: takes nothing, touches no memory of ours.
            let bytes = unsafe { ffi::opus_repacketizer_get_size() };
            self.repacketizer = StateMemory::new(bytes, "opus_repacketizer_get_size")?;
        }
        let repacketizer: *mut ffi::OpusRepacketizer = self.repacketizer.as_mut_ptr();
        // SAFETY: the memory is aligned and of the size that libopus asks for.
        unsafe { ffi::opus_repacketizer_init(repacketizer) };
        for piece in self.pieces.iter() {
            // SAFETY: initialised above. It keeps a pointer to the piece, which stays where it is until the end of
            // this function: `self.pieces` is not changed, and the next call begins with a new initialisation.
            let code =
                unsafe { ffi::opus_repacketizer_cat(repacketizer, piece.as_ptr(), piece.len() as i32) };
            check(code, "opus_repacketizer_cat")?;
        }
        // Two bytes of header, and at most two more for each frame's length.
        let max_bytes = self.pieces.bytes() + 2 * self.pieces.len() + 2;
        out.reserve(max_bytes);
        let start = out.len();
        // SAFETY: writes at most `max_bytes` into the capacity just reserved behind `start`, and reads the pieces,
        // which don't overlap with it.
        let bytes = unsafe {
            ffi::opus_repacketizer_out(repacketizer, out.as_mut_ptr().add(start), max_bytes as i32)
        };
        check(bytes, "opus_repacketizer_out")?;
        let mut bytes = bytes as usize;
        if constant_bitrate && bytes < self.pieces.bytes() {
            // SAFETY: `bytes` bytes are written behind `start`, and there is room for `max_bytes`, more than the
            // padded length.
            let code = unsafe {
                ffi::opus_packet_pad(out.as_mut_ptr().add(start), bytes as i32, self.pieces.bytes() as i32)
            };
            check(code, "opus_packet_pad")?;
            bytes = self.pieces.bytes();
        }
        // SAFETY: `bytes` bytes behind `start` are written, and fewer than the capacity.
        unsafe { out.set_len(start + bytes) };
        Ok(())
    }
}
