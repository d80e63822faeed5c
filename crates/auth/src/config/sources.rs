//! Where settings come from, and which of them wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use url::Url;

use super::error::{Note, Problem};
use super::reader::Reader;
use super::setting::Kind;
use super::{AuthConfig, AuthConfigError, elsewhere, settings, unknown, value};

/// Settings of one origin.
#[derive(Clone)]
pub(super) struct Layer {
    /// The file, or the variable.
    pub(super) origin: String,
    /// What relative paths are relative to.
    pub(super) folder: PathBuf,
    /// The settings below `[auth]`.
    pub(super) table: Table,
}

impl Layer {
    /// The value at a path such as `email.otp_length`.
    pub(super) fn at(&self, path: &str) -> Option<&Value> {
        let mut parts = path.split('.');
        let first = self.table.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.as_table()?.get(part))
    }
}

/// The process's environment, as far as settings need it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl fmt::Debug for Environment {
    /// Only how many there are: variables hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({})", self.0.len())
    }
}

impl FromIterator<(String, String)> for Environment {
    /// Variables that are empty are as good as not there.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self(variables.into_iter().filter(|(_, text)| !text.is_empty()).collect())
    }
}

impl Environment {
    /// `env(NAME)` is the variable's value, or `None` when there is none; other text is itself.
    pub(super) fn substitute(&self, text: &str) -> Option<String> {
        match Self::named(text) {
            Some(name) => self.0.get(name).cloned(),
            None => Some(text.to_owned()),
        }
    }

    /// The variable that `env(NAME)` names.
    fn named(text: &str) -> Option<&str> {
        let name = text.trim().strip_prefix("env(")?.strip_suffix(')')?.trim();
        let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        (sound && !name.is_empty()).then_some(name)
    }

    /// The variable that the text names and that is not set.
    pub(super) fn unset<'t>(&self, text: &'t str) -> Option<&'t str> {
        Self::named(text).filter(|name| !self.0.contains_key(*name))
    }
}

/// Settings from several places; those that were added last win, key by key.
#[derive(Clone, Default)]
pub struct Sources {
    layers: Vec<Layer>,
    environment: Environment,
    notes: Vec<Note>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|layer| &layer.origin)).finish()
    }
}

impl Sources {
    /// No settings; `environment` is where `env(NAME)` looks.
    pub fn new(environment: Environment) -> Self {
        Self { environment, ..Self::default() }
    }

    /// Adds a table such as `[auth]`. `origin` says where it is from, and paths in it are relative to
    /// `folder` or to the folder above.
    pub fn table(mut self, origin: impl Into<String>, folder: &Path, table: Table) -> Self {
        let layer = Layer { origin: origin.into(), folder: folder.to_owned(), table };
        self.notes.extend(unknown::notes(&layer, &self.environment));
        self.layers.push(layer);
        self
    }

    /// Adds `[auth]` of a file such as `supabase/config.toml`.
    ///
    /// # Errors
    ///
    /// [`AuthConfigError`] when it cannot be read or is no TOML.
    pub fn file(self, path: &Path) -> Result<Self, AuthConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| AuthConfigError::Read { path: path.to_owned(), source })?;
        let mut all: Table = toml::from_str(&text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|b| *b == b'\n').count() + 1;
            let message = format!("line {line}: {}", error.message());
            AuthConfigError::Syntax { path: path.to_owned(), message }
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Ok(match all.remove("auth") {
            Some(Value::Table(table)) => self.table(path.display().to_string(), folder, table),
            _ => self,
        })
    }

    /// Says that what was added so far is for all projects.
    ///
    /// # Errors
    ///
    /// [`AuthConfigError::Values`] when it names signing keys: each project has its own.
    pub fn shared(self) -> Result<Self, AuthConfigError> {
        let own = ["signing_keys", "signing_keys_path"];
        let problems = self.layers.iter().flat_map(|layer| {
            let given = own.iter().filter(|key| layer.at(key).is_some_and(|keys| !is_empty(keys)));
            given.map(|key| Problem {
                origin: layer.origin.clone(),
                key: (*key).to_owned(),
                message: format!("cannot be for all projects: {}", elsewhere::ONE_PROJECT),
            })
        });
        let problems: Vec<_> = problems.collect();
        if problems.is_empty() { Ok(self) } else { Err(AuthConfigError::Values(problems)) }
    }

    /// Adds what `GOTRUE_*` variables set.
    pub fn variables(mut self) -> Self {
        for (name, text) in self.environment.0.clone() {
            if let Some(why) = elsewhere::variable(&name) {
                self.notes.push(elsewhere::note("environment", &name, &text, why));
            } else if let Some((key, value)) = from_variable(&name, &text) {
                if is_remote(&key, &text) {
                    let why = "templates are read from files";
                    let origin = "environment".to_owned();
                    self.notes.push(Note::Unsupported { origin, key: name, why });
                } else {
                    let mut table = Table::new();
                    set(&mut table, &key, value);
                    self.layers.push(Layer { origin: name, folder: PathBuf::new(), table });
                }
            } else if name.starts_with("GOTRUE_") {
                self.notes.push(unknown::variable(&name));
            }
        }
        self
    }

    /// The settings as a value.
    ///
    /// # Errors
    ///
    /// [`AuthConfigError::Values`] with everything that is wrong.
    pub fn config(&self) -> Result<AuthConfig, AuthConfigError> {
        let reader = Reader::new(&self.layers, &self.environment);
        let config = AuthConfig::read(&reader);
        let problems = reader.problems();
        if problems.is_empty() { Ok(config) } else { Err(AuthConfigError::Values(problems)) }
    }

    #[cfg(test)]
    pub(super) fn rows_read(&self) -> std::collections::BTreeSet<&'static str> {
        let reader = Reader::new(&self.layers, &self.environment);
        AuthConfig::read(&reader);
        reader.rows_read()
    }

    /// What is worth saying about them.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The settings that are not empty as a table, with `***` for secrets.
    pub fn printable(&self) -> Table {
        let reader = Reader::new(&self.layers, &self.environment);
        let mut table = Table::new();
        for setting in settings() {
            for key in self.keys(setting.key) {
                if let Some(value) = printable(&reader, &key, setting.kind) {
                    set(&mut table, &key, value);
                }
            }
        }
        table
    }

    /// The key, or with a `*` in it those of all names that are given.
    fn keys(&self, key: &str) -> Vec<String> {
        let Some((before, after)) = key.split_once(".*") else { return vec![key.to_owned()] };
        let reader = Reader::new(&self.layers, &self.environment);
        let names = reader.names(before).into_iter();
        names.map(|name| format!("{before}.{name}{after}")).collect()
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_str() == Some("")
}

fn printable(reader: &Reader<'_>, key: &str, kind: Kind) -> Option<Value> {
    let hidden = || Value::String("***".to_owned());
    let value = match kind {
        Kind::Switch => Value::Boolean(reader.switch(key)),
        Kind::Number(..) => Value::Integer(reader.number(key).into()),
        Kind::List => list(reader.list(key))?,
        Kind::Sets => list(reader.sets(key))?,
        Kind::Secret => reader.secret(key).map(|_| hidden())?,
        Kind::Secrets => list(reader.secrets(key).iter().map(|_| "***".to_owned()).collect())?,
        Kind::Pairs => {
            let pairs = reader.pairs(key).into_keys();
            let pairs: Table = pairs.map(|name| (name, hidden())).collect();
            Some(pairs).filter(|pairs| !pairs.is_empty()).map(Value::Table)?
        }
        _ => Value::String(reader.optional_text(key)?),
    };
    Some(value)
}

fn list(texts: Vec<String>) -> Option<Value> {
    (!texts.is_empty()).then(|| texts.into_iter().map(Value::String).collect::<Vec<_>>().into())
}

/// The key that a variable sets, and its value.
fn from_variable(name: &str, text: &str) -> Option<(String, Value)> {
    let fits = settings().flat_map(|setting| {
        setting.variables().filter_map(move |variable| {
            let place = variable.placed(name)?;
            Some((place, setting, variable))
        })
    });
    // `GOTRUE_EXTERNAL_GOOGLE_REDIRECT_URI` is a setting of `google` and not one of `google_redirect`.
    let (place, setting, variable) = fits.min_by_key(|(place, ..)| place.len())?;
    let place = place.to_ascii_lowercase();
    if unknown::names(setting.key).is_some_and(|names| !names.contains(&place.as_str())) {
        return None;
    }
    let text = match setting.key {
        "external_url" => with_prefix(text),
        _ if variable.inverted => match value::switch(text) {
            Some(on) => (!on).to_string(),
            None => text.to_owned(),
        },
        _ => text.to_owned(),
    };
    Some((setting.key.replace('*', &place), Value::String(text)))
}

/// Elsewhere this variable is the gateway's address, below which the API stands at `/auth/v1`.
fn with_prefix(text: &str) -> String {
    let text = text.trim_end_matches('/');
    match Url::parse(text) {
        Ok(url) if url.path() == "/" => format!("{text}/auth/v1"),
        _ => text.to_owned(),
    }
}

fn is_remote(key: &str, text: &str) -> bool {
    key.ends_with(".content_path") && (text.starts_with("http://") || text.starts_with("https://"))
}

fn set(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = entry {
                set(inner, rest, value);
            }
        }
    }
}
