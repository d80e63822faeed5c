//! `plinth blueprint apply | check | diff`

use std::path::{Path, PathBuf};

use anyhow::Context;
use plinth_postgres::{Project, Registry};
use plinth_work::inspect;
use plinth_work::install::{
    ApplyError, Change, Checker, SEALED, What, apply, check_settings, diff, set_sealing_key,
};
use plinth_work::manifest::{Manifest, Problem};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::admin::{Admin, Need};
use crate::blueprints::Blueprint;
use crate::cli::{BlueprintCommand, BlueprintTarget, GlobalArgs, Output, WorkFormat, hinted};
use crate::config::Config;
use crate::runtime::{actions, variable};

/// The manifest's file in a folder.
const FILE: &str = "blueprint.toml";

/// A manifest before it is understood.
pub(super) struct Text {
    /// Where it is, for people.
    pub(super) place: String,
    /// What it says.
    pub(super) text: String,
}

/// A manifest that cannot be used, and why. Shown as `place:line:column: what`.
#[derive(Debug, thiserror::Error)]
#[error("{}", listed(.project, .place, .problems))]
pub(super) struct Unsound {
    project: String,
    place: String,
    problems: Vec<Problem>,
}

/// Runs one of the commands.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &BlueprintCommand,
    output: Output,
) -> anyhow::Result<()> {
    Admin::with(global, Need::Started, output, async |admin, config| {
        execute(admin, config, command, output).await
    })
    .await
}

async fn execute(
    admin: &Admin,
    config: &Config,
    command: &BlueprintCommand,
    output: Output,
) -> anyhow::Result<()> {
    let target = command.target();
    let project = admin.project(config, target.project.as_deref()).await?;
    let text = find(target, &project)?;
    warn_of_another(&project, &text, output);
    match command {
        BlueprintCommand::Check { .. } => {
            check(admin, &project, &text, target.output, output).await
        }
        BlueprintCommand::Diff { .. } => {
            let changes = plan(admin, &project, &text).await;
            let changes = changes.map_err(|error| as_json(error, target.output, output))?;
            print(&project, &changes, target.output, true, output)
        }
        BlueprintCommand::Apply { .. } => {
            let changes = install(&admin.registry, &project, &text).await;
            let changes = changes.map_err(|error| as_json(error, target.output, output))?;
            warn_of_missing(&parse(&project, &text)?, output);
            print(&project, &changes, target.output, false, output)
        }
    }
}

/// The manifest that was named, else that of the project's blueprint, else the one in the current folder.
fn find(target: &BlueprintTarget, project: &Project) -> anyhow::Result<Text> {
    let named = target.blueprint.as_deref();
    if named.is_none()
        && let Some(found) =
            project.blueprint.as_deref().and_then(|name| Blueprint::find(name).ok())
    {
        return Ok(Text::of(&found));
    }
    let name = named.unwrap_or(".");
    let path = match Path::new(name) {
        path if path.is_dir() => path.join(FILE),
        path => path.to_owned(),
    };
    if path.is_file() {
        return read(&path);
    }
    if named.is_some() && !name.contains(['/', '.']) {
        return Ok(Text::of(&Blueprint::find(name)?));
    }
    Err(hinted(
        format!("there is no manifest {}", path.display()),
        "name a folder that has a blueprint.toml, or a blueprint",
    ))
}

fn read(path: &PathBuf) -> anyhow::Result<Text> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Text { place: path.display().to_string(), text })
}

impl Text {
    /// The manifest of a blueprint.
    pub(super) fn of(blueprint: &Blueprint) -> Self {
        Self { place: blueprint.manifest_place(), text: blueprint.manifest().to_owned() }
    }

    /// What tells this text from others.
    pub(super) fn digest(&self) -> String {
        Sha256::digest(&self.text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn parse(project: &Project, text: &Text) -> Result<Manifest, Unsound> {
    Manifest::parse(&text.text).map_err(|problems| unsound(project, text, problems))
}

fn unsound(project: &Project, text: &Text, problems: Vec<Problem>) -> Unsound {
    Unsound { project: project.name.clone(), place: text.place.clone(), problems }
}

/// Warns of a manifest that was most likely meant for another project.
fn warn_of_another(project: &Project, text: &Text, output: Output) {
    let name = Manifest::parse(&text.text).ok().and_then(|manifest| manifest.name);
    if let (Some(name), Some(blueprint)) = (name, &project.blueprint)
        && name != *blueprint
    {
        output.warn(format!(
            "{} is the manifest of `{name}`, and project {} is made from the blueprint `{blueprint}`",
            text.place, project.name
        ));
    }
}

/// What applying a manifest would change; of one that cannot be applied, why.
async fn plan(admin: &Admin, project: &Project, text: &Text) -> anyhow::Result<Vec<Change>> {
    let manifest = parse(project, text)?;
    let connection = admin.connect_as_owner(project).await?;
    let planned = async {
        let problems = problems(&connection, project, &manifest).await?;
        if problems.is_empty() {
            return Ok(diff(&connection, &manifest).await?);
        }
        Err(unsound(project, text, problems).into())
    };
    let planned = planned.await;
    connection.close().await;
    planned
}

/// Applies a manifest, and has every instance hear of it.
pub(super) async fn install(
    registry: &Registry,
    project: &Project,
    text: &Text,
) -> anyhow::Result<Vec<Change>> {
    let manifest = parse(project, text)?;
    let endpoint = registry.cluster().endpoint();
    let mut connection = endpoint.connect_as(&project.owner_login, &project.database).await?;
    let applied = async {
        let problems = problems(&connection, project, &manifest).await?;
        if !problems.is_empty() {
            return Err(unsound(project, text, problems).into());
        }
        if !manifest.sealed.is_empty() {
            let key = registry.sealing_key(&project.name).await?;
            set_sealing_key(&connection, key.public()).await?;
        }
        apply(connection.client_mut(), &manifest).await.map_err(|error| match error {
            ApplyError::Problems(problems) => unsound(project, text, problems).into(),
            other => anyhow::Error::from(other),
        })
    };
    let applied = applied.await;
    let has_work = inspect::binding_any(&connection).await;
    connection.close().await;
    let changes = applied?;
    registry.set_work(&project.name, Some(&text.digest()), has_work?).await?;
    Ok(changes)
}

/// What is wrong with a manifest that reads well.
async fn problems(
    client: &tokio_postgres::Client,
    project: &Project,
    manifest: &Manifest,
) -> anyhow::Result<Vec<Problem>> {
    let actions = actions();
    let names = actions.names();
    let checker = Checker { client, owner_role: &project.owner_role, actions: &names };
    let mut problems = checker.check(manifest).await?;
    problems.extend(check_settings(manifest, &actions));
    problems.sort();
    problems.dedup();
    Ok(problems)
}

async fn check(
    admin: &Admin,
    project: &Project,
    text: &Text,
    format: WorkFormat,
    output: Output,
) -> anyhow::Result<()> {
    let found = match parse(project, text) {
        Err(unsound) => unsound.problems,
        Ok(manifest) => {
            let connection = admin.connect_as_owner(project).await?;
            let found = problems(&connection, project, &manifest).await;
            connection.close().await;
            warn_of_missing(&manifest, output);
            found?
        }
    };
    let sound = found.is_empty();
    if format == WorkFormat::Json {
        output.line(serde_json::to_string_pretty(&json!({
            "ok": sound, "project": project.name, "manifest": text.place, "problems": facts(&found),
        }))?);
    } else if sound {
        output.line(format!("{} is sound for project {}", text.place, project.name));
    }
    if sound {
        return Ok(());
    }
    Err(unsound(project, text, found).into())
}

/// The instance that runs the jobs may have them all the same: it warns of its own.
fn warn_of_missing(manifest: &Manifest, output: Output) {
    for name in manifest.variables().into_iter().filter(|name| variable(name).is_none()) {
        output.warn(format!("the manifest names the variable {name}, which is not set here"));
    }
}

/// The same error; in JSON on standard output first, if that was wanted.
fn as_json(error: anyhow::Error, format: WorkFormat, output: Output) -> anyhow::Error {
    if let (WorkFormat::Json, Some(unsound)) = (format, error.downcast_ref::<Unsound>()) {
        output.line(json!({
            "ok": false, "project": unsound.project, "manifest": unsound.place, "problems": facts(&unsound.problems),
        }));
    }
    error
}

fn facts(problems: &[Problem]) -> Vec<Value> {
    let fact = |one: &Problem| json!({"line": one.line, "column": one.column, "message": one.message, "hint": one.hint});
    problems.iter().map(fact).collect()
}

fn listed(project: &str, place: &str, problems: &[Problem]) -> String {
    let count = match problems.len() {
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    };
    let mut text = format!("the manifest has {count} in project {project}");
    for one in problems {
        text.push_str(&format!("\n{place}:{}:{}: {}", one.line, one.column, one.message));
        if let Some(hint) = &one.hint {
            text.push_str(&format!("\n    {hint}"));
        }
    }
    text
}

fn print(
    project: &Project,
    changes: &[Change],
    format: WorkFormat,
    dry: bool,
    output: Output,
) -> anyhow::Result<()> {
    if format == WorkFormat::Json {
        let all = json!({"ok": true, "project": project.name, "applied": !dry, "changes": changes});
        output.line(serde_json::to_string_pretty(&all)?);
        return Ok(());
    }
    let said: Vec<&Change> =
        changes.iter().filter(|change| change.what != What::Unchanged).collect();
    for change in &said {
        output.line(line(change, output));
        if let Some(more) = unfinished(change) {
            output.line(format!("    {more}"));
        }
    }
    if said.is_empty() {
        output.line(format!("nothing to change in project {}", project.name));
    }
    Ok(())
}

fn line(change: &Change, output: Output) -> String {
    let Change { name, kind, what, .. } = change;
    let paint = output.paint;
    let text = match what {
        What::Added => paint.green(format!("+ {kind} {name}")),
        What::Restored => paint.green(format!("+ {kind} {name}, which was removed before")),
        What::Changed { keys } => paint.yellow(format!("~ {kind} {name}: {}", keys.join(", "))),
        What::Mended => paint.yellow(format!("~ {kind} {name}: its triggers are made again")),
        What::Removed if kind == SEALED => {
            paint.red(format!("- {kind} {name}: what is sealed stays sealed, and nothing else is"))
        }
        What::Removed => paint.red(format!("- {kind} {name}")),
        What::Unchanged => format!("  {kind} {name}"),
    };
    match change.backfilled {
        0 => text,
        rows if kind == SEALED => format!("{text} ({rows} rows that were there are sealed)"),
        rows => format!("{text} ({rows} rows that were there got jobs)"),
    }
}

/// What becomes of jobs that are not finished.
fn unfinished(change: &Change) -> Option<String> {
    let (jobs, name) = (change.unfinished, &change.name);
    match &change.what {
        _ if jobs == 0 => None,
        What::Removed => Some(format!(
            "{jobs} unfinished jobs stay and do not run: put {name} back and they do, or end them with `plinth work cancel --binding {name}`"
        )),
        What::Restored => Some(format!("{jobs} unfinished jobs of before run again")),
        What::Changed { .. } => Some(format!("{jobs} unfinished jobs run by the new rules")),
        What::Added | What::Mended | What::Unchanged => None,
    }
}

/// Applies the manifest of a blueprint to its project if it is another one than was applied last. What is wrong with it is a
/// warning: the project is served without.
pub(super) async fn follow(
    registry: &Registry,
    project: &Project,
    blueprint: &Blueprint,
    output: Output,
) {
    let text = Text::of(blueprint);
    if project.manifest.as_deref() == Some(&text.digest()) {
        return;
    }
    match install(registry, project, &text).await {
        Ok(changes) => {
            let count = changes.iter().filter(|change| change.what != What::Unchanged).count();
            if count > 0 {
                output.progress(format!(
                    "applied the manifest of project {}: {count} changes",
                    project.name
                ));
            }
            for change in changes.iter().filter(|change| change.what == What::Removed) {
                if let Some(more) = unfinished(change) {
                    output.warn(format!(
                        "project {}: {} is gone from the manifest; {more}",
                        project.name, change.name
                    ));
                }
            }
        }
        Err(error) => output
            .warn(format!("the manifest of project {} was not applied: {error:#}", project.name)),
    }
}
