//! What goes wrong, in an order that the seed repeats.

use std::collections::BTreeMap;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::instance::{self, LEASE};
use crate::patience::Patience;
use crate::proxy::Proxy;
use crate::server::Server;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// An instance is killed, and another one starts.
    Kill,
    /// An instance stands still for longer than its lease.
    Freeze,
    /// An instance stands still for less than its lease.
    Pause,
    RestartFast,
    RestartImmediately,
    /// Some sessions of instances and writers are ended.
    Terminate,
    /// All connections of instances are ended.
    Cut,
    /// Nothing passes between instances and PostgreSQL for a while.
    Hold,
    /// All connections of instances lose everything, and nobody is told.
    Lose,
}

const FAULTS: [Fault; 11] = [
    Fault::Kill,
    Fault::Kill,
    Fault::Freeze,
    Fault::Freeze,
    Fault::Pause,
    Fault::RestartFast,
    Fault::RestartImmediately,
    Fault::Terminate,
    Fault::Cut,
    Fault::Hold,
    Fault::Lose,
];

struct Instance {
    process: Child,
    /// It stands still until then.
    thaws: Option<Instant>,
}

pub(crate) struct Faults<'a> {
    chance: Chance,
    server: &'a Server,
    proxy: &'a Proxy,
    url: &'a str,
    outside: u16,
    instances: Vec<Instance>,
    started: u32,
    happened: BTreeMap<Fault, u32>,
}

impl<'a> Faults<'a> {
    /// Starts the instances.
    pub(crate) fn new(
        chance: Chance,
        server: &'a Server,
        proxy: &'a Proxy,
        url: &'a str,
        outside: u16,
        instances: u64,
    ) -> Self {
        let happened = BTreeMap::new();
        let mut faults = Self {
            chance,
            server,
            proxy,
            url,
            outside,
            instances: Vec::new(),
            started: 0,
            happened,
        };
        for _ in 0..instances {
            let instance = faults.start();
            faults.instances.push(instance);
        }
        faults
    }

    fn start(&mut self) -> Instance {
        self.started += 1;
        let name = format!("chaos-{}", self.started);
        let owner = &self.server.project.owner_role;
        let process = instance::start(&name, owner, self.outside, self.url);
        Instance { process, thaws: None }
    }

    /// Some time without any, and then one.
    pub(crate) async fn next(&mut self) {
        let wait = 100 + self.chance.below(800);
        self.pass(Duration::from_millis(wait)).await;
        let only = std::env::var("PLINTH_CHAOS_ONLY").unwrap_or_default();
        let wanted = |fault: &Fault| only.split(',').any(|name| name == format!("{fault:?}"));
        let faults: Vec<Fault> =
            FAULTS.into_iter().filter(|fault| only.is_empty() || wanted(fault)).collect();
        let fault = *self.chance.one(&faults);
        *self.happened.entry(fault).or_default() += 1;
        match fault {
            Fault::Kill => self.kill(),
            Fault::Freeze => self.freeze(LEASE + Duration::from_millis(1000)),
            Fault::Pause => self.freeze(LEASE / 2),
            Fault::RestartFast => self.server.restart_fast().await,
            Fault::RestartImmediately => self.server.restart_immediately().await,
            Fault::Terminate => self.server.terminate(50).await,
            Fault::Cut => self.proxy.cut(),
            Fault::Hold => {
                self.proxy.hold(true);
                let wait = 200 + self.chance.below(3500);
                self.pass(Duration::from_millis(wait)).await;
                self.proxy.hold(false);
            }
            Fault::Lose => self.proxy.lose(),
        }
    }

    /// Lets time pass, in which those that stand still may go on.
    async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            let now = Instant::now();
            for instance in &mut self.instances {
                if instance.thaws.is_some_and(|at| at <= now) {
                    instance.thaw();
                }
            }
            if now >= until {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20).min(until - now)).await;
        }
    }

    fn some(&mut self) -> usize {
        let count = self.instances.len() as u64;
        usize::try_from(self.chance.below(count)).unwrap()
    }

    fn kill(&mut self) {
        let (at, next) = (self.some(), self.start());
        let mut old = std::mem::replace(&mut self.instances[at], next);
        old.process.kill().unwrap();
        old.process.wait().unwrap();
    }

    fn freeze(&mut self, time: Duration) {
        let at = self.some();
        let instance = &mut self.instances[at];
        instance.signal("-STOP");
        instance.thaws = Some(Instant::now() + time);
    }

    /// Nothing is wrong any more.
    pub(crate) async fn heal(&mut self) {
        self.instances.iter_mut().for_each(Instance::thaw);
        self.pass(Duration::ZERO).await;
    }

    /// How often each happened.
    pub(crate) fn told(&self) -> String {
        let each = self.happened.iter().map(|(fault, times)| format!("{times} {fault:?}"));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Ends the instances in good order.
    pub(crate) async fn stop(mut self) {
        for instance in &mut self.instances {
            drop(instance.process.stdin.take());
        }
        for instance in &mut self.instances {
            let mut patience = Patience::new();
            while instance.process.try_wait().unwrap().is_none() {
                assert!(!patience.is_over(String::new()), "an instance does not stop");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Nobody else would, when the test has failed.
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

impl Instance {
    fn thaw(&mut self) {
        self.thaws = None;
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }
}
