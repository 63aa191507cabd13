//! Second-order sections in a row, all computed at once.
//!
//! A section's output needs its own last output, and what the section before it gives at the same moment. So that no
//! section waits for another, each is some sample frames behind the one before it. Then every channel of every section
//! has a lane of its own in the processor's vectors, a step (one sample frame further in each section) is a few
//! operations on whole vectors, and each output is moved on to the lane in which it is an input:
//!
//! ```text
//! lane      0            1            2             one channel, three sections
//! step 6    x[6] > y[6]
//!                        x[3] > y[3]                its input is what lane 0 gave in step 3
//!                                     x[0] > y[0]   this is what comes out of the row
//! ```
//!
//! At the beginning of a block some sections have nothing to do yet: they compute all the same, and are set back to what
//! they remember until their first sample comes. At its end some have no more: what they remember has been noted by
//! then, and the rest is of no use.
//!
//! Each output is computed by the same operations in the same order, wherever blocks begin and however wide the vectors
//! are. Only whether a multiplication and an addition are one operation depends on the processor.
//!
//! Plain arrays of lanes, left to the compiler, were no faster than one section after the other: it cut them into vectors
//! of different widths. Moving outputs on through memory was slower than anything else.

use pulp::{Simd, WithSimd};

use super::cascade::SECTIONS;
use super::cookbook::Section;

/// The last two values of each channel, the newer first.
pub(super) type History<const CHANNELS: usize> = [[f64; CHANNELS]; 2];

/// Two channels of every section.
const MOST_LANES: usize = 2 * SECTIONS;
/// See [`Row::SKEW`].
const MOST_SKEW: usize = 3;
/// The widest vectors that there may be, in `f64`.
const WIDEST: usize = 8;
/// Sample frames that are made `f64` at a time.
const PIECE: usize = 96;
/// A sample that is smaller (-600 dB) becomes 0, long before it is subnormal.
const FLUSH_SAMPLE_BELOW: f32 = 1e-30;

/// A value for each lane, whatever the width of the vectors.
type Values = [f64; MOST_LANES.next_multiple_of(WIDEST)];

/// As many as there are when a vector is a single lane. The compiler leaves out those that are not in use.
type FactorVectors<S> = [Factors<<S as Simd>::f64s>; MOST_LANES];
type LaneVectors<S> = [Lanes<<S as Simd>::f64s>; MOST_LANES];

/// A [`Section`] as it is multiplied with, or one for each lane.
#[derive(Clone, Copy)]
pub(super) struct Factors<V> {
    b0: V,
    b1: V,
    b2: V,
    minus_a1: V,
    minus_a2: V,
}

impl From<Section> for Factors<f64> {
    #[inline(always)]
    fn from(Section { b0, b1, b2, a1, a2 }: Section) -> Self {
        Factors { b0, b1, b2, minus_a1: -a1, minus_a2: -a2 }
    }
}

/// The difference equation begins: what the last two inputs and the last output but one add to an output. It is ready
/// long before the rest.
#[inline(always)]
pub(super) fn early<S: Simd>(s: S, by: &Factors<S::f64s>, [x1, x2]: [S::f64s; 2], y2: S::f64s) -> S::f64s {
    s.mul_add_e_f64s(by.minus_a2, y2, s.mul_add_e_f64s(by.b2, x2, s.mul_f64s(by.b1, x1)))
}

/// The difference equation ends: the output, of what is [`early`], of the input and of the last output.
#[inline(always)]
pub(super) fn output<S: Simd>(
    s: S,
    by: &Factors<S::f64s>,
    early: S::f64s,
    x: S::f64s,
    y1: S::f64s,
) -> S::f64s {
    s.mul_add_e_f64s(by.minus_a1, y1, s.mul_add_e_f64s(by.b0, x, early))
}

/// Finite, and never subnormal.
#[inline(always)]
pub(super) fn give(value: f64) -> f32 {
    let value = (value as f32).clamp(-f32::MAX, f32::MAX);
    if value.abs() < FLUSH_SAMPLE_BELOW {
        0.0
    } else {
        value
    }
}

/// A block of interleaved samples to go through sections. What comes back is each section's last two outputs.
pub(super) struct Row<'a, const CHANNELS: usize, const COUNT: usize> {
    pub(super) sections: [Section; COUNT],
    /// What went into the first before, ...
    pub(super) input: History<CHANNELS>,
    /// ... and what came out of each.
    pub(super) outputs: [History<CHANNELS>; COUNT],
    pub(super) block: &'a mut [f32],
}

/// The memory of some lanes.
#[derive(Clone, Copy)]
struct Lanes<V> {
    /// The last input and output.
    x1: V,
    y1: V,
    /// What is known of the next output.
    early: V,
    /// The next input, where it comes from another section, and the one after that.
    next: V,
    later: V,
}

impl<const CHANNELS: usize, const COUNT: usize> WithSimd for Row<'_, CHANNELS, COUNT> {
    type Output = [History<CHANNELS>; COUNT];

    #[inline(always)]
    fn with_simd<S: Simd>(self, s: S) -> Self::Output {
        let frames = self.block.len() / CHANNELS;
        if frames == 0 {
            return self.outputs;
        }
        let steps = frames + Self::DELAY;
        let (by, start) = self.vectors(s);
        let mut lanes = start;
        // The newest outputs before the last frame's step in the first section, and after each step from there on.
        let mut newest = [Values::default(); MOST_SKEW * (SECTIONS - 1) + 2];
        let mut piece = [[0.0; CHANNELS]; PIECE];
        for begin in (0..steps).step_by(PIECE) {
            let end = steps.min(begin + PIECE);
            // Behind the end of the block anything may go in.
            let samples = self.block.chunks_exact(CHANNELS).skip(begin);
            for (values, frame) in piece.iter_mut().zip(samples) {
                *values = std::array::from_fn(|channel| f64::from(frame[channel]));
            }
            let mut step = begin;
            while step < end {
                if step <= Self::DELAY {
                    Self::hold(s, step.div_ceil(Self::SKEW), &start, &mut lanes);
                }
                // As far as no section begins or ends.
                let next = if step + 1 >= frames {
                    Self::note::<S>(&lanes, &mut newest[step + 1 - frames]);
                    step + 1
                } else if step < Self::DELAY {
                    end.min(frames - 1).min((step + 1).next_multiple_of(Self::SKEW))
                } else {
                    end.min(frames - 1)
                };
                // A copy, which stays in registers.
                let mut now = lanes;
                for frame in &mut piece[step - begin..next - begin] {
                    Self::step(s, &by, &mut now, frame);
                }
                lanes = now;
                step = next;
            }
            // What came out before the last section had begun.
            let empty = Self::DELAY.saturating_sub(begin);
            let samples = self.block.chunks_exact_mut(CHANNELS).skip(begin + empty - Self::DELAY);
            for (values, frame) in piece[..end - begin].iter().skip(empty).zip(samples) {
                for (sample, value) in frame.iter_mut().zip(values) {
                    *sample = give(*value);
                }
            }
        }
        Self::note::<S>(&lanes, &mut newest[steps + 1 - frames]);
        std::array::from_fn(|at| {
            std::array::from_fn(|age| {
                std::array::from_fn(|channel| newest[Self::SKEW * at + 1 - age][at * CHANNELS + channel])
            })
        })
    }
}

impl<const CHANNELS: usize, const COUNT: usize> Row<'_, CHANNELS, COUNT> {
    const LANES: usize = {
        assert!(CHANNELS * COUNT <= MOST_LANES);
        CHANNELS * COUNT
    };
    /// By how many sample frames a section is behind the one before it. With three there is time enough to move an
    /// output on. But with more than two vectors (of four lanes) the memory that this takes is more than sixteen
    /// registers hold, and waiting for the stack is worse than waiting a little for what is moved.
    const SKEW: usize = if Self::LANES > 8 { 2 } else { MOST_SKEW };
    /// By how many sample frames the last section is behind the first.
    const DELAY: usize = Self::SKEW * (COUNT - 1);

    /// The sections' factors and memory, lane by lane.
    #[inline(always)]
    fn vectors<S: Simd>(&self, s: S) -> (FactorVectors<S>, LaneVectors<S>) {
        let mut factors = [Values::default(); 5];
        let mut memory = [Values::default(); 4];
        for lane in 0..Self::LANES {
            let (at, channel) = (lane / CHANNELS, lane % CHANNELS);
            let Factors { b0, b1, b2, minus_a1, minus_a2 } = self.sections[at].into();
            let input = if at == 0 { self.input } else { self.outputs[at - 1] };
            let [x1, x2] = input.map(|values| values[channel]);
            let [y1, y2] = self.outputs[at].map(|values| values[channel]);
            for (values, value) in factors.iter_mut().zip([b0, b1, b2, minus_a1, minus_a2]) {
                values[lane] = value;
            }
            for (values, value) in memory.iter_mut().zip([x1, x2, y1, y2]) {
                values[lane] = value;
            }
        }
        let zero = s.splat_f64s(0.0);
        let mut by = [Factors { b0: zero, b1: zero, b2: zero, minus_a1: zero, minus_a2: zero }; MOST_LANES];
        let mut start = [Lanes { x1: zero, y1: zero, early: zero, next: zero, later: zero }; MOST_LANES];
        for at in 0..Self::LANES.div_ceil(S::F64_LANES) {
            let [b0, b1, b2, minus_a1, minus_a2] = factors.each_ref().map(|values| vector::<S>(values, at));
            let [x1, x2, y1, y2] = memory.each_ref().map(|values| vector::<S>(values, at));
            by[at] = Factors { b0, b1, b2, minus_a1, minus_a2 };
            start[at] = Lanes { x1, y1, early: early(s, &by[at], [x1, x2], y2), next: zero, later: zero };
        }
        (by, start)
    }

    /// One sample frame further in each section. `frame` goes into the first, and becomes what comes out of the last.
    #[inline(always)]
    fn step<S: Simd>(s: S, by: &FactorVectors<S>, lanes: &mut LaneVectors<S>, frame: &mut [f64; CHANNELS]) {
        let before = *lanes;
        for at in 0..Self::LANES.div_ceil(S::F64_LANES) {
            let Lanes { x1, y1, early: ready, next, later } = before[at];
            let moved = Self::moved(s, &before, at);
            let mut x = [0.0; WIDEST];
            S::as_mut_simd_f64s(&mut x).0[0] = next;
            for (value, sample) in x[..S::F64_LANES].iter_mut().zip(frame.iter().skip(at * S::F64_LANES)) {
                *value = *sample;
            }
            let x = S::as_simd_f64s(&x).0[0];
            lanes[at] = Lanes {
                x1: x,
                y1: output(s, &by[at], ready, x, y1),
                early: early(s, &by[at], [x, x1], y1),
                next: if Self::SKEW == MOST_SKEW { later } else { moved },
                later: moved,
            };
        }
        for (channel, value) in frame.iter_mut().enumerate() {
            *value = Self::last_output::<S>(lanes, Self::LANES - CHANNELS + channel);
        }
    }

    /// The outputs as inputs of vector `at`, each moved on to the next section. Where none is needed there may be any.
    #[inline(always)]
    fn moved<S: Simd>(s: S, lanes: &LaneVectors<S>, at: usize) -> S::f64s {
        if COUNT == 1 {
            // Without this the lanes that are left over would wait for each other.
            return s.splat_f64s(0.0);
        }
        if CHANNELS.is_multiple_of(S::F64_LANES) {
            return lanes[at.saturating_sub(CHANNELS / S::F64_LANES)].y1;
        }
        let own = s.rotate_right_f64s(lanes[at].y1, CHANNELS);
        if at == 0 {
            return own;
        }
        let before = s.rotate_right_f64s(lanes[at - 1].y1, CHANNELS);
        if Self::LANES - at * S::F64_LANES <= CHANNELS {
            return before;
        }
        s.select_f64s(s.mask_between_m64s(0, CHANNELS as u64).mask(), before, own)
    }

    /// The last output in `lane`.
    #[inline(always)]
    fn last_output<S: Simd>(lanes: &LaneVectors<S>, lane: usize) -> f64 {
        let mut values = [0.0; WIDEST];
        S::as_mut_simd_f64s(&mut values).0[0] = lanes[lane / S::F64_LANES].y1;
        values[lane % S::F64_LANES]
    }

    /// Sections from `first` on have not begun, or are about to: they are set to `start`.
    #[inline(always)]
    fn hold<S: Simd>(s: S, first: usize, start: &LaneVectors<S>, lanes: &mut LaneVectors<S>) {
        for at in 0..Self::LANES.div_ceil(S::F64_LANES) {
            let begun = (CHANNELS * first).saturating_sub(at * S::F64_LANES);
            let begun = s.mask_between_m64s(0, begun as u64).mask();
            let (start, now) = (&start[at], &mut lanes[at]);
            now.x1 = s.select_f64s(begun, now.x1, start.x1);
            now.y1 = s.select_f64s(begun, now.y1, start.y1);
            now.early = s.select_f64s(begun, now.early, start.early);
        }
    }

    /// Stores the last outputs.
    #[inline(always)]
    fn note<S: Simd>(lanes: &LaneVectors<S>, values: &mut Values) {
        let (vectors, _) = S::as_mut_simd_f64s(values);
        for (vector, lanes) in vectors.iter_mut().zip(&lanes[..Self::LANES.div_ceil(S::F64_LANES)]) {
            *vector = lanes.y1;
        }
    }
}

#[inline(always)]
fn vector<S: Simd>(values: &Values, at: usize) -> S::f64s {
    S::as_simd_f64s(values).0[at]
}

#[cfg(test)]
mod tests {
    use pulp::{Arch, Scalar, Scalar128b, Scalar256b, Scalar512b};

    use super::super::cookbook::Shape;
    use super::*;

    /// One section after the other, sample by sample, is the oracle; to the last bit.
    struct Compare<const CHANNELS: usize, const COUNT: usize>;

    impl<const CHANNELS: usize, const COUNT: usize> WithSimd for Compare<CHANNELS, COUNT> {
        type Output = ();

        fn with_simd<S: Simd>(self, s: S) {
            let shapes = [Shape::Peak, Shape::LowShelf, Shape::HighPass, Shape::HighShelf, Shape::LowPass];
            let sections: [Section; COUNT] = std::array::from_fn(|at| {
                Section::design(shapes[at], 200.0 + 1_500.0 * at as f64, 9.0, 2.0, 48_000.0)
            });
            let mut noise = 1u32;
            let input: Vec<f32> = (0..300 * CHANNELS)
                .map(|_| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    noise as f32 / (1u32 << 31) as f32 - 1.0
                })
                .collect();
            let mut expected = input.clone();
            let mut expected_outputs = [[[0.0; CHANNELS]; 2]; COUNT];
            let multiply_add =
                |a: f64, b: f64, c: f64| if S::F64_LANES > 1 { a.mul_add(b, c) } else { a * b + c };
            let mut inputs = [[0.0; CHANNELS]; 2];
            for (index, sample) in expected.iter_mut().enumerate() {
                let channel = index % CHANNELS;
                let mut x = f64::from(*sample);
                let mut before = &mut inputs;
                for (section, outputs) in sections.iter().zip(&mut expected_outputs) {
                    let ([x1, x2], [y1, y2]) = (before.map(|v| v[channel]), outputs.map(|v| v[channel]));
                    let sum = multiply_add(section.b2, x2, section.b1 * x1);
                    let sum = multiply_add(section.b0, x, multiply_add(-section.a2, y2, sum));
                    let y = multiply_add(-section.a1, y1, sum);
                    (before[1][channel], before[0][channel]) = (x1, x);
                    (before, x) = (outputs, y);
                }
                let y1 = before[0][channel];
                (before[1][channel], before[0][channel]) = (y1, x);
                *sample = x as f32;
            }
            for frames in [1, 2, 3, 4, 5, 11, 12, 13, 95, 96, 97, 300] {
                let mut got = input.clone();
                let mut outputs = [[[0.0; CHANNELS]; 2]; COUNT];
                let mut before = [[0.0; CHANNELS]; 2];
                for block in got.chunks_mut(frames * CHANNELS) {
                    let mut newest = before;
                    for frame in block.chunks(CHANNELS) {
                        newest = [std::array::from_fn(|channel| f64::from(frame[channel])), newest[0]];
                    }
                    outputs = Row { sections, input: before, outputs, block }.with_simd(s);
                    before = newest;
                }
                let name = format!("{s:?}, {CHANNELS} channels, {COUNT} sections, blocks of {frames}");
                assert!(got == expected, "{name}");
                assert_eq!(outputs, expected_outputs, "{name}");
            }
        }
    }

    fn in_every_width<const CHANNELS: usize, const COUNT: usize>() {
        Arch::new().dispatch(Compare::<CHANNELS, COUNT>);
        Compare::<CHANNELS, COUNT>.with_simd(Scalar);
        Compare::<CHANNELS, COUNT>.with_simd(Scalar128b);
        Compare::<CHANNELS, COUNT>.with_simd(Scalar256b);
        Compare::<CHANNELS, COUNT>.with_simd(Scalar512b);
    }

    #[test]
    fn all_at_once_is_one_after_the_other_in_vectors_of_every_width_and_blocks_of_every_length() {
        in_every_width::<1, 1>();
        in_every_width::<1, 2>();
        in_every_width::<1, 3>();
        in_every_width::<1, 4>();
        in_every_width::<1, 5>();
        in_every_width::<2, 1>();
        in_every_width::<2, 2>();
        in_every_width::<2, 3>();
        in_every_width::<2, 4>();
        in_every_width::<2, 5>();
    }
}
