//! Notes of the last seconds: how many, in which key, how often they change.

use super::tonal::{entropy, PITCH_CLASSES};

/// Harmony features.
pub(super) const HARMONIES: usize = 6 + LARGEST;
/// Pitch classes whose share is told, the largest ones.
const LARGEST: usize = 4;
/// Hops that a chord is taken from: 0.5 s.
const CHORD_HOPS: usize = 16;

/// How well each pitch class fits a major and a minor key, from its tonic upwards (Krumhansl and Kessler 1982, as in Krumhansl
/// 1990, table 2.1).
const MAJOR: [f32; PITCH_CLASSES] = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
const MINOR: [f32; PITCH_CLASSES] = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];

pub(super) fn names() -> impl Iterator<Item = String> {
    let named = ["key_entropy", "key_clarity", "key_lead", "key_minor", "chord_entropy", "chord_change"];
    let largest = (1..=LARGEST).map(|place| format!("pitch_class_{place}"));
    named.into_iter().map(str::to_owned).chain(largest)
}

/// Of the chromas hop by hop: the entropy of their sum; its correlation with the best of 24 keys, by how much that is better than
/// the third best, and the best minor key than the best major one; the mean entropy of half seconds, and the mean sum of the
/// differences from one to the next; the largest shares of the sum, in falling order.
pub(super) fn write(chromas: &[[f32; PITCH_CLASSES]], out: &mut [f32]) {
    let whole = normalised(chromas);
    let (major, minor) = (correlations(&whole, &MAJOR), correlations(&whole, &MINOR));
    let best = |of: &[f32; PITCH_CLASSES]| of.iter().fold(-1.0_f32, |best, here| best.max(*here));
    // the best three of all keys, in falling order
    let mut ranked = [-1.0_f32; 3];
    for here in major.iter().chain(&minor) {
        let mut next = *here;
        for place in &mut ranked {
            if next > *place {
                std::mem::swap(place, &mut next);
            }
        }
    }
    let (mut entropies, mut changes, mut chords) = (0.0, 0.0, 0);
    let mut last = [0.0; PITCH_CLASSES];
    for hops in chromas.chunks_exact(CHORD_HOPS) {
        let chord = normalised(hops);
        entropies += entropy(&chord);
        if chords > 0 {
            changes += chord.iter().zip(&last).map(|(now, last)| (now - last).abs()).sum::<f32>();
        }
        last = chord;
        chords += 1;
    }
    let mut sorted = whole;
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let chords = chords.max(1) as f32;
    out[..6].copy_from_slice(&[
        entropy(&whole),
        ranked[0],
        ranked[0] - ranked[2],
        best(&minor) - best(&major),
        entropies / chords,
        changes / (chords - 1.0).max(1.0),
    ]);
    out[6..].copy_from_slice(&sorted[..LARGEST]);
}

/// The sum, divided by its own sum.
fn normalised(chromas: &[[f32; PITCH_CLASSES]]) -> [f32; PITCH_CLASSES] {
    let mut sums = [0.0_f32; PITCH_CLASSES];
    for chroma in chromas {
        for (sum, class) in sums.iter_mut().zip(chroma) {
            *sum += class;
        }
    }
    let total: f32 = sums.iter().sum();
    if total > 0.0 {
        sums.map(|sum| sum / total)
    } else {
        sums
    }
}

/// Pearson's correlation with the profile on each tonic; 0 where all classes are alike.
fn correlations(shares: &[f32; PITCH_CLASSES], profile: &[f32; PITCH_CLASSES]) -> [f32; PITCH_CLASSES] {
    let centred = |values: &[f32; PITCH_CLASSES]| {
        let mean = values.iter().sum::<f32>() / PITCH_CLASSES as f32;
        values.map(|value| value - mean)
    };
    let length = |values: &[f32; PITCH_CLASSES]| values.iter().map(|value| value * value).sum::<f32>().sqrt();
    let (shares, profile) = (centred(shares), centred(profile));
    let scale = length(&shares) * length(&profile);
    std::array::from_fn(|tonic| {
        let product: f32 =
            (0..PITCH_CLASSES).map(|at| shares[(at + tonic) % PITCH_CLASSES] * profile[at]).sum();
        if scale > 1e-6 {
            product / scale
        } else {
            0.0
        }
    })
}
