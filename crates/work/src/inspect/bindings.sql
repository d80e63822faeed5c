-- Every binding with how many jobs of it are in which state.
select jsonb_build_object(
  'name', binding.name, 'kind', binding.kind, 'state', binding.state, 'source', binding.source,
  'action', binding.spec->>'action', 'changed_at', binding.changed_at,
  'queued', coalesce(jobs.queued, 0), 'waiting', coalesce(jobs.waiting, 0), 'running', coalesce(jobs.running, 0),
  'dead', coalesce(jobs.dead, 0), 'oldest_seconds', round(extract(epoch from now() - jobs.oldest), 1))
from plinth.binding
left join (
  select job.binding,
    count(*) filter (where state = 'q') as queued, count(*) filter (where state = 'w') as waiting,
    count(*) filter (where state = 'r') as running, count(*) filter (where state = 'd') as dead,
    min(enqueued_at) filter (where state in ('q', 'w')) as oldest
  from plinth.job group by 1
) as jobs on jobs.binding = binding.id
where binding.state <> 'removed' or jobs.binding is not null
order by binding.name
