//! `plinth project create | list | show | drop`

use std::time::Instant;

use anyhow::Context;
use plinth_postgres::migrate::MigrationFolder;
use plinth_postgres::{CreateProject, Project, Registry, validate_name};
use serde_json::json;

use super::admin::{Admin, Need};
use super::status;
use crate::blueprints::Blueprint;
use crate::cli::{Format, GlobalArgs, Output, ProjectCommand, hinted};
use crate::config::Config;

/// Runs one of the commands.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &ProjectCommand,
    output: Output,
) -> anyhow::Result<()> {
    if let ProjectCommand::Create { name, .. } = command {
        validate_name(name)?;
    }
    Admin::with(global, Need::Started, output, async |admin, config| {
        execute(admin, config, command, output).await
    })
    .await
}

async fn execute(
    admin: &Admin,
    config: &Config,
    command: &ProjectCommand,
    output: Output,
) -> anyhow::Result<()> {
    match command {
        ProjectCommand::List { output: format } => list(admin, config, *format, output).await,
        ProjectCommand::Show { name, output: format } => {
            status::print(admin, config, Some(name), *format, output).await
        }
        ProjectCommand::Drop { name, yes } => {
            let project = admin.project(config, Some(name)).await?;
            let question = format!("Drop project `{name}` with its database and everything in it?");
            if !yes && !output.confirm(&question) {
                return Err(hinted("nothing was dropped", "say --yes to drop without being asked"));
            }
            admin.registry.drop_project(&project.name).await?;
            output.progress(format!("dropped project {name}"));
            Ok(())
        }
        ProjectCommand::Create { name, blueprint, from, no_seed, output: format } => {
            if admin.registry.by_name(name).await?.is_some() {
                return Err(hinted(
                    format!("project `{name}` exists already"),
                    format!("`plinth project show {name}` prints its URLs and keys"),
                ));
            }
            match (blueprint, from) {
                (Some(blueprint), _) => {
                    create_from_blueprint(
                        &admin.registry,
                        name,
                        &Blueprint::find(blueprint)?,
                        !no_seed,
                        output,
                    )
                    .await?;
                }
                (None, Some(path)) => {
                    let folder = MigrationFolder::open(path)
                        .with_context(|| format!("cannot use the folder {}", path.display()))?;
                    folder.notices().iter().for_each(|notice| output.warn(notice));
                    create(&admin.registry, name, None, Some(&folder), !no_seed, output).await?;
                    if let Some(file) = folder.sign_in() {
                        output.warn(format!(
                            "[auth] of {0} is not in force: say `[project.{name}.auth]` and `auth_config = \"{0}\"` in plinth.toml",
                            file.display()
                        ));
                    }
                }
                (None, None) => {
                    create(&admin.registry, name, None, None, false, output).await?;
                }
            }
            status::print(admin, config, Some(name), *format, output).await
        }
    }
}

/// Creates a project from a blueprint, with a line when it begins and one when it is done.
pub(super) async fn create_from_blueprint(
    registry: &Registry,
    name: &str,
    blueprint: &Blueprint,
    seed: bool,
    output: Output,
) -> anyhow::Result<Project> {
    let unpacked = blueprint.unpack()?;
    let folder = MigrationFolder::open(unpacked.path())
        .with_context(|| format!("cannot use the blueprint `{}`", blueprint.name))?;
    let project = create(registry, name, Some(blueprint), Some(&folder), seed, output).await?;
    super::blueprint::follow(registry, &project, blueprint, output).await;
    Ok(project)
}

/// Creates a project, with a line when it is done.
pub(super) async fn create(
    registry: &Registry,
    name: &str,
    blueprint: Option<&Blueprint>,
    folder: Option<&MigrationFolder>,
    seed: bool,
    output: Output,
) -> anyhow::Result<Project> {
    let begun = Instant::now();
    let wanted = CreateProject {
        blueprint: blueprint.map(|blueprint| blueprint.name.as_str()),
        folder,
        seed,
        ..CreateProject::named(name)
    };
    let project =
        registry.create(wanted).await.with_context(|| format!("cannot create project `{name}`"))?;
    let from = blueprint
        .map(|blueprint| format!(" from blueprint {}", blueprint.name))
        .unwrap_or_default();
    output
        .progress(format!("created project {name}{from} ({:.1} s)", begun.elapsed().as_secs_f64()));
    Ok(project)
}

async fn list(
    admin: &Admin,
    config: &Config,
    format: Format,
    output: Output,
) -> anyhow::Result<()> {
    let projects = admin.registry.list().await?.projects;
    let default = status::default_name(config, &projects);
    let http = admin.http.unwrap_or(config.listen);
    let url =
        |project: &Project| format!("{}/p/{}", crate::config::local_origin(http), project.name);
    match format {
        Format::Json => {
            let rows: Vec<_> = projects
                .iter()
                .map(|project| {
                    json!({
                        "name": project.name,
                        "blueprint": project.blueprint,
                        "default": default.as_ref() == Some(&project.name),
                        "API_URL": url(project),
                    })
                })
                .collect();
            output.line(serde_json::to_string_pretty(&rows)?);
        }
        Format::Env => {
            let names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
            output.line(format!("PROJECTS=\"{}\"", names.join(" ")));
        }
        Format::Pretty if projects.is_empty() => {
            output.line("There is no project yet. Create one with `plinth project create NAME`.");
        }
        Format::Pretty => {
            let width = projects.iter().map(|project| project.name.len()).max().unwrap_or(0);
            for project in &projects {
                let mark = if default.as_ref() == Some(&project.name) { "*" } else { " " };
                let name = output.paint.bold(format!("{:width$}", project.name));
                let from = project.blueprint.as_deref().unwrap_or("-");
                output.line(format!("{mark} {name}  {}  {}", url(project), output.paint.dim(from)));
            }
        }
    }
    Ok(())
}
