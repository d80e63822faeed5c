//! What Plinth needs of a cluster that it does not manage.

use tokio_postgres::Error;

use crate::connection::Connection;
use crate::managed::OLDEST_MAJOR;
use crate::quote::ident;

/// Fewer slots or senders than this are worth a word: realtime and busy work take one per project and instance.
const SLOTS_WANTED: i64 = 10;
/// Extensions that every project has or may ask for.
const EXTENSIONS: [&str; 5] = ["pgcrypto", "uuid-ossp", "pg_trgm", "vector", "pg_stat_statements"];

/// Something that a cluster lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is missing and what for.
    pub what: String,
    /// The statement that mends it, to be run by a superuser; or what to install.
    pub fix: String,
    /// Plinth cannot work like this.
    pub fatal: bool,
}

impl Finding {
    fn fatal(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), fatal: true }
    }

    fn advice(what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), fix: fix.into(), fatal: false }
    }
}

/// Looks at the cluster through an administrative connection.
pub(crate) async fn check(connection: &Connection) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let row = connection
        .query_one(
            "select current_setting('server_version_num')::int4, rolsuper, rolname::text from pg_roles
             where rolname = current_user",
            &[],
        )
        .await?;
    let (version, superuser, role): (i32, bool, String) = (row.get(0), row.get(1), row.get(2));
    if version < i32::try_from(OLDEST_MAJOR).unwrap_or(i32::MAX) * 10_000 {
        findings.push(Finding::fatal(
            format!("PostgreSQL {}, and Plinth needs {OLDEST_MAJOR} or newer", version / 10_000),
            "upgrade PostgreSQL (pg_upgrade, or dump and restore)",
        ));
    }
    if !superuser {
        findings.push(Finding::fatal(
            format!(
                "role \"{role}\" is no superuser: Plinth creates databases, roles with BYPASSRLS, and the event triggers \
                 that keep its catalog fresh"
            ),
            format!("alter role {} superuser;", ident(&role)),
        ));
    }
    settings(connection, &mut findings).await?;
    extensions(connection, &mut findings).await?;
    roles(connection, &mut findings).await?;
    if superuser {
        trust(connection, &mut findings).await?;
    }
    Ok(findings)
}

async fn settings(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let row = connection
        .query_one(
            "select current_setting('wal_level'), current_setting('max_replication_slots')::int8,
               current_setting('max_wal_senders')::int8,
               (select setting from pg_settings where name = 'shared_preload_libraries')",
            &[],
        )
        .await?;
    // The libraries are not for everyone to see.
    let (level, preloaded): (&str, Option<&str>) = (row.get(0), row.get(3));
    if level != "logical" {
        findings.push(Finding::advice(
            format!(
                "wal_level is {level}: realtime reads the write-ahead log, which needs `logical`, and without it work is polled for"
            ),
            "alter system set wal_level = 'logical'; then restart PostgreSQL",
        ));
    }
    for (name, value) in
        [("max_replication_slots", row.get(1)), ("max_wal_senders", row.get::<_, i64>(2))]
    {
        if value < SLOTS_WANTED {
            findings.push(Finding::advice(
                format!(
                    "{name} is {value}: each project with realtime or much work takes one; without one, work is polled for"
                ),
                format!("alter system set {name} = {SLOTS_WANTED}; then restart PostgreSQL"),
            ));
        }
    }
    findings.extend(preloaded.and_then(not_preloaded));
    Ok(())
}

fn not_preloaded(preloaded: &str) -> Option<Finding> {
    let mut all: Vec<&str> =
        preloaded.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if all.contains(&"pg_stat_statements") {
        return None;
    }
    all.push("pg_stat_statements");
    Some(Finding::advice(
        "pg_stat_statements is not preloaded: statement statistics stay empty",
        format!(
            "alter system set shared_preload_libraries = {}; then restart PostgreSQL",
            all.join(", ")
        ),
    ))
}

async fn extensions(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let wanted: Vec<&str> = EXTENSIONS.to_vec();
    let rows = connection
        .query(
            "select wanted from unnest($1::text[]) as wanted
             where not exists (select from pg_available_extensions where name = wanted) order by wanted",
            &[&wanted],
        )
        .await?;
    findings.extend(rows.iter().map(|row| {
        let name: &str = row.get(0);
        let package = if name == "vector" {
            "pgvector (Debian: postgresql-NN-pgvector)"
        } else {
            "PostgreSQL's contrib"
        };
        Finding::fatal(
            format!("extension `{name}` is not available"),
            format!("install {package} on the server"),
        )
    }));
    Ok(())
}

/// Shared roles that exist with powers that they must not have. Lesser differences are mended at start.
async fn roles(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let rows = connection
        .query(
            "select rolname::text, rolsuper, rolbypassrls from pg_roles
             where rolname in ('anon', 'authenticated', 'service_role', 'authenticator')
               and (rolsuper or (rolbypassrls and rolname in ('anon', 'authenticated', 'authenticator')))
             order by rolname",
            &[],
        )
        .await?;
    findings.extend(rows.iter().map(|row| {
        let (name, superuser): (&str, bool) = (row.get(0), row.get(1));
        let (power, cure) = if superuser {
            ("a superuser", "nosuperuser")
        } else {
            ("beyond row security", "nobypassrls")
        };
        let bypass = if name == "service_role" { "" } else { " nobypassrls" };
        let cure = if superuser { format!("{cure}{bypass}") } else { cure.to_owned() };
        Finding::fatal(
            format!("role \"{name}\" is {power}"),
            format!("alter role {} {cure};", ident(name)),
        )
    }));
    Ok(())
}

/// Passwords keep projects apart; a `trust` rule makes them worthless.
async fn trust(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let rows = connection
        .query(
            "select line_number, address from pg_hba_file_rules
             where auth_method = 'trust' and type like 'host%' and error is null order by line_number",
            &[],
        )
        .await?;
    findings.extend(rows.iter().map(|row| {
        let (line, address): (i32, Option<&str>) = (row.get(0), row.get(1));
        Finding::advice(
            format!(
                "pg_hba.conf line {line} trusts everyone from {}: any project can open any other",
                address.unwrap_or("everywhere")
            ),
            "write scram-sha-256 instead of trust there; then select pg_reload_conf();",
        )
    }));
    Ok(())
}
