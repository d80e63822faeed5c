-- Users are tied to auth.users.

-- test: a sign-up makes the user and a free subscription
select tests.sign_up('00000000-0000-4000-8000-0000000000f1', 'new@example.com',
                     '{"name": "New", "avatar_url": "https://example.com/n.png"}');
select tests.rows($$select from users where id = '00000000-0000-4000-8000-0000000000f1'
  and email = 'new@example.com' and name = 'New' and avatar_url = 'https://example.com/n.png'$$, 1);
select tests.rows($$select from subscriptions where user_id = '00000000-0000-4000-8000-0000000000f1'
  and plan = 'free' and status = 'active' and is_active and agent_limit = 1$$, 1);

-- test: full_name is taken where a provider sends no name
select tests.sign_up('00000000-0000-4000-8000-0000000000f1', 'new@example.com', '{"full_name": "Fully New"}');
select tests.is((select name from users where email = 'new@example.com'), 'Fully New', 'name');

-- test: a sign-up without an address works, any number of times
select tests.sign_up('00000000-0000-4000-8000-0000000000f1', null);
select tests.sign_up('00000000-0000-4000-8000-0000000000f2', '');
select tests.rows($$select from users where email like '00000000-0000-4000-8000-0000000000f_@users.invalid'$$, 2);

-- test: a changed address follows
update auth.users set email = 'moved@example.com' where id = '00000000-0000-4000-8000-00000000000a';
select tests.is((select email from users where id = '00000000-0000-4000-8000-00000000000a'), 'moved@example.com', 'email');

-- test: nobody is a user without a sign-up
select tests.throws($$insert into users (email) values ('ghost@example.com')$$, '23503');

-- test: deleting a sign-up deletes everything that is the user's
delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select tests.rows('select from users where id = ''00000000-0000-4000-8000-00000000000a''', 0);
select tests.rows('select from subscriptions where user_id = ''00000000-0000-4000-8000-00000000000a''', 0);
select tests.rows('select from conversations', 0);
select tests.rows('select from messages', 0);
select tests.rows('select from artifacts', 0);
select tests.rows('select from artifact_versions', 0);
select tests.rows('select from agent_definitions', 0);
select tests.rows('select from agent_instances', 0);
select tests.rows('select from workflows', 0);
