//! The decoder, and what it makes of packets that were lost.

use std::ffi::c_int;
use std::sync::OnceLock;

use opusic_sys as ffi;

use super::{check, failed, image, reason, stream_kind, Images, StateMemory, RATES};
use crate::{SandboxError, Settings};

static FRESH: Images<{ 2 * RATES }> = [const { OnceLock::new() }; 2 * RATES];

/// What stands in for a packet that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replacement {
    /// The coarse copy that the packet behind it carried (in-band FEC).
    Recovered,
    /// What the decoder made up from what it had heard (PLC).
    Concealed,
    /// Nothing: what was lost was PCM.
    Silence,
}

/// A fresh decoder for the rate and channels of `settings`.
fn fresh_decoder(settings: &Settings) -> Result<&'static StateMemory, SandboxError> {
    image(&FRESH[stream_kind(settings)], || {
        let channels = settings.channels as c_int;
        // SAFETY: takes a number, touches no memory of ours.
        let bytes = unsafe { ffi::opus_decoder_get_size(channels) };
        let mut memory = StateMemory::new(bytes, "opus_decoder_get_size")?;
        // SAFETY: the memory is aligned and as large as libopus asks for with this number of channels.
        let code = unsafe {
            ffi::opus_decoder_init(memory.as_mut_ptr(), settings.sample_rate.hz() as i32, channels)
        };
        check(code, "opus_decoder_init").map(|()| memory)
    })
}

/// An Opus decoder that can be initialised again in place.
#[derive(Debug)]
pub(crate) struct Decoder {
    memory: StateMemory,
    /// The settings in force, or `None` while the memory holds no initialised decoder.
    settings: Option<Settings>,
}

impl Decoder {
    pub(crate) fn new(settings: &Settings) -> Result<Decoder, SandboxError> {
        // SAFETY: takes a number, touches no memory of ours.
        let bytes = unsafe { ffi::opus_decoder_get_size(2) };
        let memory = StateMemory::new(bytes, "opus_decoder_get_size")?;
        let mut decoder = Decoder { memory, settings: None };
        decoder.init(settings)?;
        Ok(decoder)
    }

    /// Clears all state.
    pub(crate) fn init(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        if self.memory.untouched && self.settings.is_some_and(|current| current.same_stream(settings)) {
            return Ok(());
        }
        self.settings = None;
        self.memory.restore(fresh_decoder(settings)?);
        self.settings = Some(*settings);
        self.memory.untouched = true;
        Ok(())
    }

    /// Decodes a packet, which is not empty, to the front of `pcm`; returns how many interleaved samples that are.
    pub(crate) fn decode(&mut self, packet: &[u8], pcm: &mut [f32]) -> Result<usize, SandboxError> {
        let room = pcm.len() / self.settings()?.channel_count();
        self.call(Source::Packet(packet), room, pcm)
    }

    /// Stands in for a packet that was lost, as long as the last one was (20 ms if there was none), at the front of
    /// `pcm`: by the copy that `next`, the packet behind it, carries, or else by concealment. `next` itself is decoded
    /// as usual afterwards.
    pub(crate) fn replace_lost(
        &mut self,
        next: Option<&[u8]>,
        pcm: &mut [f32],
    ) -> Result<(usize, Replacement), SandboxError> {
        let duration = self.last_duration()?;
        if let Some(next) = next.filter(|next| carries_copy(next)) {
            // A copy that can't be decoded is as good as none.
            if let Ok(samples) = self.call(Source::CopyIn(next), duration, pcm) {
                return Ok((samples, Replacement::Recovered));
            }
        }
        self.call(Source::Nothing, duration, pcm).map(|samples| (samples, Replacement::Concealed))
    }

    fn settings(&self) -> Result<Settings, SandboxError> {
        self.settings.ok_or_else(|| failed("opus_decode_float", ffi::OPUS_INVALID_STATE))
    }

    /// Samples of one channel in the last packet, or in 20 ms.
    fn last_duration(&mut self) -> Result<usize, SandboxError> {
        let settings = self.settings()?;
        let mut duration: c_int = 0;
        // SAFETY: the decoder is initialised; this request takes a pointer to an int, which outlives the call.
        let code = unsafe {
            ffi::opus_decoder_ctl(
                self.memory.as_mut_ptr(),
                ffi::OPUS_GET_LAST_PACKET_DURATION_REQUEST,
                &mut duration as *mut c_int,
            )
        };
        check(code, "OPUS_GET_LAST_PACKET_DURATION")?;
        match usize::try_from(duration) {
            Ok(duration) if duration > 0 => Ok(duration),
            _ => Ok(8 * settings.sample_rate.samples_per_unit()),
        }
    }

    /// Decodes at most `room` samples of each channel to the front of `pcm`.
    fn call(&mut self, source: Source<'_>, room: usize, pcm: &mut [f32]) -> Result<usize, SandboxError> {
        let settings = self.settings()?;
        let channels = settings.channel_count();
        let (packet, from_copy) = match source {
            Source::Packet(packet) => (packet, 0),
            Source::CopyIn(packet) => (packet, 1),
            Source::Nothing => (&[][..], 0),
        };
        let refused = |code| SandboxError::BadPacket { bytes: packet.len(), reason: reason(code) };
        let bytes = c_int::try_from(packet.len()).map_err(|_| refused(ffi::OPUS_BAD_ARG))?;
        let start = if packet.is_empty() { std::ptr::null() } else { packet.as_ptr() };
        let room = room.min(pcm.len() / channels).min(settings.sample_rate.longest_packet());
        // SAFETY: the decoder is initialised. It reads `bytes` bytes of the packet (none behind a null pointer, which
        // means a lost packet) and writes at most `room` times the channels it was initialised with, which fits into
        // `pcm`.
        let samples = unsafe {
            ffi::opus_decode_float(
                self.memory.as_mut_ptr(),
                start,
                bytes,
                pcm.as_mut_ptr(),
                room as c_int,
                from_copy,
            )
        };
        match usize::try_from(samples) {
            Ok(samples) => Ok(samples * channels),
            Err(_) => Err(refused(samples)),
        }
    }
}

/// What is to be decoded.
enum Source<'a> {
    Packet(&'a [u8]),
    /// The copy of the packet before that this one carries.
    CopyIn(&'a [u8]),
    /// A packet that is not there.
    Nothing,
}

/// Whether `packet` carries a coarse copy of the one before (LBRR, RFC 6716 section 4.2.5).
fn carries_copy(packet: &[u8]) -> bool {
    let Ok(bytes) = i32::try_from(packet.len()) else { return false };
    // SAFETY: reads at most `bytes` bytes of the packet.
    !packet.is_empty() && unsafe { ffi::opus_packet_has_lbrr(packet.as_ptr(), bytes) } == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_was_used_is_begun_anew() {
        let settings = Settings::default();
        let fresh = Decoder::new(&settings).unwrap();
        let state = |decoder: &Decoder| decoder.memory.blocks.iter().map(|block| block.0).collect::<Vec<_>>();
        for packet in [Some(&[0xFC_u8, 0xFF, 0xFE][..]), None] {
            let mut decoder = Decoder::new(&settings).unwrap();
            match packet {
                Some(packet) => drop(decoder.decode(packet, &mut [0.0; 960]).unwrap()),
                None => drop(decoder.replace_lost(None, &mut [0.0; 960]).unwrap()),
            }
            assert!(state(&decoder) != state(&fresh));
            decoder.init(&settings).unwrap();
            assert!(state(&decoder) == state(&fresh));
            assert!(decoder.memory.untouched);
        }
    }

    #[test]
    fn a_decoder_that_is_not_initialised_is_refused_not_used() {
        let mut decoder = Decoder { settings: None, ..Decoder::new(&Settings::default()).unwrap() };
        assert!(matches!(decoder.decode(&[0; 10], &mut [0.0; 960]), Err(SandboxError::Codec { .. })));
        assert!(matches!(decoder.replace_lost(None, &mut [0.0; 960]), Err(SandboxError::Codec { .. })));
    }
}
