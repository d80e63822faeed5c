-- test: the document's tables have its columns, in its order
select tests.is(
  (select array_agg(a.attname::text order by a.attnum)
   from pg_attribute a
   where a.attrelid = ('public.' || wanted.name)::regclass and a.attnum > 0),
  string_to_array(wanted.columns, ' '), wanted.name)
from (values
  ('users', 'id email full_name avatar_url subscription_tier created_at updated_at'),
  ('user_roles', 'id user_id role team_id granted_by granted_at'),
  ('teams', 'id name slug plan created_by created_at updated_at'),
  ('agents', 'id name description type status config deployment_config created_by team_id created_at updated_at last_activity'),
  ('agent_templates', 'id name description type default_config is_public created_by created_at'),
  ('deployments', 'id agent_id version status trigger_type trigger_config deployment_url error_message deployed_at stopped_at created_at'),
  ('workflows', 'id agent_id name description n8n_workflow_id trigger_config status last_execution next_execution execution_count success_count error_count created_at updated_at'),
  ('workflow_executions', 'id workflow_id execution_id status input_data output_data error_data execution_time_ms started_at completed_at'),
  ('notifications', 'id user_id type title message data priority read_at expires_at created_at'),
  ('agent_thoughts', 'id agent_id execution_id node_id node_type content metadata parent_node_id confidence_score processing_time_ms created_at'),
  ('agent_metrics', 'id agent_id metric_type value unit metadata recorded_at'),
  ('api_usage', 'id user_id agent_id endpoint method status_code response_time_ms cost_usd created_at')
) wanted (name, columns);

-- test: the document's indexes exist on its columns, all but the three that another makes superfluous
select tests.is(
  (select string_agg(a.attname, ' ' order by k.position)
   from pg_index i, unnest(i.indkey::int2[]) with ordinality k (attnum, position)
   join pg_attribute a on a.attnum = k.attnum
   where i.indexrelid = to_regclass('public.' || wanted.name) and a.attrelid = i.indrelid),
  wanted.columns, wanted.name)
from (values
  ('idx_agents_created_by', null), ('idx_agents_user_status', 'created_by status'),
  ('idx_deployments_agent_id', null), ('idx_deployments_agent_status', 'agent_id status'),
  ('idx_workflow_executions_workflow_id', null), ('idx_workflow_executions_workflow_status', 'workflow_id status'),
  ('idx_agents_team_id', 'team_id'), ('idx_agents_type', 'type'), ('idx_agents_status', 'status'),
  ('idx_deployments_status', 'status'),
  ('idx_workflow_executions_status', 'status'), ('idx_workflow_executions_started_at', 'started_at'),
  ('idx_notifications_user_id', 'user_id'), ('idx_notifications_created_at', 'created_at'),
  ('idx_notifications_priority', 'priority'),
  ('idx_agent_thoughts_agent_id', 'agent_id'), ('idx_agent_thoughts_execution_id', 'execution_id'),
  ('idx_agent_thoughts_created_at', 'created_at'),
  ('idx_agent_metrics_agent_id', 'agent_id'), ('idx_agent_metrics_type', 'metric_type'),
  ('idx_agent_metrics_recorded_at', 'recorded_at'),
  ('idx_api_usage_user_id', 'user_id'), ('idx_api_usage_agent_id', 'agent_id'), ('idx_api_usage_created_at', 'created_at'),
  ('idx_active_agents', 'created_by'), ('idx_unread_notifications', 'user_id created_at')
) wanted (name, columns);

-- test: the partial indexes hold active agents and unread notifications
select tests.rows($$select from pg_indexes
  where indexname = 'idx_active_agents' and indexdef like '%WHERE ((status)::text = ''active''::text)'
     or indexname = 'idx_unread_notifications' and indexdef like '%WHERE (read_at IS NULL)'$$, 2);

-- test: the document's policies are there under their names
select tests.rows($$select from pg_policies where (tablename, policyname) in (
  ('agents', 'Users can manage their own agents'),
  ('agents', 'Team members can view team agents'),
  ('notifications', 'Users can access their own notifications'),
  ('deployments', 'Users can access deployments for their agents'))$$, 4);

-- test: defaults are the document's
insert into public.agents (id, name, type) values ('40000000-0000-4000-8000-0000000000d1', 'Bare', 'alarm');
insert into public.deployments (agent_id) values ('40000000-0000-4000-8000-0000000000d1');
insert into public.workflows (agent_id, name) values ('40000000-0000-4000-8000-0000000000d1', 'Bare');
insert into public.teams (name, slug) values ('Bare', 'bare');
insert into public.notifications (type, title, message) values ('agent_error', 'Bare', 'Bare');
select tests.rows($$select from public.agents
  where name = 'Bare' and status = 'inactive' and config = '{}' and deployment_config = '{}' and created_at is not null$$, 1);
select tests.rows($$select from public.deployments
  where agent_id = '40000000-0000-4000-8000-0000000000d1' and version = 1 and status = 'pending' and trigger_config = '{}'$$, 1);
select tests.rows($$select from public.workflows
  where name = 'Bare' and status = 'inactive' and execution_count + success_count + error_count = 0$$, 1);
select tests.rows($$select from public.teams where name = 'Bare' and plan = 'starter'$$, 1);
select tests.rows($$select from public.notifications where title = 'Bare' and priority = 'medium' and data = '{}'$$, 1);

-- test: status, role, type, priority and unit take only the values that the document lists
select tests.throws(format('insert into public.%s', statement), '23514')
from unnest(array[
  $$user_roles (user_id, team_id, role) values ('00000000-0000-4000-8000-00000000000b', '10000000-0000-4000-8000-000000000001', 'banana')$$,
  $$agents (name, type) values ('x', 'banana')$$,
  $$agents (name, type, status) values ('x', 'alarm', 'banana')$$,
  $$agent_templates (name, type, default_config) values ('x', 'banana', '{}')$$,
  $$deployments (status) values ('banana')$$,
  $$deployments (trigger_type) values ('banana')$$,
  $$workflows (name, status) values ('x', 'banana')$$,
  $$workflow_executions (status) values ('banana')$$,
  $$notifications (type, title, message) values ('banana', 'x', 'x')$$,
  $$notifications (type, title, message, priority) values ('agent_error', 'x', 'x', 'banana')$$,
  $$agent_thoughts (node_id, node_type, content) values ('n', 'banana', 'x')$$,
  $$agent_metrics (metric_type, value) values ('banana', 1)$$,
  $$agent_metrics (metric_type, value, unit) values ('cost', 1, 'banana')$$,
  $$team_invites (team_id, email, role) values ('10000000-0000-4000-8000-000000000001', 'x@example.com', 'banana')$$
]) statement;

-- test: a status is never missing
select tests.throws('insert into public.' || statement, '23502')
from unnest(array[
  $$agents (name, type, status) values ('x', 'alarm', null)$$,
  $$deployments (status) values (null)$$,
  $$workflows (name, status) values ('x', null)$$,
  $$workflow_executions (status) values (null)$$,
  $$notifications (type, title, message, priority) values ('agent_error', 'x', 'x', null)$$
]) statement;

-- test: a call that costs a hundredth of a thousandth of a cent keeps its cost
insert into public.api_usage (endpoint, method, status_code, cost_usd) values ('/tiny', 'POST', 200, 0.00001234);
select tests.is((select cost_usd from public.api_usage where endpoint = '/tiny'), 0.00001234, 'cost');

-- test: a response of seventeen minutes fits into a metric
insert into public.agent_metrics (metric_type, value, unit) values ('response_time', 1000000, 'ms');
select tests.rows('select from public.agent_metrics where value = 1000000', 1);

-- test: updated_at moves on users, teams, agents and workflows
update public.users set updated_at = '2000-01-01', full_name = 'x';
update public.teams set updated_at = '2000-01-01', name = 'x';
update public.agents set updated_at = '2000-01-01', name = 'x';
update public.workflows set updated_at = '2000-01-01', name = 'x';
select tests.rows($$
  select from (select updated_at from public.users union all select updated_at from public.teams
               union all select updated_at from public.agents union all select updated_at from public.workflows) every
  where updated_at <> now()$$, 0);
