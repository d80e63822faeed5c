-- Why: rows that move by themselves. A committed row in a declared state is a committed job; these are the tables of jobs
-- and of what they need. The owner role works on them (see the crate `work`); nobody else reaches them.
set local search_path = '';

-- ------------------------------------------------------------------ bindings

create table plinth.binding (
  id         integer generated always as identity primary key,
  name       text not null unique check (name <> ''),
  kind       text not null check (kind in ('row', 'hook', 'schedule', 'message')),
  -- What the manifest says, in its normal form; the crate `work` alone reads it.
  spec       jsonb not null,
  state      text not null default 'active' check (state in ('active', 'paused', 'removed')),
  -- Who it came from, so that one manifest does not remove what another, or `plinth.schedule`, installed.
  source     text not null default 'manifest' check (source in ('manifest', 'sql', 'plinth')),
  changed_at timestamptz not null default now()
);
comment on table plinth.binding is 'Rules that make jobs of rows, hooks and schedules';

-- Whoever runs jobs looks here for what has changed.
create sequence plinth.binding_revision;

create function plinth.binding_changed() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  perform pg_catalog.nextval('plinth.binding_revision');
  return null;
end
$$;

create trigger binding_changed after insert or update or delete or truncate on plinth.binding
  for each statement execute function plinth.binding_changed();

-- ------------------------------------------------------------------ who works

-- A lease is its worker's: one row to keep alive however many jobs it has. The database's clock alone says when it ends.
create table plinth.worker (
  id          bigint generated always as identity primary key,
  name        text not null,
  started_at  timestamptz not null default now(),
  alive_until timestamptz not null
) with (fillfactor = 50);
comment on table plinth.worker is 'Instances that hold leases on jobs';

-- ------------------------------------------------------------------ jobs

create sequence plinth.job_number;

create table plinth.job (
  id              bigint not null default nextval('plinth.job_number') primary key,
  binding         integer not null,
  -- q queued, w waiting for a time or an event, r running, d dead
  state           "char" not null default 'q',
  -- 0 to 9, higher first.
  priority        smallint not null default 0,
  -- The order among jobs of one priority. Null while it is waiting or dead.
  place           bigint default nextval('plinth.job_number'),
  -- Turns are taken across this.
  fair            text collate "C" not null default '',
  rate_key        text,
  seat_key        text,
  -- The row that it is about, by its key.
  key             text collate "C",
  input           jsonb,
  -- Only while it is waiting.
  due_at          timestamptz,
  attempt         integer not null default 0,
  failures        integer not null default 0,
  -- Only while it is running.
  worker          bigint,
  cancelled       boolean not null default false,
  parent          bigint,
  error           text,
  enqueued_at     timestamptz not null default now(),
  started_at      timestamptz
  -- No checks: every insert reads their text anew, and more than half of what a job costs its row's transaction would be
  -- theirs. Tests look for rows that break the rules above.
) with (
  -- Taking a job changes no indexed column, so the new version of the row stays on its page and no index grows: a page has
  -- room for one of each row, for the time when an old transaction keeps everything.
  fillfactor = 45,
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 10000,
  autovacuum_vacuum_cost_delay = 0
);
comment on table plinth.job is 'Jobs that are not finished';

-- Each of them costs whoever inserts a row; so does a condition, where it holds for every new job.
create index job_place_idx on plinth.job (binding, fair, priority, place);
create index job_key_idx on plinth.job (key, binding);
create index job_due_idx on plinth.job (due_at) where due_at is not null;
create index job_parent_idx on plinth.job (parent) where parent is not null;

-- No foreign keys to jobs here and below: each would be looked up at the end of every job. Who ends a job with steps or a
-- seat deletes them.

-- Running jobs of bindings that limit how many run at once.
create table plinth.seat (
  job     bigint primary key,
  binding integer not null,
  key     text not null
);
comment on table plinth.seat is 'Running jobs, by the key that limits how many run at once';
create index seat_key_idx on plinth.seat (binding, key);

-- When jobs of a key began, the newest last; as many as the limit allows.
create table plinth.rate (
  binding integer not null,
  key     text not null,
  begun   timestamptz[] not null,
  -- A provider said so.
  closed_until timestamptz,
  primary key (binding, key)
) with (fillfactor = 50);
comment on table plinth.rate is 'When jobs of limited bindings began';

-- Where the last turn ended, for bindings that take turns.
create table plinth.turn (
  binding integer primary key,
  fair    text collate "C" not null
) with (fillfactor = 50);

-- ------------------------------------------------------------------ steps and events

create table plinth.step (
  job        bigint not null,
  name       text not null,
  -- d done, s sleeping, e waiting for an event, c waiting for another job
  state      "char" not null default 'd' check (state in ('d', 's', 'e', 'c')),
  result     jsonb,
  error      text,
  event      text,
  child      bigint,
  due_at     timestamptz,
  at         timestamptz not null default clock_timestamp(),
  primary key (job, name)
);
comment on table plinth.step is 'What steps of unfinished jobs came to: a step that is here does not run again';
create index step_event_idx on plinth.step (event) where event is not null;

-- ------------------------------------------------------------------ history

create table plinth.job_done (
  id          bigint not null,
  binding     integer not null,
  outcome     text not null check (outcome in ('done', 'cancelled', 'discarded')),
  key         text,
  input       jsonb,
  attempts    integer not null,
  failures    integer not null,
  parent      bigint,
  error       text,
  out         jsonb,
  steps       jsonb,
  enqueued_at timestamptz not null,
  started_at  timestamptz,
  finished_at timestamptz not null default clock_timestamp()
) partition by range (finished_at);
comment on table plinth.job_done is 'Finished jobs, a partition for each day, dropped when they are old';
create index job_done_id_idx on plinth.job_done (id);
create table plinth.job_done_rest partition of plinth.job_done default;

-- Makes the partitions of today and the next days, and drops those that ended longer than `keep` ago.
create function plinth.rotate_history(keep interval) returns void
language plpgsql
security definer
set search_path = ''
as $$
declare
  day date;
  old record;
begin
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended('plinth.rotate_history', 0)) then
    return;
  end if;
  for day in select pg_catalog.generate_series(current_date, current_date + 2, '1 day')::date loop
    if pg_catalog.to_regclass(pg_catalog.format('plinth.job_done_%s', pg_catalog.to_char(day, 'YYYYMMDD'))) is null
      and not exists (select from plinth.job_done_rest where finished_at >= day and finished_at < day + 1) then
      execute pg_catalog.format(
        'create table plinth.job_done_%s partition of plinth.job_done for values from (%L) to (%L)',
        pg_catalog.to_char(day, 'YYYYMMDD'), day::timestamptz, (day + 1)::timestamptz);
    end if;
  end loop;
  for old in
    select class.relname from pg_catalog.pg_inherits
    join pg_catalog.pg_class as class on class.oid = inhrelid
    where inhparent = 'plinth.job_done'::pg_catalog.regclass and class.relname ~ '^job_done_\d{8}$'
      and pg_catalog.to_date(pg_catalog.right(class.relname, 8), 'YYYYMMDD') + 1 < pg_catalog.now() - keep
  loop
    execute pg_catalog.format('drop table plinth.%I', old.relname);
  end loop;
  delete from plinth.job_done_rest where finished_at < pg_catalog.now() - keep;
end
$$;
revoke all on function plinth.rotate_history(interval) from public;

select plinth.rotate_history('7 days');

-- ------------------------------------------------------------------ fencing

-- Fails, and with it what a worker does beside it in one transaction, when the worker's lease was lost meanwhile.
create function plinth.fence(holds boolean) returns boolean
language plpgsql
set search_path = ''
as $$
begin
  if not holds then
    raise exception 'the job is not this worker''s any more' using errcode = 'PLF01';
  end if;
  return true;
end
$$;

-- Says that a worker takes jobs, and keeps its lease from being ended before it has: a job that is taken by a worker whose
-- lease is over would belong to nobody.
create function plinth.hold(taker bigint) returns bigint
language plpgsql
set search_path = ''
as $$
begin
  perform from plinth.worker where id = taker and alive_until >= pg_catalog.clock_timestamp() for share;
  if not found then
    raise exception 'the worker''s lease is over' using errcode = 'PLF01';
  end if;
  return taker;
end
$$;

-- ------------------------------------------------------------------ cancelling

-- Jobs that are cancelled and that somebody held at the moment: they were being taken, ended or woken. Whoever works on them
-- looks here before it writes what they came to.
create table plinth.leaving (
  job bigint not null
);
comment on table plinth.leaving is 'Jobs to cancel as soon as nobody holds them';
create index leaving_job_idx on plinth.leaving (job);

-- Cancels jobs and, at once, all that they called: those that wait end; those that run learn it from their flag, of the
-- chosen ones only when `running`. Says how many ended, and how many will.
--
-- It waits for nobody, since it runs in triggers of people's tables: who holds a job may be waiting for the very row that
-- is written here, which would be a deadlock. Such a job is noted, and so is one whose caller is held that has to hear of it.
create function plinth.cancel_jobs(chosen bigint[], running boolean, out ended bigint, out told bigint)
language plpgsql
set search_path = ''
as $$
declare
  wanted bigint[] := chosen;
  doomed bigint[] := chosen;
  gone   bigint[];
  asked  bigint[];
  noted  bigint;
begin
  ended := 0;
  told := 0;
  while pg_catalog.cardinality(wanted) > 0 loop
    with held as materialized (
      select id, parent from plinth.job where id = any (wanted) and state in ('q', 'w') for update skip locked
    ), caller as materialized (
      select id from plinth.job
      where id in (select parent from held where parent <> all (doomed)) for update skip locked
    ), ending as materialized (
      select id from held
      where parent is null or parent = any (doomed) or parent in (select id from caller)
        or not exists (select from plinth.job where job.id = held.parent)
    ), gone_jobs as (
      delete from plinth.job where id = any (array(select id from ending)) returning job.*
    ), journal as (
      delete from plinth.step where job = any (array(select id from gone_jobs))
      returning job, name, result, error, at
    ), awaited as (
      update plinth.step set state = 'd', error = 'cancelled', at = pg_catalog.clock_timestamp()
      from gone_jobs
      where step.job = any (array(select id from caller)) and step.job = gone_jobs.parent and step.child = gone_jobs.id
        and step.state = 'c'
      returning step.job
    ), woken as (
      -- Whatever its state was when this statement began: it may have been parked since.
      update plinth.job set due_at = case state when 'w' then pg_catalog.clock_timestamp() else due_at end
      where id = any (array(select job from awaited))
    ), kept as (
      insert into plinth.job_done
        (id, binding, outcome, key, input, attempts, failures, parent, error, steps, enqueued_at, started_at)
      select id, binding, 'cancelled', key, input, attempt, failures, parent, error,
        (select pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
            'name', journal.name, 'out', journal.result, 'error', journal.error, 'at', journal.at)) order by journal.at)
         from journal where journal.job = gone_jobs.id),
        enqueued_at, started_at
      from gone_jobs
      returning id
    )
    select coalesce(pg_catalog.array_agg(id), '{}') into gone from kept;

    with flagged as (
      update plinth.job set cancelled = true where id in (
        select id from plinth.job
        where running and id = any (wanted) and state = 'r' and not cancelled
        for update skip locked)
      returning id
    )
    select coalesce(pg_catalog.array_agg(id), '{}') into asked from flagged;

    with missed as (
      insert into plinth.leaving (job)
      select id from plinth.job
      where id = any (wanted) and id <> all (gone) and id <> all (asked) and state <> 'd' and not cancelled
        and not exists (select from plinth.leaving where leaving.job = job.id)
      returning job
    )
    select pg_catalog.count(*) into noted from missed;

    ended := ended + pg_catalog.cardinality(gone);
    told := told + pg_catalog.cardinality(asked) + noted;
    wanted := array(
      select id from plinth.job
      where parent = any (wanted) and id <> all (doomed) and state in ('q', 'w', 'r') and not cancelled);
    doomed := doomed || wanted;
    running := true;
  end loop;
end
$$;

-- Cancels what was noted, as far as nobody holds it now.
create function plinth.cancel_leaving() returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (select from plinth.leaving) then
    return;
  end if;
  perform plinth.cancel_jobs(array(select distinct job from plinth.leaving), true);
  delete from plinth.leaving
  where not exists (select from plinth.job where job.id = leaving.job and job.state <> 'd' and not job.cancelled);
end
$$;

-- Cancels the job of a row that left its state or is gone: one that waits, and with `running` one that runs.
create function plinth.leave(left_binding integer, left_key text, running boolean) returns void
language plpgsql
set search_path = ''
as $$
declare
  wanted bigint[];
begin
  -- The sum keeps this to the index of keys, as in the triggers.
  select pg_catalog.array_agg(id) into wanted from plinth.job
  where key = left_key and binding + 0 = left_binding
    and (state in ('q', 'w') or running and state = 'r' and not cancelled);
  if wanted is not null then
    perform plinth.cancel_jobs(wanted, running);
  end if;
end
$$;

-- ------------------------------------------------------------------ taking jobs of limited bindings

-- Takes up to `most` jobs of one binding in turns across `fair`, as far as its limits leave room: at most `rate` beginnings
-- of a key in any `per`, at most `seats` jobs of a key at once (null: no such limit). Priority counts as ten minutes of
-- waiting a level, so that nothing waits for ever.
create function plinth.take_limited(
  taker bigint, of_binding integer, most integer, per interval, rate integer, seats integer)
returns setof plinth.job
language plpgsql
set search_path = ''
as $$
declare
  begins_at timestamptz;
  last_fair text := coalesce((select fair from plinth.turn where binding = of_binding), '');
  next_fair text;
  found_job plinth.job;
  history   timestamptz[];
  -- Keys that have no room, and turns of which nothing can be taken. Jobs whose key is null share one, the empty text.
  full_rate text[] := '{}';
  full_seat text[] := '{}';
  full_fair text[] := '{}';
  known     jsonb := (select spec from plinth.binding where id = of_binding);
  rate_is_keyed constant boolean := coalesce(known #> '{limit,key}' is not null, false);
  seat_is_keyed constant boolean := coalesce(known #> '{concurrency,key}' is not null, false);
  -- Whether turns are taken by the key itself, so that all jobs of a turn have the same.
  rate_turns constant boolean := coalesce(not known ? 'fair', true);
  seat_turns constant boolean := rate_turns
    and (not rate_is_keyed or known #> '{limit,key}' = known #> '{concurrency,key}');
  idle      integer := 0;
  wrapped   boolean := false;
  taken     integer := 0;
begin
  -- Counting and taking of two takers must not interleave. Who comes second finds nothing this time.
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('plinth.take'), of_binding) then
    return;
  end if;

  while taken < most loop
    select fair into next_fair from plinth.job
    where binding = of_binding and place is not null and fair > last_fair
      and fair <> all (full_fair)
    order by fair limit 1;
    if not found then
      -- The empty text is before all others, and the round begins again; a round that took nothing is the last.
      exit when wrapped and idle > 0;
      wrapped := true;
      idle := 1;
      next_fair := '';
    end if;
    last_fair := next_fair;
    continue when next_fair = any (full_fair);

    select job.* into found_job
    from pg_catalog.generate_series(0, 9) as level
    cross join lateral (
      select ctid, priority, enqueued_at from plinth.job
      where binding = of_binding and fair = next_fair and priority = level and place is not null and state = 'q'
        and coalesce(rate_key, '') <> all (full_rate)
        and coalesce(seat_key, '') <> all (full_seat)
      order by place limit 1 for update skip locked
    ) as candidate
    join plinth.job on job.ctid = candidate.ctid
    order by candidate.enqueued_at - candidate.priority * interval '10 minutes' limit 1;
    continue when not found;
    begins_at := pg_catalog.clock_timestamp();

    if rate is not null then
      insert into plinth.rate as known (binding, key, begun) values (of_binding, coalesce(found_job.rate_key, ''), '{}')
      on conflict (binding, key) do update set begun = array(
        select moment from pg_catalog.unnest(known.begun) as moment where moment > begins_at - per order by moment)
      returning begun into history;
      if pg_catalog.cardinality(history) >= rate
        or exists (select from plinth.rate
                   where binding = of_binding and key = coalesce(found_job.rate_key, '') and closed_until > begins_at) then
        exit when found_job.rate_key is null and not rate_is_keyed;
        full_rate := full_rate || coalesce(found_job.rate_key, '');
        if rate_turns and next_fair = coalesce(found_job.rate_key, '') then
          full_fair := full_fair || next_fair;
        end if;
        idle := 0;
        continue;
      end if;
    end if;
    if seats is not null then
      if (select pg_catalog.count(*) from plinth.seat
          where binding = of_binding and key = coalesce(found_job.seat_key, '')) >= seats then
        exit when found_job.seat_key is null and not seat_is_keyed;
        full_seat := full_seat || coalesce(found_job.seat_key, '');
        if seat_turns and next_fair = coalesce(found_job.seat_key, '') then
          full_fair := full_fair || next_fair;
        end if;
        idle := 0;
        continue;
      end if;
      insert into plinth.seat (job, binding, key) values (found_job.id, of_binding, coalesce(found_job.seat_key, ''));
    end if;
    if rate is not null then
      update plinth.rate set begun = history || begins_at
      where binding = of_binding and key = coalesce(found_job.rate_key, '');
    end if;

    if taken = 0 then
      perform plinth.hold(taker);
    end if;
    update plinth.job
    set state = 'r', attempt = attempt + 1, worker = taker, started_at = begins_at
    where id = found_job.id
    returning * into found_job;
    return next found_job;
    taken := taken + 1;
    idle := 0;
  end loop;

  insert into plinth.turn (binding, fair) values (of_binding, last_fair)
  on conflict (binding) do update set fair = excluded.fair where turn.fair <> excluded.fair;
end
$$;

-- ------------------------------------------------------------------ rights

-- What is generated from manifests: functions of triggers on people's tables.
create schema plinth_bindings authorization @owner@;
revoke all on schema plinth_bindings from public;

grant select, insert, update, delete on
  plinth.binding, plinth.worker, plinth.job, plinth.seat, plinth.rate, plinth.turn, plinth.step, plinth.leaving,
  plinth.job_done to @owner@;
grant usage, select on sequence plinth.job_number, plinth.binding_revision to @owner@;
revoke all on function plinth.binding_changed(), plinth.fence(boolean), plinth.hold(bigint), plinth.rotate_history(interval), plinth.leave(integer, text, boolean),
  plinth.cancel_jobs(bigint[], boolean), plinth.cancel_leaving(),
  plinth.take_limited(bigint, integer, integer, interval, integer, integer) from public;
grant execute on function plinth.fence(boolean), plinth.hold(bigint), plinth.rotate_history(interval), plinth.leave(integer, text, boolean),
  plinth.cancel_jobs(bigint[], boolean), plinth.cancel_leaving(),
  plinth.take_limited(bigint, integer, integer, interval, integer, integer) to @owner@;
