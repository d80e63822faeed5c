//! Log-ins beside a measurement, offered at a fixed rate whether or not they are answered.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use tokio::runtime;
use tokio::task::JoinSet;

use crate::load::Client;
use crate::report::Sample;

/// Log-ins that are offered.
pub(crate) struct Flood {
    pub(crate) requests: Arc<[Vec<u8>]>,
    pub(crate) per_second: u32,
}

/// What became of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flooded {
    pub(crate) offered: u64,
    /// Answered 200.
    pub(crate) accepted: u64,
    pub(crate) elapsed: Duration,
}

#[derive(Default)]
struct Counts {
    offered: AtomicU64,
    accepted: AtomicU64,
}

/// What the log-ins have in common.
struct Shore {
    address: String,
    requests: Arc<[Vec<u8>]>,
    idle: Mutex<Vec<Client>>,
    counts: Counts,
}

impl Flood {
    /// Measures while the log-ins are offered on connections of their own. Blocks.
    pub(crate) fn beside(
        &self,
        address: &str,
        measure: impl FnOnce() -> Result<Sample>,
    ) -> Result<Sample> {
        let (ended, start) = (AtomicBool::new(false), Instant::now());
        let shore = Arc::new(Shore {
            address: address.to_owned(),
            requests: self.requests.clone(),
            idle: Mutex::default(),
            counts: Counts::default(),
        });
        let pause = Duration::from_secs(1) / self.per_second.max(1);
        std::thread::scope(|scope| {
            let offering = scope.spawn(|| {
                let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(shore.offer(pause, &ended))
            });
            let sample = measure();
            ended.store(true, Ordering::Relaxed);
            offering.join().map_err(|_| anyhow!("the flood panicked"))??;
            let flooded = Flooded {
                offered: shore.counts.offered.load(Ordering::Relaxed),
                accepted: shore.counts.accepted.load(Ordering::Relaxed),
                elapsed: start.elapsed(),
            };
            Ok(sample?.beside(flooded))
        })
    }
}

impl Shore {
    async fn offer(self: &Arc<Self>, pause: Duration, ended: &AtomicBool) -> Result<()> {
        let mut clock = tokio::time::interval(pause);
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        while !ended.load(Ordering::Relaxed) {
            clock.tick().await;
            let number = self.counts.offered.fetch_add(1, Ordering::Relaxed);
            let shore = self.clone();
            tasks.spawn(async move { shore.log_in(number).await });
            while let Some(done) = tasks.try_join_next() {
                done??;
            }
        }
        tasks.shutdown().await;
        Ok(())
    }

    async fn log_in(&self, number: u64) -> Result<()> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut client = match idle {
            Some(client) => client,
            None => Client::dial(&self.address).await?,
        };
        let place = usize::try_from(number)? % self.requests.len();
        match client.send(&self.requests[place]).await? {
            200 => drop(self.counts.accepted.fetch_add(1, Ordering::Relaxed)),
            // There is no room for it.
            429 | 503 | 504 => {}
            status => {
                bail!("a log-in had status {status}: {}", String::from_utf8_lossy(client.body()))
            }
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(())
    }
}
