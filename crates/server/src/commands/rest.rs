//! `plinth rest`: the data API alone, over a database of somebody else's.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plinth_postgres::{Endpoint, Login};
use plinth_wire::Budget;

use super::serving::{serve, start_log, stop_signal};
use crate::cli::{GlobalArgs, ListenArgs, Output, RestArgs, hinted};
use crate::config::{Config, parse_listen, parse_openapi_mode, parse_tx_end};
use crate::gateway::{Access, Gateway, KeySet, MissingRole, RolePath, Server, Site, Verifier};
use crate::runtime::{
    Project, ProjectParts, Room, SnapshotOptions, Target, connect_config, pool_options,
};

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
    let missing_role = MissingRole::Assume(args.anon_role.as_deref().map(Arc::from));
    let keys = args.jwt_secret.as_deref().map(|text| key_set(text, args.jwt_secret_is_base64));
    let verifier = Verifier::new(keys.transpose()?, args.jwt_aud.clone(), missing_role);
    Ok(verifier.with_role_path(RolePath::parse(&args.jwt_role_claim_key)?))
}

/// The keys; `@path` reads them from a file, as PostgREST does.
fn key_set(text: &str, base64: bool) -> anyhow::Result<KeySet> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(KeySet::parse(text.as_bytes(), base64)?);
    };
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read the JWT secret from {path}"))?;
    Ok(KeySet::parse(bytes.strip_suffix(b"\n").unwrap_or(&bytes), base64)?)
}
