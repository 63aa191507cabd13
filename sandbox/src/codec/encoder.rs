//! The encoder.

use std::ffi::c_int;
use std::sync::OnceLock;

use opus::Application;
use opusic_sys as ffi;

use super::{check, failed, image, stream_kind, Images, PacketJoiner, StateMemory, RATES};
use crate::{SandboxError, Settings};

/// Units of 2.5 ms in the longest packet, 120 ms.
const MAX_UNITS: usize = 48;
/// Block lengths that `opus_encode_float` takes, in units of 2.5 ms.
const NATIVE_UNITS: [usize; 9] = [1, 2, 4, 8, 16, 24, 32, 40, 48];
/// The most bytes libopus puts into 20 ms: a frame of 1,275 bytes (RFC 6716, section 3.4) and its TOC byte.
const MAX_BYTES_PER_20_MS: usize = 1_276;

static FRESH: Images<{ 3 * 2 * RATES }> = [const { OnceLock::new() }; 3 * 2 * RATES];

/// A fresh encoder for the rate, channels and application of `settings`, with libopus' own settings.
fn fresh_encoder(settings: &Settings) -> Result<&'static StateMemory, SandboxError> {
    let application = match settings.application {
        Application::Voip => 0,
        Application::Audio => 1,
        Application::LowDelay => 2,
    };
    image(&FRESH[application * 2 * RATES + stream_kind(settings)], || {
        let channels = settings.channels as c_int;
        // SAFETY: takes a number, touches no memory of ours.
        let bytes = unsafe { ffi::opus_encoder_get_size(channels) };
        let mut memory = StateMemory::new(bytes, "opus_encoder_get_size")?;
        let rate = settings.sample_rate.hz() as i32;
        // SAFETY: the memory is aligned and as large as libopus asks for with this number of channels, whatever the
        // rate and the application.
        let code = unsafe {
            ffi::opus_encoder_init(memory.as_mut_ptr(), rate, channels, settings.application as c_int)
        };
        check(code, "opus_encoder_init").map(|()| memory)
    })
}

/// An Opus encoder that can be initialised again in place.
#[derive(Debug)]
pub(crate) struct Encoder {
    memory: StateMemory,
    /// The settings in force, or `None` while the memory holds no initialised encoder.
    settings: Option<Settings>,
}

impl Encoder {
    pub(crate) fn new(settings: &Settings) -> Result<Encoder, SandboxError> {
        // SAFETY: takes a number, touches no memory of ours.
        let bytes = unsafe { ffi::opus_encoder_get_size(2) };
        let memory = StateMemory::new(bytes, "opus_encoder_get_size")?;
        let mut encoder = Encoder { memory, settings: None };
        encoder.init(settings)?;
        Ok(encoder)
    }

    /// Clears all state and all settings, then puts `settings` in force.
    pub(crate) fn init(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        if self.memory.untouched && self.settings.as_ref() == Some(settings) {
            return Ok(());
        }
        self.settings = None;
        self.memory.restore(fresh_encoder(settings)?);
        self.settings = Some(*settings);
        self.apply(settings)?;
        self.memory.untouched = true;
        Ok(())
    }

    /// Puts every setting in force that can change in mid-stream, and keeps the signal state.
    ///
    /// `settings` must be of the same rate, channels and application as those in force.
    pub(crate) fn apply(&mut self, settings: &Settings) -> Result<(), SandboxError> {
        debug_assert!(self.settings.is_some_and(|current| current.same_stream(settings)));
        self.control(ffi::OPUS_SET_BITRATE_REQUEST, settings.bitrate, "OPUS_SET_BITRATE")?;
        self.control(ffi::OPUS_SET_VBR_REQUEST, settings.vbr.into(), "OPUS_SET_VBR")?;
        self.control(ffi::OPUS_SET_COMPLEXITY_REQUEST, settings.complexity.into(), "OPUS_SET_COMPLEXITY")?;
        self.control(ffi::OPUS_SET_DTX_REQUEST, settings.dtx.into(), "OPUS_SET_DTX")?;
        self.control(ffi::OPUS_SET_SIGNAL_REQUEST, settings.signal as c_int, "OPUS_SET_SIGNAL")?;
        self.control(ffi::OPUS_SET_INBAND_FEC_REQUEST, settings.fec.into(), "OPUS_SET_INBAND_FEC")?;
        self.control(
            ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
            settings.expected_loss_percent.into(),
            "OPUS_SET_PACKET_LOSS_PERC",
        )?;
        self.settings = Some(*settings);
        Ok(())
    }

    /// Encodes a block of 1 to 48 times 2.5 ms as one packet, appended to `out`.
    ///
    /// libopus itself encodes 2.5, 5, 10, 20, 40, 60, 80, 100 and 120 ms. Opus allows every other multiple as well
    /// (three frames of 10 ms, say); such a block is encoded in pieces that are joined into one packet.
    pub(crate) fn encode(
        &mut self,
        pcm: &[f32],
        joiner: &mut PacketJoiner,
        out: &mut Vec<u8>,
    ) -> Result<(), SandboxError> {
        let settings = self.settings.ok_or_else(|| failed("opus_encode_float", ffi::OPUS_INVALID_STATE))?;
        let unit = settings.sample_rate.samples_per_unit() * settings.channel_count();
        let units = pcm.len() / unit;
        if !pcm.len().is_multiple_of(unit) || !(1..=MAX_UNITS).contains(&units) {
            return Err(SandboxError::BlockLength {
                samples: pcm.len(),
                channels: settings.channel_count(),
                sample_rate: settings.sample_rate.hz(),
                unit,
            });
        }
        let result = if NATIVE_UNITS.contains(&units) {
            self.encode_native(pcm, &settings, out)
        } else {
            self.encode_joined(pcm, unit, &settings, joiner, out)
        };
        // A packet of several frames that falls back from stereo to mono leaves OPUS_SET_FORCE_CHANNELS(1) behind
        // (opus_encode_native in libopus 1.6.1), which would hold the whole rest of the session in mono.
        if settings.channel_count() == 2 && units > 8 {
            self.control(ffi::OPUS_SET_FORCE_CHANNELS_REQUEST, ffi::OPUS_AUTO, "OPUS_SET_FORCE_CHANNELS")?;
        }
        result
    }

    /// Encodes a block of a native length and appends the packet to `out`.
    fn encode_native(
        &mut self,
        pcm: &[f32],
        settings: &Settings,
        out: &mut Vec<u8>,
    ) -> Result<(), SandboxError> {
        let samples = pcm.len() / settings.channel_count();
        let max_bytes = MAX_BYTES_PER_20_MS * samples.div_ceil(8 * settings.sample_rate.samples_per_unit());
        out.reserve(max_bytes);
        let start = out.len();
        // SAFETY: `encode` has checked that the encoder is initialised. It reads `samples` times the channels it was
        // initialised with, which is all of `pcm` and no more, and writes at most `max_bytes` into the capacity that
        // was just reserved behind `start`.
        let bytes = unsafe {
            ffi::opus_encode_float(
                self.memory.as_mut_ptr(),
                pcm.as_ptr(),
                samples as c_int,
                out.as_mut_ptr().add(start),
                max_bytes as i32,
            )
        };
        check(bytes, "opus_encode_float")?;
        // SAFETY: libopus has written `bytes` bytes (not negative, at most `max_bytes`) behind `start`.
        unsafe { out.set_len(start + bytes as usize) };
        Ok(())
    }

    /// Encodes a block of any multiple of `unit` in pieces of equal length and appends them to `out` as one packet.
    ///
    /// Frames can share a packet only if mode, bandwidth, channels and frame length are the same (their TOC bytes
    /// are equal, RFC 6716 section 3.1). The encoder is first left to choose freely, and nearly always makes the same
    /// choice for each piece. If not, its state from before is put back and pieces of at most 5 ms are encoded, which
    /// are always in CELT mode, with bandwidth and channels held to those of the first.
    fn encode_joined(
        &mut self,
        pcm: &[f32],
        unit: usize,
        settings: &Settings,
        joiner: &mut PacketJoiner,
        out: &mut Vec<u8>,
    ) -> Result<(), SandboxError> {
        let units = pcm.len() / unit;
        let longest_piece = [4, 2, 1].into_iter().find(|piece| units.is_multiple_of(*piece)).unwrap_or(1);
        joiner.before.copy_from(&self.memory);
        joiner.pieces.clear();
        for piece in pcm.chunks_exact(longest_piece * unit) {
            joiner.pieces.push_with(|out| self.encode_native(piece, settings, out))?;
        }
        if !joiner.pieces_match() {
            self.memory.copy_from(&joiner.before);
            joiner.pieces.clear();
            self.encode_held(pcm, longest_piece.min(2) * unit, settings, joiner)?;
        }
        // Pieces of one byte are DTX, which libopus does not pad at a constant bitrate either.
        let is_dtx = joiner.pieces.iter().all(|piece| piece.len() <= 1);
        joiner.join(!settings.vbr && !is_dtx, out)
    }

    /// Encodes pieces of `piece` samples (5 ms at most), each with the bandwidth and channels of the first, and lets
    /// go of both again.
    fn encode_held(
        &mut self,
        pcm: &[f32],
        piece: usize,
        settings: &Settings,
        joiner: &mut PacketJoiner,
    ) -> Result<(), SandboxError> {
        let mut encode = |this: &mut Encoder, piece: &[f32]| {
            joiner.pieces.push_with(|out| this.encode_native(piece, settings, out))?;
            let no_packet = |_| failed("opus_encode_float", ffi::OPUS_INTERNAL_ERROR);
            let bandwidth = opus::packet::get_bandwidth(&joiner.pieces[0]).map_err(no_packet)?;
            let channels = opus::packet::get_nb_channels(&joiner.pieces[0]).map_err(no_packet)?;
            this.hold(bandwidth as c_int, channels as c_int)
        };
        let encoded = pcm.chunks_exact(piece).try_for_each(|piece| encode(self, piece));
        let released = self.hold(ffi::OPUS_AUTO, ffi::OPUS_AUTO);
        encoded.and(released)
    }

    /// Fixes bandwidth and channels of what is encoded from now on, or leaves them to the encoder (`OPUS_AUTO`).
    fn hold(&mut self, bandwidth: c_int, channels: c_int) -> Result<(), SandboxError> {
        self.control(ffi::OPUS_SET_BANDWIDTH_REQUEST, bandwidth, "OPUS_SET_BANDWIDTH")?;
        self.control(ffi::OPUS_SET_FORCE_CHANNELS_REQUEST, channels, "OPUS_SET_FORCE_CHANNELS")
    }

    /// One control request that takes an integer by value.
    fn control(&mut self, request: c_int, value: c_int, call: &'static str) -> Result<(), SandboxError> {
        if self.settings.is_none() {
            return Err(failed(call, ffi::OPUS_INVALID_STATE));
        }
        // SAFETY: the encoder is initialised, and every request passed here (all in this file) is an OPUS_SET one
        // whose only argument is an int.
        let code = unsafe { ffi::opus_encoder_ctl(self.memory.as_mut_ptr(), request, value) };
        check(code, call)
    }
}

#[cfg(test)]
mod tests {
    use opus::{Bandwidth, Channels};

    use super::*;
    use crate::{SampleRate, SettingsUpdate};

    #[test]
    fn pieces_that_were_held_alike_make_one_packet_and_nothing_stays_held() {
        let at = |bitrate| Settings { bitrate, ..Settings::default().with_channels(Channels::Stereo) };
        let unit = 240;
        let pcm: Vec<f32> = (0..12 * unit).map(|index| 0.3 * (index as f32 * 0.7).sin()).collect();
        let mut encoder = Encoder::new(&at(12_000)).unwrap();
        let mut joiner = PacketJoiner::default();
        encoder.encode_held(&pcm, 2 * unit, &at(12_000), &mut joiner).unwrap();
        assert!(joiner.pieces_match());
        let mut packet = Vec::new();
        joiner.join(false, &mut packet).unwrap();
        assert_eq!(opus::packet::get_nb_samples(&packet, 48_000).unwrap(), 1_440);
        assert_eq!(opus::packet::get_nb_channels(&packet).unwrap(), Channels::Mono);
        assert_ne!(opus::packet::get_bandwidth(&packet).unwrap(), Bandwidth::Fullband);

        encoder.apply(&at(256_000)).unwrap();
        encoder.encode(&pcm[..8 * unit], &mut joiner, &mut packet).unwrap();
        packet.clear();
        encoder.encode(&pcm[..8 * unit], &mut joiner, &mut packet).unwrap();
        assert_eq!(opus::packet::get_nb_channels(&packet).unwrap(), Channels::Stereo);
        assert_eq!(opus::packet::get_bandwidth(&packet).unwrap(), Bandwidth::Fullband);
    }

    #[test]
    fn an_encoder_that_was_used_is_begun_anew_whatever_was_done_with_it() {
        let settings = Settings::default();
        let fresh = Encoder::new(&settings).unwrap();
        let state = |encoder: &Encoder| encoder.memory.blocks.iter().map(|block| block.0).collect::<Vec<_>>();
        let pcm: Vec<f32> = (0..960).map(|index| 0.3 * (index as f32 * 0.7).sin()).collect();
        let (mut joiner, mut packet) = (PacketJoiner::default(), Vec::new());
        let other_bitrate = Settings { bitrate: 64_000, ..settings };
        type Use<'a> = Box<dyn FnMut(&mut Encoder) + 'a>;
        let uses: [Use<'_>; 4] = [
            Box::new(|encoder| encoder.encode(&pcm, &mut joiner, &mut packet).unwrap()),
            Box::new(|encoder| encoder.apply(&other_bitrate).unwrap()),
            Box::new(|encoder| encoder.hold(1_101, 1).unwrap()),
            Box::new(|encoder| encoder.init(&other_bitrate).unwrap()),
        ];
        for mut r#use in uses {
            let mut encoder = Encoder::new(&settings).unwrap();
            r#use(&mut encoder);
            assert!(state(&encoder) != state(&fresh));
            encoder.init(&settings).unwrap();
            assert!(state(&encoder) == state(&fresh));
            assert!(encoder.memory.untouched);
        }
    }

    #[test]
    fn an_encoder_that_is_not_initialised_is_refused_not_used() {
        let mut encoder = Encoder { settings: None, ..Encoder::new(&Settings::default()).unwrap() };
        let encoded = encoder.encode(&[0.0; 960], &mut PacketJoiner::default(), &mut Vec::new());
        assert!(matches!(encoded, Err(SandboxError::Codec { .. })));
    }

    #[test]
    fn the_delay_that_settings_tell_is_the_librarys_lookahead() {
        for rate in SampleRate::ALL {
            for application in ["voip", "audio", "lowdelay"] {
                let wishes = SettingsUpdate::default().with("application", application);
                let settings = Settings::default().with_sample_rate(rate).with(&wishes).unwrap();
                let mut encoder = Encoder::new(&settings).unwrap();
                let mut lookahead: c_int = 0;
                // SAFETY: the encoder is initialised; this request takes a pointer to an int, which outlives the call.
                let code = unsafe {
                    let pointer = &mut lookahead as *mut c_int;
                    ffi::opus_encoder_ctl(
                        encoder.memory.as_mut_ptr(),
                        ffi::OPUS_GET_LOOKAHEAD_REQUEST,
                        pointer,
                    )
                };
                assert_eq!((code, lookahead as usize), (0, settings.encoder_delay_samples()), "{settings:?}");
            }
        }
    }
}
