//! Changes the sample rate of a stream, between any two of [`RECORDING_RATES_HZ`].
//!
//! ```text
//!  any number of samples -> line (what the filter still needs) -> one row of the filter for each output sample
//!                                                                 rows: shared by all resamplers of that ratio
//! ```
//!
//! A [`Resampler`] is a polyphase filter: between the rates lies the ratio L / M in lowest terms, and each output
//! sample is the product of the newest input samples with one of L rows of a linear-phase low-pass. Which row and
//! which samples is integer arithmetic, so nothing drifts, however long the stream; and each output depends on its own
//! samples only, so the cut into blocks makes no difference, to the bit.
//!
//! **What it holds to**, for all 90 pairs, measured in `tests/resample.rs`: flat within 0.01 dB up to 90 % of the lower
//! of the two Nyquist frequencies; whatever lies at or above 100 % of it is 80 dB down, aliases and images alike.
//!
//! **Delay**: 53 samples of the lower rate, rounded up to whole output samples, and no more: there is no block to be
//! filled. 6.6 ms if the lower rate is 8 kHz, 4.4 ms at 12, 3.3 ms at 16, 2.4 ms at 22.05, 2.2 ms at 24, 1.7 ms at 32,
//! 1.2 ms at 44.1 and 1.1 ms at 48 kHz; 4.8 ms at 11.025.
//!
//! **How much comes out**: after `n` input frames a live resampler has given `n` times the ratio, rounded up, so any
//! cut gives at most one frame more or less than the average. 20 ms is a whole number of samples at each of the
//! streams' [`RATES_HZ`] (441 at 22.05 kHz), hence blocks of 20 ms, counted from the start, give 20 ms each, exactly.
//!
//! **Memory**: 2.4 KB a channel, up to 7 KB from 96 to 8 kHz. Filters are the process's: 1 to 5 KB for a ratio within the
//! family of 48 kHz, 70 KB between 44.1 and 48 kHz, at most 280 KB (600 KB from 11.025 to 32 kHz); 6 MB if all ratios were in
//! use at once.
//!
//! # Why not a crate
//! For live streams `rubato`'s synchronous converter works on blocks of its own, whose length sets its filter's: within 10 ms it can't be as
//! steep as this. Its asynchronous one can, with one sinc for each phase, but its windows need a fifth more taps;
//! each resampler builds and keeps a table of its own (80 KB and 1 ms for 44.1 to 48 kHz), where those here are shared;
//! and a block costs about three times as much (`cargo bench --bench resample` has both). For recordings, where delay and memory count for
//! nothing, it would do as well; but one is enough.

mod convolve;
mod filter;
mod resampler;
mod sixteen_khz;

pub use filter::{RATES_HZ, RECORDING_RATES_HZ};
pub use resampler::{ResampleError, Resampler};
pub(crate) use sixteen_khz::{Kernel, ToSixteenKhz, SIXTEEN_KHZ};
