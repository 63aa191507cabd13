//! Brings a stream of any rate to 16 kHz mono, for the voice detector: cheaply, and well enough for that only. (What
//! is heard goes through a real resampler.)
//!
//! Each sample that is made is the convolution of the input with a Hann-windowed sinc around its place in time, taken
//! from a table of up to 32 fractions of a sample. Where the rate's ratio to 16 kHz needs more of them (22.05, 44.1 kHz),
//! the next lower one is taken, which jitters by 1/32 sample: errors 40 dB down, at places where a detector of speech
//! does not look. Between 6.5 and 8 kHz the response falls, and aliases are around -40 dB.

use std::f64::consts::PI;

use crate::Stream;

/// What comes out, in Hz.
pub(super) const RATE_HZ: usize = 16_000;

/// Zero crossings of the sinc on each side.
const CROSSINGS: f64 = 4.0;
const MAX_FRACTIONS: usize = 32;
/// Coefficients of a fraction at 96 kHz; a multiple of `LANES` at every rate.
const MAX_TAPS: usize = 48;
const LANES: usize = 8;
/// Room for what the convolution reaches back to, and for some new samples.
const BUFFER: usize = 512;

/// One stream on its way to 16 kHz.
#[derive(Debug, Clone)]
pub(super) struct ToSixteenKhz {
    stream: Stream,
    taps: usize,
    fractions: usize,
    /// `fractions` times `taps` coefficients.
    table: Box<[f32; MAX_FRACTIONS * MAX_TAPS]>,
    /// Mono input not yet done with; what lies before `first` is.
    buffer: Box<[f32; BUFFER]>,
    filled: usize,
    /// Where in the buffer the next convolution begins.
    first: usize,
    /// How far behind an input sample the next sample lies, in parts of 16,000.
    behind: usize,
}

impl ToSixteenKhz {
    pub(super) fn new(stream: Stream) -> ToSixteenKhz {
        let mut made = ToSixteenKhz {
            stream,
            taps: 0,
            fractions: 0,
            table: Box::new([0.0; MAX_FRACTIONS * MAX_TAPS]),
            buffer: Box::new([0.0; BUFFER]),
            filled: 0,
            first: 0,
            behind: 0,
        };
        made.make_table();
        made.begin();
        made
    }

    pub(super) fn start(&mut self, stream: Stream) {
        let rate_changed = stream.sample_rate_hz != self.stream.sample_rate_hz;
        self.stream = stream;
        if rate_changed {
            self.make_table();
        }
        self.begin();
    }

    /// Hands every sample at 16 kHz that `block` (whole sample frames) completes to `out`.
    pub(super) fn process(&mut self, block: &[f32], mut out: impl FnMut(f32)) {
        let channels = self.stream.channels;
        let mut rest = block;
        while rest.len() >= channels {
            if self.filled == BUFFER {
                self.make_room();
            }
            let frames = (BUFFER - self.filled).min(rest.len() / channels);
            let (part, behind) = rest.split_at(frames * channels);
            let room = &mut self.buffer[self.filled..self.filled + frames];
            if channels == 1 {
                room.copy_from_slice(part);
            } else {
                let mixed = part.chunks_exact(2).map(|frame| 0.5 * (frame[0] + frame[1]));
                room.iter_mut().zip(mixed).for_each(|(place, sample)| *place = sample);
            }
            self.filled += frames;
            rest = behind;
            match self.taps {
                8 => self.convolve::<8>(&mut out),
                16 => self.convolve::<16>(&mut out),
                24 => self.convolve::<24>(&mut out),
                32 => self.convolve::<32>(&mut out),
                40 => self.convolve::<40>(&mut out),
                _ => self.convolve::<MAX_TAPS>(&mut out),
            }
        }
    }

    /// Makes all the samples that what is in the buffer allows. `TAPS` is `taps`, known to the compiler.
    fn convolve<const TAPS: usize>(&mut self, out: &mut impl FnMut(f32)) {
        let rate = self.stream.sample_rate_hz as usize;
        let (steps, rest) = (rate / RATE_HZ, rate % RATE_HZ);
        while self.first + TAPS <= self.filled {
            let fraction = self.behind * self.fractions / RATE_HZ;
            let coefficients = &self.table[fraction * TAPS..][..TAPS];
            out(product::<TAPS>(coefficients, &self.buffer[self.first..][..TAPS]));
            self.first += steps;
            self.behind += rest;
            if self.behind >= RATE_HZ {
                self.behind -= RATE_HZ;
                self.first += 1;
            }
        }
    }

    fn make_room(&mut self) {
        // A convolution reaches further than a step, so `first` never lies behind what is filled.
        self.buffer.copy_within(self.first..self.filled, 0);
        self.filled -= self.first;
        self.first = 0;
    }

    /// Silence before the stream, so that the first sample that is made lies at its beginning.
    fn begin(&mut self) {
        let before = self.taps / 2 - 1;
        self.buffer[..before].fill(0.0);
        (self.filled, self.first, self.behind) = (before, 0, 0);
    }

    fn make_table(&mut self) {
        let rate = self.stream.sample_rate_hz as usize;
        let ratio = (rate as f64 / RATE_HZ as f64).max(1.0);
        self.taps = ((2.0 * CROSSINGS * ratio) as usize).next_multiple_of(LANES).min(MAX_TAPS);
        self.fractions = (RATE_HZ / common_divisor(rate, RATE_HZ)).min(MAX_FRACTIONS);
        // Half the window's width in input samples; the sinc's first zero lies where the slower rate's samples do.
        let reach = self.taps as f64 / 2.0;
        for (fraction, coefficients) in
            self.table.chunks_exact_mut(self.taps).take(self.fractions).enumerate()
        {
            let at = reach - 1.0 + fraction as f64 / self.fractions as f64;
            let value = |tap: usize| {
                let distance = tap as f64 - at;
                let sinc = if distance == 0.0 {
                    1.0
                } else {
                    (PI * distance / ratio).sin() / (PI * distance / ratio)
                };
                sinc * (0.5 + 0.5 * (PI * distance / reach).cos())
            };
            let sum: f64 = (0..self.taps).map(value).sum();
            coefficients.iter_mut().enumerate().for_each(|(tap, place)| *place = (value(tap) / sum) as f32);
        }
    }
}

/// The sum of the products of `TAPS` pairs (a multiple of eight), in lanes that are added up in a fixed order.
#[inline]
pub(super) fn product<const TAPS: usize>(coefficients: &[f32], samples: &[f32]) -> f32 {
    let (coefficients, samples) = (&coefficients[..TAPS], &samples[..TAPS]);
    let mut lanes = [0.0f32; LANES];
    for chunk in 0..TAPS / LANES {
        for lane in 0..LANES {
            lanes[lane] += coefficients[chunk * LANES + lane] * samples[chunk * LANES + lane];
        }
    }
    // In the order that suits lanes side by side best.
    let [a, b, c, d, e, f, g, h] = lanes;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        common_divisor(b, a % b)
    }
}
