//! `sandpool serve`: the arguments of the server.

use std::io::Write;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::config::{self, Given, Machine};
use crate::{observe, server};

pub(super) const NAME: &str = "serve";

const PRINT_CONFIG: &str = "print-config";

/// What a bad configuration ends with.
const BAD_CONFIGURATION: u8 = 2;

pub(super) fn command(machine: &Machine) -> Command {
    let print = Arg::new(PRINT_CONFIG)
        .long(PRINT_CONFIG)
        .action(ArgAction::SetTrue)
        .help("Print what is in force and where each value came from, as a TOML file, and exit");
    Command::new(NAME)
        .about("Runs the server")
        .after_help(
            "TIME is in seconds, or has a unit: 250ms, 5s, 2m, 1h. SIZE is in bytes, or has a unit: 64KiB, 16MiB.\n\
             A flag overrides the environment (SANDPOOL_POOL_MAX), which overrides the file (pool_max).",
        )
        .args(config::flags(machine))
        .arg(print)
}

/// Loads the configuration and runs the server until it is told to stop.
pub(super) fn run(arguments: &ArgMatches, machine: Machine) -> ExitCode {
    // Names and values that are no text can't be those of a setting.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let given = Given::from_flags(arguments).environment(variables);
    let loaded = match config::load(&given, machine) {
        Ok(loaded) => loaded,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if arguments.get_flag(PRINT_CONFIG) {
        // A reader that has seen enough is no failure.
        let _ = write!(std::io::stdout(), "{loaded}");
        return ExitCode::SUCCESS;
    }
    let logs = observe::logs::init(loaded.config.log_level, loaded.config.log_format);
    if let Err(error) = &logs {
        complain(&format!("there is no log: {error}"));
        return ExitCode::FAILURE;
    }
    for notice in &loaded.notices {
        tracing::info!("{notice}");
    }
    let outcome = server::serve(loaded);
    // The log's last lines come before the complaint.
    drop(logs);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn complain(message: &str) {
    // Where standard error is closed, nobody is left to tell.
    let _ = writeln!(std::io::stderr(), "sandpool: {message}");
}
