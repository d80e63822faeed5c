-- Sign-up, password hashes and deletion of accounts.

-- test: a sign-up makes the user's row, with the same id
select tests.sign_up('f0000000-0000-4000-8000-000000000004', 'fay@example.com', '{"name": "Fay"}');
select tests.is(row(u.email, u.name, u.role, u.password_hash)::text, '(fay@example.com,Fay,user,)', 'row')
from users u where u.id = 'f0000000-0000-4000-8000-000000000004';
select tests.as_user('f0000000-0000-4000-8000-000000000004');
select tests.rows($$ select name from users $$, 1);

-- test: who signs up without an address gets the row with the address
select tests.sign_up('f0000000-0000-4000-8000-000000000005', null);
select tests.rows($$ select from users where id = 'f0000000-0000-4000-8000-000000000005' $$, 0);
update auth.users set email = 'gil@example.com' where id = 'f0000000-0000-4000-8000-000000000005';
select tests.is(row(u.email, u.name)::text, '(gil@example.com,gil)', 'row')
from users u where u.id = 'f0000000-0000-4000-8000-000000000005';

-- test: a row of users is somebody who can sign in
select tests.throws($$ insert into users (email) values ('nobody@example.com') $$, '23503');

-- test: address and last sign-in follow the account
update auth.users set email = 'countess@example.com', last_sign_in_at = '2025-06-01 12:00+00'
where id = 'a0000000-0000-4000-8000-000000000001';
select tests.is(row(u.email, u.name, u.last_login)::text,
    row('countess@example.com', 'Ada', '2025-06-01 12:00+00'::timestamptz)::text, 'row')
from users u where u.id = 'a0000000-0000-4000-8000-000000000001';

-- test: no caller of the API reads or writes a password hash
update users set password_hash = 'secret';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select password_hash from users $$, '42501');
select tests.throws($$ select * from users $$, '42501');
select tests.throws($$ update users set password_hash = 'mine' $$, '42501');
select tests.throws($$ update users set name = 'x' returning password_hash $$, '42501');
select tests.ok(export_user_data()::text not like '%secret%', 'an export without it');
select tests.as_service();
select tests.throws($$ select password_hash from users $$, '42501');
select tests.throws($$ update users set password_hash = 'mine' $$, '42501');
select tests.as_anon();
select tests.throws($$ select password_hash from users $$, '42501');

-- test: user_profiles shows everything else of one's own row
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(array_agg(to_jsonb(p) ->> 'email'), array['ada@example.com'], 'rows') from user_profiles p;
select tests.ok(bool_and(not to_jsonb(p) ? 'password_hash'), 'columns') from user_profiles p;

-- test: nobody makes an administrator of themselves
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ update users set role = 'admin' $$, '42501');
select tests.throws($$ update users set email = 'ben@example.com' $$, '42501');
select tests.affects($$ update users set name = 'Countess' $$, 1);

-- test: an owner creates, changes and deletes clones and tasks
select tests.as_user('a0000000-0000-4000-8000-000000000001');
insert into ai_clones (id, name, model_type, user_id)
values ('cc000000-0000-4000-8000-000000000009', 'Clio', 'gpt-4', 'a0000000-0000-4000-8000-000000000001');
insert into ai_tasks (clone_id, task_name, priority) values ('cc000000-0000-4000-8000-000000000009', 'Write', 'critical');
select tests.affects($$ update ai_clones set config = '{"temperature": 0.7}' where name = 'Clio' $$, 1);
select tests.affects($$ update ai_tasks set status = 'cancelled' where task_name = 'Write' $$, 1);
select tests.affects($$ delete from ai_clones where name = 'Clio' $$, 1);
select tests.rows($$ select from ai_tasks where task_name = 'Write' $$, 0);

-- test: nobody gives work to the clone of somebody else, or a clone away
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.throws($$ insert into ai_tasks (clone_id, task_name)
    values ('cc000000-0000-4000-8000-000000000001', 'planted') $$, '42501');
select tests.throws($$ update ai_tasks set clone_id = 'cc000000-0000-4000-8000-000000000001' $$, '42501');
select tests.throws($$ update ai_clones set user_id = 'a0000000-0000-4000-8000-000000000001' $$, '42501');

-- test: deleting an account removes clones and tasks, and detaches payments and log lines
delete from auth.users where id = 'a0000000-0000-4000-8000-000000000001';
select tests.rows($$ select from users where id = 'a0000000-0000-4000-8000-000000000001' $$, 0);
select tests.is(array_agg(name), array['Ben''s']::varchar[], 'clones') from ai_clones;
select tests.is(array_agg(task_name), array['ben''s']::varchar[], 'tasks') from ai_tasks;
select tests.rows($$ select from payments where order_id = 'order-ada' and user_id is null $$, 1);
select tests.rows($$ select from activity_logs
    where id = '10900000-0000-4000-8000-000000000001' and user_id is null $$, 1);
select tests.rows($$ select from activity_logs where user_id = 'a0000000-0000-4000-8000-000000000001' $$, 0);
