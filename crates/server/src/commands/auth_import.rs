//! `plinth auth import`: users of another system.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use anyhow::Context;
use plinth_postgres::Project;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::admin::{Admin, Need};
use crate::cli::{AuthCommand, Format, GlobalArgs, ImportArgs, Output, hinted};
use crate::import::{self, Conflicts, Event, Options, ReadError, Record, Store, StoreError};

/// Bundles of rows that were read and not yet written: with the one that is filled and the one that is written, all
/// that an import has in memory.
const QUEUE: usize = 2;
/// Rows of a bundle, unless it is full before.
const BUNDLE_ROWS: usize = 256;
/// Bytes of rows that fill a bundle, which has one row more at most.
const BUNDLE_BYTES: usize = 1 << 20;
/// Rows between two words on the progress.
const PROGRESS: u64 = 100_000;

/// Rows of tables that are not imported, by table.
type Others = BTreeMap<String, u64>;

/// Runs the command.
pub(super) async fn run(
    global: &GlobalArgs,
    command: &AuthCommand,
    output: Output,
) -> anyhow::Result<()> {
    let AuthCommand::Import(args) = command;
    // Before PostgreSQL is started for nothing.
    let file =
        import::open(&args.file).with_context(|| format!("cannot open {}", args.file.display()))?;
    let (project, summary) = Admin::with(global, Need::Started, output, async |admin, config| {
        let project = admin.project(config, args.project.as_deref()).await?;
        let summary = import(admin, &project, args, file, output).await?;
        Ok((project.name, summary))
    })
    .await?;
    match args.output {
        Format::Json => output.line(serde_json::to_string_pretty(&summary)?),
        Format::Pretty | Format::Env => tell(&project, &summary, args, output),
    }
    Ok(())
}

async fn import(
    admin: &Admin,
    project: &Project,
    args: &ImportArgs,
    file: Box<dyn std::io::Read + Send>,
    output: Output,
) -> anyhow::Result<Value> {
    let mut connection = admin.connect_as_owner(project).await?;
    let (rows, read_rows) = mpsc::channel(QUEUE);
    let format = args.format.map(Into::into);
    let reading = tokio::task::spawn_blocking(move || {
        let (mut others, mut count) = (Others::new(), 0_u64);
        let show = std::io::stderr().is_terminal();
        let mut bundle = Bundle::default();
        let mut sink = |event| {
            match event {
                Event::Row(row) => {
                    if let Some(full) = bundle.add(row) {
                        send(&rows, Ok(Some(full)))?;
                    }
                }
                Event::Other(table) => *others.entry(table).or_default() += 1,
            }
            count += 1;
            if show && count.is_multiple_of(PROGRESS) {
                output.progress(format!("read {count} rows"));
            }
            Ok(())
        };
        let end = import::read(file, format, &mut sink).and_then(|()| {
            send(&rows, Ok(Some(bundle.rows)))?;
            Ok(None)
        });
        // When nobody takes the end, the database has said why.
        let _ = send(&rows, end);
        others
    });
    let options = Options {
        conflicts: args.on_conflict,
        dry_run: args.dry_run,
        run_triggers: args.run_triggers,
    };
    let stored = Store::new(&mut connection, options).import(read_rows).await;
    connection.close().await;
    let mut summary = stored.map_err(explained)?;
    summary["other_tables"] = json!(reading.await.context("reading was interrupted")?);
    Ok(summary)
}

/// Rows that travel together.
#[derive(Default)]
struct Bundle {
    rows: Vec<Record>,
    bytes: usize,
}

impl Bundle {
    /// Adds a row; gives all of them when it is full.
    fn add(&mut self, row: Record) -> Option<Vec<Record>> {
        self.bytes += row.weight();
        self.rows.push(row);
        let full = self.rows.len() >= BUNDLE_ROWS || self.bytes >= BUNDLE_BYTES;
        full.then(|| std::mem::take(self).rows)
    }
}

/// Some rows, the end, or why there are no more.
type Read = Result<Option<Vec<Record>>, ReadError>;

fn send(rows: &mpsc::Sender<Read>, read: Read) -> Result<(), ReadError> {
    rows.blocking_send(read).map_err(|_gone| ReadError::Stopped)
}

fn explained(error: StoreError) -> anyhow::Error {
    match &error {
        StoreError::Conflict { .. } => {
            let hint =
                "say --on-conflict skip to keep them, or --on-conflict update to overwrite them";
            hinted(error.to_string(), hint)
        }
        _ => anyhow::Error::new(error).context("nothing was imported"),
    }
}

/// The result for people.
fn tell(project: &str, summary: &Value, args: &ImportArgs, output: Output) {
    let number = |path: &str| summary.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let verb = if args.dry_run { "would import" } else { "imported" };
    let users = number("/users/inserted");
    let identities = number("/identities/inserted") + number("/identities/created");
    output.line(format!("{verb} {users} users with {identities} identities into {project}"));
    let there = if args.on_conflict == Conflicts::Update { "updated" } else { "there already" };
    for (path, what) in [
        ("/users/same_id", there),
        ("/users/address_taken", "skipped, as the address or number is another user's"),
        ("/users/duplicates", "skipped, as the file has them twice"),
        (
            "/passwords/unsupported",
            "with passwords that cannot be verified here: they must recover",
        ),
    ] {
        if number(path) > 0 {
            output.line(format!("{} users {what}", number(path)));
        }
    }
    let others = summary["other_tables"].as_object();
    for (table, count) in others.into_iter().flatten() {
        output.warn(format!("{table} is not imported ({count} rows or statements)"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::import::Table;

    #[test]
    fn a_bundle_is_full_by_rows_and_by_bytes() {
        let row = |bytes: usize| {
            let columns = Map::from_iter([("x".to_owned(), "x".repeat(bytes).into())]);
            Record { table: Table::Users, line: 1, columns }
        };
        let filled = |bytes: usize| {
            let mut bundle = Bundle::default();
            let mut count = 1;
            while bundle.add(row(bytes)).is_none() {
                count += 1;
            }
            assert!(bundle.rows.is_empty() && bundle.bytes == 0);
            count
        };
        assert_eq!(filled(1), BUNDLE_ROWS);
        assert_eq!(filled(BUNDLE_BYTES), 1);
        assert!((5..10).contains(&filled(BUNDLE_BYTES / 8)));
    }
}
