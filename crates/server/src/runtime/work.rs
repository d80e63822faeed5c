//! The work of projects: one task for each project that has bindings, and an engine while there is something to do.

mod driver;
mod kit;
mod opener;
mod scout;
mod stream;
mod tally;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use plinth_auth::outgoing::OutgoingPolicy;
use plinth_postgres::{Endpoint, Project};
use plinth_wire::{Budget, Pool, PoolOptions};
use plinth_work::{Counters, Store};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::driver::Driver;
use self::kit::Kit;
pub use self::kit::actions;
pub(super) use self::scout::Scout;
pub use self::tally::{ProjectTally, Tally};

/// Most connections of one project's work.
const MAX_CONNECTIONS: usize = 8;

/// How long all engines together may take to stop: their running jobs have 10 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// How an instance looks after work.
#[derive(Debug, Clone, Copy)]
pub struct WorkOptions {
    /// The longest time between two looks at a project in which nothing happens.
    pub idlest: Duration,
}

/// The work of all projects of an instance. Projects without bindings cost nothing.
pub struct Workers {
    endpoint: Endpoint,
    budget: Arc<Budget>,
    max_connections: usize,
    options: WorkOptions,
    kit: Kit,
    projects: Mutex<BTreeMap<String, Worker>>,
    /// What was counted for each registered project that had work, which goes on when it has some again.
    counters: Mutex<BTreeMap<String, Arc<Counters>>>,
    /// What was told to stop.
    leaving: Mutex<Vec<JoinHandle<()>>>,
    /// Whether nothing begins any more.
    is_stopping: AtomicBool,
}

/// Who looks after one project.
struct Worker {
    source: Source,
    revision: watch::Sender<i64>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    tally: Arc<ProjectTally>,
}

/// What a worker was made for; another one takes its place when the registry says something else.
#[derive(PartialEq)]
struct Source {
    generation: i64,
    created_at: SystemTime,
    keys: plinth_postgres::Keys,
    login: plinth_postgres::Login,
    sealing_key: Option<plinth_postgres::Secret>,
}

impl Workers {
    /// Nobody's work yet, in the cluster at `endpoint`. Requests go where `policy` allows.
    pub fn new(
        endpoint: Endpoint,
        budget: Arc<Budget>,
        max_connections: usize,
        options: WorkOptions,
        policy: OutgoingPolicy,
    ) -> Arc<Self> {
        let max_connections = max_connections.div_ceil(4).clamp(1, MAX_CONNECTIONS);
        Arc::new(Self {
            endpoint,
            budget,
            max_connections,
            options,
            kit: Kit::new(policy),
            projects: Mutex::default(),
            counters: Mutex::default(),
            leaving: Mutex::default(),
            is_stopping: AtomicBool::new(false),
        })
    }

    /// Looks after the registered projects that have work, and after no other. `delivered` has what is told, for a project,
    /// of webhooks that made jobs.
    pub fn sync(&self, registered: &[Project], delivered: impl Fn(&str) -> Option<Arc<Notify>>) {
        let mut workers = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        let registered = if self.is_stopping.load(Ordering::Acquire) { &[] } else { registered };
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|task| !task.is_finished());
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|name, _| registered.iter().any(|project| project.name == *name));
        drop(counters);
        let all = std::mem::take(&mut *workers);
        for (name, worker) in all {
            let wanted = registered.iter().find(|project| project.name == name);
            if wanted.is_some_and(|project| project.has_work && source(project) == worker.source) {
                workers.insert(name, worker);
            } else {
                worker.stop.send_replace(true);
                leaving.push(worker.task);
            }
        }
        for project in registered.iter().filter(|project| project.has_work) {
            let revision = project.work_revision;
            let worker = workers.entry(project.name.clone()).or_insert_with(|| {
                self.worker(project, delivered(&project.name).unwrap_or_default())
            });
            worker
                .revision
                .send_if_modified(|known| std::mem::replace(known, revision) != revision);
        }
    }

    /// Stops all engines in good order: jobs that run may end, the others are given back. None starts again.
    pub async fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.sync(&[], |_| None);
        let tasks =
            std::mem::take(&mut *self.leaving.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async {
            for task in tasks {
                let _ended = task.await;
            }
        };
        if timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!("some jobs did not end in time; their leases will run out");
        }
    }

    /// What every project's work has come to, for metrics.
    pub fn tallies(&self) -> Vec<Arc<ProjectTally>> {
        let workers = self.projects.lock().unwrap_or_else(PoisonError::into_inner);
        workers.values().map(|worker| worker.tally.clone()).collect()
    }

    fn worker(&self, project: &Project, delivered: Arc<Notify>) -> Worker {
        let connect = self.endpoint.wire(&project.owner_login, &project.database, "plinth work");
        let options =
            PoolOptions { max_connections: self.max_connections, ..PoolOptions::default() };
        let pool = Arc::new(Pool::new(Store::session(connect), self.budget.clone(), options));
        let store = Arc::new(Store::new(pool.clone(), project.owner_role.as_str()));
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let counters = counters.entry(project.name.clone()).or_default().clone();
        let tally = Arc::new(ProjectTally::new(project.name.as_str(), store.clone(), counters));
        let (revision, revisions) = watch::channel(project.work_revision);
        let (stop, stopping) = watch::channel(false);
        let driver = Driver {
            name: Arc::from(project.name.as_str()),
            store,
            pool,
            changes: self.endpoint.wire(&self.endpoint.admin, &project.database, "plinth changes"),
            delivered,
            actions: self.kit.actions(project),
            options: self.options,
            tally: tally.clone(),
            missing: Mutex::default(),
        };
        let task = tokio::spawn(driver.run(revisions, stopping));
        Worker { source: source(project), revision, stop, task, tally }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let workers = self.projects.get_mut().unwrap_or_else(PoisonError::into_inner);
        workers.values().for_each(|worker| worker.task.abort());
    }
}

fn source(project: &Project) -> Source {
    Source {
        generation: project.generation,
        created_at: project.created_at,
        keys: project.keys.clone(),
        login: project.owner_login.clone(),
        sealing_key: project.sealing_key.clone(),
    }
}
