-- Queues those of the jobs $2, in their attempts $3, that are still worker $1's: the answer to its claim, or to their end,
-- was lost.
with back as (
  update plinth.job
  set state = 'q', worker = null, place = nextval('plinth.job_number')
  from unnest($2::bigint[], $3::integer[]) as lost (id, attempt)
  where job.id = any ($2::bigint[]) and job.id = lost.id and job.attempt = lost.attempt and job.state = 'r' and job.worker = $1
  returning job.id
), seats as (
  delete from plinth.seat where job = any (array(select id from back))
)
select id from back
