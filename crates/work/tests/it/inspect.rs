//! Looking inside, and putting right what went wrong.

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
