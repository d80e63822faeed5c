//! Looks after the work of one project: now and then while nothing happens, with an engine while something does.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use plinth_replication::{Pace, PaceOptions, Serve};
use plinth_wire::{ConnectConfig, Pool, WireError};
use plinth_work::action::Actions;
use plinth_work::engine::{Engine, Options};
use plinth_work::schedule::Ticker;
use plinth_work::{Rules, Store};
use tokio::sync::{Notify, watch};
use tokio::time::sleep_until;

use super::WorkOptions;
use super::stream::Stream;
use super::tally::ProjectTally;
use crate::runtime::{Backoff, variable};

/// The first wait after an engine had nothing to do any more.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// How much longer each wait is than the one before.
const GROWTH: f64 = 1.5;

/// Waits from this length on are not worth a connection that is kept.
const WORTH_CLOSING: Duration = Duration::from_secs(5);

/// For shorter ones the connection of the last look is: that which was used so short a time ago.
const JUST_USED: Duration = Duration::from_millis(500);

/// An engine that found nothing for so long is stopped.
const ENGINE_IDLE: Duration = Duration::from_secs(20);

/// How often an engine looks by itself.
const ENGINE_POLL: Duration = Duration::from_secs(2);

/// How often schedules are looked for that are new or changed.
const TICKER_POLL: Duration = Duration::from_secs(5);

/// Due jobs are not looked for before their time, nor more often than this.
const SHORTEST: Duration = Duration::from_millis(50);

/// What it takes to look after a project's work.
pub(super) struct Driver {
    pub(super) name: Arc<str>,
    pub(super) store: Arc<Store>,
    pub(super) pool: Arc<Pool>,
    /// As whom changes are streamed.
    pub(super) changes: ConnectConfig,
    /// What its jobs can do.
    pub(super) actions: Actions,
    /// Told of webhooks that made jobs.
    pub(super) delivered: Arc<Notify>,
    pub(super) options: WorkOptions,
    pub(super) tally: Arc<ProjectTally>,
    /// What was said to be missing.
    pub(super) missing: Mutex<BTreeSet<String>>,
}

/// What ended a time of waiting.
enum Woken {
    Stop,
    Rules,
    Jobs,
    Time,
}

/// Why an engine ended.
enum Ended {
    Stop,
    Idle,
}

impl Driver {
    /// Until it is told to stop.
    pub(super) async fn run(
        self,
        mut revisions: watch::Receiver<i64>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut backoff = Backoff::default();
        loop {
            match self.look_after(&mut revisions, &mut stop).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(project.name = %self.name, error = %error, "cannot look after the project's work yet");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(backoff.next_delay()) => {}
                () = stopped(&mut stop) => break,
            }
        }
        self.pool.close();
    }

    /// Fails when the database is not there while no engine runs; an engine waits for it.
    async fn look_after(
        &self,
        revisions: &mut watch::Receiver<i64>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), WireError> {
        let mut rules = self.rules(revisions).await?;
        let mut wait = FIRST_WAIT;
        loop {
            let ids: Vec<i32> = rules.rules.iter().map(|rule| rule.id).collect();
            let glance = self.store.glance(&ids).await?;
            if glance.revision != rules.revision {
                rules = self.rules(revisions).await?;
                continue;
            }
            if glance.ready || glance.due_in == Some(Duration::ZERO) {
                self.tally.set_awake(true);
                let ended = self.engine(rules, revisions, stop).await;
                self.tally.set_awake(false);
                match ended {
                    Ended::Stop => return Ok(()),
                    Ended::Idle => {
                        self.tally.count_once().await;
                        rules = self.rules(revisions).await?;
                        wait = FIRST_WAIT;
                        continue;
                    }
                }
            }
            let next = glance.due_in.map_or(wait, |due_in| wait.min(due_in)).max(SHORTEST);
            let unused = if next >= WORTH_CLOSING { Duration::ZERO } else { JUST_USED };
            self.pool.close_idle(unused);
            match self.woken(revisions, stop, next).await {
                Woken::Jobs => {}
                Woken::Stop => return Ok(()),
                Woken::Rules => rules = self.rules(revisions).await?,
                Woken::Time => wait = wait.mul_f64(GROWTH).min(self.options.idlest),
            }
        }
    }

    /// Waits so long, or until something else happens.
    async fn woken(
        &self,
        revisions: &mut watch::Receiver<i64>,
        stop: &mut watch::Receiver<bool>,
        wait: Duration,
    ) -> Woken {
        tokio::select! {
            () = stopped(stop) => Woken::Stop,
            changed = revisions.changed() => if changed.is_ok() { Woken::Rules } else { Woken::Stop },
            () = self.delivered.notified() => Woken::Jobs,
            () = tokio::time::sleep(wait) => Woken::Time,
        }
    }

    async fn rules(&self, revisions: &mut watch::Receiver<i64>) -> Result<Rules, WireError> {
        revisions.borrow_and_update();
        let rules = self.store.rules().await?;
        self.tally.set_bindings(rules.rules.len());
        self.warn_of_missing(&rules);
        Ok(rules)
    }

    /// Says once of each variable that jobs will ask for it in vain.
    fn warn_of_missing(&self, rules: &Rules) {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in &rules.rules {
            for name in rule.variables().into_iter().filter(|name| variable(name).is_none()) {
                if missing.insert(name.to_owned()) {
                    tracing::warn!(
                        project.name = %self.name,
                        binding.name = %rule.name,
                        variable = name,
                        "a variable that the manifest names is not set; jobs that need it fail"
                    );
                }
            }
        }
    }

    /// Runs an engine until it has found nothing for a while.
    async fn engine(
        &self,
        rules: Rules,
        revisions: &mut watch::Receiver<i64>,
        stop: &mut watch::Receiver<bool>,
    ) -> Ended {
        tracing::debug!(project.name = %self.name, "there is work");
        let options = Options {
            name: format!("process {}", std::process::id()),
            poll: ENGINE_POLL,
            counters: self.tally.counters().clone(),
            ..Options::default()
        };
        let mut revision = rules.revision;
        let engine = Engine::start(
            self.name.clone(),
            self.store.clone(),
            self.actions.clone(),
            rules.rules,
            options,
        );
        let ticked = Arc::new(Notify::new());
        let tell = ticked.clone();
        let queued = Arc::new(move || tell.notify_one());
        let ticker = Ticker::start(self.name.clone(), self.store.clone(), queued, TICKER_POLL);
        let mut watched = Watched::new(&self.tally);
        let mut stream = Stream::new(self.changes.clone());
        let ended = loop {
            tokio::select! {
                () = stopped(stop) => break Ended::Stop,
                changed = revisions.changed() => match changed {
                    Ok(()) => revision = self.renew(&engine, revisions).await.unwrap_or(revision),
                    Err(_gone) => break Ended::Stop,
                },
                () = ticked.notified() => engine.wake(),
                () = self.delivered.notified() => engine.wake(),
                live = stream.next() => {
                    if let Some(live) = live {
                        watched.pace.set_live(live);
                    }
                    engine.wake();
                }
                () = sleep_until(watched.next_look().into()) => {
                    let found = watched.look(&engine);
                    engine.wake();
                    let seen = engine.revision();
                    if seen != 0 && seen != revision {
                        revision = self.renew(&engine, revisions).await.unwrap_or(revision);
                    }
                    stream.serve(watched.pace.serve(Instant::now()) == Serve::Stream);
                    if !found && watched.is_idle(&engine) && !stream.is_on() {
                        break Ended::Idle;
                    }
                }
            }
        };
        stream.close().await;
        ticker.stop().await;
        engine.stop().await;
        ended
    }

    /// Gives the engine the rules of this moment; their revision.
    async fn renew(&self, engine: &Engine, revisions: &mut watch::Receiver<i64>) -> Option<i64> {
        match self.rules(revisions).await {
            Ok(rules) => {
                tracing::debug!(project.name = %self.name, "the rules changed");
                engine.set_rules(rules.rules);
                Some(rules.revision)
            }
            Err(error) => {
                tracing::warn!(project.name = %self.name, error = %error, "cannot read the changed rules yet");
                None
            }
        }
    }
}

/// How busy an engine is.
struct Watched<'a> {
    pace: Pace,
    tally: &'a ProjectTally,
    claims: u64,
    found_at: Instant,
}

impl<'a> Watched<'a> {
    fn new(tally: &'a ProjectTally) -> Self {
        let now = Instant::now();
        let pace = Pace::new(PaceOptions::default(), now);
        Self { pace, tally, claims: claims(tally), found_at: now }
    }

    fn next_look(&self) -> Instant {
        // A look is taken by the engine, and what it found is seen at the next one.
        self.pace.next_look().max(Instant::now() + SHORTEST)
    }

    /// Whether jobs were taken since the last look.
    fn look(&mut self, engine: &Engine) -> bool {
        let (now, claims) = (Instant::now(), claims(self.tally));
        let found = claims - self.claims;
        self.claims = claims;
        self.pace.looked(now, usize::try_from(found).unwrap_or(usize::MAX));
        if found > 0 || engine.running() > 0 {
            self.found_at = now;
        }
        found > 0
    }

    fn is_idle(&self, engine: &Engine) -> bool {
        engine.running() == 0 && self.found_at.elapsed() >= ENGINE_IDLE
    }
}

fn claims(tally: &ProjectTally) -> u64 {
    tally.counters().claims.load(Ordering::Relaxed)
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Whoever can tell it to stop is gone: that is a word too.
    let _ = stop.wait_for(|stop| *stop).await;
}
