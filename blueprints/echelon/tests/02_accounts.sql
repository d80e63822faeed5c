-- test: signing up makes a profile with tier free
select tests.sign_up('00000000-0000-4000-8000-0000000000c1', 'new@example.com',
                     '{"full_name": "New Comer", "avatar_url": "https://example.com/n.png"}');
select tests.rows($$select from public.users
  where id = '00000000-0000-4000-8000-0000000000c1' and email = 'new@example.com' and full_name = 'New Comer'
    and avatar_url = 'https://example.com/n.png' and subscription_tier = 'free'$$, 1);

-- test: accounts without an address can sign up, more than one
select tests.sign_up('00000000-0000-4000-8000-0000000000c1', null);
select tests.sign_up('00000000-0000-4000-8000-0000000000c2', null);
select tests.rows($$select from public.users where email like '%@users.invalid'$$, 2);

-- test: the profile follows the account's address
update auth.users set email = 'moved@example.com' where id = '00000000-0000-4000-8000-00000000000a';
select tests.is((select email::text from public.users where id = '00000000-0000-4000-8000-00000000000a'),
                'moved@example.com', 'email');

-- test: nobody changes their own tier or address, and nobody anybody else's profile
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$update public.users set subscription_tier = 'enterprise'$$, '42501');
select tests.throws($$update public.users set email = 'boss@example.com'$$, '42501');
select tests.affects($$update public.users set full_name = 'Just me'$$, 1);
select tests.as_service();
select tests.affects($$update public.users set subscription_tier = 'pro'
                       where id = '00000000-0000-4000-8000-00000000000a'$$, 1);

-- test: a visitor reads nothing at all
select tests.as_anon();
select tests.rows('select from public.' || name, 0)
from unnest(array['teams', 'user_roles', 'agents', 'agent_templates', 'deployments', 'workflows', 'workflow_executions',
                  'notifications', 'agent_thoughts', 'agent_metrics', 'api_usage', 'users', 'team_invites',
                  'agent_dashboard', 'unread_notifications']) name;

-- test: another tenant reads no executions, thoughts, metrics, usage, addresses or roles of the first
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from public.workflow_executions', 0);
select tests.rows('select from public.agent_thoughts', 0);
select tests.rows('select from public.agent_metrics', 0);
select tests.rows('select from public.api_usage', 0);
select tests.rows('select from public.users', 1);
select tests.rows('select from public.user_roles', 1);
select tests.rows('select from public.teams', 1);

-- test: deleting an account removes what is theirs and leaves what is others'
update public.agents set team_id = '10000000-0000-4000-8000-000000000001' where name = 'Rival';
delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select tests.rows($$select from public.users where id = '00000000-0000-4000-8000-00000000000a'$$, 0);
select tests.rows('select from public.agents', 1, 'agents');
select tests.rows('select from public.deployments', 0, 'deployments');
select tests.rows('select from public.workflows', 0, 'workflows');
select tests.rows('select from public.workflow_executions', 0, 'executions');
select tests.rows('select from public.agent_thoughts', 0, 'thoughts');
select tests.rows('select from public.agent_metrics', 0, 'metrics');
select tests.rows('select from public.api_usage', 0, 'usage');
select tests.rows('select from public.notifications', 0, 'notifications');
select tests.rows($$select from public.user_roles where team_id = '10000000-0000-4000-8000-000000000001'$$, 3, 'roles');

-- test: of a deleted account's templates the public ones stay, without an owner
delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select tests.rows('select from public.agent_templates', 1);
select tests.rows('select from public.agent_templates where is_public and created_by is null', 1);

-- test: a team outlives the account that made it, as long as somebody is left
delete from auth.users where id = '00000000-0000-4000-8000-00000000000c';
select tests.rows($$select from public.teams where slug = 'falcon' and created_by is null$$, 1);
select tests.rows($$select from public.user_roles
                    where team_id = '10000000-0000-4000-8000-000000000001' and granted_by is null$$, 3);

-- test: a team that has nobody left goes with its last account, and agents in it return to their creators
update public.agents set team_id = '10000000-0000-4000-8000-000000000002' where name = 'Solo';
delete from auth.users where id = '00000000-0000-4000-8000-00000000000b';
select tests.rows($$select from public.teams where slug = 'rivals'$$, 0);
select tests.rows($$select from public.agents where name = 'Solo' and team_id is null$$, 1);
select tests.rows($$select from public.agents where name = 'Rival'$$, 0);
