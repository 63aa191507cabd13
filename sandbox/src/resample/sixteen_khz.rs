//! Any stream as 16 kHz mono, for what only listens: cheaper than a [`Resampler`](super::Resampler), and never heard.
//!
//! ```text
//!  sample frames -> mono -> line -> a row of the kernel for each new sample, by where it lies between two old ones
//! ```
//!
//! A windowed-sinc low-pass evaluated at the instants of the new rate (J. O. Smith, "Digital Audio Resampling", the
//! windowed-sinc interpolation formula), with its rows tabulated at 32 fractions of a sample. That is exact for rates
//! in a simple ratio to 16 kHz (8, 12, 16, 24, 32, 48, 96 kHz); for the others an instant is off by at most a 64th of an
//! input sample, which is noise below -40 dB at the band's upper end: detectors, not ears, are fed with it.

use std::f64::consts::PI;

use pulp::{Arch, Simd, WithSimd};

use super::convolve::dot;
use super::filter::{Taps, TAPS_UNIT};
use crate::filter::windowed_sinc::sinc;
use crate::Stream;

/// What comes out, in Hz.
pub(crate) const SIXTEEN_KHZ: u32 = 16_000;

const FRACTIONS: usize = 32;
/// So many chunks a second are taken in: each is 10 ms.
const CHUNKS_PER_SECOND: u32 = 100;
/// Input frames of a chunk at the highest rate.
const LONGEST_CHUNK: usize = (96_000 / CHUNKS_PER_SECOND) as usize;
/// Samples that a chunk makes at the most.
const MOST_MADE: usize = (SIXTEEN_KHZ / CHUNKS_PER_SECOND) as usize + 2;

/// How sharp the low-pass is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Kernel {
    /// Zero crossings of the sinc, both sides together. Even; 16 at the most.
    pub(crate) crossings: usize,
    /// The -6 dB point, as a part of the lower of both Nyquist frequencies.
    pub(crate) cutoff: f64,
}

/// One stream on its way to 16 kHz.
#[derive(Debug, Clone)]
pub(crate) struct ToSixteenKhz {
    stream: Stream,
    kernel: Kernel,
    /// Input samples that a new one is made of; and the same in whole vectors, with zeros behind them.
    reach: usize,
    taps: usize,
    /// `FRACTIONS + 1` rows of `taps` coefficients.
    rows: Box<[Taps]>,
    /// Mono input: what the next samples still need, then the chunk.
    line: Box<[f32]>,
    /// Samples in `line`.
    filled: usize,
    cursor: Cursor,
    made: Box<[f32; MOST_MADE]>,
    /// How many the last chunk made.
    count: usize,
    arch: Arch,
}

/// Where in the line the next sample's row begins, and how far past it (in parts of 16,000 of a sample).
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    first: usize,
    behind: u32,
}

impl ToSixteenKhz {
    pub(crate) fn new(stream: Stream, kernel: Kernel) -> ToSixteenKhz {
        let most_taps = (6 * kernel.crossings).next_multiple_of(TAPS_UNIT);
        let mut made = ToSixteenKhz {
            stream,
            kernel,
            reach: 0,
            taps: 0,
            rows: vec![Taps([0.0; TAPS_UNIT]); (FRACTIONS + 1) * most_taps / TAPS_UNIT].into_boxed_slice(),
            line: vec![0.0; most_taps + LONGEST_CHUNK].into_boxed_slice(),
            filled: 0,
            cursor: Cursor::default(),
            made: Box::new([0.0; MOST_MADE]),
            count: 0,
            arch: Arch::new(),
        };
        made.design();
        made.begin();
        made
    }

    /// Begins a new stream. Allocates nothing.
    pub(crate) fn start(&mut self, stream: Stream) {
        let same_rate = self.stream.sample_rate_hz == stream.sample_rate_hz;
        self.stream = stream;
        if !same_rate {
            self.design();
        }
        self.begin();
    }

    /// The first row is centred on the first sample: before that there was silence.
    fn begin(&mut self) {
        self.line.fill(0.0);
        self.filled = self.reach / 2 - 1;
        self.cursor = Cursor::default();
        self.count = 0;
    }

    fn design(&mut self) {
        let Kernel { crossings, cutoff } = self.kernel;
        let ratio = f64::from(self.stream.sample_rate_hz) / f64::from(SIXTEEN_KHZ);
        let wide = ratio.max(1.0);
        self.reach = ((crossings as f64 * wide / 8.0).ceil() as usize * 8).min(6 * crossings);
        self.taps = self.reach.next_multiple_of(TAPS_UNIT);
        let half = self.reach as f64 / 2.0;
        for (number, row) in self.rows.chunks_exact_mut(self.taps / TAPS_UNIT).take(FRACTIONS + 1).enumerate()
        {
            let fraction = number as f64 / FRACTIONS as f64;
            let value = |tap: usize| {
                let time = tap as f64 - (half - 1.0) - fraction;
                let hann = 0.5 + 0.5 * (PI * (time / half).clamp(-1.0, 1.0)).cos();
                sinc(cutoff / wide * time) * hann
            };
            let sum: f64 = (0..self.reach).map(value).sum();
            for (tap, coefficient) in row.iter_mut().flat_map(|taps| &mut taps.0).enumerate() {
                *coefficient = if tap < self.reach { (value(tap) / sum) as f32 } else { 0.0 };
            }
        }
    }

    /// Converts whole sample frames; hands the new samples to `out`, those of up to 10 ms at a time. How the stream is cut
    /// makes no difference to a sample. Two channels are heard as their mean.
    pub(crate) fn process(&mut self, block: &[f32], mut out: impl FnMut(&[f32])) {
        let channels = self.stream.channels;
        let chunk_frames = (self.stream.sample_rate_hz / CHUNKS_PER_SECOND) as usize;
        for chunk in block.chunks(chunk_frames * channels) {
            let room = &mut self.line[self.filled..][..chunk.len() / channels];
            self.filled += room.len();
            if channels == 1 {
                room.copy_from_slice(chunk);
            } else {
                for (mono, frame) in room.iter_mut().zip(chunk.chunks_exact(2)) {
                    *mono = 0.5 * (frame[0] + frame[1]);
                }
            }
            self.count = self.arch.dispatch(Make {
                sample_rate_hz: self.stream.sample_rate_hz,
                rows: &self.rows,
                taps: self.taps,
                line: &self.line[..self.filled],
                cursor: &mut self.cursor,
                made: &mut self.made[..],
            });
            out(&self.made[..self.count]);
            // What the next row covers stays.
            let gone = self.cursor.first.min(self.filled);
            self.line.copy_within(gone..self.filled, 0);
            self.filled -= gone;
            self.cursor.first -= gone;
        }
    }

    /// What the last call of [`process`](Self::process) handed out last: all of it for a block of up to 10 ms.
    pub(crate) fn last(&self) -> &[f32] {
        &self.made[..self.count]
    }
}

/// Makes all the samples that the line allows, and tells how many.
struct Make<'a> {
    sample_rate_hz: u32,
    rows: &'a [Taps],
    taps: usize,
    line: &'a [f32],
    cursor: &'a mut Cursor,
    made: &'a mut [f32],
}

impl WithSimd for Make<'_> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let Self { sample_rate_hz, rows, taps, line, cursor, made } = self;
        let units = taps / TAPS_UNIT;
        let (whole, rest) = (sample_rate_hz / SIXTEEN_KHZ, sample_rate_hz % SIXTEEN_KHZ);
        let Cursor { mut first, mut behind } = *cursor;
        let mut count = 0;
        for sample in made {
            let Some(window) = line.get(first..first + taps) else { break };
            let row = ((behind * FRACTIONS as u32 + SIXTEEN_KHZ / 2) / SIXTEEN_KHZ) as usize;
            *sample = dot(simd, window, &rows[row * units..][..units]);
            count += 1;
            first += whole as usize;
            behind += rest;
            if behind >= SIXTEEN_KHZ {
                behind -= SIXTEEN_KHZ;
                first += 1;
            }
        }
        *cursor = Cursor { first, behind };
        count
    }
}
