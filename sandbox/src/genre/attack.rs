//! How suddenly sounds set in and how slowly they die away: a struck or plucked note is told from a bowed one by it.

use super::statistics::WINDOW_HOPS;

/// Numbers that [`write()`] writes.
pub(super) const ATTACKS: usize = 9;

/// A level that changes by more than this from hop to hop jumps, dB.
const JUMP_DB: f32 = 3.0;
/// How many of the largest novelties are taken the mean of.
const FEW: usize = 3;
const SOME: usize = 8;

pub(super) fn names() -> impl Iterator<Item = String> {
    [
        "novelty_most",
        "novelty_high",
        "novelty_rest",
        "novelty_peaked",
        "level_skew",
        "level_rise",
        "level_jumps",
        "level_leaps",
        "level_drops",
    ]
    .into_iter()
    .map(str::to_owned)
}

/// Of levels (dB) and novelties hop by hop: the mean of the three and of the eight largest novelties and of the smaller half, the
/// second divided by the mean of all; the skewness of the level's steps, the mean of its rises, and the shares of steps
/// above 3 dB, above 6 dB, and below -3 dB.
pub(super) fn write(levels: &[f32], novelties: &[f32], out: &mut [f32]) {
    let count = novelties.len();
    let mut sorted = [0.0_f32; WINDOW_HOPS];
    let sorted = &mut sorted[..count];
    sorted.copy_from_slice(novelties);
    let mean_of = |values: &[f32]| values.iter().sum::<f32>() / values.len().max(1) as f32;
    let mean = mean_of(sorted);
    sorted.select_nth_unstable_by(count - SOME, f32::total_cmp);
    let (others, top) = sorted.split_at_mut(count - SOME);
    top.sort_unstable_by(f32::total_cmp);
    let (most, high) = (mean_of(&top[SOME - FEW..]), mean_of(top));
    let rest = mean_of(others.select_nth_unstable_by(count / 2, f32::total_cmp).0);

    let steps = (levels.len() - 1) as f32;
    let [mut rises, mut squares, mut cubes, mut sum] = [0.0_f32; 4];
    let [mut jumps, mut leaps, mut drops] = [0_u32; 3];
    for pair in levels.windows(2) {
        let step = pair[1] - pair[0];
        sum += step;
        rises += step.max(0.0);
        squares += step * step;
        cubes += step * step * step;
        jumps += u32::from(step > JUMP_DB);
        leaps += u32::from(step > 2.0 * JUMP_DB);
        drops += u32::from(step < -JUMP_DB);
    }
    let deviation = (squares / steps - (sum / steps).powi(2)).max(0.0).sqrt().max(0.3);
    out.copy_from_slice(&[
        most,
        high,
        rest,
        high / mean.max(0.05),
        (cubes / steps / deviation.powi(3)).clamp(-5.0, 5.0),
        rises / steps,
        jumps as f32 / steps,
        leaps as f32 / steps,
        drops as f32 / steps,
    ]);
}
