-- Why: bindings that limit how many of their jobs begin, or run at once, and take turns across a key, hold their rate for days:
-- nothing that is asked again and again steps over what is gone.
set local search_path = '';

-- Engines know now whose turn it is, and the beginnings of a key are rows of their own.
drop table plinth.rate, plinth.turn;
drop function plinth.take_limited(bigint, integer, integer, interval, integer, integer);

-- Who counts need not step over what remains of those before the first one.
alter table plinth.seat add column number bigint generated always as identity;
comment on table plinth.seat is 'Running jobs of bindings that limit how many run at once, by the key that the limit counts by';
drop index plinth.seat_key_idx;
create index seat_number_idx on plinth.seat (binding, number);

-- When jobs of bindings with a rate began. Those that are too old are behind all that are read.
create table plinth.beginning (
  binding integer not null,
  key     text not null,
  at      timestamptz not null,
  -- It counts until then.
  until   timestamptz not null
);
comment on table plinth.beginning is 'When jobs began, by the key that limits how many do in a time';
create index beginning_at_idx on plinth.beginning (binding, key, at);

create table plinth.closed (
  binding integer not null,
  key     text not null,
  until   timestamptz not null,
  primary key (binding, key)
);
comment on table plinth.closed is 'Keys of which a provider said that no job may begin for a time';

-- Takes up to `most` jobs of one binding in turns across `fair`, as far as its limits leave room: at most `rate` beginnings
-- of a key in any `per`, at most `seats` jobs of a key at once (null: no such limit). Priority counts as ten minutes of
-- waiting a level, so that nothing waits for ever.
--
-- `fairs`, `priorities` and `places` say where to look, in the order of their turns, and from which place on: nothing steps
-- over what remains of the jobs before it. `depth` jobs of each are looked at. Where a job stays behind, the first one that
-- does is returned as well, still queued, with no more than its place. Seats are counted from the number `first_seat` on; a
-- row in the state s has the number of the first one in its place. One in the state x says that no key has room.
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
  -- There are enough, or no key has room.
  full_up   boolean := false;
  no_room   boolean := false;
  -- Jobs of this round, and their keys.
  chosen     bigint[];
  rate_keys  text[];
  seat_keys  text[];
  -- Whether there may be jobs of other keys behind those of a full one.
  behind    boolean;
  taken     integer := 0;
  got       integer;
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
          no_room := true;
        elsif rate_turns and candidate.fair = candidate.rate_key then
          full_fair := full_fair || candidate.fair;
        elsif candidate.rate_key <> all (full_rate) then
          full_rate := full_rate || candidate.rate_key;
          behind := true;
        end if;
      elsif candidate.seat_room <= pg_catalog.cardinality(pg_catalog.array_positions(seat_keys, candidate.seat_key)) then
        if candidate.seat_key = '' and not seat_is_keyed then
          full_up := true;
          no_room := true;
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
      get diagnostics got = row_count;
      taken := taken + got;
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
  if no_room then
    stayed.state := 'x';
    return next stayed;
  end if;
  if seats is not null then
    stayed.state := 's';
    stayed.place := coalesce(
      (select number from plinth.seat where binding = of_binding and number >= first_seat order by number limit 1), first_seat);
    return next stayed;
  end if;
end
$$;

-- ------------------------------------------------------------------ the end of a job

-- Only ends are written there, and only by us.
alter table plinth.job_done drop constraint job_done_outcome_check;

-- Neither of these sets a search path, which takes longer than what they do: nothing in them depends on one.
create or replace function plinth.fence(holds boolean) returns boolean
language plpgsql
as $$
begin
  if not holds then
    raise exception 'the job is not this worker''s any more' using errcode = 'PLF01';
  end if;
  return true;
end
$$;

create or replace function plinth.hold(taker bigint) returns bigint
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

-- ------------------------------------------------------------------ rights

grant select, insert, update, delete on plinth.beginning, plinth.closed to @owner@;
revoke all on function plinth.take_limited(bigint, integer, integer, interval, integer, integer, text[], smallint[], bigint[], integer, bigint) from public;
grant execute on function plinth.take_limited(bigint, integer, integer, interval, integer, integer, text[], smallint[], bigint[], integer, bigint) to @owner@;
