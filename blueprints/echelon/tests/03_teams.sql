-- test: whoever creates a team becomes its admin, and sees it at once
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.rows($$insert into public.teams (name, slug, created_by)
                    values ('Mine', 'mine', '00000000-0000-4000-8000-00000000000a') returning id$$, 1);
select tests.rows($$select from public.user_roles r join public.teams t on t.id = r.team_id
                    where t.slug = 'mine' and r.user_id = '00000000-0000-4000-8000-00000000000a' and r.role = 'admin'$$, 1);

-- test: nobody creates a team in another's name or with a paid plan
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$insert into public.teams (name, slug, created_by)
                      values ('X', 'x', '00000000-0000-4000-8000-00000000000b')$$, '42501');
select tests.throws($$insert into public.teams (name, slug, plan, created_by)
                      values ('X', 'x', 'enterprise', '00000000-0000-4000-8000-00000000000a')$$, '42501');

-- test: nobody makes themselves admin of a team, and so sees its agents
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows($$select from public.agents where name = 'Shared'$$, 0);
select tests.throws($$insert into public.user_roles (user_id, role, team_id)
                      values ('00000000-0000-4000-8000-00000000000b', 'admin', '10000000-0000-4000-8000-000000000001')$$,
                    '42501');
select tests.rows($$select from public.agents where name = 'Shared'$$, 0);

-- test: neither viewer nor agent manager changes roles, not even their own
select tests.as_user('00000000-0000-4000-8000-00000000000e');
select tests.affects($$update public.user_roles set role = 'admin'$$, 0);
select tests.as_user('00000000-0000-4000-8000-00000000000d');
select tests.affects($$update public.user_roles set role = 'admin'$$, 0);
select tests.throws($$insert into public.user_roles (user_id, role, team_id)
                      values ('00000000-0000-4000-8000-00000000000b', 'viewer', '10000000-0000-4000-8000-000000000001')$$,
                    '42501');

-- test: an admin grants, changes and takes away roles, of the own team only
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.affects($$insert into public.user_roles (user_id, role, team_id)
                       values ('00000000-0000-4000-8000-00000000000b', 'viewer', '10000000-0000-4000-8000-000000000001')$$, 1);
select tests.rows($$select from public.user_roles where user_id = '00000000-0000-4000-8000-00000000000b'
                    and granted_by = '00000000-0000-4000-8000-00000000000c'$$, 1);
select tests.affects($$update public.user_roles set role = 'agent_manager'
                       where user_id = '00000000-0000-4000-8000-00000000000b'$$, 1);
select tests.affects($$delete from public.user_roles where user_id = '00000000-0000-4000-8000-00000000000b'$$, 1);
select tests.throws($$insert into public.user_roles (user_id, role, team_id)
                      values ('00000000-0000-4000-8000-00000000000c', 'admin', '10000000-0000-4000-8000-000000000002')$$,
                    '42501');
select tests.throws($$update public.user_roles set team_id = '10000000-0000-4000-8000-000000000002'$$, '42501');

-- test: nobody grants in another's name
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.throws($$insert into public.user_roles (user_id, role, team_id, granted_by)
                      values ('00000000-0000-4000-8000-00000000000b', 'viewer', '10000000-0000-4000-8000-000000000001',
                              '00000000-0000-4000-8000-00000000000d')$$, '42501');

-- test: policies of user_roles do not run into themselves
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.rows('select from public.user_roles', 4);

-- test: one person has one role in a team
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.throws($$insert into public.user_roles (user_id, role, team_id)
                      values ('00000000-0000-4000-8000-00000000000e', 'admin', '10000000-0000-4000-8000-000000000001')$$,
                    '23505');

-- test: members leave by themselves, the last admin does not
select tests.as_user('00000000-0000-4000-8000-00000000000e');
select tests.affects($$delete from public.user_roles where user_id = '00000000-0000-4000-8000-00000000000e'$$, 1);
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.throws($$delete from public.user_roles where user_id = '00000000-0000-4000-8000-00000000000c'$$,
                    '23514', 'a team needs an admin');
select tests.throws($$update public.user_roles set role = 'viewer' where user_id = '00000000-0000-4000-8000-00000000000c'$$,
                    '23514', 'a team needs an admin');
select tests.affects($$update public.user_roles set role = 'admin' where user_id = '00000000-0000-4000-8000-00000000000d'$$, 1);
select tests.affects($$delete from public.user_roles where user_id = '00000000-0000-4000-8000-00000000000c'$$, 1);
-- and whoever has left sees the team no more, even having made it
select tests.rows('select from public.teams', 0);

-- test: an admin deletes the team with its roles, and its agents return to their creators
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.affects($$delete from public.teams$$, 1);
select tests.as_owner();
select tests.rows($$select from public.user_roles where team_id = '10000000-0000-4000-8000-000000000001'$$, 0);
select tests.rows($$select from public.agents where name = 'Shared' and team_id is null$$, 1);

-- test: an invited user sees the invitation and takes it up once
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from public.team_invites', 1);
select tests.is(public.accept_team_invite('30000000-0000-4000-8000-000000000001'),
                '10000000-0000-4000-8000-000000000001'::uuid, 'team');
select tests.rows($$select from public.user_roles
                    where user_id = '00000000-0000-4000-8000-00000000000b' and role = 'viewer'
                      and granted_by = '00000000-0000-4000-8000-00000000000c'$$, 1);
select tests.rows($$select from public.agents where name = 'Shared'$$, 1);
select tests.throws($$select public.accept_team_invite('30000000-0000-4000-8000-000000000001')$$, '42501');

-- test: an invitation is good for its address only, while the address is proven and the time has not passed
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$select public.accept_team_invite('30000000-0000-4000-8000-000000000001')$$, '42501');
select tests.as_owner();
update auth.users set email_confirmed_at = null where email = 'other@example.com';
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.rows('select from public.team_invites', 0);
select tests.throws($$select public.accept_team_invite('30000000-0000-4000-8000-000000000001')$$, '42501');
select tests.as_owner();
update auth.users set email_confirmed_at = now() where email = 'other@example.com';
update public.team_invites set expires_at = now() - interval '1 second';
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$select public.accept_team_invite('30000000-0000-4000-8000-000000000001')$$, '42501');
select tests.as_anon();
select tests.throws($$select public.accept_team_invite('30000000-0000-4000-8000-000000000001')$$, '42501');

-- test: an invitation does not change the role that a member has
insert into public.team_invites (id, team_id, email, role)
values ('30000000-0000-4000-8000-000000000009', '10000000-0000-4000-8000-000000000001', 'admin@example.com', 'viewer');
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.ok(public.accept_team_invite('30000000-0000-4000-8000-000000000009') is not null, 'accepted');
select tests.rows($$select from public.user_roles
                    where user_id = '00000000-0000-4000-8000-00000000000c' and role = 'admin'$$, 1);

-- test: an address is invited once per team
select tests.as_user('00000000-0000-4000-8000-00000000000c');
select tests.throws($$insert into public.team_invites (team_id, email)
                      values ('10000000-0000-4000-8000-000000000001', 'OTHER@example.com')$$, '23505');
