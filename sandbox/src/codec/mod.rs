//! The one place that talks to libopus, and the only `unsafe` of the crate: a decoder and an encoder that can be
//! begun anew in place, and the joining of packets.
//!
//! The `opus` crate's `Encoder` and `Decoder` can't be initialised a second time in place, and `OPUS_RESET_STATE` is
//! not a full reset: it keeps every setting, `voice_ratio` (what a silent first frame is taken for) and `LBRR_coded`
//! (the hysteresis of in-band FEC). So both states live in memory of our own here, large enough for stereo, and are
//! begun anew in it as a whole.
//!
//! `opus_encoder_init` and `opus_decoder_init` do that, but slowly: each asks the processor for its features with
//! `CPUID`, several times, and in a virtual machine every such instruction is a trip to the hypervisor (75 us for a
//! pair, where this was measured). Their result depends on rate, channels and application only. So the first of a
//! kind in a process is initialised by libopus, kept as an image, and copied from then on (under 1 us; 6 us where the
//! memory is in no cache). A state that nothing was done with since it was begun is not begun again.
//!
//! Copying is allowed: `opus.h` says of both that the state "is always continuous in memory and only a shallow copy
//! is sufficient to copy it (e.g. memcpy())". Nor does a state own anything that would have to be freed.
#![allow(unsafe_code)]

mod decoder;
mod encoder;
mod joiner;

use std::ffi::c_int;
use std::sync::OnceLock;

use opus::ErrorCode;
use opusic_sys as ffi;

use crate::{SampleRate, SandboxError, Settings};

pub(crate) use decoder::Decoder;
pub use decoder::Replacement;
pub(crate) use encoder::Encoder;
pub(crate) use joiner::PacketJoiner;

/// Memory for a codec state, aligned as `malloc` would align it.
#[derive(Debug, Default)]
struct StateMemory {
    blocks: Vec<MemoryBlock>,
    /// Whether libopus has had nothing to do with it since its owner set this: to begin anew takes nothing then.
    untouched: bool,
}

#[derive(Debug, Clone, Copy)]
#[repr(C, align(16))]
struct MemoryBlock([u8; 16]);

impl StateMemory {
    /// `bytes` as libopus told them, zeroed; an error if it told none.
    fn new(bytes: c_int, call: &'static str) -> Result<StateMemory, SandboxError> {
        match usize::try_from(bytes) {
            Ok(bytes) if bytes > 0 => {
                Ok(StateMemory { blocks: vec![MemoryBlock([0; 16]); bytes.div_ceil(16)], untouched: false })
            }
            _ => Err(failed(call, bytes)),
        }
    }

    /// For libopus, which may change what it points to.
    fn as_mut_ptr<T>(&mut self) -> *mut T {
        self.untouched = false;
        self.blocks.as_mut_ptr().cast()
    }

    fn copy_from(&mut self, other: &StateMemory) {
        self.untouched = false;
        self.blocks.clone_from(&other.blocks);
    }

    /// Overwrites the front with an image, which is never longer. What lies behind it belongs to no state.
    fn restore(&mut self, image: &StateMemory) {
        self.untouched = false;
        self.blocks[..image.blocks.len()].copy_from_slice(&image.blocks);
    }
}

/// An initialised state that nothing was done with yet, for each kind that was asked for so far.
type Images<const KINDS: usize> = [OnceLock<StateMemory>; KINDS];
const RATES: usize = SampleRate::ALL.len();

/// The image in `cell`, made by `init` the first time.
fn image(
    cell: &'static OnceLock<StateMemory>,
    init: impl FnOnce() -> Result<StateMemory, SandboxError>,
) -> Result<&'static StateMemory, SandboxError> {
    match cell.get() {
        Some(image) => Ok(image),
        // Two threads may both come here; then both make the same image and one of them is dropped. So nobody waits.
        None => init().map(|image| cell.get_or_init(|| image)),
    }
}

/// Numbers the pairs of rate and channels from 0.
fn stream_kind(settings: &Settings) -> usize {
    (settings.channel_count() - 1) * RATES + settings.sample_rate.index()
}

fn check(code: c_int, call: &'static str) -> Result<(), SandboxError> {
    if code < 0 {
        Err(failed(call, code))
    } else {
        Ok(())
    }
}

fn failed(call: &'static str, code: c_int) -> SandboxError {
    SandboxError::Codec { call, reason: reason(code) }
}

/// libopus' own words for one of its error codes.
fn reason(code: c_int) -> &'static str {
    let code = match code {
        ffi::OPUS_BAD_ARG => ErrorCode::BadArg,
        ffi::OPUS_BUFFER_TOO_SMALL => ErrorCode::BufferTooSmall,
        ffi::OPUS_INTERNAL_ERROR => ErrorCode::InternalError,
        ffi::OPUS_INVALID_PACKET => ErrorCode::InvalidPacket,
        ffi::OPUS_UNIMPLEMENTED => ErrorCode::Unimplemented,
        ffi::OPUS_INVALID_STATE => ErrorCode::InvalidState,
        ffi::OPUS_ALLOC_FAIL => ErrorCode::AllocFail,
        _ => ErrorCode::Unknown,
    };
    code.description()
}
