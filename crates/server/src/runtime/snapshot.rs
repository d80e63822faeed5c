//! What a project looks like at one moment: its catalog and the settings that shape its answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use plinth_catalog::{Catalog, LoadError, LoadOptions};
use plinth_postgres::quote::ident;
use tokio_postgres::Client;

use crate::config::{parse_openapi_mode, parse_tx_end};

/// Settings of a role as [`plinth_postgres::RequestContext`] wants them.
pub(super) type RoleSettings = Arc<[(Bytes, Bytes)]>;

/// Prefix of the settings by which people configure the data API in the database.
const PGRST: &str = "pgrst.";

/// A consistent view of one project. Replaced as a whole, never changed.
pub struct Snapshot {
    /// Relations, keys, functions.
    pub catalog: Catalog,
    /// The data API's settings, those in the database included.
    pub config: plinth_rest::Config,
    /// A function to call before every request (`db-pre-request`), as SQL.
    pub pre_request: Option<Arc<str>>,
    search_paths: HashMap<String, Bytes>,
    role_settings: HashMap<String, RoleSettings>,
    no_settings: RoleSettings,
}

/// What a snapshot is made from, besides the database.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Settings of the process; those in the database win over them.
    pub rest: plinth_rest::Config,
    /// A function to call before every request, as `name` or `schema.name`.
    pub pre_request: Option<String>,
    /// Roles whose `pgrst.*` settings count, the one that wins last.
    pub configured_by: Vec<String>,
    /// Whether the default schema's search path is set per request too, because the database's own
    /// is none of our making.
    pub always_search_path: bool,
    /// The server's time zone names.
    pub time_zones: Arc<HashSet<String>>,
}

impl Snapshot {
    /// Reads the settings and the catalog from the database.
    ///
    /// # Errors
    ///
    /// [`LoadError`] when a statement fails.
    pub async fn load(client: &mut Client, options: &SnapshotOptions) -> Result<Self, LoadError> {
        let mut config = options.rest.clone();
        let mut pre_request = options.pre_request.clone();
        for (name, value) in database_settings(client, &options.configured_by).await? {
            if name == "db_pre_request" {
                pre_request = Some(value).filter(|name| !name.is_empty());
            } else if !apply(&mut config, &name, &value) {
                tracing::warn!(setting.name = %name, "ignored a pgrst setting of the database");
            }
        }
        config.pre_request = pre_request.is_some();
        let time_zones = options.time_zones.clone();
        let load = LoadOptions {
            schemas: config.schemas.clone(),
            extra_search_path: config.extra_search_path.clone(),
            time_zones,
        };
        let catalog = Catalog::load(client, &load).await?;
        let role_settings = role_settings(client, &catalog).await?;
        let skip_default = usize::from(!options.always_search_path);
        let search_paths = config.schemas.iter().skip(skip_default);
        let search_paths =
            search_paths.map(|schema| (schema.clone(), search_path(schema, &config))).collect();
        Ok(Self {
            catalog,
            pre_request: pre_request.map(|name| Arc::from(pre_request_sql(&name))),
            config,
            search_paths,
            role_settings,
            no_settings: Arc::from([]),
        })
    }

    /// The search path for requests to `schema`; `None` when the database's own is right.
    pub fn search_path(&self, schema: &str) -> Option<Bytes> {
        self.search_paths.get(schema).cloned()
    }

    /// The settings that `role` carries and that a request may set: `statement_timeout` and such.
    pub fn role_settings(&self, role: &str) -> RoleSettings {
        self.role_settings.get(role).unwrap_or(&self.no_settings).clone()
    }
}

/// `pgrst.*` settings that were given to `roles` for this database or for all, weakest first.
async fn database_settings(
    client: &Client,
    roles: &[String],
) -> Result<Vec<(String, String)>, tokio_postgres::Error> {
    let rows = client.query(include_str!("database_settings.sql"), &[&roles, &PGRST]).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Settings of roles that a session may change; others, such as `session_preload_libraries`, count
/// only when a session starts.
async fn role_settings(
    client: &Client,
    catalog: &Catalog,
) -> Result<HashMap<String, RoleSettings>, tokio_postgres::Error> {
    let mut roles = HashMap::new();
    let sql = "select name from pg_catalog.pg_settings where context = 'user'";
    let settable: HashSet<String> =
        client.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect();
    for (role, settings) in catalog.all_role_settings() {
        let pairs = settings
            .iter()
            // The gateway sets the search path by the request's schema.
            .filter(|(name, _)| settable.contains(name) && name != "search_path")
            .map(|(name, value)| (Bytes::from(name.clone()), Bytes::from(value.clone())));
        roles.insert(role.to_owned(), pairs.collect::<Vec<_>>().into());
    }
    Ok(roles)
}

/// Applies one `pgrst.*` setting, its prefix removed; `false` when the name or the value is unknown.
fn apply(config: &mut plinth_rest::Config, name: &str, value: &str) -> bool {
    match name {
        "db_schemas" | "db_schema" => match list(value) {
            schemas if schemas.is_empty() => return false,
            schemas => config.schemas = schemas,
        },
        "db_extra_search_path" => config.extra_search_path = list(value),
        "db_max_rows" => match value.parse() {
            Ok(rows) => config.max_rows = Some(rows),
            Err(_) if value.is_empty() => config.max_rows = None,
            Err(_) => return false,
        },
        "db_aggregates_enabled" => return set(&mut config.aggregates, switch(value)),
        "db_plan_enabled" => return set(&mut config.plan, switch(value)),
        "db_tx_end" => return set(&mut config.tx_end, parse_tx_end(value)),
        "openapi_mode" => return set(&mut config.openapi_mode, parse_openapi_mode(value)),
        _ => return false,
    }
    true
}

fn set<T>(place: &mut T, value: Option<T>) -> bool {
    let known = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    known
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "1" => Some(true),
        "false" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn search_path(schema: &str, config: &plinth_rest::Config) -> Bytes {
    let schemas =
        std::iter::once(schema).chain(config.extra_search_path.iter().map(String::as_str));
    let quoted: Vec<String> = schemas.map(ident).collect();
    Bytes::from(quoted.join(", "))
}

/// `select "schema"."name"()`.
fn pre_request_sql(name: &str) -> String {
    let quoted: Vec<String> = name.split('.').map(|part| ident(part.trim_matches('"'))).collect();
    format!("select {}()", quoted.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_database_win_over_those_of_the_process() {
        let mut config = plinth_rest::Config::default();
        for (name, value) in [
            ("db_schemas", "api, private"),
            ("db_extra_search_path", ""),
            ("db_max_rows", "7"),
            ("db_aggregates_enabled", "true"),
            ("db_tx_end", "rollback"),
            ("openapi_mode", "disabled"),
        ] {
            assert!(apply(&mut config, name, value), "{name}");
        }
        assert_eq!(config.schemas, ["api", "private"]);
        assert!(config.extra_search_path.is_empty());
        assert_eq!(config.max_rows, Some(7));
        assert!(config.aggregates);
        assert_eq!(config.tx_end, plinth_rest::TxEnd::Rollback);
        assert_eq!(config.openapi_mode, plinth_rest::OpenApiMode::Disabled);
    }

    #[test]
    fn nonsense_changes_nothing() {
        let mut config = plinth_rest::Config::default();
        for (name, value) in [
            ("db_schemas", " , "),
            ("db_max_rows", "many"),
            ("db_tx_end", "perhaps"),
            ("db_plan_enabled", "perhaps"),
            ("no_such_setting", "1"),
        ] {
            assert!(!apply(&mut config, name, value), "{name}");
        }
        assert_eq!(config.schemas, plinth_rest::Config::default().schemas);
    }

    #[test]
    fn names_are_quoted_wherever_they_become_sql() {
        let config = plinth_rest::Config {
            extra_search_path: vec!["Odd\"One".to_owned()],
            ..plinth_rest::Config::default()
        };
        assert_eq!(search_path("api", &config), "\"api\", \"Odd\"\"One\"");
        assert_eq!(pre_request_sql("api.check"), "select \"api\".\"check\"()");
        assert_eq!(pre_request_sql("a\"b"), "select \"a\"\"b\"()");
    }
}
