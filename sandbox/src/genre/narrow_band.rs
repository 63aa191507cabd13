//! Any stream as mono at one rate, so that one model serves all rates.
//!
//! A windowed-sinc low-pass evaluated at the instants of the new rate (J. O. Smith, "Digital Audio Resampling", the
//! windowed-sinc interpolation formula), with its kernels tabulated at 32 fractions of a sample. That is exact for rates
//! in a simple ratio to 16 kHz (8, 12, 16, 24, 32, 48, 96 kHz); for the others an instant is off by at most a 64th of an
//! input sample, which is noise below -40 dB at the band's upper end: features, not ears, are fed with it.

use std::f64::consts::PI;

use crate::Stream;

/// The rate that features are computed at. 8 kHz of band tell genres apart; a stream of 8,000 Hz has half of it.
pub const NARROW_BAND_HZ: u32 = 16_000;

/// Zero crossings of the kernel, both sides together.
const CROSSINGS: usize = 16;
/// Kernel length at 96 kHz, the longest.
const MAX_TAPS: usize = CROSSINGS * 6;
const FRACTIONS: usize = 32;
/// Pass band, as a part of the lower of both Nyquist frequencies.
const CUTOFF: f64 = 0.92;
/// Input samples taken in at a time.
const CHUNK: usize = 256;

/// The converter's state: the last input samples, mixed down.
#[derive(Debug, Clone)]
pub(super) struct NarrowBand {
    stream: Stream,
    taps: usize,
    /// `FRACTIONS + 1` rows of `taps` coefficients.
    kernels: Box<[f32]>,
    /// Mono input: what the next outputs still need, then the chunk.
    input: Box<[f32; MAX_TAPS + CHUNK]>,
    /// Samples in `input`.
    filled: usize,
    /// Where in `input` the next output's kernel begins, and how far past it (in parts of 16,000 of a sample).
    next: usize,
    fraction: u32,
}

impl NarrowBand {
    pub(super) fn new(stream: Stream) -> Self {
        let mut this = Self {
            stream,
            taps: 0,
            kernels: vec![0.0; (FRACTIONS + 1) * MAX_TAPS].into_boxed_slice(),
            input: Box::new([0.0; MAX_TAPS + CHUNK]),
            filled: 0,
            next: 0,
            fraction: 0,
        };
        this.design();
        this.begin();
        this
    }

    pub(super) fn start(&mut self, stream: Stream) {
        let same_rate = self.stream.sample_rate_hz == stream.sample_rate_hz;
        self.stream = stream;
        if !same_rate {
            self.design();
        }
        self.begin();
    }

    /// The kernel is centred on the first sample at first: before that there was silence.
    fn begin(&mut self) {
        self.input.fill(0.0);
        self.filled = self.taps / 2 - 1;
        self.next = 0;
        self.fraction = 0;
    }

    fn design(&mut self) {
        let ratio = f64::from(self.stream.sample_rate_hz) / f64::from(NARROW_BAND_HZ);
        let wide = ratio.max(1.0);
        // whole vectors of eight
        self.taps = ((CROSSINGS as f64 * wide / 8.0).ceil() as usize * 8).min(MAX_TAPS);
        let (half, cutoff) = (self.taps as f64 / 2.0, CUTOFF / wide);
        for (row, kernel) in self.kernels.chunks_exact_mut(self.taps).take(FRACTIONS + 1).enumerate() {
            let fraction = row as f64 / FRACTIONS as f64;
            let value = |tap: usize| {
                let time = tap as f64 - (half - 1.0) - fraction;
                let hann = 0.5 + 0.5 * (PI * (time / half).clamp(-1.0, 1.0)).cos();
                let phase = PI * cutoff * time;
                let sinc = if phase.abs() < 1e-9 { 1.0 } else { phase.sin() / phase };
                sinc * hann
            };
            let sum: f64 = (0..self.taps).map(value).sum();
            for (tap, coefficient) in kernel.iter_mut().enumerate() {
                *coefficient = (value(tap) / sum) as f32;
            }
        }
    }

    /// Converts whole sample frames; hands the new samples to `out`, some at a time.
    pub(super) fn process(&mut self, block: &[f32], mut out: impl FnMut(&[f32])) {
        let channels = self.stream.channels;
        let mut made = [0.0_f32; 2 * CHUNK];
        for chunk in block.chunks(CHUNK * channels) {
            let frames = chunk.len() / channels;
            let room = &mut self.input[self.filled..self.filled + frames];
            if channels == 1 {
                room.copy_from_slice(chunk);
            } else {
                for (mono, frame) in room.iter_mut().zip(chunk.chunks_exact(2)) {
                    *mono = 0.5 * (frame[0] + frame[1]);
                }
            }
            self.filled += frames;
            loop {
                let count = self.emit(&mut made);
                if count == 0 {
                    break;
                }
                out(&made[..count]);
            }
            // keep what the next kernel covers
            let gone = self.next.min(self.filled);
            self.input.copy_within(gone..self.filled, 0);
            self.filled -= gone;
            self.next -= gone;
        }
    }

    /// Makes as many samples as there is room and input for, and says how many.
    fn emit(&mut self, made: &mut [f32]) -> usize {
        let (whole, rest) =
            (self.stream.sample_rate_hz / NARROW_BAND_HZ, self.stream.sample_rate_hz % NARROW_BAND_HZ);
        let whole = whole as usize;
        let mut count = 0;
        if rest == 0 {
            // the same kernel for all, so it is read once for four of them
            let kernel = &self.kernels[..self.taps];
            for four in made.chunks_exact_mut(4) {
                if self.next + 3 * whole + self.taps > self.filled {
                    break;
                }
                four.copy_from_slice(&four_dots(&self.input[self.next..self.filled], whole, kernel));
                self.next += 4 * whole;
                count += 4;
            }
        }
        for sample in &mut made[count..] {
            if self.next + self.taps > self.filled {
                break;
            }
            let row = ((self.fraction * FRACTIONS as u32 + NARROW_BAND_HZ / 2) / NARROW_BAND_HZ) as usize;
            let kernel = &self.kernels[row * self.taps..(row + 1) * self.taps];
            *sample = dot(&self.input[self.next..self.next + self.taps], kernel);
            count += 1;
            self.next += whole;
            self.fraction += rest;
            if self.fraction >= NARROW_BAND_HZ {
                self.fraction -= NARROW_BAND_HZ;
                self.next += 1;
            }
        }
        count
    }
}

/// Four of [`dot`], `step` samples apart, to the bit.
fn four_dots(samples: &[f32], step: usize, kernel: &[f32]) -> [f32; 4] {
    let mut sums = [[0.0_f32; 8]; 4];
    for (at, kernel) in kernel.chunks_exact(8).enumerate() {
        for (output, sums) in sums.iter_mut().enumerate() {
            let samples = &samples[output * step + at * 8..][..8];
            for lane in 0..8 {
                sums[lane] += samples[lane] * kernel[lane];
            }
        }
    }
    sums.map(|sums| total(&sums))
}

/// Eight sums side by side, which the compiler keeps in vector registers.
fn dot(samples: &[f32], kernel: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    for (samples, kernel) in samples.chunks_exact(8).zip(kernel.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += samples[lane] * kernel[lane];
        }
    }
    total(&sums)
}

fn total(sums: &[f32; 8]) -> f32 {
    (sums[0] + sums[4]) + (sums[1] + sums[5]) + ((sums[2] + sums[6]) + (sums[3] + sums[7]))
}
