-- Queues jobs whose time has come, behind what is queued already, at most $1 at once. The time is one
-- for the whole statement, or an index could not be asked for it.
update plinth.job
set state = 'q', due_at = null, place = nextval('plinth.job_number')
where ctid = any (array(
  select ctid from plinth.job where due_at <= statement_timestamp() order by due_at limit $1::integer for update skip locked))
returning binding, fair, priority, place
