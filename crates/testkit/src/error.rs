//! What can go wrong in the kit itself; a failed check is a line of a report instead.

use std::path::{Path, PathBuf};

use tokio_postgres::error::ErrorPosition;

/// Why something could not be checked or set up at all.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// A file or folder could not be read.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read but does not say what it must.
    #[error("{path}: {message}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the place.
        message: String,
    },
    /// A statement of a file failed.
    #[error("{0}")]
    Sql(String),
    /// The test cluster or a database in it could not be made.
    #[error("{what}: {}", chain(.source.as_ref()))]
    Setup {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused something that the kit itself asked for.
    #[error("{}", describe(.0))]
    Database(#[from] tokio_postgres::Error),
}

impl KitError {
    /// Makes a `Setup` of an error.
    pub(crate) fn setup<E>(what: &'static str) -> impl Fn(E) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        move |source| Self::Setup { what, source: Box::new(source) }
    }

    pub(crate) fn malformed(path: &Path, message: impl Into<String>) -> Self {
        Self::Malformed { path: path.to_owned(), message: message.into() }
    }
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, KitError> {
    std::fs::read_to_string(path).map_err(|source| KitError::Read { path: path.to_owned(), source })
}

/// An error and its causes in one line; a test prints only this.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// SQLSTATE, message, detail and hint of an error in one line.
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    let Some(database) = error.as_db_error() else { return error.to_string() };
    let mut line = format!("{} {}", database.code().code(), database.message());
    for (label, text) in [("detail", database.detail()), ("hint", database.hint())] {
        if let Some(text) = text {
            line += &format!(" ({label}: {text})");
        }
    }
    line
}

/// As [`describe`], after the file and the line where the statement stands.
///
/// `sql` is the text that was sent as one query and `first_line` the line where it begins in `file`.
pub(crate) fn describe_at(
    file: &Path,
    first_line: usize,
    sql: &str,
    error: &tokio_postgres::Error,
) -> String {
    let position = error.as_db_error().and_then(|database| match database.position() {
        Some(ErrorPosition::Original(position)) => Some(*position as usize),
        _ => None,
    });
    let line = position.map_or(first_line, |position| {
        let before = sql.chars().take(position.saturating_sub(1));
        first_line + before.filter(|&character| character == '\n').count()
    });
    format!("{}:{line}: {}", file.display(), describe(error))
}
