-- Why: a look at one turn with many keys without room took minutes, in which nobody else took jobs of its binding. It is bounded
-- now, and says where the next one goes on.
set local search_path = '';

-- Takes up to `most` jobs of one binding in turns across `fair`, as far as its limits leave room: at most `rate` beginnings
-- of a key in any `per`, at most `seats` jobs of a key at once (null: no such limit). Priority counts as ten minutes of
-- waiting a level, so that nothing waits for ever.
--
-- `fairs`, `priorities` and `places` say where to look, in the order of their turns, and from which place on: nothing steps
-- over what remains of the jobs before it. `depth` jobs of each are looked at, and more where keys are full that others may
-- be behind, in a few laps: who takes jobs keeps others from it, and must not do so for long. Seats are counted from the
-- number `first_seat` on.
--
-- Beside the jobs that were taken, rows with no more than a place say what was found: in the state q, the first job of a
-- turn that stays behind; in the state c, from where on those of a turn were not looked at; in the state s, the number of
-- the first seat; in the state x, that no key has room.
create or replace function plinth.take_limited(
  taker bigint, of_binding integer, most integer, per interval, rate integer, seats integer,
  fairs text[], priorities smallint[], places bigint[], depth integer, first_seat bigint)
returns setof plinth.job
language plpgsql
set search_path = ''
as $$
declare
  most_laps constant integer := 8;
  -- Jobs of a turn that one lap looks at.
  most_looked_at constant integer := greatest(depth, 1000 / greatest(1, pg_catalog.cardinality(fairs)));
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
  nothing   constant bigint[] := pg_catalog.array_fill(null::bigint, array[pg_catalog.cardinality(fairs)]);
  -- Turns of which nothing can be taken.
  full_fair text[] := '{}';
  -- There are enough, or no key has room.
  full_up   boolean := false;
  no_room   boolean := false;
  -- Jobs of this lap, and their keys. Those whose key is null share one, the empty text.
  chosen     bigint[];
  rate_keys  text[];
  seat_keys  text[];
  -- Where the turns go on after this lap, how many of their jobs it read, and whether one stayed for its key, behind which
  -- others may be.
  go_on     bigint[] := places;
  read      bigint[];
  last      bigint[];
  behind    bigint[];
  taken     integer := 0;
  got       integer;
  -- The first job of each turn that stays, and the first one that was not looked at.
  stays     bigint[] := nothing;
  unseen    bigint[] := nothing;
  said      plinth.job;
begin
  -- Counting and taking of two takers must not interleave. Who comes second finds nothing this time.
  if not pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtext('plinth.take'), of_binding) then
    return;
  end if;

  for lap in 1 .. most_laps loop
    asked_at := pg_catalog.clock_timestamp();
    chosen := '{}';
    rate_keys := '{}';
    seat_keys := '{}';
    read := nothing;
    last := nothing;
    behind := nothing;

    for candidate in
      with source as (
        select * from unnest(fairs, priorities, go_on) with ordinality as source (fair, priority, place, number)
        where source.place is not null
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
          order by place limit depth
        ) as queued
      ), counted as (
        -- No join: the statement is planned for a few jobs and would count again for each pair of them.
        select found.*, pg_catalog.row_number() over (partition by found.rate_key) as nth from found
      ), rated as (
        select counted.*, pg_catalog.max(
            case when rate is null or counted.nth > 1 then null
              when exists (
                select from plinth.closed
                where closed.binding = of_binding and closed.key = counted.rate_key and closed.until > asked_at) then 0
              else rate - (
                select pg_catalog.count(*) from plinth.beginning
                where beginning.binding = of_binding and beginning.key = counted.rate_key and beginning.at > asked_at - per) end
          ) over (partition by counted.rate_key) as rate_room
        from counted
      ), seated as materialized (
        select seat.key, pg_catalog.count(*) as jobs from plinth.seat
        where seat.binding = of_binding and seat.number >= first_seat and seats is not null group by seat.key
      )
      select rated.*, seats - coalesce(seated.jobs, 0) as seat_room
      from rated
      left join seated on seated.key = rated.seat_key
      order by rated.round, rated.number
    loop
      read[candidate.number] := coalesce(read[candidate.number], 0) + 1;
      last[candidate.number] := greatest(last[candidate.number], candidate.place);
      if full_up or taken + pg_catalog.cardinality(chosen) >= most then
        full_up := true;
        unseen[candidate.number] := least(unseen[candidate.number], candidate.place);
      elsif candidate.rate_room <= pg_catalog.cardinality(pg_catalog.array_positions(rate_keys, candidate.rate_key)) then
        if candidate.rate_key = '' and not rate_is_keyed then
          full_up := true;
          no_room := true;
        elsif rate_turns and candidate.fair = candidate.rate_key then
          full_fair := full_fair || candidate.fair;
        else
          behind[candidate.number] := 1;
        end if;
      elsif candidate.seat_room <= pg_catalog.cardinality(pg_catalog.array_positions(seat_keys, candidate.seat_key)) then
        if candidate.seat_key = '' and not seat_is_keyed then
          full_up := true;
          no_room := true;
        elsif seat_turns and candidate.fair = candidate.seat_key then
          full_fair := full_fair || candidate.fair;
        else
          behind[candidate.number] := 1;
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

    for turn in 1 .. pg_catalog.cardinality(fairs) loop
      go_on[turn] := case when behind[turn] = 1 and read[turn] >= depth and fairs[turn] <> all (full_fair) then last[turn] + 1 end;
    end loop;
    depth := least(2 * depth, most_looked_at);
    exit when full_up or pg_catalog.cardinality(pg_catalog.array_remove(go_on, null)) = 0;
  end loop;

  said.id := 0;
  said.binding := of_binding;
  for turn in 1 .. pg_catalog.cardinality(fairs) loop
    continue when stays[turn] is null;
    said.fair := fairs[turn];
    said.priority := priorities[turn];
    said.state := 'q';
    said.place := stays[turn];
    return next said;
    said.place := least(unseen[turn], go_on[turn]);
    if said.place is not null and not no_room then
      said.state := 'c';
      return next said;
    end if;
  end loop;
  if no_room then
    said.state := 'x';
    return next said;
  end if;
  if seats is not null then
    said.state := 's';
    said.place := coalesce(
      (select number from plinth.seat where binding = of_binding and number >= first_seat order by number limit 1), first_seat);
    return next said;
  end if;
end
$$;
