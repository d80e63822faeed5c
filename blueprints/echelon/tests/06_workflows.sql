-- test: the owner sees and makes workflows, a stranger neither
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.rows('select from public.workflows', 2);
select tests.affects($$insert into public.workflows (agent_id, name, trigger_config)
                       values ('40000000-0000-4000-8000-000000000001', 'Second', '{"cron": "0 * * * *"}')$$, 1);
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from public.workflows', 0);
select tests.throws($$insert into public.workflows (agent_id, name)
                      values ('40000000-0000-4000-8000-000000000001', 'Parasite')$$, '42501');

-- test: one execution of n8n is one row
select tests.as_service();
select tests.throws($$insert into public.workflow_executions (workflow_id, execution_id)
                      values ('70000000-0000-4000-8000-000000000001', '1')$$, '23505');
select tests.affects($$insert into public.workflow_executions (workflow_id, execution_id)
                       values ('70000000-0000-4000-8000-000000000002', '1')$$, 1);

-- test: an execution is counted once, however often it is reported
select tests.as_service();
insert into public.workflow_executions (workflow_id, execution_id, status, started_at)
select '70000000-0000-4000-8000-000000000001', '5', 'running', now() + interval '1 minute' from generate_series(1, 3)
on conflict (workflow_id, execution_id) do nothing;
insert into public.workflow_executions (workflow_id, execution_id, status)
values ('70000000-0000-4000-8000-000000000001', '5', 'success')
on conflict (workflow_id, execution_id) do update set status = excluded.status, completed_at = now();
update public.workflow_executions set status = 'success' where execution_id = '5';
select tests.rows($$select from public.workflows
  where id = '70000000-0000-4000-8000-000000000001' and (execution_count, success_count, error_count) = (2, 1, 0)
    and last_execution = now() + interval '1 minute'$$, 1);

-- test: waiting counts as neither success nor error, and a corrected status moves from one count to the other
select tests.as_service();
update public.workflow_executions set status = 'waiting' where execution_id = '1';
select tests.rows($$select from public.workflows
  where id = '70000000-0000-4000-8000-000000000001' and (execution_count, success_count, error_count) = (1, 0, 0)$$, 1);
update public.workflow_executions set status = 'success' where execution_id = '1';
update public.workflow_executions set status = 'error' where execution_id = '1';
select tests.rows($$select from public.workflows
  where id = '70000000-0000-4000-8000-000000000001' and (execution_count, success_count, error_count) = (1, 0, 1)$$, 1);

-- test: an execution that is already over when it is first reported counts in full
select tests.as_service();
insert into public.workflow_executions (workflow_id, execution_id, status)
values ('70000000-0000-4000-8000-000000000001', '6', 'error');
select tests.rows($$select from public.workflows
  where id = '70000000-0000-4000-8000-000000000001' and (execution_count, success_count, error_count) = (2, 0, 1)$$, 1);

-- test: clearing away old executions keeps the counts
select tests.as_service();
delete from public.workflow_executions;
select tests.rows('select from public.workflows where execution_count = 1', 2);

-- test: users touch neither counters nor the link to n8n
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws('update public.workflows set execution_count = 0', '42501');
select tests.throws('update public.workflows set last_execution = now()', '42501');
select tests.throws($$update public.workflows set n8n_workflow_id = 'n8n-3'$$, '42501');
select tests.throws($$insert into public.workflows (agent_id, name, n8n_workflow_id)
                      values ('40000000-0000-4000-8000-000000000001', 'Hijack', 'n8n-3')$$, '42501');
select tests.as_service();
select tests.throws($$update public.workflows set n8n_workflow_id = 'n8n-1' where n8n_workflow_id = 'n8n-2'$$, '23505');

-- test: the dashboard adds up all workflows of an agent
select tests.as_service();
insert into public.workflows (id, agent_id, name) values
  ('70000000-0000-4000-8000-000000000009', '40000000-0000-4000-8000-000000000001', 'Second');
insert into public.workflow_executions (workflow_id, execution_id, status)
select '70000000-0000-4000-8000-000000000009', n::text, case when n = 10 then 'error' else 'success' end
from generate_series(1, 10) n;
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.rows($$select from public.agent_dashboard
  where name = 'Solo' and (execution_count, success_count, error_count) = (11, 9, 1)$$, 1);

-- test: the dashboard shows the latest deployment, zeros where nothing ran, and the caller's agents only
select tests.as_service();
insert into public.deployments (agent_id, created_at) values
  ('40000000-0000-4000-8000-000000000001', now() + interval '1 second'),
  ('40000000-0000-4000-8000-000000000001', now() - interval '1 day');
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.rows($$select from public.agent_dashboard
  where name = 'Solo' and deployment_status = 'pending' and deployed_at is null$$, 1);
select tests.rows('select from public.agent_dashboard', 2);
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows($$select from public.agent_dashboard
  where name = 'Rival' and deployment_status is null and (execution_count, success_count, error_count) = (0, 0, 0)$$, 1);
select tests.rows('select from public.agent_dashboard', 1);
