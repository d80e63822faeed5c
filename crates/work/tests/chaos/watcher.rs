//! Looks at the tables all the time: what must hold at every moment.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plinth_postgres::{Connection, Endpoint};
use tokio::task::JoinHandle;

use crate::bindings::SEATS;
use crate::server::Server;

const ALWAYS: &str = include_str!("always.sql");

pub(crate) struct Watcher {
    stopped: Arc<AtomicBool>,
    task: JoinHandle<Seen>,
}

/// What it saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) looks: u64,
    pub(crate) broken: BTreeSet<String>,
}

impl Watcher {
    pub(crate) fn start(server: &Server) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (endpoint, _) = server.way();
        let database = server.project.database.clone();
        let task = tokio::spawn(watch(endpoint, database, Arc::clone(&stopped)));
        Self { stopped, task }
    }

    pub(crate) async fn stop(self) -> Seen {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn watch(endpoint: Endpoint, database: String, stopped: Arc<AtomicBool>) -> Seen {
    let mut seen = Seen::default();
    while !stopped.load(Ordering::Relaxed) {
        if let Ok(connection) = endpoint.connect(&database).await {
            while !stopped.load(Ordering::Relaxed) && look(&connection, &mut seen).await {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            connection.close().await;
        } else {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    seen
}

async fn look(connection: &Connection, seen: &mut Seen) -> bool {
    match connection.query(ALWAYS, &[&i64::from(SEATS)]).await {
        Ok(rows) => {
            seen.looks += 1;
            seen.broken.extend(rows.iter().map(|row| row.get::<_, String>(0)).take(20));
            true
        }
        Err(error)
            if error.as_db_error().is_some_and(|error| !error.code().code().starts_with("57")) =>
        {
            panic!("the watcher's look: {error:?}")
        }
        Err(_gone) => false,
    }
}
