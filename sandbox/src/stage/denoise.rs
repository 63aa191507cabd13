//! De-noise: RNNoise, a recurrent network that turns down the bands in which it hears no voice.
//!
//! ```text
//!          session rate            48 kHz, 10 ms at a time                        session rate
//!  input -+-> frame of 10 ms -> interpolate -> RNNoise -> low end -> decimate -> x strength -+-> output
//!         `-> the same delay -----------------------------------------------> x (1-strength) -'
//! ```
//!
//! After J.-M. Valin, "A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement" (MMSP 2018), by
//! the crate `nnnoiseless` with the network it comes with. That one knows 48 kHz and frames of 10 ms only; so all
//! work is done when a frame is full, and how a stream is cut can make no difference.
//!
//! * **Rates**: 48 kHz as it is; 8, 12, 16 and 24 kHz, and 96 kHz, through the linear-phase filters of
//!   `denoise/resample.rs`. At 96 kHz what lies above 24 kHz is lost. Any other rate **passes
//!   unchanged**, without delay: see [`Denoise::supports`].
//! * **Delay**: 10 ms to fill a frame, 10 ms for the network's overlapping windows, and what the filters take; exactly
//!   [`delay_samples`](Stage::delay_samples).
//! * **Allocation**: `process` and `set` allocate nothing, but for the first frame of each thread: the crate keeps its
//!   FFT tables for each thread ([`Denoise::prepare_thread`]). **`start` allocates**, for each channel that was in use
//!   since the last one: the crate's state can't be brought back in place, only made anew.
//! * **Low end**: the network begins with a high-pass at 24 Hz, which turns the waveform of a low voice;
//!   `denoise/low_end.rs` undoes it down to 7 Hz. A constant is taken away.
//! * **What it does**, on speech in noise at 5 dB (`tests/denoise/`), against the very speech that was mixed: at 48 kHz
//!   white noise over the whole band falls by 8.4 dB, sample by sample; noise that lies where the speech lies, by 2 to
//!   6 dB while there is speech, and 8 dB and more in its pauses, but for white noise there: 6.6 dB at 48 kHz, 4 dB at
//!   8 kHz. Other voices are speech to it in part. Ideal weights for the same bands would do 2 to 4 dB more
//!   (`tests/denoise/masks.rs`). Clean speech stays: what is changed lies 21 dB below it. Rumble below 60 Hz counts as
//!   noise in all this: where it counts as speech, 15 dB below, the 8.4 dB become 6.
//! * **Pauses**: where nothing is to be cleaned (`strength` 0, or [`Denoise::pass`]) the network hears nothing, once it has
//!   faded out over a frame. When there is something again, it hears 100 ms before it is faded in: so whoever has no time for it
//!   again and again does without it altogether.
//! * **Range**: the network hears samples beyond twice full scale clipped there; its squares of squares would overflow.

mod low_end;
mod resample;

use std::sync::LazyLock;

use nnnoiseless::{DenoiseState, RnnModel};

use self::low_end::LowEnd;
use self::resample::{Decimator, Interpolator, FILTER_DELAY};
use super::{Described, Parameter, Stage, Stream};

/// What can be set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenoiseParameters {
    /// How much of the result is the cleaned signal: 0 leaves everything as it was (late, as always), 1 takes all the
    /// noise away that the network finds. In between nothing is turned down by more than 1 / (1 - strength): 0.9 means
    /// 20 dB at most, which leaves the room audible.
    pub strength: f32,
}

impl Default for DenoiseParameters {
    fn default() -> Self {
        Self { strength: 1.0 }
    }
}

impl Described for DenoiseParameters {
    const PARAMETERS: &'static [Parameter<Self>] = parameters! {
        strength: 0.0..=1.0,
    };
}

/// Samples in a frame of 10 ms at the network's 48 kHz.
const NETWORK_FRAME: usize = DenoiseState::FRAME_SIZE;
const NETWORK_RATE_HZ: u32 = 48_000;
/// Of a frame at 96 kHz.
const LONGEST_FRAME: usize = 2 * NETWORK_FRAME;
/// By how much the network's output and the filters at 96 kHz are late, beside the frame itself.
const LONGEST_DELAY: usize = 2 * (NETWORK_FRAME + 2 * FILTER_DELAY);
/// The network wants the range of 16-bit samples.
const NETWORK_FULL_SCALE: f32 = 32_768.0;
/// The loudest sample that the network is shown, as a multiple of full scale.
const CLIP: f32 = 2.0;
/// -180 dB relative to full scale: a frame that stays below counts as silence.
const SILENCE: f32 = 1e-9;
/// After so much silence the network rests, its state kept, and gives silence: 0.6 s, when the network's own high-pass
/// (poles at 0.998) has faded by 500 dB and is still far from subnormal numbers, and what undoes it by 160 dB.
const SILENT_FRAMES_BEFORE_REST: u32 = 60;

/// A network that has not heard the frames before this one still has the sound of long ago in its windows and filters. It hears
/// so many before it is heard: its high-pass has a time constant of 10 ms.
const PRIMING_FRAMES: u32 = 10;

static MODEL: LazyLock<RnnModel> = LazyLock::new(RnnModel::default);
/// What a network is before its first frame.
static FRESH_NETWORK: LazyLock<Box<DenoiseState<'static>>> =
    LazyLock::new(|| DenoiseState::with_model(&MODEL));

/// The de-noiser, with all its state. Each channel has a network of its own: what is noise in one need not be in the
/// other. About 110 KB for both.
pub struct Denoise {
    conversion: Conversion,
    channel_count: usize,
    channels: Box<[Channel; 2]>,
    /// Sample frames gathered since the last frame of 10 ms; always less than that.
    filled: usize,
    /// At the end of the last frame of 10 ms.
    strength: f32,
    target_strength: f32,
    /// Whether a frame was made since the stream began: nothing glides into the first.
    has_begun: bool,
    /// Frames that the network has still to hear before it is heard itself.
    priming_frames: u32,
}

impl Denoise {
    /// Whether a stream of this rate is cleaned; otherwise it passes unchanged and without delay.
    pub fn supports(sample_rate_hz: u32) -> bool {
        Conversion::for_rate(sample_rate_hz) != Conversion::PassUnchanged
    }

    /// Makes the tables that the network's FFT keeps for each thread (about 50 KB), so that the first frame on this
    /// thread needs not. [`Stage::new`] has done it for the thread that it ran on.
    pub fn prepare_thread() {
        let mut network = FRESH_NETWORK.clone();
        let (input, mut output) = ([1.0; NETWORK_FRAME], [0.0; NETWORK_FRAME]);
        network.process_frame(&mut output, &input);
    }

    /// Passes samples on uncleaned, as late as [`process`](Stage::process) gives them: for when there is no time. The first
    /// frame of 10 ms costs as much as ever if there was a cleaned one before it, which fades out.
    pub fn pass(&mut self, block: &mut [f32]) {
        self.process_or_pass(block, false);
    }

    fn process_or_pass(&mut self, block: &mut [f32], cleans: bool) {
        let frame_length = self.conversion.frame_length();
        if frame_length == 0 {
            return;
        }
        let channel_count = self.channel_count;
        let mut rest = block;
        while !rest.is_empty() {
            let count = (rest.len() / channel_count).min(frame_length - self.filled);
            if count == 0 {
                return; // no whole sample frame
            }
            let (now, later) = rest.split_at_mut(count * channel_count);
            for (index, channel) in self.channels[..channel_count].iter_mut().enumerate() {
                channel.exchange(&mut now[index..], channel_count, self.filled..self.filled + count);
            }
            self.filled += count;
            if self.filled == frame_length {
                self.filled = 0;
                let part = self.next_part(cleans);
                self.channels[..channel_count]
                    .iter_mut()
                    .for_each(|channel| channel.clean(self.conversion, part));
            }
            rest = later;
        }
    }

    /// The network's part in the next frame.
    fn next_part(&mut self, cleans: bool) -> Part {
        let wanted = if cleans { self.target_strength } else { 0.0 };
        let before = std::mem::replace(&mut self.strength, wanted);
        if !std::mem::replace(&mut self.has_begun, true) && wanted > 0.0 {
            return Part::Mixed { from: wanted, to: wanted };
        }
        if wanted > 0.0 && self.priming_frames > 0 {
            self.priming_frames -= 1;
            self.strength = 0.0;
            return Part::Primed;
        }
        if wanted == 0.0 {
            self.priming_frames = PRIMING_FRAMES;
        }
        match (before, wanted) {
            (0.0, 0.0) => Part::Absent,
            (from, to) => Part::Mixed { from, to },
        }
    }
}

/// What the network does in a frame.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    /// It hears nothing.
    Absent,
    /// It hears, and is not heard.
    Primed,
    /// Its share in what comes out, gliding over the frame.
    Mixed { from: f32, to: f32 },
}

impl Stage for Denoise {
    type Parameters = DenoiseParameters;

    fn new(stream: Stream, parameters: &DenoiseParameters) -> Self {
        Self::prepare_thread();
        let mut denoise = Self {
            conversion: Conversion::PassUnchanged,
            channel_count: 1,
            channels: Box::new([Channel::new(), Channel::new()]),
            filled: 0,
            strength: 0.0,
            target_strength: 0.0,
            has_begun: false,
            priming_frames: 0,
        };
        denoise.start(stream, parameters);
        denoise
    }

    /// As the trait says, but it allocates: about 20 KB in ten pieces for each channel that was in use since the last
    /// start, and nothing where none was.
    fn start(&mut self, stream: Stream, parameters: &DenoiseParameters) {
        self.conversion = Conversion::for_rate(stream.sample_rate_hz);
        self.channel_count = stream.channels.min(self.channels.len());
        self.channels.iter_mut().for_each(|channel| channel.start(self.conversion));
        self.filled = 0;
        self.strength = 0.0;
        self.target_strength = parameters.strength;
        self.has_begun = false;
        self.priming_frames = 0;
    }

    /// The strength glides over the next whole frame of 10 ms; up from 0, over the one behind the next 100 ms.
    fn set(&mut self, parameters: &DenoiseParameters) {
        self.target_strength = parameters.strength;
    }

    fn process(&mut self, block: &mut [f32]) {
        self.process_or_pass(block, true);
    }

    fn delay_samples(&self) -> usize {
        self.conversion.delay()
    }

    fn delay_at(stream: Stream, _: &DenoiseParameters) -> usize {
        Conversion::for_rate(stream.sample_rate_hz).delay()
    }
}

/// How the session's rate and the network's 48 kHz are brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    /// The rate is none of those below.
    PassUnchanged,
    Same,
    /// The session's rate times this factor is the network's.
    Interpolate(usize),
    /// The session's rate is 96 kHz.
    Halve,
}

impl Conversion {
    fn for_rate(sample_rate_hz: u32) -> Self {
        match sample_rate_hz {
            NETWORK_RATE_HZ => Self::Same,
            96_000 => Self::Halve,
            8_000 | 12_000 | 16_000 | 24_000 => {
                Self::Interpolate((NETWORK_RATE_HZ / sample_rate_hz) as usize)
            }
            _ => Self::PassUnchanged,
        }
    }

    /// Samples in 10 ms of the session's rate; 0 where nothing is done.
    fn frame_length(self) -> usize {
        match self {
            Self::PassUnchanged => 0,
            Self::Same => NETWORK_FRAME,
            Self::Interpolate(factor) => NETWORK_FRAME / factor,
            Self::Halve => LONGEST_FRAME,
        }
    }

    fn delay(self) -> usize {
        self.frame_length() + self.inner_delay()
    }

    /// Samples by which a cleaned frame lags behind the frame it was made from: one frame for the network, whose
    /// windows overlap by half, and twice the filters' delay.
    fn inner_delay(self) -> usize {
        match self {
            Self::PassUnchanged => 0,
            Self::Same => NETWORK_FRAME,
            Self::Interpolate(factor) => NETWORK_FRAME / factor + 2 * FILTER_DELAY,
            Self::Halve => LONGEST_DELAY,
        }
    }
}

/// One channel: a frame coming in, a frame going out, and the network between them.
struct Channel {
    network: Box<DenoiseState<'static>>,
    /// Whether the network was shown a frame since it was fresh.
    network_used: bool,
    /// Frames of silence in a row, up to the number that lets the network rest.
    silent_frames: u32,
    /// Of the session's rate; filled from the front.
    input: [f32; LONGEST_FRAME],
    /// The frame before `input`, cleaned; emptied from the front, at the same place as `input` is filled.
    output: [f32; LONGEST_FRAME],
    /// The input of the last `inner_delay` samples and the frame after them.
    delayed: [f32; LONGEST_DELAY + LONGEST_FRAME],
    interpolator: Interpolator,
    decimator: Decimator,
    low_end: LowEnd,
}

impl Channel {
    fn new() -> Self {
        Self {
            network: FRESH_NETWORK.clone(),
            network_used: false,
            silent_frames: 0,
            input: [0.0; LONGEST_FRAME],
            output: [0.0; LONGEST_FRAME],
            delayed: [0.0; LONGEST_DELAY + LONGEST_FRAME],
            interpolator: Interpolator::new(),
            decimator: Decimator::new(),
            low_end: LowEnd::new(),
        }
    }

    fn start(&mut self, conversion: Conversion) {
        if self.network_used {
            // Not `clone_from`, which would make a second box; the box itself stays.
            *self.network = (**FRESH_NETWORK).clone();
            self.network_used = false;
        }
        self.silent_frames = 0;
        self.output.fill(0.0);
        self.delayed.fill(0.0);
        let factor = match conversion {
            Conversion::Interpolate(factor) => factor,
            _ => 2,
        };
        self.interpolator.start(factor);
        self.decimator.start(factor);
        self.low_end.start();
    }

    /// Takes samples in at `places` of the frame, and gives those that are due there for them. Every `stride`-th sample
    /// of `samples` belongs to this channel.
    fn exchange(&mut self, samples: &mut [f32], stride: usize, places: std::ops::Range<usize>) {
        let places = self.input[places.clone()].iter_mut().zip(&self.output[places]);
        for (sample, (input, output)) in samples.iter_mut().step_by(stride).zip(places) {
            *input = *sample;
            *sample = *output;
        }
    }

    /// Makes the next output from a full input.
    fn clean(&mut self, conversion: Conversion, part: Part) {
        let (length, delay) = (conversion.frame_length(), conversion.inner_delay());
        let input = &self.input[..length];
        self.delayed.copy_within(length..delay + length, 0);
        self.delayed[delay..delay + length].copy_from_slice(input);

        let peak = input.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
        if peak >= SILENCE {
            self.silent_frames = 0;
        }
        let output = &mut self.output[..length];
        if self.silent_frames == SILENT_FRAMES_BEFORE_REST {
            self.low_end.start();
            output.fill(0.0);
        } else if part == Part::Absent {
            output.fill(0.0);
        } else {
            self.silent_frames += u32::from(peak < SILENCE);
            self.network_used = true;
            let (mut noisy, mut cleaned) = ([0.0; NETWORK_FRAME], [0.0; NETWORK_FRAME]);
            match conversion {
                Conversion::PassUnchanged => return,
                Conversion::Same => noisy.copy_from_slice(input),
                Conversion::Interpolate(_) => self.interpolator.process(input, &mut noisy),
                Conversion::Halve => self.decimator.process(input, &mut noisy),
            }
            for sample in &mut noisy {
                let heard = sample.clamp(-CLIP, CLIP);
                *sample = if heard.abs() < SILENCE { 0.0 } else { heard * NETWORK_FULL_SCALE };
            }
            self.network.process_frame(&mut cleaned, &noisy);
            cleaned.iter_mut().for_each(|sample| *sample *= 1.0 / NETWORK_FULL_SCALE);
            if part == Part::Primed {
                // What it gives may begin with a step, which is nothing to be drawn out.
                self.low_end.start();
            } else {
                self.low_end.process(&mut cleaned);
            }
            match conversion {
                Conversion::PassUnchanged => return,
                Conversion::Same => output.copy_from_slice(&cleaned),
                Conversion::Interpolate(_) => self.decimator.process(&cleaned, output),
                Conversion::Halve => self.interpolator.process(&cleaned, output),
            }
        }

        let (from, to) = match part {
            Part::Mixed { from, to } => (from, to),
            Part::Absent | Part::Primed => (0.0, 0.0),
        };
        let step = (to - from) / length as f32;
        for (index, (cleaned, original)) in output.iter_mut().zip(&self.delayed).enumerate() {
            // `to` itself where nothing glides, so that 0 and 1 are exact.
            let strength = if step == 0.0 { to } else { from + step * (index + 1) as f32 };
            let mixed = strength * *cleaned + (1.0 - strength) * original;
            *cleaned = if mixed.abs() < f32::MIN_POSITIVE { 0.0 } else { mixed };
        }
    }
}
