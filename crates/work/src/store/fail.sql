-- Puts the job $1 (attempt $2 of worker $3) back: waiting until $4 seconds from now, or dead when that is null. $5: why;
-- $6: whether the attempt counts. Fails when it is not this worker's any more.
with failed as (
  update plinth.job
  set state = case when $4::double precision is null then 'd' else 'w' end::"char", place = null, worker = null,
    due_at = clock_timestamp() + $4::double precision * interval '1 second',
    failures = failures + $6::integer, error = left($5, 10000)
  where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled
    and not exists (select from plinth.leaving where leaving.job = $1)
  returning id, parent, state, error
), seats as (
  delete from plinth.seat where job = (select id from failed)
), awaited as (
  update plinth.step set state = 'd', error = (select error from failed), at = clock_timestamp()
  where job = (select parent from failed where state = 'd') and child = $1 and state = 'c'
  returning job
), woken as (
  -- Whatever its state was when this statement began: it may be parked at this moment.
  update plinth.job set due_at = case state when 'w' then clock_timestamp() else due_at end
  where id = any (array(select job from awaited))
)
select plinth.fence(count(*) = 1) from failed
