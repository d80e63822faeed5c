//! Looking inside, and putting right what went wrong.

use plinth_work::inspect::{self, Filter};
use serde_json::json;

use crate::support::{pending, with_bench};

const TASKS: &str =
    "create table task (id bigint primary key, status text not null default 'pending');";

#[test]
fn unfinished_jobs_are_counted_by_binding_and_state() {
    with_bench(TASKS, async |bench| {
        let id = bench.binding("write").await;
        bench.install(&pending(id)).await.unwrap();
        bench.run("insert into task (id) select generate_series(1, 5)").await;
        bench.run("update plinth.job set state = 'd' where key::bigint > 3").await;
        let depths = bench.store().depths().await.unwrap();
        let counted: Vec<_> =
            depths.iter().map(|one| (one.binding.as_str(), one.state, one.jobs)).collect();
        assert_eq!(counted, [("write", "dead", 2), ("write", "queued", 3)]);
        assert!(depths.iter().all(|one| one.oldest_seconds > 0.0), "{depths:?}");
    });
}

#[test]
fn what_steps_gave_is_shown_as_it_is() {
    with_bench(TASKS, async |bench| {
        bench.run("insert into plinth.binding (name, kind, spec) values ('write', 'row', '{\"input\": \"select 1\"}')").await;
        let id: i32 = bench.text("select id from plinth.binding").await.parse().unwrap();
        bench.install(&pending(id)).await.unwrap();
        bench.run("insert into task (id) values (1)").await;
        let job: i64 = bench.text("select id from plinth.job").await.parse().unwrap();
        bench
            .run(&format!(
                "insert into plinth.step (job, name, state, result) values
                   ({job}, 'ask', 'd', '{{\"found\": null}}'), ({job}, 'nothing', 'd', 'null')"
            ))
            .await;
        let client = bench.owner.client_mut();
        let shown = inspect::job_show(client, job).await.unwrap().unwrap();
        assert_eq!(shown["input_query"], "select 1");
        let outs = |steps: &serde_json::Value| {
            let steps = steps.as_array().unwrap().clone();
            assert!(steps.iter().all(|step| step.get("error").is_none()), "{steps:?}");
            steps.iter().map(|step| step.get("out").cloned()).collect::<Vec<_>>()
        };
        let wanted = [Some(json!({"found": null})), Some(json!(null))];
        assert_eq!(outs(&shown["steps"]), wanted);
        client.execute("update plinth.job set state = 'd'", &[]).await.unwrap();
        let all = Filter { limit: 9, ..Filter::default() };
        assert_eq!(inspect::job_discard(client, &all).await.unwrap(), 1);
        let shown = inspect::job_show(client, job).await.unwrap().unwrap();
        assert_eq!(outs(&shown["steps"]), wanted);
    });
}
