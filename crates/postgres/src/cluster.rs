//! The PostgreSQL that Plinth works on: its own, or one that was there before.

use std::sync::Arc;

use plinth_wire::{Host, Secret};

use crate::connection::{ConnectError, Connection, Endpoint, Login};
use crate::external::{self, Finding};
use crate::managed::{ClusterError, ManagedCluster, ManagedOptions, ManagedReport};

/// Database for administrative work where no other is meant.
pub(crate) const MAINTENANCE: &str = "postgres";

/// A cluster with an administrator's login. Clones are the same cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    endpoint: Endpoint,
    maintenance: String,
    managed: Option<Arc<ManagedCluster>>,
}

impl Cluster {
    /// Starts or adopts Plinth's own cluster.
    ///
    /// # Errors
    ///
    /// [`ClusterError`], each with what to do about it.
    pub async fn managed(options: ManagedOptions) -> Result<Self, ClusterError> {
        let managed = ManagedCluster::start(options).await?;
        let endpoint = managed.endpoint().clone();
        Ok(Self { endpoint, maintenance: MAINTENANCE.to_owned(), managed: Some(Arc::new(managed)) })
    }

    /// Uses the cluster at `url`; connects once to see that it is there. What else it needs is told by
    /// [`Cluster::check`].
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if the URL does not do, or nobody answers.
    pub async fn external(url: &str) -> Result<Self, ConnectError> {
        let (endpoint, database) = Endpoint::from_url(url)?;
        let maintenance = database.unwrap_or_else(|| MAINTENANCE.to_owned());
        endpoint.connect(&maintenance).await?.close().await;
        Ok(Self { endpoint, maintenance, managed: None })
    }

    /// What this cluster lacks for Plinth, each with what mends it. Empty for a managed cluster.
    ///
    /// # Errors
    ///
    /// [`ClusterError`] if it cannot be asked.
    pub async fn check(&self) -> Result<Vec<Finding>, ClusterError> {
        let connection = self.connect(&self.maintenance).await?;
        let findings = external::check(&connection).await.map_err(ClusterError::Query);
        connection.close().await;
        findings
    }

    /// Where Plinth itself connects, with the administrator's login.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Opens an administrative connection to `database`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Open`] if the server is not there or refuses.
    pub async fn connect(&self, database: &str) -> Result<Connection, ConnectError> {
        self.endpoint.connect(database).await
    }

    /// A URL for people and their tools: the loopback port of a managed cluster, the given address of another. It holds
    /// the login's password.
    pub fn url(&self, login: &Login, database: &str) -> Secret {
        match &self.managed {
            Some(_) => {
                let host = Host::Tcp("127.0.0.1".to_owned());
                Endpoint { host, ..self.endpoint.clone() }.url(login, database)
            }
            None => self.endpoint.url(login, database),
        }
    }

    /// What happened at the start of a managed cluster.
    pub fn report(&self) -> Option<&ManagedReport> {
        self.managed.as_deref().map(ManagedCluster::report)
    }

    /// The managed cluster, if it is one.
    pub fn as_managed(&self) -> Option<&ManagedCluster> {
        self.managed.as_deref()
    }

    /// Stops a managed cluster in good order; leaves another alone.
    ///
    /// # Errors
    ///
    /// [`ClusterError::WontStop`] if it does not end.
    pub async fn stop(&self) -> Result<(), ClusterError> {
        match &self.managed {
            Some(managed) => managed.stop().await,
            None => Ok(()),
        }
    }

    pub(crate) fn maintenance(&self) -> &str {
        &self.maintenance
    }
}
