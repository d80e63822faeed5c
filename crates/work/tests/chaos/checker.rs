//! What must be true in the end.

use std::collections::HashMap;

use plinth_postgres::Connection;
use serde_json::Value;

use crate::bindings::{PER, RATE, SEATS};
use crate::outside::Called;
use crate::report::say;
use crate::server::Server;
use crate::watcher::Seen;

/// Each looks for what must not be: a line for every such thing.
const NEVER: [(&str, &str); 17] = [
    (
        "an entry into the state has not exactly one job",
        "select to_jsonb(entry) || jsonb_build_object('jobs', count(every_job.id)) from entry
         left join every_job on every_job.key = entry.row::text and every_job.enqueued_at = entry.at
         group by entry.* having count(every_job.id) <> 1",
    ),
    (
        "a job is of no entry",
        "select to_jsonb(every_job) from every_job
         where binding <> 6 and not exists (select from entry where row::text = key and at = enqueued_at)",
    ),
    (
        "a schedule did not begin once",
        "select to_jsonb(count(*)) from first_tick having count(*) <> 1",
    ),
    (
        "a tick has not exactly one run",
        "select jsonb_build_object('tick', tick, 'runs', count(run.job)) from (
           select generate_series(first_tick.at, schedule.next_at - interval '1 second', interval '1 second') as tick
           from first_tick, plinth.schedule) as ticks
         left join tick_run as run using (tick) group by tick having count(run.job) <> 1",
    ),
    (
        "a run is of no tick",
        "select to_jsonb(tick_run) from tick_run, first_tick, plinth.schedule
         where tick < first_tick.at or tick >= schedule.next_at or date_trunc('second', tick) <> tick",
    ),
    (
        "a job is neither finished, nor cancelled, nor dead",
        "select to_jsonb(every_job) from every_job where outcome not in ('done', 'cancelled', 'dead')",
    ),
    (
        "a job has ended twice",
        "select to_jsonb(id) from every_job group by id having count(*) > 1",
    ),
    (
        "a job that is done has not exactly one effect",
        "select to_jsonb(every_job) || jsonb_build_object('effects', count(effect.job)) from every_job
         left join effect on effect.job = id and what = 'done'
         where outcome = 'done' group by every_job.* having count(effect.job) <> 1",
    ),
    (
        "a job that is dead has not exactly one last word",
        "select to_jsonb(every_job) || jsonb_build_object('effects', count(effect.job)) from every_job
         left join effect on effect.job = id and what = 'failed'
         where outcome = 'dead' group by every_job.* having count(effect.job) <> 1",
    ),
    (
        "an effect is of a job that did not end so",
        "select to_jsonb(effect) from effect left join every_job on id = effect.job
         where what <> 'step' and outcome is distinct from case what when 'failed' then 'dead' else 'done' end",
    ),
    (
        "a step has more than one effect",
        "select jsonb_build_object('job', job, 'step', detail ->> 'name', 'effects', count(*)) from effect
         where what = 'step' group by job, detail ->> 'name' having count(*) > 1",
    ),
    (
        "a job with steps is done without one of them",
        "select to_jsonb(every_job) from every_job
         where binding = 4 and outcome = 'done'
           and (select count(*) from effect where effect.job = id and what = 'step') <> 4",
    ),
    (
        "a job was cancelled though its row went nowhere",
        "select to_jsonb(every_job) from every_job
         where outcome = 'cancelled' and not exists (
           select from way_out where row::text = key and way_out.at >= enqueued_at)",
    ),
    (
        "a row stays behind in a state that nobody works on",
        "select to_jsonb(task) from task where status in ('pending', 'running')",
    ),
    (
        "a job was taken while it was another's, or its attempts do not count up",
        "select to_jsonb(claim) from (
           select *, lag(attempt) over (partition by job order by number) as before from public.claim) as claim
         where attempt <= before",
    ),
    (
        "more jobs began in a time than the limit says",
        "select to_jsonb(claim) from (
           select *, at - lag(at, $1::integer) over (partition by rate_key order by at) as span
           from public.claim where binding = 3) as claim
         where span < $2::float8 * interval '1 second'",
    ),
    (
        "something is left behind",
        "select to_jsonb(seat) from plinth.seat
         union all select to_jsonb(worker) from plinth.worker
         union all select to_jsonb(step) from plinth.step where job not in (select id from plinth.job)",
    ),
];

const EVERY_JOB: &str = "create temporary view every_job as
    select id, binding, key, enqueued_at, outcome, attempts from plinth.job_done
    union all
    select id, binding, key, enqueued_at, case state when 'd' then 'dead' else state::text end, attempt from plinth.job;
    create temporary view tick_run as
    select effect.job, (effect.detail #>> '{}')::timestamptz as tick from effect join every_job on every_job.id = effect.job
    where binding = 6 and what = 'done'";

/// What is broken, a line each.
pub(crate) async fn check(server: &Server, calls: &[Called], seen: Seen) -> Vec<String> {
    let admin = server.admin().await.unwrap();
    admin.batch_execute("set search_path = public").await.unwrap();
    admin.batch_execute(EVERY_JOB).await.unwrap();
    say(&format!("{} looks at the tables while they ran", seen.looks));
    let mut broken: Vec<String> = seen.broken.into_iter().collect();
    for (what, sql) in NEVER {
        let rows = match sql.contains("$1") {
            true => {
                let max = i32::try_from(RATE).unwrap();
                admin.query(sql, &[&max, &PER.as_secs_f64()]).await
            }
            false => admin.query(sql, &[]).await,
        };
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        broken.extend(rows.iter().take(5).map(|row| format!("{what}: {}", row.get::<_, Value>(0))));
        if rows.len() > 5 {
            broken.push(format!("{what}: {} altogether", rows.len()));
        }
    }
    tell(&admin, calls).await;
    broken.extend(check_calls(&admin, calls).await);
    admin.close().await;
    broken
}

async fn tell(admin: &Connection, calls: &[Called]) {
    let counts =
        "select coalesce(string_agg(n || ' ' || outcome, ', ' order by outcome), '') from (
        select outcome, count(*) as n from every_job group by 1) as counts";
    let counts: String = admin.query_one(counts, &[]).await.unwrap().get(0);
    let entries: i64 = admin.query_one("select count(*) from entry", &[]).await.unwrap().get(0);
    let claims: i64 =
        admin.query_one("select count(*) from public.claim", &[]).await.unwrap().get(0);
    let cut = calls.iter().filter(|call| call.said.is_none()).count();
    let twice = calls.len()
        - calls
            .iter()
            .map(|call| (call.job, &call.step))
            .collect::<std::collections::HashSet<_>>()
            .len();
    let ticks: i64 = admin.query_one("select count(*) from tick_run", &[]).await.unwrap().get(0);
    say(&format!("{entries} entries and {ticks} ticks: {counts}; {claims} claims"));
    say(&format!(
        "{} calls outside, {twice} of them not the first of their job, {cut} broken off",
        calls.len()
    ));
}

/// What committed effects say of calls, and calls of each other.
async fn check_calls(admin: &Connection, calls: &[Called]) -> Vec<String> {
    let mut broken = Vec::new();
    let effects =
        "select job, coalesce(detail -> 'out' ->> 'call', detail ->> 'call')::bigint, binding = 2
        from effect join every_job on every_job.id = effect.job
        where (what = 'step' and detail ->> 'name' <> 'sleep' or what = 'done' and binding in (1, 2, 3))";
    let mut seated = Vec::new();
    for row in admin.query(effects, &[]).await.unwrap() {
        let (job, number, sits): (i64, Option<i64>, bool) = (row.get(0), row.get(1), row.get(2));
        let call = number.and_then(|number| calls.get(usize::try_from(number).unwrap()));
        match call.filter(|call| call.job == job && call.said == Some("done")) {
            Some(call) if sits => seated.push(call),
            Some(_) => {}
            None => {
                broken.push(format!("job {job} has an effect, but call {number:?} was not for it"))
            }
        }
    }
    let mut rows = HashMap::new();
    for call in calls {
        let row = *rows.entry(call.job).or_insert((call.row, call.binding.as_str()));
        if row != (call.row, call.binding.as_str()) {
            broken.push(format!("job {} was for {row:?} and then for row {}", call.job, call.row));
        }
    }
    // The call behind a committed effect had its seat from its beginning to its end: leases that ran out are not among
    // them, for their effects were not let in.
    for call in &seated {
        let beside = seated.iter().filter(|other| {
            other.tenant == call.tenant
                && other.begun <= call.begun
                && other.ended.is_some_and(|ended| ended > call.begun)
        });
        if beside.count() > SEATS as usize {
            broken.push(format!("{} had more calls at once than seats", call.tenant));
        }
    }
    broken
}
