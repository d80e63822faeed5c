-- Pages for whoever runs the server.

-- test: table sizes are shown for every table, whatever its name
create table public."Odd ""name"" of it" (id int);
select tests.as_service();
select tests.rows($$ select from table_sizes() where tablename in ('demos', 'Odd "name" of it') $$, 2);
select tests.ok((select size_bytes > 0 and size like '% kB' from table_sizes() where tablename = 'demos'), 'size of demos');

-- test: index usage is shown for every index
select tests.as_service();
select tests.is((select count(*) from index_usage()),
    (select count(*) from pg_indexes where schemaname = 'public'), 'indexes');

-- test: slow queries are listed, at most ten and the slowest first
select count(*) from demos;
select tests.as_service();
select tests.is(array_agg(mean_time), array_agg(mean_time order by mean_time desc), 'order') from slow_queries();
select tests.ok((select count(*) between 0 and 10 from slow_queries()), 'ten at most');
select tests.ok((select bool_and(calls > 0 and total_time >= mean_time and rows >= 0) from slow_queries()) is not false,
    'numbers');

-- test: monitoring is for the server
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select table_sizes() $$, '42501');
select tests.throws($$ select index_usage() $$, '42501');
select tests.throws($$ select slow_queries() $$, '42501');
select tests.as_anon();
select tests.throws($$ select table_sizes() $$, '42501');
select tests.throws($$ select index_usage() $$, '42501');
select tests.throws($$ select slow_queries() $$, '42501');
