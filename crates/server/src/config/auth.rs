//! `[auth]` and `[project.NAME.auth]`: the settings of sign-in, project by project.
//!
//! Later ones win, key by key: defaults, the file that `auth_config` in `[auth]` names, `[auth]`, the
//! file that `auth_config` in `[project.NAME.auth]` names, `[project.NAME.auth]`, `GOTRUE_*`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plinth_auth::config::{AuthConfig, Environment, Note, Sources};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::{ConfigError, RawConfig, is_project_name};

/// The key that names a file in Supabase's form.
const FILE_KEY: &str = "auth_config";

/// A table of settings of sign-in, as it was typed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawAuth(Table);

impl RawAuth {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for RawAuth {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// `[project.NAME]`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawProject {
    /// Settings of sign-in of this project alone.
    #[serde(skip_serializing_if = "RawAuth::is_empty")]
    pub auth: RawAuth,
}

/// Where settings of sign-in look for what they name.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The configuration file: paths are relative to its folder.
    pub file: Option<PathBuf>,
    /// The variables of the process.
    pub environment: Environment,
}

/// The settings of sign-in of every project.
#[derive(Debug, Clone, Default)]
pub struct AuthSettings {
    shared: Arc<AuthConfig>,
    projects: BTreeMap<String, Arc<AuthConfig>>,
    /// What is worth saying about them.
    pub notes: Vec<Note>,
}

impl AuthSettings {
    /// Reads what was typed, with the files that it names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every value that cannot be used, by file and key.
    pub(super) fn read(raw: &RawConfig) -> Result<Self, ConfigError> {
        let shared = sources(raw, None)?;
        let mut notes = shared.notes().to_vec();
        let mut projects = BTreeMap::new();
        for name in raw.project.keys() {
            let own = sources(raw, Some(name))?;
            projects.insert(name.clone(), Arc::new(own.config()?));
            let new: Vec<_> = own.notes().iter().filter(|note| !notes.contains(note)).collect();
            let new: Vec<Note> = new.into_iter().cloned().collect();
            notes.extend(new);
        }
        Ok(Self { shared: Arc::new(shared.config()?), projects, notes })
    }

    /// The settings of a project.
    pub fn of(&self, project: &str) -> &Arc<AuthConfig> {
        self.projects.get(project).unwrap_or(&self.shared)
    }

    /// The projects that have settings of their own.
    pub fn projects(&self) -> impl Iterator<Item = &str> {
        self.projects.keys().map(String::as_str)
    }

    /// Logs what is worth saying: mistakes as warnings, the rest for those who seek.
    pub fn log_notes(&self) {
        for note in &self.notes {
            if note.is_warning() {
                tracing::warn!("{note}");
            } else {
                tracing::debug!("{note}");
            }
        }
    }
}

/// The layers of one project, or of those that have none of their own.
///
/// # Errors
///
/// [`ConfigError`] when a file that they name cannot be read, or signing keys are for all projects.
pub fn sources(raw: &RawConfig, project: Option<&str>) -> Result<Sources, ConfigError> {
    let around = &raw.surroundings;
    let file = around.file.as_ref().map_or("plinth.toml".into(), |path| path.display().to_string());
    let folder = around.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    let mut sources = Sources::new(around.environment.clone());
    sources = layer(sources, &raw.auth, &file, folder)?.shared()?;
    if let Some((name, own)) = project.and_then(|name| raw.project.get_key_value(name)) {
        if !is_project_name(name) {
            let message = format!("`{name}` is no project name");
            return Err(ConfigError::Invalid { origin: file, message });
        }
        sources = layer(sources, &own.auth, &format!("{file}, project {name}"), folder)?;
    }
    Ok(sources.variables())
}

/// Adds a table above the file that it names.
fn layer(
    sources: Sources,
    raw: &RawAuth,
    origin: &str,
    folder: &Path,
) -> Result<Sources, ConfigError> {
    let mut table = raw.0.clone();
    let sources = match table.remove(FILE_KEY) {
        None => sources,
        Some(Value::String(path)) => sources.file(&folder.join(path))?,
        Some(_) => {
            let message = format!("`auth.{FILE_KEY}` must be the path of a file");
            return Err(ConfigError::Invalid { origin: origin.to_owned(), message });
        }
    };
    Ok(sources.table(origin, folder, table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Layers};

    /// A folder with `plinth.toml` and `supabase/config.toml`, read with these variables.
    fn read(
        plinth: &str,
        supabase: &str,
        variables: &[(&str, &str)],
    ) -> Result<Config, ConfigError> {
        let folder = std::env::temp_dir().join(format!("plinth-auth-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(folder.join("supabase")).unwrap();
        std::fs::write(folder.join("plinth.toml"), plinth).unwrap();
        std::fs::write(folder.join("supabase/config.toml"), supabase).unwrap();
        let variables =
            variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let layers = Layers::default().file(&folder.join("plinth.toml"));
        let raw = layers.and_then(|layers| layers.variables(variables.collect()).finish());
        let config = raw.and_then(Config::try_from);
        std::fs::remove_dir_all(folder).unwrap();
        config
    }

    #[test]
    fn each_layer_wins_over_the_one_below_key_by_key() {
        let plinth = "[auth]\nauth_config = 'supabase/config.toml'\njwt_expiry = 200\n\
                      site_url = 'https://all.example'\n[project.own.auth]\n\
                      site_url = 'https://own.example'\nminimum_password_length = 9";
        let supabase =
            "[auth]\njwt_expiry = 100\nenable_signup = false\nminimum_password_length = 8";
        let config = read(plinth, supabase, &[("GOTRUE_MAILER_OTP_LENGTH", "7")]).unwrap();
        let (shared, own) = (config.auth.of("other"), config.auth.of("own"));
        assert_eq!(shared.site_url(), "https://all.example");
        assert_eq!(own.site_url(), "https://own.example");
        assert_eq!((shared.password.minimum_length, own.password.minimum_length), (8, 9));
        for config in [shared, own] {
            assert_eq!(config.token.lifetime.as_secs(), 200);
            assert_eq!(config.email.otp_length, 7);
            assert!(!config.signup);
        }
    }

    #[test]
    fn a_projects_own_file_lies_below_its_table_and_above_all_projects() {
        let plinth = "[auth]\njwt_expiry = 200\nemail.otp_length = 8\n[project.own.auth]\n\
                      auth_config = 'supabase/config.toml'\nemail.otp_length = 10";
        let supabase = "[auth]\njwt_expiry = 300\nemail.otp_length = 9";
        let config = read(plinth, supabase, &[]).unwrap();
        let of = |name| {
            (config.auth.of(name).token.lifetime.as_secs(), config.auth.of(name).email.otp_length)
        };
        assert_eq!(of("own"), (300, 10));
        assert_eq!(of("other"), (200, 8));
    }

    #[test]
    fn errors_name_the_file_and_the_key() {
        let link = "[auth]\nauth_config = 'supabase/config.toml'";
        for (plinth, supabase, parts) in [
            ("[auth]\njwt_expiry = 0", "", ["plinth.toml", "auth.jwt_expiry"]),
            (link, "[auth]\njwt_expiry = 0", ["supabase/config.toml", "auth.jwt_expiry"]),
            (link, "[auth", ["supabase/config.toml", "line 1"]),
            ("[project.own.auth]\njwt_expiry = 0", "", ["project own", "auth.jwt_expiry"]),
            ("[project.Own.auth]\njwt_expiry = 1", "", ["plinth.toml", "`Own` is no project name"]),
            ("[auth]\nauth_config = 'none.toml'", "", ["none.toml", "cannot read"]),
            ("[auth]\nauth_config = 5", "", ["plinth.toml", "auth.auth_config"]),
            ("[auth]\nsigning_keys = 'x'", "", ["plinth.toml", "auth.signing_keys"]),
            ("[project.own]\nother = 1", "", ["plinth.toml", "unknown field"]),
        ] {
            let error = read(plinth, supabase, &[]).unwrap_err().to_string();
            assert!(parts.iter().all(|part| error.contains(part)), "{error}");
        }
    }

    #[test]
    fn notes_are_told_once_and_secrets_never() {
        let plinth = "[auth]\nsite_ulr = 'x'\nexternal.google = { secret = 'hunter2' }\n\
                      [project.own.auth]\nsms.vonage.api_secret = 'hunter2'";
        let config = read(plinth, "", &[("GOTRUE_SMTP_PASS", "hunter2")]).unwrap();
        assert_eq!(config.auth.notes.len(), 1, "{:?}", config.auth.notes);
        assert!(config.auth.notes[0].to_string().contains("auth.site_url"));
        assert!(!format!("{config:?}").contains("hunter2"));
        let raw: RawConfig = toml::from_str(plinth).unwrap();
        assert!(!format!("{raw:?}").contains("hunter2"));
    }
}
