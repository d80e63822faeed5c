-- The first queued job of each turn: $1 and $2 list bindings and priorities, $3 is how many to find. This steps over all that
-- remains of ended jobs.
with recursive source as (
  select * from unnest((select $1::integer[]), (select $2::smallint[])) as source (binding, priority)
), turn (binding, fair) as (
  select wanted.binding, first.fair
  from (select distinct binding from source) as wanted
  cross join lateral (
    select fair from plinth.job where job.binding = wanted.binding and place is not null and state = 'q' order by fair limit 1
  ) as first
  union all
  select turn.binding, next.fair
  from turn
  cross join lateral (
    select fair from plinth.job
    where job.binding = turn.binding and job.fair > turn.fair and place is not null and state = 'q'
    order by fair limit 1
  ) as next
)
select turn.binding, turn.fair, source.priority, found.place
from turn
join source on source.binding = turn.binding
cross join lateral (
  select place from plinth.job
  where job.binding = turn.binding and job.fair = turn.fair and job.priority = source.priority and place is not null and state = 'q'
  order by place limit 1
) as found
limit (select $3::bigint)
