-- Takes up to $7 queued jobs. $2 to $6 say where to look: bindings, priorities, from which place to before which, how many.
-- Places below the beginning hold jobs that are gone: stepping over what remains of them in the index is what makes
-- queues slow beside an old open transaction.
--
-- The values are subqueries so that a plan that knows them seems no better than one that does not: planning this for every
-- look takes longer than looking.
with source as (
  select *
  from unnest((select $2::integer[]), (select $3::smallint[]), (select $4::bigint[]), (select $5::bigint[]), (select $6::integer[]))
    as source (binding, priority, place, until, most)
), found as materialized (
  select found.at
  from source
  cross join lateral (
    -- Ten minutes of waiting are worth a priority, so that nothing waits for ever.
    select ctid as at, enqueued_at - job.priority * interval '10 minutes' as rank
    from plinth.job
    where job.binding = source.binding and job.fair = '' and job.priority = source.priority
      and job.place >= source.place and job.place < source.until and job.state = 'q'
    order by job.place
    limit source.most
    for update skip locked
  ) as found
  order by rank
  limit (select $7::bigint)
)
update plinth.job
-- As a subquery, which runs once, and not at all where nothing was found: looks that find nothing write nothing.
set state = 'r', attempt = attempt + 1, worker = (select plinth.hold($1)), started_at = clock_timestamp()
where ctid = any (array(select at from found))
returning id, binding, priority, place, key, input, attempt, failures, extract(epoch from clock_timestamp() - enqueued_at),
  exists (select from plinth.step where step.job = job.id), parent is null
