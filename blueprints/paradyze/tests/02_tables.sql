-- test: the document's tables have its columns, in its order
select tests.is(
  (select array_agg(a.attname::text order by a.attnum)
   from pg_attribute a
   where a.attrelid = ('public.' || wanted.name)::regclass and a.attnum > 0 and a.attname = any (wanted.columns)),
  wanted.columns, wanted.name)
from (values
  ('profiles', array['id', 'display_name', 'email', 'created_at', 'updated_at']),
  ('agents', array['id', 'user_id', 'eliza_id', 'name', 'description', 'template_id', 'config', 'created_at', 'updated_at']),
  ('twitter_accounts', array['id', 'user_id', 'twitter_user_id', 'username', 'access_token', 'access_secret',
                             'created_at', 'updated_at']),
  ('conversations', array['id', 'agent_id', 'user_id', 'room_id', 'created_at', 'updated_at']),
  ('messages', array['id', 'conversation_id', 'sender_type', 'content', 'created_at']),
  ('tweets', array['id', 'agent_id', 'twitter_account_id', 'content', 'twitter_tweet_id', 'status', 'created_at', 'posted_at'])
) wanted (name, columns);

-- test: the document's indexes exist and begin with the column that names them
select tests.is(
  (select a.attname::text from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
   where i.indexrelid = to_regclass('public.' || wanted.name)),
  wanted.first_column, wanted.name)
from (values
  ('agents_user_id_idx', 'user_id'),
  ('twitter_accounts_user_id_idx', 'user_id'),
  ('conversations_agent_id_idx', 'agent_id'),
  ('conversations_user_id_idx', 'user_id'),
  ('messages_conversation_id_idx', 'conversation_id'),
  ('tweets_agent_id_idx', 'agent_id'),
  ('tweets_twitter_account_id_idx', 'twitter_account_id')
) wanted (name, first_column);

-- test: every time is stored with its zone
select tests.rows($$
  select from information_schema.columns
  where table_schema = 'public' and data_type = 'timestamp without time zone'$$, 0);

-- test: an insert needs no id and no times
insert into public.agents (user_id, name) values ('00000000-0000-4000-8000-00000000000a', 'Bare');
insert into public.twitter_accounts (user_id, twitter_user_id, username)
  values ('00000000-0000-4000-8000-00000000000a', '1009', 'bare');
insert into public.conversations (user_id, agent_id)
  values ('00000000-0000-4000-8000-00000000000a', 'a0000000-0000-4000-8000-000000000001');
insert into public.messages (conversation_id, sender_type, content)
  values ('d0000000-0000-4000-8000-000000000001', 'user', 'bare');
insert into public.tweets (agent_id, twitter_account_id, content)
  values ('a0000000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000001', 'bare');
select tests.rows($$
  select from public.tweets
  where content = 'bare' and id is not null and created_at is not null and status = 'pending' and attempts = 0$$, 1);

-- test: a signed-in user need not say who they are
select tests.as_user('00000000-0000-4000-8000-00000000000a');
insert into public.agents (name) values ('Mine');
select tests.rows($$select from public.agents
                    where name = 'Mine' and user_id = '00000000-0000-4000-8000-00000000000a'$$, 1);

-- test: a row without its owner or its text is refused
select tests.throws($$insert into public.agents (name) values ('Nobody''s')$$, '23502');
select tests.throws($$insert into public.agents (user_id) values ('00000000-0000-4000-8000-00000000000a')$$, '23502');
select tests.throws($$insert into public.messages (conversation_id, sender_type)
                      values ('d0000000-0000-4000-8000-000000000001', 'user')$$, '23502');
select tests.throws($$insert into public.tweets (agent_id, content)
                      values ('a0000000-0000-4000-8000-000000000001', 'no account')$$, '23502');

-- test: sender and status are what the document lists, and cancelled
select tests.throws($$insert into public.messages (conversation_id, sender_type, content)
                      values ('d0000000-0000-4000-8000-000000000001', 'banana', 'x')$$, '23514');
select tests.throws($$update public.tweets set status = 'banana'
                      where id = 'f0000000-0000-4000-8000-000000000001'$$, '23514');
select tests.affects(format('update public.tweets set status = %L where id = %L', status,
                            'f0000000-0000-4000-8000-000000000001'), 1)
from unnest(array['posted', 'failed', 'cancelled', 'pending']) status;

-- test: updated_at moves with every update
update public.profiles set updated_at = '2000-01-01', display_name = 'x';
update public.agents set updated_at = '2000-01-01', name = 'x';
update public.twitter_accounts set updated_at = '2000-01-01', username = 'x';
update public.conversations set updated_at = '2000-01-01', room_id = room_id || 'x';
select tests.rows($$
  select from (select updated_at from public.profiles union all select updated_at from public.agents
               union all select updated_at from public.twitter_accounts
               union all select updated_at from public.conversations) every
  where updated_at <> now()$$, 0);

-- test: the queue of pending tweets has an index of its own
select tests.ok(
  (select indexdef ~ '\(next_attempt_at\) WHERE \(status = ''pending''::text\)' from pg_indexes
   where indexname = 'tweets_pending_idx'), 'partial index on the pending ones');

-- test: deleting an agent, an account or a conversation takes what hangs on it
select tests.affects($$delete from public.conversations where id = 'd0000000-0000-4000-8000-000000000001'$$, 1);
select tests.rows('select from public.messages', 0);
select tests.affects($$delete from public.twitter_accounts where id = 'c0000000-0000-4000-8000-000000000001'$$, 1);
select tests.rows('select from public.tweets', 0);
select tests.affects($$delete from public.agents where id = 'a0000000-0000-4000-8000-000000000001'$$, 1);
select tests.rows('select from public.agent_secrets', 0);
