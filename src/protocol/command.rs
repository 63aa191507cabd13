//! What a client asks for in a text message.

use sandbox::SettingsUpdate;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::once::Once;
use super::reply::ErrorCode;

/// The longest text message, in bytes. A command that names every setting has half of it.
pub const MAX_COMMAND_BYTES: usize = 4096;

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Is anybody there?
    Ping,
    /// What has this session done so far?
    Stats,
    /// Forget the signal so far; the settings stay.
    Reset,
    /// Packets were lost on their way: answer as if they had come.
    Lost {
        /// How many, 1 to [`MAX_LOST`].
        packets: usize,
    },
    /// Change settings, all that are named or none.
    Config(SettingsUpdate),
}

/// The most packets that one command can tell as lost: a second in packets of 20 ms.
pub const MAX_LOST: usize = 50;

/// Why a text message is no command.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// It is too long.
    #[error("a command of {bytes} bytes: at most {MAX_COMMAND_BYTES} are accepted")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is not JSON.
    #[error("not JSON: {0}; accepted: an object such as {{\"command\":\"ping\"}}")]
    NotJson(String),
    /// It names something twice: which of the two would count is nothing to guess at.
    #[error("{0}: each name is accepted once")]
    Twice(String),
    /// It is JSON, but not an object that names a command.
    #[error("no command named: accepted is an object with `command` (or `type`): {ACCEPTED}")]
    NoCommand,
    /// It tells more packets as lost than there can be, or none.
    #[error("packets: got {got}, accepted: a whole number from 1 to {MAX_LOST}")]
    BadLost {
        /// The value, as it was written.
        got: String,
    },
    /// It names a command that there isn't.
    #[error("unknown command {0:?}: accepted are {ACCEPTED}")]
    Unknown(String),
}

const ACCEPTED: &str = "ping, stats, reset, lost, config";

/// How much of a wrong name is repeated to the client.
const SHOWN_CHARS: usize = 40;

impl Command {
    /// Reads a text message. Needs more stack than a coroutine has to spare: run it on the deep stack.
    pub fn parse(text: &str) -> Result<Self, CommandError> {
        if text.len() > MAX_COMMAND_BYTES {
            return Err(CommandError::TooLong { bytes: text.len() });
        }
        let mut object = match serde_json::from_str(text) {
            Ok(Once { twice: Some(name), .. }) => {
                return Err(CommandError::Twice(format!("{:?} is named twice", shown(&name))))
            }
            Ok(Once { value: Value::Object(object), .. }) => object,
            Ok(_) => return Err(CommandError::NoCommand),
            Err(error) => return Err(CommandError::NotJson(error.to_string())),
        };
        let name = object.remove("command").or_else(|| object.get("type").cloned());
        object.remove("type");
        match name.as_ref().and_then(Value::as_str) {
            Some("ping") => Ok(Self::Ping),
            Some("stats") => Ok(Self::Stats),
            Some("reset") => Ok(Self::Reset),
            Some("lost") => Self::lost(&object),
            Some("config") => Self::config(object),
            Some(other) => Err(CommandError::Unknown(shown(other))),
            None => Err(CommandError::NoCommand),
        }
    }

    fn lost(object: &Map<String, Value>) -> Result<Self, CommandError> {
        let packets = object.get("packets").map_or(Some(1), Value::as_u64);
        match packets.and_then(|packets| usize::try_from(packets).ok()) {
            Some(packets @ 1..=MAX_LOST) => Ok(Self::Lost { packets }),
            _ => Err(CommandError::BadLost { got: shown(&object["packets"].to_string()) }),
        }
    }

    fn config(object: Map<String, Value>) -> Result<Self, CommandError> {
        SettingsUpdate::deserialize(Value::Object(object))
            .map(Self::Config)
            // Of whatever kind its values are, nothing else can be wrong here.
            .map_err(|error| CommandError::Twice(error.to_string()))
    }
}

impl CommandError {
    /// The code that the client is told.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::TooLong { .. }
            | Self::NotJson(_)
            | Self::Twice(_)
            | Self::NoCommand
            | Self::BadLost { .. } => ErrorCode::InvalidCommand,
            Self::Unknown(_) => ErrorCode::UnknownCommand,
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_named_by_command_or_type() {
        assert_eq!(Command::parse(r#"{"command":"ping"}"#), Ok(Command::Ping));
        assert_eq!(Command::parse(r#"{"type":"stats"}"#), Ok(Command::Stats));
        assert_eq!(Command::parse(r#"{"command":"lost"}"#), Ok(Command::Lost { packets: 1 }));
        assert_eq!(Command::parse(r#"{"command":"lost","packets":50}"#), Ok(Command::Lost { packets: 50 }));
        assert_eq!(Command::parse(r#"{"type":"whatever","command":"reset"}"#), Ok(Command::Reset));
    }

    #[test]
    fn a_config_carries_the_settings_it_names() {
        let Ok(Command::Config(update)) =
            Command::parse(r#"{"command":"config","sample_rate":16000,"dtx":true}"#)
        else {
            panic!("a config")
        };
        let settings = sandbox::Settings::default().with(&update).unwrap();
        assert_eq!(
            (settings.sample_rate().hz(), settings.dtx(), settings.channel_count()),
            (16_000, true, 1)
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_accepted() {
        for (text, code, part) in [
            ("ping", ErrorCode::InvalidCommand, "not JSON"),
            ("[]", ErrorCode::InvalidCommand, "`command`"),
            ("{}", ErrorCode::InvalidCommand, "ping, stats, reset, lost, config"),
            (r#"{"command":7}"#, ErrorCode::InvalidCommand, "no command named"),
            (r#"{"command":"lost","packets":0}"#, ErrorCode::InvalidCommand, "packets: got 0, accepted"),
            (r#"{"command":"lost","packets":"x"}"#, ErrorCode::InvalidCommand, "from 1 to 50"),
            (r#"{"command":"config","bitrate":1e999}"#, ErrorCode::InvalidCommand, "number out of range"),
            (r#"{"command":"config","bitrate":NaN}"#, ErrorCode::InvalidCommand, "not JSON"),
            (
                r#"{"command":"config","bitrate":16000,"dtx":true,"bitrate":32000}"#,
                ErrorCode::InvalidCommand,
                "\"bitrate\" is named twice: each name is accepted once",
            ),
            (
                r#"{"command":"config","compressor":{"ratio":4,"ratio":4}}"#,
                ErrorCode::InvalidCommand,
                "\"compressor.ratio\" is named twice",
            ),
            (
                r#"{"command":"config","compressor":{"ratio":4},"compressor.ratio":4}"#,
                ErrorCode::InvalidCommand,
                "\"compressor.ratio\" is named twice",
            ),
            (
                r#"{"command":"ping","command":"reset"}"#,
                ErrorCode::InvalidCommand,
                "\"command\" is named twice",
            ),
            (r#"{"command":"pong"}"#, ErrorCode::UnknownCommand, "\"pong\""),
        ] {
            let error = Command::parse(text).unwrap_err();
            assert_eq!(error.code(), code, "{text}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_long_or_deeply_nested_message_is_an_error_and_no_more() {
        assert_eq!(Command::parse(&" ".repeat(5_000)), Err(CommandError::TooLong { bytes: 5_000 }));
        assert!(matches!(Command::parse(&"[".repeat(4_000)), Err(CommandError::NotJson(_))));
    }

    #[test]
    fn what_is_reported_as_in_force_can_be_set() {
        let settings = sandbox::Settings::default();
        let mut message = serde_json::to_value(settings).unwrap();
        message["command"] = "config".into();
        let Ok(Command::Config(update)) = Command::parse(&message.to_string()) else { panic!("a config") };
        assert_eq!(settings.with(&update), Ok(settings));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}") {
            let _ = Command::parse(&text);
        }

        #[test]
        fn no_value_of_a_setting_panics(number in any::<f64>(), text in "\\PC{0,60}", field in any::<proptest::sample::Index>()) {
            let names: Vec<_> = SettingsUpdate::names().collect();
            let name = &names[field.index(names.len())];
            for value in [serde_json::json!(number), serde_json::json!(text), serde_json::json!([1]), Value::Null] {
                let message = serde_json::json!({ "command": "config", name: value }).to_string();
                if let Ok(Command::Config(update)) = Command::parse(&message) {
                    let _ = sandbox::Settings::default().with(&update);
                }
            }
        }
    }
}
