//! The partials of one hop: where the peaks of the spectrum lie, whether they stay where they were, and which notes they make.
//!
//! A synthesiser holds its pitch to the cent, a singer and a bent string glide, and drums have no lasting peaks at all.

use super::spectrum::{BINS, BIN_HZ};

/// Pitch classes of a tuned piano.
pub const PITCH_CLASSES: usize = 12;
/// Intervals from a minor second to a tritone: a larger one is the complement of one of these.
pub const INTERVALS: usize = 6;

/// Peaks are looked for from 125 to 4,000 Hz.
const PEAK_BINS: std::ops::Range<usize> = 8..256;
/// A peak is not more than 40 dB below the largest magnitude.
const LOWEST: f32 = 0.01;
/// Pitches are counted in semitones from this one, the a'.
const CONCERT_PITCH_HZ: f32 = 440.0;
/// Where no peak was.
const NO_PEAK: f32 = 1e3;
/// A peak that moved less than this many semitones since the last hop is steady, ...
const STEADY: f32 = 0.06;
/// ... and one that moved more than that, but less than this, glides.
const GLIDE: f32 = 0.6;

/// What the peaks of a hop's spectrum say. All shares are of the peaks' magnitudes.
///
/// A peak is a bin that is larger than its neighbours, between 125 and 4,000 Hz and not more than 40 dB below the largest. Its
/// frequency is that of the sinusoid that a Hann window shows with the same two largest bins (Grandke 1983, "Interpolation
/// algorithms for discrete Fourier transforms of weighted signals", eq. 7).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TonalFeatures {
    /// Their number.
    pub peaks: f32,
    /// How far they are from the nearest semitone of 440 Hz, in semitones (0 to 0.5), weighted by their magnitudes.
    pub detuning: f32,
    /// Share of those with a peak within 0.06 semitones of them in the last hop.
    pub steady: f32,
    /// Share of those whose nearest peak in the last hop (not more than a bin away) is 0.06 to 0.6 semitones away.
    pub glide: f32,
    /// The peaks' magnitudes by pitch class, from A upwards (after Fujishima 1999, "Realtime chord recognition").
    pub chroma: [f32; PITCH_CLASSES],
    /// Shannon entropy of the normalised chroma, natural units: 0 for one note, 2.48 for all alike.
    pub chroma_entropy: f32,
    /// Sum of the absolute differences between this and the last normalised chroma, 0 to 2.
    pub chroma_flux: f32,
    /// For one to six semitones: how much of the normalised chroma, multiplied with itself shifted by that interval, is left.
    pub intervals: [f32; INTERVALS],
}

/// The peaks and the chroma of the last hop.
pub(super) struct Tonal {
    /// Pitch of the peak in each bin, or `NO_PEAK`; a bin more on both sides.
    pitches: Box<[f32; PEAK_BINS.end + 1]>,
    chroma: [f32; PITCH_CLASSES],
    hops: u64,
}

impl Tonal {
    pub(super) fn new() -> Self {
        Self { pitches: Box::new([NO_PEAK; PEAK_BINS.end + 1]), chroma: [0.0; PITCH_CLASSES], hops: 0 }
    }

    pub(super) fn start(&mut self) {
        self.pitches.fill(NO_PEAK);
        self.chroma = [0.0; PITCH_CLASSES];
        self.hops = 0;
    }

    pub(super) fn analyse(&mut self, magnitudes: &[f32; BINS]) -> TonalFeatures {
        let mut most = [0.0_f32; 8];
        for eight in magnitudes.chunks_exact(8) {
            for lane in 0..8 {
                most[lane] = most[lane].max(eight[lane]);
            }
        }
        let floor = LOWEST * most.iter().fold(0.0_f32, |most, lane| most.max(*lane));
        let mut found = TonalFeatures::default();
        let (mut total, mut detuning, mut steady, mut glide) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
        // of the last hop, one bin lower
        let mut lower = self.pitches[PEAK_BINS.start - 1];
        for bin in PEAK_BINS {
            let last =
                [std::mem::replace(&mut lower, self.pitches[bin]), self.pitches[bin], self.pitches[bin + 1]];
            self.pitches[bin] = NO_PEAK;
            let [before, here, after] = [magnitudes[bin - 1], magnitudes[bin], magnitudes[bin + 1]];
            if !(here > floor && here > before && here >= after) {
                continue;
            }
            let ratio = before.max(after) / here;
            let beside = ((2.0 * ratio - 1.0) / (ratio + 1.0)).max(0.0);
            let position = bin as f32 + if after > before { beside } else { -beside };
            let pitch = 12.0 * (position * (BIN_HZ / CONCERT_PITCH_HZ)).log2();
            // the nearest one: no pitch is lower than -24, and what is positive is cut off downwards
            let note = (pitch + 24.5) as i32 - 24;
            let moved = last.iter().fold(NO_PEAK, |nearest, last| nearest.min((last - pitch).abs()));
            self.pitches[bin] = pitch;
            found.peaks += 1.0;
            found.chroma[(note + 24) as usize % PITCH_CLASSES] += here;
            total += here;
            detuning += here * (pitch - note as f32).abs();
            if moved < STEADY {
                steady += here;
            } else if moved < GLIDE {
                glide += here;
            }
        }
        if total > 0.0 {
            found.detuning = detuning / total;
            found.steady = steady / total;
            found.glide = glide / total;
        }
        self.describe_chroma(&mut found, total);
        self.hops += 1;
        found
    }

    fn describe_chroma(&mut self, found: &mut TonalFeatures, total: f32) {
        let share = if total > 0.0 { 1.0 / total } else { 0.0 };
        let chroma = found.chroma.map(|magnitude| magnitude * share);
        found.chroma_entropy = entropy(&chroma);
        if self.hops > 0 {
            found.chroma_flux = chroma.iter().zip(&self.chroma).map(|(now, last)| (now - last).abs()).sum();
        }
        for (at, interval) in found.intervals.iter_mut().enumerate() {
            *interval = (0..PITCH_CLASSES)
                .map(|class| chroma[class] * chroma[(class + at + 1) % PITCH_CLASSES])
                .sum();
        }
        self.chroma = chroma;
    }
}

/// Shannon's entropy of shares whose sum is 1.
pub(super) fn entropy(shares: &[f32; PITCH_CLASSES]) -> f32 {
    // what is below a millionth adds nothing that counts
    shares.iter().filter(|share| **share > 1e-6).map(|share| -share * share.ln()).sum()
}
