-- Queues the jobs of workers whose lease is over. It counts as a failure, or what kills its worker would do so for ever.
with lost as (
  delete from plinth.worker
  where id in (select id from plinth.worker where alive_until < clock_timestamp() for update skip locked)
  returning id, name
), back as (
  update plinth.job
  set state = 'q', worker = null, place = nextval('plinth.job_number'), failures = failures + 1,
    error = 'the lease of worker ' || lost.name || ' ran out'
  from lost where job.state = 'r' and job.worker = lost.id
  returning job.id
), seats as (
  delete from plinth.seat using back where seat.job = back.id
)
select (select count(*) from lost), (select count(*) from back)
