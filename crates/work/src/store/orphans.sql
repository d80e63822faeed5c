-- Queues those of the jobs $1 that their workers $3 still have in the attempts $2: the answer to a claim, or to their end,
-- was lost, or the worker is gone.
with back as (
  update plinth.job
  set state = 'q', worker = null, place = nextval('plinth.job_number')
  from unnest($1::bigint[], $2::integer[], $3::bigint[]) as lost (id, attempt, worker)
  where job.id = any ($1::bigint[]) and job.id = lost.id and job.attempt = lost.attempt and job.state = 'r' and job.worker = lost.worker
  returning job.id
), seats as (
  delete from plinth.seat where job = any (array(select id from back))
)
select id from back
