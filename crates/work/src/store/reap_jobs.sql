-- Queues the jobs of workers whose lease was ended by the statement before: its snapshot would not have all of them. It
-- counts as a failure, or what kills its worker would do so for ever. A job that is being ended at the moment is passed
-- over, and its worker with it until then: who keeps a lease must not wait for people's SQL. No index has jobs by worker,
-- so nothing is looked at unless there is such a worker.
with lost as (
  select job.id, worker.name
  from plinth.job join plinth.worker on worker.id = job.worker
  where worker.alive_until = '-infinity' and job.state = 'r'
    and (select exists (select from plinth.worker where alive_until = '-infinity'))
  for update of job skip locked
), back as (
  update plinth.job
  set state = 'q', worker = null, place = nextval('plinth.job_number'), failures = failures + 1,
    error = 'the lease of worker ' || lost.name || ' ran out'
  from lost where job.id = any (array(select id from lost)) and job.id = lost.id
  returning job.id
), seats as (
  delete from plinth.seat where job = any (array(select id from back))
)
select count(*) from back
