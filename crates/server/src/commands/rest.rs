//! `plinth rest`: the data API alone, over a database of somebody else's.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plinth_postgres::{ConnectError, Endpoint};
use plinth_wire::{Budget, PoolOptions};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::serving::{serve, start_log, stop_signal};
use crate::cli::{GlobalArgs, ListenArgs, Output, RestArgs, hinted};
use crate::config::{Config, LogConfig, parse_listen};
use crate::gateway::{Access, Admin, Gateway, Rules, Served, Server, Site};
use crate::pgrst::{LogLevel, Place, Settings, Source, endpoint, example};
use crate::runtime::{
    Backoff, Doors, Live, LiveError, Project, ProjectParts, Reload, Room, SnapshotOptions, Target,
    Tenant, connect_config, pool_options,
};

/// The variables any of which says that the database is where libpq would look.
const LIBPQ_VARIABLES: [&str; 4] = ["PGHOST", "PGHOSTADDR", "PGUSER", "PGDATABASE"];

/// How often connections that nobody uses are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// What is served, and how.
struct Alone {
    settings: Settings,
    config: Config,
    endpoint: Endpoint,
    database: String,
    options: SnapshotOptions,
}

/// Serves until told to stop, or prints what was asked for.
pub(super) async fn run(
    global: &GlobalArgs,
    args: &RestArgs,
    output: Output,
) -> anyhow::Result<ExitCode> {
    if args.example {
        output.text(&example());
        return Ok(ExitCode::SUCCESS);
    }
    let source = source(global, args)?;
    let settings = source.settings(&BTreeMap::new())?;
    if args.ready {
        return super::ready::run(&settings, output).await;
    }
    for warning in &settings.warnings {
        output.warn(warning);
    }
    for name in source.unknown() {
        output.warn(format!("{name} is no setting of plinth rest and is ignored"));
    }
    // A key that cannot be read is better known before anybody waits for the database.
    source.keys(&settings.jwt)?;
    if args.dump_config && !settings.in_database {
        output.text(&source.dump(&BTreeMap::new()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = Config::try_from(global.raw_config(&ListenArgs::default())?)?;
    start_log(&log_config(&config.log, settings.log_level), "info")?;
    config.pool.max_connections = settings.pool_size;
    config.pool.acquire_timeout = settings.pool_acquisition_timeout;
    let uri = source.text_or_file(settings.database_uri.expose())?;
    let variable = |name: &str| std::env::var(name).ok();
    if uri == "postgresql://" && LIBPQ_VARIABLES.iter().all(|name| variable(name).is_none()) {
        return Err(hinted(
            "no database is named",
            "give --database-url, or set PGRST_DB_URI or PGHOST, PGUSER and so on",
        ));
    }
    let (endpoint, database) = endpoint(&uri, &variable).map_err(|error| {
        hinted(format!("{error:#}"), "give --database-url, or set PGRST_DB_URI")
    })?;
    let options = SnapshotOptions {
        tenant: Tenant::Alone(Arc::<Doors>::default()),
        source: Arc::new(source),
        always_search_path: true,
    };
    let alone = Alone { settings, config, endpoint, database, options };
    if args.dump_config {
        return alone.dump_config(output).await;
    }
    if args.dump_schema {
        return Box::pin(alone.dump_schema(output)).await;
    }
    Box::pin(alone.serve(args, output)).await?;
    Ok(ExitCode::SUCCESS)
}

fn source(global: &GlobalArgs, args: &RestArgs) -> anyhow::Result<Source> {
    let raw = global.raw_config(&ListenArgs::default())?;
    let mut flags = args.settings();
    if let Some(url) = global.database_url.clone().or(raw.database_url) {
        flags.entry("db-uri".to_owned()).or_insert(url);
    }
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("PGRST_"))
        .collect();
    Ok(Source::open(args.file.clone(), environment, flags)?)
}

/// What PostgREST's levels mean for our log, unless the log was configured in our own way.
fn log_config(config: &LogConfig, level: LogLevel) -> LogConfig {
    if config.filter != "auto" {
        return config.clone();
    }
    let filter = match level {
        LogLevel::Crit => "error",
        LogLevel::Error => "warn",
        LogLevel::Warn | LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    LogConfig { filter: filter.to_owned(), ..config.clone() }
}

impl Alone {
    async fn dump_config(&self, output: Output) -> anyhow::Result<ExitCode> {
        let mut connection = self.endpoint.connect(&self.database).await?;
        let (_, database) = self.options.settings(connection.client_mut()).await?;
        connection.close().await;
        output.text(&self.options.source.dump(&database));
        Ok(ExitCode::SUCCESS)
    }

    async fn dump_schema(self, output: Output) -> anyhow::Result<ExitCode> {
        let project = self.project()?;
        let live = project.live().await.context("cannot serve the database")?;
        output.line(crate::gateway::schema_summary(&live.snapshot().catalog));
        Ok(ExitCode::SUCCESS)
    }

    /// The project, which lets nobody in until it was opened.
    fn project(&self) -> anyhow::Result<Arc<Project>> {
        let login = &self.endpoint.admin;
        let options = self.options.clone();
        let rules = options.tenant.rules(&options.source, &self.settings)?;
        Ok(Project::new(ProjectParts {
            name: Arc::from(self.database.as_str()),
            rules: Arc::new(Rules { access: Arc::new(Access::closed()), ..Rules::clone(&rules) }),
            target: Target {
                endpoint: self.endpoint.clone(),
                login: login.clone(),
                database: self.database.clone(),
                channel: self.settings.channel.clone(),
            },
            connect: connect_config(&self.endpoint, login, &self.database),
            // The listener and the catalog have a connection of their own.
            budget: Budget::new(self.config.pool.max_connections),
            pool: self.pool_options(),
            snapshot: options,
            room: Room::new(1),
            sign_in: None,
            hooks: None,
            messages: None,
        }))
    }

    fn pool_options(&self) -> PoolOptions {
        let mut options = pool_options(&self.config, self.config.pool.max_connections);
        if !self.settings.prepared_statements {
            options.cached_statements = 0;
        }
        options
    }

    /// Listens at once, so that a wrong address is known at once, and clients wait at the socket while the database is
    /// read for the first time. Only where it is not there do they hear that they shall come back; nobody is let in
    /// before it was read.
    async fn serve(self, args: &RestArgs, output: Output) -> anyhow::Result<()> {
        let stop = stop_signal()?;
        let place = match &args.listen {
            Some(text) => {
                let address = parse_listen(text)?;
                Place::Tcp(address.ip().to_string(), address.port())
            }
            None => self.settings.listen.clone(),
        };
        let server = bind(&place).await?;
        let label = server.label();
        let project = self.project()?;
        // Owned here: leaving this function by any way aborts them.
        let mut tasks = JoinSet::new();
        if let Some(place) = &self.settings.admin {
            let admin = bind(place).await.context("cannot start the admin server")?;
            output.progress(format!("admin server at {}", admin.label()));
            let served = Served {
                project: project.clone(),
                socket: server.socket_path().map(std::path::Path::to_owned),
                pool_size: self.config.pool.max_connections,
            };
            let serving = admin.run(Arc::new(Admin::new(served)), stop.clone());
            tasks.spawn(async move {
                if let Err(error) = serving.await {
                    tracing::error!(error = %error, "there is no admin server");
                }
            });
        }
        tasks.spawn(reload_on_signals(project.clone())?);
        tasks.spawn(sweep(project.clone(), self.settings.pool_idle_time));
        let gateway = Gateway::new(Site::Alone(project.clone()), self.config.http.clone());
        let (tried, first_try) = oneshot::channel();
        let serving = async {
            let mut stopped = stop.clone();
            tokio::select! {
                _ = first_try => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            serve(server, gateway, stop).await
        };
        tokio::select! {
            served = serving => served,
            Err(error) = self.keep_open(project, &label, output, tried) => Err(error),
        }
    }

    /// Opens the project, however long that takes, dropping `tried` after the first attempt; a refused login is not
    /// tried again. Then watches over its connection, if nobody else connects again.
    async fn keep_open(
        &self,
        project: Arc<Project>,
        label: &str,
        output: Output,
        tried: oneshot::Sender<()>,
    ) -> anyhow::Result<()> {
        let live = self.open(&project, label, output, tried).await?;
        let schemas = live.snapshot().config.schemas.join(", ");
        drop(live);
        output.progress(format!("serving {schemas} at {label}"));
        if self.settings.automatic_recovery {
            return Ok(());
        }
        lost(project).await;
        Err(anyhow::anyhow!("the connection to the database was lost"))
    }

    async fn open(
        &self,
        project: &Project,
        label: &str,
        output: Output,
        tried: oneshot::Sender<()>,
    ) -> anyhow::Result<Arc<Live>> {
        let mut backoff = Backoff::default();
        let mut tried = Some(tried);
        loop {
            let attempt = project.live().await.context("cannot serve the database");
            drop(tried.take());
            let error = match attempt {
                Ok(live) => return Ok(live),
                Err(error) => error,
            };
            if !self.settings.automatic_recovery || !is_passing(&error) {
                return Err(error);
            }
            if backoff.is_fresh() {
                output.warn(format!("{error:#}; trying again, and answering 503 at {label}"));
            }
            tokio::time::sleep(backoff.next_delay()).await;
        }
    }
}

/// Whether the database may be there a moment later: it answered not at all, too slowly, or that it is starting or
/// stopping.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<LiveError>() {
        Some(LiveError::Connect(connect @ ConnectError::Open { .. })) => {
            connect.sqlstate().is_none_or(|code| code.starts_with("57P"))
        }
        Some(LiveError::Recently | LiveError::Timeout) => true,
        _ => false,
    }
}

async fn bind(place: &Place) -> anyhow::Result<Server> {
    Ok(match place {
        Place::Tcp(host, port) => Server::bind_host(host, *port).await?,
        Place::Unix(path, mode) => Server::bind_socket(path, *mode)?,
    })
}

/// SIGUSR1 reloads the schema, SIGUSR2 the settings.
fn reload_on_signals(project: Arc<Project>) -> anyhow::Result<impl Future<Output = ()>> {
    let mut schema = signal(SignalKind::user_defined1()).context("cannot listen for SIGUSR1")?;
    let mut config = signal(SignalKind::user_defined2()).context("cannot listen for SIGUSR2")?;
    Ok(async move {
        loop {
            let what = tokio::select! {
                _ = schema.recv() => Reload::Schema,
                _ = config.recv() => Reload::Config,
            };
            project.reload(what);
        }
    })
}

/// Closes connections that nobody used for `idle`.
async fn sweep(project: Arc<Project>, idle: Duration) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL.min(idle)).await;
        if let Some(live) = project.current() {
            live.pool().close_idle(idle);
        }
    }
}

/// Ends when the listener's connection is gone.
async fn lost(project: Arc<Project>) {
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let fresh =
            |live: Arc<Live>| live.health().fresh.load(std::sync::atomic::Ordering::Acquire);
        if !project.current().is_some_and(fresh) {
            return;
        }
    }
}
