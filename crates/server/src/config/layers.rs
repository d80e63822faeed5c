//! Layers of settings, laid over each other before they are read as a whole.

use std::path::{Path, PathBuf};

use plinth_auth::config::Environment;
use toml::{Table, Value};

use super::raw::{KEYS, Key, Kind};
use super::{ConfigError, RawConfig, Surroundings};

/// The file that is read from the current folder when no other is named.
const DEFAULT_FILE: &str = "plinth.toml";

/// Variables beginning with `PLINTH_` that are read elsewhere.
const OTHER_VARIABLES: &[&str] = &[
    "PLINTH_BIN",
    "PLINTH_CONFIG",
    "PLINTH_MASTER_KEY",
    "PLINTH_PG_BIN",
    "PLINTH_PG_USER",
    "PLINTH_PROJECT",
];

/// Settings collected so far; later layers win.
#[derive(Debug, Default)]
pub struct Layers {
    table: Table,
    /// Where the values came from, for messages.
    origins: Vec<String>,
    surroundings: Surroundings,
}

impl Layers {
    /// Lays the file's values over what is there.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the file cannot be read, is no TOML, or has an unknown key or a value of
    /// the wrong type.
    pub fn file(mut self, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let origin = path.display().to_string();
        // Read on its own first: then the message has the line and the column.
        toml::from_str::<RawConfig>(&text).map_err(|error| ConfigError::Invalid {
            origin: origin.clone(),
            message: error.to_string(),
        })?;
        let table: Table = toml::from_str(&text).map_err(|error| ConfigError::Invalid {
            origin: origin.clone(),
            message: error.to_string(),
        })?;
        merge(&mut self.table, table);
        self.origins.push(origin);
        self.surroundings.file = Some(path.to_owned());
        Ok(self)
    }

    /// The variables of the process, for settings of sign-in: `GOTRUE_*`, and `env(NAME)`.
    pub fn variables(mut self, environment: Environment) -> Self {
        self.surroundings.environment = environment;
        self
    }

    /// Lays the environment's values over what is there; `get` looks a variable up.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] naming the variable when its value has the wrong type.
    pub fn environment(
        mut self,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        for key in KEYS {
            let variable = key.variable();
            let Some(text) = get(&variable).filter(|text| !text.is_empty()) else { continue };
            let value = parse_variable(key, &text)
                .map_err(|message| ConfigError::Invalid { origin: variable.clone(), message })?;
            set(&mut self.table, key.path, value);
            self.check(&variable)?;
        }
        Ok(self)
    }

    /// Lays one flag's value over what is there; `None` means that the flag was not given.
    pub fn flag(mut self, path: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            set(&mut self.table, path, value.into());
        }
        self
    }

    /// The result, with defaults for everything that no layer set.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] when a flag's value has the wrong type.
    pub fn finish(self) -> Result<RawConfig, ConfigError> {
        let config = self.read("flags")?;
        Ok(RawConfig { surroundings: self.surroundings, ..config })
    }

    fn check(&self, origin: &str) -> Result<(), ConfigError> {
        self.read(origin).map(|_| ())
    }

    fn read(&self, origin: &str) -> Result<RawConfig, ConfigError> {
        self.table.clone().try_into().map_err(|error: toml::de::Error| ConfigError::Invalid {
            origin: origin.to_owned(),
            message: error.message().to_owned(),
        })
    }
}

/// The configuration file to read: the one that was named, else `plinth.toml` when it is there.
pub fn config_file(named: Option<&Path>) -> Option<PathBuf> {
    named
        .map(Path::to_owned)
        .or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()))
}

/// Variables that look like settings and are none, with the name that may have been meant.
pub fn unknown_environment(names: impl Iterator<Item = String>) -> Vec<(String, Option<String>)> {
    names
        .filter(|name| name.starts_with("PLINTH_") && !name.starts_with("PLINTH_TEST_"))
        .filter(|name| !OTHER_VARIABLES.contains(&name.as_str()))
        .filter(|name| KEYS.iter().all(|key| key.variable() != *name))
        .map(|name| {
            let last = name.rsplit('_').next().unwrap_or_default().to_owned();
            let near = KEYS.iter().map(Key::variable).find(|known| known.ends_with(&last));
            (name, near)
        })
        .collect()
}

fn parse_variable(key: &Key, text: &str) -> Result<Value, String> {
    Ok(match key.kind {
        Kind::Text => Value::String(text.to_owned()),
        Kind::Number => {
            Value::Integer(text.parse().map_err(|_| format!("`{text}` is not a whole number"))?)
        }
        Kind::Switch => Value::Boolean(match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => return Err(format!("`{text}` is neither true nor false")),
        }),
        Kind::List => {
            Value::Array(names(text).map(|name| Value::String(name.to_owned())).collect())
        }
        Kind::Pairs => {
            let mut table = Table::new();
            for pair in names(text) {
                let (name, value) =
                    pair.split_once('=').ok_or_else(|| format!("`{pair}` is not name=value"))?;
                table.insert(name.trim().to_owned(), Value::String(value.trim().to_owned()));
            }
            Value::Table(table)
        }
    })
}

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty())
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

fn merge(below: &mut Table, above: Table) {
    for (name, value) in above {
        match (below.get_mut(&name), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                below.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Result<RawConfig, ConfigError> {
        let find = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Layers::default().environment(find)?.finish()
    }

    fn file(text: &str) -> Result<Layers, ConfigError> {
        let path =
            std::env::temp_dir().join(format!("plinth-config-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&path, text).unwrap();
        let layers = Layers::default().file(&path);
        std::fs::remove_file(path).unwrap();
        layers
    }

    #[test]
    fn later_layers_win_key_by_key() {
        let config = file("listen = '1.1.1.1:1'\n[http]\nbody_size = '1MiB'\nmax_requests = 7\n")
            .unwrap()
            .environment(|name| (name == "PLINTH_HTTP_BODY_SIZE").then(|| "2MiB".to_owned()))
            .unwrap()
            .flag("listen", Some("2.2.2.2:2"))
            .flag("data_dir", None::<&str>)
            .finish()
            .unwrap();
        assert_eq!(config.listen, "2.2.2.2:2");
        assert_eq!(config.http.body_size.to_string(), "2MiB");
        assert_eq!(config.http.max_requests, 7);
        assert_eq!(config.http.header_count, RawConfig::default().http.header_count);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_name() {
        for text in ["listn = 'x'", "[http]\nbody = 1", "[nonsense]\na = 1"] {
            let error = file(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn the_environment_writes_every_kind_of_value() {
        let config = environment(&[
            ("PLINTH_KEYS_REQUIRE_APIKEY", "off"),
            ("PLINTH_REST_SCHEMAS", "public, api,"),
            ("PLINTH_REST_MAX_ROWS", "50"),
            ("PLINTH_POSTGRES_SETTINGS", "work_mem=8MB, jit=off"),
            ("PLINTH_POOL_IDLE_TIMEOUT", "90s"),
            ("PLINTH_DEFAULT_PROJECT", "123"),
            ("PLINTH_LOG_FILTER", ""),
        ])
        .unwrap();
        assert!(!config.keys.require_apikey);
        assert_eq!(config.rest.schemas, ["public", "api"]);
        assert_eq!(config.rest.max_rows, 50);
        assert_eq!(config.postgres.settings["jit"], "off");
        assert_eq!(config.pool.idle_timeout.to_string(), "90s");
        assert_eq!(config.default_project.as_deref(), Some("123"));
        assert_eq!(config.log.filter, "auto", "an empty variable is as good as none");
    }

    #[test]
    fn a_bad_variable_is_named() {
        for (name, value) in [
            ("PLINTH_REST_MAX_ROWS", "many"),
            ("PLINTH_KEYS_REQUIRE_APIKEY", "perhaps"),
            ("PLINTH_HTTP_REQUEST_TIMEOUT", "60"),
            ("PLINTH_POSTGRES_SETTINGS", "work_mem"),
            ("PLINTH_POSTGRES_PORT", "99999"),
        ] {
            let error = environment(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_noticed() {
        let names =
            ["PLINTH_BODY_SIZE", "PLINTH_LISTEN", "PLINTH_MASTER_KEY", "HOME"].map(str::to_owned);
        let unknown = unknown_environment(names.into_iter());
        assert_eq!(
            unknown,
            [("PLINTH_BODY_SIZE".to_owned(), Some("PLINTH_HTTP_BODY_SIZE".to_owned()))]
        );
    }
}
