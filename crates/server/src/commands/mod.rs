//! What each command does. Everything here is start-up: errors are for people.

mod config;
mod rest;
mod serving;

use std::process::ExitCode;

use crate::cli::{Cli, Command, Output};

/// Runs a command to its end.
pub fn run(cli: Cli) -> ExitCode {
    let output = Output::default();
    match dispatch(cli, output) {
        Ok(code) => code,
        Err(error) => {
            output.error(&error);
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli, output: Output) -> anyhow::Result<ExitCode> {
    for warning in cli.global.warnings() {
        output.warn(warning);
    }
    let global = &cli.global;
    match cli.command {
        Command::Config(args) => config::run(global, &args, output)?,
        Command::Rest(args) => serving::block_on(rest::run(global, &args, output))?,
        _ => anyhow::bail!("not there yet"),
    }
    Ok(ExitCode::SUCCESS)
}
