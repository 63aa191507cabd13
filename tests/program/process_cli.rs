//! `sandpool process` on real files.

use std::f64::consts::TAU;
use std::path::Path;
use std::process::{Command, Output};

use sandbox::{Loudness, Stream, TruePeakMeter};
use sandpool::audio_file::{Recording, SampleFormat, WavFormat};
use serde_json::Value;

use crate::common::{best_lag, read_wav, voice, Directory};

fn sandpool(input: &Path, output: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandpool"));
    command.arg("process").arg(input).arg(output).args(arguments).output().unwrap()
}

/// What it says on standard output, if all went well.
fn processed(input: &Path, output: &Path, arguments: &[&str]) -> String {
    let ended = sandpool(input, output, arguments);
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

fn stream_of(recording: &Recording) -> Stream {
    Stream { sample_rate_hz: recording.format.sample_rate, channels: usize::from(recording.format.channels) }
}

fn integrated_lufs(recording: &Recording) -> f64 {
    let mut loudness = Loudness::new(stream_of(recording));
    loudness.process(&recording.samples);
    loudness.integrated_lufs().unwrap().into()
}

fn true_peak_dbtp(recording: &Recording) -> f32 {
    let mut meter = TruePeakMeter::new(stream_of(recording));
    meter.process(&recording.samples);
    meter.process(&vec![0.0; TruePeakMeter::LAG_FRAMES * stream_of(recording).channels]);
    meter.highest_dbtp()
}

/// A tone with some noise under an envelope, so that every moment is unlike all others.
fn recording(sample_rate: u32, channels: u16, seconds: f64) -> Recording {
    let format = WavFormat { sample_rate, channels, sample_format: SampleFormat::F32 };
    let mut noise = 1u32;
    let samples = (0..(seconds * f64::from(sample_rate)) as usize).flat_map(|n| {
        let time = n as f64 / f64::from(sample_rate);
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(noise) / f64::from(u32::MAX) - 0.5;
        let sound = (0.2 + 0.15 * (time * 7.0).sin()) * ((time * 440.0 * TAU).sin() + 0.1 * noise);
        std::iter::repeat_n(sound as f32, usize::from(channels))
    });
    Recording { format, samples: samples.collect() }
}

#[test]
fn a_neutral_chain_leaves_every_sample_as_it_was() {
    let directory = Directory::new("neutral");
    let output = directory.path("out.wav");
    processed(&voice(), &output, &["--chain", "none"]);
    assert_eq!(read_wav(&output), read_wav(&voice()));
}

#[test]
fn what_the_stages_delay_is_taken_off_again() {
    let directory = Directory::new("aligned");
    let output = directory.path("out.wav");
    // A limiter that has nothing to do delays, and so does the de-noise at strength 0.
    let chain = "denoise:strength=0,limiter:ceiling_db=0:look_ahead_ms=5";
    let said = processed(&voice(), &output, &["--quality", "high_quality", "--chain", chain, "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert!(report["engine"]["delay_ms"].as_f64().unwrap() > 10.0, "{}", report["engine"]);
    let (before, after) = (read_wav(&voice()), read_wav(&output));
    assert_eq!((after.format, after.frames()), (before.format, before.frames()));
    assert_eq!(best_lag(&before.samples, &after.samples, 400), 0);
    let end = before.samples.len() - 400..;
    let energy = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>();
    let (before, after) = (energy(&before.samples[end.clone()]), energy(&after.samples[end]));
    assert!(after > 0.5 * before, "the end has {after} of {before} left");
}

#[test]
fn another_rate_keeps_the_length_and_shifts_nothing() {
    let directory = Directory::new("rates");
    let (there, back) = (directory.path("there.wav"), directory.path("back.wav"));
    let voice_recording = read_wav(&voice());
    for rate in [8_000u32, 44_100, 96_000] {
        let wanted = (voice_recording.frames() as f64 * f64::from(rate) / 16_000.0).round() as usize;
        processed(&voice(), &there, &["--chain", "none", "--rate", &rate.to_string(), "--format", "float"]);
        let converted = read_wav(&there);
        assert_eq!((converted.format.sample_rate, converted.frames()), (rate, wanted));
        processed(&there, &back, &["--chain", "none", "--rate", "16000"]);
        let lag = best_lag(&voice_recording.samples, &read_wav(&back).samples, 100);
        assert!(lag.abs() <= 1, "there and back by {rate} Hz: {lag} samples late");
    }
    for rate in [11_025, 22_050, 32_000] {
        let odd = recording(rate, 2, 0.7);
        let input = directory.wav("odd.wav", &odd);
        processed(&input, &there, &["--chain", "none"]);
        let after = read_wav(&there);
        assert_eq!((after.format, after.frames()), (odd.format, odd.frames()));
    }
}

#[test]
fn compressed_and_limited_it_is_louder_and_below_the_ceiling() {
    let directory = Directory::new("louder");
    let output = directory.path("out.wav");
    let chain =
        "noise_gate:threshold_db=-35,compressor:ratio=3:threshold_db=-30:make_up_db=20,limiter:ceiling_db=-3";
    let said = processed(&voice(), &output, &["--chain", chain, "--json"]);
    let (before, after) = (read_wav(&voice()), read_wav(&output));
    assert!(integrated_lufs(&after) > integrated_lufs(&before) + 4.0);
    // Half a step of 16 bits is added by the file.
    assert!(true_peak_dbtp(&after) <= -2.99, "{} dBTP", true_peak_dbtp(&after));
    let report: Value = serde_json::from_str(&said).unwrap();
    let stages: Vec<&str> = report["gain_reduction"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gain| gain["stage"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["noise_gate", "compressor", "limiter"]);
    for gain in report["gain_reduction"].as_array().unwrap() {
        let (mean, most) = (gain["mean_db"].as_f64().unwrap(), gain["most_db"].as_f64().unwrap());
        assert!(0.0 < mean && mean < most && most < 90.0, "{gain}");
    }
}

#[test]
fn mono_becomes_stereo_and_really_widens() {
    let directory = Directory::new("widened");
    let output = directory.path("out.wav");
    let sides = |recording: &Recording| {
        let energy = |sign: f32| {
            recording.samples.chunks_exact(2).map(|frame| (frame[0] + sign * frame[1]).powi(2)).sum::<f32>()
        };
        energy(-1.0) / energy(1.0)
    };
    processed(&voice(), &output, &["--chain", "none", "--channels", "stereo"]);
    let plain = read_wav(&output);
    assert_eq!((plain.format.channels, sides(&plain)), (2, 0.0));
    processed(&voice(), &output, &["--chain", "spatial:width=1.6", "--channels", "stereo"]);
    let wide = read_wav(&output);
    assert_eq!(wide.frames(), plain.frames());
    assert!(sides(&wide) > 0.05, "{} of the energy is in the sides", sides(&wide));
    let mono = directory.path("mono.wav");
    processed(&output, &mono, &["--chain", "none", "--channels", "mono"]);
    let change = integrated_lufs(&read_wav(&mono)) - integrated_lufs(&read_wav(&voice()));
    assert!(change.abs() < 1.5, "the mono sum changed by {change} LU");
}

#[test]
fn the_samples_are_stored_as_asked_and_what_is_cut_is_said() {
    let directory = Directory::new("formats");
    let mut loud = recording(48_000, 1, 0.5);
    loud.samples.iter_mut().for_each(|sample| *sample *= 4.0);
    let beyond = loud.samples.iter().filter(|sample| sample.abs() > 1.0).count();
    let (input, output) = (directory.wav("loud.wav", &loud), directory.path("out.wav"));
    for (argument, format, cut) in [
        ("16", SampleFormat::I16, beyond),
        ("24", SampleFormat::I24, beyond),
        ("float", SampleFormat::F32, 0),
    ] {
        let said = processed(&input, &output, &["--chain", "none", "--format", argument]);
        assert_eq!(read_wav(&output).format.sample_format, format);
        let note = format!("{cut} samples were cut to full scale");
        assert_eq!(said.contains(&note), cut > 0, "{said}");
    }
    assert_eq!(read_wav(&output), loud);
}

#[test]
fn what_makes_no_sense_ends_with_2_and_is_named_with_what_is_accepted() {
    let directory = Directory::new("refused");
    let output = directory.path("out.wav");
    for (arguments, expected) in [
        (&["--chain", "gate"][..], "unknown stage \"gate\": accepted are voice_clarity, denoise, noise_gate"),
        (
            &["--chain", "compressor:rate=4"],
            "compressor has no parameter \"rate\": accepted are threshold_db, ratio",
        ),
        (&["--chain", "compressor:ratio=99"], "compressor.ratio: got 99, accepted: a number from 1 to 50"),
        (
            &["--set", "limiter.ceiling_db=loud"],
            "limiter.ceiling_db: got \"loud\", accepted: a number from -20 to 0",
        ),
        (&["--set", "bitrate=6000"], "unknown stage \"bitrate\""),
        (&["--quality", "best"], "accepted are battery_saver, balanced, high_quality"),
        (
            &["--rate", "44000"],
            "accepted are 8000, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000 (Hz)",
        ),
        (&["--intensity", "3"], "accepted are 0 to 2"),
        (&["--intensity", "-1"], "accepted are 0 to 2"),
        (&["--set", "genre=rock"], "genre: got \"rock\", accepted: true or false"),
        (&["--channels", "5"], "accepted are mono and stereo"),
        (&["--format", "mp3"], "accepted are 16, 24 and float"),
        (&["--dance"], "--dance"),
    ] {
        let ended = sandpool(&voice(), &output, arguments);
        let said = String::from_utf8(ended.stderr).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(expected), "{said} should contain {expected}");
        assert!(!output.exists());
    }
}

#[test]
fn a_file_that_will_not_do_ends_with_1_and_leaves_the_others_alone() {
    let directory = Directory::new("files");
    let (text, output) = (directory.path("notes.txt"), directory.path("out.wav"));
    std::fs::write(&text, "not a recording").unwrap();
    let own = directory.wav("own.wav", &read_wav(&voice()));
    let own_name = own.to_str().unwrap();
    for (input, output, arguments, expected) in [
        (&directory.path("missing.wav"), &output, &[][..], "missing.wav: reading the WAV file failed"),
        (&text, &output, &[], "not a WAV file"),
        (&own, &own, &[], "is the input as well"),
        (&own, &output, &["--plot", own_name], "is the input as well"),
        (&own, &output, &["--plot", output.to_str().unwrap()], "is the output as well"),
        (&own, &directory.path("no/such/out.wav"), &[], "can't write"),
    ] {
        let ended = sandpool(input, output, arguments);
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said} should contain {expected}");
    }
    assert!(!output.exists());
    assert_eq!(read_wav(&own), read_wav(&voice()));
}

#[test]
fn the_report_has_the_figures_that_the_files_have() {
    let directory = Directory::new("report");
    let output = directory.path("out.wav");
    let arguments = [
        "--chain",
        "voice_clarity,compressor,equaliser,limiter,voice_activity",
        "--rate",
        "44100",
        "--channels",
        "stereo",
    ];
    let said = processed(&voice(), &output, &[&arguments[..], &["--json"]].concat());
    let report: Value = serde_json::from_str(&said).unwrap();
    let (before, after) = (read_wav(&voice()), read_wav(&output));
    for (which, recording, tolerance) in [("before", &before, 0.001), ("after", &after, 0.02)] {
        let levels = &report["levels"][which];
        let off = |name: &str, expected: f64| (levels[name].as_f64().unwrap() - expected).abs();
        assert!(off("integrated_lufs", integrated_lufs(recording)) < tolerance, "{which}: {levels}");
        assert!(off("rms_dbfs", recording.rms_dbfs()) < tolerance, "{which}: {levels}");
        assert!(off("true_peak_dbtp", true_peak_dbtp(recording).into()) < tolerance, "{which}: {levels}");
    }
    let stages = ["voice_activity", "voice_clarity", "compressor", "equaliser", "limiter"];
    assert_eq!(report["engine"]["stages"], serde_json::json!(stages));
    let steps = report["time"]["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, [&["reading", "converting", "sanitise"][..], &stages, &["writing"]].concat());
    let seconds: Vec<f64> = steps.iter().map(|step| step["seconds"].as_f64().unwrap()).collect();
    assert!(seconds.iter().all(|seconds| *seconds > 0.0));
    assert!((seconds.iter().sum::<f64>() - report["time"]["total_seconds"].as_f64().unwrap()).abs() < 1e-9);
    // A voice that reads aloud for 7.1 s.
    let speech = &report["speech"];
    assert!((0.6..=1.0).contains(&speech["share"].as_f64().unwrap()), "{speech}");
    assert!(speech["spurts"].as_u64().unwrap() >= 1, "{speech}");

    let table = processed(&voice(), &output, &[&arguments[..], &["--report"]].concat());
    let loudness = format!("{:.1} LUFS", integrated_lufs(&before));
    for part in [
        loudness.as_str(),
        "loudness range",
        "true peak",
        "gain reduction",
        "compressor",
        "speech ",
        "times real time",
    ] {
        assert!(table.contains(part), "{table} should contain {part}");
    }
}

/// Somebody reads, for twice seven seconds: the genre is heard to be something.
fn reading() -> Recording {
    let mut recording = read_wav(&voice());
    recording.samples.extend_from_within(..);
    recording
}

#[test]
fn the_genre_is_a_stage_and_the_report_tells_its_course() {
    let directory = Directory::new("genre");
    let reading = reading();
    let seconds = reading.samples.len() as f64 / f64::from(reading.format.sample_rate);
    let input = directory.wav("reading.wav", &reading);
    let (plain, followed) = (directory.path("plain.wav"), directory.path("followed.wav"));
    processed(&input, &plain, &["--chain", "compressor"]);
    let said = processed(&input, &followed, &["--chain", "genre,compressor", "--json"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(report["engine"]["stages"], serde_json::json!(["genre", "compressor", "equaliser"]));
    let genre = &report["genre"];
    assert_eq!(genre["genre"], "speech", "{genre}");
    assert!(genre["share"].as_f64().unwrap() > 0.3, "{genre}");
    let sum = |of: &str, value: &dyn Fn(&Value) -> f64| -> f64 {
        genre[of].as_array().unwrap().iter().map(value).sum()
    };
    assert!((sum("shares", &|share| share["share"].as_f64().unwrap()) - 1.0).abs() < 1e-9, "{genre}");
    let length = |part: &Value| part["to_seconds"].as_f64().unwrap() - part["from_seconds"].as_f64().unwrap();
    assert!((sum("parts", &length) - seconds).abs() < 1e-9, "{genre}");
    // The chain has followed it.
    assert_ne!(read_wav(&followed).samples, read_wav(&plain).samples);
    processed(&input, &plain, &["--chain", "none", "--set", "genre=true", "--set", "compressor=true"]);
    assert_eq!(read_wav(&followed), read_wav(&plain));
    let table = processed(&input, &plain, &["--report"]);
    let named = format!("\ngenre      {} (", genre["genre"].as_str().unwrap());
    assert!(table.contains(&named) && table.contains("unknown "), "{table}");
}

#[test]
fn a_run_that_is_stopped_leaves_no_file_behind() {
    let directory = Directory::new("stopped");
    let long = recording(48_000, 2, 60.0);
    let (input, output) = (directory.wav("long.wav", &long), directory.path("out.wav"));
    let plot = directory.path("plot.svg");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &plot, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sandpool"))
        .args(["process", "--quality", "high_quality", "--chain", "denoise", "--plot"])
        .args([&plot, &input, &output])
        .spawn()
        .unwrap();
    // A pipe opens when both ends do: it has looked at its files, and has a minute of sound before it.
    let _reader = std::fs::File::open(&plot).unwrap();
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), None);
    assert!(!output.exists());
}

#[test]
fn spatial_in_one_channel_is_noted() {
    let directory = Directory::new("alone");
    let said = processed(&voice(), &directory.path("out.wav"), &["--chain", "spatial:width=1.6"]);
    assert!(said.contains("spatial changes nothing in one channel: --channels stereo"), "{said}");
}

#[test]
fn a_stage_that_the_quality_does_not_have_is_noted() {
    let directory = Directory::new("idle");
    let said = processed(
        &voice(),
        &directory.path("out.wav"),
        &["--quality", "battery_saver", "--chain", "limiter,spatial", "--channels", "stereo"],
    );
    assert!(said.contains("spatial does not run in the quality battery_saver"), "{said}");
    assert!(said.contains("stages     limiter\n"), "{said}");
}

#[test]
fn the_plot_is_well_formed_small_and_has_every_panel() {
    let directory = Directory::new("plot");
    // A name that XML must not take literally.
    let input = directory.wav("a<&>\"b.wav", &read_wav(&voice()));
    let plot = directory.path("out.svg");
    let chain = "noise_gate,compressor:ratio=6:threshold_db=-36:make_up_db=12,limiter";
    let arguments = ["--chain", chain, "--plot", plot.to_str().unwrap(), "--rate", "44100"];
    processed(&input, &directory.path("out.wav"), &arguments);
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.len() < 2_000_000, "{} bytes", svg.len());
    assert_well_formed(&svg);
    for part in [
        "Waveform, before",
        "Waveform, after",
        "Spectrogram, before",
        "Spectrogram, after",
        ">Gain reduction and level<",
        ">time (s)<",
        ">frequency (kHz)<",
        ">gain (dB)<",
        ">dBFS<",
        ">noise_gate<",
        ">compressor<",
        ">limiter<",
        "a&lt;&amp;&gt;&quot;b.wav",
    ] {
        assert!(svg.contains(part), "no {part}");
    }
    assert_eq!(svg.matches("data:image/png;base64,").count(), 4);
}

/// Every element is closed, in order, attributes are in quotes, and nothing else holds a `<` or a bare `&`.
fn assert_well_formed(xml: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = xml;
    while let Some(at) = rest.find('<') {
        assert_text(&rest[..at]);
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        let (tag, is_closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_whitespace().next().unwrap();
        assert!(name.chars().all(char::is_alphabetic), "{name}");
        let mut attributes = tag[name.len()..].trim_start();
        while !attributes.is_empty() {
            let (attribute, value) = attributes.split_once("=\"").unwrap_or_else(|| panic!("{attributes}"));
            assert!(attribute.chars().all(|c| c.is_alphanumeric() || "-:".contains(c)), "{attribute}");
            let (value, others) = value.split_once('"').expect("a value ends");
            assert_text(value);
            // Every coordinate is a number. What encodes a picture may spell anything.
            let is_number = !value.contains("NaN") && !value.contains("inf");
            assert!(is_number || attribute == "href", "{attribute}=\"{value}\"");
            attributes = others.trim_start();
        }
        if !is_closed {
            open.push(name);
        }
    }
    assert_text(rest);
    assert!(open.is_empty(), "{open:?} are not closed");
    assert!(xml.starts_with("<svg "));
}

fn assert_text(text: &str) {
    for part in text.split('&').skip(1) {
        assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|known| part.starts_with(known)), "&{part}");
    }
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'));
}
