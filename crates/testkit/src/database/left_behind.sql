-- What a test left in its database. Workers of the server itself (autovacuum) come and go by themselves.
select format('session %s of %s (%s), last: %s', pid, usename, coalesce(nullif(application_name, ''), backend_type),
              left(query, 120))
from pg_stat_activity
where datname = $1 and backend_type in ('client backend', 'walsender')
union all
select format('replication slot %s (%s)', slot_name, case when active then 'in use' else 'idle' end)
from pg_replication_slots
where database = $1
order by 1
