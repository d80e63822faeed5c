//! What the trigger costs whoever inserts a row.

use std::time::{Duration, Instant};

use anyhow::Result;
use plinth_postgres::Connection;

use super::place::{Limit, Place, create_table, create_usual_table};

/// Turns that each of the two tables has.
const TURNS: usize = 20;

/// What rows are inserted into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// Three columns and a key.
    Small,
    /// Like those of applications: three indexes more and a foreign key.
    Usual,
}

impl Table {
    async fn create(self, owner: &Connection, name: &str) -> Result<String> {
        match self {
            Self::Small => {
                create_table(owner, name).await?;
                Ok(format!("insert into {name} (status) values ('pending')"))
            }
            Self::Usual => {
                create_usual_table(owner, name).await?;
                let agent = owner
                    .query_one(&format!("select id::text from {name}_agent limit 1"), &[])
                    .await?;
                let agent: String = agent.get(0);
                Ok(format!("insert into {name} (agent_id) values ('{agent}')"))
            }
        }
    }
}

/// Inserts per second, and the processor time of PostgreSQL for each, without the trigger and with it.
pub(super) struct TriggerCost {
    pub(super) table: Table,
    pub(super) clients: usize,
    pub(super) rate: [f64; 2],
    pub(super) micros: [f64; 2],
}

impl TriggerCost {
    /// The part of the inserts per second that the trigger takes away.
    pub(super) fn lost(&self) -> f64 {
        1.0 - self.rate[1] / self.rate[0]
    }
}

/// Inserts rows one by one, with a transaction each, in turns into a table with the trigger and one without.
pub(super) async fn measure(
    place: &Place,
    table: Table,
    clients: usize,
    time: Duration,
) -> Result<TriggerCost> {
    let owner = place.owner().await?;
    let names = ["plain", "bound"].map(|name| format!("{name}_{table:?}_{clients}").to_lowercase());
    let inserts_into =
        [table.create(&owner, &names[0]).await?, table.create(&owner, &names[1]).await?];
    owner.close().await;
    place.bind(&names[1], "noop", Limit::None).await?;
    let mut sessions = Vec::new();
    for _ in 0..clients {
        sessions.push(place.owner().await?);
    }
    let turn = time / u32::try_from(2 * TURNS)?;
    let (mut inserts, mut spent, mut cpu) = ([0_u64; 2], [Duration::ZERO; 2], [0_u64; 2]);
    for number in 0..2 * TURNS {
        // Who comes first changes with every pair of turns.
        let which = (number + number / 2) % 2;
        let (before, start) = (place.cpu()?, Instant::now());
        let (rows, sessions_back) = insert(sessions, &inserts_into[which], turn).await?;
        sessions = sessions_back;
        spent[which] += start.elapsed();
        cpu[which] += (place.cpu()? - before).postgres;
        inserts[which] += rows;
    }
    for session in sessions {
        session.close().await;
    }
    let each = |which: usize| inserts[which] as f64;
    Ok(TriggerCost {
        table,
        clients,
        rate: [0, 1].map(|which| each(which) / spent[which].as_secs_f64()),
        micros: [0, 1].map(|which| cpu[which] as f64 / each(which)),
    })
}

/// How many rows the sessions inserted in a time, and the sessions.
async fn insert(
    sessions: Vec<Connection>,
    sql: &str,
    time: Duration,
) -> Result<(u64, Vec<Connection>)> {
    let mut running = Vec::new();
    for session in sessions {
        let sql = sql.to_owned();
        running.push(tokio::spawn(async move {
            let insert = session.prepare(&sql).await?;
            let (start, mut rows) = (Instant::now(), 0);
            while start.elapsed() < time {
                rows += session.execute(&insert, &[]).await?;
            }
            anyhow::Ok((rows, session))
        }));
    }
    let (mut rows, mut back) = (0, Vec::new());
    for task in running {
        let (inserted, session) = task.await??;
        rows += inserted;
        back.push(session);
    }
    Ok((rows, back))
}
