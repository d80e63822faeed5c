//! The cluster as a command sees it: beside a running Plinth, external, or started for a moment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use plinth_postgres::seal::KeyPlace;
use plinth_postgres::{
    Binaries, Cluster, ClusterError, ConnectError, Connection, Endpoint, Host, ManagedOptions,
    Project, Registry, RegistryError, Secret,
};

use super::running::Running;
use crate::cli::{GlobalArgs, ListenArgs, Output, hinted};
use crate::config::{ClusterConfig, Config};

/// How long a command waits for a Plinth that is just starting or stopping.
const NEIGHBOUR_TIMEOUT: Duration = Duration::from_secs(30);
const NEIGHBOUR_POLL: Duration = Duration::from_millis(200);

/// The file of the master key, below the data folder.
const KEY_FILE: &str = "master.key";

/// The variable that holds the master key instead.
const KEY_VARIABLE: &str = "PLINTH_MASTER_KEY";

/// What a command needs of a managed cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It must be running already.
    Running,
    /// It may be started for the command and stopped again.
    Started,
}

/// The cluster and its registry, for one command.
pub(super) struct Admin {
    /// The cluster.
    pub(super) cluster: Cluster,
    /// Its projects.
    pub(super) registry: Registry,
    /// Where a Plinth serves them, if one does.
    pub(super) http: Option<SocketAddr>,
    /// Beside another Plinth: the loopback port of its cluster.
    loopback: Option<u16>,
    /// Started for this command.
    ours: bool,
}

impl Admin {
    /// Does `work` with the cluster that the command's settings name, and lets go of it however that ends.
    pub(super) async fn with<T>(
        global: &GlobalArgs,
        need: Need,
        output: Output,
        work: impl AsyncFnOnce(&Self, &Config) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let config = Config::try_from(global.raw_config(&ListenArgs::default())?)?;
        let admin = Self::connect(&config, need, output).await?;
        let done = work(&admin, &config).await;
        admin.close().await?;
        done
    }

    /// Finds, or starts, the configured cluster.
    pub(super) async fn connect(
        config: &Config,
        need: Need,
        output: Output,
    ) -> anyhow::Result<Self> {
        let ClusterConfig::Managed { .. } = &config.cluster else {
            let cluster = start(config).await?;
            return Self::open(config, cluster, None, None, false).await;
        };
        if let Some(found) = Self::beside(config).await? {
            return Ok(found);
        }
        if need == Need::Running {
            return Err(hinted(
                format!("no Plinth runs on the data folder {}", config.data_dir.display()),
                "start it with `plinth up` (in another terminal), or name its folder with --data-dir",
            ));
        }
        match start(config).await {
            Ok(cluster) => {
                output.progress("started PostgreSQL for this command");
                Self::open(config, cluster, None, None, true).await
            }
            Err(error) if is_in_use(&error) => Self::wait_for_neighbour(config, error).await,
            Err(error) => Err(error),
        }
    }

    /// The cluster of a Plinth that runs on the same data folder.
    async fn beside(config: &Config) -> anyhow::Result<Option<Self>> {
        let Some(running) = Running::read(&config.data_dir) else { return Ok(None) };
        let url = socket_url(&running.endpoint(&config.data_dir)?);
        // A note that a killed Plinth left behind is no error: its cluster may be gone.
        let Ok(cluster) = Cluster::external(url.expose()).await else { return Ok(None) };
        Self::open(config, cluster, running.http, Some(running.postgres_port), false)
            .await
            .map(Some)
    }

    async fn wait_for_neighbour(config: &Config, error: anyhow::Error) -> anyhow::Result<Self> {
        let deadline = tokio::time::Instant::now() + NEIGHBOUR_TIMEOUT;
        while tokio::time::Instant::now() < deadline {
            tokio::time::sleep(NEIGHBOUR_POLL).await;
            if let Some(found) = Self::beside(config).await? {
                return Ok(found);
            }
        }
        Err(error)
    }

    async fn open(
        config: &Config,
        cluster: Cluster,
        http: Option<SocketAddr>,
        loopback: Option<u16>,
        ours: bool,
    ) -> anyhow::Result<Self> {
        let registry = match open_registry(&cluster, config).await {
            Ok(registry) => registry,
            Err(error) => {
                if ours && let Err(error) = cluster.stop().await {
                    tracing::warn!(error = %error, "cannot stop the PostgreSQL that was started for this command");
                }
                return Err(error);
            }
        };
        Ok(Self { cluster, registry, http, loopback, ours })
    }

    /// What the serving process itself knows.
    pub(super) fn serving(cluster: Cluster, registry: Registry, http: SocketAddr) -> Self {
        Self { cluster, registry, http: Some(http), loopback: None, ours: false }
    }

    /// The project of that name, or the default one.
    pub(super) async fn project(
        &self,
        config: &Config,
        name: Option<&str>,
    ) -> anyhow::Result<Project> {
        let projects = self.registry.list().await?.projects;
        let names =
            || projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>().join(", ");
        match name.or(config.default_project.as_deref()) {
            Some(name) => {
                projects.iter().find(|project| project.name == name).cloned().ok_or_else(|| {
                    hinted(
                        format!("project `{name}` does not exist"),
                        match projects.is_empty() {
                            true => format!("create it with `plinth project create {name}`"),
                            false => format!("there are: {}", names()),
                        },
                    )
                })
            }
            None => oldest(&projects).cloned().ok_or_else(|| {
                hinted("there is no project yet", "create one with `plinth project create NAME`")
            }),
        }
    }

    /// A connection to the project's database as its owner: what a command reads there needs no superuser.
    pub(super) async fn connect_as_owner(
        &self,
        project: &Project,
    ) -> Result<Connection, ConnectError> {
        self.cluster.endpoint().connect_as(&project.owner_login, &project.database).await
    }

    /// Connection URL of the project's owner, for people and their tools.
    pub(super) fn url(&self, project: &Project) -> Secret {
        match self.loopback {
            None => self.cluster.url(&project.owner_login, &project.database),
            Some(_) => self.public_endpoint().url(&project.owner_login, &project.database),
        }
    }

    /// Where people connect: the loopback port of a managed cluster.
    pub(super) fn public_endpoint(&self) -> Endpoint {
        let endpoint = self.cluster.endpoint().clone();
        match self.loopback.or(self.cluster.report().map(|report| report.port)) {
            Some(port) => Endpoint { host: Host::Tcp("127.0.0.1".to_owned()), port, ..endpoint },
            None => endpoint,
        }
    }

    /// Whether the cluster was started for this command and will be stopped after it.
    pub(super) fn is_temporary(&self) -> bool {
        self.ours
    }

    /// Leaves the cluster as it was found.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.registry);
        if self.ours {
            self.cluster
                .stop()
                .await
                .context("cannot stop the PostgreSQL that was started for this command")?;
        }
        Ok(())
    }
}

/// The project that was created first.
pub(super) fn oldest(projects: &[Project]) -> Option<&Project> {
    projects.iter().min_by_key(|project| project.created_at)
}

/// Opens the registry of `cluster` with the instance's master key, and says what to do when that is not the right one.
pub(super) async fn open_registry(cluster: &Cluster, config: &Config) -> anyhow::Result<Registry> {
    let place = key_place(config);
    match Registry::open(cluster, &place).await {
        Ok(registry) => Ok(registry),
        Err(
            error @ (RegistryError::MasterKey(_)
            | RegistryError::MasterKeyLost { .. }
            | RegistryError::MasterKeyWrong { .. }),
        ) => Err(hinted(format!("{:#}", anyhow::Error::new(error)), key_hint(config))),
        Err(error) => Err(error).context("cannot open the registry of projects"),
    }
}

/// Where the master key is: in the environment, else below the data folder.
fn key_place(config: &Config) -> KeyPlace {
    match std::env::var(KEY_VARIABLE).ok().filter(|text| !text.is_empty()) {
        Some(keys) => KeyPlace::Given(Secret::new(keys)),
        None => KeyPlace::File(config.data_dir.join(KEY_FILE)),
    }
}

fn key_hint(config: &Config) -> String {
    format!(
        "set {KEY_VARIABLE} to the right key, or put its file back as {} (another folder: --data-dir). \
         All instances and commands of a cluster need the same key",
        config.data_dir.join(KEY_FILE).display()
    )
}

/// Starts, adopts or connects to the configured cluster.
pub(super) async fn start(config: &Config) -> anyhow::Result<Cluster> {
    match &config.cluster {
        ClusterConfig::External { url } => {
            Cluster::external(url.expose()).await.context("cannot use the external PostgreSQL")
        }
        ClusterConfig::Managed { port, settings } => {
            let explicit = std::env::var_os("PLINTH_PG_BIN")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from);
            let mut options =
                ManagedOptions::new(&config.data_dir, Binaries::find(explicit.as_deref())?);
            options.port = *port;
            options.settings = settings.clone();
            options.run_as = std::env::var("PLINTH_PG_USER").ok().filter(|name| !name.is_empty());
            Ok(Cluster::managed(options).await?)
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClusterError::InUse { .. }))
}

/// A URL by which the administrator reaches the cluster's maintenance database.
fn socket_url(endpoint: &Endpoint) -> Secret {
    endpoint.url(&endpoint.admin, "postgres")
}
