-- test: one Twitter account cannot be linked twice
select tests.as_service();
select tests.throws($$insert into public.twitter_accounts (user_id, twitter_user_id, username)
                      values ('00000000-0000-4000-8000-00000000000a', '1001', 'owner')$$, '23505');
select tests.throws($$insert into public.twitter_accounts (user_id, twitter_user_id, username)
                      values ('00000000-0000-4000-8000-00000000000b', '1001', 'owner')$$, '23505');

-- test: not even the owner reads the OAuth secrets, and the rest is readable
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws('select access_token from public.twitter_accounts', '42501');
select tests.throws('select access_secret from public.twitter_accounts', '42501');
select tests.throws('select * from public.twitter_accounts', '42501');
select tests.throws($$select id from public.twitter_accounts where access_token like 't%'$$, '42501');
select tests.throws($$delete from public.twitter_accounts
                      where id = 'c0000000-0000-4000-8000-000000000001' returning access_token$$, '42501');
select tests.rows('select id, user_id, twitter_user_id, username, created_at, updated_at from public.twitter_accounts', 1);

-- test: the server reads the OAuth secrets
select tests.as_service();
select tests.is((select access_token || ' ' || access_secret from public.twitter_accounts where username = 'owner'),
                'token-1 secret-1', 'secrets');

-- test: a user cannot link an account without Twitter's word for it
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.twitter_accounts (user_id, twitter_user_id, username)
                      values ('00000000-0000-4000-8000-00000000000b', '44196397', 'somebody-else')$$, '42501');
select tests.throws($$update public.twitter_accounts set twitter_user_id = '44196397'
                      where id = 'c0000000-0000-4000-8000-000000000002'$$, '42501');

-- test: access can be revoked without losing the history
select tests.as_service();
select tests.affects($$update public.twitter_accounts set access_token = null, access_secret = null
                       where id = 'c0000000-0000-4000-8000-000000000001'$$, 1);
select tests.rows($$select from public.tweets where twitter_account_id = 'c0000000-0000-4000-8000-000000000001'$$, 2);
