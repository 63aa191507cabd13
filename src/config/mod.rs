//! The server's configuration: defaults, then a file, then the environment, then flags; each one overrides
//! those before it.
//!
//! ```text
//!   settings ── the one table: name, bounds, default, help of every setting
//!   value ───── the types of settings, and how people write them
//!   machine ─── what the machine allows: defaults and upper bounds hang on it
//!   load ────── the sources in their order ──► Loaded: the configuration, and where each value came from
//! ```
//!
//! All of it is parsed once, into types, before any socket is opened. A bad value is a [`ConfigError`] that
//! names the setting, its source, the value and what is accepted.

mod error;
mod load;
mod machine;
mod settings;
mod value;

pub use error::{Chosen, ConfigError, Source};
pub use load::{flags, load, Given, Loaded, CONFIG_FLAG};
pub use machine::Machine;
pub use settings::ServerConfig;
pub use value::{parse_duration, show_duration, ByteSize, LogFormat, LogLevel};
