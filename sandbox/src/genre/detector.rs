//! From samples to a genre that does not flicker.

use std::sync::Arc;

use super::model::{Model, CLASSES};
use super::narrow_band::KERNEL;
use super::spectrum::Spectrum;
use super::statistics::{Features, Statistics};
use super::Genre;
use crate::resample::ToSixteenKhz;
use crate::Stream;

/// Hops from one classification to the next: 0.26 s.
pub const CLASSIFY_HOPS: usize = 8;
/// Nothing is classified before this much has been heard: 2 s.
const FEWEST_HOPS: usize = 64;
/// A hop below this is silence: it is left out, so that nothing changes while nobody makes a sound.
const SILENCE_DB: f32 = -70.0;
/// How much a new classification counts in the running mean: a time constant of 1 s.
const NEW_PART: f32 = 0.25;
/// Classifications that another genre must lead for, in a row: 0.8 s when none has been named yet, else 2 s.
const LEAD_FIRST: u32 = 3;
const LEAD: u32 = 8;
/// Classifications in a row for which the named genre may be below the threshold itself: 3.1 s. More than `LEAD`, so that a
/// short interlude, which is remembered for as long as the window is, ends no genre that it could not take the lead from.
const DOUBT: u32 = 12;
/// By how much it must lead, unless the named genre is itself not sure any more.
const MARGIN: f32 = 0.15;

/// Listens to a stream and says what it is.
///
/// It is no [`Stage`](crate::Stage), for it changes no sample, but keeps a stage's promises: [`start`](Self::start) makes it as
/// new, to the bit; nothing but [`new`](Self::new) allocates; how the stream is cut into blocks makes no difference. Samples
/// must be finite.
///
/// ```
/// use sandbox::genre::{Genre, GenreDetector};
/// use sandbox::Stream;
///
/// let mut detector = GenreDetector::new(Stream { sample_rate_hz: 48_000, channels: 1 });
/// detector.process(&[0.0; 960]);
/// assert_eq!(detector.genre(), Genre::Unknown);
/// ```
pub struct GenreDetector {
    model: Arc<Model>,
    narrow_band: ToSixteenKhz,
    spectrum: Spectrum,
    statistics: Statistics,
    features: Features,
    decision: Decision,
}

/// What has been made of the classifications so far.
#[derive(Debug, Clone, Copy, Default)]
struct Decision {
    /// Hops with sound since the last classification.
    waiting: usize,
    classified: u32,
    /// Running mean of the model's probabilities.
    mean: [f32; CLASSES],
    genre: Genre,
    /// Who leads, and for how many classifications.
    candidate: Genre,
    led: u32,
    /// For how many classifications, in a row, the named genre has been below the threshold, whoever led meanwhile.
    doubted: u32,
}

impl GenreDetector {
    /// A detector at the beginning of `stream`, with the model that this crate brings along.
    pub fn new(stream: Stream) -> Self {
        Self::with_model(stream, Model::shipped())
    }

    /// A detector with another model.
    pub fn with_model(stream: Stream, model: Arc<Model>) -> Self {
        Self {
            model,
            narrow_band: ToSixteenKhz::new(stream, KERNEL),
            spectrum: Spectrum::new(),
            statistics: Statistics::new(),
            features: Features::default(),
            decision: Decision::default(),
        }
    }

    /// Begins a new stream; of the last one nothing stays. Allocates nothing.
    pub fn start(&mut self, stream: Stream) {
        self.narrow_band.start(stream);
        self.spectrum.start();
        self.statistics.start();
        self.features = Features::default();
        self.decision = Decision::default();
    }

    /// Listens to whole sample frames (a sample for each channel), any number of them. Allocates nothing.
    pub fn process(&mut self, block: &[f32]) {
        let Self { model, narrow_band, spectrum, statistics, features, decision } = self;
        narrow_band.process(block, |mut samples| {
            while spectrum.push(&mut samples) {
                let level_db = spectrum.level_db();
                if level_db >= SILENCE_DB {
                    features.frame = spectrum.analyse(level_db);
                    statistics.push(&features.frame);
                    decision.waiting += 1;
                    if decision.waiting >= CLASSIFY_HOPS && statistics.hops() >= FEWEST_HOPS {
                        statistics.write(features);
                        decision.take(&model.probabilities(&features.vector), model.threshold());
                    }
                }
                spectrum.advance();
            }
        });
    }

    /// The last block as it was listened to, for others that listen at the same place: 16 kHz, mono. All of it if it was not
    /// longer than 10 ms.
    pub(crate) fn narrow_band(&self) -> &[f32] {
        self.narrow_band.last()
    }

    /// What the stream sounds like; [`Genre::Unknown`] until 2.6 s of sound have been heard, and when not sure: a genre
    /// whose [`confidence`](Self::confidence) has been below the model's threshold is named no longer when no other has been
    /// above it for 2 s of sound, and in any case after 3.1 s.
    pub fn genre(&self) -> Genre {
        self.decision.genre
    }

    /// How probable the named genre is, 0 to 1, as a mean of the last second or so. For [`Genre::Unknown`]: how
    /// improbable the best of the others is; 0 before anything was classified.
    pub fn confidence(&self) -> f32 {
        let Decision { classified, mean, genre, .. } = &self.decision;
        match genre {
            _ if *classified == 0 => 0.0,
            Genre::Unknown => {
                1.0 - mean[..Genre::Unknown.index()].iter().fold(0.0_f32, |most, p| most.max(*p))
            }
            named => mean[named.index()],
        }
    }

    /// The running mean of the model's probabilities, in the order of [`Genre::ALL`]: for reports.
    pub fn probabilities(&self) -> [f32; CLASSES] {
        self.decision.mean
    }

    /// What is known of the last seconds, as of the last classification (`frame`: as of the last hop): for reports.
    pub fn features(&self) -> &Features {
        &self.features
    }
}

impl Decision {
    fn take(&mut self, probabilities: &[f32; CLASSES], threshold: f32) {
        self.waiting = 0;
        self.classified += 1;
        // the plain mean at first, so that the beginning does not weigh more than what follows
        let part = NEW_PART.max(1.0 / self.classified as f32);
        for (mean, now) in self.mean.iter_mut().zip(probabilities) {
            *mean += part * (now - *mean);
        }
        let best = (0..CLASSES).max_by(|a, b| self.mean[*a].total_cmp(&self.mean[*b])).unwrap_or(CLASSES - 1);
        let sure = self.mean[best] >= threshold;
        let leader = if sure { Genre::ALL[best] } else { Genre::Unknown };
        let ahead = leader == Genre::Unknown || self.mean[best] >= self.mean[self.genre.index()] + MARGIN;
        let doubtful = self.genre != Genre::Unknown && self.mean[self.genre.index()] < threshold;
        self.doubted = if doubtful { self.doubted + 1 } else { 0 };
        if self.doubted >= DOUBT {
            self.name(leader);
            return;
        }
        if leader == self.genre || (leader != Genre::Unknown && self.genre != Genre::Unknown && !ahead) {
            self.led = 0;
            return;
        }
        self.led = if leader == self.candidate { self.led + 1 } else { 1 };
        self.candidate = leader;
        let enough = if self.genre == Genre::Unknown { LEAD_FIRST } else { LEAD };
        if self.led >= enough {
            self.name(leader);
        }
    }

    fn name(&mut self, genre: Genre) {
        self.genre = genre;
        self.led = 0;
        self.doubted = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: f32 = 0.4;

    fn probabilities(of: &[(Genre, f32)]) -> [f32; CLASSES] {
        let mut probabilities = [0.0; CLASSES];
        for (genre, probability) in of {
            probabilities[genre.index()] = *probability;
        }
        probabilities
    }

    fn sure_of_rock() -> Decision {
        let mut decision = Decision::default();
        for _ in 0..20 {
            decision.take(&probabilities(&[(Genre::Rock, 0.9)]), THRESHOLD);
        }
        assert_eq!(decision.genre, Genre::Rock);
        decision
    }

    /// For how many classifications rock was below the threshold before it was given up, and for what.
    fn given_up_after(answers: impl Fn(u32) -> [f32; CLASSES]) -> (u32, Genre) {
        let mut decision = sure_of_rock();
        let mut below = 0;
        for at in 0..60 {
            decision.take(&answers(at), THRESHOLD);
            below += u32::from(decision.mean[Genre::Rock.index()] < THRESHOLD);
            if decision.genre != Genre::Rock {
                return (below, decision.genre);
            }
        }
        panic!("still named, with a confidence of {}", decision.mean[Genre::Rock.index()]);
    }

    #[test]
    fn a_genre_below_the_threshold_is_given_up_in_time_whoever_leads_meanwhile() {
        // Above the threshold, but by less than the margin ahead of the named one, which is below it.
        let close = probabilities(&[(Genre::Rock, 0.35), (Genre::Jazz, 0.45)]);
        assert_eq!(given_up_after(|_| close), (DOUBT, Genre::Jazz));
        let nobody_sure = probabilities(&[(Genre::Rock, 0.1), (Genre::Jazz, 0.3)]);
        assert_eq!(given_up_after(|_| nobody_sure), (LEAD, Genre::Unknown));
        // Nobody leads long enough.
        let (below, _) = given_up_after(|at| {
            let leader = if at / 4 % 2 == 0 { Genre::Jazz } else { Genre::Classical };
            probabilities(&[(leader, 0.95), (Genre::Rock, 0.02)])
        });
        assert!(below <= DOUBT, "{below} classifications");
    }

    #[test]
    fn a_genre_above_the_threshold_stays_beside_one_that_is_hardly_ahead() {
        let mut decision = sure_of_rock();
        for _ in 0..60 {
            decision.take(&probabilities(&[(Genre::Rock, 0.42), (Genre::Jazz, 0.52)]), THRESHOLD);
            assert_eq!(decision.genre, Genre::Rock);
        }
    }
}
