-- Keeps a delivery to the hook $1 and queues its job, unless it was kept before. $2 is the version of the binding that it
-- was verified by: with another one nothing happens, and the first number is 0. $3 id, $4 headers, $5 body as it came,
-- $6 the same as a value. One statement: who sees the delivery kept sees its job.
with hook as (
  select id from plinth.binding where id = $1 and xmin::text = $2::text and state <> 'removed'
), stored as (
  insert into plinth.event (binding, event, headers, body, job)
  select id, $3::text, $4::jsonb, $5::bytea, nextval('plinth.job_number') from hook
  on conflict (binding, event) do nothing
  returning binding, event, headers, job
), queued as (
  insert into plinth.job (id, binding, input)
  select job, binding, jsonb_build_object('body', $6::jsonb, 'headers', headers, 'event', event) from stored
  returning 1
)
select (select count(*) from hook), (select count(*) from queued)
