//! One client that decodes what it gets, and recognises its own voice in it.
//!
//! An answer is encoded anew and names nobody. But how loud a voice is from packet to packet is as good as a name: over a
//! second, what a client gets must follow what it sent better than what anybody sent who is elsewhere in the
//! recording. So an answer for another client, one that is late, or one that is missing is noticed.

use std::sync::Arc;

use opus::{Channels, Decoder};

use super::voice::{level, Voice, RATE_HZ, SAMPLES};
use crate::totals::Fault;

/// Packets that are compared at a time.
const STRETCH: usize = 75;
/// By how many packets the codecs and stages between may delay.
const MOST_DELAY: usize = 2;
/// How much better another place may fit: neighbours are alike, and what is loud may be limited.
const TOLERANCE: f32 = 0.02;
/// An answer that fits its own place less is something else, even if it fits no other place better.
const LEAST_FIT: f32 = 0.5;

/// The decoder of a client, and the levels that it heard.
pub(crate) struct Listener {
    voice: Arc<Voice>,
    decoder: Decoder,
    /// Of the stretch that is under way.
    heard: Vec<f32>,
    /// Where in the voice that stretch began.
    begin: usize,
}

/// What a packet told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The stretch goes on.
    More,
    /// It is complete, and was the voice of this client.
    Recognised,
}

impl Listener {
    pub(crate) fn new(voice: &Arc<Voice>) -> Result<Self, opus::Error> {
        let decoder = Decoder::new(RATE_HZ, Channels::Mono)?;
        Ok(Self { voice: Arc::clone(voice), decoder, heard: Vec::with_capacity(STRETCH), begin: 0 })
    }

    /// Begins anew: the server has lost its state as well.
    pub(crate) fn reset(&mut self) {
        self.heard.clear();
        // can't fail on a decoder that was built
        let _ = self.decoder.reset_state();
    }

    /// Takes the answer to message `sequence` of `client`.
    pub(crate) fn hear(&mut self, client: usize, sequence: u64, packet: &[u8]) -> Result<Heard, Fault> {
        let mut samples = [0.0; SAMPLES];
        // of no bytes at all the decoder would make a guess
        let decoded = (!packet.is_empty()).then(|| self.decoder.decode_float(packet, &mut samples, false));
        if !matches!(decoded, Some(Ok(SAMPLES))) {
            return Err(Fault::NotOpus);
        }
        if self.heard.is_empty() {
            self.begin = self.voice.place(client, sequence);
        }
        self.heard.push(level(&samples));
        if self.heard.len() < STRETCH {
            return Ok(Heard::More);
        }
        let own = (0..=MOST_DELAY)
            .map(|delay| self.fit(self.begin + self.voice.len() - delay))
            .fold(-1.0, f32::max);
        let best = (0..self.voice.len()).map(|begin| self.fit(begin)).fold(-1.0, f32::max);
        self.heard.clear();
        if own >= LEAST_FIT && own >= best - TOLERANCE {
            Ok(Heard::Recognised)
        } else {
            Err(Fault::OtherVoice)
        }
    }

    /// Correlation of what was heard with the voice from `begin` on, -1 to 1.
    fn fit(&self, begin: usize) -> f32 {
        let sent = |at: usize| self.voice.levels[(begin + at) % self.voice.len()];
        let count = self.heard.len() as f32;
        let mean_heard = self.heard.iter().sum::<f32>() / count;
        let mean_sent = (0..self.heard.len()).map(sent).sum::<f32>() / count;
        let (mut both, mut of_heard, mut of_sent) = (0.0, 1e-9, 1e-9);
        for (at, &heard) in self.heard.iter().enumerate() {
            let (heard, sent) = (heard - mean_heard, sent(at) - mean_sent);
            both += heard * sent;
            of_heard += heard * heard;
            of_sent += sent * sent;
        }
        both / f32::sqrt(of_heard * of_sent)
    }
}

#[cfg(test)]
mod tests {
    use sandbox::{AudioSandbox, Packets, Scratch, Settings, SettingsUpdate};

    use super::*;

    /// What a listener makes of `packets`, as the answers to what client 3 sent.
    fn verdicts<'a>(
        voice: &Arc<Voice>,
        packets: impl Iterator<Item = &'a [u8]>,
    ) -> Vec<Result<Heard, Fault>> {
        let mut listener = Listener::new(voice).unwrap();
        let verdicts = packets.enumerate().map(|(at, packet)| listener.hear(3, at as u64, packet));
        verdicts.filter(|verdict| *verdict != Ok(Heard::More)).collect()
    }

    /// The answers of a sandbox with `settings` to what `client` sends.
    fn answers(voice: &Voice, client: usize, settings: &SettingsUpdate) -> Vec<Vec<u8>> {
        let mut sandbox = AudioSandbox::new(Settings::default().with(settings).unwrap()).unwrap();
        let (mut scratch, mut out) = (Scratch::default(), Packets::default());
        let mut answer = |at: u64| {
            sandbox.process(voice.packet(client, at), &mut scratch, &mut out).unwrap();
            out[0].to_vec()
        };
        (0..10 * STRETCH as u64).map(&mut answer).collect()
    }

    fn settings() -> [SettingsUpdate; 4] {
        [
            SettingsUpdate::default(),
            SettingsUpdate::default().with("intensity", 0.0),
            SettingsUpdate::default().with("intensity", 2.0).with("limiter", true),
            SettingsUpdate::default().with("quality", "high_quality").with("compressor", true),
        ]
    }

    #[test]
    fn a_client_recognises_its_own_voice_whatever_the_server_made_of_it() {
        let voice = Arc::new(Voice::recorded().unwrap());
        for settings in settings() {
            let answers = answers(&voice, 3, &settings);
            let verdicts = verdicts(&voice, answers.iter().map(Vec::as_slice));
            assert_eq!(verdicts, [Ok(Heard::Recognised); 10], "{settings:?}");
        }
    }

    #[test]
    fn the_voice_of_another_client_and_one_out_of_place_are_noticed() {
        let voice = Arc::new(Voice::recorded().unwrap());
        for settings in settings() {
            let other = answers(&voice, 4, &settings);
            let noticed = verdicts(&voice, other.iter().map(Vec::as_slice));
            assert_eq!(noticed, [Err(Fault::OtherVoice); 10], "{settings:?}");
            let own = answers(&voice, 3, &settings);
            // ten packets lost, and those of each half second the wrong way round
            let noticed = verdicts(&voice, own.iter().skip(10).map(Vec::as_slice));
            assert!(noticed.iter().all(Result::is_err), "{noticed:?} with {settings:?}");
            let turned = own.chunks(25).flat_map(|half| half.iter().rev());
            let noticed =
                verdicts(&voice, turned.map(Vec::as_slice)).iter().filter(|one| one.is_err()).count();
            // where a voice is even, half a second is as good backwards
            assert!(noticed >= 5, "{noticed} of 10 with {settings:?}");
        }
    }

    #[test]
    fn what_is_no_packet_of_20_ms_is_noticed_at_once() {
        let voice = Arc::new(Voice::recorded().unwrap());
        let mut listener = Listener::new(&voice).unwrap();
        assert_eq!(listener.hear(0, 0, &[]), Err(Fault::NotOpus));
        assert_eq!(listener.hear(0, 0, &[0xFF]), Err(Fault::NotOpus));
    }
}
