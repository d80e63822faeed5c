-- test: versions count up for each agent, whatever the client says
select tests.as_service();
insert into public.deployments (agent_id, trigger_type, version) values
  ('40000000-0000-4000-8000-000000000001', 'config_change', 1),
  ('40000000-0000-4000-8000-000000000001', 'scheduled', 1),
  ('40000000-0000-4000-8000-000000000003', 'manual', 7);
select tests.is((select array_agg(version order by version) from public.deployments
                 where agent_id = '40000000-0000-4000-8000-000000000001'), array[1, 2, 3], 'versions of one');
select tests.is((select version from public.deployments where agent_id = '40000000-0000-4000-8000-000000000003'),
                1, 'version of another');

-- test: one version exists once
select tests.as_service();
insert into public.deployments (agent_id) values ('40000000-0000-4000-8000-000000000001');
select tests.throws($$update public.deployments set version = 1
                      where agent_id = '40000000-0000-4000-8000-000000000001' and version = 2$$, '23505');

-- test: an agent manager's deployment continues the count of the team's agent
select tests.as_user('00000000-0000-4000-8000-00000000000d');
insert into public.deployments (agent_id, trigger_type) values ('40000000-0000-4000-8000-000000000002', 'manual');
select tests.is((select max(version) from public.deployments), 2, 'version');

-- test: a user asks for a deployment and for its end, and says nothing in between
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$insert into public.deployments (agent_id, status)
                      values ('40000000-0000-4000-8000-000000000001', 'deployed')$$, '42501');
select tests.throws($$update public.deployments set status = 'deployed'$$, '42501');
select tests.throws($$update public.deployments set deployment_url = 'https://example.com'$$, '42501');
select tests.throws($$update public.deployments set version = 9$$, '42501');
select tests.affects($$update public.deployments set status = 'stopped'$$, 2);
select tests.rows('select from public.deployments where stopped_at = now()', 2);

-- test: the deployer moves a deployment through its states, and the time of success is kept
select tests.as_service();
insert into public.deployments (id, agent_id, trigger_type)
values ('60000000-0000-4000-8000-000000000009', '40000000-0000-4000-8000-000000000001', 'manual');
update public.deployments set status = 'deploying' where id = '60000000-0000-4000-8000-000000000009';
select tests.rows($$select from public.deployments where status = 'deploying' and deployed_at is null$$, 1);
update public.deployments set status = 'deployed', deployment_url = 'https://agents.example.com/solo'
where id = '60000000-0000-4000-8000-000000000009';
select tests.rows($$select from public.deployments
                    where id = '60000000-0000-4000-8000-000000000009' and deployed_at = now()$$, 1);
