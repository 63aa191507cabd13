//! Where a sound seems to be: how wide, how far away, and on which side.
//!
//! ```text
//!  L, R -> mid, side -> width -> L, R -> depth -> pan -> L, R
//!           `-> last 37 ms of mid -+-^           ^
//!                decorrelated side-'             |
//!                early reflections --------------'
//! ```
//!
//! **Width** (0 mono, 1 as it is, 2 wide) scales the side signal S = (L - R) / 2 by w against the mid M = (L + R) / 2.
//! Both are then turned up or down by g = sqrt((m + s) / (m + w^2 s)), where m and s are their powers of late, so that the
//! energy stays; g stays within -6 and +3 dB. Where there is little or no side (a mono voice), that would widen
//! nothing. So beyond 1 a side signal is made: the mid through twelve short echoes of either sign (a sparse
//! velvet-noise decorrelator, after Alary, Politis, Välimäki: "Velvet-noise decorrelator", DAFx 2017), as much of it as is
//! wanting to `SIDE_POWER` (w - 1) of the mid's power. It is added to the left and taken from the right, so it cancels in
//! L + R: **the mono sum of a mono input keeps its level exactly** at any width, and at width 2 the channels' correlation
//! is (1 - 0.4) / (1 + 0.4) = 0.43, their energy 1.5 dB more. Below 160 Hz the made side signal fades: the bass stays in
//! the middle.
//!
//! **Depth** (0 here, 1 far): the direct sound falls by 6 dB (twice the distance, in the open), eight early reflections
//! of the mid come in after 11 to 36 ms, four on each side and different ones, until at 1 they have the direct sound's
//! power (the critical distance of a room); and of all that, what lies above 2.5 kHz falls by up to 6 dB, as air and
//! walls do it. In the mono sum the reflections colour the sound, as in a room.
//!
//! **Pan** (-1 left, 0 centre, 1 right) turns the channels up and down: sqrt(2) cos a for the left, sqrt(2) sin a for the
//! right, where a = (pan + 1) pi / 4. The power of a mono sound is the same everywhere. The centre is 0 dB and the sides
//! are +3 dB, rather than -3 dB and 0 dB, so that the centre is no change. It is a balance: what is on one side only is
//! not carried over to the other.
//!
//! At width 1, depth 0 and pan 0 samples pass bit for bit. One channel has no place in space: with it the stage does
//! nothing (mono that is to become stereo is doubled before it comes here). Parameters glide for 20 ms. All times are in
//! milliseconds and hold at any rate. Input is finite; so is what comes out. Nothing is delayed.

mod gains;

use pulp::{Arch, Simd, WithSimd};

use self::gains::Gains;
pub use self::gains::SpatialParameters;
use super::accepted::accepted;
use super::{Described, Stage, Stream};
use crate::level::{mean_power, smoothing};

/// Echoes of the mid that make the side signal: milliseconds, and gain. Found by random search: signs and gains cancel
/// at 0 Hz, the power is 1, that in each third of an octave from 160 Hz on within 1.2 dB of it, and a voice comes out as
/// loud on the left as on the right.
const SIDE_ECHOES: [(f32, f32); 12] = [
    (2.09, 0.3897),
    (3.23, 0.3660),
    (4.25, -0.3431),
    (5.21, -0.3222),
    (7.35, -0.3026),
    (8.81, 0.2847),
    (10.01, -0.2669),
    (11.41, -0.2506),
    (12.68, 0.2358),
    (14.08, 0.2215),
    (15.30, -0.2076),
    (16.85, 0.1953),
];
/// Early reflections on the left and on the right: milliseconds, and gain at depth 1. No two gaps are alike, for that
/// would sound like a tone. The sum of each side's squared gains is 0.25: the power of the direct sound at depth 1.
const LEFT_REFLECTIONS: [(f32, f32); 4] = [(11.3, 0.317), (18.7, -0.268), (24.1, 0.218), (33.9, 0.178)];
const RIGHT_REFLECTIONS: [(f32, f32); 4] =
    [(13.7, 0.317), (16.9, 0.268), (27.7, -0.218), (LONGEST_MS, 0.178)];
const LONGEST_MS: f32 = 36.1;

const POWER_TIME_MS: f32 = 300.0;

const DAMPING_CORNER_HZ: f32 = 2_500.0;
/// A filter's memory smaller than this (-400 dB) is set to zero before it can become subnormal and slow.
const FLUSH_BELOW: f32 = 1e-20;

/// Gains are worked out once a tick, and move in straight lines in between. Ticks are counted from the stream's start.
const TICKS_PER_SECOND: u32 = 500;
const MAX_TICK: usize = 192;
const GLIDE_TICKS: u32 = 10;

const MAX_RATE_HZ: f32 = 96_000.0;
/// Mid samples that the longest reflection reaches back at the highest rate.
const MAX_PAST: usize = (LONGEST_MS * MAX_RATE_HZ / 1_000.0) as usize + 1;
/// Room for new ones before the past must be moved.
const ROOM: usize = 2 * MAX_TICK;

/// The stage.
#[derive(Debug, Clone)]
pub struct Spatial {
    stream: Stream,
    /// Sample frames in a tick.
    tick: usize,
    echoes: [Echo; 12],
    left_reflections: [Echo; 4],
    right_reflections: [Echo; 4],
    /// Mid samples that the longest reflection reaches back.
    past: usize,
    /// Of a one-pole low-pass at the damping's corner: what it keeps of its last output.
    damping_pole: f32,
    power_share: f32,
    /// Where the parameters are on their way to the target, and how many ticks it is until they get there.
    current: SpatialParameters,
    target: SpatialParameters,
    glide_ticks: u32,
    /// A sample was seen since the start.
    begun: bool,
    /// Sample frames of the current tick already seen.
    seen: usize,
    /// Gains at the beginning and at the end of the current tick.
    from: Gains,
    to: Gains,
    /// Mean powers of mid and side up to the current tick.
    mid_power: f32,
    side_power: f32,
    /// The mid signal of the past, the newest before `filled`.
    mid: Box<[f32]>,
    filled: usize,
    /// The side signal of the current tick.
    side: [f32; MAX_TICK],
    /// Low-passed left and right.
    damped: [f32; 2],
}

/// A copy of the mid signal that comes later.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Echo {
    samples: usize,
    gain: f32,
}

/// A gain on its way through a tick.
#[derive(Debug, Clone, Copy)]
struct Line {
    from: f32,
    step: f32,
    /// Sample frames of the tick that were seen.
    seen: i32,
}

impl Line {
    #[inline(always)]
    fn at(self, index: usize) -> f32 {
        // By way of i32, which SSE2 converts four at a time.
        self.from + self.step * ((self.seen + index as i32) as f32)
    }
}

impl Spatial {
    fn begin_tick(&mut self) {
        if self.glide_ticks > 0 {
            let share = 1.0 / self.glide_ticks as f32;
            self.glide_ticks -= 1;
            for parameter in SpatialParameters::PARAMETERS {
                let (now, target) = ((parameter.get)(&self.current), (parameter.get)(&self.target));
                (parameter.set)(&mut self.current, now + (target - now) * share);
            }
            if self.glide_ticks == 0 {
                self.current = self.target;
            }
        }
        self.from = self.to;
        self.to = Gains::of(&self.current, self.mid_power, self.side_power);
    }

    /// Learns the powers of the tick that is complete, each from all its samples in a fixed order.
    fn finish_tick(&mut self) {
        let mid = mean_power(&self.mid[self.filled - self.tick..self.filled]);
        let side = mean_power(&self.side[..self.tick]);
        for (mean, power) in [(&mut self.mid_power, mid), (&mut self.side_power, side)] {
            *mean += self.power_share * (power - *mean);
            if *mean < FLUSH_BELOW {
                *mean = 0.0;
            }
        }
        for memory in &mut self.damped {
            if memory.abs() < FLUSH_BELOW {
                *memory = 0.0;
            }
        }
        self.seen = 0;
    }

    /// Works on a part of one tick.
    #[inline(always)]
    fn process_part(&mut self, part: &mut [f32]) {
        let frames = part.len() / 2;
        if self.filled + frames > self.mid.len() {
            self.mid.copy_within(self.filled - self.past..self.filled, 0);
            self.filled = self.past;
        }
        let (begin, end) = (self.filled, self.filled + frames);
        let mid = &mut self.mid[begin..end];
        let side = &mut self.side[self.seen..self.seen + frames];
        for ((frame, mid), side) in part.chunks_exact(2).zip(mid).zip(side) {
            *mid = 0.5 * (frame[0] + frame[1]);
            *side = 0.5 * (frame[0] - frame[1]);
        }
        if self.from != Gains::NEUTRAL || self.to != Gains::NEUTRAL {
            let (mut left, mut right) = ([0.0; MAX_TICK], [0.0; MAX_TICK]);
            let (left, right) = (&mut left[..frames], &mut right[..frames]);
            self.widen(begin, left, right);
            let gains = [self.line(|gains| gains.left), self.line(|gains| gains.right)];
            if self.from.reflections != 0.0 || self.to.reflections != 0.0 {
                self.reflect(begin, left, right);
                self.damp([left, right], gains, part);
            } else {
                self.damped = [0.0; 2];
                for (index, frame) in part.chunks_exact_mut(2).enumerate() {
                    frame[0] = left[index] * gains[0].at(index);
                    frame[1] = right[index] * gains[1].at(index);
                }
            }
        }
        self.filled = end;
        self.seen += frames;
    }

    /// Makes left and right of mid and side.
    #[inline(always)]
    fn widen(&self, begin: usize, left: &mut [f32], right: &mut [f32]) {
        let frames = left.len();
        let mut made = [0.0; MAX_TICK];
        let made = &mut made[..frames];
        if self.from.echoes != 0.0 || self.to.echoes != 0.0 {
            self.add_echoes(&self.echoes, begin, made);
        }
        let (mid, side) = (&self.mid[begin..][..frames], &self.side[self.seen..][..frames]);
        let mid_gain = self.line(|gains| gains.mid);
        let side_gain = self.line(|gains| gains.side);
        let made_gain = self.line(|gains| gains.echoes);
        for index in 0..frames {
            let mid = mid[index] * mid_gain.at(index);
            let side = side[index] * side_gain.at(index) + made[index] * made_gain.at(index);
            left[index] = mid + side;
            right[index] = mid - side;
        }
    }

    /// Takes left and right away from the listener: less of them, and the room's answer.
    #[inline(always)]
    fn reflect(&self, begin: usize, left: &mut [f32], right: &mut [f32]) {
        let direct = self.line(|gains| gains.direct);
        let reflected = self.line(|gains| gains.reflections);
        for (channel, echoes) in [(left, &self.left_reflections), (right, &self.right_reflections)] {
            let mut reflections = [0.0; MAX_TICK];
            let reflections = &mut reflections[..channel.len()];
            self.add_echoes(echoes, begin, reflections);
            for (index, (sample, reflection)) in channel.iter_mut().zip(reflections).enumerate() {
                *sample = *sample * direct.at(index) + *reflection * reflected.at(index);
            }
        }
    }

    /// Takes away what air and walls do, and applies the gains. All in one loop, for each low-passed sample must wait for the
    /// one before it, and there is something else to do meanwhile.
    #[inline(always)]
    fn damp(&mut self, channels: [&[f32]; 2], gains: [Line; 2], out: &mut [f32]) {
        let damping = self.line(|gains| gains.damping);
        let (pole, rest) = (self.damping_pole, 1.0 - self.damping_pole);
        let mut lows = self.damped;
        for (index, frame) in out.chunks_exact_mut(2).enumerate() {
            let damping = damping.at(index);
            for channel in 0..2 {
                let sample = channels[channel][index];
                lows[channel] = pole * lows[channel] + rest * sample;
                let damped = sample + damping * (lows[channel] - sample);
                frame[channel] = damped * gains[channel].at(index);
            }
        }
        self.damped = lows;
    }

    /// Adds echoes (a multiple of four) of the mid signal from `begin` on.
    #[inline(always)]
    fn add_echoes(&self, echoes: &[Echo], begin: usize, out: &mut [f32]) {
        for four in echoes.chunks_exact(4) {
            let heard = |echo: &Echo| &self.mid[begin - echo.samples..][..out.len()];
            let (a, b, c, d) = (heard(&four[0]), heard(&four[1]), heard(&four[2]), heard(&four[3]));
            let [gain_a, gain_b, gain_c, gain_d] = [0, 1, 2, 3].map(|index| four[index].gain);
            for (index, sample) in out.iter_mut().enumerate() {
                *sample += (gain_a * a[index] + gain_b * b[index]) + (gain_c * c[index] + gain_d * d[index]);
            }
        }
    }

    /// How a gain moves from where the tick stands on.
    #[inline(always)]
    fn line(&self, gain: impl Fn(&Gains) -> f32) -> Line {
        let step = (gain(&self.to) - gain(&self.from)) / self.tick as f32;
        Line { from: gain(&self.from), step, seen: self.seen as i32 }
    }
}

impl Stage for Spatial {
    type Parameters = SpatialParameters;

    fn new(stream: Stream, parameters: &SpatialParameters) -> Self {
        let none = Echo { samples: 0, gain: 0.0 };
        let mut stage = Spatial {
            stream,
            tick: 0,
            echoes: [none; 12],
            left_reflections: [none; 4],
            right_reflections: [none; 4],
            past: 0,
            damping_pole: 0.0,
            power_share: 0.0,
            current: *parameters,
            target: *parameters,
            glide_ticks: 0,
            begun: false,
            seen: 0,
            from: Gains::NEUTRAL,
            to: Gains::NEUTRAL,
            mid_power: 0.0,
            side_power: 0.0,
            mid: vec![0.0; MAX_PAST + ROOM].into_boxed_slice(),
            filled: 0,
            side: [0.0; MAX_TICK],
            damped: [0.0; 2],
        };
        stage.start(stream, parameters);
        stage
    }

    fn start(&mut self, stream: Stream, parameters: &SpatialParameters) {
        let rate = stream.sample_rate_hz as f32;
        let samples = |ms: f32| (ms * rate / 1_000.0).round() as usize;
        let echo = |(ms, gain): (f32, f32)| Echo { samples: samples(ms), gain };
        let ticks = TICKS_PER_SECOND as f32;
        self.stream = stream;
        self.tick = (stream.sample_rate_hz / TICKS_PER_SECOND) as usize;
        self.echoes = SIDE_ECHOES.map(echo);
        self.left_reflections = LEFT_REFLECTIONS.map(echo);
        self.right_reflections = RIGHT_REFLECTIONS.map(echo);
        self.past = samples(LONGEST_MS);
        self.damping_pole = (-std::f32::consts::TAU * DAMPING_CORNER_HZ / rate).exp();
        self.power_share = smoothing(POWER_TIME_MS, ticks);
        self.current = accepted(parameters);
        self.target = self.current;
        self.glide_ticks = 0;
        self.begun = false;
        self.seen = 0;
        self.from = Gains::of(&self.current, 0.0, 0.0);
        self.to = self.from;
        (self.mid_power, self.side_power) = (0.0, 0.0);
        self.mid[..self.past].fill(0.0);
        self.filled = self.past;
        self.damped = [0.0; 2];
    }

    /// Before the first sample of a stream the parameters hold at once; later they glide for 20 ms.
    fn set(&mut self, parameters: &SpatialParameters) {
        let wished = accepted(parameters);
        if !self.begun {
            self.current = wished;
            self.to = Gains::of(&wished, 0.0, 0.0);
        } else if wished != self.target {
            self.glide_ticks = GLIDE_TICKS;
        }
        self.target = wished;
    }

    fn process(&mut self, mut block: &mut [f32]) {
        if self.stream.channels != 2 {
            return;
        }
        while !block.is_empty() {
            self.begun = true;
            if self.seen == 0 {
                self.begin_tick();
            }
            let (part, rest) = block.split_at_mut((2 * (self.tick - self.seen)).min(block.len()));
            Arch::new().dispatch(Process { spatial: self, part });
            if self.seen == self.tick {
                self.finish_tick();
            }
            block = rest;
        }
    }

    /// The longest echo comes so late.
    fn fill_samples(&self) -> usize {
        self.past
    }
}

/// Works on a part of one tick in the widest vectors the processor has.
struct Process<'a> {
    spatial: &'a mut Spatial,
    part: &'a mut [f32],
}

impl WithSimd for Process<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        self.spatial.process_part(self.part);
    }
}
