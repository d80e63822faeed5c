-- Queues jobs whose time has come, behind what is queued already, at most $1 at once.
update plinth.job
set state = 'q', due_at = null, place = nextval('plinth.job_number')
where ctid = any (array(
  select ctid from plinth.job where due_at <= clock_timestamp() order by due_at limit $1::integer for update skip locked))
returning binding, fair, priority, place
