-- Delete rules, time zones, uniqueness, checks and defaults.

-- test: deleting a conversation deletes its messages and keeps the artifacts
delete from conversations where id = '50000000-0000-4000-8000-00000000000a';
select tests.rows('select from messages', 0);
select tests.rows('select from artifacts where message_id is null', 1);

-- test: deleting an agent keeps the record of its workflows
delete from agent_instances where id = '40000000-0000-4000-8000-00000000000a';
select tests.rows('select from workflows where agent_instance_id is null', 1);

-- test: deleting an artifact deletes its versions
delete from artifacts;
select tests.rows('select from artifact_versions', 0);

-- test: a moment is the same moment from any session
set local timezone = 'America/New_York';
update subscriptions set stripe_current_period_end = '2026-01-31 12:00' where stripe_subscription_id = 'sub_owner';
set local timezone = 'UTC';
select tests.is((select stripe_current_period_end from subscriptions where stripe_subscription_id = 'sub_owner'),
                '2026-01-31 17:00+00'::timestamptz, 'period end');
select tests.rows($$select from information_schema.columns
  where table_schema = 'public' and data_type = 'timestamp without time zone'$$, 0);

-- test: a user has one subscription
select tests.throws($$insert into subscriptions (user_id, plan, status, agent_limit)
  values ('00000000-0000-4000-8000-00000000000a', 'free', 'active', 1)$$, '23505');

-- test: a Stripe subscription belongs to one user
select tests.throws($$insert into subscriptions (user_id, plan, status, agent_limit, stripe_subscription_id)
  values ('00000000-0000-4000-8000-00000000000c', 'pro', 'active', 1, 'sub_owner')$$, '23505');

-- test: an address is one user's, and a tool's name one tool's
select tests.throws('update users set email = ''owner@example.com''', '23505');
select tests.throws('update agent_tools set name = ''web_search''', '23505');

-- test: is_active follows status and cannot be set
select tests.throws('update subscriptions set is_active = true', '428C9');
update subscriptions set status = 'canceled' where stripe_subscription_id = 'sub_owner';
select tests.is((select is_active from subscriptions where stripe_subscription_id = 'sub_owner'), false, 'canceled');
update subscriptions set status = 'active' where stripe_subscription_id = 'sub_owner';
select tests.is((select is_active from subscriptions where stripe_subscription_id = 'sub_owner'), true, 'active again');

-- test: a run of the engine is one workflow
select tests.throws($$insert into workflows (user_id, workflow_id, status, goal)
  values ('00000000-0000-4000-8000-00000000000a', 'wfr_1', 'pending', 'g')$$, '23505');

-- test: words outside the lists are refused
select tests.throws('update subscriptions set plan = ''banana''', '23514');
select tests.throws('update subscriptions set status = ''banana''', '23514');
select tests.throws('update subscriptions set agent_limit = -1', '23514');
select tests.throws('update messages set role = ''banana''', '23514');
select tests.throws('update artifacts set type = ''banana''', '23514');
select tests.throws('update agent_instances set status = ''banana''', '23514');
select tests.throws('update workflows set status = ''banana''', '23514');

-- test: every word of the document's lists is accepted
select tests.affects(format('update subscriptions set plan = %L where user_id = ''00000000-0000-4000-8000-00000000000a''', w), 1)
from unnest(array['free', 'pro', 'enterprise']) w;
select tests.affects(format('update subscriptions set status = %L where user_id = ''00000000-0000-4000-8000-00000000000a''', w), 1)
from unnest(array['canceled', 'past_due', 'active']) w;
select tests.affects(format('update messages set role = %L where content = ''First''', w), 1)
from unnest(array['user', 'assistant', 'system', 'tool']) w;
select tests.affects(format('update artifacts set type = %L', w), 1) from unnest(array['code', 'text', 'sheet', 'image']) w;
select tests.affects(format('update agent_instances set status = %L', w), 1)
from unnest(array['active', 'paused', 'archived']) w;
select tests.affects(format('update workflows set status = %L', w), 1)
from unnest(array['pending', 'running', 'completed', 'failed']) w;

-- test: a new chat has a title, and a message that only calls a tool has content
insert into conversations (id, user_id) values ('50000000-0000-4000-8000-0000000000c1', '00000000-0000-4000-8000-00000000000a');
insert into messages (conversation_id, role, parts) values ('50000000-0000-4000-8000-0000000000c1', 'assistant', '[{"type": "tool-call"}]');
select tests.is((select title from conversations where id = '50000000-0000-4000-8000-0000000000c1'), 'New chat', 'title');
select tests.is((select content from messages where conversation_id = '50000000-0000-4000-8000-0000000000c1'), '', 'content');
