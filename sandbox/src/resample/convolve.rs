//! The inner loop: rows of the filter times windows of the signal, in the widest vectors the processor has.
//!
//! `pulp` picks them when the program runs. Compiled for any x86-64 alone, the same loop takes twice as long.

use pulp::{Simd, WithSimd};

use super::filter::{Filter, Taps, TAPS_UNIT};

/// Where the next output sample stands in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The newest input frame it needs, counted from the first frame of the next block.
    pub(super) newest: usize,
    /// How far it lies after that frame, in `1 / up` of the distance between two.
    pub(super) phase: usize,
    /// The row of the filter for this phase.
    pub(super) row: usize,
}

impl Cursor {
    /// The cursor before output frame `index`, and before any input.
    pub(super) fn at(index: usize, filter: &Filter) -> Cursor {
        let position = index * filter.down;
        Cursor { newest: position / filter.up, phase: position % filter.up, row: index % filter.up }
    }

    /// How many output frames a block of `frames` makes possible.
    pub(super) fn outputs_within(&self, frames: usize, filter: &Filter) -> usize {
        let position = self.newest * filter.up + self.phase;
        (frames * filter.up).saturating_sub(position).div_ceil(filter.down)
    }

    /// How many input frames the next `outputs` output frames need. At least one output frame.
    pub(super) fn frames_for(&self, outputs: usize, filter: &Filter) -> usize {
        self.newest + (self.phase + (outputs - 1) * filter.down) / filter.up + 1
    }
}

/// Fills `output`, interleaved, from the lines of one or two channels; `cursor` moves on.
pub(super) struct Convolve<'a> {
    pub(super) filter: &'a Filter,
    /// One line after the other, each beginning with the `taps - 1` frames before the block.
    pub(super) lines: &'a [f32],
    pub(super) channels: usize,
    pub(super) cursor: &'a mut Cursor,
    pub(super) output: &'a mut [f32],
}

impl WithSimd for Convolve<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.channels {
            1 => self.run::<S, 1>(simd),
            _ => self.run::<S, 2>(simd),
        }
    }
}

impl Convolve<'_> {
    #[inline(always)]
    fn run<S: Simd, const CHANNELS: usize>(self, simd: S) {
        let Self { filter, lines, cursor, output, .. } = self;
        let Filter { up, down, taps, ref rows, .. } = *filter;
        let (whole, part, units) = (down / up, down % up, taps / TAPS_UNIT);
        let line_length = lines.len() / CHANNELS;
        let Cursor { mut newest, mut phase, mut row } = *cursor;
        for frame in output.chunks_exact_mut(CHANNELS) {
            let taps_now = &rows[row * units..][..units];
            for (channel, sample) in frame.iter_mut().enumerate() {
                *sample = dot(simd, &lines[channel * line_length + newest..][..taps], taps_now);
            }
            newest += whole;
            phase += part;
            if phase >= up {
                phase -= up;
                newest += 1;
            }
            row += 1;
            if row == up {
                row = 0;
            }
        }
        *cursor = Cursor { newest, phase, row };
    }
}

/// The scalar product of samples and as many taps. Two sums run side by side, for an addition takes longer than its turn
/// comes round.
#[inline(always)]
pub(super) fn dot<S: Simd>(simd: S, window: &[f32], row: &[Taps]) -> f32 {
    debug_assert_eq!(window.len(), row.len() * TAPS_UNIT);
    let mut sums = [simd.splat_f32s(0.0); 2];
    for (samples, taps) in window.chunks_exact(TAPS_UNIT).zip(row) {
        let (samples, _) = S::as_simd_f32s(samples);
        let (taps, _) = S::as_simd_f32s(&taps.0);
        for (index, (&samples, &taps)) in samples.iter().zip(taps).enumerate() {
            sums[index % 2] = simd.mul_add_f32s(samples, taps, sums[index % 2]);
        }
    }
    simd.reduce_sum_f32s(simd.add_f32s(sums[0], sums[1]))
}
