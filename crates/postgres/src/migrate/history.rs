//! What a database has had, beside what is on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::MigrateError;
use super::folder::{MigrationFile, MigrationFolder};
use super::split::normalised;

/// How a migration stands between disk and database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationState {
    /// Applied as it is on disk.
    Applied,
    /// On disk, not applied.
    Pending,
    /// On disk, not applied, and older than one that was applied.
    OutOfOrder,
    /// Applied, but the file has other statements now.
    Changed,
    /// Applied, and there is no file.
    Missing,
}

/// One migration and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Its name; empty where a missing one was recorded without.
    pub name: String,
    /// Its file, if there is one.
    pub path: Option<PathBuf>,
    /// How it stands.
    pub state: MigrationState,
}

/// The applied migrations by version.
pub(crate) type History = BTreeMap<String, Recorded>;

/// What `supabase_migrations.schema_migrations` says of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    pub(crate) name: Option<String>,
    /// Absent where the migration was marked as applied by hand.
    pub(crate) statements: Option<Vec<String>>,
}

/// Every migration of disk and database, by version.
pub(crate) fn compare(folder: &MigrationFolder, history: &History) -> Vec<Status> {
    let newest = history.keys().next_back();
    let on_disk = folder.migrations().iter().map(|migration| Status {
        version: migration.version.clone(),
        name: migration.name.clone(),
        path: Some(migration.path().to_owned()),
        state: match history.get(&migration.version) {
            Some(recorded) if is_same(migration, recorded) => MigrationState::Applied,
            Some(_) => MigrationState::Changed,
            None if newest.is_some_and(|newest| migration.version < *newest) => {
                MigrationState::OutOfOrder
            }
            None => MigrationState::Pending,
        },
    });
    let is_on_disk = |version: &String| {
        folder.migrations().iter().any(|migration| migration.version == *version)
    };
    let gone =
        history.iter().filter(|(version, _)| !is_on_disk(version)).map(|(version, recorded)| {
            Status {
                version: version.clone(),
                name: recorded.name.clone().unwrap_or_default(),
                path: None,
                state: MigrationState::Missing,
            }
        });
    let mut all: Vec<Status> = on_disk.chain(gone).collect();
    all.sort_by(|a, b| a.version.cmp(&b.version));
    all
}

/// The migrations to apply, in order.
///
/// # Errors
///
/// [`MigrateError`] if disk and database do not fit together, the oldest difference first.
pub(crate) fn pending<'a>(
    folder: &'a MigrationFolder,
    history: &History,
    include_all: bool,
) -> Result<Vec<&'a MigrationFile>, MigrateError> {
    for status in compare(folder, history) {
        let path = status.path.unwrap_or_default();
        match status.state {
            MigrationState::Changed => return Err(MigrateError::Changed(path)),
            MigrationState::Missing => {
                let name = Some(status.name).filter(|name| !name.is_empty());
                return Err(MigrateError::Missing { version: status.version, name });
            }
            MigrationState::OutOfOrder if !include_all => {
                let applied = history.keys().next_back().cloned().unwrap_or_default();
                return Err(MigrateError::OutOfOrder { path, applied });
            }
            _ => {}
        }
    }
    Ok(folder
        .migrations()
        .iter()
        .filter(|migration| !history.contains_key(&migration.version))
        .collect())
}

/// Whether the file still says what was applied. Comments and space may change.
fn is_same(migration: &MigrationFile, recorded: &Recorded) -> bool {
    match &recorded.statements {
        Some(statements) => normalised(&statements.join(";\n")) == normalised(migration.sql()),
        None => true,
    }
}
