-- The rows that the matrix and the tests talk about. owner …0a has one row of everything, other …0b has nothing but an
-- account; …0c has no subscription and …0d no row in users, so that there is something to insert.
insert into auth.users (id, aud, role, email, raw_user_meta_data) values
  ('00000000-0000-4000-8000-00000000000a', 'authenticated', 'authenticated', 'owner@example.com', '{"name": "Owner"}'),
  ('00000000-0000-4000-8000-00000000000b', 'authenticated', 'authenticated', 'other@example.com', '{}'),
  ('00000000-0000-4000-8000-00000000000c', 'authenticated', 'authenticated', 'spare@example.com', '{}'),
  ('00000000-0000-4000-8000-00000000000d', 'authenticated', 'authenticated', 'bare@example.com', '{}');
delete from public.subscriptions where user_id = '00000000-0000-4000-8000-00000000000c';
delete from public.users where id = '00000000-0000-4000-8000-00000000000d';

update public.subscriptions
set id = '10000000-0000-4000-8000-00000000000a', plan = 'pro', agent_limit = 3, stripe_subscription_id = 'sub_owner'
where user_id = '00000000-0000-4000-8000-00000000000a';

insert into public.agent_tools (id, name, description, schema, is_system) values
  ('20000000-0000-4000-8000-00000000000a', 'web_search', 'Searches.',
   '{"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}', true),
  ('20000000-0000-4000-8000-00000000000b', 'calculator', 'Adds up.', '{"type": "object"}', true),
  ('20000000-0000-4000-8000-00000000000c', 'unused', 'Nobody has it.', '{"type": "object"}', false);

insert into public.agent_definitions (id, user_id, name, description, system_prompt, is_public, tools) values
  ('30000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a', 'Private', 'd', 'secret prompt', false,
   '["20000000-0000-4000-8000-00000000000a"]'),
  ('30000000-0000-4000-8000-00000000000b', '00000000-0000-4000-8000-00000000000a', 'Public', 'd', 'open prompt', true,
   '["20000000-0000-4000-8000-00000000000b", "20000000-0000-4000-8000-00000000000a"]');

insert into public.agent_instances (id, user_id, definition_id, name) values
  ('40000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a',
   '30000000-0000-4000-8000-00000000000a', 'Instance');

insert into public.conversations (id, user_id, title, system_prompt) values
  ('50000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a', 'Private talk', 'Be brief.');

insert into public.messages (id, conversation_id, role, content, created_at) values
  ('60000000-0000-4000-8000-00000000000a', '50000000-0000-4000-8000-00000000000a', 'user', 'First',
   now() - interval '2 minutes'),
  ('60000000-0000-4000-8000-00000000000b', '50000000-0000-4000-8000-00000000000a', 'assistant', 'Second',
   now() - interval '1 minute');

insert into public.artifacts (id, user_id, message_id, type, title, content) values
  ('70000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a',
   '60000000-0000-4000-8000-00000000000b', 'text', 'Artifact', 'one');
update public.artifact_versions set id = '71000000-0000-4000-8000-00000000000a'
where artifact_id = '70000000-0000-4000-8000-00000000000a';

insert into public.workflows (id, user_id, agent_instance_id, workflow_id, status, goal) values
  ('80000000-0000-4000-8000-00000000000a', '00000000-0000-4000-8000-00000000000a',
   '40000000-0000-4000-8000-00000000000a', 'wfr_1', 'running', 'Find it');
