//! The sums: of all voices, and of all but one, for each.
//!
//! All slices have the same length, a multiple of [`TILE`]: a tile of every voice is worked on before the next, and a
//! running sum of a tile stays in registers.

/// Samples that are worked on at a time.
pub(super) const TILE: usize = 32;

/// Rounds up to whole tiles.
pub(super) fn padded(samples: usize) -> usize {
    samples.next_multiple_of(TILE)
}

/// A largest magnitude, each lane for itself, so that looking for it costs next to nothing.
pub(super) type Peak = [f32; LANES];
const LANES: usize = 8;

/// Writes the sum of all of `count` voices to `all`, and to the parts of `others` the sums of all but the voice of the
/// same place. `voice` gives a voice by its place, `peaks` gets the largest magnitude of each part of `others`, and what
/// is returned is that of `all`.
pub(super) fn sums<'a>(
    count: usize,
    voice: impl Fn(usize) -> &'a [f32],
    all: &mut [f32],
    others: &mut [f32],
    peaks: &mut [Peak],
) -> Peak {
    let length = all.len();
    let mut peak_of_all = [0.0; LANES];
    let peaks = &mut peaks[..count];
    peaks.fill([0.0; LANES]);
    for start in (0..length).step_by(TILE) {
        let mut behind = [0.0f32; TILE];
        for place in (0..count).rev() {
            *tile_mut(others, place * length + start) = behind;
            add(&mut behind, tile(voice(place), start));
        }
        let mut before = [0.0f32; TILE];
        for (place, peak) in peaks.iter_mut().enumerate() {
            let other = tile_mut(others, place * length + start);
            add(other, &before);
            look_for_peak(peak, other);
            add(&mut before, tile(voice(place), start));
        }
        look_for_peak(&mut peak_of_all, &before);
        *tile_mut(all, start) = before;
    }
    peak_of_all
}

/// The largest of all lanes.
pub(super) fn largest(peak: &Peak) -> f32 {
    peak.iter().fold(0.0, |largest, lane| largest.max(*lane))
}

/// What a look over a block tells.
pub(super) struct Heard {
    /// The largest magnitude.
    pub(super) peak: f32,
    /// The sum of the squares. It is not finite if a sample is not, or if one is very large.
    pub(super) energy: f32,
}

/// Looks at a block and copies it. Both have the same length.
pub(super) fn copy_and_look(from: &[f32], to: &mut [f32]) -> Heard {
    to.copy_from_slice(from);
    let (mut peak, mut energy) = ([0.0f32; LANES], [0.0f32; LANES]);
    let chunks = from.chunks_exact(LANES);
    let mut rest = [0.0; LANES];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    for chunk in chunks.chain(std::iter::once(&rest[..])) {
        let chunk: &[f32; LANES] = chunk.try_into().expect("a whole chunk");
        for lane in 0..LANES {
            energy[lane] += chunk[lane] * chunk[lane];
        }
        for lane in 0..LANES {
            peak[lane] = larger(peak[lane], chunk[lane].abs());
        }
    }
    Heard { peak: largest(&peak), energy: energy.iter().sum() }
}

#[inline]
fn tile(samples: &[f32], start: usize) -> &[f32; TILE] {
    samples[start..].first_chunk().expect("whole tiles")
}

#[inline]
fn tile_mut(samples: &mut [f32], start: usize) -> &mut [f32; TILE] {
    samples[start..].first_chunk_mut().expect("whole tiles")
}

#[inline]
fn add(sum: &mut [f32; TILE], samples: &[f32; TILE]) {
    for index in 0..TILE {
        sum[index] += samples[index];
    }
}

#[inline]
fn look_for_peak(peak: &mut Peak, samples: &[f32; TILE]) {
    for chunk in samples.chunks_exact(LANES) {
        for lane in 0..LANES {
            peak[lane] = larger(peak[lane], chunk[lane].abs());
        }
    }
}

/// Unlike `max` this is one instruction, for it does not ask for NaN.
#[inline]
fn larger(one: f32, other: f32) -> f32 {
    if other > one {
        other
    } else {
        one
    }
}
