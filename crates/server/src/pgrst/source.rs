//! What was given at start: a file, the environment, flags; and the files that settings name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use super::dump::dump;
use super::file::{FileError, parse_file};
use super::keys::{APP_SETTINGS, Key, find};
use super::layers::{Layer, Layers};
use super::settings::{Jwt, Settings, SettingsError};
use crate::gateway::{KeyError, KeySet};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The settings' file is malformed.
    #[error("Error in config {path}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        #[source]
        source: FileError,
    },
    /// A setting cannot be used.
    #[error("Error in config {0}")]
    Settings(SettingsError),
    /// The keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<SettingsError> for SourceError {
    /// Not as the cause: the message has it, in PostgREST's words.
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

/// Where settings come from, besides the database.
pub struct Source {
    path: Option<PathBuf>,
    environment: Layer,
    flags: Layer,
    file: RwLock<Layer>,
    /// What the files hold that settings name by `@path`. Read once per reading of the settings, as
    /// some can be read only once.
    contents: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Source {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when it cannot be read or is malformed.
    pub fn open(
        path: Option<PathBuf>,
        environment: BTreeMap<String, String>,
        flags: BTreeMap<String, String>,
    ) -> Result<Self, SourceError> {
        let file = RwLock::new(read_settings(path.as_deref())?);
        Ok(Self { path, environment, flags, file, contents: Mutex::default() })
    }

    /// Settings that come from nowhere but here.
    pub fn of_flags(flags: BTreeMap<String, String>) -> Self {
        let (environment, file) = (Layer::new(), RwLock::default());
        Self { path: None, environment, flags, file, contents: Mutex::default() }
    }

    /// Reads the file again, and those that it names. Nothing changes when what they say cannot be used: else every
    /// later reading of the settings, for whatever reason, would fail too.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when a file cannot be read, or its settings or keys make no sense.
    pub fn read_again(&self) -> Result<(), SourceError> {
        let new = Self {
            path: None,
            environment: self.environment.clone(),
            flags: self.flags.clone(),
            file: RwLock::new(read_settings(self.path.as_deref())?),
            contents: Mutex::default(),
        };
        new.keys(&new.settings(&Layer::new())?.jwt)?;
        let file = new.file.into_inner().unwrap_or_else(PoisonError::into_inner);
        let contents = new.contents.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        *self.contents.lock().unwrap_or_else(PoisonError::into_inner) = contents;
        Ok(())
    }

    /// The settings, with those of the database (their names without `pgrst.`).
    ///
    /// # Errors
    ///
    /// [`SourceError::Settings`] when one cannot be used.
    pub fn settings(&self, database: &BTreeMap<String, String>) -> Result<Settings, SourceError> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        Ok(Settings::read(&self.layers(&file, database))?)
    }

    /// The settings in force as a file, secrets hidden.
    pub fn dump(&self, database: &BTreeMap<String, String>) -> String {
        dump(&self.layers(&self.file.read().unwrap_or_else(PoisonError::into_inner), database))
    }

    fn layers<'l>(&'l self, file: &'l Layer, database: &'l Layer) -> Layers<'l> {
        Layers { database, flags: &self.flags, environment: &self.environment, file }
    }

    /// Names that are no settings, as they were written.
    pub fn unknown(&self) -> Vec<String> {
        let file = self.file.read().unwrap_or_else(PoisonError::into_inner);
        let in_file =
            file.keys().filter(|name| find(name).is_none() && !name.starts_with(APP_SETTINGS));
        let known = |variable: &str| {
            variable.starts_with("PGRST_APP_SETTINGS_")
                || super::KEYS.iter().any(|key| {
                    Key::variable(key.name) == variable
                        || key.alias.is_some_and(|alias| Key::variable(alias) == variable)
                })
        };
        let in_environment = self.environment.keys().filter(|name| !known(name));
        in_file.chain(in_environment).cloned().collect()
    }

    /// The keys that verify tokens; `None` without a secret.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when their file cannot be read, or they are none.
    pub fn keys(&self, jwt: &Jwt) -> Result<Option<KeySet>, SourceError> {
        let Some(secret) = &jwt.secret else { return Ok(None) };
        let keys = match secret.expose().strip_prefix('@') {
            None => KeySet::parse(secret.expose().as_bytes(), jwt.base64)?,
            Some(path) => {
                let bytes = self.content(Path::new(path))?;
                KeySet::parse(bytes.strip_suffix(b"\n").unwrap_or(&bytes), jwt.base64)?
            }
        };
        Ok(Some(keys))
    }

    /// The text of `setting`, or of the file that it names by `@path`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Read`] when that file cannot be read.
    pub fn text_or_file(&self, setting: &str) -> Result<String, SourceError> {
        let Some(path) = setting.strip_prefix('@') else { return Ok(setting.to_owned()) };
        let bytes = self.content(Path::new(path))?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// What a file holds now, or held when the settings were read.
    fn content(&self, path: &Path) -> Result<Vec<u8>, SourceError> {
        let mut contents = self.contents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = contents.get(path) {
            return Ok(known.clone());
        }
        let bytes = read(path)?;
        contents.insert(path.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// What the settings' file says; nothing without one.
fn read_settings(path: Option<&Path>) -> Result<Layer, SourceError> {
    let Some(path) = path else { return Ok(Layer::new()) };
    let bytes = read(path)?;
    parse_file(&String::from_utf8_lossy(&bytes), &|name| std::env::var(name).ok())
        .map_err(|source| SourceError::File { path: path.to_owned(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_changes_nothing_until_it_is_mended() {
        let folder = std::env::temp_dir().join(format!("plinth-source-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (file, secret) = (folder.join("api.conf"), folder.join("secret"));
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        std::fs::write(&secret, "a-secret-that-is-at-least-32-bytes-long").unwrap();
        let good = format!("db-max-rows = 1\njwt-secret = \"@{}\"\n", secret.display());
        write(&good);
        let source = Source::open(Some(file.clone()), Layer::new(), Layer::new()).unwrap();
        let max_rows = || source.settings(&Layer::new()).unwrap().rest.max_rows;
        for broken in [
            "db-max-rows = \"2",
            "db-max-rows = 2\ndb-tx-end = \"never\"",
            "db-max-rows = 2\njwt-secret = \"short\"",
            "db-max-rows = 2\njwt-secret = \"@/no/such/file\"",
        ] {
            write(broken);
            assert!(source.read_again().is_err(), "{broken}");
            assert_eq!(max_rows(), Some(1), "{broken}");
        }
        std::fs::write(&secret, "short").unwrap();
        write(&good.replace("= 1", "= 2"));
        assert!(source.read_again().is_err());
        std::fs::write(&secret, "another-secret-of-at-least-32-bytes").unwrap();
        source.read_again().unwrap();
        assert_eq!(max_rows(), Some(2));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
