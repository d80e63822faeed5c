//! From the settings that were given and those that the database holds to what serves requests.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use plinth_postgres::quote::ident;
use tokio_postgres::{Client, Error};

use super::snapshot::quoted_name;
use crate::gateway::{Access, MissingRole, Origins, Rules, Verifier};
use crate::pgrst::{Jwt, KEYS, LogLevel, Settings, Source, SourceError};

/// Prefix of the settings by which people configure the data API in the database.
const PGRST: &str = "pgrst.";

/// Settings of a project that its owner may not change from inside: who is let in is the registry's to
/// say.
const REGISTRYS: [&str; 6] = [
    "db_anon_role",
    "jwt_aud",
    "jwt_role_claim_key",
    "jwt_secret",
    "jwt_secret_is_base64",
    "db_pre_config",
];

/// By name, without the prefix.
pub(super) type DatabaseSettings = BTreeMap<String, String>;

/// Who is served.
#[derive(Clone)]
pub enum Tenant {
    /// A project of the registry.
    Project {
        /// Its keys.
        access: Arc<Access>,
        /// Roles whose `pgrst.*` settings count besides the database's own, the one that wins last.
        configured_by: Vec<String>,
    },
    /// A database that knows nothing of Plinth.
    Alone(Arc<Doors>),
}

/// Who is let into a database that is served alone: made anew only when the settings that it is made
/// from change, so that verified tokens stay remembered.
#[derive(Default)]
pub struct Doors {
    last: Mutex<Option<(Made, Arc<Access>)>>,
}

/// What [`Access`] was made from.
#[derive(PartialEq)]
struct Made {
    jwt: Jwt,
    /// What the file of the secret held.
    secret: String,
    anonymous: Option<String>,
}

impl Doors {
    fn access(&self, source: &Source, settings: &Settings) -> Result<Arc<Access>, SourceError> {
        let jwt = settings.jwt.clone();
        let written = jwt.secret.as_ref().map(|secret| source.text_or_file(secret.expose()));
        let secret = written.transpose()?.unwrap_or_default();
        let made = Made { jwt, secret, anonymous: settings.anonymous_role.clone() };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, access)) = last.as_ref()
            && *known == made
        {
            return Ok(access.clone());
        }
        let anonymous = settings.anonymous_role.as_deref();
        let missing = MissingRole::Assume(anonymous.map(Arc::from));
        let keys = source.keys(&settings.jwt)?;
        let verifier = Verifier::new(keys, settings.jwt.audience.clone(), missing)
            .with_role_path(settings.jwt.role_path.clone());
        let access = Arc::new(Access::alone(verifier, anonymous, settings.jwt.cache_entries));
        *last = Some((made, access.clone()));
        Ok(access)
    }
}

impl Tenant {
    /// What the settings come to with those of the database. One of the database that makes no sense
    /// is left out; a project leaves those out that are the registry's.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the settings that were given make no sense.
    pub fn settings(
        &self,
        source: &Source,
        mut database: DatabaseSettings,
    ) -> Result<Settings, SourceError> {
        database.retain(|name, value| {
            let known = KEYS.iter().any(|key| key.in_database && key.database_name() == *name);
            let theirs = matches!(self, Self::Alone(_)) || !REGISTRYS.contains(&name.as_str());
            let alone = DatabaseSettings::from([(name.clone(), value.clone())]);
            let kept = known && theirs && source.settings(&alone).is_ok();
            if !kept {
                tracing::warn!(setting.name = %name, "ignored a pgrst setting of the database");
            }
            kept
        });
        source.settings(&database)
    }

    /// The gateway's rules by the settings.
    ///
    /// # Errors
    ///
    /// [`SourceError`] when the keys for tokens cannot be read.
    pub fn rules(&self, source: &Source, settings: &Settings) -> Result<Arc<Rules>, SourceError> {
        let (access, origins) = match self {
            Self::Project { access, .. } if settings.cors_origins.is_empty() => {
                (access.clone(), Origins::Gateway)
            }
            Self::Project { access, .. } => {
                (access.clone(), Origins::Listed(settings.cors_origins.clone()))
            }
            Self::Alone(doors) => {
                (doors.access(source, settings)?, Origins::Listed(settings.cors_origins.clone()))
            }
        };
        Ok(Arc::new(Rules {
            access,
            origins,
            trace_header: settings.trace_header.clone(),
            timing: settings.timing,
            terse_errors: settings.terse_errors,
            log_query: settings.log_query,
            log_from_status: match settings.log_level {
                LogLevel::Crit => u16::MAX,
                LogLevel::Error => 500,
                LogLevel::Warn => 400,
                LogLevel::Info | LogLevel::Debug => 0,
            },
        }))
    }

    /// Reads the database's own settings, the strongest last; `pre_config` is called for more.
    ///
    /// # Errors
    ///
    /// When a statement fails, or the function does.
    pub(super) async fn read(
        &self,
        client: &mut Client,
        pre_config: Option<&str>,
    ) -> Result<DatabaseSettings, Error> {
        let mut found = DatabaseSettings::new();
        if let Some(function) = pre_config {
            found.extend(pre_configured(client, function).await?);
        }
        let (roles, of_database) = match self {
            Self::Project { configured_by, .. } => (configured_by.clone(), true),
            Self::Alone(_) => {
                (vec![client.query_one("select current_user::text", &[]).await?.get(0)], false)
            }
        };
        let sql = include_str!("database_settings.sql");
        for row in client.query(sql, &[&roles, &PGRST, &of_database]).await? {
            found.insert(row.get(0), row.get(1));
        }
        Ok(found)
    }
}

/// What the function `db-pre-config` sets, for its transaction only.
async fn pre_configured(client: &mut Client, function: &str) -> Result<DatabaseSettings, Error> {
    let transaction = client.build_transaction().read_only(true).start().await?;
    // Ours is narrower than what people's functions expect.
    transaction.batch_execute("set local search_path = \"$user\", public").await?;
    transaction.batch_execute(&format!("select {}()", quoted_name(function))).await?;
    let names: Vec<String> =
        KEYS.iter().filter(|key| key.in_database).map(crate::pgrst::Key::database_name).collect();
    let sql = "select name, pg_catalog.current_setting($2 || name, true) from pg_catalog.unnest($1::text[]) name";
    let rows = transaction.query(sql, &[&names, &PGRST]).await?;
    transaction.rollback().await?;
    Ok(rows
        .iter()
        .filter_map(|row| Some((row.get(0), row.get::<_, Option<String>>(1)?)))
        .filter(|(_, value): &(String, String)| !value.is_empty())
        .collect())
}

/// Settings that a session of this login may change: everybody's, and those that were granted to it.
///
/// # Errors
///
/// When the statement fails.
pub(super) async fn settable(client: &Client) -> Result<HashSet<String>, Error> {
    let version: i32 =
        client.query_one("select current_setting('server_version_num')::int", &[]).await?.get(0);
    // Rights on single settings came with PostgreSQL 15.
    let granted = if version >= 150_000 {
        "or context = 'superuser' and has_parameter_privilege(current_user, name, 'set')"
    } else {
        ""
    };
    let sql = format!("select name from pg_catalog.pg_settings where context = 'user' {granted}");
    Ok(client.query(&sql, &[]).await?.iter().map(|row| row.get(0)).collect())
}

/// `"schema"."name"` as a list of quoted names.
pub(super) fn search_path(schema: &str, extra: &[String]) -> String {
    let schemas = std::iter::once(schema).chain(extra.iter().map(String::as_str));
    schemas.map(ident).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::ProjectKeys;

    const SECRET: &str = "a-secret-that-is-at-least-32-bytes-long";

    fn database(pairs: &[(&str, &str)]) -> DatabaseSettings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn source(pairs: &[(&str, &str)]) -> Source {
        Source::of_flags(database(pairs))
    }

    #[test]
    fn a_projects_database_says_what_is_served_and_not_who_is_let_in() {
        let keys = ProjectKeys {
            jwt_secret: SECRET,
            anon: "",
            service_role: "",
            publishable: "p",
            secret: "s",
        };
        let access = Arc::new(Access::project(&keys, None, true));
        let tenant = Tenant::Project { access: access.clone(), configured_by: Vec::new() };
        let source = source(&[("db-schemas", "public"), ("db-max-rows", "9")]);
        let theirs = database(&[
            ("db_schemas", "api, more"),
            ("server_timing_enabled", "true"),
            ("db_tx_end", "nonsense"),
            ("no_such_setting", "1"),
            ("server_port", "1"),
            ("admin_server_port", "1"),
            ("db_uri", "postgres://elsewhere"),
            ("db_pool", "999"),
            ("log_query", "true"),
            ("log_level", "debug"),
            ("server_trace_header", "Content-Length"),
            ("jwt_secret", "mine-mine-mine-mine-mine-mine-mine"),
            ("jwt_role_claim_key", ".admin"),
            ("db_anon_role", "service_role"),
        ]);
        let settings = tenant.settings(&source, theirs).unwrap();
        assert_eq!(settings.rest.schemas, ["api", "more"]);
        assert_eq!(settings.rest.max_rows, Some(9));
        assert_eq!(settings.rest.tx_end, plinth_rest::TxEnd::Commit);
        assert!(settings.timing && settings.jwt.secret.is_none());
        assert!(settings.trace_header.is_none() && settings.admin.is_none() && !settings.log_query);
        assert_eq!((settings.pool_size, settings.log_level), (10, LogLevel::Error));
        assert_eq!(settings.database_uri.expose(), "postgresql://");
        assert_eq!(settings.anonymous_role, None);
        assert_eq!(settings.jwt.role_path.as_str(), "$.role");
        let rules = tenant.rules(&source, &settings).unwrap();
        assert!(Arc::ptr_eq(&rules.access, &access));
        assert_eq!(rules.origins, Origins::Gateway);
    }

    #[test]
    fn alone_verified_tokens_are_remembered_until_who_is_let_in_changes() {
        let tenant = Tenant::Alone(Arc::default());
        let source = source(&[("jwt-secret", SECRET), ("db-anon-role", "anon")]);
        let access = |pairs: &[(&str, &str)]| {
            let settings = tenant.settings(&source, database(pairs)).unwrap();
            tenant.rules(&source, &settings).unwrap().access.clone()
        };
        let first = access(&[]);
        assert!(Arc::ptr_eq(&first, &access(&[("db_max_rows", "3")])));
        let other = access(&[("jwt_secret", "another-secret-of-at-least-32-bytes")]);
        assert!(!Arc::ptr_eq(&first, &other));
        let back = access(&[("db_anon_role", "nobody")]);
        assert!(!Arc::ptr_eq(&other, &back) && !Arc::ptr_eq(&first, &back));
    }
}
