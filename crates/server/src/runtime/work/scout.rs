//! Finds projects that got work without a manifest: `select plinth.schedule(…)` tells nobody.
//!
//! The cluster counts what is written to each of its databases, and one query on the control database reads all of these
//! counts. A project is opened only when its count has moved, and ever more rarely while that is in vain.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use plinth_postgres::{Project, Registry};
use plinth_work::inspect;
use tokio::time::{sleep_until, timeout};

/// How often the counts are read.
const ROUND: Duration = Duration::from_secs(4);

/// The longest time between two looks at a project that is written to. The counts themselves may be ten seconds late.
const LONGEST: Duration = Duration::from_secs(40);

/// How long a look at one project may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks for work in projects that are not known to have any.
#[derive(Default)]
pub(in crate::runtime) struct Scout {
    projects: Vec<Project>,
    seen: BTreeMap<String, Seen>,
    next_round: Option<Instant>,
}

/// A project without work at the last look.
struct Seen {
    /// What was counted before the look.
    writes: String,
    next: Instant,
    pause: Duration,
}

impl Scout {
    /// Looks at these projects from now on, those that have work left out.
    pub(in crate::runtime) fn know(&mut self, registered: Vec<Project>) {
        self.projects = registered;
        self.projects.retain(|project| !project.has_work);
        self.seen.retain(|name, _| self.projects.iter().any(|project| project.name == *name));
    }

    /// Looks for ever. Nothing is lost when the future is dropped.
    pub(in crate::runtime) async fn look(&mut self, registry: &Registry) {
        loop {
            let next = *self.next_round.get_or_insert_with(Instant::now);
            sleep_until(next.into()).await;
            if !self.projects.is_empty() {
                self.round(registry).await;
            }
            self.next_round = Some(Instant::now() + ROUND);
        }
    }

    async fn round(&mut self, registry: &Registry) {
        let counted = match registry.writes().await {
            Ok(counted) => counted,
            Err(error) => {
                tracing::debug!(error = %error, "cannot read what was written to databases");
                return;
            }
        };
        for at in 0..self.projects.len() {
            let project = &self.projects[at];
            let Some(writes) = counted.get(&project.database) else { continue };
            if !self.is_due(&project.name, writes) {
                continue;
            }
            let looked = timeout(PATIENCE, look_at(registry, project)).await;
            let writes = match looked.unwrap_or_else(|late| Err(late.into())) {
                Ok(()) => writes.clone(),
                Err(error) => {
                    tracing::debug!(project.name = %project.name, error = %error, "cannot look for work yet");
                    // Other than every count, so that it is looked at again.
                    String::new()
                }
            };
            self.looked(at, writes);
        }
        self.rest(&counted);
    }

    /// Whether something was written since the last look, and that was long enough ago.
    fn is_due(&self, name: &str, writes: &str) -> bool {
        let seen = self.seen.get(name);
        seen.is_none_or(|seen| seen.writes != writes && seen.next <= Instant::now())
    }

    fn looked(&mut self, at: usize, writes: String) {
        let name = &self.projects[at].name;
        let pause = self.seen.get(name).map_or(ROUND, |seen| (seen.pause * 2).min(LONGEST));
        let next = Instant::now() + pause;
        self.seen.insert(name.clone(), Seen { writes, next, pause });
    }

    /// A project that is not written to for a while is looked at soon when it is again.
    fn rest(&mut self, counted: &HashMap<String, String>) {
        let now = Instant::now();
        for project in &self.projects {
            if let Some(seen) = self.seen.get_mut(&project.name)
                && seen.next <= now
                && counted.get(&project.database) == Some(&seen.writes)
            {
                seen.pause = ROUND / 2;
            }
        }
    }
}

/// Has every instance hear of the project's work if there is any.
async fn look_at(registry: &Registry, project: &Project) -> anyhow::Result<()> {
    let endpoint = registry.cluster().endpoint();
    let connection = endpoint.connect_as(&project.owner_login, &project.database).await?;
    let found = inspect::binding_any(&connection).await;
    connection.close().await;
    if found? {
        tracing::info!(project.name = %project.name, "found work in the project");
        registry.set_work(&project.name, None, true).await?;
    }
    Ok(())
}
