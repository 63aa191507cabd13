//! The resampler itself: keeps what the filter still needs, counts, and aligns.

use pulp::Arch;
use thiserror::Error;

use super::convolve::{Convolve, Cursor};
use super::filter::{Filter, RECORDING_RATES_HZ};

/// Input frames that are worked on at a time: 10 ms at 48 kHz, so that moving what the filter still needs costs little.
const BLOCK: usize = 480;

/// Why there is no such resampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResampleError {
    /// A rate that is not among [`RECORDING_RATES_HZ`].
    #[error("sample rate: got {got} Hz, accepted: 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000 or 96000 Hz")]
    Rate {
        /// The rate that was asked for, in Hz.
        got: u32,
    },
    /// A number of channels other than 1 or 2.
    #[error("channels: got {got}, accepted: 1 or 2")]
    Channels {
        /// The number that was asked for.
        got: usize,
    },
}

/// Converts a stream of interleaved samples from one rate to another, any number of sample frames at a time.
///
/// A *live* one ([`new`](Self::new)) gives output for the first input at once: its stream begins with
/// [`delay_samples`](Self::delay_samples) frames in which the signal has not arrived yet, and a block of input gives a
/// block of output. An *aligned* one ([`aligned`](Self::aligned)) holds those frames back, so that what happens at a
/// time in the input happens at the same time in the output: for recordings.
///
/// Either way [`finish`](Self::finish) brings out all that is still inside; not a sample is lost, in the middle or at
/// the end. Between equal rates samples go through bit for bit, without delay.
///
/// Samples are expected to be finite. One that is not spoils the output for as long as the filter is, at most 118 samples
/// of the lower rate, and no longer.
#[derive(Debug)]
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    channels: usize,
    alignment: Alignment,
    /// `None` between equal rates.
    filter: Option<&'static Filter>,
    /// For each channel the last `taps - 1` input frames, then room for a block.
    lines: Vec<f32>,
    cursor: Cursor,
    frames_in: u64,
    frames_out: u64,
    arch: Arch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Alignment {
    Live,
    Aligned,
}

impl Resampler {
    /// A live resampler for interleaved samples of 1 or 2 channels.
    ///
    /// The first one in the process for a ratio designs its filter, which takes up to some milliseconds; the filter stays.
    ///
    /// # Errors
    /// If a rate is not among [`RECORDING_RATES_HZ`], or `channels` is not 1 or 2.
    pub fn new(from_hz: u32, to_hz: u32, channels: usize) -> Result<Resampler, ResampleError> {
        Resampler::with(from_hz, to_hz, channels, Alignment::Live)
    }

    /// A resampler whose output is aligned with its input: n frames in are, after [`finish`](Self::finish),
    /// n times the ratio out, rounded to nearest.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn aligned(from_hz: u32, to_hz: u32, channels: usize) -> Result<Resampler, ResampleError> {
        Resampler::with(from_hz, to_hz, channels, Alignment::Aligned)
    }

    fn with(
        from_hz: u32,
        to_hz: u32,
        channels: usize,
        alignment: Alignment,
    ) -> Result<Resampler, ResampleError> {
        let mut resampler = Resampler {
            from_hz,
            to_hz,
            channels,
            alignment,
            filter: None,
            lines: Vec::new(),
            cursor: Cursor { newest: 0, phase: 0, row: 0 },
            frames_in: 0,
            frames_out: 0,
            arch: Arch::new(),
        };
        resampler.convert(from_hz, to_hz, channels)?;
        Ok(resampler)
    }

    /// Begins a new stream between other rates, as a fresh resampler would. It allocates only if the new filter is
    /// longer than any this resampler had, or if it is the first in the process for this ratio.
    ///
    /// # Errors
    /// As [`new`](Self::new); then nothing has changed.
    pub fn convert(&mut self, from_hz: u32, to_hz: u32, channels: usize) -> Result<(), ResampleError> {
        for got in [from_hz, to_hz] {
            if !RECORDING_RATES_HZ.contains(&got) {
                return Err(ResampleError::Rate { got });
            }
        }
        if !(1..=2).contains(&channels) {
            return Err(ResampleError::Channels { got: channels });
        }
        (self.from_hz, self.to_hz, self.channels) = (from_hz, to_hz, channels);
        self.filter = (from_hz != to_hz).then(|| Filter::shared(from_hz, to_hz));
        let line = self.filter.map_or(0, line_length);
        self.lines.resize(line * channels, 0.0);
        self.start();
        Ok(())
    }

    /// Begins a new stream: from here on it is, bit for bit, as a fresh one. Allocates nothing.
    pub fn start(&mut self) {
        self.lines.fill(0.0);
        (self.frames_in, self.frames_out) = (0, 0);
        if let Some(filter) = self.filter {
            let first = match self.alignment {
                Alignment::Live => 0,
                Alignment::Aligned => filter.delay,
            };
            self.cursor = Cursor::at(first, filter);
        }
    }

    /// Takes interleaved samples, whole sample frames, any number of them, and appends what they complete to `output`.
    /// Allocates nothing if `output` has room for [`output_frames_max`](Self::output_frames_max) more sample frames.
    ///
    /// # Panics
    /// If `input` does not hold whole sample frames.
    pub fn process(&mut self, input: &[f32], output: &mut Vec<f32>) {
        assert_eq!(input.len() % self.channels, 0, "{} samples in {} channels", input.len(), self.channels);
        let Some(filter) = self.filter else {
            output.extend_from_slice(input);
            return;
        };
        self.frames_in += (input.len() / self.channels) as u64;
        output.reserve(self.output_frames_max(input.len() / self.channels) * self.channels);
        for block in input.chunks(BLOCK * self.channels) {
            self.process_block(filter, block, output);
        }
    }

    /// Ends the stream: appends what is still inside, and begins a new stream. Of n frames in, n times the ratio have
    /// then come out, rounded to nearest, and from a live resampler the frames of the delay as well.
    ///
    /// It appends at most [`finish_frames_max`](Self::finish_frames_max) sample frames; with room for them it allocates nothing.
    pub fn finish(&mut self, output: &mut Vec<f32>) {
        static SILENCE: [f32; 2 * BLOCK] = [0.0; 2 * BLOCK];

        if let (Some(filter), 1..) = (self.filter, self.frames_in) {
            let lag = match self.alignment {
                Alignment::Live => filter.delay as u64,
                Alignment::Aligned => 0,
            };
            let (up, down) = (filter.up as u64, filter.down as u64);
            let total = (self.frames_in * up + down / 2) / down + lag;
            let missing = total.saturating_sub(self.frames_out) as usize;
            if missing > 0 {
                output.reserve(self.finish_frames_max() * self.channels);
                let wanted = output.len() + missing * self.channels;
                let mut silent_frames = self.cursor.frames_for(missing, filter);
                while silent_frames > 0 {
                    let frames = silent_frames.min(BLOCK);
                    self.process_block(filter, &SILENCE[..frames * self.channels], output);
                    silent_frames -= frames;
                }
                output.truncate(wanted);
            }
        }
        self.start();
    }

    /// By how many output sample frames the output lags behind the input. It is exact: the filter's phase is linear.
    ///
    /// A live resampler's output is late by so much; an aligned one comes with so much of it still to follow.
    pub fn delay_samples(&self) -> usize {
        self.filter.map_or(0, |filter| filter.delay)
    }

    /// The same for a resampler between two rates; 0 if there is none for them.
    pub fn delay_between(from_hz: u32, to_hz: u32) -> usize {
        let is_known = [from_hz, to_hz].iter().all(|rate| RECORDING_RATES_HZ.contains(rate));
        if is_known && from_hz != to_hz {
            Filter::shared(from_hz, to_hz).delay
        } else {
            0
        }
    }

    /// The most sample frames that [`process`](Self::process) gives for `input_frames`, whatever went before.
    pub fn output_frames_max(&self, input_frames: usize) -> usize {
        self.filter.map_or(input_frames, |filter| (input_frames * filter.up).div_ceil(filter.down) + 1)
    }

    /// The most sample frames that [`finish`](Self::finish) needs room for.
    pub fn finish_frames_max(&self) -> usize {
        // What it gives, and the frames beside it that its last frame of silence completes.
        self.filter.map_or(0, |filter| filter.delay + 1 + filter.up.div_ceil(filter.down))
    }

    /// The rate of what goes in, in Hz.
    pub fn from_hz(&self) -> u32 {
        self.from_hz
    }

    /// The rate of what comes out, in Hz.
    pub fn to_hz(&self) -> u32 {
        self.to_hz
    }

    /// Interleaved channels, 1 or 2.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Works on at most [`BLOCK`] frames.
    fn process_block(&mut self, filter: &Filter, block: &[f32], output: &mut Vec<f32>) {
        let channels = self.channels;
        let frames = block.len() / channels;
        let history = filter.taps - 1;
        for (channel, line) in self.lines.chunks_exact_mut(line_length(filter)).enumerate() {
            let room = &mut line[history..][..frames];
            match channels {
                1 => room.copy_from_slice(block),
                _ => room
                    .iter_mut()
                    .zip(block.chunks_exact(2))
                    .for_each(|(slot, frame)| *slot = frame[channel]),
            }
        }

        let given = self.cursor.outputs_within(frames, filter);
        let begin = output.len();
        output.resize(begin + given * channels, 0.0);
        self.arch.dispatch(Convolve {
            filter,
            lines: &self.lines,
            channels,
            cursor: &mut self.cursor,
            output: &mut output[begin..],
        });
        self.frames_out += given as u64;

        self.cursor.newest -= frames;
        for line in self.lines.chunks_exact_mut(line_length(filter)) {
            line.copy_within(frames..frames + history, 0);
        }
    }
}

/// Samples a channel's line has room for.
fn line_length(filter: &Filter) -> usize {
    filter.taps - 1 + BLOCK
}
