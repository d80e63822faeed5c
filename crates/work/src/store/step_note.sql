-- Has the job $1 (attempt $2 of worker $3) take note of the end of its step $4. Fails when the job is not this worker's any
-- more, or somebody has taken note of it before.
with mine as (
  select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
), noted as (
  update plinth.step set noted = true from mine
  where step.job = mine.id and step.name = $4 and step.state = 'd' and not step.noted
  returning 1
)
select plinth.fence(count(*) = 1) from noted
