-- test: an agent cannot be given away, nor its team taken over
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$update public.agents set created_by = '00000000-0000-4000-8000-00000000000b'$$, '42501');
select tests.throws($$insert into public.agents (name, type, created_by)
                      values ('Gift', 'alarm', '00000000-0000-4000-8000-00000000000b')$$, '42501');

-- test: nobody puts an agent before the eyes of a team they do not manage agents of
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.agents (name, type, created_by, team_id) values
  ('Trojan', 'alarm', '00000000-0000-4000-8000-00000000000b', '10000000-0000-4000-8000-000000000001')$$, '42501');
select tests.throws($$update public.agents set team_id = '10000000-0000-4000-8000-000000000001'$$, '42501');
select tests.as_user('00000000-0000-4000-8000-00000000000e');
select tests.throws($$insert into public.agents (name, type, created_by, team_id) values
  ('Viewed', 'alarm', '00000000-0000-4000-8000-00000000000e', '10000000-0000-4000-8000-000000000001')$$, '42501');

-- test: a viewer reads the team's agent with everything that hangs on it, and changes nothing
select tests.as_user('00000000-0000-4000-8000-00000000000e');
select tests.rows('select from public.agents', 1);
select tests.rows('select from public.deployments', 1);
select tests.rows('select from public.workflows', 1);
select tests.rows('select from public.workflow_executions', 1);
select tests.rows('select from public.agent_thoughts', 1);
select tests.rows('select from public.agent_metrics', 1);
select tests.affects($$update public.agents set status = 'paused'$$, 0);
select tests.affects($$update public.workflows set status = 'paused'$$, 0);
select tests.affects($$update public.deployments set status = 'stopped'$$, 0);
select tests.affects('delete from public.agents', 0);
select tests.affects('delete from public.workflows', 0);
select tests.affects('delete from public.deployments', 0);

-- test: an agent manager changes the team's agents but cannot carry them off
select tests.as_user('00000000-0000-4000-8000-00000000000d');
select tests.affects($$update public.agents set status = 'paused', config = '{"depth": 2}'$$, 1);
select tests.throws($$update public.agents set team_id = '10000000-0000-4000-8000-000000000002'$$, '42501');
select tests.throws($$update public.agents set team_id = null$$, '42501');

-- test: agents are made from public templates and own ones
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from public.agent_templates', 1);
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.rows('select from public.agent_templates', 2);

-- test: deleting an agent takes its executions and thoughts along and leaves its costs
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.affects($$delete from public.agents$$, 2);
select tests.as_owner();
select tests.rows('select from public.agent_thoughts', 0);
select tests.rows('select from public.workflow_executions', 0);
select tests.rows('select from public.api_usage where agent_id is null', 1);

-- test: deleting a workflow that has thoughts works
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.affects($$delete from public.workflows where name = 'Solo run'$$, 1);
select tests.rows('select from public.agent_thoughts', 1);
