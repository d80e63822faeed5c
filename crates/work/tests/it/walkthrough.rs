//! What `docs/work.md` says.

use std::sync::Mutex;
use std::time::Duration;

use plinth_work::action::{Action, Actions, Call, Outcome, Work};
use plinth_work::engine::{Engine, Options};
use plinth_work::inspect::{self, Filter};
use plinth_work::install::apply;
use plinth_work::manifest::Manifest;
use serde_json::{Value, json};

use crate::support::with_bench;

const PAGE: &str = include_str!("../../../../docs/work.md");

/// What stands between the page's first `begin` and the `end` after it.
fn part(begin: &str, end: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(begin).unwrap();
    rest.split_once(end).unwrap().0
}

/// In the place of the page's script: it knows nobody until it is told to.
struct Script(Mutex<bool>);

impl Script {
    fn answer(&self, given: &Value) -> Outcome {
        if *self.0.lock().unwrap() {
            Outcome::Done(json!({"body": format!("Dear {}, …", given["name"].as_str().unwrap())}))
        } else {
            Outcome::Never("no such person".to_owned())
        }
    }
}

impl Action for &'static Script {
    fn name(&self) -> &'static str {
        "http.request"
    }

    fn check(&self, _with: &Value) -> Result<(), String> {
        Ok(())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(async { self.answer(&call.input) })
    }
}

#[test]
fn a_dead_letter_that_is_tried_again_is_written() {
    with_bench(part("<<'SQL'\n", "\nSQL\n"), async |bench| {
        let manifest = Manifest::parse(part("<<'TOML'\n", "\nTOML\n")).unwrap();
        apply(bench.owner.client_mut(), &manifest).await.unwrap();
        let script: &'static Script = Box::leak(Box::new(Script(Mutex::new(false))));
        let store = bench.store();
        let rules = store.rules().await.unwrap().rules;
        let options = Options { poll: Duration::from_millis(20), ..Options::default() };
        let engine = Engine::start("test", store, Actions::default().with(script), rules, options);
        bench.run("insert into letter (name) values ('Ada')").await;
        let row = "select concat_ws(':', status, body, error) from letter";
        bench.until(row, "failed:no such person").await;
        *script.0.lock().unwrap() = true;
        let all = Filter { limit: 10, ..Filter::default() };
        assert_eq!(inspect::job_retry(bench.owner.client_mut(), &all).await.unwrap(), 1);
        bench.until("select count(*) from plinth.job", "0").await;
        assert_eq!(bench.text(row).await, "written:Dear Ada, …");
        engine.stop().await;
    });
}
