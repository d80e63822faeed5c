-- Queued jobs in front of places: $1 to $3 list bindings, priorities and those places, $4 is how many of each to find. This
-- steps over all that remains of ended jobs.
with source as (
  select *
  from unnest((select $1::integer[]), (select $2::smallint[]), (select $3::bigint[])) as source (binding, priority, until)
)
select source.binding, source.priority, found.place
from source
cross join lateral (
  select place
  from plinth.job
  where job.binding = source.binding and job.fair = '' and job.priority = source.priority
    and job.place < source.until and job.state = 'q'
  order by job.place
  limit (select $4::bigint)
) as found
