-- Queues dead jobs again, and waiting ones that are named: $1 ids, $2 binding, $3 key, $4 made in so many seconds, $5 limit.
with chosen as (
  select job.id from plinth.job
  where (cardinality($1::bigint[]) = 0 or job.id = any ($1::bigint[]))
    and ($2::text is null or job.binding = (select id from plinth.binding where name = $2))
    and ($3::text is null or job.key = $3)
    and ($4::double precision is null or job.enqueued_at >= now() - $4 * interval '1 second')
    and (job.state = 'd' or job.state = 'w' and cardinality($1::bigint[]) > 0)
  order by job.id
  limit $5::bigint
  for update skip locked
), queued as (
  update plinth.job
  set state = 'q', place = nextval('plinth.job_number'), due_at = null, failures = 0
  from chosen where job.id = chosen.id
  returning job.id
)
select count(*) from queued
