//! An instance: this binary again, as a process that can be killed and frozen.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use plinth_postgres::Endpoint;
use plinth_wire::{Budget, Pool, PoolOptions};
use plinth_work::Store;
use plinth_work::action::{Action, Actions, Call, Noop, Outcome, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::journal::{Step, Until};
use plinth_work::schedule::Ticker;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::bindings::{self, STEPS};

/// The variable that makes this binary an instance: its name, the owner role, the port of the outside world and a URL.
pub(crate) const PLACE: &str = "PLINTH_CHAOS_INSTANCE";

/// How long an instance that says nothing keeps its jobs.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// Starts one. It ends in good order when its standard input is closed, as it is when this process dies.
pub(crate) fn start(name: &str, owner: &str, outside: u16, url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PLACE, format!("{name} {owner} {outside} {url}")).stdin(Stdio::piped());
    command.spawn().unwrap()
}

/// What the process does.
pub(crate) async fn work(place: &str) {
    let mut words = place.split(' ');
    let mut word = || words.next().unwrap();
    let (name, owner) = (word().to_owned(), word());
    let (outside, url) = (Reach { port: word().parse().unwrap() }, word());
    let (endpoint, database) = Endpoint::from_url(url).unwrap();
    let connect = endpoint.wire(&endpoint.admin, &database.unwrap(), "plinth work");
    let pool = Pool::new(Store::session(connect), Budget::new(6), PoolOptions::default());
    let store = Arc::new(Store::new(Arc::new(pool), owner));
    let actions = Actions::default().with(Noop).with(CallOutside(outside)).with(Stepped(outside));
    let poll = Duration::from_millis(50);
    let options = Options { name, lease: LEASE, poll, ..Options::default() };
    // It does not tell the engine, which looks for jobs as often.
    let ticker = Ticker::start("chaos", store.clone(), Arc::new(|| {}), poll);
    let engine = Engine::start("chaos", store, actions, bindings::rules(), options);
    let closed = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    closed.await.unwrap().unwrap();
    ticker.stop().await;
    engine.stop().await;
}

/// The way to the world outside of the database.
#[derive(Clone, Copy)]
struct Reach {
    port: u16,
}

impl Reach {
    /// Has something happen there once more; the answer says what that came to.
    async fn call(self, call: &Call, step: &str) -> std::io::Result<Value> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).await?);
        let row = call.row.as_deref().unwrap_or_default();
        let line = json!({"binding": call.binding, "job": call.job, "row": row,
            "attempt": call.attempt, "step": step, "tenant": call.input["tenant"]});
        stream.write_all(format!("{line}\n").as_bytes()).await?;
        let mut answer = String::new();
        stream.read_line(&mut answer).await?;
        Ok(serde_json::from_str(&answer)?)
    }

    async fn outcome(self, call: &Call, step: &str) -> Outcome {
        let answer = match self.call(call, step).await {
            Ok(answer) => answer,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        match answer["says"].as_str() {
            Some("done") => Outcome::Done(answer),
            Some("never") => Outcome::Never("it said so".to_owned()),
            Some("later") => {
                Outcome::NotBefore(Duration::from_millis(200), "it said so".to_owned())
            }
            _ => Outcome::Failed("it said so".to_owned()),
        }
    }
}

struct CallOutside(Reach);

impl Action for CallOutside {
    fn name(&self) -> &'static str {
        "outside"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(self.0.outcome(call, ""))
    }
}

struct Stepped(Reach);

impl Action for Stepped {
    fn name(&self) -> &'static str {
        "stepped"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(async {
            for name in STEPS {
                if matches!(call.journal.get(name), Some(Step::Done(_))) {
                    continue;
                }
                if name == STEPS[2] && !matches!(call.journal.get("sleep"), Some(Step::Done(_))) {
                    return sleep(call).await;
                }
                let out = match self.0.outcome(call, name).await {
                    Outcome::Done(out) => out,
                    other => return other,
                };
                if let Err(error) = call.journal.record(name, out).await {
                    return Outcome::Failed(error.to_string());
                }
            }
            Outcome::Done(call.journal.values())
        })
    }
}

async fn sleep(call: &Call) -> Outcome {
    let until = Until::Time(Duration::from_millis(300));
    if call.journal.get("sleep").is_none()
        && let Err(error) = call.journal.wait("sleep", until).await
    {
        return Outcome::Failed(error.to_string());
    }
    Outcome::Waits(vec!["sleep".to_owned()])
}
