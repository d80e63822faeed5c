//! Bringing a blueprint into a database.

use tokio_postgres::Client;

use crate::blueprint::{Blueprint, Report, SqlFile};
use crate::error::{KitError, describe, describe_at};
use crate::session::{Identity, apply};

const HELPERS: &str = include_str!("helpers.sql");

/// Installs schema `tests` with the helper functions, and remembers which objects exist already.
///
/// Must come before the migrations of the blueprint: the catalog rules are about what comes after.
/// `owner` is the role that owns a project's objects.
///
/// # Errors
///
/// [`KitError::Sql`] when the database lacks the platform schema or the session is no superuser's.
pub async fn install_helpers(client: &Client, owner: &str) -> Result<(), KitError> {
    let quoted = postgres_protocol::escape::escape_identifier(owner);
    let sql = format!("begin; {} commit", HELPERS.replace("@owner@", &quoted));
    if let Err(error) = client.batch_execute(&sql).await {
        client.batch_execute("rollback").await?;
        return Err(KitError::Sql(format!("test helpers: {}", describe(&error))));
    }
    Ok(())
}

/// Installs helpers, migrations and fixture, each file in one transaction as `owner`.
///
/// # Errors
///
/// [`KitError::Sql`] with file, line and message of the first statement that fails.
pub async fn install(client: &Client, owner: &str, blueprint: &Blueprint) -> Result<(), KitError> {
    install_helpers(client, owner).await?;
    for file in &blueprint.migrations {
        load(client, owner, file).await?;
    }
    load_fixture(client, owner, blueprint).await
}

/// Loads the fixture, if there is one, into a database that has helpers and migrations.
pub(crate) async fn load_fixture(
    client: &Client,
    owner: &str,
    blueprint: &Blueprint,
) -> Result<(), KitError> {
    if let Some(fixture) = &blueprint.fixture {
        load(client, owner, fixture).await?;
    }
    Ok(())
}

async fn load(client: &Client, owner: &str, file: &SqlFile) -> Result<(), KitError> {
    let outcome = apply(client, &Identity::bare(owner), &file.text).await?;
    outcome.map_err(|error| KitError::Sql(describe_at(&file.path, 1, &file.text, &error)))
}

/// Loads the seed twice into a database that has helpers and migrations but no fixture.
///
/// The first run must succeed. A second run that fails and tables that stay empty become notes.
///
/// # Errors
///
/// [`KitError`] when the connection is lost.
pub async fn check_seed(
    client: &Client,
    owner: &str,
    blueprint: &Blueprint,
) -> Result<Report, KitError> {
    let mut report = Report::default();
    let Some(seed) = &blueprint.seed else {
        report.fail("seed.sql is missing");
        return Ok(report);
    };
    if let Err(error) = load(client, owner, seed).await {
        report.fail(error.to_string());
        return Ok(report);
    }
    report.passed += 1;
    for title in tables(client).await? {
        let row = client.query_opt(&format!("select from {title} limit 1"), &[]).await?;
        if row.is_none() {
            report.notes.push(format!("seed.sql leaves {title} empty"));
        }
    }
    match load(client, owner, seed).await {
        Ok(()) => report.passed += 1,
        Err(error) => report.notes.push(format!("seed.sql cannot be loaded twice: {error}")),
    }
    Ok(report)
}

async fn tables(client: &Client) -> Result<Vec<String>, KitError> {
    let sql = "select oid::regclass::text from tests.new_relation
               where kind in ('r', 'p') and not is_partition order by title";
    Ok(client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}
