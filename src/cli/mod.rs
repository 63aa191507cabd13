//! The command line: `sandpool serve`, `sandpool process` and `sandpool client`.
//!
//! Exit codes: 0 when all went well, 1 when something failed, 2 when what was asked for makes no sense (and
//! then nothing was begun).

use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use crate::config::Machine;

pub mod client;
mod files;
pub mod process;
pub mod serve;

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    let machine = Machine::prepare();
    let matches = command(&machine).get_matches();
    match matches.subcommand() {
        Some((serve::NAME, arguments)) => serve::run(arguments, machine),
        Some((CLIENT, arguments)) => match client::ClientArgs::from_arg_matches(arguments) {
            Ok(arguments) => client::run(arguments),
            Err(error) => error.exit(),
        },
        Some((PROCESS, arguments)) => match process::ProcessArgs::from_arg_matches(arguments) {
            Ok(arguments) => process::run(&arguments),
            Err(error) => error.exit(),
        },
        _ => unreachable!("clap insists on one of the commands"),
    }
}

const CLIENT: &str = "client";
const PROCESS: &str = "process";

/// An error of any layer below, on its way to the person who typed the command.
type Failure = Box<dyn std::error::Error>;

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

fn command(machine: &Machine) -> Command {
    let client = Command::new(CLIENT).about("Checks a running server, or streams a recording through it");
    let process = Command::new(PROCESS).about("Runs the audio engine on a recording, without a server");
    Command::new("sandpool")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A pool of warm audio sandboxes behind HTTP and WebSocket, and a client to try it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command(machine))
        .subcommand(process::ProcessArgs::augment_args(process))
        .subcommand(client::ClientArgs::augment_args(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_sound() {
        command(&Machine::prepare()).debug_assert();
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let error = crate::audio_file::WavError::Io(std::io::Error::other("the disk is gone"));
        assert_eq!(with_causes(&error), "reading the WAV file failed: the disk is gone");
    }

    #[test]
    fn a_command_is_needed() {
        assert!(command(&Machine::prepare()).try_get_matches_from(["sandpool"]).is_err());
        assert!(command(&Machine::prepare()).try_get_matches_from(["sandpool", "dance"]).is_err());
    }
}
