//! What is being served: the projects, each opened on its first request and closed when idle.

mod backoff;
mod desk;
mod hooks;
mod live;
mod messages;
mod project;
mod room;
mod settings;
mod shapes;
mod sign_in;
mod snapshot;
mod work;

pub use backoff::Backoff;
pub use desk::{Desk, DeskError, SIGNING_KEY_PURPOSE};
pub use hooks::{HookParts, variable};
pub use live::{Health, Live, LiveError, Reload, Target};
pub use messages::MessageParts;
pub use project::{Project, ProjectParts};
pub use room::{Place, Room};
pub use settings::{Doors, Tenant};
pub use sign_in::SignInParts;
pub use snapshot::{RoleContext, Snapshot, SnapshotError, SnapshotOptions};
pub use work::{ProjectTally, Tally, WorkOptions, Workers, actions};

use work::Scout;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use plinth_postgres::seal::Sealer;
use plinth_postgres::{CONTROL_DATABASE, Endpoint, Login, Registry};
use plinth_wire::{Budget, ConnectConfig, PoolOptions};
use plinth_work::Store;
use tokio::sync::Notify;

use crate::config::Config;
use crate::gateway::{Access, ProjectKeys, Rules, serving_threads};
use crate::pgrst;

/// The channel on which the platform's event triggers announce changes of the schema.
const CHANNEL: &str = "pgrst";

/// How often idle projects are looked for, at most.
const SWEEP_INTERVAL: Duration = Duration::from_secs(15);

/// How often the registry is read even if it announced nothing.
const REGISTRY_POLL: Duration = Duration::from_secs(30);

/// How often projects are looked at that had no messages before: another instance may have taken their first ones, and be
/// gone.
const MESSAGES_INTERVAL: Duration = Duration::from_secs(600);

/// The same after a look that did not succeed.
const MESSAGES_RETRY: Duration = Duration::from_secs(2);

/// How long the answer to "are you ready" holds, and how long it may take.
const PROBE_LIFE: Duration = Duration::from_millis(250);
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers that take longer than the request itself may are given up.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// Prepared statements kept per connection.
const CACHED_STATEMENTS: usize = 256;

/// Callers that wait for one project's connections; one more is answered 504 at once.
const MAX_WAITING: usize = 4096;

/// All projects of an instance.
pub struct Projects {
    map: RwLock<BTreeMap<String, Entry>>,
    factory: Factory,
    default_name: Option<String>,
    idle_timeout: Duration,
    /// Their work, when this instance looks after it.
    workers: OnceLock<Arc<Workers>>,
    /// Says that there are projects that were not looked at for messages.
    appeared: Notify,
    /// Whether the platform schema of every project was brought up to date.
    migrated: AtomicBool,
    /// When the database was last asked whether it answers, and whether it did.
    probed: tokio::sync::Mutex<Option<(Instant, bool)>>,
}

struct Entry {
    /// What it was made from; another one takes its place when the registry says something else.
    source: Source,
    project: Arc<Project>,
}

/// The part of a registered project that decides how it is served.
#[derive(Clone, PartialEq)]
struct Source {
    generation: i64,
    keys: plinth_postgres::Keys,
    logins: [Login; 3],
    created_at: std::time::SystemTime,
}

/// What all projects share.
struct Factory {
    endpoint: Endpoint,
    budget: Arc<Budget>,
    room: Arc<Room>,
    config: Config,
    settings: Arc<pgrst::Source>,
    desk: Arc<Desk>,
}

impl Projects {
    /// No projects yet, in the cluster at `endpoint`, whose secrets `sealer` opens. Mails of projects without a mail
    /// server go to `catcher`, if there is one.
    pub fn new(
        endpoint: Endpoint,
        config: Config,
        sealer: Arc<Sealer>,
        catcher: Option<SocketAddr>,
    ) -> Arc<Self> {
        let budget = Budget::new(config.pool.max_connections);
        let room = Room::new(config.pool.max_projects);
        Arc::new(Self {
            map: RwLock::default(),
            default_name: config.default_project.clone(),
            idle_timeout: config.pool.idle_timeout,
            workers: OnceLock::new(),
            factory: Factory {
                endpoint,
                budget,
                room,
                settings: given(&config.rest),
                desk: Desk::new(sealer, catcher),
                config,
            },
            appeared: Notify::new(),
            migrated: AtomicBool::new(false),
            probed: tokio::sync::Mutex::default(),
        })
    }

    /// The project of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Project>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.get(name).map(|entry| entry.project.clone())
    }

    /// The project that answers at the root: the configured one, else the oldest.
    pub fn default_project(&self) -> Option<Arc<Project>> {
        if let Some(name) = &self.default_name {
            return self.get(name);
        }
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let oldest = map.values().min_by_key(|entry| entry.source.created_at);
        oldest.map(|entry| entry.project.clone())
    }

    /// Every project's name, in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Makes the projects those of the registry: new ones appear, dropped ones end at once, and
    /// those whose keys or database changed begin anew.
    pub fn sync(&self, registered: &[plinth_postgres::Project]) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        map.retain(|name, entry| {
            let wanted = registered.iter().find(|project| project.name == *name).map(source);
            let keep = wanted.as_ref() == Some(&entry.source);
            if !keep {
                entry.project.drop_now();
                tracing::info!(project.name = %name, "the project is not served any more");
            }
            keep
        });
        for project in registered {
            let entry = map.entry(project.name.clone()).or_insert_with(|| {
                self.appeared.notify_one();
                tracing::info!(project.name = %project.name, "serving the project");
                Entry { source: source(project), project: self.factory.project(project) }
            });
            entry.project.set_signing_keys(&project.signing_keys);
        }
        drop(map);
        if let Some(workers) = self.workers.get() {
            workers.sync(registered, |name| self.get(name)?.delivered().cloned());
        }
    }

    /// Looks after the projects' work from the next [`Projects::sync`] on.
    pub fn work(&self, options: WorkOptions) {
        self.workers.get_or_init(|| {
            let Factory { endpoint, budget, config, desk, .. } = &self.factory;
            let most = config.pool.max_connections;
            Workers::new(
                endpoint.clone(),
                budget.clone(),
                most,
                options,
                config.work.policy(desk.allows_http_loopback()),
            )
        });
    }

    /// Takes no more jobs and messages, and waits, for a bounded time, until those under way have ended. Requests are
    /// answered meanwhile.
    pub async fn stop_work(&self) {
        let projects = self.all();
        let couriers = projects.iter().map(|project| project.stop_delivering());
        let workers = async {
            if let Some(workers) = self.workers.get() {
                workers.stop().await;
            }
        };
        tokio::join!(workers, futures_util::future::join_all(couriers));
    }

    /// Delivers the messages of projects that have some, whether or not anybody asks for them, for ever; its owner aborts
    /// it. A project without any costs a look at long intervals.
    pub async fn deliver(self: Arc<Self>) {
        loop {
            let mut wait = MESSAGES_INTERVAL;
            for project in self.all() {
                if let Err(error) = project.deliver().await {
                    tracing::debug!(project.name = %project.name(), error = %error, "cannot look for messages yet");
                    wait = MESSAGES_RETRY;
                }
            }
            tokio::select! {
                () = self.appeared.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn all(&self) -> Vec<Arc<Project>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        map.values().map(|entry| entry.project.clone()).collect()
    }

    /// What the projects' work has come to.
    pub async fn work_tallies(&self) -> Vec<Tally> {
        let tallies = self.workers.get().map(|workers| workers.tallies()).unwrap_or_default();
        let now = tallies.iter().map(|tally| tally.now());
        futures_util::future::join_all(now).await
    }

    /// Keeps the projects those of the registry, for ever; its owner aborts it.
    pub async fn follow(self: Arc<Self>, registry: Registry) {
        let mut changes = registry.changes();
        let mut scout = Scout::default();
        loop {
            match registry.list().await {
                Ok(listing) => {
                    self.sync(&listing.projects);
                    scout.know(listing.projects);
                }
                Err(error) => {
                    tracing::warn!(error = %error, "cannot read the registry of projects")
                }
            }
            tokio::select! {
                revision = changes.next() => if revision.is_none() { return },
                () = tokio::time::sleep(REGISTRY_POLL) => {}
                () = scout.look(&registry), if self.workers.get().is_some() => {}
            }
        }
    }

    /// Says that every project's platform schema is up to date.
    pub fn set_migrated(&self) {
        self.migrated.store(true, Ordering::Release);
    }

    /// Whether requests can be answered: the platform schema is there and the database answers.
    ///
    /// # Errors
    ///
    /// Why not, for a probe's log.
    pub async fn ready(&self) -> Result<(), &'static str> {
        if !self.migrated.load(Ordering::Acquire) {
            return Err("the platform schema is being brought up to date");
        }
        // Anybody may ask, so all who ask at the same time share one answer and one connection.
        let mut probed = self.probed.lock().await;
        let answers = match *probed {
            Some((at, answers)) if at.elapsed() < PROBE_LIFE => answers,
            _ => {
                let answers = self.probe().await;
                *probed = Some((Instant::now(), answers));
                answers
            }
        };
        if answers { Ok(()) } else { Err("the database does not answer") }
    }

    async fn probe(&self) -> bool {
        let probe = async {
            let connection = self.factory.endpoint.connect(CONTROL_DATABASE).await.ok()?;
            let answer = connection.simple_query("select 1").await.ok();
            connection.close().await;
            answer
        };
        tokio::time::timeout(PROBE_TIMEOUT, probe).await.is_ok_and(|answer| answer.is_some())
    }

    /// Puts unused projects to sleep, for ever; its owner aborts it.
    pub async fn sweep(self: Arc<Self>) {
        let interval = SWEEP_INTERVAL.min(self.idle_timeout / 2).max(Duration::from_millis(100));
        loop {
            tokio::time::sleep(interval).await;
            for project in self.all() {
                if project.rest(self.idle_timeout) {
                    tracing::debug!(project.name = %project.name(), "put an idle project to sleep");
                }
            }
        }
    }

    /// Ends the service of every project.
    pub fn close(&self) {
        self.sync(&[]);
    }
}

fn source(project: &plinth_postgres::Project) -> Source {
    Source {
        generation: project.generation,
        keys: project.keys.clone(),
        logins: [
            project.authenticator_login.clone(),
            project.auth_login.clone(),
            project.owner_login.clone(),
        ],
        created_at: project.created_at,
    }
}

impl Factory {
    fn project(&self, project: &plinth_postgres::Project) -> Arc<Project> {
        let login = &project.authenticator_login;
        let keys = ProjectKeys {
            jwt_secret: project.keys.jwt_secret.expose(),
            anon: project.keys.anon_key.expose(),
            service_role: project.keys.service_role_key.expose(),
            publishable: project.keys.publishable_key.expose(),
            secret: project.keys.secret_key.expose(),
        };
        let rules = &self.config.keys;
        let audience = rules.jwt_audience.clone();
        let access = Arc::new(Access::project(&keys, audience, rules.require_apikey));
        Project::new(ProjectParts {
            name: Arc::from(project.name.as_str()),
            rules: Arc::new(Rules::project(access.clone())),
            target: Target {
                endpoint: self.endpoint.clone(),
                login: login.clone(),
                database: project.database.clone(),
                channel: Some(CHANNEL.to_owned()),
            },
            connect: connect_config(&self.endpoint, login, &project.database),
            budget: self.budget.clone(),
            pool: pool_options(&self.config, most_of_one(self.config.pool.max_connections)),
            snapshot: SnapshotOptions {
                tenant: Tenant::Project {
                    access,
                    configured_by: vec!["authenticator".to_owned(), login.role.clone()],
                },
                source: self.settings.clone(),
                always_search_path: false,
            },
            room: self.room.clone(),
            sign_in: Some(self.sign_in(project)),
            hooks: Some(self.hooks(project)),
            messages: Some(self.messages(project)),
        })
    }

    fn messages(&self, project: &plinth_postgres::Project) -> MessageParts {
        let quarter = self.config.pool.max_connections.div_ceil(4);
        let max_connections = quarter.min(messages::MAX_CONNECTIONS);
        MessageParts {
            name: Arc::from(project.name.as_str()),
            connect: Store::session(self.endpoint.wire(
                &project.owner_login,
                &project.database,
                "plinth messages",
            )),
            pool: pool_options(&self.config, max_connections),
            owner: Arc::from(project.owner_role.as_str()),
            secret: project.keys.jwt_secret.clone(),
            policy: self.config.work.policy(self.desk.allows_http_loopback()),
        }
    }

    fn hooks(&self, project: &plinth_postgres::Project) -> HookParts {
        let quarter = self.config.pool.max_connections.div_ceil(4);
        let max_connections = quarter.min(hooks::MAX_CONNECTIONS);
        HookParts {
            connect: Store::session(self.endpoint.wire(
                &project.owner_login,
                &project.database,
                "plinth hooks",
            )),
            pool: pool_options(&self.config, max_connections),
            owner: Arc::from(project.owner_role.as_str()),
        }
    }

    fn sign_in(&self, project: &plinth_postgres::Project) -> SignInParts {
        let half = self.config.pool.max_connections.div_ceil(2);
        let max_connections = half.min(sign_in::MAX_CONNECTIONS);
        SignInParts {
            connect: self.endpoint.wire(&project.auth_login, &project.database, "plinth auth"),
            pool: pool_options(&self.config, max_connections),
            name: Arc::from(project.name.as_str()),
            config: self.config.auth.of(&project.name).clone(),
            desk: self.desk.clone(),
            jwt_secret: project.keys.jwt_secret.clone(),
            external_url: format!("{}/p/{}/auth/v1", self.config.public_url(), project.name),
        }
    }
}

/// The data API's part of the configuration under PostgREST's names, below what databases set.
fn given(rest: &plinth_rest::Config) -> Arc<pgrst::Source> {
    let mut flags = BTreeMap::from([
        ("db-schemas", rest.schemas.join(",")),
        ("db-extra-search-path", rest.extra_search_path.join(",")),
        ("db-aggregates-enabled", rest.aggregates.to_string()),
        ("db-plan-enabled", rest.plan.to_string()),
        ("db-tx-end", rest.tx_end.as_str().to_owned()),
        ("openapi-mode", rest.openapi_mode.as_str().to_owned()),
    ]);
    if let Some(rows) = rest.max_rows {
        flags.insert("db-max-rows", rows.to_string());
    }
    let flags = flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Arc::new(pgrst::Source::of_flags(flags))
}

/// How many connections the requests of one project may have: a quarter is left to the others, however long its own take.
fn most_of_one(max_connections: usize) -> usize {
    max_connections - max_connections / 4
}

/// The bounds of a pool of so many connections.
pub fn pool_options(config: &Config, max_connections: usize) -> PoolOptions {
    PoolOptions {
        max_connections,
        shards: shards(max_connections),
        acquire_timeout: config.pool.acquire_timeout,
        max_waiting: MAX_WAITING,
        answer_timeout: config.http.request_timeout + ANSWER_MARGIN,
        cached_statements: CACHED_STATEMENTS,
        ..PoolOptions::default()
    }
}

/// With few connections, threads share them all, so that none waits for another's.
fn shards(max_connections: usize) -> usize {
    serving_threads().min(max_connections / 4).max(1)
}

/// Where and as whom requests connect.
pub fn connect_config(endpoint: &Endpoint, login: &Login, database: &str) -> ConnectConfig {
    endpoint.wire(login, database, "plinth api")
}
