-- A first look with life in it. ada pays and builds agents, ben tries things on the free plan, eve has just signed up.
-- Everybody's password is plinth-demo.

insert into auth.users
  (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
   created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'authenticated', email,
       extensions.crypt('plinth-demo', extensions.gen_salt('bf')), now() - since,
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('name', name), now() - since, now() - since
from (values
  ('a0000000-0000-4000-8000-000000000001'::uuid, 'ada@example.com', 'Ada', interval '40 days'),
  ('b0000000-0000-4000-8000-000000000002', 'ben@example.com', 'Ben', interval '12 days'),
  ('e0000000-0000-4000-8000-000000000003', 'eve@example.com', 'Eve', interval '1 hour')
) as person (id, email, name, since)
on conflict (id) do nothing;

-- How they sign in.
insert into auth.identities
  (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', true), 'email',
       u.created_at, u.created_at, u.created_at
from auth.users u
where u.email in ('ada@example.com', 'ben@example.com', 'eve@example.com')
on conflict do nothing;

update public.subscriptions
set plan = 'pro', agent_limit = 5, stripe_customer_id = 'cus_demo_ada', stripe_subscription_id = 'sub_demo_ada',
    stripe_price_id = 'price_demo_pro', stripe_current_period_end = date_trunc('day', now()) + interval '20 days'
where user_id = 'a0000000-0000-4000-8000-000000000001' and plan = 'free';

-- Tools: three of the system, one custom that is called over HTTP.
insert into public.agent_tools (id, name, description, schema, is_system, metadata) values
  ('20000000-0000-4000-8000-000000000001', 'web_search', 'Searches the web and returns titles, addresses and excerpts.',
   '{"type": "object", "properties": {"query": {"type": "string", "minLength": 1},
     "limit": {"type": "integer", "minimum": 1, "maximum": 20}}, "required": ["query"], "additionalProperties": false}',
   true, null),
  ('20000000-0000-4000-8000-000000000002', 'calculator', 'Evaluates an arithmetic expression.',
   '{"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]}', true, null),
  ('20000000-0000-4000-8000-000000000003', 'create_document', 'Writes an artifact: code, text, a sheet or an image.',
   '{"type": "object", "properties": {"title": {"type": "string"},
     "type": {"type": "string", "enum": ["code", "text", "sheet", "image"]}, "content": {"type": ["string", "null"]}},
     "required": ["title", "type"]}', true, null),
  ('20000000-0000-4000-8000-000000000004', 'get_weather', 'The weather at a place, from our own service.',
   '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
   false, '{"method": "GET", "url": "https://weather.example.com/v1/now"}')
on conflict (id) do nothing;

insert into public.agent_definitions (id, user_id, name, description, system_prompt, is_public, tools, capabilities) values
  ('30000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', 'Research assistant',
   'Finds sources, compares them and writes a short report.',
   'You are a careful researcher. Search before you answer, and cite every claim.', true,
   '["20000000-0000-4000-8000-000000000001", "20000000-0000-4000-8000-000000000003"]', '{"streaming": true}'),
  ('30000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001', 'Invoice checker',
   'Adds up invoices and finds what does not add up.', 'You check invoices line by line.', false,
   '["20000000-0000-4000-8000-000000000002"]', null),
  ('30000000-0000-4000-8000-000000000003', 'b0000000-0000-4000-8000-000000000002', 'Trip planner',
   'Plans a weekend by the weather.', 'You plan short trips. Ask for the city first.', false,
   '["20000000-0000-4000-8000-000000000004"]', null)
on conflict (id) do nothing;

insert into public.agent_instances (id, user_id, definition_id, name, configuration, status, created_at) values
  ('40000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
   '30000000-0000-4000-8000-000000000001', 'Battery research', '{"model": "large", "temperature": 0.2}', 'active',
   now() - interval '30 days'),
  ('40000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001',
   '30000000-0000-4000-8000-000000000002', 'Invoices of the studio', '{"model": "small"}', 'paused',
   now() - interval '9 days'),
  ('40000000-0000-4000-8000-000000000003', 'b0000000-0000-4000-8000-000000000002',
   '30000000-0000-4000-8000-000000000001', 'My researcher', '{}', 'active', now() - interval '3 days')
on conflict (id) do nothing;

insert into public.conversations (id, user_id, title, system_prompt, metadata, created_at, updated_at) values
  ('50000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', 'Solid-state batteries',
   'Answer in plain words.', '{"model": "large"}', now() - interval '2 days', now() - interval '2 days'),
  ('50000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001', 'Sorting in SQL', null, null,
   now() - interval '5 hours', now() - interval '5 hours'),
  ('50000000-0000-4000-8000-000000000003', 'b0000000-0000-4000-8000-000000000002', 'A weekend in Porto', null, null,
   now() - interval '1 day', now() - interval '1 day')
on conflict (id) do nothing;
-- No title yet: the default stands.
insert into public.conversations (id, user_id, created_at, updated_at) values
  ('50000000-0000-4000-8000-000000000004', 'b0000000-0000-4000-8000-000000000002', now() - interval '5 minutes',
   now() - interval '5 minutes')
on conflict (id) do nothing;

insert into public.messages (id, conversation_id, role, content, parts, reasoning, created_at) values
  ('60000000-0000-4000-8000-000000000001', '50000000-0000-4000-8000-000000000001', 'user',
   'How close are solid-state batteries to production?', '[{"type": "text"}]', null,
   now() - interval '2 days'),
  -- Only calls a tool, so it says nothing.
  ('60000000-0000-4000-8000-000000000002', '50000000-0000-4000-8000-000000000001', 'assistant', default,
   '[{"type": "tool-call", "toolCallId": "call_1", "toolName": "web_search", "args": {"query": "solid-state battery production"}}]',
   'The question is about the present, so search first.', now() - interval '2 days' + interval '2 seconds'),
  ('60000000-0000-4000-8000-000000000003', '50000000-0000-4000-8000-000000000001', 'tool', default,
   '[{"type": "tool-result", "toolCallId": "call_1", "result": [{"title": "Pilot line opens", "url": "https://news.example.com/1"}]}]',
   null, now() - interval '2 days' + interval '4 seconds'),
  ('60000000-0000-4000-8000-000000000004', '50000000-0000-4000-8000-000000000001', 'assistant',
   'Pilot lines are running; volume production is announced for the end of the decade. I wrote it up as a document.',
   '[{"type": "text"}]', null, now() - interval '2 days' + interval '9 seconds'),
  ('60000000-0000-4000-8000-000000000005', '50000000-0000-4000-8000-000000000002', 'user',
   'Why does order by priority put medium first?', null, null, now() - interval '5 hours'),
  ('60000000-0000-4000-8000-000000000006', '50000000-0000-4000-8000-000000000002', 'assistant',
   'Because text sorts by letters. Use an enum, or a rank column.', null, null,
   now() - interval '5 hours' + interval '3 seconds'),
  ('60000000-0000-4000-8000-000000000007', '50000000-0000-4000-8000-000000000003', 'user',
   'Two days in Porto, we like walking.', null, null, now() - interval '1 day'),
  ('60000000-0000-4000-8000-000000000008', '50000000-0000-4000-8000-000000000003', 'assistant',
   'Saturday: Ribeira and across the bridge. Sunday: along the river to the sea.', null, null,
   now() - interval '1 day' + interval '4 seconds')
on conflict (id) do nothing;

insert into public.artifacts (id, user_id, message_id, type, title, content, created_at, updated_at) values
  ('70000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
   '60000000-0000-4000-8000-000000000004', 'text', 'Solid-state batteries: state of play', '# State of play (draft)',
   now() - interval '2 days', now() - interval '2 days'),
  ('70000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001',
   '60000000-0000-4000-8000-000000000006', 'code', 'Rank column', 'order by array_position(array[''high'', ''low''], p)',
   now() - interval '5 hours', now() - interval '5 hours'),
  ('70000000-0000-4000-8000-000000000003', 'b0000000-0000-4000-8000-000000000002',
   '60000000-0000-4000-8000-000000000008', 'sheet', 'Porto, hour by hour', E'time,place\n10:00,Ribeira',
   now() - interval '1 day', now() - interval '1 day')
on conflict (id) do nothing;
-- A second version of the first. (Changes nothing when it is there already.)
update public.artifacts set content = E'# State of play\n\nPilot lines run; volume is announced for the end of the decade.'
where id = '70000000-0000-4000-8000-000000000001' and content like '%(draft)';

insert into public.workflows
  (id, user_id, agent_instance_id, workflow_id, status, goal, steps, result, created_at) values
  ('80000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
   '40000000-0000-4000-8000-000000000001', 'wfr_demo_0001', 'completed', 'Compare three suppliers of electrolytes',
   '[{"name": "search", "status": "completed"}, {"name": "write", "status": "completed"}]', '{"suppliers": 3}',
   now() - interval '2 days'),
  ('80000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001',
   '40000000-0000-4000-8000-000000000001', 'wfr_demo_0002', 'running', 'Watch for new pilot lines',
   '[{"name": "search", "status": "running"}]', null, now() - interval '20 minutes'),
  ('80000000-0000-4000-8000-000000000003', 'b0000000-0000-4000-8000-000000000002',
   '40000000-0000-4000-8000-000000000003', 'wfr_demo_0003', 'pending', 'Find trains to Porto', null, null,
   now() - interval '2 minutes')
on conflict (id) do nothing;
