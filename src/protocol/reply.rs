//! What the server says in a text message.

use sandbox::{Event, Readings, Settings, SpeechEvent};
use serde::Serialize;

/// A text message to a client.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Reply<'a> {
    /// The first message of a session.
    Welcome {
        /// A greeting, for people.
        message: &'a str,
        /// The session's number: unique as long as the server runs.
        client_id: u64,
        /// Algorithmic delay from a packet in to its packet out, in milliseconds of signal.
        delay_ms: f64,
        /// Hz.
        sample_rate: u32,
        /// 1 or 2.
        channels: usize,
    },
    /// The answer to `ping`.
    Pong {
        /// The server's clock: seconds since 1970.
        timestamp: f64,
    },
    /// The answer to `stats`.
    Stats(&'a SessionStats),
    /// The signal so far is forgotten.
    ResetDone,
    /// The answer to `config`: everything that is now in force.
    ConfigUpdated {
        /// As in [`Reply::Welcome`].
        delay_ms: f64,
        /// The settings in force.
        #[serde(flatten)]
        settings: &'a Settings,
    },
    /// Somebody began to speak, or stopped.
    Speaking {
        /// Whether somebody speaks now.
        speaking: bool,
        /// Where in the talk spurt's sound, in milliseconds since its beginning.
        at_ms: f64,
    },
    /// The sound is of another genre than before.
    Genre {
        /// The genre's name, or `unknown`.
        genre: &'a str,
        /// How probable it is, 0 to 1.
        confidence: f32,
    },
    /// Something was wrong.
    Error {
        /// What kind of thing.
        code: ErrorCode,
        /// What exactly: what was wrong, what was got, what is accepted.
        message: &'a str,
        /// When it is worth trying again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

impl Reply<'_> {
    /// The message as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a reply has string keys and finite numbers")
    }

    /// What a sandbox heard, in a stream of `sample_rate_hz`.
    pub fn heard(event: Event, sample_rate_hz: u32) -> String {
        let milliseconds = |at: u64| at as f64 * 1e3 / f64::from(sample_rate_hz);
        match event {
            Event::Speech(SpeechEvent::Started { at }) => {
                Reply::Speaking { speaking: true, at_ms: milliseconds(at) }
            }
            Event::Speech(SpeechEvent::Stopped { at }) => {
                Reply::Speaking { speaking: false, at_ms: milliseconds(at) }
            }
            Event::Genre { genre, confidence } => Reply::Genre { genre: genre.name(), confidence },
        }
        .to_json()
    }

    /// An error without a time to try again.
    pub fn error(code: ErrorCode, message: &str) -> String {
        Reply::Error { code, message, retry_after_ms: None }.to_json()
    }
}

/// What was wrong, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// A text message that is no command.
    InvalidCommand,
    /// A command that there isn't.
    UnknownCommand,
    /// A setting that there isn't, or a value out of its range.
    InvalidConfig,
    /// A binary message that holds no packet of the session's format.
    InvalidPacket,
    /// No sandbox came free in time.
    PoolExhausted,
    /// The server failed at a good packet. The session goes on with a new sandbox.
    ProcessingFailed,
    /// The server is shutting down.
    ShuttingDown,
}

/// What a session has done so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SessionStats {
    /// The session's number.
    pub client_id: u64,
    /// Since the session began, in seconds.
    pub uptime_seconds: f64,
    /// Hz.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: usize,
    /// Packets answered.
    pub frames: u64,
    /// Packets answered with an error.
    pub errors: u64,
    /// Time spent on the last packet, in milliseconds.
    pub processing_time_ms: f64,
    /// Time spent on a packet on average, in milliseconds.
    pub average_processing_time_ms: f64,
    /// Bytes of all packets that came.
    pub input_size: u64,
    /// Bytes of all packets that went.
    pub output_size: u64,
    /// `input_size / output_size`, 0 before the first packet.
    pub compression_ratio: f64,
    /// Leases taken: one a talk spurt.
    pub talk_spurts: u64,
    /// Lost packets that were recovered from the packet behind them.
    pub recovered: u64,
    /// Lost packets that were concealed.
    pub concealed: u64,
    /// Packets that went on without optional stages, for their time was spent.
    pub over_budget: u64,
    /// What the meters show, of those that run while the session holds a sandbox.
    #[serde(flatten)]
    pub readings: Readings,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_have_the_documented_fields() {
        let welcome = Reply::Welcome {
            message: "hello",
            client_id: 3,
            delay_ms: 6.5,
            sample_rate: 48_000,
            channels: 1,
        }
        .to_json();
        let welcome: serde_json::Value = serde_json::from_str(&welcome).unwrap();
        assert_eq!(welcome["type"], "welcome");
        assert_eq!(
            (&welcome["client_id"], &welcome["sample_rate"], &welcome["channels"]),
            (&3.into(), &48_000.into(), &1.into())
        );
        assert_eq!(Reply::ResetDone.to_json(), r#"{"type":"reset_done"}"#);
        assert_eq!(
            Reply::error(ErrorCode::PoolExhausted, "later"),
            r#"{"type":"error","code":"POOL_EXHAUSTED","message":"later"}"#
        );
    }
}
