//! The whole engine over a WebSocket: formats, framing, losses, stages and what is told of them.

use crate::common::{packets, processed_alone, read_wav, voice, Client, ServerProcess};
use sandbox::framing::{Entries, Entry, MessageWriter};
use sandbox::{AudioSandbox, Incoming, Packets, Scratch, Settings, SettingsUpdate};
use serde_json::{json, Value};

/// Puts `settings` in force, and gives back what the server says is.
fn configure(client: &mut Client, mut settings: Value) -> Value {
    settings["command"] = "config".into();
    let updated = client.command(&settings.to_string());
    assert_eq!(updated["type"], "config_updated", "{updated}");
    updated
}

fn settings(wishes: &Value) -> Settings {
    Settings::default().with(&serde_json::from_value(wishes.clone()).unwrap()).unwrap()
}

fn message(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut writer = MessageWriter::default();
    entries.iter().for_each(|entry| writer.push(*entry).unwrap());
    writer.into_message()
}

/// What a sandbox of its own answers.
fn answered_alone(settings: Settings, incoming: &[Incoming<'_>]) -> Vec<Vec<u8>> {
    let mut sandbox = AudioSandbox::new(settings).unwrap();
    let (mut scratch, mut out) = (Scratch::default(), Packets::default());
    let answer = |incoming: &Incoming<'_>| {
        sandbox.process(*incoming, &mut scratch, &mut out).unwrap();
        out.iter().map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    incoming.iter().flat_map(answer).collect()
}

#[test]
fn every_setting_of_the_engine_can_be_set_and_is_reported_as_in_force() {
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    let in_force = configure(&mut client, json!({}));
    let mut wishes = in_force.clone();
    for name in ["type", "delay_ms"] {
        wishes.as_object_mut().unwrap().remove(name);
    }
    wishes["quality"] = "high_quality".into();
    wishes["max_processing_time_ms"] = 8.into();
    wishes["limiter"] = json!({ "enabled": true, "ceiling_db": -3, "look_ahead_ms": 2, "release_ms": 50 });
    wishes["equaliser"]["band_1_kind"] = "high_pass".into();
    let updated = configure(&mut client, wishes.clone());
    for (name, wish) in wishes.as_object().unwrap() {
        let same =
            |told: &Value, wish: &Value| told == wish || told.as_f64() == wish.as_f64() && wish.is_number();
        match wish.as_object().filter(|_| name != "command") {
            Some(parameters) => {
                parameters
                    .iter()
                    .for_each(|(key, wish)| assert!(same(&updated[name][key], wish), "{name}.{key}"));
            }
            None if name == "command" => {}
            None => assert!(same(&updated[name], wish), "{name}: {}", updated[name]),
        }
    }
    assert!(updated["delay_ms"].as_f64() > in_force["delay_ms"].as_f64(), "{updated}");

    let error = client.command(r#"{"command":"config","compressor":{"ratio":99},"dtx":true}"#);
    assert_eq!(error["code"], "INVALID_CONFIG");
    assert_eq!(error["message"], "compressor.ratio: got 99, accepted: a number from 1 to 50");
    assert_eq!(configure(&mut client, json!({}))["dtx"], false);
}

#[test]
fn all_stages_together_sound_as_in_a_lone_sandbox() {
    let wishes = json!({
        "channels": 2, "quality": "high_quality", "noise_gate": true, "compressor": { "ratio": 4 },
        "equaliser": { "band_3_kind": "peak", "band_3_gain_db": 4 }, "spatial": { "width": 1.6 }, "limiter": true,
    });
    let server = ServerProcess::start(&[]);
    let stream = packets(&settings(&wishes), 2, 30);
    let (mut client, _) = Client::welcome(server.addr);
    configure(&mut client, wishes.clone());
    for (packet, expected) in stream.iter().zip(processed_alone(&settings(&wishes), &stream)) {
        assert!(client.audio(packet).unwrap() == expected);
    }
}

#[test]
fn pcm_goes_in_and_comes_out_at_rates_of_its_own() {
    let wishes = json!({
        "input_format": "s16le", "input_sample_rate": 44_100, "output_format": "s24le", "output_sample_rate": 8_000,
    });
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    configure(&mut client, wishes.clone());
    let blocks: Vec<Vec<u8>> = (0..20u32)
        .map(|block| (0..882u32).flat_map(|at| ((block * at % 977) as i16 * 16).to_le_bytes()).collect())
        .collect();
    let incoming: Vec<_> = blocks.iter().map(Incoming::from).collect();
    for (block, expected) in blocks.iter().zip(answered_alone(settings(&wishes), &incoming)) {
        assert_eq!(expected.len(), 3 * 160);
        assert!(client.audio(block).unwrap() == expected);
    }
    let error = client.audio(&[1, 2, 3]).unwrap_err();
    assert_eq!(error["code"], "INVALID_PACKET");
    assert!(error["message"].as_str().unwrap().contains("s16le"), "{error}");
}

#[test]
fn framed_messages_are_answered_packet_by_packet_and_losses_recovered_from_the_next() {
    let wishes = json!({ "framing": true, "sample_rate": 16_000, "fec": true, "expected_loss_percent": 20 });
    let server = ServerProcess::start(&[]);
    let stream = packets(&settings(&wishes), 5, 40);
    let (mut client, _) = Client::welcome(server.addr);
    configure(&mut client, wishes.clone());

    let (mut sent, mut incoming) = (Vec::new(), Vec::new());
    for (index, packet) in stream.iter().enumerate() {
        if index % 5 == 3 {
            sent.push(Entry::Missing);
            incoming.push(Incoming::Lost { next: Some(&stream[index + 1]) });
        } else {
            sent.push(Entry::Packet(packet));
            incoming.push(Incoming::Packet(packet));
        }
    }
    let answer = client.audio(&message(&sent)).unwrap();
    let expected = answered_alone(settings(&wishes), &incoming);
    let expected: Vec<_> = expected.iter().map(|packet| Entry::Packet(packet)).collect();
    assert!(Entries::parse(&answer).unwrap().collect::<Vec<_>>() == expected);
    let stats = client.command(r#"{"command":"stats"}"#);
    assert_eq!(stats["frames"], 40);
    assert!(stats["recovered"].as_u64().unwrap() >= 6, "{stats}");

    // One bad packet: an error, and its place in the answer stays empty.
    client.send_audio(&message(&[
        Entry::Packet(&stream[0]),
        Entry::Packet(&[0xff; 3]),
        Entry::Packet(&stream[1]),
    ]));
    assert_eq!(client.read_json()["code"], "INVALID_PACKET");
    let answer = client.read_audio().unwrap();
    let missing: Vec<bool> = Entries::parse(&answer).unwrap().map(|entry| entry == Entry::Missing).collect();
    assert_eq!(missing, [false, true, false]);
    // A message of no packets.
    let error = client.audio(&[]).unwrap_err();
    assert_eq!(error["code"], "INVALID_PACKET");
    assert!(
        error["message"].as_str().unwrap().starts_with("an empty message: with framing 1 to 50 packets"),
        "{error}"
    );
    // No framing at all.
    let error = client.audio(&[0, 9, 1]).unwrap_err();
    assert!(
        error["message"].as_str().unwrap().starts_with("at offset 0: a packet of 9 bytes is announced"),
        "{error}"
    );
}

#[test]
fn packets_told_as_lost_are_answered_each() {
    let server = ServerProcess::start(&[]);
    let stream = packets(&Settings::default(), 5, 10);
    let mut incoming: Vec<_> = stream.iter().map(Incoming::from).collect();
    incoming.extend([Incoming::Lost { next: None }; 3]);
    let expected = answered_alone(Settings::default(), &incoming);
    let (mut client, _) = Client::welcome(server.addr);
    stream.iter().for_each(|packet| client.send_audio(packet));
    client.socket.send(tungstenite::Message::text(r#"{"command":"lost","packets":3}"#)).unwrap();
    for expected in expected {
        assert!(client.read_audio().unwrap() == expected);
    }
    assert_eq!(client.command(r#"{"command":"stats"}"#)["concealed"], 3);
    assert_eq!(client.command(r#"{"command":"lost","packets":51}"#)["code"], "INVALID_COMMAND");
}

#[test]
fn a_client_is_told_when_somebody_speaks_and_what_the_meters_show() {
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    configure(&mut client, json!({ "voice_activity": true, "metering": true, "compressor": true }));
    let speech: Vec<f32> = read_wav(&voice()).samples.into_iter().flat_map(|sample| [sample; 3]).collect();
    let mut encoder = AudioSandbox::new(Settings::default()).unwrap();
    let (mut scratch, mut packet) = (Scratch::default(), Packets::default());
    let mut told = Vec::new();
    for block in speech.chunks_exact(960) {
        encoder.encode(block, &mut scratch, &mut packet).unwrap();
        client.send_audio(&packet[0]);
        if let Err(event) = client.read_audio().map(drop) {
            told.push(event);
        } else {
            continue;
        }
        client.read_audio().unwrap();
    }
    assert!(!told.is_empty());
    for (index, event) in told.iter().enumerate() {
        assert_eq!(
            (&event["type"], &event["speaking"]),
            (&json!("speaking"), &json!(index % 2 == 0)),
            "{event}"
        );
    }
    let stats = client.command(r#"{"command":"stats"}"#);
    for reading in ["rms_dbfs", "peak_dbfs", "momentary_lufs", "integrated_lufs", "compressor_reduction_db"] {
        assert!(stats[reading].is_number(), "{reading} in {stats}");
    }
    assert_eq!((&stats["limiter_reduction_db"], &stats["over_budget"]), (&Value::Null, &json!(0)));
}

#[test]
fn a_packet_without_time_goes_on_without_optional_stages_and_is_counted() {
    let wishes =
        SettingsUpdate::default().with("quality", "high_quality").with("max_processing_time_ms", 0.001);
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    configure(&mut client, json!({ "quality": "high_quality", "max_processing_time_ms": 0.001 }));
    let stream = packets(&Settings::default().with(&wishes).unwrap(), 3, 5);
    stream.iter().for_each(|packet| drop(client.audio(packet).unwrap()));
    assert_eq!(client.command(r#"{"command":"stats"}"#)["over_budget"], 5);
}
