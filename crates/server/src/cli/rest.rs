//! `plinth rest`: PostgREST's settings under their known names.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

/// Flags of `plinth rest`. The settings that have flags of their own are those that people type;
/// all of them are read from the file and from `PGRST_…` variables.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  plinth rest --database-url postgres://authenticator:secret@localhost/app \\
      --anon-role web_anon --schemas api --jwt-secret \"$SECRET\"
All of PostgREST's settings are read from a file in its format and from its environment (PGRST_DB_URI,
PGRST_DB_ANON_ROLE, …); `plinth rest --example` lists them. SIGUSR1 reloads the schema, SIGUSR2 the settings.")]
pub struct RestArgs {
    /// Configuration file in PostgREST's format.
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Print an example of that file, with every setting.
    #[arg(short = 'e', long)]
    pub example: bool,
    /// Print the settings in force, those of the database included and secrets hidden.
    #[arg(long)]
    pub dump_config: bool,
    /// Print what is known of the schema as JSON.
    #[arg(long)]
    pub dump_schema: bool,
    /// Ask the admin server of a running instance whether it is ready.
    #[arg(long)]
    pub ready: bool,
    /// Connection URL of the login role; --database-url is the same.
    #[arg(long, value_name = "URL")]
    pub db_uri: Option<String>,
    /// Role of callers without a token; without it they are refused.
    #[arg(long, visible_alias = "db-anon-role", value_name = "ROLE")]
    pub anon_role: Option<String>,
    /// Exposed schemas, separated by commas; the first is the default.
    #[arg(long, visible_alias = "db-schemas", value_name = "NAMES")]
    pub schemas: Option<String>,
    /// Schemas searched besides the request's own.
    #[arg(long, value_name = "NAMES")]
    pub db_extra_search_path: Option<String>,
    /// Verifies tokens: a secret, a JSON Web Key or a set of them.
    #[arg(long, value_name = "SECRET")]
    pub jwt_secret: Option<String>,
    /// The secret is written in base64.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOLEAN")]
    pub jwt_secret_is_base64: Option<String>,
    /// Audience that tokens must name, if they name any.
    #[arg(long, value_name = "NAME")]
    pub jwt_aud: Option<String>,
    /// JSONPath of the role in a token's claims.
    #[arg(long, value_name = "PATH")]
    pub jwt_role_claim_key: Option<String>,
    /// Most rows of one read.
    #[arg(long, visible_alias = "max-rows", value_name = "ROWS")]
    pub db_max_rows: Option<String>,
    /// Most connections.
    #[arg(long, value_name = "COUNT")]
    pub db_pool: Option<String>,
    /// Seconds that a request waits for a connection.
    #[arg(long, value_name = "SECONDS")]
    pub db_pool_acquisition_timeout: Option<String>,
    /// A function to call before every request.
    #[arg(long, value_name = "FUNCTION")]
    pub db_pre_request: Option<String>,
    /// commit, commit-allow-override, rollback or rollback-allow-override.
    #[arg(long, value_name = "END")]
    pub db_tx_end: Option<String>,
    /// Answer `Accept: application/vnd.pgrst.plan`.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOLEAN")]
    pub db_plan_enabled: Option<String>,
    /// Allow count(), sum()… in `select`.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOLEAN")]
    pub db_aggregates_enabled: Option<String>,
    /// follow-privileges, ignore-privileges or disabled.
    #[arg(long, value_name = "MODE")]
    pub openapi_mode: Option<String>,
    /// Where to serve HTTP: address:port or a port; the two below are PostgREST's way to say it.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    pub server_host: Option<String>,
    /// Port to listen on.
    #[arg(long, value_name = "PORT")]
    pub server_port: Option<String>,
    /// Port of the admin server with /live, /ready, /schema_cache and /metrics.
    #[arg(long, value_name = "PORT")]
    pub admin_server_port: Option<String>,
}

impl RestArgs {
    /// The settings that were given as flags, by their names.
    pub fn settings(&self) -> BTreeMap<String, String> {
        let given = [
            ("db-uri", &self.db_uri),
            ("db-anon-role", &self.anon_role),
            ("db-schemas", &self.schemas),
            ("db-extra-search-path", &self.db_extra_search_path),
            ("jwt-secret", &self.jwt_secret),
            ("jwt-secret-is-base64", &self.jwt_secret_is_base64),
            ("jwt-aud", &self.jwt_aud),
            ("jwt-role-claim-key", &self.jwt_role_claim_key),
            ("db-max-rows", &self.db_max_rows),
            ("db-pool", &self.db_pool),
            ("db-pool-acquisition-timeout", &self.db_pool_acquisition_timeout),
            ("db-pre-request", &self.db_pre_request),
            ("db-tx-end", &self.db_tx_end),
            ("db-plan-enabled", &self.db_plan_enabled),
            ("db-aggregates-enabled", &self.db_aggregates_enabled),
            ("openapi-mode", &self.openapi_mode),
            ("server-host", &self.server_host),
            ("server-port", &self.server_port),
            ("admin-server-port", &self.admin_server_port),
        ];
        given
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    #[test]
    fn flags_are_settings_of_postgrests_names() {
        let line = "plinth rest app.conf --db-uri postgres://x --server-host !4 --jwt-secret-is-base64 --db-schemas a,b";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Rest(rest) = cli.command else { panic!("not rest") };
        assert_eq!(rest.file.as_deref(), Some(std::path::Path::new("app.conf")));
        let settings = rest.settings();
        assert_eq!(settings["server-host"], "!4");
        assert_eq!(settings["jwt-secret-is-base64"], "true");
        assert_eq!(settings["db-schemas"], "a,b");
        assert_eq!(settings.len(), 4);
        for name in settings.keys() {
            assert!(crate::pgrst::KEYS.iter().any(|key| key.name == name), "{name}");
        }
    }
}
