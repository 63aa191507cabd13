use std::collections::HashSet;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Command;

use super::*;
use crate::config::ByteSize;

const MACHINE: Machine =
    Machine { cores: 2, memory: Some(24 << 30), open_files: Some(20_000), mappings: Some(65_530) };

/// A file that is gone with the test.
struct TempFile(PathBuf);

impl TempFile {
    fn holding(text: &str) -> TempFile {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("sandpool-{}-{}.toml", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        TempFile(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn from_flags(args: &[&str]) -> Given {
    let command = Command::new("serve").no_binary_name(true).args(flags(&MACHINE));
    Given::from_flags(&command.try_get_matches_from(args).unwrap())
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn loaded(given: &Given) -> Loaded {
    load(given, MACHINE).unwrap()
}

fn refusal(given: &Given) -> String {
    load(given, MACHINE).unwrap_err().to_string()
}

#[test]
fn the_defaults_suit_the_machine() {
    let config = loaded(&Given::default()).config;
    assert_eq!((config.workers, config.pool_min, config.pool_max), (2, 8, 1_024));
    assert_eq!((config.max_connections, config.max_coroutines), (10_000, 31_765));
    assert_eq!(config.listen.to_string(), "127.0.0.1:9501");
    assert_eq!(config.ops.to_string(), "127.0.0.1:9502");
    assert!(!config.chaos);

    let small =
        Machine { cores: 1, memory: Some(256 << 20), open_files: Some(1_024), mappings: Some(10_000) };
    let config = load(&Given::default(), small).unwrap().config;
    assert_eq!((config.workers, config.pool_min, config.pool_max), (1, 4, 128));
    assert_eq!((config.max_connections, config.max_coroutines), (768, 4_000));
}

#[test]
fn a_process_that_may_hardly_open_a_file_is_told_so() {
    let poor = Machine { open_files: Some(64), ..MACHINE };
    let message = load(&Given::default(), poor).unwrap_err().to_string();
    assert!(message.contains("64 files") && message.contains("ulimit"), "{message}");
}

#[test]
fn connections_leave_coroutines_for_requests() {
    let message = refusal(&from_flags(&["--max-connections", "500", "--max-coroutines", "500"]));
    assert!(message.contains("max_connections: 500") && message.contains("max_coroutines: 500"), "{message}");
    let config = loaded(&from_flags(&["--max-coroutines", "500"])).config;
    assert_eq!(config.max_connections, 250, "a default gives way");
}

#[test]
fn the_smallest_machine_and_one_that_tells_nothing_have_defaults_that_load() {
    let smallest = Machine { cores: 1, memory: Some(1), open_files: Some(400), mappings: Some(3_000) };
    let silent = Machine { cores: 1_000, memory: None, open_files: None, mappings: None };
    assert!(load(&Given::default(), smallest).is_ok());
    assert!(load(&Given::default(), silent).is_ok());
}

#[test]
fn each_source_overrides_those_before_it() {
    let file = TempFile::holding("pool_max = 10\nworkers = 3\nacquire_timeout = \"1s\"\n");
    let path = file.0.to_str().unwrap();
    let environment = variables(&[("SANDPOOL_POOL_MAX", "20"), ("SANDPOOL_WORKERS", "4")]);
    let given = from_flags(&["--config", path, "--pool-max", "30"]).environment(environment);
    let loaded = loaded(&given);
    assert_eq!(loaded.config.pool_max, 30);
    assert_eq!(loaded.config.workers, 4);
    assert_eq!(loaded.config.acquire_timeout, Duration::from_secs(1));
    assert_eq!(loaded.config.session_idle, Duration::from_secs(30));
    let origin = |key| loaded.origin(key).unwrap().to_string();
    assert_eq!(origin("pool_max"), "flag --pool-max");
    assert_eq!(origin("workers"), "environment SANDPOOL_WORKERS");
    assert_eq!(origin("acquire_timeout"), format!("file {path}"));
    assert_eq!(origin("session_idle"), "default");
}

#[test]
fn the_environment_can_name_the_file_and_the_flag_overrides_it() {
    let (first, second) = (TempFile::holding("workers = 3"), TempFile::holding("workers = 5"));
    let environment = variables(&[("SANDPOOL_CONFIG", first.0.to_str().unwrap())]);
    let by_variable = Given::default().environment(environment.clone());
    assert_eq!(loaded(&by_variable).config.workers, 3);
    let by_flag = from_flags(&["--config", second.0.to_str().unwrap()]).environment(environment);
    assert_eq!(loaded(&by_flag).config.workers, 5);
}

#[test]
fn a_file_takes_numbers_strings_and_truth_values() {
    let text =
        "session_idle = 0.5\nmax_body = \"1MiB\"\nmax_message = 2000\nchaos = true\nleak_threshold = \"off\"";
    let file = TempFile::holding(text);
    let config = loaded(&Given { file: Some(file.0.clone()), ..Given::default() }).config;
    assert_eq!(config.session_idle, Duration::from_millis(500));
    assert_eq!((config.max_body, config.max_message), (ByteSize::mib(1), ByteSize::bytes(2_000)));
    assert_eq!((config.chaos, config.leak_threshold), (true, None));
}

#[test]
fn a_bad_value_is_refused_with_setting_source_value_and_what_is_accepted() {
    assert_eq!(
        refusal(&from_flags(&["--pool-max", "0"])),
        "pool_max: \"0\" (from flag --pool-max) is not accepted; it must be a whole number (from 1 to 32767)"
    );
    assert_eq!(
        refusal(&Given::default().environment(variables(&[("SANDPOOL_SESSION_IDLE", "soon")]))),
        "session_idle: \"soon\" (from environment SANDPOOL_SESSION_IDLE) is not accepted; it must be seconds, \
         or a number with a unit: 250ms, 5s, 2m, 1h (from 1ms to 24h)"
    );
    let file = TempFile::holding("log_level = \"loud\"");
    let path = file.0.display();
    assert_eq!(
        refusal(&Given { file: Some(file.0.clone()), ..Given::default() }),
        format!(
            "log_level: \"loud\" (from file {path}) is not accepted; it must be one of off, error, warn, info, \
             debug, trace"
        )
    );
}

#[test]
fn a_bad_file_is_refused_with_its_name() {
    let cases = [
        ("pool-max = 3", "\"pool-max\" (in file"),
        ("pool-max = 3", "did you mean pool_max?"),
        ("colour = 3", "is no setting;"),
        ("pool_max = [3]", "pool_max: a value of type array"),
        ("pool_max = ", "is not TOML"),
    ];
    for (text, part) in cases {
        let file = TempFile::holding(text);
        let message = refusal(&Given { file: Some(file.0.clone()), ..Given::default() });
        assert!(message.contains(part), "{message:?} does not contain {part:?}");
        assert!(message.contains(file.0.to_str().unwrap()), "{message:?}");
    }
    let missing = from_flags(&["--config", "/no/such/file.toml"]);
    assert!(refusal(&missing).starts_with("config: file /no/such/file.toml can't be read: "));
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_both_names() {
    assert_eq!(
        refusal(&from_flags(&["--pool-min", "9", "--pool-max", "8"])),
        "pool_min: 9 (from flag --pool-min) does not go with pool_max: 8 (from flag --pool-max); pool_min must not \
         be above pool_max"
    );
    assert!(
        refusal(&from_flags(&["--request-soft-limit=2m", "--request-hard-limit=1m"])).contains("hard one")
    );
    assert!(refusal(&from_flags(&["--ops", "127.0.0.1:9501"])).starts_with("ops: 127.0.0.1:9501"));
    let both_any = loaded(&from_flags(&["--listen=127.0.0.1:0", "--ops=127.0.0.1:0"]));
    assert_eq!(both_any.config.listen.port(), 0);
}

#[test]
fn a_default_gives_way_to_what_somebody_chose() {
    let config = loaded(&from_flags(&["--pool-max", "3"])).config;
    assert_eq!((config.pool_min, config.pool_max), (3, 3));
    let config = loaded(&from_flags(&["--pool-min", "2000"])).config;
    assert_eq!((config.pool_min, config.pool_max), (2_000, 2_000));
    let config = loaded(&from_flags(&["--request-hard-limit", "1s"])).config;
    assert_eq!(config.request_soft_limit, Duration::from_secs(1));
    let config = loaded(&from_flags(&["--request-soft-limit", "2m"])).config;
    assert_eq!(config.request_hard_limit, Duration::from_secs(120));
    let config = loaded(&from_flags(&["--max-buffered-bytes", "10MiB"])).config;
    assert_eq!(config.max_body.as_u64(), 10 << 20);
    let config = loaded(&from_flags(&["--max-body", "2GiB"])).config;
    assert_eq!(config.max_buffered_bytes.as_u64(), 2 << 30);
}

#[test]
fn a_body_that_could_never_fit_is_no_limit() {
    let message = refusal(&from_flags(&["--max-buffered-bytes", "1MiB", "--max-body", "2MiB"]));
    assert!(message.contains("max_body") && message.contains("max_buffered_bytes"), "{message}");
}

#[test]
fn more_than_the_machine_allows_is_refused_with_the_limit() {
    assert_eq!(loaded(&from_flags(&["--max-connections", "15000"])).config.max_connections, 15_000);
    let message = refusal(&from_flags(&["--max-connections", "30000"]));
    assert!(message.contains("at most 19744") && message.contains("RLIMIT_NOFILE"), "{message}");
    let message = refusal(&from_flags(&["--max-coroutines", "40000"]));
    assert!(message.contains("at most 31765") && message.contains("vm.max_map_count"), "{message}");
}

#[test]
fn what_is_printed_loads_as_the_same_configuration() {
    let first = loaded(&from_flags(&[
        "--chaos",
        "--sandbox-max-uses=1000",
        "--sandbox-max-lifetime=1h",
        "--leak-threshold=off",
        "--session-idle=250ms",
        "--max-body=5000",
        "--log-format=json",
        "--listen=[::1]:8000",
    ]));
    let file = TempFile::holding(&first.to_string());
    let second = loaded(&Given { file: Some(file.0.clone()), ..Given::default() });
    assert_eq!(first.config, second.config);
    assert!(second.origins.iter().all(|origin| *origin == Source::File(file.0.clone())));
}

#[test]
fn every_setting_has_one_name_in_three_spellings_and_a_help() {
    let mut seen = HashSet::new();
    for setting in SETTINGS {
        assert_eq!(setting.flag, setting.key.replace('_', "-"));
        assert_ne!(setting.flag, CONFIG_FLAG);
        assert!(seen.insert(setting.key), "{} is there twice", setting.key);
        assert!(setting.help.trim().ends_with('.'), "{}", setting.key);
    }
}

#[test]
fn the_help_names_every_setting_with_its_default_and_variable() {
    let help = Command::new("serve").args(flags(&MACHINE)).render_long_help().to_string();
    for setting in SETTINGS {
        let default = (setting.show)(&ServerConfig::default_for(&MACHINE));
        for part in [format!("--{}", setting.flag), format!("[default: {default}]"), variable(setting)] {
            assert!(help.contains(&part), "{part} is missing");
        }
    }
}

#[test]
fn a_variable_that_is_no_setting_is_noticed_and_an_empty_one_is_none() {
    let environment = variables(&[("SANDPOOL_POOLMAX", "3"), ("SANDPOOL_WORKERS", ""), ("PATH", "/bin")]);
    let loaded = loaded(&Given::default().environment(environment));
    assert_eq!(loaded.config.workers, 2);
    assert!(loaded.notices.iter().any(|notice| notice.contains("SANDPOOL_POOLMAX")));
    assert!(!loaded.notices.iter().any(|notice| notice.contains("PATH ")));
}

#[test]
fn the_notices_say_what_the_machine_allows() {
    let notices = loaded(&Given::default()).notices.join("\n");
    assert!(notices.contains("room for 19744 connections"), "{notices}");
    assert!(notices.contains("room for 31765 coroutines"), "{notices}");
}
