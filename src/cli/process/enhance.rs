//! The engine on a whole recording: through the rate that the engine works at and back, with nothing shifted.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sandbox::{AudioSandbox, Event, Readings, SandboxError, Settings, SpeechEvent, StageTimes};

use crate::audio_file::{with_channels, RateConverter, Recording, SampleFormat, WavFormat};

/// The engine is asked what it does after every 10 ms.
pub(super) const READINGS_PER_SECOND: usize = 100;

/// The result, and what the engine said meanwhile.
pub(super) struct Enhanced {
    /// As long as the original, aligned with it. Within full scale, unless it is stored as floats.
    pub(super) recording: Recording,
    /// Samples that were beyond full scale, and were cut to it.
    pub(super) clipped: usize,
    /// Of each stage that reduces the gain and runs.
    pub(super) reductions: Vec<Reduction>,
    /// `None` if nothing listened for it.
    pub(super) speech: Option<Speech>,
    pub(super) stage_times: StageTimes,
    /// In channels and in rate, before and after the engine.
    pub(super) converting: Duration,
}

/// By how much a stage turned down.
pub(super) struct Reduction {
    pub(super) stage: &'static str,
    /// 0 or more, one each 10 ms.
    pub(super) db: Vec<f32>,
}

/// When somebody spoke, to the end of each hang-over.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Speech {
    pub(super) spurts: usize,
    pub(super) duration: Duration,
}

/// Runs the engine with `settings` on `recording`, and gives the result in `format`, whose channels are those of
/// `settings`. A progress bar is drawn on standard error if that is a terminal.
pub(super) fn enhance(
    recording: &Recording,
    settings: &Settings,
    format: WavFormat,
) -> Result<Enhanced, SandboxError> {
    let begun = Instant::now();
    let now = || begun.elapsed();
    let channels = settings.channel_count();
    let rate = settings.sample_rate().hz();
    let samples = with_channels(&recording.samples, recording.format.channels, format.channels).into_owned();
    let mut samples = converted(samples, recording.format.sample_rate, rate, format.channels);
    let frames = samples.len() / channels;
    let delay = settings.engine_delay_samples();
    // Silence that pushes out the last of the recording.
    samples.resize((frames + delay) * channels, 0.0);
    let mut converting = now();

    let mut sandbox = AudioSandbox::new(*settings)?;
    let (mut stage_times, mut listener) = (StageTimes::default(), Listener::default());
    let progress = progress_bar(recording.duration());
    for (number, block) in samples.chunks_mut(rate as usize / READINGS_PER_SECOND * channels).enumerate() {
        sandbox.enhance_timed(block, &now, &mut stage_times)?;
        listener.take(&sandbox.readings(), sandbox.events());
        if number % READINGS_PER_SECOND == 0 {
            progress.inc(1);
        }
    }
    progress.finish_and_clear();

    let before = now();
    samples.drain(..delay * channels);
    let mut samples = converted(samples, rate, format.sample_rate, format.channels);
    // Two conversions can round to a frame more or less than one.
    let (from, to) = (u64::from(recording.format.sample_rate), u64::from(format.sample_rate));
    let wanted = (recording.frames() as u64 * to + from / 2) / from;
    samples.resize(wanted as usize * channels, 0.0);
    let clipped = if format.sample_format == SampleFormat::F32 { 0 } else { clip(&mut samples) };
    converting += now() - before;
    Ok(Enhanced {
        recording: Recording { format, samples },
        clipped,
        speech: listener.speech(frames, rate),
        reductions: listener.reductions,
        stage_times,
        converting,
    })
}

fn converted(samples: Vec<f32>, from: u32, to: u32, channels: u16) -> Vec<f32> {
    if from == to {
        return samples;
    }
    let mut converter = RateConverter::new(from, to, channels);
    let frames = converter.frames_after((samples.len() / usize::from(channels)) as u64);
    let mut result = Vec::with_capacity(frames as usize * usize::from(channels));
    converter.push(&samples, &mut result);
    converter.finish(&mut result);
    result
}

/// Cuts to full scale, and says how many samples that changed.
fn clip(samples: &mut [f32]) -> usize {
    let beyond = samples.iter_mut().filter(|sample| sample.abs() > 1.0);
    beyond.map(|sample| *sample = sample.clamp(-1.0, 1.0)).count()
}

/// Drawn on standard error, and only if that is a terminal.
fn progress_bar(duration: Duration) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} s, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(duration.as_secs_f64().ceil() as u64).with_style(style)
}

/// Writes down what the engine tells.
#[derive(Default)]
struct Listener {
    reductions: Vec<Reduction>,
    listens_for_speech: bool,
    spurts: usize,
    /// Where the spurt began that has not ended yet, in sample frames.
    since: Option<u64>,
    spoken_frames: u64,
}

impl Listener {
    fn take(&mut self, readings: &Readings, events: &[Event]) {
        self.listens_for_speech |= readings.speaking.is_some();
        for (stage, db) in [
            ("noise_gate", readings.gate_reduction_db),
            ("compressor", readings.compressor_reduction_db),
            ("limiter", readings.limiter_reduction_db),
        ] {
            let Some(db) = db else { continue };
            match self.reductions.iter_mut().find(|reduction| reduction.stage == stage) {
                Some(reduction) => reduction.db.push(db),
                None => self.reductions.push(Reduction { stage, db: vec![db] }),
            }
        }
        for event in events {
            match *event {
                Event::Speech(SpeechEvent::Started { at }) => {
                    self.spurts += 1;
                    self.since = Some(at);
                }
                Event::Speech(SpeechEvent::Stopped { at }) => {
                    self.spoken_frames += self.since.take().map_or(0, |since| at.saturating_sub(since));
                }
                // The report asks a detector of its own, for the chain follows the genre only where that is wanted.
                Event::Genre { .. } => {}
            }
        }
    }

    /// Of a recording of so many frames.
    fn speech(&self, frames: usize, rate: u32) -> Option<Speech> {
        let open = self.since.map_or(0, |since| (frames as u64).saturating_sub(since));
        let spoken = (self.spoken_frames + open).min(frames as u64);
        let duration = Duration::from_secs_f64(spoken as f64 / f64::from(rate));
        self.listens_for_speech.then_some(Speech { spurts: self.spurts, duration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_is_counted() {
        let mut samples = [0.5, -1.5, 1.0, 2.0];
        assert_eq!((clip(&mut samples), samples), (2, [0.5, -1.0, 1.0, 1.0]));
    }

    #[test]
    fn speech_lasts_from_its_start_to_its_stop_or_the_end() {
        let mut listener = Listener::default();
        let speaking = Readings { speaking: Some(true), ..Readings::default() };
        let started = |at| Event::Speech(SpeechEvent::Started { at });
        listener.take(&speaking, &[started(8_000), Event::Speech(SpeechEvent::Stopped { at: 24_000 })]);
        listener.take(&speaking, &[started(40_000)]);
        let speech = listener.speech(48_000, 16_000).unwrap();
        assert_eq!(speech, Speech { spurts: 2, duration: Duration::from_millis(1_500) });
        assert_eq!(Listener::default().speech(48_000, 16_000), None);
    }
}
