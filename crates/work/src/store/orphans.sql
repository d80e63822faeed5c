-- Queues the jobs of worker $1 that it does not know of ($2 are those that it knows): the answer to its claim was lost.
with back as (
  update plinth.job
  set state = 'q', worker = null, place = nextval('plinth.job_number')
  where state = 'r' and worker = $1 and id <> all ($2::bigint[])
  returning id
), seats as (
  delete from plinth.seat using back where seat.job = back.id
)
select id from back
