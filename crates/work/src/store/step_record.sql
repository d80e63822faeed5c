-- Journals a step of the job $1 (attempt $2 of worker $3). Fails when the job is not this worker's any more; a step that
-- is there stays as it is.
with mine as (
  select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
), written as (
  insert into plinth.step as known (job, name, state, result)
  select id, $4, 'd', $5::jsonb from mine
  on conflict (job, name) do update set state = 'd', result = excluded.result, noted = true, due_at = null, at = clock_timestamp()
  where known.state <> 'd'
)
select plinth.fence(count(*) = 1) from mine
