//! What is said of a processed recording: for people as a table, for programs as JSON.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

use sandbox::{Quality, Settings};
use serde::Serialize;

use super::enhance::{Enhanced, Reduction};
use super::genre::{GenreFacts, Part, Share};
use super::levels::Levels;
use super::ProcessArgs;
use crate::audio_file::Recording;

/// Time that was spent outside of the engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) reading: Duration,
    pub(super) writing: Duration,
}

/// All that is said.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    input: FileFacts,
    output: FileFacts,
    engine: EngineFacts,
    /// `None` where only the summary is wanted: measuring takes time.
    levels: Option<BeforeAfter>,
    gain_reduction: Vec<Gain>,
    speech: Option<SpeechFacts>,
    /// `None` where only the summary is wanted.
    genre: Option<GenreFacts>,
    time: Times,
    notes: Vec<String>,
    /// All of them, as a client of the server would write them.
    settings: Settings,
}

#[derive(Debug, Serialize)]
struct FileFacts {
    path: PathBuf,
    seconds: f64,
    frames: usize,
    sample_rate_hz: u32,
    channels: u16,
    sample_format: &'static str,
}

impl FileFacts {
    fn of(path: &std::path::Path, recording: &Recording) -> FileFacts {
        FileFacts {
            path: path.to_path_buf(),
            seconds: recording.duration().as_secs_f64(),
            frames: recording.frames(),
            sample_rate_hz: recording.format.sample_rate,
            channels: recording.format.channels,
            sample_format: recording.format.sample_format.name(),
        }
    }
}

impl Display for FileFacts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let FileFacts { seconds, sample_rate_hz, sample_format, .. } = self;
        let channels = channels_name(self.channels.into());
        write!(f, "{seconds:.2} s, {sample_rate_hz} Hz {channels} {sample_format}")
    }
}

#[derive(Debug, Serialize)]
struct EngineFacts {
    quality: &'static str,
    sample_rate_hz: u32,
    channels: usize,
    /// By which the stages delay, and which the output is rid of.
    delay_ms: f64,
    /// That ran.
    stages: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct BeforeAfter {
    before: Levels,
    after: Levels,
}

/// Over all of the recording.
#[derive(Debug, Serialize)]
struct Gain {
    stage: &'static str,
    mean_db: f32,
    most_db: f32,
}

impl Gain {
    fn of(reduction: &Reduction) -> Gain {
        let count = reduction.db.len().max(1) as f32;
        Gain {
            stage: reduction.stage,
            mean_db: reduction.db.iter().sum::<f32>() / count,
            most_db: reduction.db.iter().fold(0.0, |most, db| most.max(*db)),
        }
    }
}

#[derive(Debug, Serialize)]
struct SpeechFacts {
    seconds: f64,
    /// Of the recording, 0 to 1.
    share: f64,
    spurts: usize,
}

#[derive(Debug, Serialize)]
struct Times {
    /// In the order in which they are done.
    steps: Vec<Step>,
    /// The stages together.
    engine_seconds: f64,
    total_seconds: f64,
    /// By how much the whole is faster than the recording plays.
    times_real_time: f64,
    engine_times_real_time: f64,
}

#[derive(Debug, Serialize)]
struct Step {
    name: &'static str,
    /// Whether it is one of the engine's.
    is_stage: bool,
    seconds: f64,
}

impl Times {
    fn of(enhanced: &Enhanced, steps: Steps, duration: Duration) -> Times {
        let stages = enhanced.stage_times.iter().map(|(name, time)| (name, true, time));
        let steps: Vec<Step> =
            [("reading", false, steps.reading), ("converting", false, enhanced.converting)]
                .into_iter()
                .chain(stages)
                .chain([("writing", false, steps.writing)])
                .map(|(name, is_stage, time)| Step { name, is_stage, seconds: time.as_secs_f64() })
                .collect();
        let total_seconds: f64 = steps.iter().map(|step| step.seconds).sum();
        let engine_seconds: f64 = steps.iter().filter(|step| step.is_stage).map(|step| step.seconds).sum();
        let times = |seconds: f64| duration.as_secs_f64() / seconds.max(1e-9);
        Times {
            engine_seconds,
            total_seconds,
            times_real_time: times(total_seconds),
            engine_times_real_time: times(engine_seconds),
            steps,
        }
    }
}

impl Report {
    pub(super) fn new(
        args: &ProcessArgs,
        before: &Recording,
        enhanced: &Enhanced,
        settings: &Settings,
        steps: Steps,
    ) -> Report {
        let after = &enhanced.recording;
        let rate = settings.sample_rate().hz();
        let quality = Quality::NAMES.iter().find(|(_, quality)| *quality == settings.quality());
        let stages = enhanced.stage_times.iter().map(|(name, _)| name).filter(|name| *name != "sanitise");
        let engine = EngineFacts {
            quality: quality.map_or("", |(name, _)| name),
            sample_rate_hz: rate,
            channels: settings.channel_count(),
            delay_ms: settings.engine_delay_samples() as f64 * 1_000.0 / f64::from(rate),
            stages: stages.collect(),
        };
        let is_measured = args.report || args.json;
        let levels =
            is_measured.then(|| BeforeAfter { before: Levels::of(before), after: Levels::of(after) });
        let seconds = before.duration().as_secs_f64();
        let speech = enhanced.speech.map(|speech| SpeechFacts {
            seconds: speech.duration.as_secs_f64(),
            share: speech.duration.as_secs_f64() / seconds,
            spurts: speech.spurts,
        });
        Report {
            input: FileFacts::of(&args.input, before),
            output: FileFacts::of(&args.output, after),
            levels,
            gain_reduction: enhanced.reductions.iter().map(Gain::of).collect(),
            speech,
            genre: is_measured.then(|| GenreFacts::of(before)),
            time: Times::of(enhanced, steps, before.duration()),
            notes: notes(args, enhanced, settings, &engine),
            engine,
            settings: *settings,
        }
    }

    /// What is said when no report is asked for.
    pub(super) fn summary(&self) -> impl Display + '_ {
        Summary(self)
    }
}

/// What the one who asked may not expect.
fn notes(args: &ProcessArgs, enhanced: &Enhanced, settings: &Settings, engine: &EngineFacts) -> Vec<String> {
    let named = args.chain.iter().flat_map(|chain| chain.named.iter().map(String::as_str));
    let mut asked: Vec<&str> = named.chain(args.set.iter().map(|wish| wish.stage())).collect();
    asked.sort_unstable();
    asked.dedup();
    let in_force = serde_json::to_value(settings).unwrap_or_default();
    let is_on = |stage: &str| in_force[stage]["enabled"] == true || in_force[stage] == true;
    let alone = (asked.contains(&"spatial") && is_on("spatial") && engine.channels == 1)
        .then(|| "spatial changes nothing in one channel: --channels stereo gives it two".to_owned());
    let idle = asked
        .into_iter()
        .filter(|stage| is_on(stage) && !engine.stages.contains(stage))
        .map(|stage| format!("{stage} does not run in the quality {}", engine.quality));
    let clipped = (enhanced.clipped > 0).then(|| {
        let samples = enhanced.clipped;
        format!("{samples} samples were cut to full scale: a limiter, or the format float, avoids that")
    });
    idle.chain(alone).chain(clipped).collect()
}

struct Summary<'a>(&'a Report);

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Report { input, output, engine, time, notes, .. } = self.0;
        let stages = if engine.stages.is_empty() { "none".to_owned() } else { engine.stages.join(", ") };
        writeln!(f, "recording  {input}")?;
        writeln!(f, "output     {output}")?;
        writeln!(
            f,
            "engine     {}, {} Hz {}, delay {:.1} ms (taken off)",
            engine.quality,
            engine.sample_rate_hz,
            channels_name(engine.channels),
            engine.delay_ms
        )?;
        writeln!(f, "stages     {stages}")?;
        writeln!(f, "time       {:.3} s, {:.0} times real time", time.total_seconds, time.times_real_time)?;
        notes.iter().try_for_each(|note| writeln!(f, "note       {note}"))
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.summary())?;
        if let Some(BeforeAfter { before, after }) = &self.levels {
            writeln!(f, "\nlevels                    before        after")?;
            let mut row = |name: &str, unit: &str, before: Option<f64>, after: Option<f64>| {
                writeln!(f, "  {name:<18} {} {}", in_unit(before, unit), in_unit(after, unit).trim_end())
            };
            let wide = |value: Option<f32>| value.map(f64::from);
            row("loudness", "LUFS", wide(before.integrated_lufs), wide(after.integrated_lufs))?;
            row("loudness range", "LU", Some(before.range_lu.into()), Some(after.range_lu.into()))?;
            row("true peak", "dBTP", wide(before.true_peak_dbtp), wide(after.true_peak_dbtp))?;
            row("sample peak", "dBFS", before.peak_dbfs, after.peak_dbfs)?;
            row("RMS", "dBFS", before.rms_dbfs, after.rms_dbfs)?;
        }
        if !self.gain_reduction.is_empty() {
            writeln!(f, "\ngain reduction              mean         most")?;
            for Gain { stage, mean_db, most_db } in &self.gain_reduction {
                let [mean, most] = [mean_db, most_db].map(|db| in_unit(Some(f64::from(*db)), "dB"));
                writeln!(f, "  {stage:<18} {mean} {}", most.trim_end())?;
            }
        }
        if let Some(SpeechFacts { seconds, share, spurts }) = &self.speech {
            let percent = 100.0 * share;
            writeln!(f, "\nspeech     {seconds:.2} s ({percent:.0} %) in {spurts} spurt(s)")?;
        }
        if let Some(facts) = &self.genre {
            write_genre(f, facts)?;
        }
        let Times { steps, engine_seconds, total_seconds, times_real_time, engine_times_real_time } =
            &self.time;
        writeln!(f, "\ntime                          ms      share")?;
        for Step { name, is_stage, seconds } in steps {
            let indent = if *is_stage { "    " } else { "  " };
            let name = format!("{indent}{name}");
            let share = 100.0 * seconds / total_seconds.max(1e-9);
            writeln!(f, "{name:<20} {:>11.2} {share:>8.1} %", seconds * 1_000.0)?;
        }
        for (name, seconds, times) in
            [("engine", engine_seconds, engine_times_real_time), ("all", total_seconds, times_real_time)]
        {
            writeln!(f, "  {name:<18} {:>11.2}   {times:.0} times real time", seconds * 1_000.0)?;
        }
        Ok(())
    }
}

/// At most so many changes of the genre are printed; all of them are in the JSON.
const PARTS_PRINTED: usize = 12;

fn write_genre(f: &mut Formatter<'_>, facts: &GenreFacts) -> fmt::Result {
    let GenreFacts { genre, share, shares, parts } = facts;
    writeln!(f, "\ngenre      {genre} ({:.0} % of the recording)", 100.0 * share)?;
    if shares.len() > 1 {
        for Share { genre, share } in shares {
            writeln!(f, "  {genre:<18} {:>7.1} %", 100.0 * share)?;
        }
    }
    if parts.len() > 1 {
        for Part { genre, from_seconds, to_seconds } in parts.iter().take(PARTS_PRINTED) {
            writeln!(f, "  {from_seconds:>8.1} s to {to_seconds:.1} s: {genre}")?;
        }
        let more = parts.len().saturating_sub(PARTS_PRINTED);
        if more > 0 {
            writeln!(f, "  and {more} parts more")?;
        }
    }
    Ok(())
}

/// A number with one decimal and its unit, in 12 columns.
fn in_unit(value: Option<f64>, unit: &str) -> String {
    match value {
        // Without the sign of a zero.
        Some(value) => format!("{:>7.1} {unit:<4}", (value * 10.0).round() / 10.0 + 0.0),
        None => format!("{:>7} {unit:<4}", "-"),
    }
}

fn channels_name(channels: usize) -> &'static str {
    if channels == 1 {
        "mono"
    } else {
        "stereo"
    }
}
