//! The checks that a blueprint has to pass, and the reader of its folder.
//!
//! A blueprint is a folder with `migrations/*.sql`, `seed.sql` and `tests/` (`fixture.sql`, `access.toml`
//! and further `*.sql`). The checks need a database with the platform schema and a superuser's connection:
//!
//! 1. [`install()`] the helpers, the migrations and the fixture;
//! 2. [`check_seed`]: the seed loads;
//! 3. [`check_access`]: table × caller × operation against `tests/access.toml`;
//! 4. [`run_sql_tests`]: the sections of `tests/*.sql`;
//! 5. [`check_catalog`]: rules about the objects, asked from `pg_catalog`.

mod access;
mod install;
mod matrix;
mod report;
mod rules;
mod sql_test;

use std::path::{Path, PathBuf};

pub use access::{Access, Caller, TableAccess, ViewAccess};
pub(crate) use install::load_fixture;
pub use install::{check_seed, install, install_helpers};
pub use matrix::check_access;
pub use report::Report;
pub use rules::check_catalog;
pub use sql_test::{SqlTest, parse_sql_tests, run_sql_tests};

use crate::error::{KitError, read};

/// A SQL file, read.
#[derive(Debug, Clone)]
pub struct SqlFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl SqlFile {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`KitError::Read`] when it is not there or not UTF-8.
    pub fn read(path: &Path) -> Result<Self, KitError> {
        Ok(Self { path: path.to_owned(), text: read(path)? })
    }
}

/// A blueprint's folder, read and parsed.
#[derive(Debug, Clone)]
pub struct Blueprint {
    /// The folder's name.
    pub name: String,
    /// `migrations/*.sql` in the order in which they are applied.
    pub migrations: Vec<SqlFile>,
    /// `seed.sql`.
    pub seed: Option<SqlFile>,
    /// `tests/fixture.sql`: the rows that matrix and tests talk about.
    pub fixture: Option<SqlFile>,
    /// `tests/access.toml`.
    pub access: Access,
    /// The sections of the other `tests/*.sql`.
    pub sql_tests: Vec<SqlTest>,
}

impl Blueprint {
    /// Reads the folder.
    ///
    /// # Errors
    ///
    /// [`KitError::Read`] when a required file is missing, [`KitError::Malformed`] when one makes no sense.
    pub fn load(folder: &Path) -> Result<Self, KitError> {
        let tests = folder.join("tests");
        let migrations = sql_files(&folder.join("migrations"))?;
        if migrations.is_empty() {
            return Err(KitError::malformed(&folder.join("migrations"), "no migration in it"));
        }
        for file in &migrations {
            require_version(&file.path)?;
        }
        let mut sql_tests = Vec::new();
        for file in sql_files(&tests)? {
            if !file.path.ends_with("fixture.sql") {
                sql_tests.extend(parse_sql_tests(&file)?);
            }
        }
        let access = Access::load(&tests.join("access.toml"))?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let seed = optional(&folder.join("seed.sql"))?;
        let fixture = optional(&tests.join("fixture.sql"))?;
        Ok(Self { name, migrations, seed, fixture, access, sql_tests })
    }
}

/// `<14 digits>_<name>.sql`, as the migration engine wants it; it would skip another name.
fn require_version(path: &Path) -> Result<(), KitError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 14 && name.as_bytes().get(14) == Some(&b'_') {
        return Ok(());
    }
    Err(KitError::malformed(path, "a migration is named <14 digits>_<name>.sql"))
}

fn optional(path: &Path) -> Result<Option<SqlFile>, KitError> {
    if path.exists() { SqlFile::read(path).map(Some) } else { Ok(None) }
}

/// The `.sql` files of a folder in name order.
fn sql_files(folder: &Path) -> Result<Vec<SqlFile>, KitError> {
    let failed = |source| KitError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "sql") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| SqlFile::read(path)).collect()
}
