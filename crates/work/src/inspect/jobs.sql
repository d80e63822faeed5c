-- Jobs of the live table and of history: $1 ids (all when empty), $2 binding, $3 key, $4 made in so many seconds, $5 limit,
-- $6 states.
select to_jsonb(found) from (
  select job.id, binding.name as binding, job.state, job.key, job.attempts, job.failures, job.enqueued_at, job.started_at,
    job.due_at, job.finished_at, job.error
  from (
    select id, binding, key, attempt as attempts, failures, enqueued_at, started_at, due_at, null::timestamptz as finished_at, error,
      case state when 'q' then 'queued' when 'w' then 'waiting' when 'r' then 'running' when 'd' then 'dead' end as state
    from plinth.job
    union all
    select id, binding, key, attempts, failures, enqueued_at, started_at, null, finished_at, error, outcome
    from plinth.job_done
  ) as job
  left join plinth.binding on binding.id = job.binding
  where (cardinality($1::bigint[]) = 0 or job.id = any ($1::bigint[]))
    and ($2::text is null or binding.name = $2)
    and ($3::text is null or job.key = $3)
    and ($4::double precision is null or job.enqueued_at >= now() - $4 * interval '1 second')
    and job.state = any ($6::text[])
  order by job.id desc
  limit $5::bigint
) as found
