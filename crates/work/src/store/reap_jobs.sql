-- Queues the jobs of workers whose lease was ended by the statement before: its snapshot would not have all of them. It
-- counts as a failure, or what kills its worker would do so for ever.
with back as (
  update plinth.job
  set state = 'q', worker = null, place = nextval('plinth.job_number'), failures = failures + 1,
    error = 'the lease of worker ' || worker.name || ' ran out'
  from plinth.worker where worker.alive_until = '-infinity' and job.state = 'r' and job.worker = worker.id
  returning job.id
), seats as (
  delete from plinth.seat using back where seat.job = back.id
)
select count(*) from back
