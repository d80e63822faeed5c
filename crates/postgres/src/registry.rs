//! The control database: which projects there are.
//!
//! Making, resetting and dropping projects is in [`lifecycle`]; this file opens the registry and reads it.

mod changes;
mod lifecycle;
mod secrets;
mod signing_keys;
mod store;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use plinth_wire::Secret;

pub use self::changes::Changes;
pub use self::lifecycle::CreateProject;
use crate::cluster::Cluster;
use crate::connection::{ConnectError, Connection, has_code};
use crate::keys::KeyError;
use crate::migrate::{MigrateError, Migrator};
use crate::numbered::{self, File, PlatformError};
use crate::platform::{self, files};
use crate::project::{NameError, Project};
use crate::quote::ident;
use crate::seal::{KeyPlace, MasterKeyError, SealError, Sealer};
use crate::sealing::SealingError;
use crate::sqlstate;

/// The control database. No project can have this name.
pub const CONTROL_DATABASE: &str = "plinth";
/// The channel of the control database that tells of changes to the registry.
pub const CHANNEL: &str = "plinth_projects";
/// Databases that are looked after at the same time.
const CONCURRENCY: usize = 8;
/// Held while roles and leftovers of the cluster are put in order.
const LOCK: &str = "plinth:cluster";

/// Gives projects back what their logins and the shared roles hold on their databases.
const GRANTS: &str = include_str!("registry/grants.sql");

/// The files of the control database, in order.
pub(crate) const CONTROL_FILES: &[File] = files!["control": "0001_project", "0002_auth_login", "0003_signing_key", "0004_sealed_secrets", "0005_work"];

/// Why something about projects failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A connection could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A statement of ours failed.
    #[error("{doing}")]
    Query {
        /// What was being done.
        doing: String,
        /// The server's error.
        #[source]
        source: tokio_postgres::Error,
    },
    /// The name will not do.
    #[error("`{name}` cannot be a project's name")]
    Name {
        /// The name.
        name: String,
        /// Why not.
        #[source]
        source: NameError,
    },
    /// There is a project of this name.
    #[error("project `{0}` exists already")]
    Exists(String),
    /// There is a database of this name that is no project.
    #[error("there is a database `{0}` that is no project of Plinth; choose another name")]
    DatabaseTaken(String),
    /// There is no project of this name.
    #[error("there is no project `{0}`")]
    NotFound(String),
    /// Someone else is making, resetting or dropping this project.
    #[error("someone else is working on project `{0}`; try again")]
    Busy(String),
    /// A connection or replication slot keeps a database in use.
    #[error("database `{0}` stays in use by others")]
    InUse(String),
    /// The project has a signing key of this name.
    #[error("there is a signing key `{0}` already")]
    SigningKeyExists(String),
    /// The project has as many signing keys as it may have.
    #[error("project `{0}` has {max} signing keys already", max = crate::signing_key::MAX_SIGNING_KEYS)]
    TooManySigningKeys(String),
    /// No signing key is in the state that this needs.
    #[error("project `{project}` has no signing key `{kid}` that is {wanted}")]
    SigningKeyNotFound {
        /// The project.
        project: String,
        /// The key's name.
        kid: String,
        /// The state that it would have to be in.
        wanted: &'static str,
    },
    /// There is no usable master key.
    #[error("the projects' secrets cannot be opened without a master key")]
    MasterKey(#[from] MasterKeyError),
    /// There are sealed secrets and no master key. A new one would open none of them, so none was made.
    #[error("the projects' secrets are sealed, and {place} with their master key is not there")]
    MasterKeyLost {
        /// Where it should be.
        place: KeyPlace,
    },
    /// The secrets were sealed with another master key.
    #[error(
        "the projects' secrets are sealed with the master key named {wanted}, which is not {place} ({found})"
    )]
    MasterKeyWrong {
        /// Where a key was found.
        place: KeyPlace,
        /// Name of the master key that is wanted.
        wanted: String,
        /// Names of those that were found.
        found: String,
    },
    /// The secrets of one project could not be sealed or opened.
    #[error("the secrets of project `{project}` cannot be sealed or opened")]
    Sealed {
        /// The project.
        project: String,
        /// Why not.
        #[source]
        source: SealError,
    },
    /// The key pair of a project's sealed columns could not be made or read.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// No secrets could be made.
    #[error("cannot make the keys of a project")]
    Key(#[from] KeyError),
    /// The platform schema could not be applied.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The project's own SQL could not be applied.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// The projects of a cluster.
#[derive(Clone, Debug)]
pub struct Registry {
    cluster: Cluster,
    owner_role: String,
    sealer: Arc<Sealer>,
}

/// The projects at one moment.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Grows with every change of the registry.
    pub revision: i64,
    /// In the order of their names.
    pub projects: Vec<Project>,
}

impl Registry {
    /// Opens the registry of `cluster`: makes the control database and the shared roles if need be, gives projects back
    /// grants on their databases that were lost and logins that they lack, and removes what a process that was killed while making or dropping a
    /// project left behind. Safe with several instances at once.
    ///
    /// Secrets are sealed by the master key in `place`. It is made if it is not there, unless something is sealed
    /// already. What earlier versions kept in plain is sealed here, and so is anew what an earlier master key sealed.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the cluster cannot be reached or prepared, or the master key is missing or another one.
    pub async fn open(cluster: &Cluster, place: &KeyPlace) -> Result<Self, RegistryError> {
        let mut control = open_control(cluster).await?;
        let waited =
            control.lock(LOCK, store::LOCK_WAIT).await.map_err(query("cannot lock the cluster"))?;
        if !waited {
            return Err(RegistryError::Busy(CONTROL_DATABASE.to_owned()));
        }
        // The owner role is chosen after the registry's tables are there to remember it; they do not name it.
        numbered::apply(&mut control, CONTROL_FILES, "", CONTROL_DATABASE).await?;
        let owner_role =
            store::owner_role(&control).await.map_err(query("cannot choose the owner role"))?;
        let roles = numbered::fill(platform::CLUSTER, &owner_role, CONTROL_DATABASE);
        control
            .batch_execute(&roles)
            .await
            .map_err(query("cannot prepare the roles of the cluster"))?;
        let sealer = Arc::new(secrets::master_key(&control, place).await?);
        secrets::seal_all(&mut control, &sealer).await?;
        let registry = Self { cluster: cluster.clone(), owner_role, sealer };
        control
            .batch_execute(GRANTS)
            .await
            .map_err(query("cannot mend the grants on the projects' databases"))?;
        registry.remove_leftovers(&control).await?;
        control.close().await;
        Ok(registry)
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What secrets of this cluster's projects are sealed with.
    pub fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// The role that owns what projects' migrations make: `postgres`, or `plinth_owner` where that is a superuser.
    pub fn owner_role(&self) -> &str {
        &self.owner_role
    }

    /// All projects, with a marker to tell whether something changed since.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the control database cannot be asked, or a project's secrets do not open.
    pub async fn list(&self) -> Result<Listing, RegistryError> {
        let control = self.control().await?;
        let listing =
            store::project_list(&control).await.map_err(query("cannot list the projects"));
        control.close().await;
        let (revision, records) = listing?;
        let projects = records.into_iter().map(|record| secrets::open(&self.sealer, record));
        Ok(Listing { revision, projects: projects.collect::<Result<_, _>>()? })
    }

    /// The project `name`, if it exists.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the control database cannot be asked, or the project's secrets do not open.
    pub async fn by_name(&self, name: &str) -> Result<Option<Project>, RegistryError> {
        let control = self.control().await?;
        let project = self.find(&control, name).await;
        control.close().await;
        project
    }

    async fn find(
        &self,
        control: &Connection,
        name: &str,
    ) -> Result<Option<Project>, RegistryError> {
        let found = store::project_find(control, name).await;
        let record = found.map_err(query("cannot read the registry"))?;
        record.map(|record| secrets::open(&self.sealer, record)).transpose()
    }

    /// Notices of changes, also those of other processes. See [`Changes`].
    pub fn changes(&self) -> Changes {
        Changes::watch(self.cluster.endpoint().clone())
    }

    /// A `postgresql://` URL of the project's database for people and their tools, as its owner. It holds the password.
    pub fn url(&self, project: &Project) -> Secret {
        self.cluster.url(&project.owner_login, &project.database)
    }

    /// Applies people's migrations to the database of `project`.
    pub fn migrator(&self, project: &Project) -> Migrator {
        Migrator::new(self.cluster.endpoint(), project)
    }

    /// Brings the platform schema of every project up to date, a few databases at a time; returns the projects that
    /// could not be, with the reason. Projects that were up to date after an earlier call cost nothing.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the control database cannot be asked.
    pub async fn apply_platform(&self) -> Result<Vec<(String, RegistryError)>, RegistryError> {
        let digest = numbered::digest(platform::FILES);
        let control = self.control().await?;
        let failed = || query("cannot look for outdated projects");
        let outdated = store::project_list_outdated(&control, &digest).await.map_err(failed())?;
        let outcomes = stream::iter(&outdated).map(|(name, owner_role)| async move {
            (name, self.apply_platform_to(name, owner_role).await)
        });
        let outcomes: Vec<_> = outcomes.buffer_unordered(CONCURRENCY).collect().await;
        let current: Vec<&str> = outcomes
            .iter()
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|(name, _)| name.as_str())
            .collect();
        if !current.is_empty() {
            store::project_set_platform(&*control, &current, &digest).await.map_err(failed())?;
        }
        control.close().await;
        let failures =
            outcomes.into_iter().filter_map(|(name, outcome)| Some((name.clone(), outcome.err()?)));
        Ok(failures.collect())
    }

    async fn apply_platform_to(
        &self,
        database: &str,
        owner_role: &str,
    ) -> Result<usize, RegistryError> {
        let mut connection = self.cluster.connect(database).await?;
        let applied = numbered::apply(&mut connection, platform::FILES, owner_role, database).await;
        connection.close().await;
        Ok(applied?)
    }

    /// Notes what was applied to the project `name`: the digest of its manifest (`None`: as before), and whether it has
    /// bindings. Every instance hears of it, whatever is the same.
    ///
    /// # Errors
    ///
    /// [`RegistryError::NotFound`], or the statement failed.
    pub async fn set_work(
        &self,
        name: &str,
        manifest: Option<&str>,
        has_work: bool,
    ) -> Result<(), RegistryError> {
        let control = self.control().await?;
        let found = store::project_set_work(&control, name, manifest, has_work).await;
        control.close().await;
        match found.map_err(query("cannot note the project's work"))? {
            true => Ok(()),
            false => Err(RegistryError::NotFound(name.to_owned())),
        }
    }

    /// What was written to each database of the cluster so far, by its name: other text, other rows. As the cluster's
    /// statistics have it, which may be ten seconds late.
    ///
    /// # Errors
    ///
    /// [`RegistryError`] if the control database cannot be asked.
    pub async fn writes(&self) -> Result<HashMap<String, String>, RegistryError> {
        let control = self.control().await?;
        let counted = store::database_writes(&control).await;
        control.close().await;
        counted.map_err(query("cannot read the statistics of databases"))
    }

    async fn control(&self) -> Result<Connection, RegistryError> {
        Ok(self.cluster.connect(CONTROL_DATABASE).await?)
    }
}

/// Connects to the control database, which is made if it is not there.
async fn open_control(cluster: &Cluster) -> Result<Connection, RegistryError> {
    match cluster.connect(CONTROL_DATABASE).await {
        Err(error) if error.sqlstate() == Some(sqlstate::INVALID_CATALOG_NAME) => {}
        opened => return Ok(opened?),
    }
    let maintenance = cluster.connect(cluster.maintenance()).await?;
    let create =
        format!("create database {} template template0 encoding 'UTF8'", ident(CONTROL_DATABASE));
    match maintenance.batch_execute(&create).await {
        Ok(()) => {}
        // Another instance was faster.
        Err(error)
            if has_code(&error, sqlstate::DUPLICATE_DATABASE)
                || has_code(&error, sqlstate::UNIQUE_VIOLATION) => {}
        Err(source) => return Err(query("cannot make the control database")(source)),
    }
    maintenance.close().await;
    Ok(cluster.connect(CONTROL_DATABASE).await?)
}

fn query(doing: &str) -> impl FnOnce(tokio_postgres::Error) -> RegistryError {
    let doing = doing.to_owned();
    move |source| RegistryError::Query { doing, source }
}
