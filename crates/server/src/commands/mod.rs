//! What each command does. Everything here is start-up: errors are for people.

mod admin;
mod auth_import;
mod banner;
mod blueprint;
mod config;
mod gen_types;
mod keys;
mod migrate;
mod project;
mod psql;
mod ready;
mod rest;
mod running;
mod serving;
mod status;
mod token;
mod up;
mod work;

use std::process::ExitCode;

use self::serving::block_on;
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
    match &cli.command {
        Command::Up(args) => block_on(up::up(global, args, output))?,
        Command::Serve(args) => block_on(up::serve_only(global, args, output))?,
        Command::Project(command) => block_on(project::run(global, command, output))?,
        Command::Status(args) => block_on(status::run(global, args, output))?,
        Command::Migrate(command) => block_on(migrate::run(global, command, output))?,
        Command::Blueprint(command) => block_on(blueprint::run(global, command, output))?,
        Command::Work(command) => block_on(work::run(global, command, output))?,
        Command::Psql(args) => return block_on(psql::run(global, args, output)),
        Command::Token(args) => block_on(token::run(global, args, output))?,
        Command::Keys(command) => block_on(keys::run(global, command, output))?,
        Command::Auth(command) => block_on(auth_import::run(global, command, output))?,
        Command::Config(args) => config::run(global, args, output)?,
        Command::Gen(command) => block_on(gen_types::run(global, command, output))?,
        Command::Rest(args) => return block_on(rest::run(global, args, output)),
    }
    Ok(ExitCode::SUCCESS)
}
