-- Makes dead jobs history: $1 ids, $2 binding, $3 key, $4 made in so many seconds, $5 limit.
with chosen as (
  select job.id from plinth.job
  where (cardinality($1::bigint[]) = 0 or job.id = any ($1::bigint[]))
    and ($2::text is null or job.binding = (select id from plinth.binding where name = $2))
    and ($3::text is null or job.key = $3)
    and ($4::double precision is null or job.enqueued_at >= now() - $4 * interval '1 second')
    and job.state = 'd'
  order by job.id
  limit $5::bigint
  for update skip locked
), gone as (
  delete from plinth.job using chosen where job.id = chosen.id returning job.*
), journal as (
  delete from plinth.step using gone where step.job = gone.id
  returning step.job, step.name, step.result, step.error, step.at
), kept as (
  insert into plinth.job_done
    (id, binding, outcome, key, input, attempts, failures, parent, error, steps, enqueued_at, started_at)
  select id, binding, 'discarded', key, input, attempt, failures, parent, error,
    (select jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', name, 'error', journal.error, 'at', at))
      || case when result is null then '{}' else jsonb_build_object('out', result) end order by at)
     from journal where journal.job = gone.id),
    enqueued_at, started_at
  from gone
  returning 1
)
select count(*) from kept
