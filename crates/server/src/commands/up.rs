//! `plinth up` and `plinth serve`: cluster, projects, gateway, until told to stop.

use std::time::{Duration, Instant};

use anyhow::Context;
use plinth_doubles::mailbox::Mailbox;
use plinth_postgres::{Cluster, Registry};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::admin::{Admin, open_registry, start};
use super::running::{Note, Running};
use super::serving::{serve, start_log, stop_signal};
use super::{banner, project, status};
use crate::blueprints::Blueprint;
use crate::cli::{GlobalArgs, Output, ServeArgs, UpArgs, hinted};
use crate::config::{ClusterConfig, Config};
use crate::gateway::{Gateway, Server, ServerError, Site};
use crate::runtime::{Backoff, Projects, WorkOptions};

/// The bare project of `plinth up --empty`.
const EMPTY_PROJECT: &str = "app";

/// How often a managed PostgreSQL is looked after.
const SUPERVISION_INTERVAL: Duration = Duration::from_millis(500);

/// People who write a manifest want to see its rows move, whatever a look every few seconds costs.
const DEVELOPMENT: WorkOptions = WorkOptions { idlest: Duration::from_secs(3) };

/// A hundred projects in which nothing happens hold no connections.
const PRODUCTION: WorkOptions = WorkOptions { idlest: Duration::from_secs(30) };

/// What the two commands do differently.
struct Plan {
    /// Projects to make if they are not there: name and blueprint.
    projects: Vec<(String, Option<Blueprint>)>,
    /// Print the banner, with all keys.
    banner: bool,
    /// Print one line of JSON.
    json: bool,
    /// Catch the mails of projects without a mail server.
    inbox: bool,
    /// How its projects' work is looked after.
    work: WorkOptions,
}

/// `plinth up`
pub(super) async fn up(global: &GlobalArgs, args: &UpArgs, output: Output) -> anyhow::Result<()> {
    let mut config = Config::try_from(global.raw_config(&args.listen)?)?;
    // Who names an address wants that one.
    config.listen_anywhere = args.listen.listen.is_none();
    start_log(&config.log, "warn")?;
    let projects = wanted_projects(&config, args)?;
    let first = projects.first().map(|(name, _)| name.clone());
    config.default_project = config.default_project.or(first);
    run(
        config,
        Plan { projects, banner: !args.json, json: args.json, inbox: true, work: DEVELOPMENT },
        output,
    )
    .await
}

/// `plinth serve`
pub(super) async fn serve_only(
    global: &GlobalArgs,
    args: &ServeArgs,
    output: Output,
) -> anyhow::Result<()> {
    let config = Config::try_from(global.raw_config(&args.listen)?)?;
    start_log(&config.log, "info")?;
    run(
        config,
        Plan {
            projects: Vec::new(),
            banner: false,
            json: args.json,
            inbox: false,
            work: PRODUCTION,
        },
        output,
    )
    .await
}

fn wanted_projects(
    config: &Config,
    args: &UpArgs,
) -> anyhow::Result<Vec<(String, Option<Blueprint>)>> {
    if args.empty {
        let name = config.default_project.clone().unwrap_or_else(|| EMPTY_PROJECT.to_owned());
        plinth_postgres::validate_name(&name)?;
        return Ok(vec![(name, None)]);
    }
    let blueprints = if !args.blueprint.is_empty() {
        args.blueprint.iter().map(|name| Blueprint::find(name)).collect::<Result<Vec<_>, _>>()?
    } else if !args.only.is_empty() {
        args.only.iter().map(|name| Blueprint::find(name.trim())).collect::<Result<Vec<_>, _>>()?
    } else {
        Blueprint::all()?
    };
    for blueprint in &blueprints {
        plinth_postgres::validate_name(&blueprint.name)?;
    }
    Ok(blueprints.into_iter().map(|blueprint| (blueprint.name.clone(), Some(blueprint))).collect())
}

async fn run(config: Config, plan: Plan, output: Output) -> anyhow::Result<()> {
    let begun = Instant::now();
    config.auth.log_notes();
    let mut stop = stop_signal()?;
    let cluster = tokio::select! {
        cluster = start_cluster(&config, output) => cluster?,
        () = stopped(&mut stop) => return Ok(()),
    };
    let served = serve_cluster(&config, &plan, &cluster, begun, stop, output).await;
    if cluster.as_managed().is_some() {
        output.progress("stopping PostgreSQL");
    }
    let halted = cluster.stop().await.context("cannot stop PostgreSQL");
    served.and(halted)
}

/// Starts or connects to PostgreSQL and checks that it has what it takes.
async fn start_cluster(config: &Config, output: Output) -> anyhow::Result<Cluster> {
    if let ClusterConfig::Managed { .. } = config.cluster {
        output.progress(format!("starting PostgreSQL in {}", config.data_dir.display()));
    }
    let cluster = start(config).await?;
    let findings = cluster.check().await.context("cannot look at PostgreSQL's settings")?;
    for finding in findings.iter().filter(|finding| !finding.fatal) {
        output.warn(format!("{}\n    fix: {}", finding.what, finding.fix));
    }
    let fatal: Vec<String> = findings
        .iter()
        .filter(|finding| finding.fatal)
        .map(|finding| format!("  {}\n    fix: {}", finding.what, finding.fix))
        .collect();
    if fatal.is_empty() {
        return Ok(cluster);
    }
    Err(anyhow::anyhow!("PostgreSQL lacks what Plinth needs:\n{}", fatal.join("\n")))
}

async fn serve_cluster(
    config: &Config,
    plan: &Plan,
    cluster: &Cluster,
    begun: Instant,
    mut stop: watch::Receiver<bool>,
    output: Output,
) -> anyhow::Result<()> {
    let registry = open_registry(cluster, config).await?;
    let server = Server::bind(config.listen, config.listen_anywhere).await;
    let server = server.map_err(|error| match error {
        ServerError::Taken(_) => hinted(error.to_string(), "name another one with --listen"),
        other => other.into(),
    })?;
    let address = server.address();
    let _note = leave_note(config, cluster, Some(address))?;
    // The port may be another one than was asked for.
    let served = Config { listen: address, ..config.clone() };
    let inbox = match plan.inbox {
        true => Some(Mailbox::local().await.context("cannot catch mails")?),
        false => None,
    };
    let catcher = inbox.as_ref().map(Mailbox::smtp_address);
    let projects =
        Projects::new(cluster.endpoint().clone(), served, registry.sealer().clone(), catcher);
    let gateway =
        Gateway::new(Site::Projects(projects.clone()), config.http.clone()).with_inbox(inbox);

    // Owned here: leaving this function by any way aborts them.
    let mut tasks = JoinSet::new();
    tasks.spawn(projects.clone().sweep());
    tasks.spawn(supervise(cluster.clone()));
    let (close, closed) = watch::channel(false);
    let mut serving = tokio::spawn(serve(server, gateway, closed));
    let prepared = tokio::select! {
        prepared = prepare(&registry, &projects, plan, output) => prepared,
        () = stopped(&mut stop) => Ok(()),
    };
    if prepared.is_err() || *stop.borrow() {
        serving.abort();
        return prepared;
    }
    projects.work(plan.work);
    tasks.spawn(projects.clone().deliver());
    tasks.spawn(projects.clone().follow(registry.clone()));
    let admin = Admin::serving(cluster.clone(), registry.clone(), address);
    announce(&admin, config, plan, begun, output).await?;
    let served = tokio::select! {
        served = &mut serving => Some(served),
        () = stopped(&mut stop) => None,
    };
    tracing::info!("stopping; no more jobs and messages are taken");
    projects.stop_work().await;
    // Only now: what was under way may have had to tell us what it came to.
    close.send_replace(true);
    let served = match served {
        Some(served) => served,
        None => serving.await,
    };
    projects.close();
    served.context("the server ended unexpectedly")?
}

/// For a managed cluster, the note that commands beside this process find it by.
fn leave_note(
    config: &Config,
    cluster: &Cluster,
    http: Option<std::net::SocketAddr>,
) -> anyhow::Result<Option<Note>> {
    if cluster.as_managed().is_none() {
        return Ok(None);
    }
    Running::here(cluster.endpoint(), http)
        .map(|running| running.leave(&config.data_dir))
        .transpose()
}

/// Brings existing projects up to date, makes the wanted ones, and begins to serve them.
async fn prepare(
    registry: &Registry,
    projects: &Projects,
    plan: &Plan,
    output: Output,
) -> anyhow::Result<()> {
    for (name, error) in registry.apply_platform().await? {
        output.warn(format!(
            "the platform schema of project {name} could not be brought up to date: {error}"
        ));
    }
    projects.sync(&registry.list().await?.projects);
    for (name, blueprint) in &plan.projects {
        if let Some(project) = registry.by_name(name).await? {
            if let Some(blueprint) = blueprint {
                super::blueprint::follow(registry, &project, blueprint, output).await;
            }
            continue;
        }
        match blueprint {
            Some(blueprint) => {
                project::create_from_blueprint(registry, name, blueprint, true, output).await?;
            }
            None => {
                project::create(registry, name, None, None, false, output).await?;
            }
        }
        projects.sync(&registry.list().await?.projects);
    }
    projects.set_migrated();
    Ok(())
}

async fn announce(
    admin: &Admin,
    config: &Config,
    plan: &Plan,
    begun: Instant,
    output: Output,
) -> anyhow::Result<()> {
    let registered = admin.registry.list().await?.projects;
    let address = admin.http.unwrap_or(config.listen);
    let default = status::default_name(config, &registered);
    if let (Some(name), None) = (&config.default_project, &default) {
        output.warn(format!(
            "the default project `{name}` does not exist; nothing answers at the root"
        ));
    }
    for name in config.auth.projects().filter(|name| registered.iter().all(|one| one.name != *name))
    {
        output.warn(format!("[project.{name}.auth] is for a project that does not exist"));
    }
    if plan.json {
        let mut ready = status::overview(admin, default.as_deref(), &registered, address);
        ready["api"] = json!(crate::config::local_origin(address));
        output.line(ready);
    } else if plan.banner {
        banner::print(admin, config, default.as_deref(), &registered, begun.elapsed(), output);
    } else if registered.is_empty() {
        output
            .warn("there is no project to serve yet; create one with `plinth project create NAME`");
    }
    Ok(())
}

/// Starts a managed PostgreSQL again whenever it has died.
async fn supervise(cluster: Cluster) {
    let Some(managed) = cluster.as_managed() else { return };
    let mut backoff = Backoff::default();
    loop {
        tokio::time::sleep(SUPERVISION_INTERVAL).await;
        match managed.ensure_running().await {
            Ok(false) => backoff.reset(),
            Ok(true) => {
                tracing::warn!("PostgreSQL had died and runs again");
                tokio::time::sleep(backoff.next_delay()).await;
            }
            Err(error) => {
                tracing::error!(error = %error, "PostgreSQL cannot be started again");
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
