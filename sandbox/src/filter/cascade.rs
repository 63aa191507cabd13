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
            _ if CHANNELS == 1 => match count.div_ceil(2) {
                1 => self.run::<CHANNELS, 1>(sections, active, block),
                2 => self.run::<CHANNELS, 2>(sections, active, block),
                _ => self.run::<CHANNELS, 3>(sections, active, block),
            },
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

    fn run<const CHANNELS: usize, const COLUMNS: usize>(
        &mut self,
        sections: &[Option<Section>; SECTIONS],
        active: &[usize],
        block: &mut [f32],
    ) {
        let mut lanes = Lanes::<CHANNELS, COLUMNS>::new();
        let mut before = self.input;
        for (at, index) in active.iter().enumerate() {
            lanes.load(at, &sections[*index].unwrap_or_default(), &before, &self.outputs[*index]);
            before = self.outputs[*index];
        }
        // What is left over in the second lane does nothing.
        for at in active.len()..Lanes::<CHANNELS, COLUMNS>::SECTIONS {
            lanes.load(at, &Section { b0: 1.0, ..Section::default() }, &before, &before);
        }
        lanes.process(block);
        self.input = Lanes::<CHANNELS, COLUMNS>::history(0, &lanes.x1, &lanes.x2);
        for (at, index) in active.iter().enumerate() {
            self.outputs[*index] = Lanes::<CHANNELS, COLUMNS>::history(at, &lanes.y1, &lanes.y2);
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

/// Sections at work, two lanes side by side in each register.
///
/// With two channels each has a lane, and a column is a section. With one channel the first half of the sections has the
/// first lane, the second half the other one: `0 1 2` above `3 4 5`, where what comes out of 2 goes into 3.
///
/// Each column is one sample behind the one before it (and the second half behind the first). So no section waits for
/// another within a step, and all of them are computed together; at the beginning and at the end of a block some have
/// nothing to do.
#[derive(Clone, Copy)]
struct Lanes<const CHANNELS: usize, const COLUMNS: usize> {
    b0: [[f64; 2]; COLUMNS],
    b1: [[f64; 2]; COLUMNS],
    b2: [[f64; 2]; COLUMNS],
    a1: [[f64; 2]; COLUMNS],
    a2: [[f64; 2]; COLUMNS],
    x1: [[f64; 2]; COLUMNS],
    x2: [[f64; 2]; COLUMNS],
    y1: [[f64; 2]; COLUMNS],
    y2: [[f64; 2]; COLUMNS],
}

impl<const CHANNELS: usize, const COLUMNS: usize> Lanes<CHANNELS, COLUMNS> {
    const SECTIONS: usize = if CHANNELS == 1 { 2 * COLUMNS } else { COLUMNS };
    /// By how many samples the last section is behind the first.
    const LAST: usize = Self::SECTIONS - 1;

    fn new() -> Self {
        let zero = [[0.0; 2]; COLUMNS];
        Lanes { b0: zero, b1: zero, b2: zero, a1: zero, a2: zero, x1: zero, x2: zero, y1: zero, y2: zero }
    }

    /// Column and lane of a channel's section.
    fn place(section: usize, channel: usize) -> (usize, usize) {
        if CHANNELS == 1 {
            (section % COLUMNS, section / COLUMNS)
        } else {
            (section, channel)
        }
    }

    fn load(&mut self, at: usize, section: &Section, inputs: &History<2>, outputs: &History<2>) {
        for channel in 0..CHANNELS {
            let (column, lane) = Self::place(at, channel);
            self.b0[column][lane] = section.b0;
            self.b1[column][lane] = section.b1;
            self.b2[column][lane] = section.b2;
            self.a1[column][lane] = section.a1;
            self.a2[column][lane] = section.a2;
            (self.x1[column][lane], self.x2[column][lane]) = (inputs[0][channel], inputs[1][channel]);
            (self.y1[column][lane], self.y2[column][lane]) = (outputs[0][channel], outputs[1][channel]);
        }
    }

    /// What a section remembers, out of the newer and the older values of all.
    fn history(at: usize, newer: &[[f64; 2]; COLUMNS], older: &[[f64; 2]; COLUMNS]) -> History<2> {
        [newer, older].map(|values| {
            std::array::from_fn(|channel| {
                let (column, lane) = Self::place(at, channel.min(CHANNELS - 1));
                values[column][lane]
            })
        })
    }

    fn process(&mut self, block: &mut [f32]) {
        let frames = block.len() / CHANNELS;
        for step in 0..Self::LAST {
            self.some(step, frames, block);
        }
        if frames > Self::LAST {
            let mut lanes = *self;
            for step in Self::LAST..frames {
                let y = lanes.all(wide::<CHANNELS>(&block[step * CHANNELS..][..CHANNELS]));
                give(&y, &mut block[(step - Self::LAST) * CHANNELS..][..CHANNELS]);
            }
            *self = lanes;
        }
        for step in frames.max(Self::LAST)..frames + Self::LAST {
            self.some(step, frames, block);
        }
    }

    #[inline(always)]
    fn all(&mut self, input: [f64; CHANNELS]) -> [f64; CHANNELS] {
        let last = COLUMNS - 1;
        let mut x =
            if CHANNELS == 1 { [input[0], self.y1[last][0]] } else { [input[0], input[CHANNELS - 1]] };
        for at in 0..COLUMNS {
            let next = self.y1[at];
            let mut y = [0.0; 2];
            for lane in 0..2 {
                // What does not need the last output is summed first, so that it is ready when that arrives.
                let early = (self.b1[at][lane] * self.x1[at][lane] + self.b2[at][lane] * self.x2[at][lane])
                    - self.a2[at][lane] * self.y2[at][lane];
                y[lane] = (self.b0[at][lane] * x[lane] + early) - self.a1[at][lane] * next[lane];
            }
            (self.x2[at], self.x1[at]) = (self.x1[at], x);
            (self.y2[at], self.y1[at]) = (next, y);
            x = next;
        }
        let y = self.y1[last];
        std::array::from_fn(|channel| if CHANNELS == 1 { y[1] } else { y[channel] })
    }

    /// A step in which some sections have no sample of this block.
    fn some(&mut self, step: usize, frames: usize, block: &mut [f32]) {
        // The last first, for it takes what the one before it gave in the step before.
        for section in
            (0..Self::SECTIONS).rev().filter(|section| *section <= step && step - *section < frames)
        {
            for channel in 0..CHANNELS {
                let (at, lane) = Self::place(section, channel);
                let x = if section == 0 {
                    f64::from(block[step * CHANNELS + channel])
                } else {
                    let (before, lane) = Self::place(section - 1, channel);
                    self.y1[before][lane]
                };
                let of = |values: &[[f64; 2]; COLUMNS]| values[at][lane];
                let coefficients = Section {
                    b0: of(&self.b0),
                    b1: of(&self.b1),
                    b2: of(&self.b2),
                    a1: of(&self.a1),
                    a2: of(&self.a2),
                };
                let (x1, x2, y1, y2) = (of(&self.x1), of(&self.x2), of(&self.y1), of(&self.y2));
                let y = output(&coefficients, &[x], &[[x1], [x2]], &[[y1], [y2]]);
                (self.x2[at][lane], self.x1[at][lane]) = (x1, x);
                (self.y2[at][lane], self.y1[at][lane]) = (y1, y[0]);
                if section == Self::LAST {
                    give(&y, &mut block[(step - Self::LAST) * CHANNELS + channel..][..1]);
                }
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
