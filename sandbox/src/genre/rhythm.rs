//! Onsets and pulse of the last seconds, from the novelty of each hop, and what repeats after which time.

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

/// Numbers that [`write_repetition`] writes.
pub(super) const REPETITIONS: usize = 2 * (TIMES.len() + 1) + 1 + SHARES.len() + 1 + 3;
/// The longest time that is looked at, hops.
const LONGEST: usize = 48;
/// Ranges of hops, from 64 ms to 1.5 s.
const TIMES: [std::ops::Range<usize>; 14] = [
    2..3,
    3..4,
    4..5,
    5..6,
    6..8,
    8..10,
    10..12,
    12..15,
    15..18,
    18..22,
    22..27,
    27..33,
    33..40,
    40..LONGEST,
];
/// Parts of the pulse's period: two, three and four in it, the swung eighth, the dotted one, and two of it.
const SHARES: [f32; 6] = [0.25, 1.0 / 3.0, 0.5, 2.0 / 3.0, 0.75, 2.0];

pub(super) fn repetition_names() -> impl Iterator<Item = String> {
    let curve = |name: &'static str| {
        let times = (1..=TIMES.len()).map(move |time| format!("repeats_{name}_{time}"));
        times.chain([format!("repetition_{name}")])
    };
    let shares = (1..=SHARES.len()).map(|share| format!("beat_part_{share}"));
    ["all", "bass"]
        .into_iter()
        .flat_map(curve)
        .chain(["clarity_bass".to_owned()])
        .chain(shares)
        .chain(["bass_with_treble", "interval", "interval_scatter", "interval_oddness"].map(str::to_owned))
}

/// Of the novelties of all bands, of the bass and of the treble, hop by hop (`r(t)/r(0)` is their autocorrelation, mean taken
/// away):
///
/// * for all bands and the bass, the highest value in 14 ranges of time, and the standard deviation over all;
/// * the highest value of the bass where [`Rhythm`] looks for a pulse;
/// * the value for all bands at six parts of the pulse's period: swing has 2/3 where straight music has 1/2;
/// * the correlation of bass and treble: a drum kit plays both at once or in turn;
/// * the mean of the times between onsets (seconds), its deviation and its mean distance from the median, both in parts.
pub(super) fn write_repetition(novelties: [&[f32]; 3], rhythm: &Rhythm, out: &mut [f32]) {
    let hops = novelties[0].len();
    let mut centred = [[0.0_f32; super::WINDOW_HOPS]; 3];
    let mut powers = [0.0_f32; 3];
    let mut put = out.iter_mut();
    let mut write = |value: f32| {
        if let Some(place) = put.next() {
            *place = value;
        }
    };
    let mut clarity_bass = 0.0_f32;
    let mut of_all = [0.0_f32; 2 * LONGEST];
    for (curve, novelty) in novelties.into_iter().enumerate() {
        let mean = novelty.iter().sum::<f32>() / hops as f32;
        for (centred, novelty) in centred[curve].iter_mut().zip(novelty) {
            *centred = novelty - mean;
        }
        let centred = &centred[curve][..hops];
        powers[curve] = correlation(centred, 0);
        if curve == 2 {
            break;
        }
        // what hardly moves repeats nothing
        let scale = if powers[curve] > 1e-6 { 1.0 / powers[curve] } else { 0.0 };
        let mut at = [0.0_f32; LONGEST];
        for (lag, value) in at.iter_mut().enumerate().skip(1) {
            *value = scale * correlation(centred, lag);
        }
        for range in TIMES {
            write(at[range].iter().fold(-1.0_f32, |most, value| most.max(*value)));
        }
        let mean = at[1..].iter().sum::<f32>() / (LONGEST - 1) as f32;
        let squares: f32 = at[1..].iter().map(|value| (value - mean).powi(2)).sum();
        write((squares / (LONGEST - 1) as f32).sqrt());
        if curve == 1 {
            clarity_bass = PERIODS.fold(0.0_f32, |most, lag| most.max(at[lag]));
        } else {
            of_all[..LONGEST].copy_from_slice(&at);
            let twice = 2 * (rhythm.pulse_period_s / HOP_S).round() as usize;
            if (LONGEST..hops).contains(&twice) {
                of_all[twice] = scale * correlation(centred, twice);
            }
        }
    }
    write(clarity_bass);
    let period = rhythm.pulse_period_s / HOP_S;
    for share in SHARES {
        let lag = (period * share).round() as usize;
        write(if lag > 0 { of_all[lag.min(2 * LONGEST - 1)] } else { 0.0 });
    }
    let both: f32 = centred[1].iter().zip(&centred[2]).map(|(bass, treble)| bass * treble).sum();
    write(both / (powers[1] * powers[2]).sqrt().max(1e-6));
    intervals(novelties[0]).into_iter().for_each(write);
}

/// The mean time between onsets, its deviation and its mean distance from the median in parts; half of all where there are
/// fewer than three onsets.
fn intervals(novelty_db: &[f32]) -> [f32; 3] {
    let mut intervals = [0.0_f32; super::WINDOW_HOPS];
    let (mut count, mut last) = (0, None);
    for at in MEAN..novelty_db.len().saturating_sub(PEAK) {
        if is_onset(novelty_db, at) {
            if let Some(last) = last {
                intervals[count] = (at - last) as f32;
                count += 1;
            }
            last = Some(at);
        }
    }
    if count < 2 {
        return [novelty_db.len() as f32 * HOP_S / 2.0, 0.0, 0.0];
    }
    let intervals = &mut intervals[..count];
    let share = 1.0 / count as f32;
    let mean = share * intervals.iter().sum::<f32>();
    let variance = share * intervals.iter().map(|interval| (interval - mean).powi(2)).sum::<f32>();
    intervals.sort_unstable_by(f32::total_cmp);
    let median = 0.5 * (intervals[(count - 1) / 2] + intervals[count / 2]);
    let oddness = share * intervals.iter().map(|interval| (interval - median).abs()).sum::<f32>();
    [mean * HOP_S, variance.sqrt() / mean, oddness / median]
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
