-- The task queue and what is told live.

-- test: workers take the most urgent task first, then the oldest
insert into ai_tasks (clone_id, task_name, priority, created_at)
values ('cc000000-0000-4000-8000-000000000001', 'older high', 'high', '2025-06-01 08:00+00');
select tests.as_service();
create temporary table claimed (place serial, task_name text);
insert into claimed (task_name) select task_name from claim_next_task();
insert into claimed (task_name) select task_name from claim_next_task();
insert into claimed (task_name) select task_name from claim_next_task();
insert into claimed (task_name) select task_name from claim_next_task();
insert into claimed (task_name) select task_name from claim_next_task();
insert into claimed (task_name) select task_name from claim_next_task();
insert into claimed (task_name) select task_name from claim_next_task();
select tests.is(array_agg(task_name order by place),
    array['critical', 'older high', 'high', 'ben''s', 'medium', 'low'], 'order') from claimed;
select tests.rows($$ select from ai_tasks where status = 'in_progress' $$, 6);

-- test: a clone that was stopped gets no work, and a worker may serve one clone
update ai_clones set status = 'stopped' where name = 'Atlas';
select tests.as_service();
select tests.rows($$ select from claim_next_task('cc000000-0000-4000-8000-000000000001') $$, 0);
select tests.is(task_name, 'ben''s'::varchar, 'task') from claim_next_task('cc000000-0000-4000-8000-000000000002');
select tests.rows($$ select from claim_next_task() $$, 0);

-- test: tasks are claimed by the server
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select claim_next_task() $$, '42501');

-- test: a task that ends has the time of its end, one that is tried again has none
update ai_tasks set status = 'failed' where task_name = 'low';
select tests.is(completed_at, now(), 'failed') from ai_tasks where task_name = 'low';
update ai_tasks set status = 'pending' where task_name = 'low';
select tests.is(completed_at, null::timestamptz, 'tried again') from ai_tasks where task_name = 'low';
update ai_tasks set status = 'completed' where task_name = 'low';
select tests.is(completed_at, now(), 'completed') from ai_tasks where task_name = 'low';

-- test: the four tables are published to realtime, the log under its own name
select tests.is(array_agg(tablename order by tablename)::text[],
    array['activity_logs', 'ai_clones', 'ai_tasks', 'payments'], 'published')
from pg_publication_tables where pubname = 'supabase_realtime' and schemaname = 'public';

-- test: publishing a table a second time does no harm
select publish_to_realtime('public.ai_tasks');
select tests.rows($$ select from pg_publication_tables where pubname = 'supabase_realtime' and tablename = 'ai_tasks' $$, 1);
