-- All that is known of the job $1. Where each attempt reads its input, nothing keeps it: `input_query` says how it does.
select to_jsonb(found) from (
  select job.id, binding.name as binding, binding.state as binding_state,
    case job.state when 'q' then 'queued' when 'w' then 'waiting' when 'r' then 'running' when 'd' then 'dead' end as state,
    job.key, job.input,
    case when job.input is null then binding.spec->>'input' end as input_query, null::jsonb as out, job.attempt as attempts, job.failures, job.error, job.priority, job.parent,
    job.enqueued_at, job.started_at, job.due_at, null::timestamptz as finished_at, worker.name as worker, job.cancelled,
    (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
        'name', step.name, 'state', case step.state when 'd' then 'done' when 's' then 'sleeping' when 'e' then 'waiting for an event' when 'c' then 'waiting for a job' end,
        'error', step.error, 'event', step.event, 'job', step.child, 'due_at', step.due_at, 'at', step.at))
        || case when step.result is null then '{}' else jsonb_build_object('out', step.result) end order by step.at)
     from plinth.step where step.job = job.id) as steps
  from plinth.job
  left join plinth.binding on binding.id = job.binding
  left join plinth.worker on worker.id = job.worker
  where job.id = $1::bigint
  union all
  select job.id, binding.name, binding.state, job.outcome, job.key, job.input,
    case when job.input is null then binding.spec->>'input' end, job.out, job.attempts, job.failures, job.error, null,
    job.parent, job.enqueued_at, job.started_at, null, job.finished_at, null, false, job.steps
  from plinth.job_done as job
  left join plinth.binding on binding.id = job.binding
  where job.id = $1::bigint
) as found
limit 1
