//! Five second-order sections in a row, on one or two channels.
//!
//! Direct form I in `f64`: with a low frequency at a high rate the poles lie so near to 1 that `f32` would round
//! audibly. In this form the memory is past inputs and outputs, whatever the coefficients: they can move while sound
//! passes, and a constant input stays exactly where the sections leave it. The outputs of one section are the inputs
//! of the next, so they are remembered once.

use super::biquad::FLUSH_BELOW;
use super::cookbook::Section;
use super::fused::{multiply_add, run_fused, Fusable};

/// Sections in a row.
pub(crate) const SECTIONS: usize = 5;
/// Samples that one tick has at the most: a millisecond at 96 kHz.
pub(crate) const LONGEST_TICK: usize = 96;
/// Sample frames at the end of a tick for which a [`Fade`] stands still.
const STILL: usize = 2;
/// A sample that is smaller (-600 dB) becomes 0, long before it is subnormal.
const FLUSH_SAMPLE_BELOW: f32 = 1e-30;

/// The last two values of each channel, the newer first.
type History<const CHANNELS: usize> = [[f64; CHANNELS]; 2];

/// How a section changes within one tick: in straight lines, up to its last [`STILL`] sample frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fade {
    pub(crate) from: Section,
    pub(crate) to: Section,
    /// The share of the section in what comes out, 0 to 1; the rest is its input.
    pub(crate) wet_from: f64,
    pub(crate) wet_to: f64,
}

/// The memory of the row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cascade {
    input: History<2>,
    /// What came out of each section; where there is none, what went in.
    outputs: [History<2>; SECTIONS],
    /// What the filter of a fading section gave, without what passed beside it.
    wet: [History<2>; SECTIONS],
}

impl Cascade {
    /// Works on interleaved samples in place; `None` costs nothing.
    pub(crate) fn process<const CHANNELS: usize>(
        &mut self,
        sections: &[Option<Section>; SECTIONS],
        block: &mut [f32],
    ) {
        let mut active = [0; SECTIONS];
        let mut count = 0;
        for (index, section) in sections.iter().enumerate() {
            if section.is_some() {
                active[count] = index;
                count += 1;
            }
        }
        let active = &active[..count];
        match count {
            0 => {
                let frames = block.len() / CHANNELS;
                for frame in block[frames.saturating_sub(2) * CHANNELS..].chunks_exact(CHANNELS) {
                    self.input[1] = self.input[0];
                    self.input[0][..CHANNELS].copy_from_slice(&wide::<CHANNELS>(frame));
                }
            }
            1 => self.run::<CHANNELS, 1>(sections, active, block),
            2 => self.run::<CHANNELS, 2>(sections, active, block),
            3 => self.run::<CHANNELS, 3>(sections, active, block),
            4 => self.run::<CHANNELS, 4>(sections, active, block),
            _ => self.run::<CHANNELS, SECTIONS>(sections, active, block),
        }
        let mut before = self.input;
        for (section, output) in sections.iter().zip(&mut self.outputs) {
            if section.is_none() {
                *output = before;
            }
            before = *output;
        }
    }

    fn run<const CHANNELS: usize, const COUNT: usize>(
        &mut self,
        sections: &[Option<Section>; SECTIONS],
        active: &[usize],
        block: &mut [f32],
    ) {
        let mut row = Row::<CHANNELS, COUNT>::default();
        let mut before = narrow::<CHANNELS>(&self.input);
        for (at, index) in active.iter().enumerate() {
            row.sections[at] = sections[*index].unwrap_or_default();
            [row.x1[at], row.x2[at]] = before;
            before = narrow(&self.outputs[*index]);
            [row.y1[at], row.y2[at]] = before;
        }
        run_fused(Through { row: &mut row, block });
        store(&mut self.input, &[row.x1[0], row.x2[0]]);
        for (at, index) in active.iter().enumerate() {
            store(&mut self.outputs[*index], &[row.y1[at], row.y2[at]]);
        }
    }

    /// The same for one tick, or a part of one, in which sections change. `seen` sample frames of the tick's
    /// `tick_samples` lie before `block`.
    pub(crate) fn process_fading<const CHANNELS: usize>(
        &mut self,
        fades: &[Option<Fade>; SECTIONS],
        (seen, tick_samples): (usize, usize),
        block: &mut [f32],
    ) {
        let mut row = [[0.0; CHANNELS]; LONGEST_TICK];
        let frames = block.len() / CHANNELS;
        let row = &mut row[..frames];
        for (values, frame) in row.iter_mut().zip(block.chunks_exact(CHANNELS)) {
            *values = wide::<CHANNELS>(frame);
        }
        let mut before = narrow::<CHANNELS>(&self.input);
        let mut newest = before;
        row.iter().for_each(|x| newest = [*x, newest[0]]);
        store(&mut self.input, &newest);
        for (index, fade) in fades.iter().enumerate() {
            let last = narrow::<CHANNELS>(&self.outputs[index]);
            if let Some(fade) = fade {
                let mut wet = narrow::<CHANNELS>(&self.wet[index]);
                for (at, x) in row.iter_mut().enumerate() {
                    let share = ((seen + at + 1) as f64 / (tick_samples - STILL) as f64).min(1.0);
                    let section = fade.from.toward(&fade.to, share);
                    let y = std::array::from_fn(|channel| {
                        let inputs = [x[channel], before[0][channel], before[1][channel]];
                        output::<false>(&section, inputs, wet.map(|values| values[channel]))
                    });
                    let mix = fade.wet_from + share * (fade.wet_to - fade.wet_from);
                    before = [*x, before[0]];
                    wet = [y, wet[0]];
                    *x = std::array::from_fn(|channel| x[channel] + mix * (y[channel] - x[channel]));
                }
                store(&mut self.wet[index], &wet);
            }
            let mut newest = last;
            row.iter().for_each(|x| newest = [*x, newest[0]]);
            store(&mut self.outputs[index], &newest);
            before = last;
        }
        for (values, frame) in row.iter().zip(block.chunks_exact_mut(CHANNELS)) {
            give(values, frame);
        }
    }

    /// Section `index`, so far without effect, is to fade in: as if all that went in had come out.
    pub(crate) fn begin(&mut self, index: usize) {
        self.wet[index] = if index == 0 { self.input } else { self.outputs[index - 1] };
    }

    /// Section `index`, so far steady, is to change.
    pub(crate) fn loosen(&mut self, index: usize) {
        self.wet[index] = self.outputs[index];
    }

    /// Sets memory that has faded to nothing to zero, each section's for itself: a high one is silent long before a low
    /// one. To be called now and then, at fixed places of the stream.
    #[inline]
    pub(crate) fn flush(&mut self) {
        let histories = self.outputs.iter_mut().chain(&mut self.wet).chain([&mut self.input]);
        for history in histories {
            if history.iter().flatten().all(|value| value.abs() < FLUSH_BELOW) {
                *history = History::default();
            }
        }
    }
}

/// Sections at work, each one sample behind the one before it. So no section waits for another within a step, and all of
/// them are computed together; at the beginning and at the end of a block some have nothing to do.
#[derive(Clone, Copy)]
struct Row<const CHANNELS: usize, const COUNT: usize> {
    sections: [Section; COUNT],
    /// The last inputs and outputs of each, those with 1 the newer.
    x1: [[f64; CHANNELS]; COUNT],
    x2: [[f64; CHANNELS]; COUNT],
    y1: [[f64; CHANNELS]; COUNT],
    y2: [[f64; CHANNELS]; COUNT],
}

impl<const CHANNELS: usize, const COUNT: usize> Default for Row<CHANNELS, COUNT> {
    fn default() -> Self {
        let zero = [[0.0; CHANNELS]; COUNT];
        Row { sections: [Section::default(); COUNT], x1: zero, x2: zero, y1: zero, y2: zero }
    }
}

impl<const CHANNELS: usize, const COUNT: usize> Row<CHANNELS, COUNT> {
    /// By how many samples the last section is behind the first.
    const LAST: usize = COUNT - 1;

    #[inline(always)]
    fn process<const FUSED: bool>(&mut self, block: &mut [f32]) {
        let frames = block.len() / CHANNELS;
        for step in 0..Self::LAST {
            self.some::<FUSED>(step, frames, block);
        }
        if frames > Self::LAST {
            let mut row = *self;
            for step in Self::LAST..frames {
                let input = wide(&block[step * CHANNELS..][..CHANNELS]);
                (0..COUNT).rev().for_each(|at| {
                    let x = if at == 0 { input } else { row.y1[at - 1] };
                    row.section::<FUSED>(at, x);
                });
                give(&row.y1[Self::LAST], &mut block[(step - Self::LAST) * CHANNELS..][..CHANNELS]);
            }
            *self = row;
        }
        for step in frames.max(Self::LAST)..frames + Self::LAST {
            self.some::<FUSED>(step, frames, block);
        }
    }

    /// A step in which some sections have no sample of this block.
    #[inline(always)]
    fn some<const FUSED: bool>(&mut self, step: usize, frames: usize, block: &mut [f32]) {
        // The last first, for it takes what the one before it gave in the step before.
        for at in (0..COUNT).rev().filter(|at| *at <= step && step - *at < frames) {
            let x = if at == 0 { wide(&block[step * CHANNELS..][..CHANNELS]) } else { self.y1[at - 1] };
            self.section::<FUSED>(at, x);
            if at == Self::LAST {
                give(&self.y1[at], &mut block[(step - at) * CHANNELS..][..CHANNELS]);
            }
        }
    }

    #[inline(always)]
    fn section<const FUSED: bool>(&mut self, at: usize, x: [f64; CHANNELS]) {
        let (x1, y1) = (self.x1[at], self.y1[at]);
        for channel in 0..CHANNELS {
            let inputs = [x[channel], x1[channel], self.x2[at][channel]];
            let outputs = [y1[channel], self.y2[at][channel]];
            self.y1[at][channel] = output::<FUSED>(&self.sections[at], inputs, outputs);
        }
        (self.x1[at], self.x2[at], self.y2[at]) = (x, x1, y1);
    }
}

/// A block through the row.
struct Through<'a, const CHANNELS: usize, const COUNT: usize> {
    row: &'a mut Row<CHANNELS, COUNT>,
    block: &'a mut [f32],
}

impl<const CHANNELS: usize, const COUNT: usize> Fusable for Through<'_, CHANNELS, COUNT> {
    #[inline(always)]
    fn run<const FUSED: bool>(self) {
        self.row.process::<FUSED>(self.block);
    }
}

/// The difference equation, of the last three inputs and two outputs, the newest first. What does not need the last output
/// is summed first, so that it is ready when that arrives.
#[inline(always)]
fn output<const FUSED: bool>(section: &Section, [x, x1, x2]: [f64; 3], [y1, y2]: [f64; 2]) -> f64 {
    let Section { b0, b1, b2, a1, a2 } = *section;
    let early = multiply_add::<FUSED>(b2, x2, b1 * x1);
    let early = multiply_add::<FUSED>(b0, x, multiply_add::<FUSED>(-a2, y2, early));
    multiply_add::<FUSED>(-a1, y1, early)
}

#[inline(always)]
fn wide<const CHANNELS: usize>(frame: &[f32]) -> [f64; CHANNELS] {
    std::array::from_fn(|channel| f64::from(frame[channel]))
}

/// Finite, and never subnormal.
#[inline(always)]
fn give<const CHANNELS: usize>(values: &[f64; CHANNELS], frame: &mut [f32]) {
    for (sample, value) in frame.iter_mut().zip(values) {
        let value = (*value as f32).clamp(-f32::MAX, f32::MAX);
        *sample = if value.abs() < FLUSH_SAMPLE_BELOW { 0.0 } else { value };
    }
}

#[inline(always)]
fn narrow<const CHANNELS: usize>(history: &History<2>) -> History<CHANNELS> {
    history.map(|values| std::array::from_fn(|channel| values[channel]))
}

#[inline(always)]
fn store<const CHANNELS: usize>(into: &mut History<2>, from: &History<CHANNELS>) {
    for (into, from) in into.iter_mut().zip(from) {
        into[..CHANNELS].copy_from_slice(from);
    }
}
