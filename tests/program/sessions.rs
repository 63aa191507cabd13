//! A session as its client sees it: the protocol, its errors, its sandbox.

use std::time::{Duration, Instant};

use sandbox::{Settings, SettingsUpdate};
use serde_json::json;

use crate::common::{packets, processed_alone, Client, ServerProcess};

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
fn clients_that_leave_while_they_wait_for_a_sandbox_are_gone_at_once_and_the_next_is_served() {
    let flags = ["--pool-min", "1", "--pool-max", "1", "--acquire-timeout", "300s", "--session-idle", "300s"];
    let server = ServerProcess::start(&flags);
    let packet = &packets(&Settings::default(), 1, 1)[0];
    let (mut holder, _) = Client::welcome(server.addr);
    holder.audio(packet).unwrap();
    let waiters: Vec<_> = (0..150)
        .map(|_| {
            let (mut waiter, _) = Client::welcome(server.addr);
            waiter.send_audio(packet);
            waiter
        })
        .collect();
    server.pool_becomes(|pool| pool["waiting"] == 150);
    let (mut live, _) = Client::welcome(server.addr);
    live.send_audio(packet);
    server.pool_becomes(|pool| pool["waiting"] == 151);
    for (number, mut waiter) in waiters.into_iter().enumerate() {
        match number % 3 {
            0 => rustix::net::sockopt::set_socket_linger(waiter.socket.get_ref(), Some(Duration::ZERO))
                .unwrap(),
            1 => waiter.socket.close(None).unwrap(),
            _ => {}
        }
    }
    server.pool_becomes(|pool| pool["waiting"] == 1);
    // The two, and the one that asks.
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.get("/status").json()["connections"].as_u64().unwrap() > 3 {
        assert!(Instant::now() < deadline, "connections are left behind");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(holder);
    assert!(!live.read_audio().unwrap().is_empty());
    assert_eq!(server.pool()["timed_out"], 0);
}

#[test]
fn a_client_that_left_before_its_session_began_to_wait_does_not_wait() {
    let flags = ["--pool-min", "1", "--pool-max", "1", "--acquire-timeout", "300s", "--session-idle", "300s"];
    let server = ServerProcess::start(&flags);
    let packet = &packets(&Settings::default(), 1, 1)[0];
    let (mut holder, _) = Client::welcome(server.addr);
    holder.audio(packet).unwrap();
    for _ in 0..50 {
        // The packet and the end come together.
        let (mut client, _) = Client::welcome(server.addr);
        client.send_audio(packet);
        client.socket.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        let error = client.read_audio().unwrap_err();
        assert_eq!(error["code"], "POOL_EXHAUSTED", "{error}");
    }
    server.pool_becomes(|pool| pool["waiting"] == 0);
}
