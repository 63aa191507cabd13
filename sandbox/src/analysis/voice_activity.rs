//! Tells when somebody begins and ceases to speak.
//!
//! ```text
//!  samples -> mono, 16 kHz -> 16 ms -> silent or steady? -> no voice
//!                                   `-> detector: score -> at the threshold? -> minimum length, hang-over -> events
//! ```
//!
//! The detector is the `earshot` crate: a small recurrent network on mel bands, with weights that it brings along, pure
//! Rust and free of allocation. (WebRTC's detector is cheaper but takes steady noise for a voice; those that need ONNX
//! weigh megabytes.) Its window is 48 ms long and its network remembers, so its score comes up within about 50 ms and
//! goes down over about 100 ms. After 320 ms of silence the next sound finds it as good as new. It was made for voices of an
//! ordinary level, so softer ones are turned up for it.
//!
//! Loud steady noise and hum would get scores up to 0.9 all the same. So a voice must also stand out: a sound that in the
//! last seconds has not been 4 dB quieter than now is steady, and no voice, for in speech the gaps between two syllables
//! suffice. That spares the detector, by far the dearest part, most of what is heard while nobody speaks. Noise that sets
//! in on top of another sound passes for a voice, if the detector says so, for up to 2 s.
//!
//! Positions are in sample frames of the stream, counted from its start.

use earshot::Detector;

use crate::level::{largest_of, mean_power};
use crate::resample::{Kernel, ToSixteenKhz, SIXTEEN_KHZ};
use crate::stage::parameters;
use crate::{Described, Parameter, Stream};

/// What the detector takes at once: 16 ms.
const FRAME: usize = 256;
/// It looks for no speech above 6.5 kHz, from where on the response falls; aliases are around -40 dB.
const KERNEL: Kernel = Kernel { crossings: 8, cutoff: 1.0 };
/// Mean power (-70 dBFS) below which nothing is a voice, and the detector is not asked.
const SILENT_POWER: f32 = 1e-7;
/// Silence after which the next sound finds the detector as good as new: 320 ms.
const FORGET_AFTER: u32 = 20;
/// The detector is at its best with a voice whose loudest syllables have this power (-17 dBFS). A softer one is turned up
/// to it, by up to 24 dB.
const VOICE_POWER: f32 = 0.02;
const MOST_GAIN: f32 = 16.0;
/// What is remembered of the loudest syllable after another 16 ms: it falls by 6 dB in a second.
const LOUDEST_DECAY: f32 = 0.978;
/// How much more power a voice has than the quietest of late: 4 dB.
const STANDS_OUT: f32 = 2.5;
/// About a second.
const FLOOR_FRAMES: u32 = 64;

/// What is taken for speech.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VoiceActivityParameters {
    /// The detector's score from which on 16 ms count as voice. Default 0.5; higher misses more, lower mistakes more.
    pub threshold: f32,
    /// How long there must be no voice before `Stopped` is told. Default 300 ms, which bridges pauses between words.
    pub hang_over_ms: f32,
    /// How long there must be voice without a gap before `Started` is told. Default 60 ms, longer than a click.
    pub minimum_speech_ms: f32,
}

impl Default for VoiceActivityParameters {
    fn default() -> Self {
        VoiceActivityParameters { threshold: 0.5, hang_over_ms: 300.0, minimum_speech_ms: 60.0 }
    }
}

impl Described for VoiceActivityParameters {
    const PARAMETERS: &'static [Parameter<Self>] = parameters! {
        threshold: 0.05..=0.95,
        hang_over_ms: 0.0..=5_000.0,
        minimum_speech_ms: 0.0..=1_000.0,
    };
}

/// Speech began or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEvent {
    /// Somebody speaks.
    Started {
        /// Where the voice began; that is at least the minimum length before the event is told.
        at: u64,
    },
    /// Nobody speaks any more.
    Stopped {
        /// Where the hang-over ran out: exactly that far behind the end of the last voice.
        at: u64,
    },
}

/// Tells speech from all else in one stream.
#[derive(Debug)]
pub struct VoiceActivity {
    stream: Stream,
    resampler: ToSixteenKhz,
    /// Whether the resampler has missed what came last.
    resampler_is_behind: bool,
    /// Sample frames of the stream so far, listened to or not.
    seen: u64,
    listener: Listener,
}

impl VoiceActivity {
    /// A detector at the beginning of `stream`.
    pub fn new(stream: Stream, parameters: &VoiceActivityParameters) -> VoiceActivity {
        VoiceActivity {
            stream,
            resampler: ToSixteenKhz::new(stream, KERNEL),
            resampler_is_behind: false,
            seen: 0,
            listener: Listener {
                frame: [0.0; FRAME],
                filled: 0,
                scores: Scores::new(),
                decision: Decision::new(stream, parameters),
            },
        }
    }

    /// Forgets everything, and begins with `stream`.
    pub fn start(&mut self, stream: Stream, parameters: &VoiceActivityParameters) {
        self.stream = stream;
        self.resampler.start(stream);
        self.resampler_is_behind = false;
        self.seen = 0;
        self.listener.filled = 0;
        self.listener.scores.forget();
        self.listener.decision = Decision::new(stream, parameters);
    }

    /// Changes parameters in mid-stream; they hold from the next 16 ms on.
    pub fn set(&mut self, parameters: &VoiceActivityParameters) {
        self.listener.decision.limits = Limits::new(self.stream, parameters);
    }

    /// Listens to whole sample frames. Each event is handed to `on_event`, in the order of the stream: at most one for
    /// each 16 ms. Two channels are heard as their mean.
    pub fn process(&mut self, block: &[f32], mut on_event: impl FnMut(SpeechEvent)) {
        if std::mem::take(&mut self.resampler_is_behind) {
            self.resampler.start(self.stream);
            self.begin_anew_here();
        }
        self.seen += (block.len() / self.stream.channels) as u64;
        let VoiceActivity { resampler, listener, .. } = self;
        resampler.process(block, |samples| listener.hear(samples, &mut on_event));
    }

    /// The same for a block of `frames` that somebody else has converted to 16 kHz mono already.
    pub(crate) fn process_narrow_band(
        &mut self,
        frames: u64,
        samples: &[f32],
        on_event: impl FnMut(SpeechEvent),
    ) {
        if !std::mem::replace(&mut self.resampler_is_behind, true) {
            self.begin_anew_here();
        }
        self.seen += frames;
        self.listener.hear(samples, on_event);
    }

    /// The next so many sample frames of the stream are not listened to. They count for positions all the same.
    pub fn skip(&mut self, frames: u64) {
        self.seen += frames;
        self.listener.decision.skip(frames);
    }

    /// From here on somebody else converts the stream, and has kept back other samples for later: the next piece of 16 ms
    /// begins here.
    fn begin_anew_here(&mut self) {
        self.listener.filled = 0;
        self.listener.decision.go_to(self.seen);
    }

    /// Whether somebody speaks, hang-over included: between `Started` and `Stopped`.
    pub fn is_speaking(&self) -> bool {
        self.listener.decision.speaking
    }

    /// The last score, from 0 (no voice) to 1 (a voice); 0 for what is silent or steady.
    pub fn score(&self) -> f32 {
        self.listener.decision.score
    }
}

/// Makes events of samples at 16 kHz.
#[derive(Debug)]
struct Listener {
    frame: [f32; FRAME],
    /// How much of `frame` is filled.
    filled: usize,
    scores: Scores,
    decision: Decision,
}

impl Listener {
    /// Cuts samples into pieces of 16 ms, and judges each when it is full.
    fn hear(&mut self, mut samples: &[f32], mut on_event: impl FnMut(SpeechEvent)) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at((FRAME - self.filled).min(samples.len()));
            self.frame[self.filled..][..now.len()].copy_from_slice(now);
            self.filled += now.len();
            samples = later;
            if self.filled == FRAME {
                self.filled = 0;
                self.decision.next(self.scores.next(&mut self.frame)).into_iter().for_each(&mut on_event);
            }
        }
    }
}

/// Turns 16 ms up, and cuts off what lies above full scale.
fn turn_up(frame: &mut [f32; FRAME], gain: f32) {
    if largest_of(frame) * gain > 1.0 {
        frame.iter_mut().for_each(|sample| *sample = (*sample * gain).clamp(-1.0, 1.0));
    } else if gain != 1.0 {
        frame.iter_mut().for_each(|sample| *sample *= gain);
    }
}

/// Scores 16 ms at a time: the detector, spared what is silent or steady.
struct Scores {
    detector: Box<Detector>,
    floor: Floor,
    /// The highest power of late.
    loudest: f32,
    /// How many frames have been silent up to now. [`FORGET_AFTER`]: all is as after a reset.
    silent_frames: u32,
}

impl std::fmt::Debug for Scores {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = formatter.debug_struct("Scores");
        debug.field("floor", &self.floor).field("silent_frames", &self.silent_frames).finish_non_exhaustive()
    }
}

impl Scores {
    fn new() -> Scores {
        Scores {
            detector: Detector::default_boxed(),
            floor: Floor::default(),
            loudest: 0.0,
            silent_frames: FORGET_AFTER,
        }
    }

    /// The score of 16 ms. They are changed: turned up, and cut off at full scale, which is all that the detector takes.
    fn next(&mut self, frame: &mut [f32; FRAME]) -> f32 {
        turn_up(frame, 1.0);
        let power = mean_power(frame);
        if power < SILENT_POWER {
            if self.silent_frames + 1 >= FORGET_AFTER {
                self.forget();
            } else {
                self.silent_frames += 1;
                self.floor.stands_out(power);
            }
            return 0.0;
        }
        self.silent_frames = 0;
        self.loudest = power.max(self.loudest * LOUDEST_DECAY);
        if self.floor.stands_out(power) {
            let gain = (VOICE_POWER / self.loudest).sqrt().clamp(1.0, MOST_GAIN);
            turn_up(frame, gain);
            self.detector.predict_f32(frame)
        } else {
            0.0
        }
    }

    fn forget(&mut self) {
        if self.silent_frames < FORGET_AFTER {
            self.detector.reset();
            self.floor = Floor::default();
            self.loudest = 0.0;
            self.silent_frames = FORGET_AFTER;
        }
    }
}

/// How quiet it was in the last one to two seconds.
#[derive(Debug, Clone, Copy)]
struct Floor {
    /// The powers of the last two frames; the older first.
    last_powers: [Option<f32>; 2],
    /// The least power of the last complete second, and of this one.
    before: f32,
    now: f32,
    /// Frames of this second.
    frames: u32,
}

impl Default for Floor {
    fn default() -> Self {
        Floor { last_powers: [None; 2], before: f32::MAX, now: f32::MAX, frames: 0 }
    }
}

impl Floor {
    /// Takes the power of the next 16 ms. They are judged together with those before, so that they hold a period of hum.
    /// The first after silence don't count at all, for they may be silent in part, which would make all else stand out.
    fn stands_out(&mut self, power: f32) -> bool {
        let [older, newer] = self.last_powers;
        self.last_powers = [newer, Some(power)];
        let (Some(_), Some(newer)) = (older, newer) else { return false };
        let mean = 0.5 * (power + newer);
        self.now = self.now.min(mean);
        self.frames += 1;
        let stands_out = mean > STANDS_OUT * self.now.min(self.before);
        if self.frames == FLOOR_FRAMES {
            (self.before, self.now, self.frames) = (self.now, f32::MAX, 0);
        }
        stands_out
    }
}

/// The parameters, durations in sample frames.
#[derive(Debug, Clone, Copy)]
struct Limits {
    threshold: f32,
    hang_over: u64,
    minimum_speech: u64,
}

impl Limits {
    fn new(stream: Stream, parameters: &VoiceActivityParameters) -> Limits {
        // Held to what a stream can have; what is no number becomes 0.
        let frames = |ms: f32| {
            (f64::from(ms.clamp(0.0, 60_000.0)) * f64::from(stream.sample_rate_hz) / 1_000.0).round() as u64
        };
        Limits {
            threshold: parameters.threshold,
            hang_over: frames(parameters.hang_over_ms),
            minimum_speech: frames(parameters.minimum_speech_ms),
        }
    }
}

/// Makes speech out of scores.
#[derive(Debug, Clone, Copy)]
struct Decision {
    limits: Limits,
    sample_rate_hz: u64,
    /// How many times 16 ms were decided since the start.
    decided: u64,
    /// Sample frames that were not listened to.
    skipped: u64,
    score: f32,
    speaking: bool,
    /// Where the voice began that has lasted without a gap until now.
    voice_since: Option<u64>,
    /// Where the last voice ended.
    voice_until: u64,
}

impl Decision {
    fn new(stream: Stream, parameters: &VoiceActivityParameters) -> Decision {
        Decision {
            limits: Limits::new(stream, parameters),
            sample_rate_hz: u64::from(stream.sample_rate_hz),
            decided: 0,
            skipped: 0,
            score: 0.0,
            speaking: false,
            voice_since: None,
            voice_until: 0,
        }
    }

    /// Takes the score of the next 16 ms.
    fn next(&mut self, score: f32) -> Option<SpeechEvent> {
        let begin = self.position(self.decided);
        let end = self.position(self.decided + 1);
        self.decided += 1;
        self.score = score;
        if score >= self.limits.threshold {
            self.voice_until = end;
            let since = *self.voice_since.get_or_insert(begin);
            if !self.speaking && end - since >= self.limits.minimum_speech {
                self.speaking = true;
                return Some(SpeechEvent::Started { at: since });
            }
        } else {
            self.voice_since = None;
            let silent_at = self.voice_until + self.limits.hang_over;
            if self.speaking && silent_at <= end {
                self.speaking = false;
                return Some(SpeechEvent::Stopped { at: silent_at });
            }
        }
        None
    }

    /// So many sample frames are not listened to, and are no voice.
    fn skip(&mut self, frames: u64) {
        self.skipped += frames;
        if !self.speaking {
            self.voice_since = self.voice_since.map(|since| since + frames);
        }
    }

    /// The next piece begins at that sample frame, which is not before the end of the last.
    fn go_to(&mut self, place: u64) {
        self.skipped += place.saturating_sub(self.position(self.decided));
    }

    /// The sample frame at which that piece of 16 ms begins.
    fn position(&self, piece: u64) -> u64 {
        self.skipped + piece * FRAME as u64 * self.sample_rate_hz / u64::from(SIXTEEN_KHZ)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { sample_rate_hz: 44_100, channels: 1 };

    /// What is told of a sequence of scores, and at which of them.
    fn told(parameters: VoiceActivityParameters, scores: &[f32]) -> Vec<(usize, SpeechEvent)> {
        let mut decision = Decision::new(STREAM, &parameters);
        let event = |(index, score): (usize, &f32)| decision.next(*score).map(|event| (index, event));
        scores.iter().enumerate().filter_map(event).collect()
    }

    /// Where a piece of 16 ms begins.
    fn begin(piece: usize) -> u64 {
        (piece as f64 * 0.016 * 44_100.0) as u64
    }

    #[test]
    fn the_hang_over_is_kept_to_the_sample() {
        let mut scores = vec![0.0; 10];
        scores.extend([0.9; 20]);
        scores.extend([0.1; 100]);
        for hang_over_ms in [0.0f32, 10.0, 16.0, 300.0, 333.3] {
            let parameters = VoiceActivityParameters { hang_over_ms, ..Default::default() };
            let at = begin(30) + (hang_over_ms * 44.1).round() as u64;
            let events = told(parameters, &scores);
            assert_eq!(events[0], (13, SpeechEvent::Started { at: begin(10) }));
            assert_eq!(events[1].1, SpeechEvent::Stopped { at });
            let told_with = events[1].0;
            assert!(
                begin(told_with) < at.max(begin(30) + 1) && at <= begin(told_with + 1),
                "told in its own 16 ms"
            );
            assert_eq!(events.len(), 2);
        }
    }

    #[test]
    fn a_pause_shorter_than_the_hang_over_is_none() {
        let mut scores = vec![0.9; 10];
        scores.extend([0.1; 18]);
        scores.extend([0.9; 10]);
        assert_eq!(told(Default::default(), &scores).len(), 1);
        scores.splice(10..28, [0.1; 19]);
        assert_eq!(told(Default::default(), &scores).len(), 3, "304 ms are more than 300");
    }

    #[test]
    fn what_is_shorter_than_the_minimum_is_no_speech() {
        let burst = |length: usize| {
            let mut scores = vec![0.0; 5];
            scores.extend(vec![0.9; length]);
            scores.extend([0.0; 50]);
            told(Default::default(), &scores).len()
        };
        assert_eq!(burst(3), 0, "48 ms");
        assert_eq!(burst(4), 2, "64 ms");
        let with_gaps: Vec<f32> = (0..100).map(|index| if index % 4 == 3 { 0.1 } else { 0.9 }).collect();
        assert_eq!(told(Default::default(), &with_gaps), []);
    }

    #[test]
    fn what_is_not_listened_to_makes_no_click_speech() {
        let mut decision = Decision::new(STREAM, &VoiceActivityParameters::default());
        assert_eq!(decision.next(0.9), None);
        decision.skip(44_100);
        assert_eq!(decision.next(0.9), None, "32 ms of voice");
        assert_eq!(decision.next(0.9), None);
        // 64 ms, which are told where they were heard.
        let Some(SpeechEvent::Started { at }) = decision.next(0.9) else { panic!("not told") };
        assert_eq!(at, 44_100);
    }
}
