-- Months, retention and tampering.

-- test: the log is partitioned by month on created_at, keyed by id and created_at
select tests.is(pg_get_partkeydef('activity_logs'::regclass), 'RANGE (created_at)', 'partition key');
select tests.is(pg_get_constraintdef(oid), 'PRIMARY KEY (id, created_at)', 'primary key')
from pg_constraint where conrelid = 'activity_logs'::regclass and contype = 'p';

-- test: this month and the next three have a partition from the start
select tests.is(array_agg(name), null, 'missing partitions')
from (select 'activity_logs_' || to_char(now() at time zone 'UTC' + make_interval(months => n), 'YYYY_MM') as name
      from generate_series(0, 3) as n) as wanted
where not exists (select from pg_inherits where inhparent = 'activity_logs'::regclass and inhrelid = to_regclass(name));

-- test: a partition by the document's own statement is accepted
create table activity_logs_2025_01 partition of activity_logs for values from ('2025-01-01') to ('2025-02-01');
insert into activity_logs (log_type, action, created_at) values ('system', 'x', '2025-01-15');
select tests.rows($$ select from activity_logs_2025_01 $$, 1);

-- test: a line of any time finds a partition
select tests.affects($$ insert into activity_logs (log_type, action, created_at)
    values ('system', 'x', '1999-12-31'), ('system', 'x', '2999-12-31') $$, 2);
select tests.rows($$ select from activity_logs_default $$, 2);

-- test: a month that is made takes its lines over from the default partition
insert into activity_logs (log_type, action, created_at) values
    ('system', 'before', '2001-01-31 23:59:59.999999+00'), ('system', 'first', '2001-02-01 00:00+00'),
    ('system', 'last', '2001-02-28 23:59:59.999999+00'), ('system', 'after', '2001-03-01 00:00+00');
set local timezone = 'America/New_York';
select tests.is(create_activity_log_partition('2001-02-17'), true, 'made');
select tests.is(array_agg(action order by created_at), array['first', 'last']::varchar[], 'the month')
from activity_logs_2001_02;
select tests.is(array_agg(action order by created_at), array['before', 'after']::varchar[], 'the default partition')
from activity_logs_default;
select tests.rows($$ select from activity_logs where created_at < '2002-01-01' $$, 4);

-- test: making partitions can be repeated
select tests.as_service();
select tests.rows($$ select create_activity_log_partitions(3) $$, 0);
select tests.rows($$ select create_activity_log_partitions(5) $$, 2);
select tests.rows($$ select create_activity_log_partitions(5) $$, 0);
select tests.is(create_activity_log_partition('2001-02-01'), true, 'the first time');
select tests.is(create_activity_log_partition('2001-02-28'), false, 'the second time');
select tests.throws($$ select create_activity_log_partitions(-1) $$, '22023');
select tests.throws($$ select create_activity_log_partitions(1000) $$, '22023');

-- test: every partition has row level security, the indexes and the foreign key of the log, and no grants
select create_activity_log_partition('2001-02-01');
select tests.is(array_agg(c.relname), null, 'partitions that lack something')
from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'activity_logs'::regclass
    and (not c.relrowsecurity
        or (select count(*) from pg_index x where x.indrelid = c.oid)
            <> (select count(*) from pg_index x where x.indrelid = i.inhparent)
        or not exists (select from pg_constraint k where k.conrelid = c.oid and k.contype = 'f')
        or has_table_privilege('anon', c.oid, 'select, insert, update, delete, truncate')
        or has_table_privilege('authenticated', c.oid, 'select, insert, update, delete, truncate')
        or has_table_privilege('service_role', c.oid, 'select, insert, update, delete, truncate'));
select tests.throws($$ insert into activity_logs (log_type, action, user_id, created_at)
    values ('x', 'y', gen_random_uuid(), '2001-02-03') $$, '23503');

-- test: a new month has the defaults of the log
select create_activity_log_partition('2001-02-01');
insert into activity_logs_2001_02 (log_type, action, created_at) values ('x', 'y', '2001-02-03');
select tests.is(row(l.level, l.details, l.id is not null)::text, '(info,{},t)', 'line') from activity_logs_2001_02 l;

-- test: old months are detached into the archive, lines and all
insert into activity_logs (id, log_type, action, created_at)
values ('10900000-0000-4000-8000-0000000000aa', 'system', 'old', '2001-02-03');
select create_activity_log_partition('2001-02-01');
insert into activity_logs (log_type, action, created_at) values ('system', 'old, never in a month', '2001-05-03');
select tests.as_service();
select tests.is(array_agg(p), array['activity_logs_2001_02', 'activity_logs_2001_05'], 'detached')
from detach_old_activity_logs(12) p;
select tests.as_owner();
select tests.rows($$ select from activity_logs where created_at < '2002-01-01' $$, 0);
select tests.rows($$ select from archive.activity_logs_2001_02 where action = 'old' $$, 1);
select tests.rows($$ select from archive.activity_logs_2001_05 $$, 1);
select tests.is(to_regclass('public.activity_logs_2001_02'), null::regclass, 'in public');

-- test: detaching can be repeated, also for a month that was archived before
select tests.rows($$ select detach_old_activity_logs(12) $$, 0);
insert into activity_logs (log_type, action, created_at) values ('system', 'one', '2001-02-03');
select tests.rows($$ select detach_old_activity_logs(12) $$, 1);
insert into activity_logs (log_type, action, created_at) values ('system', 'latecomer', '2001-02-04');
select tests.rows($$ select detach_old_activity_logs(12) $$, 1);
select tests.rows($$ select detach_old_activity_logs(12) $$, 0);
select tests.is(array_agg(action order by created_at), array['one', 'latecomer']::varchar[], 'archived')
from archive.activity_logs_2001_02;
select tests.throws($$ select detach_old_activity_logs(-1) $$, '22023');

-- test: the months to keep and those to come stay attached
insert into activity_logs (log_type, action, created_at) values
    ('system', 'kept', date_trunc('month', now()) - interval '2 months'),
    ('system', 'gone', date_trunc('month', now()) - interval '2 months' - interval '1 second');
select tests.rows($$ select detach_old_activity_logs(2) $$, 1);
select tests.rows($$ select from activity_logs where action = 'kept' $$, 1);
select tests.rows($$ select from activity_logs where action = 'gone' $$, 0);
select tests.rows($$ select from activity_logs where id = '10900000-0000-4000-8000-000000000001' $$, 1);
select tests.rows($$ select create_activity_log_partitions(3) $$, 0);

-- test: the archive is out of the API's reach
insert into activity_logs (log_type, action, created_at) values ('system', 'one', '2001-02-03');
select count(*) from detach_old_activity_logs(12);
select tests.as_service();
select tests.throws($$ select from archive.activity_logs_2001_02 $$, '42501');
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select from archive.activity_logs_2001_02 $$, '42501');

-- test: lines older than some days are deleted by the server's function only
insert into activity_logs (log_type, action, created_at) values
    ('system', 'old', now() - interval '31 days'), ('system', 'young', now() - interval '29 days');
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select delete_old_activity_logs(30) $$, '42501');
select tests.as_service();
select tests.is(delete_old_activity_logs(30), 1::bigint, 'deleted');
select tests.throws($$ select delete_old_activity_logs(0) $$, '22023');
select tests.rows($$ select from activity_logs where action = 'young' $$, 1);

-- test: nobody changes or empties the log through the API, the server's key included
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ insert into activity_logs (log_type, action) values ('x', 'forged') $$, '42501');
select tests.throws($$ update activity_logs set action = 'rewritten' $$, '42501');
select tests.throws($$ delete from activity_logs $$, '42501');
select tests.throws($$ select from activity_logs_default $$, '42501');
select tests.as_service();
select tests.throws($$ update activity_logs set action = 'rewritten' $$, '42501');
select tests.throws($$ delete from activity_logs $$, '42501');
select tests.throws($$ truncate activity_logs $$, '42501');
select tests.throws($$ delete from activity_logs_default $$, '42501');
select tests.throws($$ delete from activity_logs_partitioned $$, '42501');

-- test: a partition reached by its name shows nothing, even where somebody granted it
insert into activity_logs (log_type, action, created_at, user_id)
values ('x', 'y', '1999-12-31', 'a0000000-0000-4000-8000-000000000001');
grant select on activity_logs_default to authenticated;
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.rows($$ select from activity_logs_default $$, 0);

-- test: users see their own lines, the system's are the server's
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is((select array_agg(distinct user_id) from activity_logs),
    array['a0000000-0000-4000-8000-000000000001']::uuid[], 'whose lines');
select tests.rows($$ select from activity_logs where id = '10900000-0000-4000-8000-000000000002' $$, 0);

-- test: a change of state is logged for its owner, in the document's words
select tests.as_service();
update ai_tasks set status = 'in_progress' where id = '7a000000-0000-4000-8000-000000000001';
update ai_tasks set status = 'failed', error_message = 'timeout' where id = '7a000000-0000-4000-8000-000000000001';
update ai_tasks set task_output = '{}' where id = '7a000000-0000-4000-8000-000000000001';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(
    array_agg(row(l.log_type, l.action, l.level)::text order by l.level desc),
    array['(task,task.in_progress,info)', '(task,task.failed,error)'], 'lines')
from activity_logs l
where l.entity_id = '7a000000-0000-4000-8000-000000000001' and l.action <> 'task.created';
select tests.is(l.details, '{"previous_state": "in_progress", "new_state": "failed",
    "changed_fields": ["completed_at", "error_message", "status"]}'::jsonb, 'details')
from activity_logs l where l.action = 'task.failed';

-- test: clones and payments are logged as well, and what is deleted too
select tests.as_service();
update payments set status = 'completed' where order_id = 'order-ada';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
update ai_clones set status = 'stopped' where name = 'Atlas';
delete from ai_clones where name = 'Atlas';
select tests.is(array_agg(distinct l.action order by l.action), array['clone.created', 'clone.deleted', 'clone.stopped',
    'payment.completed', 'payment.created', 'task.created', 'task.deleted', 'user.signed_in']::varchar[], 'actions')
from activity_logs l;
