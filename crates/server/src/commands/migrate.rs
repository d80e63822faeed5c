//! `plinth migrate new | up | status | reset`

use std::path::{Path, PathBuf};

use anyhow::Context;
use plinth_postgres::Project;
use plinth_postgres::migrate::{
    MigrateError, MigrationFolder, MigrationState, Migrator, Report, Status, UpOptions, new_file,
};
use serde_json::json;

use super::admin::{Admin, Need};
use crate::blueprints::Blueprint;
use crate::cli::{Format, GlobalArgs, MigrateCommand, MigrateTarget, Output, hinted};

/// Runs one of the commands.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &MigrateCommand,
    output: Output,
) -> anyhow::Result<()> {
    let target = match command {
        MigrateCommand::New { name, dir } => {
            let path = new_file(dir, name)?;
            output.line(path.display());
            return Ok(());
        }
        MigrateCommand::Up { target, .. }
        | MigrateCommand::Status { target, .. }
        | MigrateCommand::Reset { target, .. } => target,
    };
    Admin::with(global, Need::Started, output, async |admin, config| {
        let project = admin.project(config, target.project.as_deref()).await?;
        execute(admin, &project, target, command, output).await
    })
    .await
}

async fn execute(
    admin: &Admin,
    project: &Project,
    target: &MigrateTarget,
    command: &MigrateCommand,
    output: Output,
) -> anyhow::Result<()> {
    let folder = open_folder(target, project, output)?;
    for notice in folder.notices() {
        output.warn(notice);
    }
    let migrator = Migrator::new(admin.cluster.endpoint(), project);
    match command {
        MigrateCommand::New { .. } => Ok(()),
        MigrateCommand::Up { dry_run, seed, include_all, .. } => {
            let options = UpOptions {
                dry_run: *dry_run,
                seed: *seed,
                include_all: *include_all,
                ..UpOptions::default()
            };
            let report = migrator.up(&folder, &options).await?;
            let news = |notice: &&String| !folder.notices().contains(notice);
            report.notices.iter().filter(news).for_each(|notice| output.warn(notice));
            tell(&report, *dry_run, &project.name, output);
            Ok(())
        }
        MigrateCommand::Status { output: format, .. } => {
            status(&migrator, &folder, *format, output).await
        }
        MigrateCommand::Reset { yes, .. } => {
            let question = format!(
                "Empty the database of project `{}` and apply everything again?",
                project.name
            );
            if !yes && !output.confirm(&question) {
                return Err(hinted("nothing was reset", "say --yes to reset without being asked"));
            }
            let count = folder.migrations().len();
            admin.registry.reset(&project.name, Some(&folder), true).await.with_context(|| {
                format!("cannot reset project `{}`; it is as it was", project.name)
            })?;
            output.progress(format!("reset project {}: applied {count} migrations", project.name));
            let blueprint = project.blueprint.as_deref().filter(|_| target.dir.is_none());
            if let Some(found) = blueprint.and_then(|name| Blueprint::find(name).ok()) {
                // The new database has no bindings, whatever was applied to the one before.
                let project = Project { manifest: None, ..project.clone() };
                super::blueprint::follow(&admin.registry, &project, &found, output).await;
            }
            Ok(())
        }
    }
}

/// The folder that was named, else the project's blueprint, else the current folder.
fn open_folder(
    target: &MigrateTarget,
    project: &Project,
    output: Output,
) -> anyhow::Result<MigrationFolder> {
    let blueprint = project.blueprint.as_deref().filter(|_| target.dir.is_none());
    if let Some(found) = blueprint.and_then(|name| Blueprint::find(name).ok()) {
        if MigrationFolder::open(Path::new(".")).is_ok() {
            output.warn(format!(
                "these are the migrations of the blueprint `{}`; --dir . takes those of this folder",
                found.name
            ));
        }
        // The folder is read into memory, so a temporary one may go.
        let unpacked = found.unpack()?;
        return Ok(MigrationFolder::open(unpacked.path())?);
    }
    let path: PathBuf = target.dir.clone().unwrap_or_else(|| Path::new(".").to_owned());
    MigrationFolder::open(&path).map_err(|error| match (&error, &target.dir) {
        (MigrateError::NoFolder(_), None) => {
            hinted(error.to_string(), "name the folder with --dir")
        }
        _ => error.into(),
    })
}

fn tell(report: &Report, dry_run: bool, project: &str, output: Output) {
    let (verb, seeded) = if dry_run { ("would apply", "would run") } else { ("applied", "ran") };
    for name in &report.migrations {
        output.line(format!("{verb} {name}"));
    }
    for name in &report.seeds {
        output.line(format!("{seeded} {name}"));
    }
    if report.migrations.is_empty() && report.seeds.is_empty() {
        output.line(format!("project {project} is up to date"));
    }
}

async fn status(
    migrator: &Migrator,
    folder: &MigrationFolder,
    format: Format,
    output: Output,
) -> anyhow::Result<()> {
    let all = migrator.status(folder).await?;
    if format == Format::Env {
        output.text(&env_lines(&all));
        return Ok(());
    }
    if format == Format::Json {
        let rows: Vec<_> = all
            .iter()
            .map(|one| json!({"version": one.version, "name": one.name, "state": state_name(one.state)}))
            .collect();
        output.line(serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for one in &all {
        let state = state_name(one.state);
        let state = match one.state {
            MigrationState::Applied => output.paint.green(format!("{state:<12}")),
            MigrationState::Pending => output.paint.yellow(format!("{state:<12}")),
            _ => output.paint.red(format!("{state:<12}")),
        };
        output.line(format!("{state} {}_{}", one.version, one.name));
    }
    Ok(())
}

/// One line per state, with the versions that are in it.
fn env_lines(all: &[Status]) -> String {
    use MigrationState::{Applied, Changed, Missing, OutOfOrder, Pending};
    [Applied, Pending, OutOfOrder, Changed, Missing]
        .map(|state| {
            let name = state_name(state).to_uppercase().replace('-', "_");
            let versions: Vec<&str> =
                all.iter().filter(|one| one.state == state).map(|one| &*one.version).collect();
            format!("{name}=\"{}\"\n", versions.join(" "))
        })
        .concat()
}

fn state_name(state: MigrationState) -> &'static str {
    match state {
        MigrationState::Applied => "applied",
        MigrationState::Pending => "pending",
        MigrationState::OutOfOrder => "out-of-order",
        MigrationState::Changed => "changed",
        MigrationState::Missing => "missing",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_versions_by_state() {
        let one = |version: &str, state| Status {
            version: version.to_owned(),
            name: "x".to_owned(),
            path: None,
            state,
        };
        let all = [
            one("1", MigrationState::Applied),
            one("2", MigrationState::Applied),
            one("3", MigrationState::Pending),
        ];
        assert_eq!(
            env_lines(&all),
            "APPLIED=\"1 2\"\nPENDING=\"3\"\nOUT_OF_ORDER=\"\"\nCHANGED=\"\"\nMISSING=\"\"\n"
        );
    }
}
