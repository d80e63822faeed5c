//! Checks one or more blueprints against a running PostgreSQL, for the person who writes one:
//!
//! ```text
//! cargo run -p plinth-testkit --example blueprint -- --url postgres://… [--keep] [--owner ROLE] blueprints/echelon
//! ```
//!
//! `--url` is a superuser's connection to a database that has the platform schema and nothing else. That database is
//! left as it is: all work is done in copies (`<name>_check`, `<name>_seed`) that are made anew each time and dropped
//! at the end, unless `--keep` is given. Nobody may be connected to the database itself meanwhile.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

use std::path::PathBuf;
use std::process::ExitCode;

use plinth_testkit::blueprint::{self, Blueprint, Report};
use plinth_testkit::{KitError, clone_database, drop_database};
use tokio_postgres::{Client, Config, NoTls};

struct Options {
    url: Config,
    owner: String,
    keep: bool,
    folders: Vec<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            eprintln!("usage: blueprint --url URL [--owner ROLE] [--keep] FOLDER…");
            return ExitCode::from(2);
        }
    };
    let mut clean = true;
    for folder in &options.folders {
        println!("{}", folder.display());
        match check(&options, folder).await {
            Ok(folder_is_clean) => clean &= folder_is_clean,
            Err(error) => {
                println!("  {error}");
                clean = false;
            }
        }
    }
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let (mut url, mut owner, mut keep) = (None, "postgres".to_owned(), false);
    let mut folders = Vec::new();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--url" => url = Some(value()?),
            "--owner" => owner = value()?,
            "--keep" => keep = true,
            "--fresh" => {} // it always is
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ => folders.push(PathBuf::from(argument)),
        }
    }
    let url: Config =
        url.ok_or("--url is required")?.parse().map_err(|error| format!("{error}"))?;
    if url.get_dbname().is_none() {
        return Err("--url names no database".to_owned());
    }
    if folders.is_empty() {
        return Err("no folder given".to_owned());
    }
    Ok(Options { url, owner, keep, folders })
}

async fn check(options: &Options, folder: &std::path::Path) -> Result<bool, KitError> {
    let blueprint = Blueprint::load(folder)?;
    let template = options.url.get_dbname().unwrap_or_default();
    let admin = connect(&options.url, "template1").await?;
    let (main, seeded) = (format!("{template}_check"), format!("{template}_seed"));
    for name in [&main, &seeded] {
        drop_database(&admin, name).await?;
        clone_database(&admin, template, name).await?;
    }
    let outcome = check_copies(options, &blueprint, &main, &seeded).await;
    for name in [&main, &seeded] {
        if options.keep {
            println!("  kept: database {name}");
        } else {
            drop_database(&admin, name).await?;
        }
    }
    outcome
}

async fn check_copies(
    options: &Options,
    blueprint: &Blueprint,
    main: &str,
    seeded: &str,
) -> Result<bool, KitError> {
    let owner = &options.owner;
    let client = connect(&options.url, main).await?;
    blueprint::install(&client, owner, blueprint).await?;
    let mut clean = true;
    clean &= print("catalog rules", &blueprint::check_catalog(&client, &blueprint.access).await?);
    clean &=
        print("access table", &blueprint::check_access(&client, owner, &blueprint.access).await?);
    let tests = blueprint::run_sql_tests(&client, owner, &blueprint.sql_tests).await?;
    clean &= print("SQL tests", &tests);
    let client = connect(&options.url, seeded).await?;
    let bare = Blueprint { fixture: None, ..blueprint.clone() };
    blueprint::install(&client, owner, &bare).await?;
    clean &= print("seed", &blueprint::check_seed(&client, owner, blueprint).await?);
    Ok(clean)
}

fn print(what: &str, report: &Report) -> bool {
    let (passed, failed) = (report.passed, report.failures.len());
    println!("  {what}: {passed} passed, {failed} failed");
    for failure in &report.failures {
        println!("    FAILED {failure}");
    }
    for note in &report.notes {
        println!("    note: {note}");
    }
    report.is_clean()
}

async fn connect(url: &Config, database: &str) -> Result<Client, KitError> {
    let (client, connection) = url.clone().dbname(database).connect(NoTls).await?;
    tokio::spawn(async move {
        // The client sees the error of a broken connection on its next call.
        drop(connection.await);
    });
    Ok(client)
}
