//! Clients that send whatever they can think of, and one beside them that must not notice.

use std::sync::atomic::{AtomicBool, Ordering};

use sandbox::framing::{Entries, Entry, MessageWriter, MAX_PACKET_BYTES};
use sandbox::{AudioSandbox, Format, Incoming, Packets, Scratch, Settings, SettingsUpdate};
use serde_json::{json, Value};
use tungstenite::Message;

use crate::common::{Client, ServerProcess};

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn one_of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| self.below(256) as u8).collect()
    }

    /// A noise with a tone in it.
    fn samples(&mut self, count: usize) -> Vec<f32> {
        let pitch = 0.01 + self.below(100) as f32 / 500.0;
        (0..count)
            .map(|at| 0.4 * (at as f32 * pitch).sin() + self.below(1_000) as f32 / 5_000.0 - 0.1)
            .collect()
    }
}

/// Opus packets of all kinds: narrow and wide, mono and stereo, of 2.5 to 120 ms.
fn opus_packets(dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    for (rate, channels) in [(8_000, 1), (16_000, 2), (48_000, 1), (48_000, 2)] {
        let stream = SettingsUpdate::default().with("sample_rate", rate).with("channels", channels);
        let settings = Settings::default().with(&stream.with("fec", true)).unwrap();
        let mut sandbox = AudioSandbox::new(settings).unwrap();
        for units in [1, 8, 8, 24, 48] {
            let block = dice.samples(settings.sample_rate().samples_per_unit() * units * channels as usize);
            let mut packet = Packets::default();
            sandbox.encode(&block, &mut Scratch::default(), &mut packet).unwrap();
            packets.push(packet[0].to_vec());
        }
    }
    packets
}

/// A packet of the format in force.
fn good_packet(dice: &mut Dice, settings: &Settings, opus: &[Vec<u8>]) -> Vec<u8> {
    match settings.input_format() {
        Format::Opus => dice.one_of(opus).clone(),
        Format::Pcm(format) => {
            let frames = settings.input_sample_rate() as usize * dice.one_of(&[1, 5, 20, 120]) / 1_000;
            let mut bytes = Vec::new();
            format.encode(&dice.samples(frames * settings.channel_count()), &mut bytes);
            bytes
        }
    }
}

/// Something that `config` accepts: everything that a stream consists of, every stage, every quality.
fn good_config(dice: &mut Dice) -> Value {
    let flag = dice.below(2) == 1;
    match dice.below(16) {
        0 => json!({ "sample_rate": dice.one_of(&[8_000, 12_000, 16_000, 24_000, 48_000]) }),
        1 => json!({ "channels": dice.one_of(&[1, 2]) }),
        2 | 3 => json!({ "quality": dice.one_of(&["battery_saver", "balanced", "high_quality"]) }),
        4 => json!({ "input_format": dice.one_of(&["opus", "f32le", "s24le", "s16le"]) }),
        5 => json!({ "output_format": dice.one_of(&["opus", "f32le", "f32le", "s24le", "s16le"]) }),
        6 => {
            json!({ "input_sample_rate": dice.one_of(&[json!("same"), json!(8_000), json!(22_050), json!(96_000)]) })
        }
        7 => json!({ "output_sample_rate": dice.one_of(&[json!("same"), json!(44_100), json!(12_000)]) }),
        8 => json!({ "packet_ms": dice.one_of(&[2.5, 20.0, 60.0, 120.0]), "dtx": flag }),
        9 => json!({ "noise_gate": flag, "compressor": { "ratio": 1 + dice.below(50), "enabled": !flag } }),
        10 => {
            json!({ "equaliser": { "band_3_kind": dice.one_of(&["peak", "low_pass", "off"]), "band_3_gain_db": 9 } })
        }
        11 => json!({ "spatial": { "width": 2, "pan": -0.5, "depth": 0.5, "enabled": flag } }),
        12 => json!({ "limiter": { "look_ahead_ms": dice.one_of(&[1.5, 3.0, 5.0]), "ceiling_db": -6 } }),
        13 => json!({ "voice_activity": flag, "genre": !flag, "metering": flag }),
        14 => json!({ "intensity": dice.below(3), "denoise": { "strength": 0.7, "enabled": flag } }),
        _ => json!({ "bitrate": 6_000 + 1_000 * dice.below(200), "complexity": dice.below(11), "fec": flag,
                     "expected_loss_percent": dice.below(100), "application": dice.one_of(&["voip", "audio", "lowdelay"]) }),
    }
}

/// What one step of a client was answered with, up to the `pong` behind it.
fn answers(client: &mut Client, message: Message) -> Vec<Result<Vec<u8>, Value>> {
    client.socket.send(message).unwrap();
    client.socket.send(Message::text(r#"{"command":"ping"}"#)).unwrap();
    let mut answers = Vec::new();
    loop {
        match client.read_audio() {
            Err(text) if text["type"] == "pong" => return answers,
            answer => answers.push(answer),
        }
    }
}

fn command(name: &str, mut fields: Value) -> Message {
    fields["command"] = name.into();
    Message::text(fields.to_string())
}

/// Does what a session does, in a sandbox of its own.
struct Alone {
    settings: Settings,
    sandbox: AudioSandbox,
    scratch: Scratch,
}

impl Alone {
    fn new() -> Alone {
        let settings = Settings::default();
        Alone { settings, sandbox: AudioSandbox::new(settings).unwrap(), scratch: Scratch::default() }
    }

    fn configure(&mut self, wishes: &Value) {
        let update: SettingsUpdate = serde_json::from_value(wishes.clone()).unwrap();
        self.settings = self.settings.with(&update).unwrap();
        self.sandbox.configure(&self.settings).unwrap();
    }

    fn process(&mut self, incoming: Incoming<'_>) -> Vec<Vec<u8>> {
        let mut out = Packets::default();
        self.sandbox.process(incoming, &mut self.scratch, &mut out).unwrap();
        out.iter().map(<[u8]>::to_vec).collect()
    }
}

/// A client that changes everything that it may, all the time: what it hears is what a sandbox of its own makes of the
/// same.
fn switch_everything(mut client: Client, seed: u64, steps: usize) {
    let mut dice = Dice(seed);
    let opus = opus_packets(&mut dice);
    let mut alone = Alone::new();
    for step in 0..steps {
        let (message, expected) = match dice.below(8) {
            0..=2 => {
                let wishes = good_config(&mut dice);
                alone.configure(&wishes);
                (command("config", wishes), Vec::new())
            }
            3 => {
                let packets = 1 + dice.below(3);
                let lost = Incoming::Lost { next: None };
                let expected = (0..packets).flat_map(|_| alone.process(lost)).collect();
                (command("lost", json!({ "packets": packets })), expected)
            }
            4 if dice.below(4) == 0 => {
                alone.sandbox.restart().unwrap();
                (command("reset", json!({})), Vec::new())
            }
            _ => {
                let packet = good_packet(&mut dice, &alone.settings, &opus);
                (Message::binary(packet.clone()), alone.process(Incoming::Packet(&packet)))
            }
        };
        let what: String = message.to_string().chars().take(200).collect();
        let mut heard = Vec::new();
        for answer in answers(&mut client, message) {
            match answer {
                Ok(packet) => heard.push(packet),
                Err(text) => assert_ne!(text["type"], "error", "step {step} of {seed}, {what}: {text}"),
            }
        }
        // An empty packet of PCM, which a resampler that still fills up gives, is a message too.
        assert!(heard == expected, "step {step} of {seed}, {what}: not what a lone run gives");
    }
}

/// What is no good, whatever the format.
fn bad_packet(dice: &mut Dice, settings: &Settings, opus: &[Vec<u8>]) -> Vec<u8> {
    let floats =
        |value: f32, count: usize| std::iter::repeat_n(value.to_le_bytes(), count).flatten().collect();
    let good = good_packet(dice, settings, opus);
    match dice.below(12) {
        0 => Vec::new(),
        1 => dice.bytes(1_400),
        2 => good[..dice.below(good.len())].to_vec(),
        3 => [&good[..], &good[..1]].concat(),
        4 => floats(*dice.one_of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, f32::MAX]), 480),
        5 => floats(*dice.one_of(&[1e-42, f32::MIN_POSITIVE, -0.0, 1e-30]), 1 + dice.below(960)),
        6 => vec![0; 2 * (1 + dice.below(60))],
        // More entries than there may be, a length behind which nothing is, half a length.
        7 => [[0, 0].repeat(49), vec![0, 1, 0xF8], vec![0, 0]].concat(),
        8 => vec![0xFF; 1 + dice.below(4)],
        9 => vec![*dice.one_of(&[0, 0x7F, 0xFF]); 60_000],
        10 => {
            let mut writer = MessageWriter::default();
            for _ in 0..dice.below(20) {
                let mut entry = match dice.below(3) {
                    0 => dice.bytes(300),
                    _ => good_packet(dice, settings, opus),
                };
                entry.truncate(MAX_PACKET_BYTES);
                let entry = if entry.is_empty() { Entry::Missing } else { Entry::Packet(&entry) };
                writer.push(entry).unwrap();
            }
            let mut message = writer.into_message();
            message.truncate(500_000);
            message
        }
        _ => good,
    }
}

fn bad_text(dice: &mut Dice) -> String {
    const VALUES: [&str; 22] = [
        "null",
        "true",
        "[]",
        "[1]",
        "{}",
        r#"{"a":{"b":1}}"#,
        r#""""#,
        r#""NaN""#,
        r#""Infinity""#,
        "-0.0",
        "0",
        "-1",
        "1e308",
        "-1e308",
        "5e-324",
        "0.001",
        "9223372036854775807",
        "18446744073709551616",
        "1e999",
        "NaN",
        "2.5",
        r#"{"enabled":null,"ratio":1e308,"ceiling_db":"x"}"#,
    ];
    let names: Vec<String> =
        SettingsUpdate::names().chain(["", "enabled", "limiter.", "\u{0}"].map(str::to_owned)).collect();
    let (name, value, other) = (dice.one_of(&names), dice.one_of(&VALUES), dice.one_of(&VALUES));
    match dice.below(8) {
        0 => format!(r#"{{"command":"lost","packets":{value}}}"#),
        1 => format!(r#"{{"command":{value}}}"#),
        2 => format!(r#"{{"command":"config","{name}":{value},"{name}":{other}}}"#),
        3 => String::from_utf8_lossy(&dice.bytes(200)).into_owned(),
        4 => "[".repeat(dice.below(5_000)),
        5 => format!(r#"{{"command":"config","{}":1}}"#, "x".repeat(dice.below(4_200))),
        6 => format!(r#"{{"command":"config","max_processing_time_ms":{value}}}"#),
        _ => format!(r#"{{"command":"config","{name}":{value}}}"#),
    }
}

/// A client that sends what it should not, and checks that each answer is an answer.
fn attack(mut client: Client, seed: u64, go_on: &dyn Fn(usize) -> bool) {
    let mut dice = Dice(seed);
    let opus = opus_packets(&mut dice);
    let mut settings = Settings::default();
    for step in 0.. {
        if !go_on(step) {
            return;
        }
        let message = match dice.below(8) {
            0 | 1 => command("config", good_config(&mut dice)),
            2 | 3 => Message::text(bad_text(&mut dice)),
            4 if dice.below(4) == 0 => command("config", json!({ "framing": dice.below(2) == 1 })),
            5 if dice.below(4) == 0 => command("reset", json!({})),
            _ => Message::binary(bad_packet(&mut dice, &settings, &opus)),
        };
        let what: String = message.to_string().chars().take(300).collect();
        let what = format!("step {step} of {seed}, {what}");
        let is_text = message.is_text();
        let answers = answers(&mut client, message);
        assert!(!is_text || !answers.is_empty(), "{what}: no answer");
        for answer in answers {
            match answer {
                Ok(packet) => check_sound(&packet, &settings, &what),
                Err(text) if text["type"] == "error" => check_error(&text, &what),
                Err(text) if text["type"] == "config_updated" => settings = in_force(text),
                Err(_) => {}
            }
        }
    }
}

fn in_force(mut told: Value) -> Settings {
    let fields = told.as_object_mut().unwrap();
    ["type", "delay_ms"].iter().for_each(|name| drop(fields.remove(*name)));
    Settings::default().with(&serde_json::from_value(told).unwrap()).unwrap()
}

fn check_sound(message: &[u8], settings: &Settings, what: &str) {
    let check = |packet: &[u8]| {
        let is_float = matches!(settings.output_format(), Format::Pcm(sandbox::pcm::SampleFormat::F32Le));
        for sample in packet.chunks_exact(4).filter(|_| is_float) {
            let sample = f32::from_le_bytes(sample.try_into().unwrap());
            assert!(sample.is_finite(), "{what}: {sample}");
        }
    };
    if !settings.framing() {
        return check(message);
    }
    for entry in Entries::parse(message).unwrap_or_else(|error| panic!("{what}: {error}")) {
        if let Entry::Packet(packet) = entry {
            check(packet);
        }
    }
}

fn check_error(error: &Value, what: &str) {
    let known = ["INVALID_CONFIG", "INVALID_COMMAND", "UNKNOWN_COMMAND", "INVALID_PACKET"];
    assert!(known.contains(&error["code"].as_str().unwrap()), "{what}: {error}");
    let message = error["message"].as_str().unwrap();
    assert!((10..4_000).contains(&message.len()), "{what}: {error}");
    assert!(!message.contains(&"0".repeat(30)) && !message.chars().any(char::is_control), "{what}: {error}");
}

/// A server that takes 120 ms of any PCM in a message.
fn start() -> ServerProcess {
    ServerProcess::start(&["--pool-max", "16", "--max-message", "1MiB"])
}

/// How many steps a client takes. `SANDPOOL_HOSTILE_STEPS` makes it a longer hunt.
fn steps() -> usize {
    std::env::var("SANDPOOL_HOSTILE_STEPS").map_or(250, |steps| steps.parse().expect("a number of steps"))
}

#[test]
fn a_client_that_switches_everything_hears_what_a_lone_sandbox_gives_while_others_send_anything() {
    let server = start();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (client, done) = (Client::welcome(server.addr).0, &done);
            scope.spawn(move || attack(client, seed, &|_| !done.load(Ordering::Relaxed)));
        }
        let good: Vec<_> = (100..102)
            .map(|seed| {
                let client = Client::welcome(server.addr).0;
                scope.spawn(move || switch_everything(client, seed, steps()))
            })
            .collect();
        let results: Vec<_> = good.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.unwrap());
    });
    let pool = server.pool_becomes(|pool| pool["leased"] == 0);
    assert_eq!(pool["discarded"], 0, "a sandbox failed: {pool}");
}

#[test]
fn anything_at_all_is_answered_by_sound_or_an_error_that_says_what_is_wrong() {
    let server = start();
    std::thread::scope(|scope| {
        for seed in 200..204 {
            let client = Client::welcome(server.addr).0;
            scope.spawn(move || attack(client, seed, &|step| step < steps()));
        }
    });
    let pool = server.pool_becomes(|pool| pool["leased"] == 0);
    assert_eq!(pool["discarded"], 0, "a sandbox failed: {pool}");
}

#[test]
fn every_bad_setting_is_answered_by_its_name_what_was_got_and_what_is_accepted() {
    let server = ServerProcess::start(&[]);
    let (mut client, _) = Client::welcome(server.addr);
    for (fields, said) in [
        (r#""sample_rate":1e308"#, "sample_rate: got 1e308, accepted: 8000, "),
        (
            r#""bitrate":18446744073709551616"#,
            "bitrate: got 18446744073709552000, accepted: a whole number from 6000",
        ),
        (r#""intensity":"NaN""#, "intensity: got \"NaN\", accepted: a number from 0 to 2"),
        (r#""intensity":[1]"#, "intensity: got a list, accepted: "),
        (r#""compressor":[]"#, "compressor: got a list, accepted: true, false or a map of its parameters"),
        (
            r#""compressor":{"ratio":{}}"#,
            "compressor.ratio: got an empty map, accepted: a number from 1 to 50",
        ),
        (r#""compressor":{"rate":3}"#, "unknown setting \"compressor.rate\": accepted are "),
        (r#""bitrat":null"#, "unknown setting \"bitrat\": accepted are "),
        (r#""dtx":true,"dtx":false"#, "\"dtx\" is named twice: each name is accepted once"),
        (r#""limiter":{"ceiling_db":-1},"limiter.ceiling_db":-2"#, "\"limiter.ceiling_db\" is named twice"),
        (
            r#""max_processing_time_ms":-1"#,
            "max_processing_time_ms: got -1, accepted: 0 for no limit, or a number up",
        ),
    ] {
        let error = client.command(&format!(r#"{{"command":"config",{fields}}}"#));
        let message = error["message"].as_str().unwrap();
        assert!(message.starts_with(said) && message.len() < 3_000, "{fields}: {message}");
    }
    // Null leaves a setting as it is, and zero has no sign.
    let updated = client.command(r#"{"command":"config","bitrate":null,"limiter":null,"spatial.pan":-0.0}"#);
    assert_eq!((&updated["bitrate"], &updated["limiter"]["enabled"]), (&json!(32_000), &json!(false)));
    assert_eq!(updated["spatial"]["pan"].to_string(), "0.0");
}
