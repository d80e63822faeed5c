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
  key     text not null,
  -- Grows, so that who counts need not step over what remains of those before the first one.
  number  bigint generated always as identity
);
comment on table plinth.seat is 'Running jobs, by the key that limits how many run at once';
create index seat_number_idx on plinth.seat (binding, number);

-- When jobs of bindings with a rate began. Nothing is counted twice here: those that are too old are behind all that are read.
create table plinth.beginning (
  binding integer not null,
  key     text not null,
  at      timestamptz not null,
  -- It counts until then.
  until   timestamptz not null
);
comment on table plinth.beginning is 'When jobs began, by the key that limits how many do in a time';
create index beginning_at_idx on plinth.beginning (binding, key, at);

-- Keys of which a provider said that none may begin for a time.
create table plinth.closed (
  binding integer not null,
  key     text not null,
  until   timestamptz not null,
  primary key (binding, key)
);

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
  -- done, cancelled or discarded. No check here either.
  outcome     text not null,
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

-- Fails, and with it what a worker does beside it in one transaction, when the worker's lease was lost meanwhile. Neither this
-- nor the next one sets a search path, which takes longer than what they do: nothing in them depends on one.
create function plinth.fence(holds boolean) returns boolean
language plpgsql
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
as $$
begin
  perform from plinth.worker
  where id operator(pg_catalog.=) taker and alive_until operator(pg_catalog.>=) pg_catalog.clock_timestamp() for share;
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
--
-- `fairs`, `priorities` and `places` say where to look, in the order of their turns, and from which place on: nothing steps
-- over what remains of the jobs before it. `depth` jobs of each are looked at. Where a job stays behind, the first one that
-- does is returned as well, still queued, with no more than its place. Seats are counted from the number `first_seat` on; the
-- last row is in the state s, and has the number of the first one in its place.
create function plinth.take_limited(
  taker bigint, of_binding integer, most integer, per interval, rate integer, seats integer,
  fairs text[], priorities smallint[], places bigint[], depth integer, first_seat bigint)
returns setof plinth.job
language plpgsql
set search_path = ''
as $$
declare
  asked_at  timestamptz;
  begins_at timestamptz;
  candidate record;
  known     jsonb := (select spec from plinth.binding where id = of_binding);
  rate_is_keyed constant boolean := coalesce(known #> '{limit,key}' is not null, false);
  seat_is_keyed constant boolean := coalesce(known #> '{concurrency,key}' is not null, false);
  -- Whether turns are taken by the key itself, so that all jobs of a turn have the same.
  rate_turns constant boolean := coalesce(not known ? 'fair', true);
  seat_turns constant boolean := rate_turns
    and (not rate_is_keyed or known #> '{limit,key}' = known #> '{concurrency,key}');
  -- Keys that have no room, and turns of which nothing can be taken. Jobs whose key is null share one, the empty text.
  full_rate text[] := '{}';
  full_seat text[] := '{}';
  full_fair text[] := '{}';
  -- No key has room, or there are enough.
  full_up   boolean := false;
  -- Jobs of this round, and their keys.
  chosen     bigint[];
  rate_keys  text[];
  seat_keys  text[];
  -- Whether there may be jobs of other keys behind those of a full one.
  behind    boolean;
  taken     integer := 0;
  ended     integer;
  stays     bigint[] := pg_catalog.array_fill(null::bigint, array[pg_catalog.cardinality(fairs)]);
  stayed    plinth.job;
begin
  -- Counting and taking of two takers must not interleave. Who comes second finds nothing this time.
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('plinth.take'), of_binding) then
    return;
  end if;

  loop
    asked_at := pg_catalog.clock_timestamp();
    chosen := '{}';
    rate_keys := '{}';
    seat_keys := '{}';
    behind := false;

    for candidate in
      with source as (
        select * from unnest(fairs, priorities, places) with ordinality as source (fair, priority, place, number)
      ), found as materialized (
        select source.number, source.fair, queued.id, queued.place, queued.rate_key, queued.seat_key,
          pg_catalog.row_number() over (
            partition by source.fair order by queued.enqueued_at - source.priority * interval '10 minutes', queued.place) as round
        from source
        cross join lateral (
          select id, place, coalesce(rate_key, '') as rate_key, coalesce(seat_key, '') as seat_key, enqueued_at
          from plinth.job
          where binding = of_binding and fair = source.fair and priority = source.priority and place >= source.place
            and state = 'q'
            and coalesce(rate_key, '') <> all (full_rate)
            and coalesce(seat_key, '') <> all (full_seat)
          order by place limit depth
        ) as queued
        where source.fair <> all (full_fair)
      ), rated as (
        select wanted.rate_key, case when closed.until > asked_at then 0 else rate - (
            select pg_catalog.count(*) from plinth.beginning
            where beginning.binding = of_binding and beginning.key = wanted.rate_key and beginning.at > asked_at - per) end as room
        from (select distinct found.rate_key from found where rate is not null) as wanted
        left join plinth.closed on closed.binding = of_binding and closed.key = wanted.rate_key
      ), seated as materialized (
        select seat.key, pg_catalog.count(*) as jobs from plinth.seat
        where seat.binding = of_binding and seat.number >= first_seat and seats is not null group by seat.key
      )
      select found.*, rated.room as rate_room, seats - coalesce(seated.jobs, 0) as seat_room
      from found
      left join rated on rated.rate_key = found.rate_key
      left join seated on seated.key = found.seat_key
      order by found.round, found.number
    loop
      if full_up or taken + pg_catalog.cardinality(chosen) >= most then
        full_up := true;
      elsif candidate.rate_room <= pg_catalog.cardinality(pg_catalog.array_positions(rate_keys, candidate.rate_key)) then
        if candidate.rate_key = '' and not rate_is_keyed then
          full_up := true;
        elsif rate_turns and candidate.fair = candidate.rate_key then
          full_fair := full_fair || candidate.fair;
        elsif candidate.rate_key <> all (full_rate) then
          full_rate := full_rate || candidate.rate_key;
          behind := true;
        end if;
      elsif candidate.seat_room <= pg_catalog.cardinality(pg_catalog.array_positions(seat_keys, candidate.seat_key)) then
        if candidate.seat_key = '' and not seat_is_keyed then
          full_up := true;
        elsif seat_turns and candidate.fair = candidate.seat_key then
          full_fair := full_fair || candidate.fair;
        elsif candidate.seat_key <> all (full_seat) then
          full_seat := full_seat || candidate.seat_key;
          behind := true;
        end if;
      else
        chosen := chosen || candidate.id;
        rate_keys := rate_keys || candidate.rate_key;
        seat_keys := seat_keys || candidate.seat_key;
        continue;
      end if;
      stays[candidate.number] := least(stays[candidate.number], candidate.place);
    end loop;

    if pg_catalog.cardinality(chosen) > 0 then
      perform plinth.hold(taker);
      -- Not before others were seen to have ended.
      begins_at := pg_catalog.clock_timestamp();
      return query
      with held as materialized (
        select ctid as at from plinth.job where id = any (chosen) and state = 'q' for update skip locked
      ), begun as (
        update plinth.job set state = 'r', attempt = attempt + 1, worker = taker, started_at = begins_at
        where ctid = any (array(select at from held))
        returning job.*
      ), seated as (
        insert into plinth.seat (job, binding, key)
        select id, of_binding, coalesce(seat_key, '') from begun where seats is not null
      ), rated as (
        insert into plinth.beginning (binding, key, at, until)
        select of_binding, coalesce(rate_key, ''), begins_at, begins_at + per from begun where rate is not null
      )
      select * from begun;
      get diagnostics ended = row_count;
      taken := taken + ended;
    end if;
    exit when full_up or not behind;
  end loop;

  stayed.id := 0;
  stayed.binding := of_binding;
  for turn in 1 .. pg_catalog.cardinality(fairs) loop
    continue when stays[turn] is null;
    stayed.state := 'q';
    stayed.fair := fairs[turn];
    stayed.priority := priorities[turn];
    stayed.place := stays[turn];
    return next stayed;
  end loop;
  if seats is not null then
    stayed.state := 's';
    stayed.place := coalesce(
      (select number from plinth.seat where binding = of_binding and number >= first_seat order by number limit 1), first_seat);
    return next stayed;
  end if;
end
$$;

-- ------------------------------------------------------------------ rights

-- What is generated from manifests: functions of triggers on people's tables.
create schema plinth_bindings authorization @owner@;
revoke all on schema plinth_bindings from public;

grant select, insert, update, delete on
  plinth.binding, plinth.worker, plinth.job, plinth.seat, plinth.beginning, plinth.closed, plinth.step, plinth.leaving,
  plinth.job_done to @owner@;
grant usage, select on sequence plinth.job_number, plinth.binding_revision to @owner@;
revoke all on function plinth.binding_changed(), plinth.fence(boolean), plinth.hold(bigint), plinth.rotate_history(interval), plinth.leave(integer, text, boolean),
  plinth.cancel_jobs(bigint[], boolean), plinth.cancel_leaving(),
  plinth.take_limited(bigint, integer, integer, interval, integer, integer, text[], smallint[], bigint[], integer, bigint) from public;
grant execute on function plinth.fence(boolean), plinth.hold(bigint), plinth.rotate_history(interval), plinth.leave(integer, text, boolean),
  plinth.cancel_jobs(bigint[], boolean), plinth.cancel_leaving(),
  plinth.take_limited(bigint, integer, integer, interval, integer, integer, text[], smallint[], bigint[], integer, bigint) to @owner@;
