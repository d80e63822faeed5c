-- Keeps worker $1 alive for $2 more seconds unless its lease is over; tells which of its jobs $3 were cancelled, and
-- what has changed since.
with alive as (
  update plinth.worker set alive_until = clock_timestamp() + $2 * interval '1 second'
  where id = $1 and alive_until >= clock_timestamp()
  returning id
)
select (select count(*) from alive),
  array(select id from plinth.job where id = any ($3::bigint[]) and worker = $1 and cancelled),
  (select last_value from plinth.binding_revision)
