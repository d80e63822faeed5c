-- Ends jobs of worker $2 as `done`: $1 lists them as {id, attempt, out}. Fails, and with it all of its transaction, when
-- one of them is not this worker's any more: what it did must not overwrite what its successor does; or when its row left
-- while it was being taken.
--
-- Here and in the statements beside this one, rows are found by arrays and single values, for which PostgreSQL looks into an
-- index whatever it thinks of the size of tables.
with given as (
  select * from jsonb_to_recordset($1::jsonb) as given (id bigint, attempt integer, out jsonb)
), finished as (
  delete from plinth.job using given
  where job.id = any (array(select id from given)) and job.id = given.id and job.attempt = given.attempt and job.worker = $2 and job.state = 'r' and not job.cancelled
    and not exists (select from plinth.leaving where leaving.job = given.id)
  returning job.*, given.out
), seats as (
  delete from plinth.seat where job = any (array(select id from finished))
), journal as (
  delete from plinth.step where job = any (array(select id from finished))
  returning job, name, result, error, at
), awaited as (
  update plinth.step set state = 'd', result = finished.out, at = clock_timestamp()
  from finished
  where step.job = any (array(select parent from finished where parent is not null)) and step.job = finished.parent and step.child = finished.id and step.state = 'c'
  returning step.job
), woken as (
  -- Whatever its state was when this statement began: it may be parked at this moment.
  update plinth.job set due_at = case state when 'w' then clock_timestamp() else due_at end
  where id = any (array(select job from awaited))
), kept as (
  insert into plinth.job_done
    (id, binding, outcome, key, input, attempts, failures, parent, error, out, steps, enqueued_at, started_at)
  select id, binding, 'done', key, input, attempt, failures, parent, error, out,
    (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', name, 'error', journal.error, 'at', at))
      || case when result is null then '{}' else jsonb_build_object('out', result) end order by at)
     from journal where journal.job = finished.id),
    enqueued_at, started_at
  from finished
  returning 1
)
select plinth.fence(count(*) = jsonb_array_length($1::jsonb)) from kept
