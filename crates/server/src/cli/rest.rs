//! `plinth rest`: PostgREST's settings under their known names.

use std::net::IpAddr;

use clap::Args;

/// Flags of `plinth rest`; each has PostgREST's name as its variable.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  plinth rest --database-url postgres://authenticator:secret@localhost/app \\
      --anon-role web_anon --schemas api --jwt-secret \"$SECRET\"
The settings are also read from PostgREST's environment: PGRST_DB_URI, PGRST_DB_ANON_ROLE, …")]
pub struct RestArgs {
    /// Connection URL of the login role; --database-url is the same.
    #[arg(long = "db-uri", env = "PGRST_DB_URI", value_name = "URL", hide_env_values = true)]
    pub db_uri: Option<String>,
    /// Role of callers without a token; without it they are refused.
    #[arg(long, visible_alias = "db-anon-role", env = "PGRST_DB_ANON_ROLE", value_name = "ROLE")]
    pub anon_role: Option<String>,
    /// Exposed schemas, separated by commas; the first is the default.
    #[arg(
        long,
        visible_alias = "db-schemas",
        env = "PGRST_DB_SCHEMAS",
        value_delimiter = ',',
        default_value = "public"
    )]
    pub schemas: Vec<String>,
    /// Schemas searched besides the request's own.
    #[arg(
        long,
        env = "PGRST_DB_EXTRA_SEARCH_PATH",
        value_delimiter = ',',
        default_value = "public"
    )]
    pub db_extra_search_path: Vec<String>,
    /// Verifies tokens (HS256).
    #[arg(long, env = "PGRST_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret: Option<String>,
    /// The secret is written in base64.
    #[arg(long, env = "PGRST_JWT_SECRET_IS_BASE64", num_args = 0..=1, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub jwt_secret_is_base64: bool,
    /// Audience that tokens must name, if they name any.
    #[arg(long, env = "PGRST_JWT_AUD", value_name = "NAME")]
    pub jwt_aud: Option<String>,
    /// Where the role is in a token's claims.
    #[arg(long, env = "PGRST_JWT_ROLE_CLAIM_KEY", value_name = "PATH", default_value = ".role")]
    pub jwt_role_claim_key: String,
    /// Most rows of one read.
    #[arg(long, visible_alias = "max-rows", env = "PGRST_DB_MAX_ROWS", value_name = "ROWS")]
    pub db_max_rows: Option<u64>,
    /// Connections.
    #[arg(long, env = "PGRST_DB_POOL", value_name = "COUNT", default_value_t = 10)]
    pub db_pool: usize,
    /// Seconds that a request waits for a connection.
    #[arg(
        long,
        env = "PGRST_DB_POOL_ACQUISITION_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = 10
    )]
    pub db_pool_acquisition_timeout: u64,
    /// A function to call before every request.
    #[arg(long, env = "PGRST_DB_PRE_REQUEST", value_name = "FUNCTION")]
    pub db_pre_request: Option<String>,
    /// commit, commit-allow-override, rollback or rollback-allow-override.
    #[arg(long, env = "PGRST_DB_TX_END", value_name = "END", default_value = "commit")]
    pub db_tx_end: String,
    /// Answer `Accept: application/vnd.pgrst.plan`.
    #[arg(long, env = "PGRST_DB_PLAN_ENABLED", num_args = 0..=1, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub db_plan_enabled: bool,
    /// Allow count(), sum()… in `select`.
    #[arg(long, env = "PGRST_DB_AGGREGATES_ENABLED", num_args = 0..=1, default_value = "false", default_missing_value = "true", action = clap::ArgAction::Set)]
    pub db_aggregates_enabled: bool,
    /// follow-privileges, ignore-privileges or disabled.
    #[arg(
        long,
        env = "PGRST_OPENAPI_MODE",
        value_name = "MODE",
        default_value = "follow-privileges"
    )]
    pub openapi_mode: String,
    /// Where to serve HTTP: address:port or a port; the two below are PostgREST's way to say it.
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Address to listen on.
    #[arg(long, env = "PGRST_SERVER_HOST", value_name = "ADDRESS", default_value = "127.0.0.1", value_parser = parse_host)]
    pub server_host: IpAddr,
    /// Port to listen on.
    #[arg(long, env = "PGRST_SERVER_PORT", value_name = "PORT", default_value_t = 3000)]
    pub server_port: u16,
}

/// PostgREST writes "any address" in ways of its own (`!4` and the like).
fn parse_host(text: &str) -> Result<IpAddr, String> {
    match text {
        "!4" | "*4" | "*" | "!" => Ok(IpAddr::from([0, 0, 0, 0])),
        "!6" | "*6" => Ok(IpAddr::from([0_u16; 8])),
        "localhost" => Ok(IpAddr::from([127, 0, 0, 1])),
        _ => text.parse().map_err(|_| format!("`{text}` is no address")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    #[test]
    fn rest_knows_postgrests_ways_to_write_things() {
        let line = "plinth rest --db-uri postgres://x --server-host !4 --jwt-secret-is-base64 --db-schemas a,b";
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Rest(rest) = cli.command else { panic!("not rest") };
        assert_eq!(rest.server_host.to_string(), "0.0.0.0");
        assert!(rest.jwt_secret_is_base64);
        assert_eq!(rest.schemas, ["a", "b"]);
    }
}
