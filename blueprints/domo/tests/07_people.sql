-- Sign-up and deletion of accounts.

-- test: a sign-up makes the profile
select tests.sign_up('f0000000-0000-4000-8000-000000000004', 'fay@example.com',
    '{"display_name": "Fay", "avatar_url": "https://example.com/fay.png"}');
select tests.is(row(p.email, p.display_name, p.avatar_url)::text,
    row('fay@example.com', 'Fay', 'https://example.com/fay.png')::text, 'profile')
from profiles p where p.id = 'f0000000-0000-4000-8000-000000000004';

-- test: a sign-up without a name or an address works
select tests.sign_up('f0000000-0000-4000-8000-000000000004', 'fay@example.com');
select tests.sign_up('f0000000-0000-4000-8000-000000000005', null);
select tests.is(array_agg(coalesce(p.display_name, '-') order by p.id), array['fay', '-'], 'display names')
from profiles p where p.id::text like 'f0%';

-- test: a changed address changes in the profile and leaves the name alone
update profiles set display_name = 'Countess' where id = 'a0000000-0000-4000-8000-000000000001';
update auth.users set email = 'countess@example.com' where id = 'a0000000-0000-4000-8000-000000000001';
select tests.is(row(p.email, p.display_name)::text, '(countess@example.com,Countess)', 'profile')
from profiles p where p.id = 'a0000000-0000-4000-8000-000000000001';

-- test: deleting an account removes everything that is its own
delete from auth.users where id = 'a0000000-0000-4000-8000-000000000001';
select tests.rows($$ select from profiles where id = 'a0000000-0000-4000-8000-000000000001' $$, 0);
select tests.rows($$ select from demos where name like 'Ada%' $$, 0);
select tests.rows($$ select from demo_videos $$, 0);
select tests.rows($$ select from knowledge_chunks $$, 0);
select tests.rows($$ select from conversations where conversation_id = 'tavus-ada' $$, 0);
select tests.rows($$ select from processed_webhook_events where conversation_id = 'tavus-ada' $$, 0);
select tests.rows($$ select from conversation_messages where conversation_id = 'tavus-ada' $$, 0);

-- test: deleting an account leaves what belongs to others
delete from auth.users where id = 'a0000000-0000-4000-8000-000000000001';
select tests.rows($$ select from demos $$, 1);
select tests.rows($$ select from processed_webhook_events where conversation_id = 'tavus-ben' $$, 1);
select tests.rows($$ select from conversation_messages where conversation_id = 'tavus-ben' $$, 1);

-- test: the audit log outlives the account, without naming it
delete from auth.users where id = 'a0000000-0000-4000-8000-000000000001';
select tests.rows($$ select from audit_logs where user_id = 'a0000000-0000-4000-8000-000000000001' $$, 0);
select tests.rows($$ select from audit_logs where id = 'ad000000-0000-4000-8000-000000000001' and user_id is null $$, 1);
select tests.rows($$ select from audit_logs where action = 'delete' and table_name = 'demos' and user_id is null $$, 2);

-- test: an owner who deletes a demo deletes its conversations and keeps the log of it
select tests.as_user('a0000000-0000-4000-8000-000000000001');
delete from demos where id = 'd0000000-0000-4000-8000-000000000001';
select tests.rows($$ select from audit_logs where action = 'delete' and table_name = 'demo_videos' $$, 3);
select tests.as_owner();
select tests.rows($$ select from processed_webhook_events where conversation_id = 'tavus-ada' $$, 0);
select tests.rows($$ select from conversation_messages where conversation_id = 'tavus-ada' $$, 0);
