//! Ticks that become jobs once.

use std::sync::Arc;
use std::time::Duration;

use plinth_work::manifest::{Manifest, ScheduleSpec};
use plinth_work::schedule::Ticker;

use crate::support::{Bench, with_bench};

fn ticker(bench: &Bench<'_>) -> Ticker {
    Ticker::start("test", bench.store(), Arc::new(|| {}), Duration::from_millis(50))
}

/// Keeps a schedule as an installation does.
async fn install(bench: &Bench<'_>, keys: &str) {
    let text =
        format!("name = \"test\"\n[[schedule]]\nname = \"tick\"\nrun = \"select $tick\"\n{keys}");
    let manifest = Manifest::parse(&text).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let spec = serde_json::to_string(&manifest.schedules[0].spec).unwrap();
    let sql = "insert into plinth.binding as known (name, kind, spec) values ('tick', 'schedule', $1::text::jsonb)
        on conflict (name) do update set spec = excluded.spec, state = 'active'";
    bench.owner.execute(sql, &[&spec]).await.unwrap();
}

/// Waits until the schedule stands somewhere.
async fn stands(bench: &Bench<'_>) {
    bench
        .until("select count(*) from plinth.schedule where next_at > now() and error is null", "1")
        .await;
}

#[test]
fn every_tick_makes_one_job_however_many_look() {
    with_bench("", async |bench| {
        install(bench, "cron = \"* * * * * *\"").await;
        let tickers: Vec<Ticker> = (0..4).map(|_| ticker(bench)).collect();
        bench.until("select count(*) >= 3 from plinth.job", "true").await;
        // One of them goes; the others go on.
        let mut tickers = tickers.into_iter();
        tickers.next().unwrap().stop().await;
        bench.until("select count(*) >= 6 from plinth.job", "true").await;
        for ticker in tickers {
            ticker.stop().await;
        }
        let gaps = "select count(*) filter (where gap <> interval '1 second') from (
            select (input->>'tick')::timestamptz - lag((input->>'tick')::timestamptz) over (order by id) as gap from plinth.job) as s";
        assert_eq!(bench.text(gaps).await, "0", "neither skipped nor doubled nor out of order");
        let late = "select max(enqueued_at - (input->>'tick')::timestamptz) < interval '3 seconds' and min(enqueued_at - (input->>'tick')::timestamptz) >= interval '0' from plinth.job";
        assert_eq!(bench.text(late).await, "true");
    });
}

#[test]
fn ticks_of_a_downtime_are_done_by_policy_once() {
    for (policy, jobs) in [
        ("catch_up = \"skip\"", "0"),
        ("catch_up = \"one\"", "1"),
        ("catch_up = \"all\"\ncatch_up_max = 5", "5"),
        ("catch_up = \"all\"", "10"),
    ] {
        with_bench("", async |bench| {
            // Half past the hour from now: no tick is on time.
            let minute = bench
                .text("select extract(minute from now() + interval '30 minutes')::integer")
                .await;
            install(bench, &format!("cron = \"{minute} * * * *\"\n{policy}")).await;
            let before = ticker(bench);
            stands(bench).await;
            before.stop().await;
            // As if nothing had run for ten hours.
            bench.run("update plinth.schedule set next_at = next_at - interval '10 hours'").await;
            let after: Vec<Ticker> = (0..3).map(|_| ticker(bench)).collect();
            stands(bench).await;
            assert_eq!(bench.text("select count(*) from plinth.job").await, jobs, "{policy}");
            let latest = "select coalesce(max((input->>'tick')::timestamptz) = (select next_at - interval '1 hour' from plinth.schedule), true) from plinth.job";
            assert_eq!(bench.text(latest).await, "true", "the latest are done");
            for ticker in after {
                ticker.stop().await;
            }
        });
    }
}

#[test]
fn a_tick_moves_on_and_makes_its_job_together_or_not_at_all() {
    with_bench("", async |bench| {
        install(bench, "cron = \"* * * * * *\"").await;
        // Whoever makes the job breaks down, as when the server crashes between.
        bench.run("create function public.broken() returns trigger language plpgsql as $$ begin raise exception 'down'; end $$").await;
        let endpoint = bench.database.cluster().cluster().endpoint();
        let admin = endpoint.connect(bench.database.name()).await.unwrap();
        admin.batch_execute("create trigger broken before insert on plinth.job for each row execute function public.broken()").await.unwrap();
        let ticker = ticker(bench);
        stands(bench).await;
        bench
            .until("select next_at < now() - interval '2 seconds' from plinth.schedule", "true")
            .await;
        assert_eq!(bench.text("select count(*) from plinth.job").await, "0");
        let since = bench.text("select next_at from plinth.schedule").await;
        admin.batch_execute("drop trigger broken on plinth.job").await.unwrap();
        bench.until("select count(*) >= 3 from plinth.job", "true").await;
        ticker.stop().await;
        let first = bench.text("select min((input->>'tick')::timestamptz) from plinth.job").await;
        assert_eq!(first, since, "the tick that broke comes first");
        let all = "select count(*) = extract(epoch from max((input->>'tick')::timestamptz) - min((input->>'tick')::timestamptz)) + 1 from plinth.job";
        assert_eq!(bench.text(all).await, "true");
        admin.close().await;
    });
}

#[test]
fn jitter_makes_jobs_wait_and_pauses_hold() {
    with_bench("", async |bench| {
        install(bench, "cron = \"* * * * * *\"\njitter = \"1h\"").await;
        let ticker = ticker(bench);
        bench.until("select count(*) >= 2 from plinth.job", "true").await;
        let wait = "select bool_and(state = 'w' and place is null and due_at >= (input->>'tick')::timestamptz
            and due_at <= (input->>'tick')::timestamptz + interval '1 hour') and count(distinct due_at - (input->>'tick')::timestamptz) > 1 from plinth.job";
        assert_eq!(bench.text(wait).await, "true");
        bench.run("update plinth.binding set state = 'paused'").await;
        bench.run("delete from plinth.job").await;
        bench
            .until("select next_at < now() - interval '1 second' from plinth.schedule", "true")
            .await;
        assert_eq!(bench.text("select count(*) from plinth.job").await, "0");
        // Removed, it is forgotten: what comes back begins anew.
        bench.run("update plinth.binding set state = 'removed'").await;
        bench.until("select count(*) from plinth.schedule", "0").await;
        ticker.stop().await;
    });
}

#[test]
fn a_changed_pattern_begins_anew_and_a_wrong_one_says_why() {
    with_bench("", async |bench| {
        install(bench, "cron = \"0 0 1 1 *\"").await;
        let ticker = ticker(bench);
        stands(bench).await;
        install(bench, "cron = \"0 12 1 1 *\"\ntimezone = \"Asia/Tokyo\"").await;
        bench.until("select pattern from plinth.schedule", "Asia/Tokyo 0 12 1 1 *").await;
        let local = "select to_char(next_at at time zone 'Asia/Tokyo', 'MM-DD HH24:MI') from plinth.schedule";
        assert_eq!(bench.text(local).await, "01-01 12:00");
        assert_eq!(bench.text("select count(*) from plinth.job").await, "0");

        for (sql, reason) in [
            ("select plinth.schedule('bad', '61 * * * *', 'select 1')", "%no cron pattern%"),
            (
                "select plinth.schedule('bad', '* * * * *', 'select 1; select 2')",
                "%more than one statement%",
            ),
            ("select plinth.schedule('bad', '* * * * *', 'select $nothing')", "%$nothing%"),
            ("select plinth.schedule('bad', '0 0 30 2 *', 'select 1')", "%never come%"),
        ] {
            bench.run(sql).await;
            let error = format!("select error like '{reason}' and next_at is null from plinth.schedule join plinth.binding on id = binding
                where name = 'bad' and schedule.spec = md5(binding.spec::text)");
            bench.until(&error, "true").await;
        }
        bench.run("select plinth.schedule('bad', '* * * * * *', 'select 1')").await;
        bench.until("select count(*) > 0 from plinth.job", "true").await;
        ticker.stop().await;
    });
}

#[test]
fn sql_users_schedule_what_they_may() {
    let setup = "create function public.tidy() returns void language sql as 'select';
        create function public.hidden() returns void language sql as 'select';
        revoke all on function public.hidden() from public, service_role;
        create function public.takes(x integer) returns void language sql as 'select'";
    with_bench(setup, async |bench| {
        let sqlstate = async |sql: &str| {
            let error = bench.owner.batch_execute(sql).await.expect_err(sql);
            bench.run("reset role").await;
            error.code().map(|code| code.code().to_owned()).unwrap_or_default()
        };
        bench.run("select plinth.schedule('mine', ' 0  3 * * *', 'delete from pg_class where $tick is null', 'Europe/Berlin')").await;
        let spec: ScheduleSpec =
            serde_json::from_str(&bench.text("select spec from plinth.binding").await).unwrap();
        let text = "name = \"test\"\n[[schedule]]\nname = \"mine\"\ncron = \"0 3 * * *\"\ntimezone = \"Europe/Berlin\"\nrun = \"delete from pg_class where $tick is null\"";
        let manifest = Manifest::parse(text).unwrap();
        assert_eq!(spec, manifest.schedules[0].spec, "the same as in a manifest");

        bench.run("set role service_role; select plinth.schedule('theirs', '* * * * *', 'public.tidy'); reset role").await;
        let own = "select spec->>'role' || ': ' || (spec->'done'->>0) from plinth.binding where name = 'theirs'";
        assert_eq!(bench.text(own).await, "service_role: select public.tidy()");
        for (command, code) in [
            ("select public.tidy()", "42501"),
            ("public.hidden", "42501"),
            ("public.takes", "42501"),
            ("public.tidy(); drop table x --()", "42601"),
            ("pg_catalog.now", "42501"),
            ("plinth.statement_stats", "42501"),
        ] {
            let sql = format!(
                "set role service_role; select plinth.schedule('more', '* * * * *', '{command}')"
            );
            assert_eq!(sqlstate(&sql).await, code, "{command}");
        }
        let taken =
            "set role service_role; select plinth.schedule('mine', '* * * * *', 'public.tidy')";
        assert_eq!(sqlstate(taken).await, "42710");
        for sql in [
            "set role service_role; select plinth.put_schedule('x', '* * * * *', 'select 1', 'UTC', 'owner')",
            "set role service_role; select plinth.drop_schedule('mine', 'owner')",
            "set role authenticated; select plinth.schedule('x', '* * * * *', 'public.tidy')",
            "set role anon; select plinth.unschedule('theirs')",
        ] {
            assert_eq!(sqlstate(sql).await, "42501", "{sql}");
        }
        for sql in [
            "select plinth.schedule('x', '* * *', 'select 1')",
            "select plinth.schedule('x', '* * * * *', 'drop table x')",
            "select plinth.schedule('x', '* * * * *', 'select 1', 'Nowhere/Else')",
            "select plinth.schedule('X y', '* * * * *', 'select 1')",
            "select plinth.schedule(null, null, null)",
        ] {
            assert_eq!(sqlstate(sql).await, "22023", "{sql}");
        }
        bench
            .run("insert into plinth.binding (name, kind, spec) values ('row', 'row', '{}')")
            .await;
        assert_eq!(
            sqlstate("select plinth.schedule('row', '* * * * *', 'select 1')").await,
            "42710"
        );

        bench.run("insert into plinth.job (binding) select id from plinth.binding where name = 'theirs'").await;
        assert_eq!(bench.text("select plinth.unschedule('row')").await, "false");
        assert_eq!(bench.text("select plinth.unschedule('theirs')").await, "true");
        assert_eq!(bench.text("select plinth.unschedule('theirs')").await, "false");
        assert_eq!(bench.text("select count(*) from plinth.job").await, "0");
        // A name that is free again.
        bench.run("set role service_role; select plinth.schedule('theirs', '* * * * *', 'public.tidy()'); reset role").await;
        assert_eq!(
            bench.text("select state from plinth.binding where name = 'theirs'").await,
            "active"
        );
    });
}
