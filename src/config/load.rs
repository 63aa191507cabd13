//! From the sources to one configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches};

use super::error::{Chosen, ConfigError, Source};
use super::machine::{Machine, FEWEST_FILES};
use super::settings::{ServerConfig, Setting, SETTINGS};

/// The flag that names the file; its variable of the environment is `SANDPOOL_CONFIG`.
pub const CONFIG_FLAG: &str = "config";

const PREFIX: &str = "SANDPOOL_";

/// A configuration, and where each value in it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is in force.
    pub config: ServerConfig,
    /// What the machine allows.
    pub machine: Machine,
    /// What the operator should know although nothing is wrong, a line each.
    pub notices: Vec<String>,
    /// In the order of the table.
    origins: Vec<Source>,
}

impl Loaded {
    /// Where the setting's value came from; `None` when there is no such setting.
    pub fn origin(&self, key: &str) -> Option<&Source> {
        index_of(key).map(|index| &self.origins[index])
    }
}

/// The configuration as a file that would give the same, each value with its source behind it.
impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = SETTINGS
            .iter()
            .map(|setting| format!("{} = {}", setting.key, as_toml(&(setting.show)(&self.config))))
            .collect();
        let width = lines.iter().map(String::len).max().unwrap_or(0);
        for (line, origin) in lines.iter().zip(&self.origins) {
            writeln!(f, "{line:width$}  # {origin}")?;
        }
        Ok(())
    }
}

/// What people gave, as text, before anything is looked at.
#[derive(Clone, Debug, Default)]
pub struct Given {
    file: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    flags: BTreeMap<&'static str, String>,
}

impl Given {
    /// What the command line gave, with [`flags`] among its arguments.
    pub fn from_flags(matches: &ArgMatches) -> Given {
        let value = |name: &str| matches.get_one::<String>(name).cloned();
        let given = SETTINGS.iter().filter_map(|setting| Some((setting.key, value(setting.flag)?)));
        Given {
            flags: given.collect(),
            file: value(CONFIG_FLAG).map(PathBuf::from),
            environment: BTreeMap::new(),
        }
    }

    /// And what the environment gives, as pairs of names and values. An empty value counts as none.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Given {
        let ours =
            variables.into_iter().filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty());
        self.environment = ours.collect();
        self
    }
}

/// The flags of all settings and `--config FILE`, their help with the defaults for `machine`.
pub fn flags(machine: &Machine) -> Vec<Arg> {
    let defaults = ServerConfig::default_for(machine);
    let file = Arg::new(CONFIG_FLAG)
        .long(CONFIG_FLAG)
        .value_name("FILE")
        .help("A TOML file of settings, named as the flags with _ for - [env: SANDPOOL_CONFIG]");
    let settings = SETTINGS.iter().map(|setting| {
        let default = (setting.show)(&defaults);
        let arg = Arg::new(setting.flag)
            .long(setting.flag)
            .value_name(setting.placeholder)
            .help(format!("{} [default: {default}]", setting.help.trim()))
            .long_help(format!(
                "{}\n\nIt is {}.\n[default: {default}] [env: {}]",
                setting.help.trim(),
                (setting.accepts)(),
                variable(setting)
            ));
        match default.as_str() {
            // A switch needs no value: `--chaos` is `--chaos=true`.
            "false" => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            _ => arg.action(ArgAction::Set).allow_hyphen_values(true),
        }
    });
    std::iter::once(file).chain(settings).collect()
}

/// Puts the sources together and checks the whole.
pub fn load(given: &Given, machine: Machine) -> Result<Loaded, ConfigError> {
    let mut loading = Loading {
        config: ServerConfig::default_for(&machine),
        origins: vec![Source::Default; SETTINGS.len()],
    };
    let named_by_variable = given.environment.get("SANDPOOL_CONFIG").map(PathBuf::from);
    if let Some(path) = given.file.clone().or(named_by_variable) {
        loading.read_file(&path)?;
    }
    for (index, setting) in SETTINGS.iter().enumerate() {
        let name = variable(setting);
        if let Some(value) = given.environment.get(&name) {
            loading.put(index, value, Source::Environment(name))?;
        }
        if let Some(value) = given.flags.get(setting.key) {
            loading.put(index, value, Source::Flag(format!("--{}", setting.flag)))?;
        }
    }
    loading.fit_defaults();
    loading.check_pairs()?;
    loading.check_machine(&machine)?;
    let notices = loading.notices(given, &machine);
    Ok(Loaded { config: loading.config, machine, notices, origins: loading.origins })
}

struct Loading {
    config: ServerConfig,
    origins: Vec<Source>,
}

impl Loading {
    fn put(&mut self, index: usize, value: &str, origin: Source) -> Result<(), ConfigError> {
        let setting = &SETTINGS[index];
        (setting.put)(&mut self.config, value.trim()).map_err(|()| ConfigError::BadValue {
            setting: setting.key,
            origin: origin.clone(),
            value: value.into(),
            accepted: (setting.accepts)(),
        })?;
        self.origins[index] = origin;
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable { path: path.into(), cause })?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::NotToml {
            path: path.into(),
            message: error.to_string(),
        })?;
        for (name, value) in table {
            let Some(index) = index_of(&name) else {
                let similar = similar_to(&name);
                return Err(ConfigError::UnknownSetting { path: path.into(), name, similar });
            };
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(truth) => truth.to_string(),
                other => {
                    return Err(ConfigError::BadShape {
                        setting: SETTINGS[index].key,
                        path: path.into(),
                        kind: other.type_str(),
                        accepted: (SETTINGS[index].accepts)(),
                    })
                }
            };
            self.put(index, &text, Source::File(path.into()))?;
        }
        Ok(())
    }

    fn origin(&self, key: &str) -> &Source {
        &self.origins[index_of(key).expect("only settings of the table are asked for")]
    }

    fn is_default(&self, key: &str) -> bool {
        *self.origin(key) == Source::Default
    }

    /// A default never stands in the way of what somebody chose.
    fn fit_defaults(&mut self) {
        if self.is_default("pool_min") {
            self.config.pool_min = self.config.pool_min.min(self.config.pool_max);
        } else if self.is_default("pool_max") {
            self.config.pool_max = self.config.pool_max.max(self.config.pool_min);
        }
        if self.is_default("max_connections") {
            self.config.max_connections = self.config.max_connections.min(self.config.max_coroutines / 2);
        }
        if self.is_default("max_buffered_bytes") {
            self.config.max_buffered_bytes = self.config.max_buffered_bytes.max(self.config.max_body);
        } else if self.is_default("max_body") {
            self.config.max_body = self.config.max_body.min(self.config.max_buffered_bytes);
        }
        if self.is_default("request_soft_limit") {
            self.config.request_soft_limit =
                self.config.request_soft_limit.min(self.config.request_hard_limit);
        } else if self.is_default("request_hard_limit") {
            self.config.request_hard_limit =
                self.config.request_hard_limit.max(self.config.request_soft_limit);
        }
    }

    fn check_pairs(&self) -> Result<(), ConfigError> {
        let config = &self.config;
        // With port 0 the system gives each its own.
        let same_address = config.listen == config.ops && config.listen.port() != 0;
        let rules = [
            (
                "pool_min",
                "pool_max",
                config.pool_min <= config.pool_max,
                "pool_min must not be above pool_max",
            ),
            (
                "request_soft_limit",
                "request_hard_limit",
                config.request_soft_limit <= config.request_hard_limit,
                "the soft limit must not be above the hard one",
            ),
            (
                "max_connections",
                "max_coroutines",
                config.max_connections < config.max_coroutines,
                "every connection may need a coroutine, and requests need some more",
            ),
            (
                "max_body",
                "max_buffered_bytes",
                config.max_body <= config.max_buffered_bytes,
                "the longest body must fit into what all of them may take",
            ),
            ("ops", "listen", !same_address, "the two listeners need an address each"),
        ];
        match rules.into_iter().find(|(.., holds, _)| !holds) {
            None => Ok(()),
            Some((first, second, _, rule)) => {
                let chosen = |setting| {
                    let origin = self.origin(setting).clone();
                    Box::new(Chosen { setting, value: self.show(setting), origin })
                };
                Err(ConfigError::Conflict { first: chosen(first), second: chosen(second), rule })
            }
        }
    }

    fn check_machine(&self, machine: &Machine) -> Result<(), ConfigError> {
        let beyond = |setting, most: Option<usize>, reason: String| {
            let value = self.show(setting);
            // A default fits by itself, but for bounds so tight that nothing does.
            let asked: usize = value.parse().unwrap_or(usize::MAX);
            let most = most.filter(|most| asked > *most && !self.is_default(setting))?;
            Some(ConfigError::BeyondMachine {
                setting,
                origin: self.origin(setting).clone(),
                value,
                most,
                reason,
            })
        };
        let files = machine.open_files.unwrap_or(usize::MAX);
        let mappings = machine.mappings.unwrap_or(usize::MAX);
        if files < FEWEST_FILES {
            return Err(ConfigError::TooFewFiles { files, needed: FEWEST_FILES });
        }
        let refused = beyond(
            "max_connections",
            machine.max_connections(),
            format!("the process may open {files} files (RLIMIT_NOFILE, raise it with `ulimit -Hn`)"),
        )
        .or_else(|| {
            beyond(
                "max_coroutines",
                machine.max_coroutines(),
                format!("the process may map {mappings} areas of memory, and a coroutine's stack is two (raise vm.max_map_count)"),
            )
        });
        refused.map_or(Ok(()), Err)
    }

    fn show(&self, key: &str) -> String {
        index_of(key).map_or_else(String::new, |index| (SETTINGS[index].show)(&self.config))
    }

    fn notices(&self, given: &Given, machine: &Machine) -> Vec<String> {
        let mut notices = Vec::new();
        let known = |name: &str| {
            name == "SANDPOOL_CONFIG" || SETTINGS.iter().any(|setting| variable(setting) == name)
        };
        for name in given.environment.keys().filter(|name| !known(name)) {
            notices.push(format!("the environment's {name} is no setting and counts for nothing"));
        }
        if let Some(files) = machine.open_files {
            notices.push(format!(
                "{files} files may be open (RLIMIT_NOFILE): room for {} connections, of which max_connections allows {}",
                machine.max_connections().unwrap_or(usize::MAX),
                self.config.max_connections,
            ));
        }
        if let Some(mappings) = machine.mappings {
            notices.push(format!(
                "{mappings} memory mappings (vm.max_map_count): room for {} coroutines, of which max_coroutines allows {}",
                machine.max_coroutines().unwrap_or(usize::MAX),
                self.config.max_coroutines,
            ));
        }
        notices
    }
}

fn index_of(key: &str) -> Option<usize> {
    SETTINGS.iter().position(|setting| setting.key == key)
}

fn variable(setting: &Setting) -> String {
    format!("{PREFIX}{}", setting.key.to_ascii_uppercase())
}

/// The setting that `name` was probably meant to be: the same letters but for case, dashes and underscores,
/// or the one that begins or ends like it.
fn similar_to(name: &str) -> Option<&'static str> {
    let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
    let wanted = plain(name);
    let alike = |setting: &&Setting| {
        let key = plain(setting.key);
        key == wanted || (wanted.len() > 3 && (key.contains(&wanted) || wanted.contains(&key)))
    };
    SETTINGS.iter().find(alike).map(|setting| setting.key)
}

/// Numbers and truth values as they are, all else as a string.
fn as_toml(shown: &str) -> String {
    let bare = shown == "true" || shown == "false" || shown.parse::<i64>().is_ok();
    if bare {
        shown.into()
    } else {
        format!("{shown:?}")
    }
}

#[cfg(test)]
mod tests;
