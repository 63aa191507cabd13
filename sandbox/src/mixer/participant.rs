//! One participant of a room, and the place it sits at.

use std::f64::consts::{FRAC_PI_4, SQRT_2};
use std::fmt;

use super::limit::MixLimiter;
use super::Output;

/// Names a participant of one room for as long as it is there. A later one at the same place has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParticipantId {
    pub(super) place: u32,
    /// How many sat at this place before.
    pub(super) occupant: u32,
}

impl ParticipantId {
    /// Its place, below the room's capacity: handy as an index for what somebody else keeps on participants.
    pub fn place(self) -> usize {
        self.place as usize
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "participant {}.{}", self.place, self.occupant)
    }
}

/// Gains of the left and the right channel; in a mono room both are the same.
pub(super) type Gains = [f32; 2];

/// A place, with what stays there when one participant follows another.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) occupant: u32,
    pub(super) participant: Option<Participant>,
    /// The block of this round, if one was submitted; as long as the room's blocks, in whole tiles.
    pub(super) samples: Box<[f32]>,
}

/// All that a participant brings along or sets, and what the room keeps on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Participant {
    volume_db: f32,
    pan: f32,
    pub(super) muted: bool,
    /// What volume and pan ask for.
    pub(super) wanted: Gains,
    /// In force at the end of the last round.
    pub(super) gains: Gains,
    /// The mean power of the block of this round, before gains; none if there is no block.
    pub(super) submitted_power: Option<f32>,
    pub(super) output: Output,
    /// Of the mix without this participant; of no meaning while it hears the shared one.
    pub(super) limiter: MixLimiter,
}

impl Participant {
    pub(super) fn new() -> Self {
        Self {
            volume_db: 0.0,
            pan: 0.0,
            muted: false,
            wanted: [1.0; 2],
            gains: [0.0; 2],
            submitted_power: None,
            output: Output::Shared,
            limiter: MixLimiter::default(),
        }
    }

    pub(super) fn set_volume_db(&mut self, volume_db: f32, channels: usize) {
        self.volume_db = volume_db;
        self.wanted = gains(volume_db, self.pan, channels);
    }

    pub(super) fn set_pan(&mut self, pan: f32, channels: usize) {
        self.pan = pan;
        self.wanted = gains(self.volume_db, pan, channels);
    }
}

/// Constant power: the sine and cosine law (for instance Zölzer, *DAFX*, 2nd ed., section 5.2.1), scaled so that the
/// middle leaves the level as it is. Hard left and right are then 3 dB louder in the one channel that is left.
fn gains(volume_db: f32, pan: f32, channels: usize) -> Gains {
    let volume = 10f64.powf(0.05 * f64::from(volume_db));
    if channels == 1 {
        return [volume as f32; 2];
    }
    let angle = (f64::from(pan) + 1.0) * FRAC_PI_4;
    // The cosine of a rounded right angle is not quite 0.
    [angle.cos(), angle.sin()].map(|share| if share < 1e-9 { 0.0 } else { (SQRT_2 * share * volume) as f32 })
}

/// Multiplies whole sample frames by gains that move from one pair to the other over the first `glide_frames`.
pub(super) fn apply_gains(samples: &mut [f32], channels: usize, from: Gains, to: Gains, glide_frames: usize) {
    let mut rest = samples;
    if from != to {
        let (gliding, later) = rest.split_at_mut((glide_frames * channels).min(rest.len()));
        for (index, frame) in gliding.chunks_exact_mut(channels).enumerate() {
            let share = (index + 1) as f32 / glide_frames as f32;
            for (sample, (from, to)) in frame.iter_mut().zip(from.into_iter().zip(to)) {
                *sample *= from + share * (to - from);
            }
        }
        rest = later;
    }
    if to == [1.0; 2] {
        return;
    }
    if channels == 1 {
        rest.iter_mut().for_each(|sample| *sample *= to[0]);
    } else {
        for frame in rest.chunks_exact_mut(2) {
            frame[0] *= to[0];
            frame[1] *= to[1];
        }
    }
}
