//! What a genre means to the processing chain: plain numbers, relative to what the session has set.

use super::Genre;

/// How the chain's parameters move away from the session's own for a genre.
///
/// All are offsets and factors, so that [`neutral`](Self::NEUTRAL) leaves everything as it was set, and any two of them can be
/// mixed number by number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenreParameters {
    /// Added to the gains of five bands around 80, 250, 1,000, 4,000 and 10,000 Hz, dB.
    pub equaliser_gain_db: [f32; 5],
    /// Added to the compressor's threshold, dB.
    pub compressor_threshold_db: f32,
    /// The compressor's ratio times this. Where it comes out below 1, 1 is meant.
    pub compressor_ratio_factor: f32,
    /// The compressor's release time times this.
    pub compressor_release_factor: f32,
    /// How much of the noise gate's attenuation remains: 1 as set, 0 off.
    pub gate_amount: f32,
    /// How much of the voice clarity stage's intensity remains: 1 as set, 0 off.
    pub clarity_amount: f32,
    /// The stereo width times this.
    pub width_factor: f32,
}

impl GenreParameters {
    /// Changes nothing: for [`Genre::Unknown`], since a wrong guess must not be heard.
    pub const NEUTRAL: Self = Self {
        equaliser_gain_db: [0.0; 5],
        compressor_threshold_db: 0.0,
        compressor_ratio_factor: 1.0,
        compressor_release_factor: 1.0,
        gate_amount: 1.0,
        clarity_amount: 1.0,
        width_factor: 1.0,
    };

    /// Less of what isn't voice (rumble, boxiness), more of the consonants' band; a voice is in the middle, so no width.
    const SPEECH: Self =
        Self { equaliser_gain_db: [-3.0, -1.0, 0.0, 2.0, 0.0], width_factor: 0.9, ..Self::NEUTRAL };

    /// Mixed densely and compressed already: the compressor does less, only faster so as to keep the drums' punch. A
    /// little bass and presence, a dip where guitars pile up. No gate: it would cut ringing chords. No voice clarity: it
    /// would lift what lies between the beats.
    const ROCK: Self = Self {
        equaliser_gain_db: [1.5, -1.0, 0.0, 1.0, 0.5],
        compressor_threshold_db: 3.0,
        compressor_ratio_factor: 0.75,
        compressor_release_factor: 0.8,
        gate_amount: 0.0,
        clarity_amount: 0.0,
        width_factor: 1.1,
    };

    /// Brushes, double bass and decays live far below the loudest: a higher threshold, a gentle ratio, a slow release, no
    /// gate. A touch of warmth and of cymbals.
    const JAZZ: Self = Self {
        equaliser_gain_db: [0.5, 0.5, 0.0, 0.0, 1.0],
        compressor_threshold_db: 6.0,
        compressor_ratio_factor: 0.5,
        compressor_release_factor: 1.5,
        gate_amount: 0.0,
        clarity_amount: 0.0,
        width_factor: 1.1,
    };

    /// Bass and the top octave carry it, and it is wide by design; its levels are even, so that hardly anything is left to
    /// compress.
    const ELECTRONIC: Self = Self {
        equaliser_gain_db: [2.0, -0.5, -0.5, 0.5, 1.5],
        compressor_threshold_db: 3.0,
        compressor_ratio_factor: 0.75,
        compressor_release_factor: 1.0,
        gate_amount: 0.0,
        clarity_amount: 0.0,
        width_factor: 1.2,
    };

    /// Dynamics are the music: next to no compression, and what there is slow. No equalising. No gate, which would cut halls
    /// and pianissimo. The hall a little wider.
    const CLASSICAL: Self = Self {
        equaliser_gain_db: [0.0; 5],
        compressor_threshold_db: 10.0,
        compressor_ratio_factor: 0.4,
        compressor_release_factor: 2.0,
        gate_amount: 0.0,
        clarity_amount: 0.0,
        width_factor: 1.15,
    };

    /// Those of a genre; the constants' comments have the reasons.
    pub const fn of(genre: Genre) -> Self {
        match genre {
            Genre::Speech => Self::SPEECH,
            Genre::Rock => Self::ROCK,
            Genre::Jazz => Self::JAZZ,
            Genre::Electronic => Self::ELECTRONIC,
            Genre::Classical => Self::CLASSICAL,
            Genre::Unknown => Self::NEUTRAL,
        }
    }

    /// A straight line from `self` (at 0) to `other` (at 1), for each number; both ends exact.
    pub fn mixed(&self, other: &Self, part: f32) -> Self {
        let mix = |from: f32, to: f32| (1.0 - part) * from + part * to;
        Self {
            equaliser_gain_db: std::array::from_fn(|band| {
                mix(self.equaliser_gain_db[band], other.equaliser_gain_db[band])
            }),
            compressor_threshold_db: mix(self.compressor_threshold_db, other.compressor_threshold_db),
            compressor_ratio_factor: mix(self.compressor_ratio_factor, other.compressor_ratio_factor),
            compressor_release_factor: mix(self.compressor_release_factor, other.compressor_release_factor),
            gate_amount: mix(self.gate_amount, other.gate_amount),
            clarity_amount: mix(self.clarity_amount, other.clarity_amount),
            width_factor: mix(self.width_factor, other.width_factor),
        }
    }
}

impl Default for GenreParameters {
    fn default() -> Self {
        Self::NEUTRAL
    }
}

/// Moves from one genre's parameters to the next within two seconds, in a straight line. It begins neutral.
///
/// Time is counted in sample frames, so where it stands does not depend on how a stream is cut into blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenreBlend {
    genre: Genre,
    from: GenreParameters,
    to: GenreParameters,
    elapsed: u64,
    length: u64,
}

impl GenreBlend {
    /// How long a move takes.
    pub const SECONDS: u32 = 2;

    /// Neutral, for a stream of that rate.
    pub fn new(sample_rate_hz: u32) -> Self {
        let length = u64::from(sample_rate_hz) * u64::from(Self::SECONDS);
        let neutral = GenreParameters::NEUTRAL;
        Self { genre: Genre::Unknown, from: neutral, to: neutral, elapsed: length, length }
    }

    /// Neutral again, at once: for another stream.
    pub fn start(&mut self, sample_rate_hz: u32) {
        *self = Self::new(sample_rate_hz);
    }

    /// From here on it moves towards that genre's parameters, from wherever it stands.
    pub fn aim(&mut self, genre: Genre) {
        if genre != self.genre {
            (self.from, self.to) = (self.current(), GenreParameters::of(genre));
            (self.genre, self.elapsed) = (genre, 0);
        }
    }

    /// So many sample frames went by. True while the parameters move, so that they need not be set when they don't.
    pub fn advance(&mut self, sample_frames: usize) -> bool {
        let moving = self.elapsed < self.length;
        self.elapsed = self.length.min(self.elapsed + sample_frames as u64);
        moving
    }

    /// The parameters of this moment.
    pub fn current(&self) -> GenreParameters {
        if self.elapsed >= self.length {
            return self.to;
        }
        self.from.mixed(&self.to, (self.elapsed as f64 / self.length as f64) as f32)
    }
}
