-- Has a step of the job $1 (attempt $2 of worker $3) wait for a new job of the binding named $5 with the input $6, for the
-- row with the key $7. Says whether there is such a binding.
with mine as (
  select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
), fenced as (
  select plinth.fence(count(*) = 1) as holds from mine
), known as (
  select from plinth.step where job = $1 and name = $4
), child as materialized (
  select plinth.add_job($5, $7, $6::jsonb, $1) as id from fenced where holds and not exists (select from known)
), written as (
  insert into plinth.step (job, name, state, child, noted) select $1, $4, 'c', id, false from child where id is not null
  returning 1
)
select exists (select from known) or exists (select from written) from fenced where holds
