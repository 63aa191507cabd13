//! The low-pass filters of the resamplers, one for each ratio of rates, shared by all that use it.

use std::array;
use std::f64::consts::PI;
use std::sync::OnceLock;

use crate::filter::windowed_sinc::{kaiser, sinc};

/// The sample rates between which a [`Resampler`](super::Resampler) converts, in Hz: those of streams, and 11,025 Hz, which
/// only recordings have (20 ms of it are no whole number of samples).
pub const RECORDING_RATES_HZ: [u32; 10] =
    [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
/// The sample rates that streams can have, in Hz.
pub const RATES_HZ: [u32; 9] = [8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

/// Taps of a row are a multiple of this: two vectors of the widest kind that is used.
pub(super) const TAPS_UNIT: usize = 16;

/// A piece of a row, a line of the processor's cache: so aligned, none of its vectors lies across two lines.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Taps(pub(super) [f32; TAPS_UNIT]);

/// Stop-band attenuation that is designed for, in dB: 80 are promised, the rest is for Kaiser's formulas being fits.
const ATTENUATION_DB: f64 = 84.0;

/// Where the pass band ends and the stop band begins, as parts of the lower of the two Nyquist frequencies. The stop
/// band begins where aliases do, so that not even the uppermost tenth of the band receives any.
const PASS_EDGE: f64 = 0.9;
const STOP_EDGE: f64 = 1.0;

/// A low-pass for the conversion by `up / down`, cut into its phases.
#[derive(Debug)]
pub(super) struct Filter {
    /// L of the ratio L / M in lowest terms: phases, hence rows.
    pub(super) up: usize,
    /// M of the ratio.
    pub(super) down: usize,
    /// Taps of each row, a multiple of [`TAPS_UNIT`].
    pub(super) taps: usize,
    /// By how many output samples the output lags.
    pub(super) delay: usize,
    /// Rows in the order in which successive output samples use them, each in the order of the samples it meets.
    pub(super) rows: Box<[Taps]>,
}

impl Filter {
    /// The filter from one rate to another, both of them in [`RECORDING_RATES_HZ`] and not the same.
    ///
    /// The first call for a ratio designs it, which takes milliseconds. Threads that do so at once each design it and
    /// one wins: none ever waits for another's design.
    pub(super) fn shared(from_hz: u32, to_hz: u32) -> &'static Filter {
        const RATES: usize = RECORDING_RATES_HZ.len();
        static FILTERS: [[OnceLock<Filter>; RATES]; RATES] =
            [const { [const { OnceLock::new() }; RATES] }; RATES];

        let divisor = gcd(from_hz, to_hz);
        let (up, down) = (to_hz / divisor, from_hz / divisor);
        // 22.05 to 24 kHz is the same filter as 44.1 to 48 kHz: the first pair of that ratio keeps it for all.
        let cell = RECORDING_RATES_HZ
            .iter()
            .zip(&FILTERS)
            .flat_map(|(&from, row)| {
                RECORDING_RATES_HZ.iter().zip(row).map(move |(&to, cell)| (from, to, cell))
            })
            .find(|&(from, to, _)| u64::from(to) * u64::from(down) == u64::from(from) * u64::from(up))
            .map(|(_, _, cell)| cell)
            .expect("the rates were checked to be known");
        match cell.get() {
            Some(filter) => filter,
            None => {
                let designed = Filter::design(up as usize, down as usize);
                cell.get_or_init(|| designed)
            }
        }
    }

    /// Designs a low-pass by Kaiser's method: a sinc under his window (A. V. Oppenheim and R. W. Schafer, "Discrete-Time
    /// Signal Processing", 3rd edition, section 7.5.3, equations 7.72, 7.75 and 7.76), sampled at the rate that is a
    /// multiple of both, and cut into phases (section 4.7.4).
    fn design(up: usize, down: usize) -> Filter {
        // Times are in periods of the lower rate, of which the common multiple of both rates has `steps`.
        let steps = up.max(down);
        let half_length = half_length();
        let half_steps = half_length * steps as f64;
        // Whole output samples, and not less than half the filter: it may not look ahead.
        let delay = (half_steps / down as f64).ceil() as usize;
        let centre = (delay * down) as f64;
        let needed = ((centre + half_steps) / up as f64).floor() as usize + 1;
        let taps = needed.next_multiple_of(TAPS_UNIT);

        let beta = 0.1102 * (ATTENUATION_DB - 8.7);
        let cutoff = (PASS_EDGE + STOP_EDGE) / 2.0;
        // Of `up` rows each takes its share, and at a lower output rate each covers `down / up` as many samples.
        let gain = cutoff * up as f64 / steps as f64;
        let tap = |step: usize| {
            let time = (step as f64 - centre) / steps as f64;
            gain * sinc(cutoff * time) * kaiser(time / half_length, beta)
        };
        let rows: Vec<f32> = (0..up)
            .map(|row| row * down % up)
            // The newest sample meets the earliest tap, so the order is turned round.
            .flat_map(|phase| (0..taps).rev().map(move |age| phase + age * up))
            .map(|step| tap(step) as f32)
            .collect();
        let rows =
            rows.chunks_exact(TAPS_UNIT).map(|taps| Taps(array::from_fn(|index| taps[index]))).collect();
        Filter { up, down, taps, delay, rows }
    }
}

/// Half the filter's length, in samples of the lower rate: equation 7.76, M = (A - 8) / (2.285 delta omega).
fn half_length() -> f64 {
    let transition = PI * (STOP_EDGE - PASS_EDGE);
    (ATTENUATION_DB - 8.0) / (2.285 * transition) / 2.0
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        gcd(b, a % b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_that_are_equal_share_a_filter() {
        assert!(std::ptr::eq(Filter::shared(22_050, 24_000), Filter::shared(44_100, 48_000)));
        assert!(std::ptr::eq(Filter::shared(8_000, 16_000), Filter::shared(48_000, 96_000)));
        assert!(!std::ptr::eq(Filter::shared(8_000, 16_000), Filter::shared(16_000, 8_000)));
    }

    #[test]
    fn each_row_passes_a_constant_unchanged() {
        for (from, to) in
            [(44_100, 48_000), (48_000, 44_100), (96_000, 8_000), (8_000, 96_000), (22_050, 32_000)]
        {
            let filter = Filter::shared(from, to);
            assert_eq!(filter.rows.len() * TAPS_UNIT, filter.up * filter.taps);
            for (phase, row) in filter.rows.chunks_exact(filter.taps / TAPS_UNIT).enumerate() {
                let sum: f64 = row.iter().flat_map(|taps| taps.0).map(f64::from).sum();
                assert!((sum - 1.0).abs() < 1e-4, "{from} to {to} Hz: row {phase} sums to {sum}");
            }
        }
    }
}
