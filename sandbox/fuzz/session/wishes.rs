//! Settings of any kind.

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use sandbox::{RawValue, Settings, SettingsUpdate};

use super::checks::assert_printable;

/// What is asked for at once.
#[derive(Debug, Arbitrary)]
pub(super) enum Wishes {
    /// Text that might be JSON.
    Json(String),
    Any(Vec<(Name, Value)>),
    /// A stream, and which stages run on it: all of them valid.
    Stream {
        rate: u8,
        channels: bool,
        formats: u8,
        rates: u8,
        packet: u8,
        application: u8,
    },
    Stages {
        on: u16,
        quality: u8,
    },
    Encoder {
        bitrate: u16,
        flags: u8,
        complexity: u8,
        loss: u8,
    },
}

#[derive(Debug, Arbitrary)]
pub(super) enum Name {
    /// One that there is.
    Known(u8),
    Any(String),
}

#[derive(Debug, Arbitrary)]
pub(super) enum Value {
    Flag(bool),
    Whole(i64),
    /// A small number with a fraction: in 64ths.
    Small(i16),
    Number(f64),
    /// One that is accepted somewhere.
    Word(u8),
    Text(String),
    List,
    Map(Vec<(Name, i16)>),
    /// Maps in maps, so deep.
    Deep(u8),
    Null,
}

const RATES: [i64; 9] = [8_000, 12_000, 16_000, 24_000, 48_000, 22_050, 32_000, 44_100, 96_000];
const FORMATS: [&str; 4] = ["opus", "f32le", "s24le", "s16le"];
const QUALITIES: [&str; 3] = ["battery_saver", "balanced", "high_quality"];
const PACKETS_MS: [f64; 9] = [2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0];
const APPLICATIONS: [&str; 3] = ["voip", "audio", "lowdelay"];
const STAGES: [&str; 8] =
    ["denoise", "noise_gate", "compressor", "equaliser", "spatial", "limiter", "voice_activity", "metering"];
const BANDS: [&str; 5] = ["peak", "low_shelf", "high_shelf", "low_pass", "high_pass"];
const SIGNALS: [&str; 3] = ["auto", "voice", "music"];

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| SettingsUpdate::names().collect());

/// `settings` with all wishes put on that are accepted, one after the other.
pub(super) fn put_on(settings: Settings, wishes: &[Wishes]) -> Settings {
    wishes.iter().fold(settings, |settings, wishes| {
        let updates = wishes.updates();
        updates.iter().fold(settings, |settings, update| match settings.with(update) {
            Ok(settings) => {
                assert_reads_back(&settings);
                settings
            }
            Err(error) => {
                assert_printable(&error);
                settings
            }
        })
    })
}

/// What is told of settings is accepted, and gives the same settings.
fn assert_reads_back(settings: &Settings) {
    let told = serde_json::to_string(settings).expect("settings are told");
    let again: SettingsUpdate = serde_json::from_str(&told).expect("what was told");
    assert_eq!(Settings::default().with(&again).as_ref(), Ok(settings), "{told}");
    assert!(settings.delay().as_secs() < 1);
}

impl Wishes {
    fn updates(&self) -> Vec<SettingsUpdate> {
        match self {
            Wishes::Json(text) => serde_json::from_str(text).into_iter().collect(),
            Wishes::Any(wishes) => {
                // Each by itself, so that a bad one does not spoil the others; and all together.
                let single = wishes.iter().map(|(name, value)| {
                    let mut update = SettingsUpdate::default();
                    update.set(&name.text(), value.raw());
                    update
                });
                let mut all = SettingsUpdate::default();
                wishes.iter().for_each(|(name, value)| all.set(&name.text(), value.raw()));
                single.chain(std::iter::once(all)).collect()
            }
            Wishes::Stream { rate, channels, formats, rates, packet, application } => {
                vec![SettingsUpdate::default()
                    .with("sample_rate", *of(&RATES[..5], *rate))
                    .with("channels", 1 + i64::from(*channels))
                    .with("input_format", *of(&FORMATS, *formats))
                    .with("output_format", *of(&FORMATS, formats / 4))
                    .with("input_sample_rate", *of(&RATES, *rates))
                    .with("output_sample_rate", *of(&RATES, rates / 9))
                    .with("packet_ms", *of(&PACKETS_MS, *packet))
                    .with("application", *of(&APPLICATIONS, *application))]
            }
            Wishes::Stages { on, quality } => {
                let update = SettingsUpdate::default()
                    .with("quality", *of(&QUALITIES, *quality))
                    .with("equaliser.band_1_kind", *of(&BANDS, quality / 3))
                    .with("equaliser.band_3_kind", *of(&BANDS, quality / 15));
                vec![STAGES
                    .into_iter()
                    .enumerate()
                    .fold(update, |update, (bit, name)| update.with(name, on >> bit & 1 == 1))]
            }
            Wishes::Encoder { bitrate, flags, complexity, loss } => {
                vec![SettingsUpdate::default()
                    .with("bitrate", 6_000 + 8 * i64::from(*bitrate) % 504_000)
                    .with("complexity", i64::from(complexity % 11))
                    .with("expected_loss_percent", i64::from(loss % 101))
                    .with("vbr", flags & 1 == 1)
                    .with("dtx", flags & 2 == 2)
                    .with("fec", flags & 4 == 4)
                    .with("signal", *of(&SIGNALS, flags / 8))]
            }
        }
    }
}

impl Name {
    fn text(&self) -> String {
        match self {
            Name::Known(which) => of(&NAMES, *which).clone(),
            Name::Any(text) => text.clone(),
        }
    }
}

impl Value {
    fn raw(&self) -> RawValue {
        match self {
            Value::Flag(flag) => (*flag).into(),
            Value::Whole(whole) => (*whole).into(),
            Value::Small(small) => (f64::from(*small) / 64.0).into(),
            Value::Number(number) => (*number).into(),
            Value::Word(which) => {
                let words = [
                    &FORMATS[..],
                    &QUALITIES,
                    &APPLICATIONS,
                    &BANDS,
                    &SIGNALS,
                    &["off", "same", "mono", "stereo"],
                ]
                .concat();
                (*of(&words, *which)).into()
            }
            Value::Text(text) => RawValue::from_text(text),
            Value::List => RawValue::List(Vec::new()),
            Value::Map(parts) => {
                let part = |(name, small): &(Name, i16)| {
                    let name = name.text();
                    let last = name.rsplit('.').next().unwrap_or_default().to_owned();
                    (last, RawValue::Number(f64::from(*small) / 64.0))
                };
                RawValue::Map(parts.iter().map(part).collect())
            }
            Value::Deep(depth) => (0..*depth)
                .fold(RawValue::Bool(true), |inner, _| RawValue::Map([("deeper".to_owned(), inner)].into())),
            Value::Null => RawValue::Null(()),
        }
    }
}

fn of<T>(list: &[T], which: u8) -> &T {
    &list[usize::from(which) % list.len()]
}
