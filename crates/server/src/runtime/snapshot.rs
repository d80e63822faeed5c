//! What a project looks like at one moment: its catalog and the settings that shape its answers.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plinth_catalog::{Catalog, LoadError, LoadOptions};
use plinth_postgres::quote::ident;
use plinth_rest::{Outcome, RawRequest};
use tokio_postgres::Client;

use super::settings::{DatabaseSettings, Tenant, search_path, settable};
use super::shapes::Shapes;
use crate::gateway::Rules;
use crate::pgrst::{Settings, Source, SourceError};

/// Settings as [`plinth_postgres::RequestContext`] wants them.
pub(super) type SessionSettings = Arc<[(Bytes, Bytes)]>;

/// A consistent view of one project. Replaced as a whole, never changed.
pub struct Snapshot {
    /// Relations, keys, functions.
    pub catalog: Catalog,
    /// The data API's settings, those in the database included.
    pub config: plinth_rest::Config,
    /// The gateway's rules by the same settings.
    pub rules: Arc<Rules>,
    /// A function to call before every request (`db-pre-request`), as SQL.
    pub pre_request: Option<Arc<str>>,
    /// Whether `Prefer: timezone` is heeded (`db-timezone-enabled`).
    pub heeds_time_zones: bool,
    /// How long reading the catalog took.
    pub load_time: Duration,
    search_paths: HashMap<String, Bytes>,
    roles: HashMap<String, RoleContext>,
    other_roles: RoleContext,
    shapes: Shapes,
}

/// What a transaction of a role begins with.
#[derive(Clone)]
pub struct RoleContext {
    /// Settings that the role carries and that a request may set, `statement_timeout` and such, then
    /// those of the application.
    pub settings: SessionSettings,
    /// The statement that gives the transaction the role's isolation level.
    pub isolation: Option<Arc<str>>,
}

/// What a snapshot is made from, besides the database.
#[derive(Clone)]
pub struct SnapshotOptions {
    /// Who is served.
    pub tenant: Tenant,
    /// The settings that were given; those in the database win over them.
    pub source: Arc<Source>,
    /// Whether the default schema's search path is set per request too, because the database's own
    /// is none of our making.
    pub always_search_path: bool,
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The database cannot be read.
    #[error("cannot read the catalog")]
    Load(#[from] LoadError),
    /// A statement about the settings failed.
    #[error("cannot read the settings of the database")]
    Database(#[from] tokio_postgres::Error),
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] SourceError),
}

impl SnapshotOptions {
    /// The settings that count, and those among them that the database holds.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] when they cannot be read or make no sense.
    pub async fn settings(
        &self,
        client: &mut Client,
    ) -> Result<(Settings, DatabaseSettings), SnapshotError> {
        let given = self.source.settings(&DatabaseSettings::new())?;
        let mut database = DatabaseSettings::new();
        if given.in_database {
            database = self.tenant.read(client, given.pre_config.as_deref()).await?;
        }
        Ok((self.tenant.settings(&self.source, database.clone())?, database))
    }
}

impl Snapshot {
    /// Reads the settings and the catalog from the database.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] when a statement fails, or when the settings make no sense.
    pub async fn load(
        client: &mut Client,
        options: &SnapshotOptions,
    ) -> Result<Self, SnapshotError> {
        let (settings, _) = options.settings(client).await?;
        let rules = options.tenant.rules(&options.source, &settings)?;
        let begun = Instant::now();
        let heeds_time_zones = settings.time_zones;
        let config = settings.rest;
        let load = LoadOptions {
            schemas: config.schemas.clone(),
            extra_search_path: config.extra_search_path.clone(),
        };
        let catalog = Catalog::load(client, &load).await?;
        let load_time = begun.elapsed();
        let application = pairs(&settings.app_settings);
        let settable = settable(client).await?;
        let roles = catalog
            .all_role_settings()
            .map(|(role, own)| (role.to_owned(), role_context(own, &settable, &application)))
            .collect();
        let skip_default = usize::from(!options.always_search_path);
        let search_paths = config
            .schemas
            .iter()
            .skip(skip_default)
            .map(|schema| {
                let path = search_path(schema, &config.extra_search_path);
                (schema.clone(), Bytes::from(path))
            })
            .collect();
        let pre_request = settings.pre_request.as_deref();
        Ok(Self {
            catalog,
            rules,
            pre_request: pre_request.map(|name| format!("select {}()", quoted_name(name)).into()),
            config,
            heeds_time_zones,
            load_time,
            search_paths,
            roles,
            other_roles: RoleContext { settings: application.into(), isolation: None },
            shapes: Shapes::new(),
        })
    }

    /// As [`plinth_rest::prepare_rows`]; what is asked again and again is planned once.
    ///
    /// # Errors
    ///
    /// [`plinth_rest::Error`] is the client's answer.
    pub fn prepare(
        &self,
        request: &RawRequest<'_>,
        parsed_now: impl FnOnce(),
    ) -> Result<Outcome, plinth_rest::Error> {
        self.shapes.prepare(request, &self.catalog, &self.config, parsed_now)
    }

    /// The search path for requests to `schema`; `None` when the database's own is right.
    pub fn search_path(&self, schema: &str) -> Option<Bytes> {
        self.search_paths.get(schema).cloned()
    }

    /// What transactions of `role` begin with.
    pub fn role_context(&self, role: &str) -> &RoleContext {
        self.roles.get(role).unwrap_or(&self.other_roles)
    }
}

fn pairs(settings: &[(String, String)]) -> Vec<(Bytes, Bytes)> {
    settings
        .iter()
        .map(|(name, value)| (Bytes::from(name.clone()), Bytes::from(value.clone())))
        .collect()
}

/// Settings that a session may change count per transaction; others, such as
/// `session_preload_libraries`, only when a session starts.
fn role_context(
    own: &[(String, String)],
    settable: &HashSet<String>,
    application: &[(Bytes, Bytes)],
) -> RoleContext {
    let isolation = own
        .iter()
        .find(|(name, _)| name == "default_transaction_isolation")
        .and_then(|(_, level)| isolation(level));
    let transferable: Vec<(String, String)> = own
        .iter()
        // The gateway sets the search path by the request's schema.
        .filter(|(name, _)| settable.contains(name) && name != "search_path")
        .filter(|(name, _)| name != "default_transaction_isolation")
        .cloned()
        .collect();
    let mut settings = pairs(&transferable);
    settings.extend_from_slice(application);
    RoleContext { settings: settings.into(), isolation }
}

/// The statement for a level above the usual one.
fn isolation(level: &str) -> Option<Arc<str>> {
    let level = match level.to_ascii_lowercase().as_str() {
        "repeatable read" => "repeatable read",
        "serializable" => "serializable",
        _ => return None,
    };
    Some(format!("set transaction isolation level {level}").into())
}

/// `schema.name` as SQL, either part in quotes.
pub(super) fn quoted_name(name: &str) -> String {
    let quoted: Vec<String> = name.split('.').map(|part| ident(part.trim_matches('"'))).collect();
    quoted.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_gives_its_isolation_level_and_what_a_session_may_set() {
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let settable = ["statement_timeout", "search_path", "default_transaction_isolation"];
        let settable = settable.map(str::to_owned).into();
        let application = pairs(&[own("app.settings.a", "1")]);
        let role = [
            own("statement_timeout", "5s"),
            own("search_path", "x"),
            own("log_statement", "all"),
            own("default_transaction_isolation", "SERIALIZABLE"),
        ];
        let context = role_context(&role, &settable, &application);
        let wanted = pairs(&[own("statement_timeout", "5s"), own("app.settings.a", "1")]);
        assert_eq!(*context.settings, *wanted);
        assert_eq!(
            context.isolation.as_deref(),
            Some("set transaction isolation level serializable")
        );
        assert_eq!(isolation("read committed"), None);
        assert_eq!(isolation("x; drop table y"), None);
    }

    #[test]
    fn names_are_quoted_wherever_they_become_sql() {
        assert_eq!(search_path("api", &["Odd\"One".to_owned()]), "\"api\", \"Odd\"\"One\"");
        assert_eq!(quoted_name("api.check"), "\"api\".\"check\"");
        assert_eq!(quoted_name("a\"b"), "\"a\"\"b\"");
    }
}
