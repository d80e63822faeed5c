//! The rows in the database: waiting, judged, taken over.

use std::fmt::Write as _;

use bytes::{BufMut as _, Bytes, BytesMut};
use clap::ValueEnum;
use futures_util::SinkExt as _;
use plinth_postgres::Connection;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::Receiver;

use super::{Hashes, ReadError, Record};

/// Rows as they are read, some at a time, in the end `None`: a file whose reading just stops is imported in no part.
pub type Rows = Receiver<Result<Option<Vec<Record>>, ReadError>>;

/// What becomes of users who are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Conflicts {
    /// Nothing is imported when there is one.
    #[default]
    Fail,
    /// They stay as they are.
    Skip,
    /// Users of the same id become what the file says; an address that is somebody else's is skipped.
    Update,
}

/// How to import.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What becomes of users who are there already.
    pub conflicts: Conflicts,
    /// Do everything and take it back.
    pub dry_run: bool,
    /// Run the triggers that people hung on `auth.users`.
    pub run_triggers: bool,
}

/// Why rows cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refuses.
    #[error("{}", of_database(.0))]
    Database(#[from] tokio_postgres::Error),
    /// Users are there already, and nobody said what to do about it.
    #[error("{count} of the users are there already, such as {examples}")]
    Conflict {
        /// How many.
        count: i64,
        /// Some of them.
        examples: String,
    },
    /// The file cannot be read to its end.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The result cannot be read.
    #[error("the result cannot be read")]
    Summary(#[from] serde_json::Error),
}

fn of_database(error: &tokio_postgres::Error) -> String {
    let Some(error) = error.as_db_error() else { return "the database is gone".to_owned() };
    let mut text = format!("the database refuses: {}", error.message());
    for more in [error.detail(), error.where_()].into_iter().flatten() {
        let _ = write!(text, " ({})", more.lines().next().unwrap_or_default());
    }
    text
}

/// Bytes of rows that are sent at once.
const CHUNK: usize = 64 * 1024;
/// Conflicts that are named.
const EXAMPLES: i64 = 3;

/// Imports into one database.
#[derive(Debug)]
pub struct Store<'a> {
    connection: &'a mut Connection,
    options: Options,
}

impl<'a> Store<'a> {
    /// Over a connection of the project's owner.
    pub fn new(connection: &'a mut Connection, options: Options) -> Self {
        Self { connection, options }
    }

    /// Takes all rows over, in one transaction; gives what became of them.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; then nothing was taken over.
    pub async fn import(self, mut rows: Rows) -> Result<Value, StoreError> {
        let options = self.options;
        let transaction = self.connection.client_mut().transaction().await?;
        // A project's limits are for requests, not for a million users.
        transaction
            .batch_execute("set local statement_timeout = 0; set local lock_timeout = 0")
            .await?;
        transaction.batch_execute(include_str!("store/stage.sql")).await?;
        let hashes = fill(&transaction, &mut rows).await?;
        transaction.batch_execute(include_str!("store/users.sql")).await?;
        transaction.batch_execute(include_str!("store/verdicts.sql")).await?;
        if options.conflicts == Conflicts::Fail {
            refuse_conflicts(&transaction).await?;
        }
        if !options.run_triggers {
            transaction.batch_execute("set local session_replication_role = replica").await?;
        }
        if options.conflicts == Conflicts::Update {
            transaction.batch_execute(include_str!("store/update.sql")).await?;
        }
        transaction.batch_execute(include_str!("store/insert.sql")).await?;
        let row = transaction.query_one(include_str!("store/summary.sql"), &[]).await?;
        let mut summary: Map<String, Value> = serde_json::from_str(row.get(0))?;
        summary.insert("passwords".to_owned(), json!(hashes));
        summary.insert("dry_run".to_owned(), options.dry_run.into());
        match options.dry_run {
            true => transaction.rollback().await?,
            false => transaction.commit().await?,
        }
        Ok(Value::Object(summary))
    }
}

/// Writes the rows into the temporary table, as they come.
async fn fill(
    transaction: &tokio_postgres::Transaction<'_>,
    rows: &mut Rows,
) -> Result<Hashes, StoreError> {
    let copy = "copy plinth_import_row (kind, line, doc) from stdin";
    let sink = transaction.copy_in::<_, Bytes>(copy).await?;
    let mut sink = std::pin::pin!(sink);
    let (mut hashes, mut buffer) = (Hashes::default(), BytesMut::with_capacity(CHUNK * 2));
    while let Some(some) = rows.recv().await.unwrap_or(Err(ReadError::Stopped))? {
        for row in some {
            if row.table == super::Table::Users {
                hashes.count(&row);
            }
            write_row(&mut buffer, &row);
            if buffer.len() >= CHUNK {
                sink.feed(buffer.split().freeze()).await?;
            }
        }
    }
    sink.feed(buffer.freeze()).await?;
    sink.finish().await?;
    Ok(hashes)
}

/// A line in the text format of COPY.
fn write_row(buffer: &mut BytesMut, row: &Record) {
    let document = serde_json::to_string(&row.columns).unwrap_or_default();
    buffer.put_slice(row.table.kind().as_bytes());
    buffer.put_slice(format!("\t{}\t", row.line).as_bytes());
    // JSON has its own escapes for control characters, so only their backslashes are left to escape.
    for part in document.as_bytes().split_inclusive(|byte| *byte == b'\\') {
        buffer.put_slice(part);
        if part.ends_with(b"\\") {
            buffer.put_u8(b'\\');
        }
    }
    buffer.put_u8(b'\n');
}

async fn refuse_conflicts(transaction: &tokio_postgres::Transaction<'_>) -> Result<(), StoreError> {
    let sql = "select count(*) over (), line, coalesce(email, phone, id::text) from plinth_import_user \
               where verdict <> 'insert' order by position limit $1";
    let rows = transaction.query(sql, &[&EXAMPLES]).await?;
    let Some(first) = rows.first() else { return Ok(()) };
    let named = rows
        .iter()
        .map(|row| format!("{} (line {})", row.get::<_, String>(2), row.get::<_, i64>(1)));
    let examples = named.collect::<Vec<_>>().join(", ");
    Err(StoreError::Conflict { count: first.get(0), examples })
}
