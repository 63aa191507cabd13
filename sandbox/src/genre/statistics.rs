//! The last four seconds in numbers: how each feature of the hops lies, scatters and moves, and the rhythm.

use super::rhythm::Rhythm;
use super::spectrum::{FrameFeatures, CONTRAST_BANDS, MFCCS};

/// Raised whenever a feature changes its meaning, so that a model trained on the old one is refused.
pub const FEATURE_VERSION: u32 = 1;

/// Hops that are remembered: 4.1 s.
pub const WINDOW_HOPS: usize = 128;

/// Numbers a hop: centroid, roll-off, flux, harmonicity, novelty, contrasts, cepstrum, level.
const COLUMNS: usize = 6 + CONTRAST_BANDS + MFCCS;
/// Rounded up to whole vectors.
const ROW: usize = 32;
const NOVELTY: usize = 4;
const LEVEL: usize = COLUMNS - 1;

/// Features that the model sees.
pub const FEATURES: usize = 3 * COLUMNS + 4;

/// Levels more than this below the window's mean power count as low.
const LOW_DB: f32 = 6.0;
/// How far a level counts downwards, from the window's mean power: a deep pause is a pause.
const DEPTH_DB: f32 = 40.0;

/// Their names, in the order of [`Features::vector`].
pub fn feature_names() -> Vec<String> {
    let mut columns: Vec<String> =
        ["centroid", "roll_off", "flux", "harmonicity", "novelty"].map(str::to_owned).to_vec();
    columns.extend((1..=CONTRAST_BANDS).map(|band| format!("contrast_{band}")));
    columns.extend((1..=MFCCS).map(|order| format!("mfcc_{order}")));
    columns.push("level".to_owned());
    let mut names = Vec::with_capacity(FEATURES);
    for kind in ["mean", "deviation", "movement"] {
        names.extend(columns.iter().map(|column| format!("{kind}_{column}")));
    }
    names.extend(["low_share", "onset_rate", "pulse_clarity", "pulse_period"].map(str::to_owned));
    names
}

/// What a detector knows of its stream's last seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Features {
    /// The last hop that was not silent.
    pub frame: FrameFeatures,
    /// Onsets and pulse of the window.
    pub rhythm: Rhythm,
    /// Part of the window's hops whose power is more than 6 dB below its mean power: pauses, so high for speech.
    pub low_share: f32,
    /// Hops in the window, up to [`WINDOW_HOPS`].
    pub hops: usize,
    /// What the model sees, named by [`feature_names`]: mean, standard deviation, and root mean square of the differences
    /// from hop to hop of each column (hertz in octaves above 100 Hz; levels relative to the window's mean power and not
    /// below -40 dB of it), then `low_share` and the rhythm.
    pub vector: [f32; FEATURES],
}

impl Default for Features {
    fn default() -> Self {
        Self {
            frame: FrameFeatures::default(),
            rhythm: Rhythm::default(),
            low_share: 0.0,
            hops: 0,
            vector: [0.0; FEATURES],
        }
    }
}

/// A ring of the last hops.
pub(super) struct Statistics {
    rows: Box<[[f32; ROW]; WINDOW_HOPS]>,
    /// Hops taken in since the start.
    taken: usize,
}

impl Statistics {
    pub(super) fn new() -> Self {
        Self { rows: Box::new([[0.0; ROW]; WINDOW_HOPS]), taken: 0 }
    }

    pub(super) fn start(&mut self) {
        self.taken = 0;
    }

    pub(super) fn hops(&self) -> usize {
        self.taken.min(WINDOW_HOPS)
    }

    pub(super) fn push(&mut self, frame: &FrameFeatures) {
        let octaves = |hz: f32| (hz / 100.0 + 0.1).log2();
        let row = &mut self.rows[self.taken % WINDOW_HOPS];
        row[0] = octaves(frame.centroid_hz);
        row[1] = octaves(frame.roll_off_hz);
        row[2] = frame.flux;
        row[3] = frame.harmonicity;
        row[NOVELTY] = frame.novelty_db;
        row[5..5 + CONTRAST_BANDS].copy_from_slice(&frame.contrast_db);
        row[5 + CONTRAST_BANDS..LEVEL].copy_from_slice(&frame.mfcc);
        row[LEVEL] = frame.level_db;
        self.taken += 1;
    }

    /// Computes what `features` says of the window.
    pub(super) fn write(&self, features: &mut Features) {
        let hops = self.hops();
        features.hops = hops;
        if hops < 2 {
            return;
        }
        let oldest = self.taken - hops;
        let count = hops as f32;

        // Levels relative to the mean power, in the order of time; novelties likewise.
        let (mut levels, mut novelties) = ([0.0_f32; WINDOW_HOPS], [0.0_f32; WINDOW_HOPS]);
        let mut power = 0.0;
        for at in 0..hops {
            let row = &self.rows[(oldest + at) % WINDOW_HOPS];
            (levels[at], novelties[at]) = (row[LEVEL], row[NOVELTY]);
            // 10^(dB/10)
            power += (row[LEVEL] * (std::f32::consts::LN_10 / 10.0)).exp();
        }
        let mean_db = 10.0 * (power / count).max(1e-20).log10();
        let mut low = 0_usize;
        for level in &mut levels[..hops] {
            *level = (*level - mean_db).max(-DEPTH_DB);
            low += usize::from(*level < -LOW_DB);
        }

        // Around the first row, so that the difference of large sums does not eat the digits.
        let origin = self.rows[oldest % WINDOW_HOPS];
        let (mut sums, mut squares, mut moves) = ([0.0_f32; ROW], [0.0_f32; ROW], [0.0_f32; ROW]);
        let mut last = [0.0_f32; ROW];
        for (at, level) in levels[..hops].iter().enumerate() {
            let row = &self.rows[(oldest + at) % WINDOW_HOPS];
            let mut now = [0.0_f32; ROW];
            for column in 0..ROW {
                now[column] = row[column] - origin[column];
            }
            now[LEVEL] = *level;
            if at == 0 {
                last = now;
            }
            for column in 0..ROW {
                let moved = now[column] - last[column];
                sums[column] += now[column];
                squares[column] += now[column] * now[column];
                moves[column] += moved * moved;
            }
            last = now;
        }
        for column in 0..COLUMNS {
            let mean = sums[column] / count;
            let shift = if column == LEVEL { 0.0 } else { origin[column] };
            features.vector[column] = mean + shift;
            features.vector[COLUMNS + column] = (squares[column] / count - mean * mean).max(0.0).sqrt();
            features.vector[2 * COLUMNS + column] = (moves[column] / (count - 1.0)).sqrt();
        }
        features.low_share = low as f32 / count;
        features.rhythm = Rhythm::of(&novelties[..hops]);
        features.vector[3 * COLUMNS..].copy_from_slice(&[
            features.low_share,
            features.rhythm.onset_rate_hz,
            features.rhythm.pulse_clarity,
            features.rhythm.pulse_period_s,
        ]);
    }
}
