-- Has a step of the job $1 (attempt $2 of worker $3) wait: for $6 seconds ('s'), for the event $7 with the key $8 at most
-- so long ('e').
with mine as (
  select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
), written as (
  insert into plinth.step (job, name, state, noted, due_at, event, event_key)
  select id, $4, $5::"char", false, clock_timestamp() + $6::double precision * interval '1 second', $7, $8 from mine
  on conflict (job, name) do nothing
)
select plinth.fence(count(*) = 1) from mine
