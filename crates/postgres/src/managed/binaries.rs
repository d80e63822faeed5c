//! Finding PostgreSQL's programs and knowing what they are before anything depends on them.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Oldest major version that Plinth works with.
pub const OLDEST_MAJOR: u32 = 15;
/// Where `scripts/fetch-postgres` puts the programs, relative to the project.
const FETCHED: &str = ".postgres/bin";
const HINT: &str = "run `make setup` in Plinth's folder, or set PLINTH_PG_BIN to the bin folder of a PostgreSQL \
                    15 or newer with pgvector and contrib";

/// Why PostgreSQL's programs cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BinariesError {
    /// No folder was given and none was found.
    #[error("PostgreSQL was not found: no .postgres/bin here or beside the program; {HINT}")]
    NotFound,
    /// The folder lacks a program.
    #[error("{} has no program `{program}`; {HINT}", .bin.display())]
    Missing {
        /// The folder.
        bin: PathBuf,
        /// The program.
        program: &'static str,
    },
    /// The server program does not start.
    #[error("{} does not run", .program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The server program says something else than a version.
    #[error("{} --version answered `{answer}`", .program.display())]
    Answer {
        /// The program.
        program: PathBuf,
        /// What it said.
        answer: String,
    },
    /// The server is too old.
    #[error("PostgreSQL {found} in {} is too old, Plinth needs {OLDEST_MAJOR} or newer; {HINT}", .bin.display())]
    TooOld {
        /// The folder.
        bin: PathBuf,
        /// Its version.
        found: String,
    },
    /// The server has no pgvector or no contrib modules.
    #[error("PostgreSQL {version} in {} has no extension `{extension}`; {HINT}", .bin.display())]
    NoExtension {
        /// The folder.
        bin: PathBuf,
        /// Its version.
        version: String,
        /// The extension.
        extension: &'static str,
    },
}

/// The programs of one PostgreSQL installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    bin: PathBuf,
    version: String,
    major: u32,
}

impl Binaries {
    /// Takes the folder `explicit` when given (`PLINTH_PG_BIN`), else the `.postgres/bin` that is nearest above the
    /// current folder or above this program, and checks version and extensions.
    ///
    /// # Errors
    ///
    /// [`BinariesError`], with a hint what to do.
    pub fn find(explicit: Option<&Path>) -> Result<Self, BinariesError> {
        if let Some(bin) = explicit {
            return Self::inspect(bin);
        }
        let starts = [std::env::current_dir(), std::env::current_exe()];
        let found = starts
            .iter()
            .flatten()
            .flat_map(|start| start.ancestors())
            .map(|folder| folder.join(FETCHED))
            .find(|bin| bin.join("postgres").exists())
            .ok_or(BinariesError::NotFound)?;
        Self::inspect(&found)
    }

    /// Looks at the programs in `bin`.
    ///
    /// # Errors
    ///
    /// [`BinariesError`] if one is missing, too old, or without the extensions that every project has.
    pub fn inspect(bin: &Path) -> Result<Self, BinariesError> {
        for program in ["postgres", "initdb"] {
            if !bin.join(program).exists() {
                return Err(BinariesError::Missing { bin: bin.to_owned(), program });
            }
        }
        let bin = bin
            .canonicalize()
            .map_err(|source| BinariesError::Run { program: bin.join("postgres"), source })?;
        let mut binaries = Self { version: String::new(), major: 0, bin };
        binaries.version = binaries.ask_version()?;
        binaries.major = leading_number(&binaries.version).unwrap_or_default();
        if binaries.major < OLDEST_MAJOR {
            return Err(BinariesError::TooOld { bin: binaries.bin, found: binaries.version });
        }
        binaries.check_extensions()?;
        Ok(binaries)
    }

    /// The folder, absolute and without links.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// Version as the server says it, such as `16.14`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Major version, such as 16.
    pub fn major(&self) -> u32 {
        self.major
    }

    /// The program `name`, if the installation has it (`psql` may be missing).
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        Some(self.bin.join(name)).filter(|path| path.exists())
    }

    /// A command that finds the installation's own libraries and is not led astray by the caller's `PG…` variables.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        let variable =
            if cfg!(target_os = "macos") { "DYLD_LIBRARY_PATH" } else { "LD_LIBRARY_PATH" };
        command.env(variable, self.library_path(variable));
        for name in [
            "PGDATA",
            "PGHOST",
            "PGPORT",
            "PGUSER",
            "PGDATABASE",
            "PGPASSWORD",
            "PGOPTIONS",
            "PGSERVICE",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// The same installation at another place, for a copy.
    pub(crate) fn moved_to(&self, bin: PathBuf) -> Self {
        Self { bin, ..self.clone() }
    }

    fn library_path(&self, variable: &str) -> OsString {
        let own = self.bin.with_file_name("lib");
        let inherited = std::env::var_os(variable);
        let all = std::iter::once(own).chain(inherited.iter().flat_map(std::env::split_paths));
        std::env::join_paths(all).unwrap_or_default()
    }

    fn ask_version(&self) -> Result<String, BinariesError> {
        let program = self.bin.join("postgres");
        let output = self
            .command("postgres")
            .arg("--version")
            .output()
            .map_err(|source| BinariesError::Run { program: program.clone(), source })?;
        let answer = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        // "postgres (PostgreSQL) 16.14 (Debian 16.14-1)"
        match answer.split_whitespace().nth(2) {
            Some(version) if leading_number(version).is_some() => Ok(version.to_owned()),
            _ => Err(BinariesError::Answer { program, answer }),
        }
    }

    fn check_extensions(&self) -> Result<(), BinariesError> {
        let folders = self.extension_folders();
        if folders.is_empty() {
            // An unusual layout: the cluster's own list of extensions will tell, once it runs.
            return Ok(());
        }
        for extension in ["vector", "pgcrypto", "uuid-ossp", "pg_trgm", "pg_stat_statements"] {
            let file = format!("{extension}.control");
            if !folders.iter().any(|folder| folder.join(&file).exists()) {
                let (bin, version) = (self.bin.clone(), self.version.clone());
                return Err(BinariesError::NoExtension { bin, version, extension });
            }
        }
        Ok(())
    }

    /// Folders with control files: where `pg_config` says, else where the usual layouts have them.
    fn extension_folders(&self) -> Vec<PathBuf> {
        let told = self.program("pg_config").and_then(|_| {
            let output = self.command("pg_config").arg("--sharedir").output().ok()?;
            Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
        });
        let prefix = self.bin.parent().unwrap_or(&self.bin);
        let debian = PathBuf::from(format!("/usr/share/postgresql/{}", self.major));
        let usual = [prefix.join("share/postgresql"), prefix.join("share"), debian];
        told.into_iter()
            .chain(usual)
            .map(|share| share.join("extension"))
            .filter(|folder| folder.is_dir())
            .collect()
    }
}

fn leading_number(version: &str) -> Option<u32> {
    let digits = version.find(|c: char| !c.is_ascii_digit()).map_or(version, |end| &version[..end]);
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_leads_the_version() {
        assert_eq!(leading_number("16.14"), Some(16));
        assert_eq!(leading_number("17beta1"), Some(17));
        assert_eq!(leading_number("devel"), None);
    }

    #[test]
    fn a_folder_without_programs_is_refused_with_a_hint() {
        let error = Binaries::inspect(Path::new("/nonexistent")).unwrap_err();
        assert!(matches!(error, BinariesError::Missing { program: "postgres", .. }));
        assert!(error.to_string().contains("make setup"));
    }
}
