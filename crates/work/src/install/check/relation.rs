//! Looks a table and its key up.

use plinth_postgres::quote::ident;
use tokio_postgres::Client;

use super::CheckError;
use crate::manifest::{Relation, did_you_mean};

/// Names that are looked through for the one that was meant.
const NAMES: i64 = 1_000;

/// A table that bindings can be on.
pub(super) struct Table {
    /// Its name with its schema, quoted.
    pub quoted: String,
    /// Type of the key, as PostgreSQL writes it.
    pub key_type: String,
    /// The same by number; of a domain, the type below it.
    pub key_oid: u32,
    /// Whether the role that looked may make triggers on it.
    pub takes_triggers: bool,
    /// Whether its rows are its own: no partitions, no inheritance.
    pub stands_alone: bool,
    /// Whether PostgreSQL computes the key.
    pub key_generated: bool,
    /// Columns that the manifest seals.
    pub sealed: Vec<String>,
}

impl Table {
    /// A query in its place that has all columns but one.
    pub(super) async fn without(
        &self,
        client: &Client,
        column: &str,
    ) -> Result<String, CheckError> {
        const OTHERS: &str = "
            select coalesce(pg_catalog.string_agg(pg_catalog.quote_ident(attname), ', ' order by attnum), ''),
              (select pg_catalog.quote_ident(relname) from pg_catalog.pg_class where oid = $1::text::pg_catalog.regclass)
            from pg_catalog.pg_attribute
            where attrelid = $1::text::pg_catalog.regclass and attnum > 0 and not attisdropped and attname <> $2";
        let row = client.query_one(OTHERS, &[&self.quoted, &column]).await?;
        let (others, name): (String, String) = (row.get(0), row.get(1));
        Ok(format!("(select {others} from {}) as {name}", self.quoted))
    }
}

/// Why a table cannot have a binding.
pub(super) struct Wrong {
    /// The key of the manifest that is to blame.
    pub key: &'static str,
    pub message: String,
    pub hint: Option<String>,
}

/// The table, with the type of `key` or else of its primary key.
pub(super) async fn find(
    client: &Client,
    on: &Relation,
    key: Option<&str>,
) -> Result<Result<Table, Wrong>, CheckError> {
    const RELATION: &str = "
        select c.oid, c.relkind::text,
               array(select a.attname::text
                     from pg_catalog.pg_index i
                     join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey::int2[])
                     where i.indrelid = c.oid and i.indisprimary),
               pg_catalog.has_table_privilege(c.oid, 'TRIGGER'),
               c.relkind = 'r' and not exists (
                 select from pg_catalog.pg_inherits i where c.oid in (i.inhrelid, i.inhparent))
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relname = $2";
    const COLUMN: &str = "
        select pg_catalog.format_type(a.atttypid, a.atttypmod),
               coalesce(nullif(t.typbasetype, 0), t.oid), a.attgenerated <> '' or a.attidentity <> ''
        from pg_catalog.pg_attribute a
        join pg_catalog.pg_type t on t.oid = a.atttypid
        where a.attrelid = $1 and a.attname = $2 and a.attnum > 0 and not a.attisdropped";
    let Some(row) = client.query_opt(RELATION, &[&on.schema, &on.name]).await? else {
        return Ok(Err(no_table(client, on).await?));
    };
    let (oid, kind, primary): (u32, String, Vec<String>) = (row.get(0), row.get(1), row.get(2));
    let (takes_triggers, stands_alone) = (row.get(3), row.get(4));
    if !matches!(kind.as_str(), "r" | "p") {
        let message = format!("`{}` is no table", on.name);
        return Ok(Err(Wrong { key: "on", message, hint: None }));
    }
    let column = match (key, primary.as_slice()) {
        (Some(key), _) => key,
        (None, [only]) => only,
        (None, columns) => {
            let has = if columns.is_empty() {
                "no primary key"
            } else {
                "a primary key of several columns"
            };
            let message = format!("`{}` has {has}", on.name);
            let hint = Some("say with `key` which column `$row` is".to_owned());
            return Ok(Err(Wrong { key: "on", message, hint }));
        }
    };
    let Some(row) = client.query_opt(COLUMN, &[&oid, &column]).await? else {
        return Ok(Err(no_column(client, on, oid, column).await?));
    };
    let quoted = format!("{}.{}", ident(&on.schema), ident(&on.name));
    Ok(Ok(Table {
        quoted,
        key_type: row.get(0),
        key_oid: row.get(1),
        takes_triggers,
        stands_alone,
        key_generated: row.get(2),
        sealed: Vec::new(),
    }))
}

async fn no_table(client: &Client, on: &Relation) -> Result<Wrong, CheckError> {
    const TABLES: &str = "
        select c.relname::text
        from pg_catalog.pg_class c
        join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        where n.nspname = $1 and c.relkind in ('r', 'p')
        limit $2";
    let names: Vec<String> =
        client.query(TABLES, &[&on.schema, &NAMES]).await?.iter().map(|row| row.get(0)).collect();
    let near = did_you_mean(&on.name, names.iter().map(String::as_str));
    let message = format!("there is no table `{}` in the schema `{}`{near}", on.name, on.schema);
    Ok(Wrong { key: "on", message, hint: None })
}

async fn no_column(
    client: &Client,
    on: &Relation,
    oid: u32,
    column: &str,
) -> Result<Wrong, CheckError> {
    const COLUMNS: &str = "
        select attname::text from pg_catalog.pg_attribute
        where attrelid = $1 and attnum > 0 and not attisdropped";
    let names: Vec<String> =
        client.query(COLUMNS, &[&oid]).await?.iter().map(|row| row.get(0)).collect();
    let near = did_you_mean(column, names.iter().map(String::as_str));
    let message = format!("`{}` has no column `{column}`{near}", on.name);
    Ok(Wrong { key: "key", message, hint: None })
}
