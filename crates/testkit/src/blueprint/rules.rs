//! Rules about a blueprint's objects, asked from `pg_catalog`. Each stands in a file of `rules/`.

use tokio_postgres::Client;

use crate::KitError;
use crate::blueprint::{Access, Report};

/// Each returns one line of text for every violation.
const RULES: &[&str] = &[
    include_str!("rules/rls_enabled.sql"),
    include_str!("rules/foreign_keys_indexed.sql"),
    include_str!("rules/policy_columns_indexed.sql"),
    include_str!("rules/caller_read_once.sql"),
    include_str!("rules/views_as_invoker.sql"),
    include_str!("rules/search_path_pinned.sql"),
];

const DEFINER_CALLABLE: &str = include_str!("rules/definer_callable.sql");
const COVERAGE: &str = include_str!("rules/coverage.sql");

/// Checks every rule, that `access` speaks of every table and view, and of nothing that does not exist.
///
/// # Errors
///
/// [`KitError`] when the connection is lost or the helpers are not installed.
pub async fn check_catalog(client: &Client, access: &Access) -> Result<Report, KitError> {
    let mut report = Report::default();
    // Names are printed with their schema unless it is searched.
    client.batch_execute("set search_path = pg_catalog").await?;
    for sql in RULES {
        let violations = client.query(*sql, &[]).await?;
        if violations.is_empty() {
            report.passed += 1;
        }
        report.failures.extend(violations.iter().map(|row| row.get::<_, String>(0)));
    }
    check_definers(client, access, &mut report).await?;
    check_coverage(client, access, &mut report).await?;
    client.batch_execute("reset search_path").await?;
    Ok(report)
}

async fn check_definers(
    client: &Client,
    access: &Access,
    report: &mut Report,
) -> Result<(), KitError> {
    let listed: Vec<String> = access.definer.iter().map(|name| qualified(name)).collect();
    let mut callable = Vec::new();
    for row in client.query(DEFINER_CALLABLE, &[]).await? {
        let (title, signature): (String, String) = (row.get(0), row.get(1));
        let Some(callers) = row.get::<_, Option<String>>(2) else { continue };
        report.check(listed.contains(&title), || {
            format!("SECURITY DEFINER function {signature} may be executed by {callers}")
        });
        callable.push(title);
    }
    for name in listed {
        report.check(callable.contains(&name), || {
            format!("access.toml: definer lists {name}, but no caller may execute such a function")
        });
    }
    Ok(())
}

async fn check_coverage(
    client: &Client,
    access: &Access,
    report: &mut Report,
) -> Result<(), KitError> {
    let named =
        |names: Vec<&String>| names.into_iter().map(|name| qualified(name)).collect::<Vec<_>>();
    let tables = named(access.tables.iter().map(|table| &table.name).collect());
    let views = named(access.views.iter().map(|view| &view.name).collect());
    for row in client.query(COVERAGE, &[]).await? {
        let (title, kind): (String, &str) = (row.get(0), row.get(1));
        let listed = if kind == "view" { &views } else { &tables };
        report.check(listed.contains(&title), || format!("access.toml has no [[{kind}]] {title}"));
    }
    Ok(())
}

/// `schema.name` of a name whose default schema is `public`.
pub(super) fn qualified(name: &str) -> String {
    if name.contains('.') { name.to_owned() } else { format!("public.{name}") }
}
