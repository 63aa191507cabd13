//! The server as its clients see it: routes, sessions, failures, limits. Each test runs the real program.

mod common;

use std::io::Write;
use std::time::Duration;

use common::{connect, packets, post, processed_alone, request, Answer, Client, ServerProcess};
use sandbox::{Settings, SettingsUpdate};
use sandpool::audio_file::{Recording, SampleFormat, WavFormat};
use serde_json::json;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::Frame;

#[test]
fn status_has_the_documented_fields_and_a_census_that_adds_up() {
    let server = ServerProcess::start(&["--pool-min", "3", "--pool-max", "7"]);
    for path in ["/", "/status"] {
        let status = server.get(path).json();
        assert!(status["uptime_seconds"].as_f64().unwrap() >= 0.0);
        assert!(status["connections"].as_u64().unwrap() >= 1);
        assert!(status["totals"].is_object());
        assert_eq!(census(&status["pool"]), [7, 3, 3, 0, 0, 0]);
        let pool = |name: &str| status["pool"][name].as_u64().unwrap_or_else(|| panic!("{name} in {status}"));
        assert_eq!((pool("waiting"), pool("created"), pool("discarded"), pool("timed_out")), (0, 3, 0, 0));
    }
    // Two clients that speak hold one each, and the keeper fills the minimum up again.
    let packet = &packets(&Settings::default(), 1, 1)[0];
    let mut speaking = [Client::welcome(server.addr).0, Client::welcome(server.addr).0];
    speaking.iter_mut().for_each(|client| assert!(client.audio(packet).is_ok()));
    let pool = server.pool_becomes(|pool| pool["idle"] == 3);
    assert_eq!((census(&pool), pool["created"].as_u64()), ([7, 5, 3, 2, 0, 0], Some(5)));
    drop(speaking);
    let pool = server.pool_becomes(|pool| pool["idle"] == 5);
    assert_eq!((census(&pool), pool["created"].as_u64()), ([7, 5, 5, 0, 0, 0], Some(5)));
}

/// Capacity, size, idle, leased, resetting, building.
fn census(pool: &serde_json::Value) -> [u64; 6] {
    ["capacity", "size", "idle", "leased", "resetting", "building"]
        .map(|name| pool[name].as_u64().unwrap_or_else(|| panic!("{name} in {pool}")))
}

#[test]
fn health_is_ok_on_both_listeners_and_metrics_are_on_the_operations_one() {
    let server = ServerProcess::start(&[]);
    for addr in [server.addr, server.ops] {
        let health = request(addr, "GET /health HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!((health.status, health.text()), (200, "OK"));
        assert_eq!(request(addr, "GET /ready HTTP/1.1\r\nHost: test\r\n\r\n").status, 200);
    }
    let metrics = request(server.ops, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(metrics.text().contains("sandpool_pool_sandboxes{state=\"idle\"}"), "{}", metrics.text());
}

#[test]
fn options_of_the_whole_server_are_answered() {
    let server = ServerProcess::start(&[]);
    let answer = request(server.addr, "OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!((answer.status, answer.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
}

#[test]
fn errors_say_what_is_accepted() {
    let server = ServerProcess::start(&[]);
    let missing = server.get("/nothing");
    assert_eq!((missing.status, missing.json()["error"]["code"].as_str()), (404, Some("NOT_FOUND")));
    let method = post(server.addr, "/status", "", b"");
    assert_eq!((method.status, method.header("allow")), (405, Some("GET, HEAD")));
    for ms in ["x", "-1", "60001", "99999999999999999999"] {
        let bad = server.get(&format!("/sleep?ms={ms}"));
        assert_eq!(bad.status, 400, "{ms}");
        assert!(bad.json()["error"]["message"].as_str().unwrap().contains("0 to 60000"));
    }
    assert_eq!(server.get("/chaos/panic").status, 404, "chaos is off unless asked for");
    assert_eq!(post(server.addr, "/process", "", b"no recording").status, 415);
}

#[test]
fn echo_answers_any_method_with_the_body() {
    let server = ServerProcess::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let head = format!("{method} /echo HTTP/1.1\r\nHost: test\r\nContent-Type: text/x-test\r\nContent-Length: 5\r\n\r\nhello");
        let answer = request(server.addr, &head);
        assert_eq!(
            (answer.status, answer.text(), answer.header("content-type")),
            (200, "hello", Some("text/x-test"))
        );
    }
    let mut echo = Client::connect(server.addr, "/echo");
    let large = tungstenite::Message::binary(vec![7; 3 << 20]);
    echo.socket.send(large.clone()).unwrap();
    assert_eq!(echo.socket.read().unwrap(), large);
}

#[test]
fn an_echo_is_as_long_as_16_mib_and_no_longer() {
    const MOST: usize = 16 << 20;
    let server = ServerProcess::start(&[]);
    let mut echo = Client::connect(server.addr, "/echo");
    let largest = tungstenite::Message::binary(vec![7; MOST]);
    echo.socket.send(largest.clone()).unwrap();
    assert!(echo.socket.read().unwrap() == largest);

    let closed_as_too_big = |echo: &mut Client| match echo.socket.read().unwrap() {
        tungstenite::Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1009),
        other => panic!("a close expected, got {} bytes", other.len()),
    };
    // One byte more, in a second frame.
    let frame = |bytes: Vec<u8>, kind, last| {
        tungstenite::Message::Frame(Frame::message(bytes, OpCode::Data(kind), last))
    };
    echo.socket.send(frame(vec![7; MOST], Data::Binary, false)).unwrap();
    echo.socket.send(frame(vec![7; 1], Data::Continue, true)).unwrap();
    closed_as_too_big(&mut echo);
    // One byte more in one frame: refused at its head, before any of it is sent.
    let mut echo = Client::connect(server.addr, "/echo");
    let mut head = vec![0x82, 0x80 | 127];
    head.extend((MOST as u64 + 1).to_be_bytes());
    head.extend([1, 2, 3, 4]);
    echo.socket.get_mut().write_all(&head).unwrap();
    closed_as_too_big(&mut echo);
}

#[test]
fn a_session_speaks_the_documented_protocol() {
    let server = ServerProcess::start(&[]);
    let (mut client, welcome) = Client::welcome(server.addr);
    assert!(welcome["message"].is_string() && welcome["client_id"].is_u64());
    assert_eq!((&welcome["sample_rate"], &welcome["channels"]), (&json!(48_000), &json!(1)));

    let pong = client.command(r#"{"command":"ping"}"#);
    assert!(pong["type"] == "pong" && pong["timestamp"].as_f64().unwrap() > 1.7e9, "{pong}");

    let stream = packets(&Settings::default(), 1, 5);
    for packet in &stream {
        assert!(!client.audio(packet).unwrap().is_empty());
    }
    let stats = client.command(r#"{"type":"stats"}"#);
    assert_eq!(stats["client_id"], welcome["client_id"]);
    assert_eq!((stats["frames"].as_u64(), stats["errors"].as_u64()), (Some(5), Some(0)));
    assert_eq!(stats["input_size"].as_u64().unwrap() as usize, stream.iter().map(Vec::len).sum::<usize>());
    for field in ["uptime_seconds", "processing_time_ms", "output_size", "compression_ratio"] {
        assert!(stats[field].as_f64().unwrap() > 0.0, "{field} in {stats}");
    }

    let updated = client.command(
        r#"{"command":"config","sample_rate":16000,"channels":2,"intensity":1.5,"bitrate":24000,"complexity":3}"#,
    );
    let in_force = ["type", "sample_rate", "channels", "intensity", "bitrate", "complexity", "vbr"]
        .map(|name| &updated[name]);
    assert_eq!(json!(in_force), json!(["config_updated", 16_000, 2, 1.5, 24_000, 3, true]));
    assert_eq!(client.command(r#"{"command":"reset"}"#), json!({ "type": "reset_done" }));
}

#[test]
fn a_bad_setting_is_named_with_its_range_and_changes_nothing() {
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    for (bad, field, range) in [
        (r#""complexity":11"#, "complexity", "0 to 10"),
        (r#""intensity":2.1"#, "intensity", "0 to 2"),
        (r#""sample_rate":44100"#, "sample_rate", "48000"),
        (r#""bitrate":"loud""#, "bitrate", "510000"),
    ] {
        let error = client.command(&format!(r#"{{"command":"config","dtx":true,{bad}}}"#));
        assert_eq!((error["type"].as_str(), error["code"].as_str()), (Some("error"), Some("INVALID_CONFIG")));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(field) && message.contains(range), "{message}");
    }
    let in_force = client.command(r#"{"command":"config"}"#);
    assert_eq!((&in_force["dtx"], &in_force["complexity"]), (&json!(false), &json!(5)));
}

#[test]
fn packets_come_back_in_order_as_a_lone_sandbox_would_answer_them() {
    let server = ServerProcess::start(&[]);
    let settings = Settings::default();
    let stream = packets(&settings, 3, 60);
    let expected = processed_alone(&settings, &stream);
    let (mut client, _) = Client::welcome(server.addr);
    // All of them before the first answer is read.
    for packet in &stream {
        client.send_audio(packet);
    }
    for expected in expected {
        assert!(client.read_audio().unwrap() == expected);
    }
}

#[test]
fn many_clients_with_settings_of_their_own_never_hear_each_other() {
    let server =
        ServerProcess::start(&["--pool-max", "6", "--session-idle", "50ms", "--acquire-timeout", "30"]);
    let threads: Vec<_> = (0..24)
        .map(|voice: usize| {
            let addr = server.addr;
            std::thread::spawn(move || {
                let rate = [8_000, 16_000, 48_000][voice % 3];
                let update = SettingsUpdate::default()
                    .with("sample_rate", rate)
                    .with("bitrate", 16_000 + 1_000 * voice as i64)
                    .with("complexity", voice as i64 % 11);
                let settings = Settings::default().with(&update).unwrap();
                let stream = packets(&settings, voice, 12);
                let expected = processed_alone(&settings, &stream);
                let (mut client, _) = Client::welcome(addr);
                client.command(&format!(
                    r#"{{"command":"config","sample_rate":{rate},"bitrate":{},"complexity":{}}}"#,
                    settings.bitrate(),
                    settings.complexity()
                ));
                // All at once: a client that stalled in between would be taken for silent, and begin anew.
                stream.iter().for_each(|packet| client.send_audio(packet));
                for expected in expected {
                    assert!(client.read_audio().unwrap() == expected, "client {voice} heard something else");
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let pool = server.pool_becomes(|pool| pool["leased"] == 0);
    assert!(pool["created"].as_u64().unwrap() <= 6, "{pool}");
}

#[test]
fn a_silent_client_gives_its_sandbox_back_and_begins_anew() {
    let server = ServerProcess::start(&["--session-idle", "100ms"]);
    let settings = Settings::default();
    let stream = packets(&settings, 9, 4);
    let expected = processed_alone(&settings, &stream);
    let (mut client, _) = Client::welcome(server.addr);
    for spurt in 1..=2 {
        for (packet, expected) in stream.iter().zip(&expected) {
            assert!(client.audio(packet).unwrap() == *expected, "spurt {spurt} does not begin clean");
        }
        server.pool_becomes(|pool| pool["leased"] == 0);
    }
    assert_eq!(client.command(r#"{"command":"stats"}"#)["talk_spurts"], 2);
}

#[test]
fn reset_forgets_the_signal_and_keeps_the_settings() {
    let server = ServerProcess::start(&[]);
    let update = SettingsUpdate::default().with("bitrate", 20_000);
    let settings = Settings::default().with(&update).unwrap();
    let stream = packets(&settings, 4, 6);
    let expected = processed_alone(&settings, &stream);
    let (mut client, _) = Client::welcome(server.addr);
    client.command(r#"{"command":"config","bitrate":20000}"#);
    for _ in 0..2 {
        for (packet, expected) in stream.iter().zip(&expected) {
            assert!(client.audio(packet).unwrap() == *expected);
        }
        assert_eq!(client.command(r#"{"command":"reset"}"#)["type"], "reset_done");
    }
}

#[test]
fn a_bad_packet_is_an_error_and_the_session_goes_on() {
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    for junk in [&b""[..], &[0xff; 3], &[0xff; 400]] {
        let error = client.audio(junk).unwrap_err();
        assert_eq!(
            (error["type"].as_str(), error["code"].as_str()),
            (Some("error"), Some("INVALID_PACKET")),
            "{error}"
        );
    }
    assert!(client.audio(&packets(&Settings::default(), 1, 1)[0]).is_ok());
}

#[test]
fn bad_commands_are_answered_and_closed_with_1008_when_they_persist() {
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    for _ in 0..10 {
        assert_eq!(client.command("nonsense")["code"], "INVALID_COMMAND");
    }
    assert_eq!(client.command(r#"{"command":"ping"}"#)["type"], "pong");
    for _ in 0..16 {
        assert_eq!(client.command(r#"{"command":"dance"}"#)["code"], "UNKNOWN_COMMAND");
    }
    match client.socket.read().unwrap() {
        tungstenite::Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1008),
        other => panic!("a close expected, got {other:?}"),
    }
}

#[test]
fn without_a_free_sandbox_clients_are_told_when_to_try_again() {
    let server = ServerProcess::start(&["--pool-min", "0", "--pool-max", "1", "--acquire-timeout", "50ms"]);
    let (mut holder, _) = Client::welcome(server.addr);
    let packet = &packets(&Settings::default(), 1, 1)[0];
    holder.audio(packet).unwrap();
    let (mut other, _) = Client::welcome(server.addr);
    let error = other.audio(packet).unwrap_err();
    assert_eq!(error["code"], "POOL_EXHAUSTED");
    assert!(error["retry_after_ms"].as_u64().unwrap() > 0);
    let sleep = server.get("/sleep?ms=1");
    assert_eq!((sleep.status, sleep.header("retry-after")), (503, Some("1")));
    assert_eq!(sleep.json()["error"]["code"], "POOL_EXHAUSTED");
    drop(holder);
    server.pool_becomes(|pool| pool["leased"] == 0);
    // It tries again when it was told to; before that it is refused at once, and takes no place in the line.
    while let Err(error) = other.audio(packet) {
        assert_eq!(error["code"], "POOL_EXHAUSTED");
        std::thread::sleep(Duration::from_millis(error["retry_after_ms"].as_u64().unwrap()));
    }
    assert_eq!(server.pool()["timed_out"], 2);
}

#[test]
fn a_client_that_vanishes_leaves_its_lease_behind_for_others() {
    let server = ServerProcess::start(&["--pool-max", "2"]);
    let packet = packets(&Settings::default(), 1, 1).remove(0);
    for _ in 0..20 {
        let (mut client, _) = Client::welcome(server.addr);
        client.audio(&packet).unwrap();
        // No closing handshake.
        client.socket.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    }
    let pool = server.pool_becomes(|pool| pool["leased"] == 0);
    assert_eq!((&pool["waiting"], &pool["discarded"]), (&json!(0), &json!(0)));
}

#[test]
fn sleeping_requests_share_a_worker() {
    let server = ServerProcess::start(&["--workers", "1", "--pool-max", "64"]);
    let streams: Vec<_> = (0..64)
        .map(|_| {
            let mut stream = connect(server.addr);
            stream.write_all(b"GET /sleep?ms=400 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            stream
        })
        .collect();
    server.pool_becomes(|pool| pool["leased"] == 64);
    let concurrency = server.get("/stats").json()["worker_concurrency"].clone();
    assert!(concurrency[0].as_u64().unwrap() >= 64, "{concurrency}");
    for mut stream in streams {
        assert_eq!(Answer::read(&mut stream).status, 200);
    }
}

fn recording(sample_rate: u32, channels: u16, sample_format: SampleFormat, seconds: f32) -> Vec<u8> {
    let frames = (sample_rate as f32 * seconds) as usize;
    let samples = (0..frames)
        .flat_map(|at| {
            let time = at as f32 / sample_rate as f32;
            let value = 0.2 * (time * 220.0 * std::f32::consts::TAU).sin() * (time * 12.0).sin();
            std::iter::repeat_n(value, usize::from(channels))
        })
        .collect();
    let recording = Recording { format: WavFormat { sample_rate, channels, sample_format }, samples };
    let mut bytes = std::io::Cursor::new(Vec::new());
    recording.write_wav(&mut bytes).unwrap();
    bytes.into_inner()
}

#[test]
fn a_recording_comes_back_enhanced_in_its_own_format() {
    let server = ServerProcess::start(&[]);
    for (rate, channels, format) in [
        (16_000, 1, SampleFormat::I16),
        (44_100, 2, SampleFormat::I24),
        (48_000, 2, SampleFormat::F32),
        (11_025, 1, SampleFormat::I16),
    ] {
        let sent = recording(rate, channels, format, 1.37);
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
    let sent = recording(16_000, 1, SampleFormat::I16, 0.1);
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
    let sent = recording(44_100, 2, SampleFormat::I16, 2.0);
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

#[test]
fn a_long_recording_holds_nobody_up() {
    let server = ServerProcess::start(&["--workers", "1"]);
    let long = recording(48_000, 2, SampleFormat::I16, 60.0);
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

#[test]
fn too_many_connections_are_refused_and_the_others_live_on() {
    let server = ServerProcess::start(&["--max-connections", "4"]);
    let mut clients: Vec<_> = (0..4).map(|_| Client::welcome(server.addr).0).collect();
    let mut refused = connect(server.addr);
    refused.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut refused).status, 503);
    for client in &mut clients {
        assert_eq!(client.command(r#"{"command":"ping"}"#)["type"], "pong");
    }
    drop(clients);
    // The places of those that are gone are free again.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.get("/health").status != 200 {
        assert!(std::time::Instant::now() < deadline, "nobody gets in any more");
    }
}

#[test]
fn one_request_more_than_there_are_coroutines_for_is_refused_and_the_others_live_on() {
    // Of 80 coroutines 12 are for connections, 64 for the operations listener, and what is left for requests.
    let server = ServerProcess::start(&["--max-connections", "12", "--max-coroutines", "80"]);
    let mut sleeping: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(server.addr);
            stream.write_all(b"GET /sleep?ms=3000 HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            stream
        })
        .collect();
    // Asked at the other listener, for it would be a request too many at this one.
    let status = || request(server.ops, "GET /status HTTP/1.1\r\nHost: test\r\n\r\n").json();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while status()["pool"]["leased"] != 4 {
        assert!(std::time::Instant::now() < deadline, "the requests do not sleep: {}", status());
    }
    let refused = server.get("/health");
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    for stream in &mut sleeping {
        assert_eq!(Answer::read(stream).status, 200);
    }
    // The same connections are served again.
    for stream in &mut sleeping {
        stream.write_all(b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        assert_eq!(Answer::read(stream).status, 200);
    }
}
