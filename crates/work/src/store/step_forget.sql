-- Forgets a step of the job $1 (attempt $2 of worker $3) that failed, so that the next attempt does it again.
with mine as (
  select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
), gone as (
  delete from plinth.step using mine where step.job = mine.id and step.name = $4 and step.state = 'd' and step.error is not null
)
select plinth.fence(count(*) = 1) from mine
