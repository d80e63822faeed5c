-- Has a step of the job $1 (attempt $2 of worker $3) wait for a new job of the binding named $5 with the input $6.
with mine as (
  select id from plinth.job where id = $1 and attempt = $2 and worker = $3 and state = 'r' and not cancelled for update
), callee as (
  select binding.id from plinth.binding, mine
  where binding.name = $5 and binding.state <> 'removed'
    and not exists (select from plinth.step where job = $1 and name = $4)
), child as (
  insert into plinth.job (binding, input, parent) select id, $6::jsonb, $1 from callee returning id
), written as (
  insert into plinth.step (job, name, state, child) select $1, $4, 'c', id from child
)
select plinth.fence(count(*) = 1) from mine
