//! The mixer of a room: every participant hears all the others, and never itself.
//!
//! ```text
//!  submit(alice) -+-> choose who speaks -> volume, pan, glide -> sums without one -> limiters -+-> alice hears Own(0)
//!  submit(bob)   -'                                          `-> sum of all ------> limiter  -+-> bob hears   Own(1)
//!  (carol is silent)                                                                          `-> carol, dave: Shared
//! ```
//!
//! * **Who is heard** is chosen by level, with hysteresis: at most so many at a time ([`SpeakerChoice`]).
//! * **Listeners share one mix**, hence one encode: whoever has no voice in the mix hears [`Output::Shared`].
//! * **The sums** take one pass forwards and one backwards over the voices: what one hears is the sum of the voices
//!   before its own and of those behind. That costs no more than a total with the own voice subtracted, and nothing of
//!   that voice, not even a rounding error, is left in what its owner hears. Against the exact sum each sample is wrong
//!   by at most `(voices - 1) * 2^-24` times the sum of the voices' magnitudes, which holds for any order of additions.
//! * **Blocks** all have the length and rate that the room was made for. A mono block in a stereo room is panned; a
//!   stereo block is balanced by the same law.
//!
//! * **Going from one mix to the other** (when one begins to speak, or its hold time ends) the sound goes on: the own mix
//!   takes over the shared limiter's state. But its packets then come from another encoder, so whoever encodes should
//!   begin the own encoder anew at that moment; the hold time keeps such moments rare.
//!
//! A room of 100 with 5 speakers takes about 3 us for 20 ms at 48 kHz mono. A mix that is loud enough to be limited costs
//! more, for the limiter looks at every sample.
//!
//! There is no codec, network or clock in here, and once every place was taken, nothing allocates.
//!
//! A room of 20 with one who speaks: two encodes a round, one for the speaker (who hears nobody) and one for the 19.
//!
//! ```
//! use sandbox::mixer::{Mixer, MixerSettings, Output};
//! use sandbox::{AudioSandbox, Packets, Scratch, Settings};
//!
//! let settings = MixerSettings::default();
//! let mut room = Mixer::new(&settings)?;
//! let speaker = room.add()?;
//! for _ in 1..20 {
//!     room.add()?;
//! }
//! let mut shared_encoder = AudioSandbox::new(Settings::default())?;
//! // By place, for as long as its participant hears a mix of its own.
//! let mut own_encoders: Vec<Option<AudioSandbox>> = (0..settings.capacity).map(|_| None).collect();
//! let mut scratch = Scratch::default();
//! let (mut shared_packet, mut own_packet) = (Packets::default(), Packets::default());
//!
//! let (mut encodes, mut sent) = (0, Vec::new());
//! for round in 0..5 {
//!     let voice: Vec<f32> = (0..settings.block_frames)
//!         .map(|at| 0.3 * ((round * settings.block_frames + at) as f32 * 0.05).sin())
//!         .collect();
//!     room.submit(speaker, &voice)?;
//!     let mixes = room.mix();
//!     shared_encoder.encode(mixes.shared(), &mut scratch, &mut shared_packet)?;
//!     encodes += 1;
//!     for (who, output) in mixes.outputs() {
//!         let own_encoder = &mut own_encoders[who.place()];
//!         let packet = match output {
//!             Output::Shared => {
//!                 // The next mix of its own is the beginning of another stream.
//!                 *own_encoder = None;
//!                 &shared_packet
//!             }
//!             Output::Own(index) => {
//!                 let encoder = match own_encoder {
//!                     Some(encoder) => encoder,
//!                     none => none.insert(AudioSandbox::new(Settings::default())?),
//!                 };
//!                 encoder.encode(mixes.own(index), &mut scratch, &mut own_packet)?;
//!                 encodes += 1;
//!                 &own_packet
//!             }
//!         };
//!         sent.push((who, packet[0].to_vec()));
//!     }
//! }
//! assert_eq!((encodes, sent.len()), (5 * 2, 5 * 20));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod choice;
mod error;
mod limit;
mod participant;
mod room;
mod settings;
mod sum;

pub use choice::SpeakerChoice;
pub use error::MixerError;
pub use participant::ParticipantId;
pub use room::{Mixer, Mixes, Output};
pub use settings::{MixerSettings, PAN, VOLUME_DB};
