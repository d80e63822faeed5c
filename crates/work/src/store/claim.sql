-- Takes up to $6 queued jobs. $2 to $5 say where to look: bindings, priorities, the place to begin at, how many of each.
-- Places below the beginning hold jobs that are gone: stepping over what remains of them in the index is what makes
-- queues slow beside an old open transaction.
with source as (
  select * from unnest($2::integer[], $3::smallint[], $4::bigint[], $5::integer[]) as source (binding, priority, place, most)
), found as materialized (
  select found.at
  from source
  cross join lateral (
    -- Ten minutes of waiting are worth a priority, so that nothing waits for ever.
    select ctid as at, enqueued_at - job.priority * interval '10 minutes' as rank
    from plinth.job
    where job.binding = source.binding and job.fair = '' and job.priority = source.priority
      and job.place >= source.place and job.state = 'q'
    order by job.place
    limit source.most
    for update skip locked
  ) as found
  order by rank
  limit $6
)
update plinth.job
-- As a subquery, which runs once, and not at all where nothing was found: looks that find nothing write nothing.
set state = 'r', attempt = attempt + 1, worker = (select plinth.hold($1)), started_at = clock_timestamp()
where ctid = any (array(select at from found))
returning id, binding, priority, place, key, input, attempt, failures, extract(epoch from clock_timestamp() - enqueued_at),
  exists (select from plinth.step where step.job = job.id)
