//! The part of a project that costs something: connections, a listener and a catalog.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use plinth_catalog::LoadError;
use plinth_postgres::{ConnectError, Endpoint, Listener, Login};
use plinth_wire::Pool;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::room::Place;
use super::snapshot::{Snapshot, SnapshotOptions};

/// The channel on which people and triggers ask for a reload.
const CHANNEL: &str = "pgrst";

/// Reloads begin at least this far apart, so that a migration of many transactions causes few.
const RELOAD_INTERVAL: Duration = Duration::from_millis(50);

/// How long the first load, and any later one, may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a project cannot be served right now.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The database cannot be reached.
    #[error("cannot connect to the project's database")]
    Connect(#[source] ConnectError),
    /// The catalog cannot be read.
    #[error("cannot read the project's catalog")]
    Load(#[source] LoadError),
    /// It takes too long.
    #[error("reading the project's catalog takes too long")]
    Timeout,
    /// The last attempt failed a moment ago.
    #[error("the project's database could not be reached a moment ago")]
    Recently,
    /// The project was dropped.
    #[error("the project was dropped")]
    Dropped,
}

/// Where and as whom to listen and to read the catalog.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub endpoint: Endpoint,
    /// The login of the data plane: reading `pg_catalog` takes no rights.
    pub login: Login,
    /// The database.
    pub database: String,
}

impl Target {
    async fn listen(&self) -> Result<Listener, ConnectError> {
        self.endpoint.listen(&self.login, &self.database, &[CHANNEL]).await
    }
}

/// A project that is being served. Dropping it closes everything.
pub struct Live {
    pool: Pool,
    snapshot: Arc<RwLock<Arc<Snapshot>>>,
    watcher: JoinHandle<()>,
    _place: Place,
}

impl Live {
    /// Listens, then reads the catalog (in this order, so that no change falls between the two).
    ///
    /// # Errors
    ///
    /// [`LiveError`] when the database cannot be reached or read.
    pub async fn open(
        name: &str,
        target: Target,
        options: SnapshotOptions,
        pool: Pool,
        place: Place,
    ) -> Result<Self, LiveError> {
        let opened = tokio::time::timeout(LOAD_TIMEOUT, open(&target, &options)).await;
        let (listener, snapshot) = opened.map_err(|_elapsed| LiveError::Timeout)??;
        let (relations, relationships, functions) = snapshot.catalog.size();
        tracing::debug!(
            project.name = name,
            catalog.relations = relations,
            catalog.relationships = relationships,
            catalog.functions = functions,
            "opened the project"
        );
        let snapshot = Arc::new(RwLock::new(Arc::new(snapshot)));
        let watcher = Watcher {
            name: name.to_owned(),
            target,
            options,
            pool: pool.clone(),
            snapshot: snapshot.clone(),
        };
        let watcher = tokio::spawn(watcher.run(listener));
        Ok(Self { pool, snapshot, watcher, _place: place })
    }

    /// The project's connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What the project looks like now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.watcher.abort();
        self.pool.close();
    }
}

async fn open(
    target: &Target,
    options: &SnapshotOptions,
) -> Result<(Listener, Snapshot), LiveError> {
    let mut listener = target.listen().await.map_err(LiveError::Connect)?;
    let snapshot = load(&mut listener, options).await.map_err(LiveError::Load)?;
    Ok((listener, snapshot))
}

async fn load(listener: &mut Listener, options: &SnapshotOptions) -> Result<Snapshot, LoadError> {
    Snapshot::load(listener.connection_mut().client_mut(), options).await
}

/// Keeps a snapshot fresh for as long as its project is live.
struct Watcher {
    name: String,
    target: Target,
    options: SnapshotOptions,
    pool: Pool,
    snapshot: Arc<RwLock<Arc<Snapshot>>>,
}

impl Watcher {
    async fn run(self, mut listener: Listener) {
        loop {
            self.watch(&mut listener).await;
            // Requests go on with what is known; the pool finds out by itself when it can connect.
            listener = self.reconnect().await;
        }
    }

    /// Reloads on every notification until the connection is gone.
    async fn watch(&self, listener: &mut Listener) {
        let mut last = Instant::now();
        while let Some(notification) = listener.next().await {
            if !is_reload(notification.payload()) {
                continue;
            }
            tokio::time::sleep_until(last + RELOAD_INTERVAL).await;
            // What came meanwhile is answered by the same reload.
            while let Some(Some(_)) = listener.next().now_or_never() {}
            last = Instant::now();
            let loading = load(listener, &self.options);
            match tokio::time::timeout(LOAD_TIMEOUT, loading).await {
                Ok(Ok(snapshot)) => self.publish(snapshot),
                Ok(Err(error)) => {
                    tracing::warn!(project.name = %self.name, error = %error, "could not reload the catalog");
                    return;
                }
                Err(_elapsed) => {
                    tracing::warn!(project.name = %self.name, "reloading the catalog takes too long");
                    return;
                }
            }
        }
    }

    /// Connects again, however long it takes, and reloads: what happened meanwhile was not heard.
    async fn reconnect(&self) -> Listener {
        let mut backoff = Backoff::default();
        loop {
            tokio::time::sleep(backoff.next_delay()).await;
            match tokio::time::timeout(LOAD_TIMEOUT, open(&self.target, &self.options)).await {
                Ok(Ok((listener, snapshot))) => {
                    self.publish(snapshot);
                    return listener;
                }
                Ok(Err(error)) => {
                    tracing::debug!(project.name = %self.name, error = %error, "cannot listen yet");
                }
                Err(_elapsed) => {
                    tracing::debug!(project.name = %self.name, "cannot listen yet: too slow");
                }
            }
        }
    }

    fn publish(&self, snapshot: Snapshot) {
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(snapshot);
        self.pool.forget_statements();
        tracing::debug!(project.name = %self.name, "reloaded the catalog");
    }
}

/// An empty payload means everything, as for PostgREST; settings are part of the snapshot.
fn is_reload(payload: &str) -> bool {
    matches!(payload, "" | "reload schema" | "reload config")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_payloads_cause_a_reload() {
        for (payload, reload) in
            [("reload schema", true), ("reload config", true), ("", true), ("hello", false)]
        {
            assert_eq!(is_reload(payload), reload, "{payload}");
        }
    }
}
