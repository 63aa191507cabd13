//! A recorded voice as a ring of Opus packets, and how loud each of them is.

use std::time::Duration;

use opus::{Channels, Decoder};
use sandbox::{AudioSandbox, Packets, Scratch, Settings, SettingsUpdate};

/// What each packet lasts.
pub(crate) const PACKET: Duration = Duration::from_millis(20);
pub(crate) const RATE_HZ: u32 = 48_000;
/// Samples in a packet at that rate.
pub(crate) const SAMPLES: usize = 960;

/// Seven seconds of speech, 16 kHz mono, 16 bits.
const RECORDING: &[u8] = include_bytes!("../../../../sandbox/tests/audio/voice_16k.wav");
const RECORDING_RATE_HZ: i64 = 16_000;
/// Bytes of the recording that last as long as a packet.
const PIECE_BYTES: usize = 2 * 320;

/// Clients begin this many packets apart; no divisor of the usual lengths, so that few share a place.
const APART: usize = 37;

/// A recorded voice as a ring of Opus packets of 20 ms; each client speaks it from a place of its own.
#[derive(Debug)]
pub struct Voice {
    packets: Vec<Box<[u8]>>,
    /// Level of each packet as a decoder that runs round the ring hears it, in dBFS.
    pub(crate) levels: Vec<f32>,
}

impl Voice {
    /// The recording, encoded as a telephone would: 48 kHz, mono, 20 ms, 32 kbit/s, complexity 5.
    ///
    /// # Errors
    /// A sentence, if the codec refuses.
    pub fn recorded() -> Result<Self, String> {
        let packets = encode(samples_of(RECORDING)?).map_err(|error| format!("the voice: {error}"))?;
        let levels = levels(&packets).map_err(|error| format!("the voice: {error}"))?;
        Ok(Self { packets, levels })
    }

    /// How many packets it has before it begins again.
    pub(crate) fn len(&self) -> usize {
        self.packets.len()
    }

    /// Where in the ring message `sequence` of `client` lies.
    pub(crate) fn place(&self, client: usize, sequence: u64) -> usize {
        (client.wrapping_mul(APART) + sequence as usize) % self.len()
    }

    /// Message `sequence` of `client`.
    pub fn packet(&self, client: usize, sequence: u64) -> &[u8] {
        &self.packets[self.place(client, sequence)]
    }
}

/// The sample bytes of a WAV file: its `data` chunk.
fn samples_of(wav: &[u8]) -> Result<&[u8], String> {
    let mut rest = wav.get(12..).unwrap_or(&[]);
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        if &head[..4] == b"data" {
            return behind.get(..length).ok_or_else(|| "the recording is cut off".to_owned());
        }
        rest = behind.get(length + length % 2..).unwrap_or(&[]);
    }
    Err("the recording has no samples".to_owned())
}

/// Encodes 16-bit samples through a sandbox whose stages are off: it resamples as well.
fn encode(samples: &[u8]) -> Result<Vec<Box<[u8]>>, Box<dyn std::error::Error>> {
    let settings = SettingsUpdate::default()
        .with("input_format", "s16le")
        .with("input_sample_rate", RECORDING_RATE_HZ)
        .with("intensity", 0.0)
        .with("complexity", 5_i64);
    let mut sandbox = AudioSandbox::new(Settings::default().with(&settings)?)?;
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let mut packets = Vec::new();
    for piece in samples.chunks_exact(PIECE_BYTES) {
        sandbox.process(piece, &mut scratch, &mut out)?;
        packets.extend(out.iter().map(Box::from));
    }
    Ok(packets)
}

fn levels(packets: &[Box<[u8]>]) -> Result<Vec<f32>, opus::Error> {
    let mut decoder = Decoder::new(RATE_HZ, Channels::Mono)?;
    let mut samples = [0.0; SAMPLES];
    let mut hear = |packet: &[u8]| decoder.decode_float(packet, &mut samples, false).map(|_| level(&samples));
    // once round before it counts: at the second time the first packet follows the last
    packets.iter().try_for_each(|packet| hear(packet).map(drop))?;
    packets.iter().map(|packet| hear(packet)).collect()
}

/// Level of `samples` in dBFS; at least -80.
pub(crate) fn level(samples: &[f32]) -> f32 {
    let power = samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len().max(1) as f32;
    10.0 * power.max(1e-8).log10()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::opus_packet;

    #[test]
    fn the_voice_is_seven_seconds_of_packets_that_are_loud_and_soft() {
        let voice = Voice::recorded().unwrap();
        assert!((350..=355).contains(&voice.len()), "{}", voice.len());
        assert!((0..voice.len() as u64).all(|at| opus_packet::duration(voice.packet(0, at)) == Some(PACKET)));
        let loudest = voice.levels.iter().copied().fold(f32::MIN, f32::max);
        let softest = voice.levels.iter().copied().fold(f32::MAX, f32::min);
        assert!(loudest > -25.0 && softest < -40.0, "{softest} to {loudest}");
    }

    #[test]
    fn clients_begin_at_places_of_their_own_and_go_round() {
        let voice = Voice::recorded().unwrap();
        let places: std::collections::HashSet<usize> =
            (0..voice.len()).map(|client| voice.place(client, 0)).collect();
        assert_eq!(places.len(), voice.len());
        assert_eq!(voice.place(3, 5), voice.place(3, 5 + voice.len() as u64));
    }
}
