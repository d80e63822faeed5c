//! What a row's transaction leaves behind for the workers.

use plinth_work::install::RowBinding;

use crate::support::{Bench, pending, with_bench};

const TASKS: &str = "create table task (
    id bigint primary key, status text not null default 'pending', tenant text, error text)";

const QUEUED: &str =
    "select coalesce(string_agg(key, ',' order by place), '') from plinth.job where state = 'q'";

async fn installed(bench: &mut Bench<'_>) -> i32 {
    let id = bench.binding("task").await;
    bench.install(&pending(id)).await.unwrap();
    id
}

#[test]
fn a_row_gets_a_job_once_for_each_time_it_enters_the_state() {
    with_bench(TASKS, async |bench| {
        installed(bench).await;
        bench.run("insert into task (id) values (1), (2); insert into task (id, status) values (3, 'draft')").await;
        assert_eq!(bench.text(QUEUED).await, "1,2");
        bench
            .run("update task set tenant = 'x'; update task set status = 'pending' where id = 3")
            .await;
        assert_eq!(bench.text(QUEUED).await, "1,2,3");
        bench.run("insert into task (id) values (2), (4) on conflict (id) do update set error = 'again'").await;
        assert_eq!(bench.text(QUEUED).await, "1,2,3,4");
        bench.run("begin; insert into task (id) values (5); rollback").await;
        assert_eq!(bench.text(QUEUED).await, "1,2,3,4");
    });
}

#[test]
fn a_row_that_leaves_the_state_takes_its_job_along() {
    with_bench(TASKS, async |bench| {
        installed(bench).await;
        bench.run("insert into task (id) values (1), (2), (3)").await;
        bench
            .run("update task set status = 'cancelled' where id = 1; delete from task where id = 2")
            .await;
        assert_eq!(bench.text(QUEUED).await, "3");
        bench.run("update task set status = 'pending' where id = 1").await;
        assert_eq!(bench.text(QUEUED).await, "3,1");
        let ended = "select string_agg(key || outcome, ',' order by key) from plinth.job_done";
        assert_eq!(bench.text(ended).await, "1cancelled,2cancelled");
    });
}

#[test]
fn rows_that_were_there_before_get_jobs_once() {
    with_bench(TASKS, async |bench| {
        bench
            .run("insert into task (id, status) values (1, 'pending'), (2, 'done'), (3, 'pending')")
            .await;
        let id = bench.binding("task").await;
        let binding = RowBinding { backfill: true, ..pending(id) };
        assert_eq!(bench.install(&binding).await.unwrap(), 2);
        assert_eq!(bench.install(&binding).await.unwrap(), 0);
        assert_eq!(bench.text(QUEUED).await, "1,3");
    });
}

#[test]
fn callers_without_any_rights_on_jobs_make_them() {
    with_bench(TASKS, async |bench| {
        installed(bench).await;
        bench.run("alter table task enable row level security;
                   create policy mine on task to authenticated using (true) with check (tenant = 'me')").await;
        bench.run("begin; set local role authenticated; insert into task (id, tenant) values (1, 'me'); commit").await;
        assert_eq!(bench.text(QUEUED).await, "1");
        let error = bench
            .owner
            .batch_execute("begin; set local role authenticated; select from plinth.job")
            .await;
        assert!(error.is_err());
        bench.run("rollback").await;
    });
}

#[test]
fn partitions_and_bulk_statements_make_jobs_as_well() {
    let tasks = "create table task (id bigint, day date, status text default 'pending', primary key (id, day)) partition by range (day);
                 create table task_2026 partition of task for values from ('2026-01-01') to ('2027-01-01')";
    with_bench(tasks, async |bench| {
        let id = bench.binding("task").await;
        let error = bench.install(&pending(id)).await.unwrap_err();
        assert!(error.to_string().contains("must name its `key`"), "{error}");
        let binding = RowBinding { key: Some("id".to_owned()), ..pending(id) };
        bench.run("rollback").await;
        bench.install(&binding).await.unwrap();
        bench.run("insert into task_2026 (id, day) values (1, '2026-05-01');
                   create table task_2027 partition of task for values from ('2027-01-01') to ('2028-01-01');
                   insert into task select number, '2027-01-02' from generate_series(2, 1001) as number").await;
        assert_eq!(bench.text("select count(*) from plinth.job").await, "1001");
    });
}

#[test]
fn conditions_and_keys_are_expressions_on_the_rows_columns() {
    let tasks = "create type grade as enum ('low', 'high');
                 create function urgent(text) returns boolean immutable language sql as $$ select $1 = 'now' $$;
                 create table task (id uuid primary key default gen_random_uuid(), status text, \"Kind of\" text,
                                    grade grade default 'low', tenant int)";
    with_bench(tasks, async |bench| {
        let id = bench.binding("task").await;
        let binding = RowBinding {
            when: "status in ('a', 'b') and coalesce(\"Kind of\", '') <> 'x' -- not those\n and (urgent(status) is not null)".to_owned(),
            priority: Some("case grade when 'high' then 7 else -3 end".to_owned()),
            fair: Some("tenant".to_owned()),
            rate_key: Some("'t' || tenant".to_owned()),
            ..pending(id)
        };
        bench.install(&binding).await.unwrap();
        bench.run("insert into task (status, \"Kind of\", grade, tenant) values
                   ('a', null, 'high', 5), ('b', 'x', 'high', 5), ('b', 'y', 'low', null), ('c', '', 'low', 1)").await;
        let jobs = "select string_agg(concat_ws('/', priority, fair, coalesce(rate_key, '-')), ',' order by place) from plinth.job";
        assert_eq!(bench.text(jobs).await, "7/5/t5,0//-");
        for (when, message) in
            [("status", "not boolean"), ("statu = 'a'", "`when` cannot be understood")]
        {
            let wrong = RowBinding { when: when.to_owned(), ..pending(id) };
            let error = bench.install(&wrong).await.unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    });
}

#[test]
fn a_priority_beyond_all_numbers_is_the_nearest_that_there_is() {
    let tasks = "create table task (id bigint primary key, status text not null default 'pending',
                                    large bigint, exact numeric, rough double precision, yes boolean, word text)";
    for (expression, wanted) in [
        ("large", "0,0,9,0,0"),
        ("exact", "0,9,9,0,0"),
        ("rough", "0,9,9,0,0"),
        ("yes", "0,1,0,0,0"),
        ("word", "0,7,9,0,0"),
        ("4", "4,4,4,4,4"),
        ("5000000000", "9,9,9,9,9"),
    ] {
        with_bench(tasks, async |bench| {
            let id = bench.binding("task").await;
            let binding = RowBinding { priority: Some(expression.to_owned()), ..pending(id) };
            bench.run("insert into task (id, large) values (0, null)").await;
            bench.install(&RowBinding { backfill: true, ..binding }).await.unwrap();
            bench
                .run("insert into task values (1, 'pending', null, 'infinity', 'infinity', true, '7'),
                        (2, 'pending', 3000000000, 3e40, 1e300, false, '3000000000'),
                        (3, 'pending', -3000000000, '-infinity', '-infinity', null, '-1'),
                        (4, 'pending', 0, 'nan', 'nan', null, 'nan')")
                .await;
            let found = "select string_agg(priority::text, ',' order by id) from plinth.job";
            assert_eq!(bench.text(found).await, wanted, "{expression}");
            bench.run("delete from plinth.job; select plinth.add_job('task', id::text, null, null) from task order by id").await;
            assert_eq!(bench.text(found).await, wanted, "{expression}");
        });
    }
}

#[test]
fn long_keys_are_in_the_way_of_nobody() {
    with_bench(TASKS, async |bench| {
        bench
            .run(
                "create function noise(seed text) returns text immutable language sql as
                   $$ select string_agg(md5(seed || n), '') from generate_series(1, 300) as n $$;
                   insert into task (id, tenant) values (1, noise('a'))",
            )
            .await;
        let id = bench.binding("task").await;
        let tenant = Some("tenant".to_owned());
        let binding = RowBinding {
            fair: tenant.clone(),
            rate_key: tenant.clone(),
            seat_key: tenant,
            backfill: true,
            ..pending(id)
        };
        bench.install(&binding).await.unwrap();
        bench.run("insert into task (id, tenant) values (2, noise('a')), (3, noise('b')), (4, 'short'), (5, repeat('ä', 250)), (6, null)").await;
        bench.run("select plinth.add_job('task', '3', null, null)").await;
        let keys = "select string_agg(distinct concat_ws('/', length(fair), length(rate_key), length(seat_key)), ' ') from plinth.job where key = ";
        for (key, wanted) in [
            (1, "32/32/32"),
            (2, "32/32/32"),
            (3, "32/32/32"),
            (4, "5/5/5"),
            (5, "250/250/250"),
            (6, "0"),
        ] {
            assert_eq!(bench.text(&format!("{keys}'{key}'")).await, wanted, "{key}");
        }
        let turns =
            "select string_agg(key, ',' order by id) from plinth.job where fair = md5(noise('";
        assert_eq!(bench.text(&format!("{turns}a'))")).await, "1,2");
        assert_eq!(bench.text(&format!("{turns}b'))")).await, "3,3");
        // Nothing is to be settled where nothing changed.
        bench.run("create table before as select id, xmin::text as version from plinth.job").await;
        bench.install(&RowBinding { backfill: false, ..binding }).await.unwrap();
        let written = "select count(*) from plinth.job join before using (id) where job.xmin::text <> version";
        assert_eq!(bench.text(written).await, "0");
    });
}
