-- What the matrix does not ask.

-- test: anon reads no users, private messages or system prompts, and sets no limit
select tests.as_anon();
select tests.throws('select email from users', '42501');
select tests.throws('select content from messages', '42501');
select tests.throws('select system_prompt from conversations', '42501');
select tests.throws('select system_prompt from agent_definitions', '42501');
select tests.throws('update subscriptions set agent_limit = 999999', '42501');

-- test: a user cannot raise the own limit, plan or period
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws('update subscriptions set agent_limit = 999999', '42501');
select tests.throws('update subscriptions set plan = ''enterprise''', '42501');
select tests.throws('update subscriptions set stripe_current_period_end = ''infinity''', '42501');
select tests.throws('delete from subscriptions', '42501');

-- test: a user changes the own profile but not the address, and nobody else's
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.affects('update users set name = ''Me''', 1);
select tests.throws('update users set email = ''admin@example.com''', '42501');
select tests.throws('update users set id = gen_random_uuid()', '42501');

-- test: public definitions are read by every signed-in user, private ones and their prompts are not
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.is((select string_agg(name, ',') from agent_definitions), 'Public', 'what other sees');
select tests.affects('update agent_definitions set system_prompt = ''evil''', 0);
select tests.affects('delete from agent_definitions', 0);

-- test: nothing is given away and nothing is taken over
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws('update conversations set user_id = ''00000000-0000-4000-8000-00000000000b''', '42501');
select tests.throws('update agent_definitions set user_id = ''00000000-0000-4000-8000-00000000000b''', '42501');
select tests.throws('update artifacts set user_id = ''00000000-0000-4000-8000-00000000000b''', '42501');
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.affects('update conversations set user_id = ''00000000-0000-4000-8000-00000000000b''', 0);

-- test: a message cannot be moved into, or written to, a stranger's conversation
select tests.as_user('00000000-0000-4000-8000-00000000000b');
insert into conversations (id, user_id) values ('50000000-0000-4000-8000-0000000000b1', '00000000-0000-4000-8000-00000000000b');
insert into messages (conversation_id, role) values ('50000000-0000-4000-8000-0000000000b1', 'user');
select tests.throws('update messages set conversation_id = ''50000000-0000-4000-8000-00000000000a''', '42501');
select tests.throws($$insert into messages (conversation_id, role) values ('50000000-0000-4000-8000-00000000000a', 'system')$$, '42501');

-- test: an artifact cannot be hung on a stranger's message
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into artifacts (user_id, message_id, type, title)
  values ('00000000-0000-4000-8000-00000000000b', '60000000-0000-4000-8000-00000000000a', 'text', 't')$$, '42501');
insert into artifacts (user_id, type, title) values ('00000000-0000-4000-8000-00000000000b', 'text', 't');
select tests.throws('update artifacts set message_id = ''60000000-0000-4000-8000-00000000000a''', '42501');

-- test: a workflow cannot run on a stranger's agent
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into workflows (user_id, agent_instance_id, workflow_id, status, goal)
  values ('00000000-0000-4000-8000-00000000000b', '40000000-0000-4000-8000-00000000000a', 'w', 'pending', 'g')$$, '42501');

-- test: a user starts a workflow but does not say how it went
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$insert into workflows (user_id, workflow_id, status, goal)
  values ('00000000-0000-4000-8000-00000000000a', 'w', 'completed', 'g')$$, '42501');
select tests.throws($$insert into workflows (user_id, workflow_id, status, goal, result)
  values ('00000000-0000-4000-8000-00000000000a', 'w', 'pending', 'g', '{}')$$, '42501');
select tests.throws('update workflows set status = ''completed''', '42501');
select tests.throws('update workflows set result = ''{}''', '42501');
select tests.throws('update workflows set user_id = ''00000000-0000-4000-8000-00000000000b''', '42501');
select tests.affects('update workflows set goal = ''another''', 1);

-- test: a statement without a condition, which asks for no right to read, touches own rows only
insert into workflows (user_id, workflow_id, status, goal) values ('00000000-0000-4000-8000-00000000000b', 'wfr_b', 'pending', 'g');
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.affects('update users set name = ''all of them''', 1);
select tests.affects('update workflows set goal = ''all of them''', 1);
select tests.affects('delete from workflows', 1);
select tests.affects('delete from conversations', 0);
select tests.affects('delete from artifacts', 0);
select tests.affects('delete from agent_instances', 0);

-- test: the import is for the owner of the database alone
select tests.ok(not has_function_privilege(caller, 'import_data(jsonb, text)', 'execute'), caller)
from unnest(array['anon', 'authenticated', 'service_role']) caller;

-- test: anon holds no grant on any table
select tests.ok(not has_table_privilege('anon', c.oid, 'select, insert, update, delete'), c.relname)
from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r';
