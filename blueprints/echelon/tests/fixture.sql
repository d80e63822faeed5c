-- Two tenants. The team Falcon has an admin, an agent manager, a viewer, and the owner, who manages agents as well. The
-- owner has an agent alone and one in the team. The other has a team and an agent of their own.
select tests.sign_up('00000000-0000-4000-8000-00000000000a', 'owner@example.com', '{"full_name": "Owner"}');
select tests.sign_up('00000000-0000-4000-8000-00000000000b', 'other@example.com', '{"full_name": "Other"}');
select tests.sign_up('00000000-0000-4000-8000-00000000000c', 'admin@example.com');
select tests.sign_up('00000000-0000-4000-8000-00000000000d', 'manager@example.com');
select tests.sign_up('00000000-0000-4000-8000-00000000000e', 'viewer@example.com');
-- An account whose profile is missing.
select tests.sign_up('00000000-0000-4000-8000-00000000000f', 'lost@example.com');
delete from public.users where id = '00000000-0000-4000-8000-00000000000f';

-- A trigger makes the creators admins.
insert into public.teams (id, name, slug, created_by) values
  ('10000000-0000-4000-8000-000000000001', 'Falcon', 'falcon', '00000000-0000-4000-8000-00000000000c'),
  ('10000000-0000-4000-8000-000000000002', 'Rivals', 'rivals', '00000000-0000-4000-8000-00000000000b');
insert into public.user_roles (id, user_id, role, team_id, granted_by) values
  ('20000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'agent_manager',
   '10000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c'),
  ('20000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000d', 'agent_manager',
   '10000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c'),
  ('20000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-00000000000e', 'viewer',
   '10000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000c');
insert into public.team_invites (id, team_id, email, role, invited_by) values
  ('30000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001', 'Other@Example.com', 'viewer',
   '00000000-0000-4000-8000-00000000000c');

insert into public.agents (id, name, type, status, created_by, team_id) values
  ('40000000-0000-4000-8000-000000000001', 'Solo', 'market', 'active', '00000000-0000-4000-8000-00000000000a', null),
  ('40000000-0000-4000-8000-000000000002', 'Shared', 'websearch', 'active', '00000000-0000-4000-8000-00000000000a',
   '10000000-0000-4000-8000-000000000001'),
  ('40000000-0000-4000-8000-000000000003', 'Rival', 'media', 'inactive', '00000000-0000-4000-8000-00000000000b',
   '10000000-0000-4000-8000-000000000002');

insert into public.agent_templates (id, name, type, default_config, is_public, created_by) values
  ('50000000-0000-4000-8000-000000000001', 'Mine', 'market', '{}', false, '00000000-0000-4000-8000-00000000000a'),
  ('50000000-0000-4000-8000-000000000002', 'Everybody''s', 'alarm', '{}', true, '00000000-0000-4000-8000-00000000000a');

insert into public.deployments (id, agent_id, status, trigger_type) values
  ('60000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'deployed', 'manual'),
  ('60000000-0000-4000-8000-000000000002', '40000000-0000-4000-8000-000000000002', 'deployed', 'manual');

insert into public.workflows (id, agent_id, name, n8n_workflow_id, status) values
  ('70000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'Solo run', 'n8n-1', 'active'),
  ('70000000-0000-4000-8000-000000000002', '40000000-0000-4000-8000-000000000002', 'Shared run', 'n8n-2', 'active');

insert into public.workflow_executions (id, workflow_id, execution_id, status) values
  ('80000000-0000-4000-8000-000000000001', '70000000-0000-4000-8000-000000000001', '1', 'running'),
  ('80000000-0000-4000-8000-000000000002', '70000000-0000-4000-8000-000000000002', '2', 'running');

insert into public.agent_thoughts (id, agent_id, execution_id, node_id, node_type, content) values
  ('90000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001',
   '80000000-0000-4000-8000-000000000001', 'n1', 'input', 'What is up?'),
  ('90000000-0000-4000-8000-000000000002', '40000000-0000-4000-8000-000000000002',
   '80000000-0000-4000-8000-000000000002', 'n1', 'input', 'What is up?');

insert into public.agent_metrics (id, agent_id, metric_type, value, unit) values
  ('a0000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'response_time', 420, 'ms'),
  ('a0000000-0000-4000-8000-000000000002', '40000000-0000-4000-8000-000000000002', 'response_time', 840, 'ms');

insert into public.api_usage (id, user_id, agent_id, endpoint, method, status_code, cost_usd) values
  ('b0000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a',
   '40000000-0000-4000-8000-000000000002', '/v1/chat/completions', 'POST', 200, 0.002);

insert into public.notifications (id, user_id, type, title, message) values
  ('c0000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'rate_limit_warning',
   'Slow down', 'Ninety of a hundred calls are used.');
