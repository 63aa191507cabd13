//! `sandpool process`: runs the audio engine on a recording, as fast as it goes, without a server.
//!
//! ```text
//!   WAV -> channels -> rate of the engine -> stages -> cut the delay -> rate of the output -> WAV
//!    |     `------------------------- enhance --------------------------------------'          |
//!    `--> levels, loudness --> report <-- gain reduction, speech, time of each stage           |
//!    `--> waveform, spectrogram --> plot <-----------------------------------------------------'
//! ```
//!
//! The output lasts as long as the input and is aligned with it, whatever delays the stages have.

mod chain;
mod enhance;
mod genre;
mod levels;
mod plot;
mod report;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use sandbox::resample::RATES_HZ;
use sandbox::{Quality, Settings, SettingsUpdate};

use super::files::{read_input, OutputFile};
use super::{with_causes, Failure};
use crate::audio_file::{opus_rate_for, SampleFormat, WavFormat};
use chain::{parse_chain, parse_wish, Chain, Wish};
use enhance::enhance;
use report::{Report, Steps};

/// Runs the audio engine on a recording, without a server.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = HELP)]
pub struct ProcessArgs {
    /// The recording, a WAV file: 8 to 96 kHz, mono or stereo, 8, 16, 24 or 32 bit or float
    #[arg(value_name = "IN.WAV")]
    input: PathBuf,

    /// Where the result goes, as a WAV file: as long as the recording and aligned with it
    #[arg(value_name = "OUT.WAV")]
    output: PathBuf,

    /// The stages that run, and none but these: name[:parameter=value]... between commas, or none. They run in the
    /// engine's own order. Without it the settings' defaults hold: voice_clarity, and in high_quality denoise
    #[arg(long, value_name = "STAGES", value_parser = parse_chain)]
    chain: Option<Chain>,

    /// One setting, after the chain: compressor.ratio=4, which switches the compressor on, or limiter=true. May be
    /// repeated; of several for the same setting the last one counts
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_wish)]
    set: Vec<Wish>,

    /// Which stages may run: battery_saver, balanced or high_quality
    #[arg(long, value_name = "QUALITY", default_value = "balanced", value_parser = parse_quality)]
    quality: Quality,

    /// How much voice_clarity does, 0 (nothing) to 2
    #[arg(long, value_name = "X", value_parser = parse_intensity, allow_negative_numbers = true)]
    intensity: Option<f32>,

    /// The output's sample rate; without it the input's
    #[arg(long, value_name = "HZ", value_parser = parse_rate, allow_negative_numbers = true)]
    rate: Option<u32>,

    /// The output's channels, mono or stereo; without it the input's
    #[arg(long, value_name = "CHANNELS", value_parser = parse_channels)]
    channels: Option<u16>,

    /// How the output stores a sample, 16 (bit), 24 or float; without it as the input does
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<SampleFormat>,

    /// Print loudness and peaks before and after, gain reduction, speech, genre, and the time that each stage took
    #[arg(long)]
    report: bool,

    /// The report as JSON
    #[arg(long)]
    json: bool,

    /// Draw waveform, spectrogram and gain reduction into an SVG file
    #[arg(long, value_name = "OUT.SVG")]
    plot: Option<PathBuf>,
}

const HELP: &str = "\
Stages, in the engine's order: genre (the chain follows it), denoise,
voice_activity (listens only), voice_clarity, noise_gate, compressor,
equaliser, spatial, limiter. Examples:

  sandpool process in.wav out.wav --chain noise_gate,compressor:ratio=4,limiter
  sandpool process in.wav out.wav --set limiter.ceiling_db=-3 --plot out.svg
  sandpool process in.wav out.wav --chain spatial:width=1.5 --channels stereo";

/// Processes the recording and says how it went on standard output and standard error. The exit code is 1 when a file
/// can't be read or written.
pub fn run(args: &ProcessArgs) -> ExitCode {
    match process(args, &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // nowhere is left to say so if standard error is closed as well
            let _ = writeln!(std::io::stderr(), "error: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn process(args: &ProcessArgs, out: &mut impl Write) -> Result<(), Failure> {
    let begun = Instant::now();
    let recording = read_input(&args.input)?;
    let reading = begun.elapsed();
    let file = OutputFile::open(&args.output, &args.input)?;
    let others = [("the input", args.input.as_path()), ("the output", args.output.as_path())];
    let plot_file = args.plot.as_ref().map(|path| OutputFile::open_beside(path, &others)).transpose()?;

    let settings = settings_for(args, recording.format)?;
    let format = WavFormat {
        sample_rate: args.rate.unwrap_or(recording.format.sample_rate),
        channels: settings.channel_count() as u16,
        sample_format: args.format.unwrap_or(recording.format.sample_format),
    };
    let enhanced = enhance(&recording, &settings, format)?;
    let writing = Instant::now();
    file.write(&enhanced.recording)?;
    let steps = Steps { reading, writing: writing.elapsed() };

    if let Some(plot_file) = plot_file {
        let title = plot::Title { from: &args.input, to: &args.output };
        plot_file.write_bytes(plot::draw(&title, &recording, &enhanced).as_bytes())?;
    }
    let report = Report::new(args, &recording, &enhanced, &settings, steps);
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else if args.report {
        write!(out, "{report}")?;
    } else {
        write!(out, "{}", report.summary())?;
    }
    Ok(())
}

/// What is asked for, on top of the defaults: the chain first, then single settings.
fn settings_for(args: &ProcessArgs, input: WavFormat) -> Result<Settings, sandbox::SettingError> {
    let quality = Quality::NAMES.iter().find(|(_, quality)| *quality == args.quality);
    let stream = SettingsUpdate::default()
        .with("sample_rate", i64::from(opus_rate_for(input.sample_rate)))
        .with("channels", i64::from(args.channels.unwrap_or(input.channels)))
        .with("quality", quality.map_or("balanced", |(name, _)| name));
    let mut settings = Settings::default().with(&stream)?;
    if let Some(chain) = &args.chain {
        settings = settings.with(&chain.update)?;
    }
    let mut last = SettingsUpdate::default();
    args.set.iter().for_each(|wish| last.set(&wish.name, wish.value.clone()));
    if let Some(intensity) = args.intensity {
        last.set("intensity", f64::from(intensity).into());
    }
    settings.with(&last)
}

fn parse_quality(text: &str) -> Result<Quality, String> {
    let known = Quality::NAMES.iter().find(|(name, _)| *name == text);
    known
        .map(|(_, quality)| *quality)
        .ok_or_else(|| format!("accepted are {}", Quality::NAMES.map(|(name, _)| name).join(", ")))
}

fn parse_intensity(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if (0.0..=2.0).contains(&value) => Ok(value),
        _ => Err("accepted are 0 to 2".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(hz) if RATES_HZ.contains(&hz) => Ok(hz),
        _ => Err(format!("accepted are {} (Hz)", RATES_HZ.map(|hz| hz.to_string()).join(", "))),
    }
}

fn parse_channels(text: &str) -> Result<u16, String> {
    match text {
        "mono" | "1" => Ok(1),
        "stereo" | "2" => Ok(2),
        _ => Err("accepted are mono and stereo".to_owned()),
    }
}

fn parse_format(text: &str) -> Result<SampleFormat, String> {
    match text {
        "16" => Ok(SampleFormat::I16),
        "24" => Ok(SampleFormat::I24),
        "float" => Ok(SampleFormat::F32),
        _ => Err("accepted are 16, 24 and float".to_owned()),
    }
}
