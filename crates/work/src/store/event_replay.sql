-- Queues a job of the delivery $1 once more; $2 is its body as a value.
with kept as (
  select event.id, event.binding, event.event, event.headers
  from plinth.event join plinth.binding on binding.id = event.binding and binding.state <> 'removed'
  where event.id = $1
  for update of event
), queued as (
  insert into plinth.job (binding, input)
  select binding, jsonb_build_object('body', $2::jsonb, 'headers', headers, 'event', event) from kept
  returning id
)
update plinth.event set job = queued.id from queued where event.id = $1 returning event.job
