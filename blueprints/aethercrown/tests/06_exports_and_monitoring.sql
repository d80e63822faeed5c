-- Exports, and pages for whoever runs the server.

-- test: an export holds everything of the user and nothing of others
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(
    row(e #>> '{user,email}', jsonb_array_length(e -> 'ai_clones'), jsonb_array_length(e #> '{ai_clones,0,ai_tasks}'),
        e #>> '{payments,0,order_id}', jsonb_array_length(e -> 'payments'), jsonb_array_length(e -> 'activity_logs') >= 1)::text,
    '(ada@example.com,1,4,order-ada,1,t)', 'export')
from export_user_data() e;

-- test: an export of somebody else is empty, of the server complete
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.is(export_user_data('a0000000-0000-4000-8000-000000000001'),
    '{"user": null, "ai_clones": [], "payments": [], "activity_logs": []}'::jsonb, 'ben''s export of ada');
select tests.as_service();
select tests.is(export_user_data('a0000000-0000-4000-8000-000000000001') #>> '{user,name}', 'Ada', 'the server''s');
select tests.as_anon();
select tests.throws($$ select export_user_data('a0000000-0000-4000-8000-000000000001') $$, '42501');

-- test: the server exports the critical data of all, or what changed since the last time
update users set name = 'x' where false;
select tests.as_service();
select tests.is(jsonb_object_agg(t.table_name, t.count), '{"users": 2, "ai_clones": 2, "ai_tasks": 5, "payments": 2}'::jsonb,
    'records')
from (select table_name, count(*) from export_critical_data() group by table_name) t;
update payments set description = 'changed' where order_id = 'order-ada';
select tests.is(array_agg(record ->> 'order_id'), array['order-ada'], 'changed records') from export_critical_data(now());
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select export_critical_data() $$, '42501');

-- test: table sizes are shown for every table, whatever its name, and for the log as the sum of its months
create table public."Odd ""name"" of it" (id int);
select tests.as_service();
select tests.rows($$ select from table_sizes() where tablename in ('users', 'Odd "name" of it') $$, 2);
select tests.is((select size_bytes from table_sizes() where tablename = 'activity_logs'),
    (select sum(size_bytes)::bigint from table_sizes() where tablename ~ '^activity_logs_'), 'size of the log');

-- test: index usage is shown for every index
select tests.as_service();
select tests.rows($$ select from index_usage() where indexrelname = 'idx_tasks_queue' and relname = 'ai_tasks' $$, 1);
select tests.ok((select count(*) > 30 from index_usage()), 'indexes');

-- test: connections, cache hits and slow queries are shown
select tests.as_service();
select tests.ok((select connections between 1 and max_connections from connection_usage()), 'connections');
select tests.ok((select count(*) = 1 and bool_and(coalesce(table_hit_rate between 0 and 1, true))
                 from cache_hit_rates() where relname = 'users'), 'hit rates');
select tests.is(array_agg(mean_time), array_agg(mean_time order by mean_time desc), 'order') from slow_queries();
select tests.ok((select count(*) <= 10 from slow_queries()), 'ten at most');

-- test: monitoring is for the server
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws(format('select %s()', page), '42501')
from unnest(array['table_sizes', 'index_usage', 'connection_usage', 'cache_hit_rates', 'slow_queries']) page;
select tests.as_anon();
select tests.throws(format('select %s()', page), '42501')
from unnest(array['table_sizes', 'index_usage', 'connection_usage', 'cache_hit_rates', 'slow_queries']) page;
