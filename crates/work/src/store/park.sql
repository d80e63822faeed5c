-- Lets the job $1 (attempt $2 of worker $3) wait for its steps $4, of which some may be done by now. The job was locked by
-- the statement before, so that whoever ends a step comes before this one's snapshot or finds the job parked.
with parked as (
  update plinth.job
  set state = 'w', place = null, worker = null,
    due_at = case
      when exists (select from plinth.step where step.job = $1 and name = any ($4::text[]) and step.state = 'd') then clock_timestamp()
      else (select min(step.due_at) from plinth.step where step.job = $1 and name = any ($4::text[])) end
  where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled
  returning id
), seats as (
  delete from plinth.seat where job = (select id from parked)
)
select plinth.fence(count(*) = 1) from parked
