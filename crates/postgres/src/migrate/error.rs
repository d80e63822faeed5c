//! What can go wrong with a project's own SQL, told so that its author can mend it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::error::ErrorPosition;

use super::folder::SqlFile;
use super::split::Statement;
use crate::connection::ConnectError;

/// How many lines of a failing statement its message quotes.
const QUOTED_LINES: usize = 8;

/// Why migrations cannot be read or applied. Whatever it is, no file is half applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is nothing that looks like a folder of migrations.
    #[error(
        "{} is no folder of migrations: looked for `supabase/migrations`, `migrations`, `supabase/config.toml` and \
         `blueprint.toml` in it",
        .0.display()
    )]
    NoFolder(PathBuf),
    /// A file or folder could not be read or written.
    #[error("cannot use {}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The project's `config.toml` does not parse.
    #[error("cannot use {}", .path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A name for a new migration that leaves nothing when reduced to letters, digits and `_`.
    #[error("`{0}` is no name for a migration: it needs a letter or digit")]
    Name(String),
    /// Two files have one version.
    #[error("version {version} is there twice: {} and {}", .one.display(), .other.display())]
    Twice {
        /// The version.
        version: String,
        /// One file.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// The database could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The history could not be read or written, or a file's transaction could not be begun or ended.
    #[error("{doing}")]
    Query {
        /// What was being done.
        doing: String,
        /// The server's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// Another run holds the lock.
    #[error("another run is migrating this project and did not finish within {} s; try again", .0.as_secs())]
    Busy(Duration),
    /// A file is not what was applied.
    #[error(
        "{} was changed after it was applied: the database recorded other statements. Put it back and write the change \
         as a new migration, or begin anew with `plinth migrate reset`",
        .0.display()
    )]
    Changed(PathBuf),
    /// A migration was applied whose file is gone.
    #[error(
        "migration {version}{} was applied to this database, but there is no file of that version; \
         put the file back, or begin anew with `plinth migrate reset`",
        .name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default()
    )]
    Missing {
        /// Its version.
        version: String,
        /// Its name, if recorded.
        name: Option<String>,
    },
    /// A file is older than what was applied last.
    #[error(
        "{} is older than migration {applied}, which was applied already; rename it to a newer version, \
         or apply it in spite of the order with --include-all",
        .path.display()
    )]
    OutOfOrder {
        /// The file.
        path: PathBuf,
        /// Newest applied version.
        applied: String,
    },
    /// A statement failed.
    #[error("{0}")]
    Statement(Box<StatementError>),
    /// A statement cannot be in a file's transaction.
    #[error("{}:{line}: `{statement}` {why}", .path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Line of the statement.
        line: usize,
        /// First words of the statement.
        statement: String,
        /// Why not.
        why: &'static str,
    },
}

/// A statement that PostgreSQL refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementError {
    /// The file.
    pub path: PathBuf,
    /// Line in the file, from 1: where the server points to, else where the statement begins.
    pub line: usize,
    /// Column in that line, in characters from 1.
    pub column: usize,
    /// The statement.
    pub sql: String,
    /// SQLSTATE.
    pub code: String,
    /// PostgreSQL's message.
    pub message: String,
    /// PostgreSQL's detail.
    pub detail: Option<String>,
    /// PostgreSQL's hint.
    pub hint: Option<String>,
    /// Where in nested code it happened, such as a line of a PL/pgSQL function.
    pub context: Option<String>,
}

impl StatementError {
    pub(crate) fn new(
        file: &SqlFile,
        statement: &Statement<'_>,
        error: &tokio_postgres::Error,
    ) -> Self {
        let database = error.as_db_error();
        let at = match database.and_then(|error| error.position()) {
            Some(ErrorPosition::Original(position)) => {
                statement.start + byte_of(statement.text, *position)
            }
            _ => statement.code,
        };
        let (line, column) = place(&file.sql, at);
        let own = |text: Option<&str>| text.map(str::to_owned);
        Self {
            path: file.path.clone(),
            line,
            column,
            sql: file.sql[statement.code..statement.start + statement.text.len()].to_owned(),
            code: error.code().map(|code| code.code().to_owned()).unwrap_or_default(),
            message: database.map_or_else(|| error.to_string(), |error| error.message().to_owned()),
            detail: own(database.and_then(|error| error.detail())),
            hint: own(database.and_then(|error| error.hint())).or_else(|| own_hint(statement.text)),
            context: own(database.and_then(|error| error.where_())),
        }
    }
}

impl fmt::Display for StatementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.path.display(), self.line, self.column, self.message)?;
        if !self.code.is_empty() {
            write!(f, " (SQLSTATE {})", self.code)?;
        }
        for (label, text) in
            [("detail", &self.detail), ("hint", &self.hint), ("context", &self.context)]
        {
            if let Some(text) = text {
                write!(f, "\n  {label}: {}", text.replace('\n', "\n    "))?;
            }
        }
        for line in self.sql.lines().take(QUOTED_LINES) {
            write!(f, "\n  | {line}")?;
        }
        if self.sql.lines().count() > QUOTED_LINES {
            f.write_str("\n  | …")?;
        }
        Ok(())
    }
}

/// Line and column, from 1, of the byte `at` in `text`.
pub(crate) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The byte of the character that the server counts as number `position`, from 1.
fn byte_of(text: &str, position: u32) -> usize {
    let index = (position as usize).saturating_sub(1);
    text.char_indices().nth(index).map_or(text.len(), |(byte, _)| byte)
}

/// A word of ours for mistakes that the server has no hint for.
fn own_hint(sql: &str) -> Option<String> {
    let meta = sql.trim_start().starts_with('\\');
    meta.then(|| "this is a command of psql, not SQL; remove the line".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "é1\nsecond é line";
        assert_eq!(place(text, 0), (1, 1));
        assert_eq!(place(text, text.find("second").unwrap()), (2, 1));
        assert_eq!(place(text, text.find("line").unwrap()), (2, 10));
        assert_eq!(place(text, 999), (2, 14));
    }

    #[test]
    fn the_servers_positions_count_characters() {
        assert_eq!(byte_of("éa", 2), 2);
        assert_eq!(byte_of("abc", 0), 0);
        assert_eq!(byte_of("abc", 9), 3);
    }
}
