-- Has queued jobs wait where somebody looks for them: those that were held when the manifest changed keep the turn and the
-- priority that they had. $1 lists bindings as this engine looks for their jobs, {id, priorities, limited}. That may be as it
-- was before a change, so nothing is done that the binding does not want either. $2 is how many at most.
with known as (
  select given.id, given.priorities, given.limited or binding.spec ?| array['fair', 'limit', 'concurrency'] as limited,
    case jsonb_typeof(binding.spec -> 'priority') when 'number' then (binding.spec ->> 'priority')::smallint end as fixed,
    coalesce(jsonb_typeof(binding.spec -> 'priority'), '') = 'string' as any_priority
  from jsonb_to_recordset($1::jsonb) as given (id integer, priorities smallint[], limited boolean)
  join plinth.binding on binding.id = given.id
), astray as (
  select job.id, case when job.priority = any (known.priorities) then job.priority else known.priorities[1] end as priority,
    case when known.limited then job.fair else '' end as fair
  from plinth.job join known on known.id = job.binding
  where job.state = 'q'
    and (job.fair <> '' and not known.limited
      or job.priority <> all (known.priorities) and not known.any_priority and job.priority is distinct from known.fixed)
  limit $2::bigint
  for update of job skip locked
), moved as (
  update plinth.job set priority = astray.priority, fair = astray.fair
  from astray where job.id = any (array(select id from astray)) and job.id = astray.id
  returning 1
)
select count(*) from moved
