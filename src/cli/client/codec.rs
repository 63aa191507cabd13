//! The client's half of the codec: what it sends, and what it makes of the answers.

use opus::{Application, Bitrate, Channels};

/// High enough that what is heard in the end is the server's coding, not this one's.
const BITRATE_PER_CHANNEL: i32 = 96_000;
/// At that bitrate more would cost time and not be heard.
const COMPLEXITY: i32 = 5;
/// No packet is longer: 48 Opus frames of at most 1,275 bytes and their headers would be, but only at bitrates
/// far above [`BITRATE_PER_CHANNEL`].
const MAX_PACKET_BYTES: usize = 4_000;

/// An Opus encoder and decoder at one rate.
pub(super) struct Codec {
    encoder: opus::Encoder,
    decoder: opus::Decoder,
    /// Frames (one sample of each channel) by which the encoder delays.
    pub(super) lookahead: usize,
    channels: usize,
    /// Where an answer is decoded.
    decoded: Vec<f32>,
}

/// An answer that can't be what the server meant.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the server answered with {bytes} bytes that are no Opus packet")]
    NotOpus {
        bytes: usize,
        #[source]
        source: opus::Error,
    },
    #[error("the server answered a packet of {wanted} samples with one of {got}")]
    Length { wanted: usize, got: usize },
}

impl Codec {
    /// A codec for packets of `frames_per_packet` frames.
    ///
    /// # Errors
    /// libopus's, for a rate or a number of channels it does not know.
    pub(super) fn new(
        sample_rate: u32,
        channels: u16,
        frames_per_packet: usize,
    ) -> Result<Self, opus::Error> {
        let layout = if channels == 1 { Channels::Mono } else { Channels::Stereo };
        let mut encoder = opus::Encoder::new(sample_rate, layout, Application::Voip)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE_PER_CHANNEL * i32::from(channels)))?;
        encoder.set_complexity(COMPLEXITY)?;
        let lookahead = usize::try_from(encoder.get_lookahead()?).unwrap_or(0);
        let channels = usize::from(channels);
        let decoder = opus::Decoder::new(sample_rate, layout)?;
        Ok(Self { encoder, decoder, lookahead, channels, decoded: vec![0.0; frames_per_packet * channels] })
    }

    /// Encodes one packet's worth of interleaved samples.
    pub(super) fn encode(&mut self, samples: &[f32]) -> Result<Vec<u8>, opus::Error> {
        self.encoder.encode_vec_float(samples, MAX_PACKET_BYTES)
    }

    /// Decodes an answer, which lasts as long as what it answers.
    pub(super) fn decode(&mut self, packet: &[u8]) -> Result<&[f32], AnswerError> {
        let not_opus = |source| AnswerError::NotOpus { bytes: packet.len(), source };
        let wanted = self.decoded.len() / self.channels;
        let got = self.decoder.get_nb_samples(packet).map_err(not_opus)?;
        if got != wanted {
            return Err(AnswerError::Length { wanted, got });
        }
        self.decoder.decode_float(packet, &mut self.decoded, false).map_err(not_opus)?;
        Ok(&self.decoded)
    }

    /// What is played instead of a packet that got lost: the decoder's concealment of it.
    pub(super) fn conceal(&mut self) -> &[f32] {
        if self.decoder.decode_float(&[], &mut self.decoded, false).is_err() {
            self.decoded.fill(0.0);
        }
        &self.decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_another_length_or_none_at_all_is_refused() {
        let mut codec = Codec::new(16_000, 1, 320).unwrap();
        let long = codec.encode(&[0.1; 640]).unwrap();
        assert!(matches!(codec.decode(&long), Err(AnswerError::Length { wanted: 320, got: 640 })));
        assert!(matches!(codec.decode(&[]), Err(AnswerError::NotOpus { bytes: 0, .. })));
        assert!(matches!(codec.decode(&[0xFF]), Err(AnswerError::NotOpus { bytes: 1, .. })));
        let right = codec.encode(&[0.1; 320]).unwrap();
        assert_eq!(codec.decode(&right).unwrap().len(), 320);
        assert_eq!(codec.conceal().len(), 320);
    }
}
