//! Five second-order sections in a row, on one or two channels.
//!
//! Direct form I in `f64`: with a low frequency at a high rate the poles lie so near to 1 that `f32` would round
//! audibly. In this form the memory is past inputs and outputs, whatever the coefficients: they can move while sound
//! passes, and a constant input stays exactly where the sections leave it. The outputs of one section are the inputs
//! of the next, so they are remembered once.

use pulp::{Arch, Scalar};

use super::biquad::FLUSH_BELOW;
use super::cookbook::Section;
use super::row::{early, give, output, Factors, History, Row};

/// Sections in a row.
pub(crate) const SECTIONS: usize = 5;
/// Samples that one tick has at the most: a millisecond at 96 kHz.
pub(crate) const LONGEST_TICK: usize = 96;
/// Sample frames at the end of a tick for which a [`Fade`] stands still.
const STILL: usize = 2;

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
            0 => self.remember_input::<CHANNELS>(block),
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
        let outputs = std::array::from_fn(|at| narrow(&self.outputs[active[at]]));
        let row = Row::<CHANNELS, COUNT> {
            sections: std::array::from_fn(|at| sections[active[at]].unwrap_or_default()),
            input: narrow(&self.input),
            outputs,
            block,
        };
        self.remember_input::<CHANNELS>(row.block);
        let outputs = Arch::new().dispatch(row);
        for (index, output) in active.iter().zip(&outputs) {
            store(&mut self.outputs[*index], output);
        }
    }

    fn remember_input<const CHANNELS: usize>(&mut self, block: &[f32]) {
        let frames = block.len() / CHANNELS;
        for frame in block[frames.saturating_sub(2) * CHANNELS..].chunks_exact(CHANNELS) {
            self.input[1] = self.input[0];
            self.input[0][..CHANNELS].copy_from_slice(&wide::<CHANNELS>(frame));
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
                    let by = Factors::from(fade.from.toward(&fade.to, share));
                    let y = std::array::from_fn(|channel| {
                        let [y1, y2] = wet.map(|values| values[channel]);
                        let early = early(Scalar, &by, before.map(|values| values[channel]), y2);
                        output(Scalar, &by, early, x[channel], y1)
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
            for (sample, value) in frame.iter_mut().zip(values) {
                *sample = give(*value);
            }
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

#[inline(always)]
fn wide<const CHANNELS: usize>(frame: &[f32]) -> [f64; CHANNELS] {
    std::array::from_fn(|channel| f64::from(frame[channel]))
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
