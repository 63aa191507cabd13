//! Onsets and pulse of the last seconds, from the novelty of each hop.

use super::narrow_band::NARROW_BAND_HZ;
use super::spectrum::HOP;

/// Hops before and after that an onset must not be below.
const PEAK: usize = 2;
/// Hops whose mean it must stand out of.
const MEAN: usize = 8;
/// By how much, dB of [`novelty_db`](super::FrameFeatures::novelty_db).
const RISE_DB: f32 = 0.8;
/// Periods that a pulse may have: 0.26 to 1.5 s, 40 to 234 beats a minute.
const PERIODS: std::ops::RangeInclusive<usize> = 8..=47;
pub(super) const HOP_S: f32 = HOP as f32 / NARROW_BAND_HZ as f32;

/// What the novelty curve of some seconds says.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rhythm {
    /// Onsets a second. An onset is a hop whose novelty is the largest within two hops on either side, and 0.8 dB above
    /// the mean of the eight before it (after Bello et al. 2005, section III).
    pub onset_rate_hz: f32,
    /// How regular the novelty is: the highest value of its autocorrelation (mean taken away, `r(t)/r(0)`) for periods
    /// from 0.26 to 1.5 s.
    pub pulse_clarity: f32,
    /// The period at which that is found.
    pub pulse_period_s: f32,
}

impl Rhythm {
    /// Of novelties in the order of time.
    pub fn of(novelty_db: &[f32]) -> Self {
        if novelty_db.len() <= 2 * *PERIODS.end() / 3 {
            return Self::default();
        }
        let onsets =
            (MEAN..novelty_db.len().saturating_sub(PEAK)).filter(|at| is_onset(novelty_db, *at)).count();
        let seconds = novelty_db.len() as f32 * HOP_S;
        let mean = novelty_db.iter().sum::<f32>() / novelty_db.len() as f32;
        let mut centred = [0.0_f32; super::WINDOW_HOPS];
        let centred = &mut centred[..novelty_db.len().min(super::WINDOW_HOPS)];
        for (centred, novelty) in centred.iter_mut().zip(novelty_db) {
            *centred = novelty - mean;
        }
        let power = correlation(centred, 0);
        let (mut clarity, mut period) = (0.0, 0);
        for lag in PERIODS.take_while(|lag| lag + 1 < centred.len()) {
            let here = correlation(centred, lag);
            if here > clarity {
                (clarity, period) = (here, lag);
            }
        }
        Self {
            onset_rate_hz: onsets as f32 / seconds,
            pulse_clarity: if power > 0.0 { clarity / power } else { 0.0 },
            pulse_period_s: period as f32 * HOP_S,
        }
    }
}

fn is_onset(novelty_db: &[f32], at: usize) -> bool {
    let here = novelty_db[at];
    let mean = novelty_db[at - MEAN..at].iter().sum::<f32>() / MEAN as f32;
    here > mean + RISE_DB
        && novelty_db[at - PEAK..at].iter().all(|before| *before < here)
        && novelty_db[at + 1..=at + PEAK].iter().all(|after| *after <= here)
}

fn correlation(values: &[f32], lag: usize) -> f32 {
    let mut sums = [0.0_f32; 8];
    let pairs = values.chunks_exact(8).zip(values[lag..].chunks_exact(8));
    let whole = (values.len() - lag) / 8 * 8;
    for (now, later) in pairs {
        for lane in 0..8 {
            sums[lane] += now[lane] * later[lane];
        }
    }
    let rest: f32 = (whole..values.len() - lag).map(|at| values[at] * values[at + lag]).sum();
    sums.iter().sum::<f32>() + rest
}
