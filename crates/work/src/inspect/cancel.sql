-- Ends jobs that wait, and tells those that run: $1 ids, $2 binding, $3 key, $4 made in so many seconds, $5 limit, $6 states.
-- A job that somebody holds at the moment is being taken or ended; it is left out.
with chosen as (
  select job.id, job.state from plinth.job
  where (cardinality($1::bigint[]) = 0 or job.id = any ($1::bigint[]))
    and ($2::text is null or job.binding = (select id from plinth.binding where name = $2))
    and ($3::text is null or job.key = $3)
    and ($4::double precision is null or job.enqueued_at >= now() - $4 * interval '1 second')
    and job.state in ('q', 'w', 'r')
    and case job.state when 'q' then 'queued' when 'w' then 'waiting' else 'running' end = any ($6::text[])
  order by job.id
  limit $5::bigint
  for update skip locked
), gone as (
  delete from plinth.job using chosen where job.id = chosen.id and chosen.state <> 'r' returning job.*
), told as (
  update plinth.job set cancelled = true from chosen
  where job.id = chosen.id and chosen.state = 'r' and not job.cancelled returning job.id
), journal as (
  delete from plinth.step using gone where step.job = gone.id
  returning step.job, step.name, step.result, step.error, step.at
), awaited as (
  update plinth.step set state = 'd', error = 'cancelled', at = clock_timestamp()
  from gone where step.job = gone.parent and step.child = gone.id and step.state = 'c'
  returning step.job
), woken as (
  update plinth.job set due_at = clock_timestamp() from awaited where job.id = awaited.job and job.state = 'w'
), kept as (
  insert into plinth.job_done
    (id, binding, outcome, key, input, attempts, failures, parent, error, steps, enqueued_at, started_at)
  select id, binding, 'cancelled', key, input, attempt, failures, parent, error,
    (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', name, 'out', result, 'error', journal.error, 'at', at)) order by at)
     from journal where journal.job = gone.id),
    enqueued_at, started_at
  from gone
  returning 1
)
select (select count(*) from kept), (select count(*) from told)
