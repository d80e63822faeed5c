//! `plinth-bench-awa default|tuned JOBS`: has so many jobs done by a handler that does nothing, and prints how many were and in
//! how many seconds. The jobs are there beforehand. DATABASE_URL names an empty database.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use awa::{Client, InsertOpts, JobArgs, JobResult, QueueConfig, insert_many, migrations};
use serde::{Deserialize, Serialize};

/// Longest measurement: what is done by then counts.
const LIMIT: Duration = Duration::from_secs(20);

/// Jobs that one call adds.
const CHUNK: u64 = 1000;

#[derive(Serialize, Deserialize, JobArgs)]
struct Noop {
    id: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let tuned = arguments.next().as_deref() == Some("tuned");
    let jobs: u64 = arguments.next().ok_or("no number of jobs")?.parse()?;
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(20);
    let pool = options.connect(&std::env::var("DATABASE_URL")?).await?;
    migrations::run(&pool).await?;
    for at in (0..jobs).step_by(CHUNK as usize) {
        let params = |id| awa::model::insert::params_with(&Noop { id }, InsertOpts::default());
        let chunk: Result<Vec<_>, _> = (at..jobs.min(at + CHUNK)).map(params).collect();
        insert_many(&pool, &chunk?).await?;
    }
    let usual = QueueConfig::default();
    let config = match tuned {
        true => QueueConfig { max_workers: 256, claim_batch_size: 512, ..usual },
        false => usual,
    };
    let done = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&done);
    let client = Client::builder(pool.clone())
        .queue("default", config)
        .register::<Noop, _, _>(move |_noop, _context| {
            let counter = Arc::clone(&counter);
            async move {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(JobResult::Completed)
            }
        })
        .build()?;
    let start = Instant::now();
    client.start().await?;
    while done.load(Ordering::Relaxed) < jobs && start.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (done, seconds) = (done.load(Ordering::Relaxed), start.elapsed().as_secs_f64());
    println!("{}", serde_json::json!({ "jobs": done, "seconds": seconds }));
    client.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
