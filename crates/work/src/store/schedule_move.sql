-- Moves the schedule $1 on and queues jobs for its ticks $7, each so many seconds late ($8). $2 to $5: hash of the spec
-- that this was read from, its pattern, the next tick (seconds since 1970, null: none), why there is none. It stands
-- where $6 and $9 say (hash and next tick; null: nowhere yet), or somebody else was faster and nothing happens.
with moved as (
  insert into plinth.schedule as known (binding, spec, pattern, next_at, tick_at, error)
  select id, $2::text, $3::text, to_timestamp($4::bigint), (select to_timestamp(max(tick)) from unnest($7::bigint[]) as tick), $5::text
  from plinth.binding where id = $1 and state = 'active' and md5(binding.spec::text) = $2
  on conflict (binding) do update
  set spec = excluded.spec, pattern = excluded.pattern, next_at = excluded.next_at,
    tick_at = coalesce(excluded.tick_at, known.tick_at), error = excluded.error
  where known.spec = $6::text and known.next_at is not distinct from to_timestamp($9::bigint)
  returning binding
), queued as (
  insert into plinth.job (binding, input, state, place, due_at)
  select moved.binding, jsonb_build_object('tick', to_timestamp(given.tick)),
    case when given.late > 0 then 'w' else 'q' end::"char",
    case when given.late > 0 then null else nextval('plinth.job_number') end,
    case when given.late > 0 then to_timestamp(given.tick) + given.late * interval '1 second' end
  from moved cross join (
    select tick, late from unnest($7::bigint[], $8::double precision[]) as given (tick, late) order by tick
  ) as given
  returning 1
)
select (select count(*) from moved), (select count(*) from queued)
