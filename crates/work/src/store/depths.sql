-- Unfinished jobs by binding and state, with the age of the oldest. The bindings with the most, up to a bound.
select coalesce(binding.name, '?'),
  case counted.state when 'q' then 'queued' when 'w' then 'waiting' when 'r' then 'running' else 'dead' end,
  jobs, oldest
from (
  select job.binding, job.state, count(*) as jobs, extract(epoch from clock_timestamp() - min(job.enqueued_at)) as oldest
  from plinth.job group by 1, 2 order by 3 desc limit 500
) as counted
left join plinth.binding on binding.id = counted.binding
order by 1, 2
