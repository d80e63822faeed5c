-- A first look: ada has three agents, and a team in which ben is a viewer; ben has an agent, and a team that has invited
-- somebody; eve has just signed up. Can be loaded again; what is there stays. All passwords are `plinth-demo`.

insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
                        raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', person.id::uuid, 'authenticated', 'authenticated', person.email,
       extensions.crypt('plinth-demo', extensions.gen_salt('bf')), now() - person.age,
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('full_name', person.name),
       now() - person.age, now() - person.age
from (values
  ('a0000000-0000-4000-8000-000000000001', 'ada@example.com', 'Ada Lind', interval '90 days'),
  ('b0000000-0000-4000-8000-000000000002', 'ben@example.com', 'Ben Osei', interval '30 days'),
  ('e0000000-0000-4000-8000-000000000003', 'eve@example.com', 'Eve Moreau', interval '1 hour')
) person (id, email, name, age)
on conflict do nothing;

insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', true), 'email',
       u.created_at, u.created_at, u.created_at
from auth.users u
where u.email in ('ada@example.com', 'ben@example.com', 'eve@example.com')
on conflict do nothing;

update public.users set subscription_tier = 'pro' where id = 'a0000000-0000-4000-8000-000000000001';

-- Their creators become admins by a trigger.
insert into public.teams (id, name, slug, plan, created_by, created_at) values
  ('10000000-0000-4000-8000-000000000001', 'Harbour Research', 'harbour', 'growth',
   'a0000000-0000-4000-8000-000000000001', now() - interval '80 days'),
  ('10000000-0000-4000-8000-000000000002', 'Osei & Co', 'osei', 'starter',
   'b0000000-0000-4000-8000-000000000002', now() - interval '20 days')
on conflict do nothing;

insert into public.user_roles (id, user_id, role, team_id, granted_by, granted_at) values
  ('20000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002', 'viewer',
   '10000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', now() - interval '25 days')
on conflict do nothing;

insert into public.team_invites (id, team_id, email, role, invited_by) values
  ('30000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000002', 'finn@example.com', 'agent_manager',
   'b0000000-0000-4000-8000-000000000002')
on conflict do nothing;

insert into public.agent_templates (id, name, description, type, default_config, is_public, created_by) values
  ('50000000-0000-4000-8000-000000000001', 'Price watcher', 'Follows prices and tells when they leave a range',
   'market', '{"symbols": [], "interval": "5m", "range_percent": 3}', true, 'a0000000-0000-4000-8000-000000000001'),
  ('50000000-0000-4000-8000-000000000002', 'Web researcher', 'Searches, reads and sums up with sources', 'websearch',
   '{"depth": 2, "max_sources": 8, "language": "en"}', true, null),
  ('50000000-0000-4000-8000-000000000003', 'Uptime alarm', 'Calls when a page does not answer', 'alarm',
   '{"url": "", "every": "1m", "after_failures": 3}', true, null),
  ('50000000-0000-4000-8000-000000000004', 'Clip maker (draft)', 'Cuts talks into clips', 'media',
   '{"length_seconds": 45}', false, 'a0000000-0000-4000-8000-000000000001')
on conflict do nothing;

insert into public.agents (id, name, description, type, status, config, deployment_config, created_by, team_id,
                           created_at, updated_at, last_activity) values
  ('40000000-0000-4000-8000-000000000001', 'Tide', 'Watches freight rates', 'market', 'active',
   '{"symbols": ["BDI", "SCFI"], "interval": "5m", "range_percent": 3}', '{"memory_mb": 256, "region": "eu"}',
   'a0000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001',
   now() - interval '75 days', now() - interval '9 days', now() - interval '5 minutes'),
  ('40000000-0000-4000-8000-000000000002', 'Lantern', 'Answers research questions with sources', 'websearch', 'active',
   '{"depth": 2, "max_sources": 8, "language": "en"}', '{"memory_mb": 512, "region": "eu"}',
   'a0000000-0000-4000-8000-000000000001', '10000000-0000-4000-8000-000000000001',
   now() - interval '60 days', now() - interval '30 days', now() - interval '40 minutes'),
  ('40000000-0000-4000-8000-000000000003', 'Foghorn', 'Rings when the shop is down', 'alarm', 'error',
   '{"url": "https://shop.example.com", "every": "1m", "after_failures": 3}', '{"memory_mb": 64, "region": "eu"}',
   'a0000000-0000-4000-8000-000000000001', null, now() - interval '14 days', now() - interval '2 hours', now() - interval '2 hours'),
  ('40000000-0000-4000-8000-000000000004', 'Clipper', 'Cuts talks into clips', 'media', 'inactive',
   '{"length_seconds": 45}', '{}', 'b0000000-0000-4000-8000-000000000002', null, now() - interval '18 days',
   now() - interval '10 minutes', null)
on conflict do nothing;

-- In the order of time: versions are counted as they come.
insert into public.deployments (id, agent_id, status, trigger_type, trigger_config, deployment_url, error_message,
                                deployed_at, stopped_at, created_at)
select ('60000000-0000-4000-8000-' || lpad(d.n::text, 12, '0'))::uuid,
       ('40000000-0000-4000-8000-' || lpad(d.agent::text, 12, '0'))::uuid,
       d.status, d.trigger_type, d.trigger_config::jsonb, d.url, d.error_message,
       case when d.status in ('deployed', 'stopped') then now() - d.age + interval '40 seconds' end,
       now() - d.stopped, now() - d.age
from (values
  (1, 1, 'stopped', 'manual', '{}', 'https://agents.example.com/tide-1', null, interval '74 days', interval '9 days'),
  (2, 1, 'deployed', 'config_change', '{"changed": ["symbols"]}', 'https://agents.example.com/tide-2', null,
   interval '9 days', null),
  (3, 2, 'deployed', 'manual', '{}', 'https://agents.example.com/lantern-1', null, interval '59 days', null),
  (4, 3, 'stopped', 'manual', '{}', 'https://agents.example.com/foghorn-1', null, interval '14 days', interval '1 day'),
  (5, 3, 'failed', 'scheduled', '{"cron": "0 4 * * *"}', null, 'The image could not be pulled: timeout after 60 s',
   interval '2 hours', null),
  (6, 4, 'pending', 'manual', '{}', null, null, interval '10 minutes', null)
) d (n, agent, status, trigger_type, trigger_config, url, error_message, age, stopped)
order by d.n
on conflict do nothing;

insert into public.workflows (id, agent_id, name, description, n8n_workflow_id, trigger_config, status, next_execution,
                              created_at) values
  ('70000000-0000-4000-8000-000000000001', '40000000-0000-4000-8000-000000000001', 'Fetch rates', 'Every five minutes',
   'wf-rates', '{"cron": "*/5 * * * *"}', 'active', now() + interval '5 minutes', now() - interval '74 days'),
  ('70000000-0000-4000-8000-000000000002', '40000000-0000-4000-8000-000000000001', 'Weekly summary', 'Mondays at eight',
   'wf-summary', '{"cron": "0 8 * * 1"}', 'active', now() + interval '4 days', now() - interval '70 days'),
  ('70000000-0000-4000-8000-000000000003', '40000000-0000-4000-8000-000000000002', 'Research', 'On request',
   'wf-research', '{"webhook": "research"}', 'active', null, now() - interval '59 days'),
  ('70000000-0000-4000-8000-000000000004', '40000000-0000-4000-8000-000000000003', 'Ping the shop', 'Every minute',
   'wf-ping', '{"cron": "* * * * *"}', 'error', null, now() - interval '14 days')
on conflict do nothing;

-- The counters of the workflows follow by a trigger.
insert into public.workflow_executions (id, workflow_id, execution_id, status, input_data, output_data, error_data,
                                        execution_time_ms, started_at, completed_at)
select ('80000000-0000-4000-8000-' || lpad((flow.n * 1000 + run.n)::text, 12, '0'))::uuid,
       ('70000000-0000-4000-8000-' || lpad(flow.n::text, 12, '0'))::uuid,
       (flow.n * 1000 + run.n)::text,
       case when run.n % flow.fails = 0 then 'error' else 'success' end,
       jsonb_build_object('run', run.n),
       case when run.n % flow.fails <> 0 then jsonb_build_object('items', 1 + run.n % 7) end,
       case when run.n % flow.fails = 0 then '{"message": "upstream answered 503"}'::jsonb end,
       300 + (run.n * 37) % 900,
       now() - run.n * flow.every,
       now() - run.n * flow.every + interval '1 second'
from (values (1, 24, 12, interval '5 minutes'), (2, 4, 99, interval '7 days'), (3, 9, 9, interval '40 minutes'),
             (4, 6, 2, interval '20 minutes')) flow (n, runs, fails, every),
     generate_series(1, flow.runs) run (n)
on conflict do nothing;

-- One research run that is still going on, and how the agent thinks about it.
insert into public.workflow_executions (id, workflow_id, execution_id, status, input_data, started_at) values
  ('80000000-0000-4000-8000-000000009001', '70000000-0000-4000-8000-000000000003', '9001', 'running',
   '{"question": "Why did freight rates from Asia to Europe rise this month?"}', now() - interval '30 seconds')
on conflict do nothing;

insert into public.agent_thoughts (id, agent_id, execution_id, node_id, node_type, content, parent_node_id,
                                   confidence_score, processing_time_ms, created_at)
select ('90000000-0000-4000-8000-' || lpad(t.n::text, 12, '0'))::uuid, '40000000-0000-4000-8000-000000000002',
       '80000000-0000-4000-8000-000000009001', t.node, t.kind, t.content, t.parent, t.confidence, t.ms,
       now() - interval '30 seconds' + t.n * interval '4 seconds'
from (values
  (1, 'question', 'input', 'Why did freight rates from Asia to Europe rise this month?', null, 1.00, 12),
  (2, 'split', 'processing', 'Three possible causes: routes, fuel, demand', 'question', 0.90, 640),
  (3, 'routes', 'action', 'Search: Suez diversions this month', 'split', 0.85, 1830),
  (4, 'fuel', 'action', 'Search: bunker fuel price, four weeks', 'split', 0.80, 1640),
  (5, 'demand', 'action', 'Search: early restocking in Europe', 'split', 0.60, 2210),
  (6, 'weigh', 'processing', 'Diversions explain most of it, fuel hardly any', 'routes', 0.78, 910),
  (7, 'answer', 'output', 'Mostly longer routes; restocking adds to it', 'weigh', 0.74, 480)
) t (n, node, kind, content, parent, confidence, ms)
on conflict do nothing;

insert into public.notifications (id, user_id, type, title, message, data, priority, read_at, expires_at,
                                  created_at) values
  ('c0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', 'deployment_success',
   'Tide is deployed', 'Version 2 of Tide answers at its address.',
   '{"agent_id": "40000000-0000-4000-8000-000000000001", "version": 2}', 'low', now() - interval '8 days', null,
   now() - interval '9 days'),
  ('c0000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001', 'agent_error',
   'Foghorn does not run', 'The image could not be pulled: timeout after 60 s',
   '{"agent_id": "40000000-0000-4000-8000-000000000003"}', 'high', null, null, now() - interval '2 hours'),
  ('c0000000-0000-4000-8000-000000000003', 'a0000000-0000-4000-8000-000000000001', 'rate_limit_warning',
   'Lantern searches a lot', '90 of 100 searches of this hour are used.',
   '{"agent_id": "40000000-0000-4000-8000-000000000002", "used": 90, "limit": 100}', 'medium', null,
   now() + interval '1 hour', now() - interval '10 minutes'),
  ('c0000000-0000-4000-8000-000000000004', 'b0000000-0000-4000-8000-000000000002', 'budget_warning',
   'Half of the budget is used', '2.50 of 5 USD are used this month.', '{"used": 2.5, "limit": 5}', 'medium', null, null, now() - interval '1 day')
on conflict do nothing;

insert into public.agent_metrics (id, agent_id, metric_type, value, unit, recorded_at)
select ('d0000000-0000-4000-8000-' || lpad((agent * 1000 + kind.n * 100 + day)::text, 12, '0'))::uuid,
       ('40000000-0000-4000-8000-' || lpad(agent::text, 12, '0'))::uuid,
       kind.name, round(kind.base + kind.swing * sin(day + agent)::numeric, 4), kind.unit, now() - day * interval '1 day'
from generate_series(1, 3) agent, generate_series(0, 13) day,
     (values (1, 'response_time', 850, 240, 'ms'), (2, 'accuracy', 92, 4, 'percent'), (3, 'cost', 0.42, 0.2, 'usd'),
             (4, 'success_rate', 95, 4, 'percent')) kind (n, name, base, swing, unit)
on conflict do nothing;

insert into public.api_usage (id, user_id, agent_id, endpoint, method, status_code, response_time_ms, cost_usd,
                              created_at)
select ('e0000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'a0000000-0000-4000-8000-000000000001',
       ('40000000-0000-4000-8000-' || lpad((1 + n % 2)::text, 12, '0'))::uuid,
       case n % 3 when 0 then '/v1/embeddings' else '/v1/chat/completions' end, 'POST',
       case when n % 17 = 0 then 429 else 200 end, 180 + (n * 53) % 1400,
       case when n % 17 = 0 then 0 when n % 3 = 0 then 0.00001234 else 0.0021 + n * 0.00001 end,
       now() - n * interval '50 minutes'
from generate_series(1, 40) n
union all
select ('e0000000-0000-4000-8000-' || lpad((100 + n)::text, 12, '0'))::uuid, 'b0000000-0000-4000-8000-000000000002'::uuid,
       '40000000-0000-4000-8000-000000000004'::uuid, '/v1/audio/transcriptions', 'POST', 200, 9000 + n * 411, 0.5,
       now() - n * interval '1 day'
from generate_series(1, 5) n
on conflict do nothing;
