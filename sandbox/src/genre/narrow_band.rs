//! The band that features are computed of: any stream as mono at one rate, so that one model serves all rates.

use crate::resample::{Kernel, SIXTEEN_KHZ};

/// The rate that features are computed at. 8 kHz of band tell genres apart; a stream of 8,000 Hz has half of it.
pub const NARROW_BAND_HZ: u32 = SIXTEEN_KHZ;

/// Flat enough that the features of a sound hardly depend on its rate.
pub(super) const KERNEL: Kernel = Kernel { crossings: 16, cutoff: 0.92 };
