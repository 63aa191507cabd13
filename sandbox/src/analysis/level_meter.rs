//! Level: RMS and peak in dBFS, over windows of 100 ms.
//!
//! 0 dBFS is an amplitude of 1, for RMS as for peak. So the RMS of a full-scale sine is -3.01 dBFS and that of a
//! full-scale square wave 0 dBFS. (AES17 calls the sine 0 dBFS; not so here.) Two channels are taken together: the mean
//! of their powers, the higher of their peaks. Peaks are those of the samples, not of the curve between them.

use crate::level::{amplitude_to_db, SILENCE_DB};
use crate::Stream;

const WINDOWS_PER_SECOND: u32 = 10;

/// Sums that are kept side by side, so that no addition waits for the one before it. Which one a sample counts to goes
/// by its place in the window: so sums don't depend on how the stream is cut.
const LANES: usize = 8;

/// Measures levels.
#[derive(Debug, Clone)]
pub struct LevelMeter {
    /// Samples, of all channels, in a window.
    window: usize,
    /// How many of them were seen.
    seen: usize,
    powers: [f64; LANES],
    peaks: [f32; LANES],
    rms_dbfs: f32,
    peak_dbfs: f32,
    highest_peak_dbfs: f32,
}

impl LevelMeter {
    /// A meter at the beginning of `stream`.
    pub fn new(stream: Stream) -> LevelMeter {
        let frames = (stream.sample_rate_hz + WINDOWS_PER_SECOND / 2) / WINDOWS_PER_SECOND;
        LevelMeter {
            window: frames as usize * stream.channels,
            seen: 0,
            powers: [0.0; LANES],
            peaks: [0.0; LANES],
            rms_dbfs: SILENCE_DB,
            peak_dbfs: SILENCE_DB,
            highest_peak_dbfs: SILENCE_DB,
        }
    }

    /// Forgets everything, and begins with `stream`.
    pub fn start(&mut self, stream: Stream) {
        *self = LevelMeter::new(stream);
    }

    /// Listens to whole sample frames.
    pub fn process(&mut self, mut block: &[f32]) {
        while !block.is_empty() {
            let (part, rest) = block.split_at((self.window - self.seen).min(block.len()));
            self.add(part);
            if self.seen == self.window {
                self.finish_window();
            }
            block = rest;
        }
    }

    /// RMS of the last complete window; [`SILENCE_DB`] before there is one.
    pub fn rms_dbfs(&self) -> f32 {
        self.rms_dbfs
    }

    /// Peak of the last complete window; [`SILENCE_DB`] before there is one.
    pub fn peak_dbfs(&self) -> f32 {
        self.peak_dbfs
    }

    /// The highest peak of all complete windows since the start.
    pub fn highest_peak_dbfs(&self) -> f32 {
        self.highest_peak_dbfs
    }

    /// Adds samples of one window: up to the next first lane one by one, then all lanes at once, then the rest.
    fn add(&mut self, part: &[f32]) {
        let lane = self.seen % LANES;
        self.seen += part.len();
        let (head, rest) = part.split_at(((LANES - lane) % LANES).min(part.len()));
        let (mut powers, mut peaks) = (self.powers, self.peaks);
        let mut add = |lane: usize, sample: f32| {
            powers[lane] += f64::from(sample) * f64::from(sample);
            peaks[lane] = if sample.abs() > peaks[lane] { sample.abs() } else { peaks[lane] };
        };
        head.iter().enumerate().for_each(|(index, sample)| add(lane + index, *sample));
        let mut chunks = rest.chunks_exact(LANES);
        for chunk in &mut chunks {
            (0..LANES).for_each(|lane| add(lane, chunk[lane]));
        }
        chunks.remainder().iter().enumerate().for_each(|(lane, sample)| add(lane, *sample));
        (self.powers, self.peaks) = (powers, peaks);
    }

    fn finish_window(&mut self) {
        let power = self.powers.iter().sum::<f64>() / self.window as f64;
        let peak = self.peaks.iter().fold(0.0f32, |peak, lane| peak.max(*lane));
        self.rms_dbfs = amplitude_to_db(power.sqrt() as f32);
        self.peak_dbfs = amplitude_to_db(peak);
        self.highest_peak_dbfs = self.highest_peak_dbfs.max(self.peak_dbfs);
        (self.seen, self.powers, self.peaks) = (0, [0.0; LANES], [0.0; LANES]);
    }
}
