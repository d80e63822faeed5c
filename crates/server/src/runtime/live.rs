//! The part of a project that costs something: connections, a listener and a catalog.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use plinth_postgres::{ConnectError, Endpoint, Listener, Login};
use plinth_wire::Pool;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::room::Place;
use super::settings::Tenant;
use super::snapshot::{Snapshot, SnapshotError, SnapshotOptions};

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
    Load(#[source] SnapshotError),
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
    /// The channel on which people and triggers ask for a reload; without one nobody is heard.
    pub channel: Option<String>,
}

impl Target {
    async fn listen(&self) -> Result<Listener, ConnectError> {
        let channels: Vec<&str> = self.channel.as_deref().into_iter().collect();
        self.endpoint.listen(&self.login, &self.database, &channels).await
    }
}

/// What to read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reload {
    /// The catalog, with the settings that the database holds.
    Schema,
    /// The settings' file and what it names too.
    Config,
}

/// A project that is being served. Dropping it closes everything.
pub struct Live {
    pool: Pool,
    snapshot: Arc<RwLock<Arc<Snapshot>>>,
    health: Arc<Health>,
    wishes: Arc<Wishes>,
    watcher: JoinHandle<()>,
    _place: Place,
}

/// Reloads that somebody in this process asks for. However many there are, they are one.
#[derive(Debug, Default)]
struct Wishes {
    asked: Notify,
    /// Whether one of them is for the settings too.
    config: AtomicBool,
}

impl Wishes {
    fn ask(&self, what: Reload) {
        if what == Reload::Config {
            self.config.store(true, Ordering::Release);
        }
        self.asked.notify_one();
    }

    async fn next(&self) -> Reload {
        self.asked.notified().await;
        if self.config.swap(false, Ordering::AcqRel) { Reload::Config } else { Reload::Schema }
    }
}

/// How the watcher fares, for the admin server.
#[derive(Debug, Default)]
pub struct Health {
    /// Whether the last attempt to read the catalog went well, and the listener is there.
    pub fresh: AtomicBool,
    /// Catalogs read.
    pub loads: AtomicU64,
    /// Attempts that failed.
    pub failures: AtomicU64,
    /// Requests that found no connection in time.
    pub pool_timeouts: AtomicU64,
}

impl Live {
    /// Listens, then reads the catalog (in this order, so that no change falls between the two).
    ///
    /// # Errors
    ///
    /// [`LiveError`] when the database cannot be reached or read.
    pub async fn open(
        name: Arc<str>,
        target: Target,
        options: SnapshotOptions,
        pool: Pool,
        place: Place,
    ) -> Result<Self, LiveError> {
        let opened = tokio::time::timeout(LOAD_TIMEOUT, open(&target, &options)).await;
        let (listener, snapshot) = opened.map_err(|_elapsed| LiveError::Timeout)??;
        let (relations, relationships, functions) = snapshot.catalog.size();
        tracing::debug!(
            project.name = %name,
            catalog.relations = relations,
            catalog.relationships = relationships,
            catalog.functions = functions,
            "opened the project"
        );
        let snapshot = Arc::new(RwLock::new(Arc::new(snapshot)));
        let health = Arc::<Health>::default();
        health.loaded();
        let wishes = Arc::<Wishes>::default();
        let watcher = Watcher {
            name,
            target,
            options,
            pool: pool.clone(),
            snapshot: snapshot.clone(),
            health: health.clone(),
            wishes: wishes.clone(),
        };
        let watcher = tokio::spawn(watcher.run(listener));
        Ok(Self { pool, snapshot, health, wishes, watcher, _place: place })
    }

    /// The project's connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// What the project looks like now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How reading the catalog fares.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Asks for a reload, which comes soon.
    pub fn reload(&self, what: Reload) {
        self.wishes.ask(what);
    }
}

impl Health {
    fn loaded(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
        self.fresh.store(true, Ordering::Release);
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.fresh.store(false, Ordering::Release);
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

async fn load(
    listener: &mut Listener,
    options: &SnapshotOptions,
) -> Result<Snapshot, SnapshotError> {
    Snapshot::load(listener.connection_mut().client_mut(), options).await
}

/// Keeps a snapshot fresh for as long as its project is live.
struct Watcher {
    name: Arc<str>,
    target: Target,
    options: SnapshotOptions,
    pool: Pool,
    snapshot: Arc<RwLock<Arc<Snapshot>>>,
    health: Arc<Health>,
    wishes: Arc<Wishes>,
}

impl Watcher {
    async fn run(mut self, mut listener: Listener) {
        loop {
            self.watch(&mut listener).await;
            self.health.fresh.store(false, Ordering::Release);
            // Requests go on with what is known; the pool finds out by itself when it can connect.
            listener = self.reconnect().await;
        }
    }

    /// Reloads on every notification until the connection is gone.
    async fn watch(&mut self, listener: &mut Listener) {
        let mut last = Instant::now();
        while let Some(wanted) = self.next(listener).await {
            let Some(mut what) = wanted else { continue };
            tokio::time::sleep_until(last + RELOAD_INTERVAL).await;
            // What came meanwhile is answered by the same reload.
            while let Some(Some(more)) = self.next(listener).now_or_never() {
                what = what.max(more.unwrap_or(Reload::Schema));
            }
            last = Instant::now();
            if what == Reload::Config
                && let Err(error) = self.options.source.read_again()
            {
                // The schema may have changed all the same.
                tracing::error!(project.name = %self.name, error = %chain(&error), "the settings stay as they were");
            }
            let loading = load(listener, &self.options);
            match tokio::time::timeout(LOAD_TIMEOUT, loading).await {
                Ok(Ok(snapshot)) => self.publish(snapshot),
                Ok(Err(error @ SnapshotError::Settings(_))) => {
                    tracing::error!(project.name = %self.name, error = %chain(&error), "the settings stay as they were");
                }
                Ok(Err(error)) => {
                    self.health.failed();
                    tracing::warn!(project.name = %self.name, error = %chain(&error), "could not reload the catalog");
                    return;
                }
                Err(_elapsed) => {
                    self.health.failed();
                    tracing::warn!(project.name = %self.name, "reloading the catalog takes too long");
                    return;
                }
            }
        }
    }

    /// The next wish: `Some(None)` for a notification about something else, `None` when the
    /// connection is gone.
    async fn next(&mut self, listener: &mut Listener) -> Option<Option<Reload>> {
        tokio::select! {
            notification = listener.next() => {
                notification.map(|notification| reload_of(notification.payload()))
            }
            what = self.wishes.next() => Some(Some(what)),
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
                    self.health.failed();
                    tracing::debug!(project.name = %self.name, error = %chain(&error), "cannot listen yet");
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
        if let Tenant::Alone(_) = self.options.tenant {
            // A session keeps the settings that its login had when it began.
            self.pool.renew();
        }
        self.health.loaded();
        tracing::debug!(project.name = %self.name, "reloaded the catalog");
    }
}

/// What a notification asks for; an empty payload means everything, as for PostgREST.
fn reload_of(payload: &str) -> Option<Reload> {
    match payload {
        "" | "reload config" => Some(Reload::Config),
        "reload schema" => Some(Reload::Schema),
        _ => None,
    }
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_wishes_are_one_and_none_is_lost() {
        let wishes = Wishes::default();
        for what in [Reload::Schema; 9].into_iter().chain([Reload::Config, Reload::Schema]) {
            wishes.ask(what);
        }
        assert_eq!(wishes.next().await, Reload::Config);
        assert_eq!(wishes.next().now_or_never(), None);
        wishes.ask(Reload::Schema);
        assert_eq!(wishes.next().await, Reload::Schema);
    }

    #[test]
    fn only_the_known_payloads_cause_a_reload() {
        for (payload, reload) in [
            ("reload schema", Some(Reload::Schema)),
            ("reload config", Some(Reload::Config)),
            ("", Some(Reload::Config)),
            ("hello", None),
        ] {
            assert_eq!(reload_of(payload), reload, "{payload}");
        }
    }
}
