//! The room: places, rounds and who hears what.

use super::choice::{Activity, Chooser};
use super::limit::{MixLimiter, MixLimiting};
use super::participant::{apply_gains, Participant, Place};
use super::settings::{PAN, VOLUME_DB};
use super::sum::{copy_and_look, largest, padded, sums, Peak};
use super::{MixerError, MixerSettings, ParticipantId};

/// How long gains take to a new value.
const GLIDE_MS: f32 = 10.0;
/// Samples beyond this (24 dB above full scale) are held there, so that no sum can overflow.
const LOUDEST_SAMPLE: f32 = 16.0;

/// Which mix a participant hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// A mix of its own, for its own voice is left out: the index for [`Mixes::own`].
    Own(usize),
    /// The mix of all voices, which everybody without a voice in it hears alike.
    Shared,
}

/// A room's mixer. Each round, participants [`submit`](Self::submit) the blocks they have, and [`mix`](Self::mix) makes
/// of them what each hears.
///
/// What it has is a block for each place that was ever taken, and one for each voice that can be heard at a time (twice
/// `max_speakers` at most): at 48 kHz mono and 20 ms 4 KB each.
#[derive(Debug)]
pub struct Mixer {
    settings: MixerSettings,
    chooser: Chooser,
    limiting: MixLimiting,
    glide_frames: usize,
    /// Those that were ever taken.
    places: Vec<Place>,
    /// Of the participants at `places`; that of an empty place is as new.
    activities: Vec<Activity>,
    participants: usize,
    /// The places whose voices were in the last mix, rising; `Own` is an index into this.
    voices: Vec<usize>,
    /// The mix of all of them, in whole tiles.
    all: Box<[f32]>,
    shared_limiter: MixLimiter,
    /// The mixes without each of them, one after the other.
    others: Vec<f32>,
    peaks: Vec<Peak>,
}

impl Mixer {
    /// An empty room.
    pub fn new(settings: &MixerSettings) -> Result<Self, MixerError> {
        settings.check()?;
        let samples = padded(settings.block_frames * settings.stream.channels);
        let glide_frames = settings.stream.sample_rate_hz as f32 * GLIDE_MS / 1e3;
        Ok(Self {
            settings: *settings,
            chooser: Chooser::new(&settings.speakers, settings.block_ms()),
            limiting: MixLimiting::new(settings.stream),
            glide_frames: (glide_frames as usize).min(settings.block_frames),
            places: Vec::with_capacity(settings.capacity),
            activities: Vec::with_capacity(settings.capacity),
            participants: 0,
            voices: Vec::with_capacity(settings.capacity),
            all: vec![0.0; samples].into_boxed_slice(),
            shared_limiter: MixLimiter::default(),
            others: Vec::new(),
            peaks: Vec::new(),
        })
    }

    /// What the room was made for.
    pub fn settings(&self) -> &MixerSettings {
        &self.settings
    }

    /// Participants in the room.
    pub fn len(&self) -> usize {
        self.participants
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.participants == 0
    }

    /// Lets one more in, at the first free place: at 0 dB, in the middle, not muted. Allocates only where nobody sat
    /// before.
    pub fn add(&mut self) -> Result<ParticipantId, MixerError> {
        let free = self.places.iter().position(|place| place.participant.is_none());
        let index = match free {
            Some(index) => index,
            None if self.places.len() == self.settings.capacity => {
                return Err(MixerError::Full { capacity: self.settings.capacity });
            }
            None => {
                self.take_in_one_more_place();
                self.places.len() - 1
            }
        };
        let place = &mut self.places[index];
        place.participant = Some(Participant::new());
        self.participants += 1;
        Ok(ParticipantId { place: index as u32, occupant: place.occupant })
    }

    fn take_in_one_more_place(&mut self) {
        let samples = self.all.len();
        let block = vec![0.0; samples].into_boxed_slice();
        self.places.push(Place { occupant: 0, participant: None, samples: block });
        self.activities.push(Activity::default());
        // Those who come and those who fade out, in one round.
        let most_voices = self.places.len().min(2 * self.settings.speakers.max_speakers);
        self.others.resize(most_voices * samples, 0.0);
        self.peaks.resize(most_voices, Peak::default());
    }

    /// Lets one go. What it said last is cut off; to fade it out, mute it a round before.
    pub fn remove(&mut self, id: ParticipantId) -> Result<(), MixerError> {
        self.participant(id)?;
        let place = &mut self.places[id.place()];
        place.participant = None;
        place.occupant = place.occupant.wrapping_add(1);
        self.activities[id.place()] = Activity::default();
        self.participants -= 1;
        if self.participants == 0 {
            self.shared_limiter = MixLimiter::default();
        }
        Ok(())
    }

    /// How loud it is for the others, in dB: -60 to 12.
    pub fn set_volume_db(&mut self, id: ParticipantId, volume_db: f32) -> Result<(), MixerError> {
        if !VOLUME_DB.contains(&volume_db) {
            return Err(MixerError::VolumeDb { got: volume_db });
        }
        let channels = self.settings.stream.channels;
        self.participant(id)?.set_volume_db(volume_db, channels);
        Ok(())
    }

    /// Where it is for the others: -1 is left, 1 right. In a mono room this makes no difference.
    pub fn set_pan(&mut self, id: ParticipantId, pan: f32) -> Result<(), MixerError> {
        if !PAN.contains(&pan) {
            return Err(MixerError::Pan { got: pan });
        }
        let channels = self.settings.stream.channels;
        self.participant(id)?.set_pan(pan, channels);
        Ok(())
    }

    /// Takes its voice out of the mix, or lets it in again.
    pub fn set_muted(&mut self, id: ParticipantId, muted: bool) -> Result<(), MixerError> {
        self.participant(id)?.muted = muted;
        Ok(())
    }

    /// What a participant says in this round: `block_frames` samples, or in a stereo room also as many pairs. Of two
    /// blocks in one round the second counts. Samples beyond 24 dB above full scale are held there.
    pub fn submit(&mut self, id: ParticipantId, block: &[f32]) -> Result<(), MixerError> {
        self.participant(id)?;
        let (frames, channels) = (self.settings.block_frames, self.settings.stream.channels);
        if block.len() != frames && block.len() != frames * channels {
            return Err(MixerError::BlockLength { samples: block.len(), mono: frames, channels });
        }
        let place = &mut self.places[id.place()];
        let samples = &mut place.samples[..frames * channels];
        let heard = copy_and_look(block, &mut samples[..block.len()]);
        let participant = place.participant.as_mut().expect("it was found above");
        // Only what is no number, infinite or beyond all measure makes the energy so.
        let not_finite = || block.iter().position(|sample| !sample.is_finite());
        if let Some(index) = (!heard.energy.is_finite()).then(not_finite).flatten() {
            participant.submitted_power = None;
            return Err(MixerError::NotFinite { index });
        }
        let mut energy = heard.energy;
        if heard.peak > LOUDEST_SAMPLE {
            samples.iter_mut().for_each(|sample| *sample = sample.clamp(-LOUDEST_SAMPLE, LOUDEST_SAMPLE));
            energy = samples[..block.len()].iter().map(|sample| sample * sample).sum();
        }
        if block.len() < samples.len() {
            for frame in (0..frames).rev() {
                let sample = samples[frame];
                samples[2 * frame..2 * frame + 2].fill(sample);
            }
        }
        participant.submitted_power = Some(energy / block.len() as f32);
        Ok(())
    }

    /// Ends the round: makes all mixes of what was submitted since the last one. Who submitted nothing is silent.
    pub fn mix(&mut self) -> Mixes<'_> {
        self.choose_speakers();
        let channels = self.settings.stream.channels;
        let samples = self.settings.block_frames * channels;
        self.voices.clear();
        for (index, place) in self.places.iter_mut().enumerate() {
            let Some(participant) = &mut place.participant else { continue };
            let from = participant.gains;
            let to = if self.activities[index].chosen { participant.wanted } else { [0.0; 2] };
            participant.gains = to;
            let submitted = participant.submitted_power.take().is_some();
            if !submitted || (from == [0.0; 2] && to == [0.0; 2]) {
                participant.output = Output::Shared;
                continue;
            }
            apply_gains(&mut place.samples[..samples], channels, from, to, self.glide_frames);
            if participant.output == Output::Shared {
                participant.limiter = self.shared_limiter;
            }
            participant.output = Output::Own(self.voices.len());
            self.voices.push(index);
        }

        let (places, voices) = (&self.places, &self.voices);
        let voice = |voice: usize| &*places[voices[voice]].samples;
        let peak = sums(voices.len(), voice, &mut self.all, &mut self.others, &mut self.peaks);
        self.limiting.process(&mut self.shared_limiter, &mut self.all[..samples], largest(&peak));
        let mixes = self.others.chunks_exact_mut(self.all.len()).zip(&self.peaks);
        for (place, (mix, peak)) in self.voices.iter().zip(mixes) {
            let participant = self.places[*place].participant.as_mut().expect("it has a voice");
            self.limiting.process(&mut participant.limiter, &mut mix[..samples], largest(peak));
        }
        self.mixes()
    }

    /// What the last round came to, once more. Who came since then hears the shared mix.
    pub fn mixes(&self) -> Mixes<'_> {
        Mixes { mixer: self }
    }

    fn choose_speakers(&mut self) {
        for (place, activity) in self.places.iter().zip(&mut self.activities) {
            if let Some(participant) = &place.participant {
                self.chooser.hear(activity, participant.submitted_power.unwrap_or(0.0), participant.muted);
            }
        }
        self.chooser.choose(&mut self.activities);
    }

    /// Who is heard since the last round, by place. Who has a place among the speakers keeps it through pauses, so not
    /// all of these need have made a sound.
    pub fn active_speakers(&self) -> impl Iterator<Item = ParticipantId> + '_ {
        let places = self.places.iter().zip(&self.activities).enumerate();
        places.filter(|(_, (_, activity))| activity.chosen).map(|(index, (place, _))| id(index, place))
    }

    /// A participant's smoothed RMS level, before its volume, in dB relative to full scale; -200 for silence.
    pub fn level_dbfs(&self, id: ParticipantId) -> Result<f32, MixerError> {
        self.find(id)?;
        Ok(10.0 * self.activities[id.place()].power.max(1e-20).log10())
    }

    fn find(&self, id: ParticipantId) -> Result<&Participant, MixerError> {
        let place = self.places.get(id.place()).filter(|place| place.occupant == id.occupant);
        place.and_then(|place| place.participant.as_ref()).ok_or(MixerError::UnknownParticipant { id })
    }

    fn participant(&mut self, id: ParticipantId) -> Result<&mut Participant, MixerError> {
        let place = self.places.get_mut(id.place()).filter(|place| place.occupant == id.occupant);
        place.and_then(|place| place.participant.as_mut()).ok_or(MixerError::UnknownParticipant { id })
    }
}

fn id(index: usize, place: &Place) -> ParticipantId {
    ParticipantId { place: index as u32, occupant: place.occupant }
}

/// What a round came to.
#[derive(Debug, Clone, Copy)]
pub struct Mixes<'a> {
    mixer: &'a Mixer,
}

impl<'a> Mixes<'a> {
    /// Everybody in the room, by place, and which mix it hears.
    pub fn outputs(self) -> impl Iterator<Item = (ParticipantId, Output)> + 'a {
        self.mixer.places.iter().enumerate().filter_map(|(index, place)| {
            place.participant.as_ref().map(|participant| (id(index, place), participant.output))
        })
    }

    /// How many mixes of their own there are.
    pub fn own_count(self) -> usize {
        self.mixer.voices.len()
    }

    /// The mix `Own(index)`; interleaved, as long as the room's blocks.
    ///
    /// # Panics
    /// If there is no such mix in this round.
    pub fn own(self, index: usize) -> &'a [f32] {
        assert!(index < self.own_count(), "mix {index} of {}", self.own_count());
        &self.mixer.others[index * self.mixer.all.len()..][..self.samples()]
    }

    /// The mix of all voices.
    pub fn shared(self) -> &'a [f32] {
        &self.mixer.all[..self.samples()]
    }

    /// Which mix a participant hears.
    pub fn output(self, id: ParticipantId) -> Result<Output, MixerError> {
        self.mixer.find(id).map(|participant| participant.output)
    }

    /// What a participant hears.
    pub fn heard_by(self, id: ParticipantId) -> Result<&'a [f32], MixerError> {
        Ok(match self.output(id)? {
            Output::Own(index) => self.own(index),
            Output::Shared => self.shared(),
        })
    }

    fn samples(self) -> usize {
        self.mixer.settings.block_frames * self.mixer.settings.stream.channels
    }
}
