//! The command line: `sandpool serve` and `sandpool client`.
//!
//! Exit codes: 0 when all went well, 1 when something failed, 2 when what was asked for makes no sense (and
//! then nothing was begun).

use std::process::ExitCode;

use clap::{Args, Command, FromArgMatches};

use crate::config::Machine;

pub mod client;
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
        _ => unreachable!("clap insists on one of the commands"),
    }
}

const CLIENT: &str = "client";

fn command(machine: &Machine) -> Command {
    let client = Command::new(CLIENT).about("Checks a running server, or streams a recording through it");
    Command::new("sandpool")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A pool of warm audio sandboxes behind HTTP and WebSocket, and a client to try it")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command(machine))
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
    fn a_command_is_needed() {
        assert!(command(&Machine::prepare()).try_get_matches_from(["sandpool"]).is_err());
        assert!(command(&Machine::prepare()).try_get_matches_from(["sandpool", "dance"]).is_err());
    }
}
