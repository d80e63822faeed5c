//! The table of settings.

/// How a setting is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In quotes.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in a file.
    pub name: &'static str,
    /// Another name, from earlier times.
    pub alias: Option<&'static str>,
    /// How it is written.
    pub kind: Kind,
    /// Its value when nobody gives it one; empty means none.
    pub default: &'static str,
    /// Whether the database may set it, as `pgrst.…`.
    pub in_database: bool,
    /// What it is for.
    pub doc: &'static str,
}

impl Key {
    /// The name of the setting's variable.
    pub fn variable(name: &str) -> String {
        format!("PGRST_{}", name.replace('-', "_").to_ascii_uppercase())
    }

    /// The setting's name in the database, without `pgrst.`.
    pub fn database_name(&self) -> String {
        self.name.replace('-', "_")
    }
}

use Kind::{Number, Switch, Text};

const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, alias: None, kind, default, in_database: true, doc }
}

/// A setting that the database has no say in.
const fn own(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, alias: None, kind, default, in_database: false, doc }
}

const fn also(key: Key, alias: &'static str) -> Key {
    Key { alias: Some(alias), ..key }
}

/// Every setting, in alphabetical order.
pub const KEYS: &[Key] = &[
    own(
        "admin-server-host",
        Text,
        "",
        "Address of the admin server; server-host without it, and 127.0.0.1 without either.",
    ),
    own(
        "admin-server-port",
        Number,
        "",
        "Port of the admin server with /live, /ready, /schema_cache and /metrics; off without it.",
    ),
    own(
        "admin-server-unix-socket",
        Text,
        "",
        "Unix socket of the admin server; takes the place of its port.",
    ),
    own(
        "admin-server-unix-socket-mode",
        Text,
        "660",
        "File mode of that socket, octal, 600 to 777.",
    ),
    key(
        "client-error-verbosity",
        Text,
        "verbose",
        "verbose, or minimal: errors without details and hints.",
    ),
    key("db-aggregates-enabled", Switch, "false", "Allow count(), sum() and the like in select."),
    key("db-anon-role", Text, "", "Role of requests without a token; without it they are refused."),
    own(
        "db-channel",
        Text,
        "pgrst",
        "Channel of `notify pgrst, 'reload schema'` and 'reload config'.",
    ),
    own("db-channel-enabled", Switch, "true", "Listen on that channel."),
    own("db-config", Switch, "true", "Read settings from the database too."),
    key("db-extra-search-path", Text, "public", "Schemas searched besides the request's own."),
    key(
        "db-hoisted-tx-settings",
        Text,
        "statement_timeout, plan_filter.statement_cost_limit, default_transaction_isolation",
        "Settings of functions that hold for the whole transaction.",
    ),
    also(key("db-max-rows", Number, "", "Most rows of one read."), "max-rows"),
    key("db-plan-enabled", Switch, "false", "Answer Accept: application/vnd.pgrst.plan."),
    own("db-pool", Number, "10", "Most connections."),
    own(
        "db-pool-acquisition-timeout",
        Number,
        "10",
        "Seconds that a request waits for a connection.",
    ),
    own(
        "db-pool-automatic-recovery",
        Switch,
        "true",
        "Connect again after the database was away, instead of ending.",
    ),
    also(
        own(
            "db-pool-max-idletime",
            Number,
            "30",
            "Seconds after which an unused connection is closed.",
        ),
        "db-pool-timeout",
    ),
    own(
        "db-pool-max-lifetime",
        Number,
        "1800",
        "Accepted; connections are kept for as long as they work.",
    ),
    key(
        "db-pre-config",
        Text,
        "",
        "Function that sets pgrst.… settings, called when settings are read.",
    ),
    also(
        key(
            "db-pre-request",
            Text,
            "",
            "Function called before every request, in its transaction.",
        ),
        "pre-request",
    ),
    key(
        "db-prepared-statements",
        Switch,
        "true",
        "Keep statements prepared; without, each request sends them anew (for transaction poolers).",
    ),
    also(
        key(
            "db-root-spec",
            Text,
            "",
            "Function that answers at the root instead of the OpenAPI document.",
        ),
        "root-spec",
    ),
    also(
        key("db-schemas", Text, "public", "Exposed schemas; the first is the default."),
        "db-schema",
    ),
    key("db-timezone-enabled", Switch, "true", "Heed Prefer: timezone."),
    key(
        "db-tx-end",
        Text,
        "commit",
        "commit, commit-allow-override, rollback or rollback-allow-override.",
    ),
    own(
        "db-uri",
        Text,
        "postgresql://",
        "Connection URL or key=value string; @file reads it from a file. What it leaves out comes from PGHOST, PGUSER and so on.",
    ),
    key("jwt-aud", Text, "", "Audience that tokens must name, if they name any."),
    own(
        "jwt-cache-max-entries",
        Number,
        "1000",
        "Verified tokens that are remembered; 0 for none.",
    ),
    also(
        key("jwt-role-claim-key", Text, "$.role", "JSONPath of the role in a token's claims."),
        "role-claim-key",
    ),
    key(
        "jwt-secret",
        Text,
        "",
        "Verifies tokens: a secret of at least 32 characters, a JSON Web Key or a set of them; @file reads it from a file.",
    ),
    also(
        key("jwt-secret-is-base64", Switch, "false", "The secret is written in base64."),
        "secret-is-base64",
    ),
    own("log-level", Text, "error", "crit, error, warn, info or debug."),
    own("log-query", Switch, "false", "Log the SQL text of every request, without its values."),
    key(
        "openapi-mode",
        Text,
        "follow-privileges",
        "follow-privileges, ignore-privileges or disabled.",
    ),
    key(
        "openapi-security-active",
        Switch,
        "false",
        "Tell in the OpenAPI document how to authenticate.",
    ),
    key("openapi-server-proxy-uri", Text, "", "Base URL in the OpenAPI document."),
    key(
        "server-cors-allowed-origins",
        Text,
        "",
        "Origins whose scripts may read answers; all without it.",
    ),
    own(
        "server-host",
        Text,
        "!4",
        "Address to listen on; *, *4, !4, *6 and !6 are all addresses of a kind.",
    ),
    own("server-port", Number, "3000", "Port to listen on; 0 for any."),
    key("server-timing-enabled", Switch, "false", "Answer with Server-Timing."),
    key("server-trace-header", Text, "", "Header that is sent back as it came."),
    own("server-unix-socket", Text, "", "Unix socket to listen on; takes the place of the port."),
    own("server-unix-socket-mode", Text, "660", "File mode of that socket, octal, 600 to 777."),
    key(
        "url-use-legacy-target-names",
        Switch,
        "true",
        "Let filters name an embed by its relation although it has an alias.",
    ),
];

/// Prefix of the settings that SQL reads back with `current_setting`.
pub(super) const APP_SETTINGS: &str = "app.settings.";

/// The setting of that name or alias.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name || key.alias == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_name_is_there_once() {
        let names: Vec<&str> = KEYS.iter().map(|key| key.name).collect();
        assert!(names.is_sorted());
        for key in KEYS {
            assert!(!key.doc.is_empty() && key.doc.ends_with('.'), "{}", key.name);
            let same = |other: &&Key| other.name == key.name || other.alias == Some(key.name);
            assert_eq!(KEYS.iter().filter(same).count(), 1, "{}", key.name);
        }
        assert_eq!(Key::variable("db-max-rows"), "PGRST_DB_MAX_ROWS");
        assert_eq!(find("max-rows").unwrap().database_name(), "db_max_rows");
    }
}
