-- test: secrets of a character leave its config when it is saved
select tests.is(
  (select config from public.agents where id = 'a0000000-0000-4000-8000-000000000001'),
  '{"style": {"all": ["brief"]}, "settings": {"model": "small"}}'::jsonb, 'config');
select tests.is(
  (select secrets from public.agent_secrets where agent_id = 'a0000000-0000-4000-8000-000000000001'),
  '{"OPENAI_API_KEY": "sk-owner"}'::jsonb, 'secrets');

-- test: secrets are found at the top, under settings, in a wrapped character and in lists
select tests.as_user('00000000-0000-4000-8000-00000000000a');
insert into public.agents (id, name, config) values ('a0000000-0000-4000-8000-000000000009', 'Imported', '{
  "secrets": {"A": "1"},
  "character": {"bio": ["lives"], "settings": {"secrets": {"B": "2"}, "voice": "calm"}},
  "plugins": [{"name": "x", "Secrets": {"C": "3"}}, "y"],
  "settings": {"secrets": "bare"}}');
select tests.is((select config from public.agents where name = 'Imported'), '{
  "character": {"bio": ["lives"], "settings": {"voice": "calm"}}, "plugins": [{"name": "x"}, "y"], "settings": {}}'::jsonb,
  'config');
select tests.as_service();
select tests.is(
  (select secrets from public.agent_secrets where agent_id = 'a0000000-0000-4000-8000-000000000009'),
  '{"A": "1", "B": "2", "C": "3", "secrets": "bare"}'::jsonb, 'secrets');

-- test: saving a character again keeps, replaces and forgets secrets by name
select tests.as_user('00000000-0000-4000-8000-00000000000a');
update public.agents set config = '{"settings": {"secrets": {"OPENAI_API_KEY": "sk-new", "X_KEY": "x"}}}'
where id = 'a0000000-0000-4000-8000-000000000001';
update public.agents set config = '{"bio": ["no secrets here"]}' where id = 'a0000000-0000-4000-8000-000000000001';
update public.agents set config = '{"secrets": {"X_KEY": null}}' where id = 'a0000000-0000-4000-8000-000000000001';
select tests.as_service();
select tests.is(
  (select secrets from public.agent_secrets where agent_id = 'a0000000-0000-4000-8000-000000000001'),
  '{"OPENAI_API_KEY": "sk-new"}'::jsonb, 'secrets');

-- test: no caller but the server reads secrets
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws('select from public.agent_secrets', '42501');
select tests.as_anon();
select tests.throws('select from public.agent_secrets', '42501');
select tests.as_service();
select tests.rows('select from public.agent_secrets', 1);

-- test: an insert that is turned away does not touch another's secrets
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.affects($$
  insert into public.agents (id, name, config)
  values ('a0000000-0000-4000-8000-000000000001', 'Impostor', '{"secrets": {"OPENAI_API_KEY": "sk-thief"}}')
  on conflict (id) do nothing$$, 0);
select tests.throws($$
  insert into public.agents (id, user_id, name, config)
  values ('a0000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'Impostor',
          '{"secrets": {"OPENAI_API_KEY": "sk-thief"}}')
  on conflict (id) do nothing$$, '42501');
select tests.as_service();
select tests.is(
  (select secrets from public.agent_secrets where agent_id = 'a0000000-0000-4000-8000-000000000001'),
  '{"OPENAI_API_KEY": "sk-owner"}'::jsonb, 'secrets');

-- test: a user cannot name the running agent that is theirs
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.agents (name, eliza_id) values ('Mine now', 'eliza-9')$$, '42501');
select tests.throws($$update public.agents set eliza_id = 'eliza-9' where name = 'Rival'$$, '42501');
select tests.as_service();
select tests.throws($$update public.agents set eliza_id = 'eliza-1' where name = 'Rival'$$, '23505');

-- test: an agent cannot be given away
select tests.as_service();
select tests.affects($$update public.agents set user_id = '00000000-0000-4000-8000-00000000000b' where name = 'Nova'$$, 1);
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$update public.agents set user_id = '00000000-0000-4000-8000-00000000000a' where name = 'Nova'$$, '42501');
