//! `POST /process`: a WAV file in, the enhanced recording out, as WAV or as Ogg Opus.
//!
//! The file goes through a sandbox 20 ms at a time, on the deep stack, and the coroutine yields in between:
//! a long file takes its turn with everybody else's frames.
//!
//! ```text
//!  WAV -> channels -> (to a rate of Opus) -> engine -> cut its delay -> (back) -> WAV
//!                                              `--> encode -> Ogg Opus, whose head says the delay
//! ```
//!
//! The recording is read from the request's body and the answer is written block by block, so that there is no third copy
//! of it. The answer's memory is reserved before a sandbox is taken: what does not fit is refused before it costs work.
//!
//! The query sets what a session's `config` can set, by the same names, as far as it means something for a recording.

use std::fmt::Display;
use std::io::{Seek, Write};

use sandbox::{AudioSandbox, Packets, RawValue, Scratch, SettingError, Settings, SettingsUpdate};

use super::answer::AnswerBytes;
use super::app::State;
use super::error::{shown, Refusal};
use crate::audio_file::{
    opus_rate_for, with_channels, OggOpusHead, OggOpusWriter, RateConverter, WavFormat, WavReader, WavWriter,
    GRANULE_RATE_HZ,
};
use crate::net::http::{Request, Response};
use crate::runtime::Lease;
use crate::runtime::{deep_stack, time};

/// What the query may not set, with all that lies below. The rate is the recording's own, the format that of the request,
/// and an answer has no place for what only listens.
const LIVE_ONLY: [&str; 10] = [
    "sample_rate",
    "max_processing_time_ms",
    "input_format",
    "output_format",
    "input_sample_rate",
    "output_sample_rate",
    "framing",
    "packet_ms",
    "metering",
    "voice_activity",
];

/// Blocks a second: 20 ms each, the length of an Opus frame.
const BLOCKS_PER_SECOND: usize = 50;

pub(super) fn respond(state: &State, request: Request) -> Result<Response, Refusal> {
    let as_ogg = wants_ogg(&request)?;
    let update = deep_stack::run(|| update_from(&request))?;
    let room = request.answer_room().clone();
    let body = request.into_body();
    let wav = deep_stack::run(|| WavReader::new(&body))
        .map_err(|error| Refusal::bad(415, "NOT_A_RECORDING", error.to_string()))?;
    if wav.frames() == 0 {
        return Err(Refusal::bad(415, "NOT_A_RECORDING", "the recording holds no samples"));
    }
    let settings = deep_stack::run(|| settings_for(&wav.format(), &update))?;

    let expected = expected_bytes(as_ogg, &wav, &settings)?;
    let mut bytes = AnswerBytes::reserve(room, expected)?;
    let mut lease = state.pool.checkout()?;
    lease.enter_deep(|sandbox| sandbox.configure(&settings)).map_err(failed)?;
    let (converter, target) = deep_stack::run(|| {
        let channels = settings.channel_count() as u16;
        let converter = RateConverter::new(wav.format().sample_rate, settings.sample_rate().hz(), channels);
        let frames = converter.frames_after(wav.frames() as u64);
        Target::new(as_ogg, &wav, &settings, frames, &mut bytes).map(|target| (converter, target))
    })?;
    enhance(&wav, &settings, &mut lease, converter, target)
        .map_err(|refusal| bytes.refused().map_or(refusal, Refusal::NoRoom))?;
    Ok(Response::bytes(200, if as_ogg { "audio/ogg" } else { "audio/wav" }, bytes.into_bytes()))
}

/// Whether `Accept` asks for Ogg rather than WAV. The first range that there is an answer for decides, whatever weight
/// it has; a range that stands for both (`*/*`) means WAV. What is named with a weight of 0 is not answered with.
fn wants_ogg(request: &Request) -> Result<bool, Refusal> {
    const WAV: &[&str] = &["audio/wav", "audio/wave", "audio/x-wav", "audio/vnd.wave"];
    const OGG: &[&str] = &["audio/ogg", "application/ogg", "audio/opus"];
    const BOTH: &[&str] = &["*/*", "audio/*"];
    let Some(accept) = request.header("accept") else { return Ok(false) };
    let ranges = || {
        accept.split(',').map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            (name, parts.any(is_weight_of_zero))
        })
    };
    let is_in = |name: &str, names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    let is_refused = |names| ranges().any(|(name, refused)| refused && is_in(name, names));
    let (wav, ogg) = (!is_refused(WAV), !is_refused(OGG));
    ranges()
        .filter(|(_, refused)| !refused)
        .find_map(|(name, _)| {
            if wav && (is_in(name, WAV) || is_in(name, BOTH)) {
                Some(false)
            } else {
                (ogg && (is_in(name, OGG) || is_in(name, BOTH))).then_some(true)
            }
        })
        .ok_or_else(|| Refusal::bad(406, "NOT_ACCEPTABLE", "Accept: there is audio/wav and audio/ogg"))
}

/// `q=0`, in any of the ways to write it (RFC 9110, section 12.4.2).
fn is_weight_of_zero(parameter: &str) -> bool {
    let weight = parameter.split_once('=').filter(|(name, _)| name.eq_ignore_ascii_case("q"));
    weight.is_some_and(|(_, value)| value.parse() == Ok(0.0_f32))
}

/// What the query asks for, checked.
fn update_from(request: &Request) -> Result<SettingsUpdate, Refusal> {
    let mut named: Vec<String> = Vec::new();
    let mut update = SettingsUpdate::default();
    for (name, value) in request.query_pairs() {
        if is_live_only(&name) {
            let (name, accepted) = (shown(&name), accepted());
            return Err(refused(format!("{name} is not for recordings: accepted are {accepted}")));
        }
        if named.contains(&name) {
            return Err(refused(format!("{name} is named twice: once is accepted")));
        }
        update.set(&name, RawValue::from_text(&value));
        named.push(name);
    }
    Settings::default().with(&update).map(|_| update).map_err(|error| {
        refused(match error {
            SettingError::Unknown { name } => format!("unknown setting {name}: accepted are {}", accepted()),
            other => other.to_string(),
        })
    })
}

/// All that the query may set, for people.
fn accepted() -> String {
    SettingsUpdate::names().filter(|name| !is_live_only(name)).collect::<Vec<_>>().join(", ")
}

fn is_live_only(name: &str) -> bool {
    LIVE_ONLY.contains(&name.split_once('.').map_or(name, |(stage, _)| stage))
}

fn refused(message: String) -> Refusal {
    Refusal::bad(400, "INVALID_PARAMETER", message)
}

fn settings_for(format: &WavFormat, update: &SettingsUpdate) -> Result<Settings, Refusal> {
    let stream = SettingsUpdate::default()
        .with("sample_rate", i64::from(opus_rate_for(format.sample_rate)))
        .with("channels", i64::from(format.channels));
    let settings = Settings::default().with(&stream).and_then(|settings| settings.with(update));
    settings.map_err(|error| refused(error.to_string()))
}

/// The size of the answer in bytes: for WAV exactly, for Ogg Opus what the bitrate gives, which seldom is exceeded.
fn expected_bytes(as_ogg: bool, wav: &WavReader<'_>, settings: &Settings) -> Result<u64, Refusal> {
    let (format, frames) = (wav.format(), wav.frames() as u64);
    if as_ogg {
        let delay_seconds = settings.delay_samples() as u64 / u64::from(settings.sample_rate().hz()) + 1;
        let seconds = frames / u64::from(format.sample_rate) + 1 + delay_seconds;
        return Ok(OggOpusWriter::<AnswerBytes>::expected_bytes(seconds, settings.bitrate().unsigned_abs()));
    }
    let format = WavFormat { channels: settings.channel_count() as u16, ..format };
    WavWriter::<AnswerBytes>::file_bytes(format, frames)
        .map_err(|error| Refusal::bad(413, "RECORDING_TOO_LONG", error.to_string()))
}

/// Runs the whole recording through the sandbox, a block and a yield at a time.
fn enhance(
    wav: &WavReader<'_>,
    settings: &Settings,
    lease: &mut Lease<AudioSandbox>,
    converter: RateConverter,
    mut target: Target<'_>,
) -> Result<(), Refusal> {
    let WavFormat { sample_rate, channels, .. } = wav.format();
    let engine_channels = settings.channel_count();
    let mut read = vec![0.0; sample_rate as usize / BLOCKS_PER_SECOND * usize::from(channels)];
    let mut input = Some(converter);
    let block = settings.sample_rate().hz() as usize / BLOCKS_PER_SECOND * engine_channels;
    let mut pending = Vec::new();
    let mut first = 0;
    while let Some(converter) = &mut input {
        deep_stack::run(|| {
            let frames = wav.read(first, &mut read);
            let samples = &read[..frames * usize::from(channels)];
            converter.push(&with_channels(samples, channels, engine_channels as u16), &mut pending);
            first += frames;
        });
        if first >= wav.frames() {
            let converter = input.take();
            deep_stack::run(|| converter.into_iter().for_each(|converter| converter.finish(&mut pending)));
            pending.resize(pending.len() + target.tail(), 0.0);
            pending.resize(pending.len().next_multiple_of(block), 0.0);
        }
        let whole = pending.len() - pending.len() % block;
        for samples in pending[..whole].chunks_exact_mut(block) {
            lease.enter_deep(|sandbox| {
                sandbox.enhance(samples).map_err(failed)?;
                target.take(samples, sandbox)
            })?;
            time::yield_now();
        }
        pending.drain(..whole);
    }
    deep_stack::run(|| target.finish())
}

/// What becomes of the enhanced samples.
enum Target<'a> {
    Wav {
        writer: WavWriter<&'a mut AnswerBytes>,
        /// From the rate of Opus back to the recording's own.
        converter: Box<RateConverter>,
        converted: Vec<f32>,
        /// Samples of the stages' delay, over all channels, and those of them that are still to be cut off.
        delay: usize,
        delay_left: usize,
        /// Samples that are still to be written: the answer is as long as the recording.
        samples_left: usize,
    },
    Ogg {
        writer: OggOpusWriter<&'a mut AnswerBytes>,
        /// Samples of the stages' delay and the encoder's look-ahead, over all channels.
        tail: usize,
        /// The recording's length at 48 kHz.
        length: u64,
    },
}

impl<'a> Target<'a> {
    /// `frames` of the recording come, at the rate of Opus.
    fn new(
        as_ogg: bool,
        wav: &WavReader<'_>,
        settings: &Settings,
        frames: u64,
        out: &'a mut AnswerBytes,
    ) -> Result<Self, Refusal> {
        let format = wav.format();
        let opus_rate = settings.sample_rate().hz();
        if !as_ogg {
            let format = WavFormat { channels: settings.channel_count() as u16, ..format };
            let delay = settings.engine_delay_samples() * settings.channel_count();
            return Ok(Self::Wav {
                writer: WavWriter::new(out, format).map_err(failed)?,
                converter: Box::new(RateConverter::new(opus_rate, format.sample_rate, format.channels)),
                converted: Vec::new(),
                delay,
                delay_left: delay,
                samples_left: wav.frames() * settings.channel_count(),
            });
        }
        // Whole: 48 kHz is a multiple of every rate of Opus.
        let at_granule_rate = |frames: u64| frames * u64::from(GRANULE_RATE_HZ / opus_rate);
        let head = OggOpusHead {
            channels: settings.channel_count() as u8,
            pre_skip: at_granule_rate(settings.delay_samples() as u64) as u16,
            input_sample_rate: format.sample_rate,
        };
        Ok(Self::Ogg {
            writer: OggOpusWriter::new(out, head, 1).map_err(failed)?,
            tail: settings.delay_samples() * settings.channel_count(),
            length: at_granule_rate(frames),
        })
    }

    /// Samples that must follow the recording for the last of it to come out.
    fn tail(&self) -> usize {
        match self {
            Self::Wav { delay: tail, .. } | Self::Ogg { tail, .. } => *tail,
        }
    }

    /// Takes one block, 20 ms.
    fn take(&mut self, block: &[f32], sandbox: &mut AudioSandbox) -> Result<(), Refusal> {
        match self {
            Self::Wav { writer, converter, converted, delay_left, samples_left, .. } => {
                let cut = block.len().min(*delay_left);
                *delay_left -= cut;
                converter.push(&block[cut..], converted);
                write_some(writer, converted, samples_left)
            }
            Self::Ogg { writer, .. } => deep_stack::scratch(|(scratch, packet): &mut (Scratch, Packets)| {
                sandbox.encode(block, scratch, packet).map_err(failed)?;
                writer.write_packet(&packet[0]).map_err(failed)
            }),
        }
    }

    fn finish(self) -> Result<(), Refusal> {
        match self {
            Self::Wav { mut writer, converter, mut converted, mut samples_left, .. } => {
                converter.finish(&mut converted);
                write_some(&mut writer, &mut converted, &mut samples_left)?;
                writer.finish().map_err(failed)
            }
            Self::Ogg { writer, length, .. } => writer.finish(length).map(drop).map_err(failed),
        }
    }
}

/// Writes what has come out of the converter, but no more than there was in the recording.
fn write_some<W: Write + Seek>(
    writer: &mut WavWriter<W>,
    converted: &mut Vec<f32>,
    samples_left: &mut usize,
) -> Result<(), Refusal> {
    let samples = converted.len().min(*samples_left);
    writer.write(&converted[..samples]).map_err(failed)?;
    *samples_left -= samples;
    converted.clear();
    Ok(())
}

fn failed(error: impl Display) -> Refusal {
    Refusal::Failed(error.to_string())
}
