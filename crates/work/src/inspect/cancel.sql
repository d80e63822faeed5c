-- Ends jobs that wait, and tells those that run, with all that they called: $1 ids, $2 binding, $3 key, $4 made in so many
-- seconds, $5 limit, $6 states.
select ended, told from plinth.cancel_jobs(array(
  select job.id from plinth.job
  where (cardinality($1::bigint[]) = 0 or job.id = any ($1::bigint[]))
    and ($2::text is null or job.binding = (select id from plinth.binding where name = $2))
    and ($3::text is null or job.key = $3)
    and ($4::double precision is null or job.enqueued_at >= now() - $4 * interval '1 second')
    and job.state in ('q', 'w', 'r') and not job.cancelled
    and case job.state when 'q' then 'queued' when 'w' then 'waiting' else 'running' end = any ($6::text[])
  order by job.id
  limit $5::bigint
), true)
