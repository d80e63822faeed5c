-- Ends jobs that have no steps, seats or callers, as the statement beside this one does.
with given as (
  select * from jsonb_to_recordset($1::jsonb) as given (id bigint, attempt integer, out jsonb)
), finished as (
  delete from plinth.job using given
  where job.id = any (array(select id from given)) and job.id = given.id and job.attempt = given.attempt and job.worker = $2
    and job.state = 'r' and not job.cancelled
    and not exists (select from plinth.leaving where leaving.job = given.id)
  returning job.*, given.out
), kept as (
  insert into plinth.job_done (id, binding, outcome, key, input, attempts, failures, error, out, enqueued_at, started_at)
  select id, binding, 'done', key, input, attempt, failures, error, out, enqueued_at, started_at
  from finished
  returning 1
)
select plinth.fence(count(*) = jsonb_array_length($1::jsonb)) from kept
