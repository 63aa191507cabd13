//! The equaliser: five parametric bands, one behind the other.
//!
//! Each band is a second-order section by Robert Bristow-Johnson's "Cookbook formulae for audio equalizer biquad filter
//! coefficients" (W3C Group Note, 2021). A band that is off, or whose gain is 0 dB, costs nothing and changes no bit.
//!
//! A change never clicks. Frequency, gain and Q glide to their new values in 20 ms (frequency and Q in octaves, gain
//! in decibels): the section is designed anew each millisecond, and its coefficients move in straight lines in between.
//! A band of another kind fades in within 20 ms, after the old one has faded out within 20 ms.

use crate::filter::{Cascade, Fade, Section, Shape, LONGEST_TICK, SECTIONS};

use super::accepted::accepted;
use super::{Described, Parameter, Stage, Stream};

/// Bands of an [`Equaliser`].
pub const BANDS: usize = SECTIONS;
/// A frequency is held below this share of the sample rate.
const HIGHEST_FREQUENCY: f64 = 0.49;
/// A change takes so many ticks, of a millisecond each.
const GLIDE_TICKS: u32 = 20;
/// So often, in ticks, memory that has faded to nothing is cleared.
const FLUSH_TICKS: usize = 16;

/// What a band does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BandKind {
    /// Nothing.
    #[default]
    Off,
    /// Raises or lowers what lies around its frequency, by its gain.
    Peak,
    /// Raises or lowers what lies below its frequency; half of the gain (in dB) at that frequency.
    LowShelf,
    /// Raises or lowers what lies above its frequency; half of the gain (in dB) at that frequency.
    HighShelf,
    /// Takes away what lies above its frequency, 12 dB an octave. It has no gain.
    LowPass,
    /// Takes away what lies below its frequency, 12 dB an octave. It has no gain.
    HighPass,
}

impl BandKind {
    /// All kinds. A kind's place in here is its number in [`EqualiserParameters`]' table.
    pub const ALL: [BandKind; 6] = [
        BandKind::Off,
        BandKind::Peak,
        BandKind::LowShelf,
        BandKind::HighShelf,
        BandKind::LowPass,
        BandKind::HighPass,
    ];

    /// As clients write them, in the order of [`ALL`](Self::ALL).
    pub const NAMES: [&'static str; 6] = ["off", "peak", "low_shelf", "high_shelf", "low_pass", "high_pass"];

    /// As clients write it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The kind of that number; the nearest for a number between two or outside of them.
    pub fn from_number(number: f32) -> BandKind {
        BandKind::ALL[(number.round() as usize).min(BandKind::ALL.len() - 1)]
    }

    fn shape(self) -> Option<Shape> {
        match self {
            BandKind::Off => None,
            BandKind::Peak => Some(Shape::Peak),
            BandKind::LowShelf => Some(Shape::LowShelf),
            BandKind::HighShelf => Some(Shape::HighShelf),
            BandKind::LowPass => Some(Shape::LowPass),
            BandKind::HighPass => Some(Shape::HighPass),
        }
    }
}

/// One band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// What it does.
    pub kind: BandKind,
    /// Its middle, or its cutoff. 20 to 20,000; held below 0.49 of the sample rate.
    pub frequency_hz: f32,
    /// -24 to 24; without meaning for low-pass and high-pass.
    pub gain_db: f32,
    /// Narrowness: the cookbook's Q. 0.1 to 10; 0.707 is a Butterworth response, and the steepest shelf without a bump.
    pub q: f32,
}

/// What an [`Equaliser`] does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EqualiserParameters {
    /// The bands, in the order in which sound passes them.
    pub bands: [Band; BANDS],
}

impl Default for EqualiserParameters {
    /// All off, at the frequencies where they are wanted most often.
    fn default() -> Self {
        let band = |frequency_hz, q| Band { kind: BandKind::Off, frequency_hz, gain_db: 0.0, q };
        let bands = [
            band(80.0, 0.707),
            band(250.0, 1.0),
            band(1_000.0, 1.0),
            band(4_000.0, 1.0),
            band(10_000.0, 0.707),
        ];
        EqualiserParameters { bands }
    }
}

/// The rows of the table for one band.
macro_rules! table {
    ($($index:literal $kind:literal $frequency_hz:literal $gain_db:literal $q:literal)*) => {
        &[$(
            Parameter {
                name: $kind,
                range: 0.0..=5.0,
                get: |p| p.bands[$index].kind as u8 as f32,
                set: |p, value| p.bands[$index].kind = BandKind::from_number(value),
            },
            Parameter {
                name: $frequency_hz,
                range: 20.0..=20_000.0,
                get: |p| p.bands[$index].frequency_hz,
                set: |p, value| p.bands[$index].frequency_hz = value,
            },
            Parameter {
                name: $gain_db,
                range: -24.0..=24.0,
                get: |p| p.bands[$index].gain_db,
                set: |p, value| p.bands[$index].gain_db = value,
            },
            Parameter {
                name: $q,
                range: 0.1..=10.0,
                get: |p| p.bands[$index].q,
                set: |p, value| p.bands[$index].q = value,
            },
        )*]
    };
}

impl Described for EqualiserParameters {
    /// A kind is a number here: its place in [`BandKind::ALL`].
    const PARAMETERS: &'static [Parameter<Self>] = table! {
        0 "band_1_kind" "band_1_frequency_hz" "band_1_gain_db" "band_1_q"
        1 "band_2_kind" "band_2_frequency_hz" "band_2_gain_db" "band_2_q"
        2 "band_3_kind" "band_3_frequency_hz" "band_3_gain_db" "band_3_q"
        3 "band_4_kind" "band_4_frequency_hz" "band_4_gain_db" "band_4_q"
        4 "band_5_kind" "band_5_frequency_hz" "band_5_gain_db" "band_5_q"
    };

    fn words(index: usize) -> &'static [&'static str] {
        match index % (Self::PARAMETERS.len() / BANDS) {
            0 => &BandKind::NAMES,
            _ => &[],
        }
    }
}

/// The equaliser. It delays nothing; each channel has its own memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Equaliser {
    stream: Stream,
    bands: [Glide; BANDS],
    tick_samples: usize,
    /// Sample frames already seen since memory was looked through last, [`FLUSH_TICKS`] at the most.
    seen: usize,
    /// Whether parameters were set that are not looked at yet.
    set: bool,
    /// What each band does in this tick while none changes, ...
    sections: [Option<Section>; BANDS],
    /// ... and what they do while one does.
    fades: [Option<Fade>; BANDS],
    fading: bool,
    cascade: Cascade,
}

impl Stage for Equaliser {
    type Parameters = EqualiserParameters;

    fn new(stream: Stream, parameters: &EqualiserParameters) -> Equaliser {
        let bands = accepted(parameters).bands.map(|band| Glide::at(Point::of(&band, stream)));
        Equaliser {
            stream,
            sections: bands.map(|band| band.section(stream)),
            bands,
            tick_samples: ((stream.sample_rate_hz as usize + 500) / 1_000).min(LONGEST_TICK),
            seen: 0,
            set: false,
            fades: [None; BANDS],
            fading: false,
            cascade: Cascade::default(),
        }
    }

    fn start(&mut self, stream: Stream, parameters: &EqualiserParameters) {
        *self = Equaliser::new(stream, parameters);
    }

    /// What changes begins to do so within a millisecond.
    fn set(&mut self, parameters: &EqualiserParameters) {
        for (glide, band) in self.bands.iter_mut().zip(&accepted(parameters).bands) {
            glide.aim(Point::of(band, self.stream));
        }
        self.set = true;
    }

    fn process(&mut self, block: &mut [f32]) {
        if self.stream.channels == 1 {
            self.process_channels::<1>(block);
        } else {
            self.process_channels::<2>(block);
        }
    }
}

impl Equaliser {
    fn process_channels<const CHANNELS: usize>(&mut self, block: &mut [f32]) {
        let (tick, period) = (self.tick_samples, self.tick_samples * FLUSH_TICKS);
        let mut rest = block;
        while rest.len() >= CHANNELS {
            let seen_of_tick = self.seen % tick;
            // Where nothing changes there is no need to stop at each tick.
            let left = if self.fading || self.set { tick - seen_of_tick } else { period - self.seen };
            let frames = left.min(rest.len() / CHANNELS);
            let (part, behind) = rest.split_at_mut(frames * CHANNELS);
            rest = behind;
            if self.fading {
                self.cascade.process_fading::<CHANNELS>(&self.fades, (seen_of_tick, tick), part);
            } else {
                self.cascade.process::<CHANNELS>(&self.sections, part);
            }
            self.seen += frames;
            if self.seen == period {
                self.seen = 0;
                self.cascade.flush();
            }
            if self.seen.is_multiple_of(tick) {
                self.tick();
            }
        }
    }

    /// What the next tick does.
    fn tick(&mut self) {
        self.set = false;
        let was_fading = std::mem::replace(&mut self.fading, self.bands.iter().any(Glide::moves));
        if !self.fading && !was_fading {
            return;
        }
        for (index, band) in self.bands.iter_mut().enumerate() {
            if self.fading {
                if !was_fading {
                    self.cascade.loosen(index);
                }
                self.fades[index] = band.tick(self.stream, || self.cascade.begin(index));
            } else {
                self.sections[index] = band.section(self.stream);
            }
        }
    }
}

/// Where a band is, in the units in which it moves.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    /// `None` when the band changes nothing.
    shape: Option<Shape>,
    octaves: f64,
    gain_db: f64,
    q_octaves: f64,
}

impl Point {
    fn of(band: &Band, stream: Stream) -> Point {
        let highest_hz = HIGHEST_FREQUENCY * f64::from(stream.sample_rate_hz);
        let flat = band.gain_db == 0.0 && !matches!(band.kind, BandKind::LowPass | BandKind::HighPass);
        Point {
            shape: band.kind.shape().filter(|_| !flat),
            octaves: f64::from(band.frequency_hz).min(highest_hz).log2(),
            gain_db: band.gain_db.into(),
            q_octaves: f64::from(band.q).log2(),
        }
    }

    fn section(&self, stream: Stream) -> Option<Section> {
        let rate = f64::from(stream.sample_rate_hz);
        let (frequency_hz, q) = (self.octaves.exp2(), self.q_octaves.exp2());
        self.shape.map(|shape| Section::design(shape, frequency_hz, self.gain_db, q, rate))
    }

    /// The point `share` of the way to `other`, which has the same shape.
    fn toward(&self, other: &Point, share: f64) -> Point {
        let between = |from: f64, to: f64| from + share * (to - from);
        Point {
            shape: self.shape,
            octaves: between(self.octaves, other.octaves),
            gain_db: between(self.gain_db, other.gain_db),
            q_octaves: between(self.q_octaves, other.q_octaves),
        }
    }
}

/// A band on its way.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Glide {
    now: Point,
    aim: Point,
    /// Ticks until `now` is at `aim`, if they have the same shape.
    ticks_left: u32,
    /// How far the band has faded in: 0 to [`GLIDE_TICKS`].
    wet: u32,
}

impl Glide {
    fn at(point: Point) -> Glide {
        Glide { now: point, aim: point, ticks_left: 0, wet: GLIDE_TICKS }
    }

    fn aim(&mut self, aim: Point) {
        if aim != self.aim {
            self.aim = aim;
            self.ticks_left = GLIDE_TICKS;
        }
    }

    fn moves(&self) -> bool {
        self.now != self.aim || (self.now.shape.is_some() && self.wet < GLIDE_TICKS)
    }

    fn section(&self, stream: Stream) -> Option<Section> {
        self.now.section(stream)
    }

    /// One tick's change. `begin` is called when another filter is about to fade in.
    fn tick(&mut self, stream: Stream, begin: impl FnOnce()) -> Option<Fade> {
        if self.now.shape.is_none() || (self.now.shape != self.aim.shape && self.wet == 0) {
            (self.now, self.wet, self.ticks_left) = (self.aim, 0, 0);
            begin();
        }
        let (from, wet_from) = (self.now.section(stream)?, self.wet);
        if self.now.shape != self.aim.shape {
            self.wet -= 1;
        } else {
            self.wet = (self.wet + 1).min(GLIDE_TICKS);
            if self.ticks_left > 1 {
                self.now = self.now.toward(&self.aim, 1.0 / f64::from(self.ticks_left));
                self.ticks_left -= 1;
            } else {
                (self.now, self.ticks_left) = (self.aim, 0);
            }
        }
        let to = self.now.section(stream)?;
        let wet = |ticks: u32| f64::from(ticks) / f64::from(GLIDE_TICKS);
        Some(Fade { from, to, wet_from: wet(wet_from), wet_to: wet(self.wet) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_memory_is_empty_after_a_long_silence_however_low_and_narrow_its_bands() {
        let kinds =
            [BandKind::HighPass, BandKind::Peak, BandKind::LowShelf, BandKind::HighShelf, BandKind::LowPass];
        let frequencies_hz = [20.0, 20.0, 3_000.0, 500.0, 20_000.0];
        let mut parameters = EqualiserParameters::default();
        for ((band, kind), frequency_hz) in parameters.bands.iter_mut().zip(kinds).zip(frequencies_hz) {
            *band = Band { kind, frequency_hz, gain_db: 24.0, q: 10.0 };
        }
        for sample_rate_hz in [8_000, 96_000] {
            for channels in [1, 2] {
                let mut equaliser = Equaliser::new(Stream { sample_rate_hz, channels }, &parameters);
                equaliser.process(&mut [1.0; 1_000]);
                let mut silence = [0.0; 4_800];
                for _ in 0..30 * sample_rate_hz as usize / 2_400 {
                    silence.fill(0.0);
                    equaliser.process(&mut silence);
                    let subnormal = |sample: &f32| *sample != 0.0 && !sample.is_normal();
                    assert!(!silence.iter().any(subnormal));
                }
                assert_eq!(equaliser.cascade, Cascade::default());
            }
        }
    }

    #[test]
    fn a_kind_is_found_by_its_number_and_has_a_name_of_its_own() {
        for (number, kind) in BandKind::ALL.into_iter().enumerate() {
            assert_eq!(BandKind::from_number(number as f32), kind);
            assert_eq!(kind as usize, number);
            assert!(BandKind::ALL.iter().filter(|other| other.name() == kind.name()).eq([&kind]));
        }
        assert_eq!(BandKind::from_number(-3.0), BandKind::Off);
        assert_eq!(BandKind::from_number(1e9), BandKind::HighPass);
    }
}
