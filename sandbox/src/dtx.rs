//! Silence that a client announces: with DTX, what its packets of silence decode to is taken as digital silence.
//!
//! A client that sends DTX packets says that there is nothing to hear. The decoder fills such packets with comfort noise,
//! which the next encoder can't tell from sound: it would spend bytes on noise that was made up here. So the noise is
//! faded out, and the encoder can send DTX packets itself. The decoder runs all the same, so that its state is right for
//! the packet behind.
//!
//! A client's encoder sends a whole packet now and then to tell what the background sounds like: libopus every 400 ms. A
//! single one that is hardly louder than the comfort noise before it is such a packet, and silence as well.

/// Longest packet that holds nothing but its own description (TOC byte and frame count).
const LONGEST_DTX_BYTES: usize = 2;
/// How long sound fades out and in, as a share of a second: 5 ms, or as long as the packet if that is shorter.
const FADES_PER_SECOND: usize = 200;
/// A packet between those of silence tells of the background if its peak is at most so many times that of the comfort
/// noise before it (6 dB) ...
const BACKGROUND_RATIO: f32 = 2.0;
/// ... or below this (-60 dB).
const BACKGROUND_PEAK: f32 = 1e-3;

/// What an Opus packet says of silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announced {
    Silence,
    Sound,
    /// The packet was lost and nothing recovered: it counts as the one before.
    Nothing,
}

impl Announced {
    /// What a packet of so many bytes says.
    pub(crate) fn by_length(bytes: usize) -> Announced {
        if bytes <= LONGEST_DTX_BYTES {
            Announced::Silence
        } else {
            Announced::Sound
        }
    }
}

/// Turns announced silence into digital silence.
#[derive(Debug, Clone, Default)]
pub(crate) struct AnnouncedSilence {
    /// Whether the last sample that was let through was faded out.
    silent: bool,
    /// Peak of the last comfort noise, as long as no other packet has come behind it.
    comfort_peak: Option<f32>,
}

impl AnnouncedSilence {
    /// Begins a new stream.
    pub(crate) fn start(&mut self) {
        *self = AnnouncedSilence::default();
    }

    /// Fades what was decoded from one packet out or in, as was announced; does nothing to sound behind sound.
    pub(crate) fn process(
        &mut self,
        announced: Announced,
        pcm: &mut [f32],
        channels: usize,
        sample_rate_hz: u32,
    ) {
        let peak = |pcm: &[f32]| pcm.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let becomes_silent = match announced {
            Announced::Nothing => self.silent,
            Announced::Silence => {
                self.comfort_peak = Some(peak(pcm));
                true
            }
            Announced::Sound => match self.comfort_peak.take() {
                Some(comfort) => peak(pcm) <= (BACKGROUND_RATIO * comfort).max(BACKGROUND_PEAK),
                None => false,
            },
        };
        let was_silent = std::mem::replace(&mut self.silent, becomes_silent);
        let fade = (sample_rate_hz as usize / FADES_PER_SECOND * channels).min(pcm.len());
        let steps = (fade / channels).max(1) as f32;
        let (faded, rest) = pcm.split_at_mut(fade);
        let ramp = faded.chunks_exact_mut(channels).enumerate();
        match (was_silent, becomes_silent) {
            (false, false) => {}
            (true, true) => pcm.fill(0.0),
            (false, true) => {
                ramp.for_each(|(at, frame)| scale(frame, 1.0 - (at + 1) as f32 / steps));
                rest.fill(0.0);
            }
            (true, false) => ramp.for_each(|(at, frame)| scale(frame, at as f32 / steps)),
        }
    }
}

fn scale(frame: &mut [f32], gain: f32) {
    frame.iter_mut().for_each(|sample| *sample *= gain);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processed(silence: &mut AnnouncedSilence, announced: Announced, level: f32) -> Vec<f32> {
        let mut pcm = vec![level; 2 * 960];
        silence.process(announced, &mut pcm, 2, 48_000);
        pcm
    }

    fn largest_step(before: f32, pcm: &[f32]) -> f32 {
        let left: Vec<f32> = std::iter::once(before).chain(pcm.iter().step_by(2).copied()).collect();
        left.windows(2).fold(0.0, |most, pair| most.max((pair[1] - pair[0]).abs()))
    }

    #[test]
    fn sound_fades_to_digital_silence_and_back_without_a_step() {
        let mut silence = AnnouncedSilence::default();
        assert_eq!(processed(&mut silence, Announced::Sound, 0.5), vec![0.5; 1_920]);
        let out = processed(&mut silence, Announced::Silence, 0.5);
        assert!(largest_step(0.5, &out) < 0.003);
        assert!(out[2 * 240..].iter().all(|sample| *sample == 0.0));
        assert_eq!(processed(&mut silence, Announced::Silence, 0.01), vec![0.0; 1_920]);
        assert_eq!(processed(&mut silence, Announced::Nothing, 0.01), vec![0.0; 1_920]);
        let back = processed(&mut silence, Announced::Sound, 0.5);
        assert!(largest_step(0.0, &back) < 0.003);
        assert_eq!(back[2 * 240..], [0.5; 2 * 720]);
        assert_eq!(processed(&mut silence, Announced::Nothing, 0.3), vec![0.3; 1_920]);
    }

    #[test]
    fn one_packet_that_is_hardly_louder_than_the_comfort_noise_is_silence_and_the_next_is_not() {
        let mut silence = AnnouncedSilence::default();
        processed(&mut silence, Announced::Silence, 0.01);
        processed(&mut silence, Announced::Silence, 0.01);
        assert_eq!(processed(&mut silence, Announced::Sound, 0.019), vec![0.0; 1_920]);
        assert_ne!(processed(&mut silence, Announced::Sound, 0.019), vec![0.0; 1_920]);
    }

    #[test]
    fn a_packet_shorter_than_the_fade_fades_as_a_whole() {
        let mut silence = AnnouncedSilence::default();
        let mut pcm = [1.0; 120];
        silence.process(Announced::Silence, &mut pcm, 1, 48_000);
        assert!(pcm.windows(2).all(|pair| pair[1] < pair[0]) && pcm[119] == 0.0);
    }
}
