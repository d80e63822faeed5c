//! `plinth rest`: the data API alone, over a database of somebody else's.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use plinth_postgres::{Endpoint, Login};
use plinth_wire::Budget;

use super::serving::{serve, start_log, stop_signal};
use crate::cli::{GlobalArgs, ListenArgs, Output, RestArgs, hinted};
use crate::config::{Config, parse_listen, parse_openapi_mode, parse_tx_end};
use crate::gateway::{Access, Gateway, MissingRole, Server, Site, Verifier};
use crate::runtime::{
    Project, ProjectParts, Room, SnapshotOptions, Target, connect_config, pool_options,
};

/// Shortest secret that HS256 should be used with, in bytes (RFC 7518 §3.2).
const SHORTEST_SECRET: usize = 32;

/// Serves until told to stop.
pub(super) async fn run(
    global: &GlobalArgs,
    args: &RestArgs,
    output: Output,
) -> anyhow::Result<()> {
    let raw = global.raw_config(&ListenArgs::default())?;
    let named = global.database_url.as_ref().or(args.db_uri.as_ref()).or(raw.database_url.as_ref());
    let url = named.cloned().ok_or_else(|| {
        hinted("no database is named", "give --database-url, or set PGRST_DB_URI")
    })?;
    let mut config = Config::try_from(raw)?;
    config.pool.max_connections = args.db_pool.max(1);
    config.pool.acquire_timeout = Duration::from_secs(args.db_pool_acquisition_timeout.max(1));
    start_log(&config.log, "info")?;
    let (endpoint, database) = Endpoint::from_url(&url)?;
    let database = database.unwrap_or_else(|| endpoint.admin.role.clone());
    let time_zones = time_zones(&endpoint, &database).await?;
    let parts = parts(&config, args, &endpoint, &database, time_zones)?;
    let project = Project::new(parts);
    if let Err(error) = project.live().await {
        return Err(anyhow::Error::new(error).context("cannot serve the database"));
    }
    let address = match &args.listen {
        Some(text) => parse_listen(text)?,
        None => SocketAddr::new(args.server_host, args.server_port),
    };
    let server = Server::bind(address, false).await?;
    let stop = stop_signal()?;
    output.progress(format!("serving {} at http://{}", args.schemas.join(", "), server.address()));
    serve(server, Gateway::new(Site::Alone(project), config.http), stop).await;
    Ok(())
}

async fn time_zones(endpoint: &Endpoint, database: &str) -> anyhow::Result<Arc<HashSet<String>>> {
    let connection = endpoint.connect(database).await?;
    let zones = plinth_catalog::time_zones(&connection).await?;
    connection.close().await;
    Ok(zones)
}

fn parts(
    config: &Config,
    args: &RestArgs,
    endpoint: &Endpoint,
    database: &str,
    time_zones: Arc<HashSet<String>>,
) -> anyhow::Result<ProjectParts> {
    let login: &Login = &endpoint.admin;
    let rest = plinth_rest::Config {
        schemas: args.schemas.clone(),
        extra_search_path: args
            .db_extra_search_path
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect(),
        max_rows: args.db_max_rows,
        aggregates: args.db_aggregates_enabled,
        plan: args.db_plan_enabled,
        tx_end: parse_tx_end(&args.db_tx_end)
            .context("--db-tx-end is not one of its four values")?,
        openapi_mode: parse_openapi_mode(&args.openapi_mode)
            .context("--openapi-mode is not one of its three values")?,
        ..plinth_rest::Config::default()
    };
    Ok(ProjectParts {
        name: Arc::from(database),
        access: Access::alone(verifier(args)?, args.anon_role.as_deref()),
        target: Target {
            endpoint: endpoint.clone(),
            login: login.clone(),
            database: database.to_owned(),
        },
        connect: connect_config(endpoint, login, database),
        // The listener and the catalog have a connection of their own.
        budget: Budget::new(config.pool.max_connections),
        pool: pool_options(config),
        snapshot: SnapshotOptions {
            rest,
            pre_request: args.db_pre_request.clone(),
            configured_by: vec![login.role.clone()],
            always_search_path: true,
            time_zones,
        },
        room: Room::new(1),
    })
}

fn verifier(args: &RestArgs) -> anyhow::Result<Verifier> {
    let missing_role = match &args.anon_role {
        Some(role) => MissingRole::Assume(Arc::from(role.as_str())),
        None => MissingRole::Refuse,
    };
    let secret = args.jwt_secret.as_deref().map(|text| secret(text, args.jwt_secret_is_base64));
    let verifier =
        Verifier::new(secret.transpose()?.as_deref(), args.jwt_aud.clone(), missing_role);
    Ok(verifier.with_role_path(role_path(&args.jwt_role_claim_key)?))
}

/// The bytes of the secret; `@path` reads it from a file, as PostgREST does.
fn secret(text: &str, base64: bool) -> anyhow::Result<Vec<u8>> {
    let text = match text.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the JWT secret from {path}"))?
            .trim_end_matches(['\r', '\n'])
            .to_owned(),
        None => text.to_owned(),
    };
    if text.trim_start().starts_with('{') {
        return Err(hinted(
            "the JWT secret is a JSON Web Key",
            "only HS256 with a plain secret is supported yet",
        ));
    }
    let bytes = if base64 { decode_base64(&text)? } else { text.into_bytes() };
    if bytes.len() < SHORTEST_SECRET {
        return Err(hinted(
            format!(
                "the JWT secret has {} bytes; at least {SHORTEST_SECRET} are needed",
                bytes.len()
            ),
            "make one with: openssl rand -base64 48",
        ));
    }
    Ok(bytes)
}

/// Both alphabets, with or without padding.
fn decode_base64(text: &str) -> anyhow::Result<Vec<u8>> {
    let bare = text.trim().trim_end_matches('=');
    let decoded = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare));
    decoded.ok().context("the JWT secret is not base64")
}

/// `.app_metadata.role` or `."odd key".role`: object keys only.
fn role_path(text: &str) -> anyhow::Result<Vec<String>> {
    let wrong = || {
        hinted(
            format!("`{text}` is no path to a role"),
            "write it like .role or .app_metadata.role",
        )
    };
    let mut path = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        rest = rest.strip_prefix('.').ok_or_else(wrong)?;
        let key = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (key, after) = quoted.split_once('"').ok_or_else(wrong)?;
                rest = after;
                key
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (key, after) = rest.split_at(end);
                rest = after;
                key
            }
        };
        if key.is_empty() || key.contains(['[', ']']) {
            return Err(wrong());
        }
        path.push(key.to_owned());
    }
    if path.is_empty() { Err(wrong()) } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_paths_are_keys_after_dots() {
        assert_eq!(role_path(".role").unwrap(), ["role"]);
        assert_eq!(role_path(".a.\"b.c\".d").unwrap(), ["a", "b.c", "d"]);
        for text in ["", "role", ".", ".a..b", ".a[0]", ".\"a", ".a\"b\".c.["] {
            assert!(role_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_plain_or_base64_and_never_short() {
        let long = "x".repeat(32);
        assert_eq!(secret(&long, false).unwrap(), long.as_bytes());
        let encoded = URL_SAFE_NO_PAD.encode([251_u8; 33]);
        assert_eq!(secret(&encoded, true).unwrap(), [251_u8; 33]);
        assert!(secret("short", false).is_err());
        assert!(
            secret("{\"kty\":\"oct\",\"k\":\"0123456789012345678901234567890\"}", false).is_err()
        );
        assert!(secret("@/no/such/file", false).is_err());
        assert!(secret("not base64!", true).is_err());
    }
}
