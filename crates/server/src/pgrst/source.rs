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
    Settings(#[from] SettingsError),
    /// The keys cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
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
        let file = RwLock::default();
        let source = Self { path, environment, flags, file, contents: Mutex::default() };
        source.read_again()?;
        Ok(source)
    }

    /// Settings that come from nowhere but here.
    pub fn of_flags(flags: BTreeMap<String, String>) -> Self {
        let (environment, file) = (Layer::new(), RwLock::default());
        Self { path: None, environment, flags, file, contents: Mutex::default() }
    }

    /// Reads the file again, and later those that it names; nothing changes when it cannot be read.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when it cannot be read or is malformed.
    pub fn read_again(&self) -> Result<(), SourceError> {
        let read = match &self.path {
            None => Layer::new(),
            Some(path) => {
                let bytes = read(path)?;
                let text = String::from_utf8_lossy(&bytes);
                parse_file(&text, &|name| std::env::var(name).ok())
                    .map_err(|source| SourceError::File { path: path.clone(), source })?
            }
        };
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = read;
        self.contents.lock().unwrap_or_else(PoisonError::into_inner).clear();
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

fn read(path: &Path) -> Result<Vec<u8>, SourceError> {
    std::fs::read(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })
}
