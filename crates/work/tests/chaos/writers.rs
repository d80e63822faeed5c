//! Users of the table, who know nothing of jobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plinth_postgres::{Connection, Endpoint, Login};
use tokio::task::JoinSet;

use crate::bindings::KINDS;
use crate::chance::Chance;
use crate::server::Server;

/// How many there are.
const WRITERS: u64 = 3;

pub(crate) struct Writers {
    stopped: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Writers {
    pub(crate) fn start(server: &Server, seed: u64) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..WRITERS {
            let (endpoint, login) = server.way();
            let database = server.project.database.clone();
            let chance = Chance::of(seed, &[number, 1]);
            tasks.spawn(write(endpoint, login, database, chance, Arc::clone(&stopped)));
        }
        Self { stopped, tasks }
    }

    pub(crate) async fn stop(mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
    }
}

async fn write(
    endpoint: Endpoint,
    login: Login,
    database: String,
    mut chance: Chance,
    stopped: Arc<AtomicBool>,
) {
    while !stopped.load(Ordering::Relaxed) {
        let Ok(connection) = endpoint.connect_as(&login, &database).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        while !stopped.load(Ordering::Relaxed) && write_once(&connection, &mut chance).await {
            tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
        }
        connection.close().await;
    }
}

/// One transaction; false when the connection is gone.
async fn write_once(connection: &Connection, chance: &mut Chance) -> bool {
    let row = "(select coalesce(max(id), 0) from task)";
    let some = format!("id between {row} - {} and {row}", chance.below(120));
    let one = format!("id = {row} - {}", chance.below(200));
    let sql = match chance.below(20) {
        0..=10 => insert(chance),
        11 => format!("begin; {}; rollback", insert(chance)),
        12..=13 => format!("update task set status = 'cancelled' where {one}"),
        14 => format!("delete from task where {one}"),
        15..=16 => {
            format!(
                "update task set status = 'pending' where {one} and status in ('done', 'failed', 'cancelled')"
            )
        }
        17 => format!("update task set status = 'pending' where {one}"),
        _ => format!("update task set note = note + 1 where {some}"),
    };
    match connection.batch_execute(&sql).await {
        Ok(()) => true,
        // A deadlock with another writer is theirs to bear; what else can go wrong is the connection.
        Err(error) => error.code().is_some_and(|code| code.code() == "40P01"),
    }
}

fn insert(chance: &mut Chance) -> String {
    let (kind, most) = (chance.one(&KINDS), chance.below(12) + 1);
    format!(
        "insert into task (kind, tenant)
         select '{kind}', 't' || (random() * 5)::integer from generate_series(1, {most}) as number"
    )
}
