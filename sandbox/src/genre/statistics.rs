//! The last four seconds in numbers: how each feature of the hops lies, scatters and moves, and what the rhythm, the swing of the
//! loudness and the notes are like.

use super::attack::{self, ATTACKS};
use super::harmony::{self, HARMONIES};
use super::modulation::{self, grouped, Modulation, GROUPS, MODULATIONS};
use super::rhythm::{self, Rhythm, REPETITIONS};
use super::spectrum::{FrameFeatures, CONTRAST_BANDS, FLATNESS_BANDS, MFCCS};
use super::tonal::{INTERVALS, PITCH_CLASSES};

/// Raised whenever a feature changes its meaning, so that a model trained on the old one is refused.
pub const FEATURE_VERSION: u32 = 2;

/// Hops that are remembered: 4.1 s.
pub const WINDOW_HOPS: usize = 128;

/// Numbers a hop of which mean, deviation and movement are taken: centroid, roll-off, flux, harmonicity, novelty, contrasts,
/// cepstrum, level.
const MOVING: usize = 6 + CONTRAST_BANDS + MFCCS;
/// Those of which mean and deviation are taken: bass, its novelty and that of the treble, flatnesses, and four of the peaks.
const SCATTERED: usize = 3 + FLATNESS_BANDS + 4;
/// Those of which the mean is taken: two of the chroma, and its intervals.
const MEAN_ONLY: usize = 2 + INTERVALS;
/// Rounded up to whole vectors.
const ROW: usize = (MOVING + SCATTERED + MEAN_ONLY).next_multiple_of(8);
const NOVELTY: usize = 4;
const LEVEL: usize = MOVING - 1;
const NOVELTY_BASS: usize = MOVING + 1;
const NOVELTY_TREBLE: usize = MOVING + 2;

/// Features that the model sees.
pub const FEATURES: usize =
    3 * MOVING + 2 * SCATTERED + MEAN_ONLY + 4 + MODULATIONS + HARMONIES + ATTACKS + REPETITIONS;

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
    columns.extend(["bass", "novelty_bass", "novelty_treble"].map(str::to_owned));
    columns.extend((1..=FLATNESS_BANDS).map(|band| format!("flatness_{band}")));
    columns.extend(["peaks", "detuning", "steady", "glide"].map(str::to_owned));
    columns.extend(["chroma_entropy", "chroma_flux"].map(str::to_owned));
    columns.extend((1..=INTERVALS).map(|interval| format!("interval_{interval}")));

    let mut names = Vec::with_capacity(FEATURES);
    for (kind, count) in [("mean", columns.len()), ("deviation", MOVING + SCATTERED), ("movement", MOVING)] {
        names.extend(columns[..count].iter().map(|column| format!("{kind}_{column}")));
    }
    names.extend(["low_share", "onset_rate", "pulse_clarity", "pulse_period"].map(str::to_owned));
    names.extend(attack::names());
    names.extend(modulation::names());
    names.extend(harmony::names());
    names.extend(rhythm::repetition_names());
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
    /// from hop to hop of the columns (hertz in octaves above 100 Hz; levels relative to the window's mean power and not
    /// below -40 dB of it), then `low_share` and the rhythm, attacks, modulation, harmony, and what
    /// repeats after which time.
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

/// Hops that are kept, so that they need not be moved with each new one.
const ROOM: usize = WINDOW_HOPS + 32;

/// The last hops, in the order of time.
pub(super) struct Statistics {
    rows: Box<[[f32; ROW]; ROOM]>,
    groups: Box<[[f32; GROUPS]; ROOM]>,
    chromas: Box<[[f32; PITCH_CLASSES]; ROOM]>,
    /// How many of these hold a hop.
    filled: usize,
    modulation: Modulation,
}

impl Statistics {
    pub(super) fn new() -> Self {
        Self {
            rows: Box::new([[0.0; ROW]; ROOM]),
            groups: Box::new([[0.0; GROUPS]; ROOM]),
            chromas: Box::new([[0.0; PITCH_CLASSES]; ROOM]),
            filled: 0,
            modulation: Modulation::new(),
        }
    }

    pub(super) fn start(&mut self) {
        self.filled = 0;
    }

    pub(super) fn hops(&self) -> usize {
        self.filled.min(WINDOW_HOPS)
    }

    pub(super) fn push(&mut self, frame: &FrameFeatures) {
        if self.filled == ROOM {
            // one more comes, so one less than a window stays
            let old = ROOM - WINDOW_HOPS + 1;
            self.rows.copy_within(old.., 0);
            self.groups.copy_within(old.., 0);
            self.chromas.copy_within(old.., 0);
            self.filled -= old;
        }
        let octaves = |hz: f32| (hz / 100.0 + 0.1).log2();
        let tonal = &frame.tonal;
        let row = &mut self.rows[self.filled];
        row[0] = octaves(frame.centroid_hz);
        row[1] = octaves(frame.roll_off_hz);
        row[2] = frame.flux;
        row[3] = frame.harmonicity;
        row[NOVELTY] = frame.novelty_db;
        row[5..5 + CONTRAST_BANDS].copy_from_slice(&frame.contrast_db);
        row[5 + CONTRAST_BANDS..LEVEL].copy_from_slice(&frame.mfcc);
        row[LEVEL] = frame.level_db;
        let scattered = &mut row[MOVING..MOVING + SCATTERED];
        scattered[..3].copy_from_slice(&[frame.bass_db, frame.novelty_bass_db, frame.novelty_treble_db]);
        scattered[3..3 + FLATNESS_BANDS].copy_from_slice(&frame.flatness_db);
        scattered[3 + FLATNESS_BANDS..].copy_from_slice(&[
            tonal.peaks,
            tonal.detuning,
            tonal.steady,
            tonal.glide,
        ]);
        let mean_only = &mut row[MOVING + SCATTERED..MOVING + SCATTERED + MEAN_ONLY];
        mean_only[..2].copy_from_slice(&[tonal.chroma_entropy, tonal.chroma_flux]);
        mean_only[2..].copy_from_slice(&tonal.intervals);
        self.groups[self.filled] = grouped(&frame.mel_db);
        self.chromas[self.filled] = tonal.chroma;
        self.filled += 1;
    }

    /// Computes what `features` says of the window; of less than half of one, nothing but how much there is.
    pub(super) fn write(&mut self, features: &mut Features) {
        let hops = self.hops();
        features.hops = hops;
        if hops < WINDOW_HOPS / 2 {
            return;
        }
        let window = self.filled - hops..self.filled;
        let rows = &self.rows[window.clone()];
        let count = hops as f32;

        // Levels relative to the mean power, in the order of time; novelties likewise.
        let (mut levels, mut novelties) = ([0.0_f32; WINDOW_HOPS], [[0.0_f32; WINDOW_HOPS]; 3]);
        let mut power = 0.0;
        for (at, row) in rows.iter().enumerate() {
            levels[at] = row[LEVEL];
            for (curve, column) in [NOVELTY, NOVELTY_BASS, NOVELTY_TREBLE].into_iter().enumerate() {
                novelties[curve][at] = row[column];
            }
            // 10^(dB/10)
            power += (row[LEVEL] * (std::f32::consts::LN_10 / 10.0)).exp();
        }
        let mean_db = 10.0 * (power / count).max(1e-20).log10();
        let mut low = 0_usize;
        let levels = &mut levels[..hops];
        for level in levels.iter_mut() {
            *level = (*level - mean_db).max(-DEPTH_DB);
            low += usize::from(*level < -LOW_DB);
        }

        let Moments { means, deviations, movements } = Moments::of(rows, levels);
        let mut rest = &mut features.vector[..];
        let mut next = |length: usize| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(length);
            rest = later;
            now
        };
        for (values, used) in [
            (&means, MOVING + SCATTERED + MEAN_ONLY),
            (&deviations, MOVING + SCATTERED),
            (&movements, MOVING),
        ] {
            next(used).copy_from_slice(&values[..used]);
        }
        let novelties = novelties.each_ref().map(|novelty| &novelty[..hops]);
        features.low_share = low as f32 / count;
        features.rhythm = Rhythm::of(novelties[0]);
        next(4).copy_from_slice(&[
            features.low_share,
            features.rhythm.onset_rate_hz,
            features.rhythm.pulse_clarity,
            features.rhythm.pulse_period_s,
        ]);
        attack::write(levels, novelties[0], next(ATTACKS));
        self.modulation.write(&self.groups[window.clone()], next(MODULATIONS));
        harmony::write(&self.chromas[window], next(HARMONIES));
        rhythm::write_repetition(novelties, &features.rhythm, next(REPETITIONS));
    }
}

struct Moments {
    means: [f32; ROW],
    deviations: [f32; ROW],
    movements: [f32; ROW],
}

impl Moments {
    /// Of all columns, with these levels instead of the rows'.
    fn of(rows: &[[f32; ROW]], levels: &[f32]) -> Self {
        // Around the first row, so that the difference of large sums does not eat the digits.
        let mut origin = rows[0];
        origin[LEVEL] = 0.0;
        let (mut sums, mut squares, mut moves) = ([0.0_f32; ROW], [0.0_f32; ROW], [0.0_f32; ROW]);
        let mut last = [0.0_f32; ROW];
        last[LEVEL] = levels[0];
        for (row, level) in rows.iter().zip(levels) {
            let mut now = [0.0_f32; ROW];
            for column in 0..ROW {
                now[column] = row[column] - origin[column];
            }
            now[LEVEL] = *level;
            for column in 0..ROW {
                let moved = now[column] - last[column];
                sums[column] += now[column];
                squares[column] += now[column] * now[column];
                moves[column] += moved * moved;
            }
            last = now;
        }
        let count = rows.len() as f32;
        let mean = |column: usize| sums[column] / count;
        Self {
            means: std::array::from_fn(|column| mean(column) + origin[column]),
            deviations: std::array::from_fn(|column| {
                (squares[column] / count - mean(column) * mean(column)).max(0.0).sqrt()
            }),
            movements: std::array::from_fn(|column| (moves[column] / (count - 1.0)).sqrt()),
        }
    }
}
