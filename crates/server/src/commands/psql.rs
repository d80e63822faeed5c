//! `plinth psql`: a shell on a project's database, as its owner.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::Context;
use plinth_postgres::{Binaries, Host, Project};
use tokio::signal::unix::{SignalKind, signal};

use super::admin::{Admin, Need};
use crate::cli::{GlobalArgs, Output, PsqlArgs, hinted};
use crate::config::Config;

/// Runs psql, and gives back what it gave back.
pub(super) async fn run(
    global: &GlobalArgs,
    args: &PsqlArgs,
    output: Output,
) -> anyhow::Result<ExitCode> {
    Admin::with(global, Need::Started, output, async |admin, config| {
        shell(admin, config, args).await
    })
    .await
}

async fn shell(admin: &Admin, config: &Config, args: &PsqlArgs) -> anyhow::Result<ExitCode> {
    let project = admin.project(config, args.project.as_deref()).await?;
    let mut command = command(admin, &project);
    command.args(&args.args);
    if !admin.is_temporary() {
        // Nothing to tidy up afterwards: psql takes this process's place, and its signals with it.
        return Err(missing(command.exec()));
    }
    // Ctrl-C in psql cancels a statement and must not end Plinth, which stops PostgreSQL later.
    let mut interrupts = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let ignore = tokio::spawn(async move { while interrupts.recv().await.is_some() {} });
    let status = tokio::task::spawn_blocking(move || command.status()).await;
    ignore.abort();
    let status = status.context("psql was interrupted")?.map_err(missing)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// psql with the connection in its environment, where no list of processes shows the password.
fn command(admin: &Admin, project: &Project) -> Command {
    let endpoint = admin.public_endpoint();
    let login = &project.owner_login;
    let mut command = Command::new(program());
    match &endpoint.host {
        Host::Unix(folder) => command.env("PGHOST", folder),
        Host::Tcp(name) => command.env("PGHOST", name),
    };
    command
        .env("PGPORT", endpoint.port.to_string())
        .env("PGUSER", &login.role)
        .env("PGDATABASE", &project.database)
        .env("PGAPPNAME", "psql");
    if let Some(password) = &login.password {
        command.env("PGPASSWORD", password.expose());
    }
    command
}

/// The psql beside the managed cluster's programs, else the one on the path.
fn program() -> PathBuf {
    let explicit =
        std::env::var_os("PLINTH_PG_BIN").filter(|path| !path.is_empty()).map(PathBuf::from);
    let beside = Binaries::find(explicit.as_deref()).ok().map(|found| found.bin().join("psql"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("psql"))
}

fn missing(error: std::io::Error) -> anyhow::Error {
    hinted(
        format!("cannot run psql: {error}"),
        "install PostgreSQL's client programs, or use any other client with DB_URL of `plinth status`",
    )
}
