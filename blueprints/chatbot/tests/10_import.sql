-- Moving an existing database: what import_data transforms. (export.sql and the whole way from a database with the
-- document's own tables are tried in tests/clients.)

-- test: rows come in under their ids, and a second time changes nothing
create temporary table export on commit drop as select jsonb_build_object(
  'users', '[{"id": "00000000-0000-4000-8000-0000000000f1", "email": "old@example.com", "name": "Old", "created_at": "2024-05-01T10:00:00"}]'::jsonb,
  'conversations', '[{"id": "50000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-0000000000f1", "title": "T"}]'::jsonb,
  'messages', '[{"id": "60000000-0000-4000-8000-0000000000f1", "conversation_id": "50000000-0000-4000-8000-0000000000f1", "role": "user", "content": "Hi", "parts": [{"type": "text"}]}]'::jsonb) as data;
select tests.rows('select from export, import_data(data) where given <> present', 0);
select tests.rows($$select from auth.users a join users u using (id) join conversations c on c.user_id = u.id
  join messages m on m.conversation_id = c.id
  where a.email = 'old@example.com' and u.name = 'Old' and m.parts = '[{"type": "text"}]'
    and u.created_at = '2024-05-01 10:00+00'$$, 1);
update messages set content = 'Edited since' where id = '60000000-0000-4000-8000-0000000000f1';
select tests.rows('select from export, import_data(data) where given <> present', 0);
select tests.is((select content from messages where id = '60000000-0000-4000-8000-0000000000f1'), 'Edited since', 'content');

-- test: times without a zone are read in the old server's zone, times with one as they are
select import_data('{"conversations": [
  {"id": "50000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000a", "title": "bare", "created_at": "2024-01-15T09:00:00"},
  {"id": "50000000-0000-4000-8000-0000000000f2", "user_id": "00000000-0000-4000-8000-00000000000a", "title": "zoned", "created_at": "2024-01-15T09:00:00+01:00"}
]}', 'America/New_York');
select tests.is((select created_at from conversations where title = 'bare'), '2024-01-15 14:00+00'::timestamptz, 'bare');
select tests.is((select created_at from conversations where title = 'zoned'), '2024-01-15 08:00+00'::timestamptz, 'zoned');
select tests.is(current_setting('timezone'), (select reset_val from pg_settings where name = 'TimeZone'), 'session''s zone');

-- test: of several subscriptions the active and newest stays, and the free one of the sign-up gives way
select tests.is((select present from import_data('{"subscriptions": [
  {"id": "10000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000b", "plan": "pro", "status": "canceled", "is_active": true, "agent_limit": 9, "updated_at": "2025-03-01T00:00:00"},
  {"id": "10000000-0000-4000-8000-0000000000f2", "user_id": "00000000-0000-4000-8000-00000000000b", "plan": "pro", "status": "active", "agent_limit": 5, "stripe_subscription_id": "sub_old", "updated_at": "2025-02-01T00:00:00"},
  {"id": "10000000-0000-4000-8000-0000000000f3", "user_id": "00000000-0000-4000-8000-00000000000b", "plan": "pro", "status": "active", "agent_limit": 3, "stripe_subscription_id": "sub_old", "updated_at": "2025-01-01T00:00:00"}
]}') where table_name = 'subscriptions'), 1, 'present');
select tests.rows($$select from subscriptions where user_id = '00000000-0000-4000-8000-00000000000b'
  and id = '10000000-0000-4000-8000-0000000000f2' and agent_limit = 5 and is_active$$, 1);

-- test: a subscription that pays already is not overwritten by an old export
select import_data('{"subscriptions": [
  {"id": "10000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000a", "plan": "enterprise", "status": "active", "agent_limit": 99}]}');
select tests.is((select agent_limit from subscriptions where user_id = '00000000-0000-4000-8000-00000000000a'), 3, 'limit');

-- test: the newest of several workflows with one id stays
select import_data('{"workflows": [
  {"id": "80000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000a", "workflow_id": "wfr_old", "status": "running", "goal": "g", "updated_at": "2025-01-01T00:00:00"},
  {"id": "80000000-0000-4000-8000-0000000000f2", "user_id": "00000000-0000-4000-8000-00000000000a", "workflow_id": "wfr_old", "status": "completed", "goal": "g", "updated_at": "2025-01-02T00:00:00"}]}');
select tests.is((select string_agg(status, ',') from workflows where workflow_id = 'wfr_old'), 'completed', 'status');

-- test: tools that do not exist leave a definition, and missing texts get their defaults
select import_data('{"agent_definitions": [
  {"id": "30000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000a", "name": "n", "description": "d", "system_prompt": "p",
   "tools": ["99999999-0000-4000-8000-000000000000", "20000000-0000-4000-8000-00000000000b", "banana", "20000000-0000-4000-8000-00000000000a"]}],
  "conversations": [{"id": "50000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000a", "title": null}],
  "messages": [{"id": "60000000-0000-4000-8000-0000000000f1", "conversation_id": "50000000-0000-4000-8000-0000000000f1", "role": "assistant"}]}');
select tests.is((select tools from agent_definitions where id = '30000000-0000-4000-8000-0000000000f1'),
  '["20000000-0000-4000-8000-00000000000b", "20000000-0000-4000-8000-00000000000a"]'::jsonb, 'tools');
select tests.is((select title from conversations where id = '50000000-0000-4000-8000-0000000000f1'), 'New chat', 'title');
select tests.is((select content from messages where id = '60000000-0000-4000-8000-0000000000f1'), '', 'content');

-- test: instances beyond the limit come in archived, the newest first
select import_data('{"agent_instances": [
  {"id": "40000000-0000-4000-8000-0000000000f3", "user_id": "00000000-0000-4000-8000-00000000000a", "definition_id": "30000000-0000-4000-8000-00000000000a", "name": "c", "status": "active", "created_at": "2025-01-03T00:00:00"},
  {"id": "40000000-0000-4000-8000-0000000000f1", "user_id": "00000000-0000-4000-8000-00000000000a", "definition_id": "30000000-0000-4000-8000-00000000000a", "name": "a", "status": "paused", "created_at": "2025-01-01T00:00:00"},
  {"id": "40000000-0000-4000-8000-0000000000f0", "user_id": "00000000-0000-4000-8000-00000000000a", "definition_id": "30000000-0000-4000-8000-00000000000a", "name": "z", "status": "archived", "created_at": "2024-01-01T00:00:00"},
  {"id": "40000000-0000-4000-8000-0000000000f2", "user_id": "00000000-0000-4000-8000-00000000000a", "definition_id": "30000000-0000-4000-8000-00000000000a", "name": "b", "created_at": "2025-01-02T00:00:00"}]}');
select tests.is((select string_agg(name || ' ' || status, ', ' order by name) from agent_instances where name <> 'Instance'),
                'a paused, b active, c archived, z archived', 'instances');

-- test: what the checks refuse fails the whole import
select tests.throws($$select import_data('{"users": [{"id": "00000000-0000-4000-8000-0000000000f1", "email": "old@example.com"}],
  "agent_tools": [{"name": "bad", "description": "d", "schema": {"type": "nonsense"}}]}')$$, '23514');
select tests.rows($$select from auth.users where email = 'old@example.com'$$, 0);
