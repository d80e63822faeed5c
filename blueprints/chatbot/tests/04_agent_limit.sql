-- agent_limit is enforced. That two transactions at once cannot pass it together takes two connections, and is tried in
-- tests/clients.

-- test: instances beyond the limit are refused, for users and servers alike
select tests.as_user('00000000-0000-4000-8000-00000000000b');
insert into agent_instances (user_id, definition_id, name)
values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'first');
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'second')$$, '23514');
select tests.as_service();
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000b', '30000000-0000-4000-8000-00000000000b', 'second')$$, '23514');

-- test: many rows in one statement are counted together
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  select '00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'n' || n
  from generate_series(1, 3) n$$, '23514');
select tests.affects($$insert into agent_instances (user_id, definition_id, name)
  select '00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'n' || n
  from generate_series(1, 2) n$$, 2);

-- test: at the limit, an upsert of an instance that exists still works
update subscriptions set agent_limit = 1 where user_id = '00000000-0000-4000-8000-00000000000a';
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.affects($$insert into agent_instances (id, user_id, definition_id, name)
  values ('40000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a',
          '30000000-0000-4000-8000-00000000000a', 'renamed')
  on conflict (id) do update set id = excluded.id, user_id = excluded.user_id, name = excluded.name$$, 1);

-- test: pausing is no way around the limit, archiving is, and restoring is checked
update subscriptions set agent_limit = 1 where user_id = '00000000-0000-4000-8000-00000000000a';
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update agent_instances set status = 'paused';
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'second')$$, '23514');
update agent_instances set status = 'archived';
select tests.affects($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'second')$$, 1);
select tests.throws($$update agent_instances set status = 'active' where name = 'Instance'$$, '23514');

-- test: without a subscription there are no agents
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000c', '30000000-0000-4000-8000-00000000000b', 'n')$$, '23514');

-- test: a downgrade archives the newest instances beyond the new limit and deletes nothing
insert into agent_instances (user_id, definition_id, name, created_at) values
  ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'oldest', now() - interval '2 days'),
  ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'older', now() - interval '1 day');
update subscriptions set plan = 'free', agent_limit = 2 where user_id = '00000000-0000-4000-8000-00000000000a';
select tests.is((select string_agg(name, ',' order by name) from agent_instances where status = 'active'), 'older,oldest', 'active');
select tests.is((select string_agg(name, ',' order by name) from agent_instances where status = 'archived'), 'Instance', 'archived');

-- test: a canceled subscription allows what the free plan does
insert into agent_instances (user_id, definition_id, name, created_at) values
  ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'oldest', now() - interval '2 days');
update subscriptions set status = 'canceled' where user_id = '00000000-0000-4000-8000-00000000000a';
select tests.is((select string_agg(name, ',') from agent_instances where status = 'active'), 'oldest', 'active');
select tests.is((select effective_agent_limit(s) from subscriptions s
                 where user_id = '00000000-0000-4000-8000-00000000000a'), 1, 'limit');

-- test: past_due is a time of grace, in which nothing is added
insert into agent_instances (user_id, definition_id, name) values
  ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'second');
update subscriptions set status = 'past_due' where user_id = '00000000-0000-4000-8000-00000000000a';
select tests.rows('select from agent_instances where status = ''active''', 2);
select tests.throws($$insert into agent_instances (user_id, definition_id, name)
  values ('00000000-0000-4000-8000-00000000000a', '30000000-0000-4000-8000-00000000000a', 'third')$$, '23514');
