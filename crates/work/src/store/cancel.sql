-- Ends the job $1 (attempt $2 of worker $3) as cancelled, if somebody has cancelled it, or wanted to while it was held, or
-- its row is gone ($4).
with gone as (
  delete from plinth.job
  where id = $1 and attempt = $2 and worker = $3 and state = 'r' and (cancelled or $4::boolean or exists (select from plinth.leaving where leaving.job = $1))
  returning *
), seats as (
  delete from plinth.seat where job = (select id from gone)
), journal as (
  delete from plinth.step where job = (select id from gone)
  returning job, name, result, error, at
), awaited as (
  update plinth.step set state = 'd', error = 'cancelled', at = clock_timestamp()
  where job = (select parent from gone) and child = $1 and state = 'c'
  returning job
), woken as (
  -- Whatever its state was when this statement began: it may be parked at this moment.
  update plinth.job set due_at = case state when 'w' then clock_timestamp() else due_at end
  where id = any (array(select job from awaited))
)
insert into plinth.job_done
  (id, binding, outcome, key, input, attempts, failures, parent, error, steps, enqueued_at, started_at)
select id, binding, 'cancelled', key, input, attempt, failures, parent, error,
  (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', name, 'error', journal.error, 'at', at))
      || case when result is null then '{}' else jsonb_build_object('out', result) end order by at)
   from journal where journal.job = gone.id),
  enqueued_at, started_at
from gone
returning 1
