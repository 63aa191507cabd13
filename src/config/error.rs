//! What can be wrong with a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a setting's value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// A variable of the environment; its name.
    Environment(String),
    /// A flag on the command line; with its dashes.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path) => write!(f, "file {}", path.display()),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A setting with its value and where that came from.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The setting's name, as in the file.
    pub setting: &'static str,
    /// Its value.
    pub value: String,
    /// Where the value came from.
    pub origin: Source,
}

impl fmt::Display for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (from {})", self.setting, self.value, self.origin)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting has a value it can't have.
    #[error("{setting}: {value:?} (from {origin}) is not accepted; it must be {accepted}")]
    BadValue {
        /// The setting's name, as in the file.
        setting: &'static str,
        /// Where the value came from. (Not `source`: that is a cause to `thiserror`.)
        origin: Source,
        /// What was given.
        value: String,
        /// What may be given.
        accepted: String,
    },
    /// Two settings don't go together.
    #[error("{first} does not go with {second}; {rule}")]
    Conflict {
        /// The first setting.
        first: Box<Chosen>,
        /// The second one.
        second: Box<Chosen>,
        /// What must be the case.
        rule: &'static str,
    },
    /// A setting asks for more than the machine allows.
    #[error(
        "{setting}: {value} (from {origin}) is more than this machine allows: at most {most}, for {reason}"
    )]
    BeyondMachine {
        /// The setting's name.
        setting: &'static str,
        /// Where its value came from.
        origin: Source,
        /// Its value.
        value: String,
        /// The most that is allowed.
        most: usize,
        /// Which limit it is, and how to raise it.
        reason: String,
    },
    /// The process may open so few files that nothing can be served.
    #[error("max_connections: the process may open {files} files (RLIMIT_NOFILE), and {needed} are the least that are needed; raise it with `ulimit -n`")]
    TooFewFiles {
        /// How many it may open.
        files: usize,
        /// How many are needed.
        needed: usize,
    },
    /// The file names a setting there is none of.
    #[error("{name:?} (in file {}) is no setting{}; `sandpool serve --print-config` lists all", path.display(), suggest(*.similar))]
    UnknownSetting {
        /// The file.
        path: PathBuf,
        /// The name in it.
        name: String,
        /// A setting with nearly that name.
        similar: Option<&'static str>,
    },
    /// The file gives a setting a list, a table or a date.
    #[error("{setting}: a value of type {kind} (from file {}) is not accepted; it must be {accepted}", path.display())]
    BadShape {
        /// The setting's name.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was given.
        kind: &'static str,
        /// What may be given.
        accepted: String,
    },
    /// The file can't be read.
    #[error("config: file {} can't be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file is not TOML.
    #[error("config: file {} is not TOML: {message}", path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// What is wrong and where.
        message: String,
    },
}

fn suggest(similar: Option<&'static str>) -> String {
    similar.map_or_else(String::new, |name| format!(" (did you mean {name}?)"))
}
