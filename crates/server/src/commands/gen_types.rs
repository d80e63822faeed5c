//! `plinth gen types`

use anyhow::Context;
use plinth_catalog::{Catalog, LoadOptions};

use super::admin::{Admin, Need};
use crate::cli::{GenCommand, GlobalArgs, Language, Output, hinted};
use crate::config::Config;
use crate::types;

/// Prints the types of a project's schemas.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &GenCommand,
    output: Output,
) -> anyhow::Result<()> {
    let GenCommand::Types { lang, project, schema } = command;
    let catalog = Admin::with(global, Need::Started, output, async |admin, config| {
        load(admin, config, project.as_deref(), schema).await
    })
    .await?;
    let text = match lang {
        Language::Typescript => types::typescript(&catalog, schema),
    };
    output.text(&text);
    Ok(())
}

async fn load(
    admin: &Admin,
    config: &Config,
    project: Option<&str>,
    schemas: &[String],
) -> anyhow::Result<Catalog> {
    let project = admin.project(config, project).await?;
    let mut connection = admin.connect_as_owner(&project).await?;
    let known = connection
        .query(
            "select nspname::text from pg_catalog.pg_namespace where nspname = any ($1)",
            &[&schemas],
        )
        .await
        .context("cannot look at the schemas")?;
    let known: Vec<String> = known.iter().map(|row| row.get(0)).collect();
    if let Some(missing) = schemas.iter().find(|schema| !known.contains(schema)) {
        return Err(hinted(
            format!("project `{}` has no schema `{missing}`", project.name),
            "name existing ones with --schema",
        ));
    }
    let options = LoadOptions { schemas: schemas.to_vec(), ..LoadOptions::default() };
    let catalog = Catalog::load(connection.client_mut(), &options).await?;
    connection.close().await;
    Ok(catalog)
}
