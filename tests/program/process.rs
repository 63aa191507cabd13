//! `POST /process` as its clients see it.

use std::io::Write;
use std::time::{Duration, Instant};

use sandbox::{AudioSandbox, Settings, SettingsUpdate};
use sandpool::audio_file::{Recording, SampleFormat, WavFormat};
use serde_json::Value;

use crate::common::{
    best_lag, connect, post, read_wav, request, tone_wav, voice, wav_bytes, Answer, ServerProcess,
};

#[test]
fn a_recording_comes_back_enhanced_in_its_own_format() {
    let server = ServerProcess::start(&[]);
    for (rate, channels, format) in [
        (16_000, 1, SampleFormat::I16),
        (44_100, 2, SampleFormat::I24),
        (48_000, 2, SampleFormat::F32),
        (11_025, 1, SampleFormat::I16),
    ] {
        let sent = tone_wav(rate, channels, format, 1.37);
        let answer = post(server.addr, "/process", "", &sent);
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("audio/wav")),
            "{:?}",
            answer.head
        );
        let (sent, enhanced) =
            (Recording::from_wav(&sent).unwrap(), Recording::from_wav(&answer.body).unwrap());
        assert_eq!((enhanced.format, enhanced.frames()), (sent.format, sent.frames()));
        assert_ne!(enhanced.samples, sent.samples);
        assert!(enhanced.rms_dbfs() > sent.rms_dbfs() + 1.0, "soft sound gets louder");
    }
    assert_eq!(server.pool()["leased"], 0);
}

/// Decodes an Ogg Opus file as RFC 7845 says: pre-skip off the beginning, the last page's position as the end.
fn decode_ogg_opus(file: &[u8]) -> Recording {
    let mut reader = ogg::PacketReader::new(std::io::Cursor::new(file));
    let head = reader.read_packet_expected().unwrap().data;
    assert_eq!(&head[..8], b"OpusHead");
    let channels = u16::from(head[9]);
    let pre_skip = usize::from(u16::from_le_bytes([head[10], head[11]]));
    assert_eq!(&reader.read_packet_expected().unwrap().data[..8], b"OpusTags");
    let layout = if channels == 2 { opus::Channels::Stereo } else { opus::Channels::Mono };
    let mut decoder = opus::Decoder::new(48_000, layout).unwrap();
    let (mut samples, mut room, mut end) = (Vec::new(), vec![0.0; 5_760 * 2], 0);
    while let Some(packet) = reader.read_packet().unwrap() {
        let frames = decoder.decode_float(&packet.data, &mut room, false).unwrap();
        samples.extend_from_slice(&room[..frames * usize::from(channels)]);
        end = packet.absgp_page() as usize;
    }
    assert!(samples.len() >= end * usize::from(channels), "the packets hold all that the last page promises");
    samples.truncate(end * usize::from(channels));
    samples.drain(..pre_skip * usize::from(channels));
    let format = WavFormat { sample_rate: 48_000, channels, sample_format: SampleFormat::F32 };
    Recording { format, samples }
}

#[test]
fn the_first_format_that_a_client_accepts_is_what_it_gets() {
    let server = ServerProcess::start(&[]);
    let sent = tone_wav(16_000, 1, SampleFormat::I16, 0.1);
    for (accept, expected) in [
        ("audio/wav, audio/ogg", Some("audio/wav")),
        ("audio/ogg, audio/wav", Some("audio/ogg")),
        ("audio/*", Some("audio/wav")),
        ("text/html, Audio/Opus;q=0.5, */*", Some("audio/ogg")),
        ("audio/ogg;q=0, */*", Some("audio/wav")),
        ("audio/wav; q=0.000, */*;q=0.1", Some("audio/ogg")),
        ("audio/wav;q=0, audio/ogg;q=0, */*", None),
        ("*/*;q=0", None),
        ("text/html", None),
    ] {
        let answer = post(server.addr, "/process", &format!("Accept: {accept}\r\n"), &sent);
        let got = (answer.status, answer.header("content-type").filter(|_| answer.status == 200));
        assert_eq!(got, (if expected.is_some() { 200 } else { 406 }, expected), "{accept}");
    }
}

#[test]
fn a_recording_comes_back_as_ogg_opus_when_asked_for() {
    let server = ServerProcess::start(&[]);
    let sent = tone_wav(44_100, 2, SampleFormat::I16, 2.0);
    let answer = post(server.addr, "/process?bitrate=48000&intensity=0.5", "Accept: audio/ogg\r\n", &sent);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/ogg")));
    let decoded = decode_ogg_opus(&answer.body);
    assert_eq!((decoded.format.channels, decoded.frames()), (2, 2 * 48_000));
    // The same sound, enhanced: not silence, and not softer than it was.
    let sent_dbfs = Recording::from_wav(&sent).unwrap().rms_dbfs();
    assert!(decoded.rms_dbfs() > sent_dbfs, "{} dBFS became {}", sent_dbfs, decoded.rms_dbfs());
    assert_eq!(post(server.addr, "/process?intensity=3", "", &sent).status, 400);
    assert_eq!(post(server.addr, "/process?volume=3", "", &sent).status, 400);
}

/// Somebody who reads aloud, in floats, so that nothing is rounded.
fn voice_in_floats() -> Recording {
    let mut voice = read_wav(&voice());
    voice.format.sample_format = SampleFormat::F32;
    voice
}

fn processed(server: &ServerProcess, query: &str, sent: &Recording) -> Recording {
    let answer = post(server.addr, &format!("/process?{query}"), "", &wav_bytes(sent));
    assert_eq!(answer.status, 200, "{query}: {}", String::from_utf8_lossy(&answer.body));
    Recording::from_wav(&answer.body).unwrap()
}

/// What the engine makes of `recording`, rid of its delay.
fn enhanced_alone(recording: &Recording, wishes: &[(&str, Value)]) -> Vec<f32> {
    let mut update = SettingsUpdate::default()
        .with("sample_rate", i64::from(recording.format.sample_rate))
        .with("channels", i64::from(recording.format.channels));
    for (name, value) in wishes {
        update.set(name, serde_json::from_value(value.clone()).unwrap());
    }
    let settings = Settings::default().with(&update).unwrap();
    let channels = usize::from(recording.format.channels);
    let delay = settings.engine_delay_samples() * channels;
    let mut samples = recording.samples.clone();
    samples.resize(samples.len() + delay, 0.0);
    AudioSandbox::new(settings).unwrap().enhance(&mut samples).unwrap();
    samples.drain(..delay);
    samples
}

#[test]
fn the_query_sets_the_engine_as_config_does_and_cuts_its_delay() {
    let server = ServerProcess::start(&[]);
    let sent = voice_in_floats();
    for (query, wishes) in [
        (
            "compressor=true&compressor.ratio=4&quality=high_quality&genre=true",
            vec![("compressor.ratio", 4.into()), ("quality", "high_quality".into()), ("genre", true.into())],
        ),
        (
            "intensity=0&limiter.look_ahead_ms=5&limiter.ceiling_db=-12&noise_gate=true",
            vec![
                ("intensity", 0.into()),
                ("limiter.look_ahead_ms", 5.into()),
                ("limiter.ceiling_db", (-12).into()),
                ("noise_gate", true.into()),
            ],
        ),
        (
            "quality=high_quality&denoise.strength=0.5&equaliser.band_2_kind=peak&equaliser.band_2_gain_db=6",
            vec![
                ("quality", "high_quality".into()),
                ("denoise.strength", 0.5.into()),
                ("equaliser.band_2_kind", "peak".into()),
                ("equaliser.band_2_gain_db", 6.into()),
            ],
        ),
        (
            "quality=battery_saver&compressor.ratio=9&compressor=false",
            vec![("quality", "battery_saver".into())],
        ),
    ] {
        let answer = processed(&server, query, &sent);
        assert_eq!((answer.format, answer.frames()), (sent.format, sent.frames()), "{query}");
        assert!(answer.samples == enhanced_alone(&sent, &wishes), "{query}");
    }
}

#[test]
fn every_setting_is_accepted_as_it_is_reported_or_said_to_be_for_sessions_only() {
    let server = ServerProcess::start(&[]);
    let sent = tone_wav(8_000, 1, SampleFormat::I16, 0.05);
    let in_force = serde_json::to_value(Settings::default()).unwrap();
    let spelled = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let mut query = Vec::new();
    for name in SettingsUpdate::names() {
        let value = match name.split_once('.') {
            Some((stage, parameter)) => &in_force[stage][parameter],
            None if in_force[&name].is_object() => &in_force[&name]["enabled"],
            None => &in_force[&name],
        };
        let setting = format!("{name}={}", spelled(value));
        let answer = post(server.addr, &format!("/process?{setting}"), "", &sent);
        match answer.status {
            200 => query.push(setting),
            _ => {
                let said = format!("{name:?} is not for recordings: accepted are channels, quality, ");
                assert!(complaint(&answer).starts_with(&said), "{setting}: {}", complaint(&answer));
            }
        }
    }
    // Rate and formats, time limit, framing, packets, meters, and the four of voice activity.
    assert_eq!(SettingsUpdate::names().count() - query.len(), 13);
    assert_eq!(post(server.addr, &format!("/process?{}", query.join("&")), "", &sent).status, 200);
}

fn complaint(answer: &Answer) -> String {
    let error = answer.json()["error"].clone();
    assert_eq!((answer.status, &error["code"]), (400, &"INVALID_PARAMETER".into()), "{error}");
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_bad_parameter_is_named_with_what_was_got_and_what_is_accepted() {
    let server = ServerProcess::start(&[]);
    let sent = tone_wav(8_000, 1, SampleFormat::I16, 0.05);
    for (query, said) in [
        ("compressor.ratio=0.5", "compressor.ratio: got 0.5, accepted: a number from 1 to 50"),
        ("compressor.ratio=", "compressor.ratio: got \"\", accepted: a number from 1 to 50"),
        ("limiter.ceiling_db=nan", "limiter.ceiling_db: got NaN, accepted: a number from -20 to 0"),
        ("intensity=1e300", "intensity: got 1e300, accepted: a number from 0 to 2"),
        ("limiter", "limiter: got \"\", accepted: true, false"),
        ("genre=rock", "genre: got \"rock\", accepted: true or false"),
        ("quality=best", "quality: got \"best\", accepted: \"battery_saver\", "),
        ("volume=3", "unknown setting \"volume\": accepted are channels, quality, genre, intensity, "),
        ("compressor.rate=3", "unknown setting \"compressor.rate\": accepted are channels, "),
        ("=3", "unknown setting \"\": accepted are channels, "),
        ("framing=true", "\"framing\" is not for recordings: accepted are channels, "),
        ("dtx=true&dtx=false", "dtx is named twice: once is accepted"),
        ("intensity%3D1=2", "unknown setting \"intensity=1\": "),
    ] {
        let answer = post(server.addr, &format!("/process?{query}"), "", &sent);
        assert!(complaint(&answer).starts_with(said), "{query}: {}", complaint(&answer));
    }
    assert_eq!(post(server.addr, "/process?compressor%2Eratio=4&", "", &sent).status, 200);
}

#[test]
fn what_stages_and_encoder_delay_is_taken_off_at_every_rate() {
    let server = ServerProcess::start(&[]);
    // Stages that delay and change next to nothing.
    let query =
        "intensity=0&quality=high_quality&denoise.strength=0&limiter.ceiling_db=0&limiter.look_ahead_ms=5";
    for rate in [16_000, 44_100, 96_000] {
        let sent = voice_in_floats().at_rate(rate);
        let answer = processed(&server, query, &sent);
        assert_eq!((answer.format, answer.frames()), (sent.format, sent.frames()));
        assert_eq!(best_lag(&sent.samples, &answer.samples, 1_500), 0, "{rate} Hz");
        let end = sent.samples.len() - rate as usize / 100..;
        let energy = |samples: &[f32]| samples.iter().map(|sample| sample * sample).sum::<f32>();
        assert!(energy(&answer.samples[end.clone()]) > 0.5 * energy(&sent.samples[end]), "{rate} Hz");
    }
    let sent = voice_in_floats().at_rate(48_000);
    let query = format!("/process?{query}&bitrate=96000");
    let decoded =
        decode_ogg_opus(&post(server.addr, &query, "Accept: audio/ogg\r\n", &wav_bytes(&sent)).body);
    assert_eq!(decoded.frames(), sent.frames());
    let lag = best_lag(&sent.samples, &decoded.samples, 1_500);
    assert!(lag.abs() <= 24, "{lag} samples late as Ogg Opus");
}

#[test]
fn a_mono_recording_becomes_a_wide_stereo_one_when_asked_for() {
    let server = ServerProcess::start(&[]);
    let sent = voice_in_floats();
    let wide = processed(&server, "channels=stereo&spatial.width=2&intensity=0", &sent);
    assert_eq!((wide.format.channels, wide.frames()), (2, sent.frames()));
    let energy = |sign: f32| -> f32 {
        wide.samples.chunks_exact(2).map(|frame| (frame[0] + sign * frame[1]).powi(2)).sum()
    };
    assert!(energy(-1.0) > 0.05 * energy(1.0), "{} of {}", energy(-1.0), energy(1.0));
    let mono = processed(&server, "channels=1&intensity=0", &wide);
    assert_eq!((mono.format.channels, mono.frames()), (1, sent.frames()));
}

#[test]
fn the_shortest_recording_and_one_cut_short_are_answered() {
    let server = ServerProcess::start(&[]);
    let query = "quality=high_quality&limiter=true&genre=true";
    for format in [SampleFormat::U8, SampleFormat::I24, SampleFormat::F32] {
        let one = Recording {
            format: WavFormat { sample_rate: 96_000, channels: 2, sample_format: format },
            samples: vec![0.5, -0.5],
        };
        assert_eq!(processed(&server, query, &one).frames(), 1);
    }
    let whole = tone_wav(16_000, 1, SampleFormat::I16, 0.1);
    let short = post(server.addr, "/process", "", &whole[..whole.len() - 100]);
    assert_eq!((short.status, &short.json()["error"]["code"]), (415, &"NOT_A_RECORDING".into()));
    let message = short.json()["error"]["message"].to_string();
    assert!(message.contains("cut short: it announces 3200 bytes of samples, 3100 are there"), "{message}");
}

#[test]
fn a_long_recording_holds_nobody_up() {
    let server = ServerProcess::start(&["--workers", "1"]);
    let long = tone_wav(48_000, 2, SampleFormat::I16, 60.0);
    let addr = server.addr;
    let upload = std::thread::spawn(move || post(addr, "/process", "Accept: audio/ogg\r\n", &long).status);
    server.pool_becomes(|pool| pool["leased"] == 1);
    let mut meanwhile = 0;
    while !upload.is_finished() {
        assert_eq!(server.get("/health").status, 200);
        meanwhile += 1;
    }
    assert_eq!(upload.join().unwrap(), 200);
    // An answer takes less than a millisecond, the recording some seconds.
    assert!(meanwhile > 100, "{meanwhile} requests were answered meanwhile");
}

#[test]
fn a_large_body_is_refused_before_it_is_sent() {
    let server = ServerProcess::start(&["--max-body", "1MiB"]);
    let head = "POST /process HTTP/1.1\r\nHost: test\r\nContent-Length: 2000000\r\n\r\n";
    assert_eq!(request(server.addr, head).status, 413);
}

/// A figure of `/metrics`.
fn metric(server: &ServerProcess, name: &str) -> u64 {
    let metrics = server.get("/metrics");
    let line =
        metrics.text().lines().find(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(' ')));
    line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).expect(name)
}

/// What it takes is given back just after the answer has been written.
fn room_is_given_back(server: &ServerProcess) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while metric(server, "sandpool_buffered_bytes") > 0 {
        assert!(Instant::now() < deadline, "it is not given back");
    }
}

#[test]
fn a_recording_whose_answer_does_not_fit_is_refused_before_it_gets_a_sandbox() {
    const LIMIT: u64 = 16 << 20;
    let server =
        ServerProcess::start(&["--max-buffered-bytes", "16MiB", "--max-body", "16MiB", "--workers", "1"]);
    // 6.7 MB, and twice that as stereo.
    let sent = tone_wav(48_000, 1, SampleFormat::I16, 70.0);
    let refused = post(server.addr, "/process?channels=stereo", "", &sent);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(refused.json()["error"]["code"], "OUT_OF_ROOM", "{}", refused.text());
    assert_eq!(metric(&server, "sandpool_pool_checkouts_total"), 0);
    room_is_given_back(&server);

    // As long as the answer is built it counts, and nothing begins that does not fit beside it.
    let (addr, length) = (server.addr, sent.len() as u64);
    let upload = std::thread::spawn(move || post(addr, "/process", "", &sent));
    server.pool_becomes(|pool| pool["leased"] == 1);
    let second = tone_wav(8_000, 1, SampleFormat::I16, 60.0);
    let mut refusals = 0;
    while !upload.is_finished() {
        let held = metric(&server, "sandpool_buffered_bytes");
        assert!(held <= LIMIT, "{held} bytes are held");
        if held >= 2 * length {
            refusals += u32::from(post(addr, "/process?channels=stereo", "", &second).status == 503);
        }
    }
    let answer = upload.join().unwrap();
    assert_eq!((answer.status, answer.body.len() as u64), (200, length));
    assert!(refusals > 0, "it was refused while there was no room");
    room_is_given_back(&server);
    assert_eq!(post(addr, "/process?channels=stereo", "", &second).status, 200);
}

#[test]
fn a_recording_whose_client_has_gone_gives_its_room_back() {
    let server = ServerProcess::start(&["--workers", "1"]);
    let sent = tone_wav(48_000, 2, SampleFormat::I16, 60.0);
    for accept in ["audio/wav", "audio/ogg"] {
        let mut stream = connect(server.addr);
        let head = format!(
            "POST /process HTTP/1.1\r\nHost: test\r\nAccept: {accept}\r\nContent-Length: {}\r\n\r\n",
            sent.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&sent).unwrap();
        server.pool_becomes(|pool| pool["leased"] == 1);
        assert!(metric(&server, "sandpool_buffered_bytes") > sent.len() as u64, "its answer counts");
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        drop(stream);
        server.pool_becomes(|pool| pool["leased"] == 0);
        room_is_given_back(&server);
    }
}

#[test]
fn ogg_opus_takes_no_more_than_was_reserved_for_it() {
    // 128 s of stereo at the highest bitrate, 8.2 MB: twice what its WAV at 8 kHz takes, and the query's doing.
    let server = ServerProcess::start(&["--max-buffered-bytes", "8MiB", "--max-body", "8MiB"]);
    let sent = tone_wav(8_000, 1, SampleFormat::I16, 128.0);
    let accept = "Accept: audio/ogg\r\n";
    let refused = post(server.addr, "/process?bitrate=510000&channels=2&vbr=false", accept, &sent);
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &"OUT_OF_ROOM".into()));
    assert_eq!(metric(&server, "sandpool_pool_checkouts_total"), 0);
    assert_eq!(post(server.addr, "/process?bitrate=32000", accept, &sent).status, 200);
}
