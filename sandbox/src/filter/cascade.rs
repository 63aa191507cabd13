//! Five second-order sections in a row, on one or two channels.
//!
//! Direct form I in `f64`: with a low frequency at a high rate the poles lie so near to 1 that `f32` would round
//! audibly. In this form the memory is past inputs and outputs, whatever the coefficients: they can move while sound
//! passes, and a constant input stays exactly where the sections leave it. The outputs of one section are the inputs
//! of the next, so they are remembered once.

use super::biquad::FLUSH_BELOW;
use super::cookbook::Section;

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
            // Sections that do nothing make the number even, for two fit into one register.
            1 | 2 => self.run::<CHANNELS, 2>(sections, active, block),
            3 | 4 => self.run::<CHANNELS, 4>(sections, active, block),
            _ => self.run::<CHANNELS, 6>(sections, active, block),
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
        let mut row = Row::<CHANNELS, COUNT>::new();
        let mut before = narrow(&self.input);
        for (at, index) in active.iter().enumerate() {
            let outputs = narrow(&self.outputs[*index]);
            row.load(at, &sections[*index].unwrap_or_default(), &before, &outputs);
            before = outputs;
        }
        for at in active.len()..COUNT {
            row.load(at, &Section { b0: 1.0, ..Section::default() }, &before, &before);
        }
        row.process(block);
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
                    let y = output(&fade.from.toward(&fade.to, share), x, &before, &wet);
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

/// Sections at work, their numbers side by side.
///
/// Each section is one sample behind the one before it. So none waits for another within a step, and all of them are
/// computed together; at the beginning and at the end of a block some have nothing to do.
struct Row<const CHANNELS: usize, const COUNT: usize> {
    b0: [f64; COUNT],
    b1: [f64; COUNT],
    b2: [f64; COUNT],
    a1: [f64; COUNT],
    a2: [f64; COUNT],
    x1: [[f64; CHANNELS]; COUNT],
    x2: [[f64; CHANNELS]; COUNT],
    y1: [[f64; CHANNELS]; COUNT],
    y2: [[f64; CHANNELS]; COUNT],
}

impl<const CHANNELS: usize, const COUNT: usize> Row<CHANNELS, COUNT> {
    const LAST: usize = COUNT - 1;

    fn new() -> Self {
        let (coefficients, values) = ([0.0; COUNT], [[0.0; CHANNELS]; COUNT]);
        Row {
            b0: coefficients,
            b1: coefficients,
            b2: coefficients,
            a1: coefficients,
            a2: coefficients,
            x1: values,
            x2: values,
            y1: values,
            y2: values,
        }
    }

    fn load(
        &mut self,
        at: usize,
        section: &Section,
        inputs: &History<CHANNELS>,
        outputs: &History<CHANNELS>,
    ) {
        let Section { b0, b1, b2, a1, a2 } = *section;
        (self.b0[at], self.b1[at], self.b2[at], self.a1[at], self.a2[at]) = (b0, b1, b2, a1, a2);
        [self.x1[at], self.x2[at]] = *inputs;
        [self.y1[at], self.y2[at]] = *outputs;
    }

    fn process(&mut self, block: &mut [f32]) {
        let frames = block.len() / CHANNELS;
        for step in 0..Self::LAST {
            self.some(step, frames, block);
        }
        for step in Self::LAST..frames {
            self.all(wide::<CHANNELS>(&block[step * CHANNELS..][..CHANNELS]));
            give(&self.y1[Self::LAST], &mut block[(step - Self::LAST) * CHANNELS..][..CHANNELS]);
        }
        for step in frames.max(Self::LAST)..frames + Self::LAST {
            self.some(step, frames, block);
        }
    }

    #[inline(always)]
    fn all(&mut self, input: [f64; CHANNELS]) {
        let mut x = [input; COUNT];
        x[1..].copy_from_slice(&self.y1[..Self::LAST]);
        let mut y = [[0.0; CHANNELS]; COUNT];
        for at in 0..COUNT {
            for channel in 0..CHANNELS {
                // What does not need the last output is summed first, so that it is ready when that arrives.
                let early = (self.b1[at] * self.x1[at][channel] + self.b2[at] * self.x2[at][channel])
                    - self.a2[at] * self.y2[at][channel];
                y[at][channel] = (self.b0[at] * x[at][channel] + early) - self.a1[at] * self.y1[at][channel];
            }
        }
        (self.x2, self.x1) = (self.x1, x);
        (self.y2, self.y1) = (self.y1, y);
    }

    /// A step in which some sections have no sample of this block.
    fn some(&mut self, step: usize, frames: usize, block: &mut [f32]) {
        // The last first, for it takes what the one before it gave in the step before.
        for at in (0..COUNT).rev().filter(|at| *at <= step && step - *at < frames) {
            let x = if at == 0 { wide(&block[step * CHANNELS..][..CHANNELS]) } else { self.y1[at - 1] };
            let Row { b0, b1, b2, a1, a2, .. } = &*self;
            let section = Section { b0: b0[at], b1: b1[at], b2: b2[at], a1: a1[at], a2: a2[at] };
            let y = output(&section, &x, &[self.x1[at], self.x2[at]], &[self.y1[at], self.y2[at]]);
            (self.x2[at], self.x1[at]) = (self.x1[at], x);
            (self.y2[at], self.y1[at]) = (self.y1[at], y);
            if at == Self::LAST {
                give(&y, &mut block[(step - Self::LAST) * CHANNELS..][..CHANNELS]);
            }
        }
    }
}

/// The difference equation, in the same order as above.
#[inline(always)]
fn output<const CHANNELS: usize>(
    section: &Section,
    x: &[f64; CHANNELS],
    [x1, x2]: &History<CHANNELS>,
    [y1, y2]: &History<CHANNELS>,
) -> [f64; CHANNELS] {
    let Section { b0, b1, b2, a1, a2 } = *section;
    std::array::from_fn(|c| (b0 * x[c] + ((b1 * x1[c] + b2 * x2[c]) - a2 * y2[c])) - a1 * y1[c])
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
