//! Numbered SQL files inside the binary, applied once per database: the control database's and the platform's.

use std::time::Duration;

use crate::connection::{Connection, has_code};
use crate::digest::sha256_hex;
use crate::quote;
use crate::sqlstate;

/// How long to wait for another instance that applies the same files.
const LOCK_WAIT: Duration = Duration::from_secs(120);
const LOCK: &str = "plinth:platform";

/// One file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct File {
    /// `NNNN_what.sql`.
    pub(crate) file: &'static str,
    pub(crate) sql: &'static str,
}

/// Why numbered files could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// An applied file is not the one in this binary.
    #[error(
        "platform file {file} was changed after it was applied to database `{database}`; \
         this data was made by another build of Plinth"
    )]
    Changed {
        /// The database.
        database: String,
        /// The file.
        file: String,
    },
    /// A file failed; its transaction was rolled back.
    #[error("platform file {file}, line {line}, failed on database `{database}`")]
    Failed {
        /// The database.
        database: String,
        /// The file.
        file: String,
        /// Line in the file, 1 when the server named none.
        line: usize,
        /// The server's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Another instance holds the lock for too long.
    #[error("another instance has been migrating database `{0}` for {wait} s", wait = LOCK_WAIT.as_secs())]
    Busy(String),
    /// The state of the database could not be read.
    #[error("cannot read which platform files database `{database}` has")]
    Query {
        /// The database.
        database: String,
        /// The server's error.
        #[source]
        source: tokio_postgres::Error,
    },
}

impl File {
    fn version(&self) -> i32 {
        self.file.split('_').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    }

    fn name(&self) -> &str {
        let rest = self.file.split_once('_').map_or(self.file, |(_, rest)| rest);
        rest.trim_end_matches(".sql")
    }

    fn checksum(&self) -> String {
        sha256_hex(self.sql)
    }

    /// As `sha256sum` writes it.
    #[cfg(test)]
    pub(crate) fn sum(&self) -> String {
        format!("{}  {}\n", self.checksum(), self.file)
    }
}

/// One text for all of `files`: another one when any of them is another.
pub(crate) fn digest(files: &[File]) -> String {
    let all: String =
        files.iter().map(|file| format!("{} {}\n", file.file, file.checksum())).collect();
    sha256_hex(all)
}

/// Fills in the names that differ between clusters and databases.
pub(crate) fn fill(sql: &str, owner_role: &str, database: &str) -> String {
    sql.replace("@owner@", &quote::ident(owner_role)).replace("@database@", &quote::ident(database))
}

/// Applies those of `files` that `database` lacks, each in a transaction of its own; returns how many.
///
/// When nothing is missing this is one query. Files of a newer build that are recorded there are left alone.
pub(crate) async fn apply(
    connection: &mut Connection,
    files: &[File],
    owner_role: &str,
    database: &str,
) -> Result<usize, PlatformError> {
    if missing(connection, files, database).await?.is_empty() {
        return Ok(0);
    }
    let query = |source| PlatformError::Query { database: database.to_owned(), source };
    if !connection.lock(LOCK, LOCK_WAIT).await.map_err(query)? {
        return Err(PlatformError::Busy(database.to_owned()));
    }
    let applied = apply_locked(connection, files, owner_role, database).await;
    connection.unlock(LOCK).await.map_err(query)?;
    applied
}

async fn apply_locked(
    connection: &mut Connection,
    files: &[File],
    owner_role: &str,
    database: &str,
) -> Result<usize, PlatformError> {
    // Asked again, for another instance may have been at work before the lock was ours.
    let missing = missing(connection, files, database).await?;
    for file in &missing {
        let sql = fill(file.sql, owner_role, database);
        apply_one(connection, file, &sql).await.map_err(|source| PlatformError::Failed {
            database: database.to_owned(),
            file: file.file.to_owned(),
            line: line_of(&source, &sql),
            source,
        })?;
    }
    Ok(missing.len())
}

async fn apply_one(
    connection: &mut Connection,
    file: &File,
    sql: &str,
) -> Result<(), tokio_postgres::Error> {
    let transaction = connection.client_mut().transaction().await?;
    transaction.batch_execute(sql).await?;
    let record = "insert into plinth.migration (version, name, checksum) values ($1, $2, $3)";
    transaction.execute(record, &[&file.version(), &file.name(), &file.checksum()]).await?;
    transaction.commit().await
}

async fn missing(
    connection: &Connection,
    files: &[File],
    database: &str,
) -> Result<Vec<File>, PlatformError> {
    let rows = match connection.query("select version, checksum from plinth.migration", &[]).await {
        Ok(rows) => rows,
        Err(error) if has_code(&error, sqlstate::UNDEFINED_TABLE) => Vec::new(),
        Err(source) => return Err(PlatformError::Query { database: database.to_owned(), source }),
    };
    let mut missing = Vec::new();
    for file in files {
        let recorded = rows.iter().find(|row| row.get::<_, i32>(0) == file.version());
        match recorded.map(|row| row.get::<_, &str>(1)) {
            None => missing.push(*file),
            Some(checksum) if checksum == file.checksum() => {}
            Some(_) => {
                let (database, file) = (database.to_owned(), file.file.to_owned());
                return Err(PlatformError::Changed { database, file });
            }
        }
    }
    Ok(missing)
}

/// The line of `sql` that the server complained about.
fn line_of(error: &tokio_postgres::Error, sql: &str) -> usize {
    let position = error.as_db_error().and_then(|error| error.position());
    match position {
        Some(tokio_postgres::error::ErrorPosition::Original(at)) => {
            1 + sql.chars().take(*at as usize - usize::from(*at > 0)).filter(|c| *c == '\n').count()
        }
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in_quoted() {
        let sql = "grant create on database @database@ to @owner@;";
        assert_eq!(
            fill(sql, "postgres", "my-app"),
            "grant create on database \"my-app\" to \"postgres\";"
        );
    }

    #[test]
    fn a_file_name_is_number_and_name() {
        let file = File { file: "0003_auth_tables.sql", sql: "" };
        assert_eq!((file.version(), file.name()), (3, "auth_tables"));
    }
}
