-- test: a user cannot queue a tweet through another's Twitter account
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.tweets (agent_id, twitter_account_id, content)
                      values ('a0000000-0000-4000-8000-000000000002', 'c0000000-0000-4000-8000-000000000001', 'stolen')$$,
                    '42501');

-- test: a user cannot queue a tweet for another's agent
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.tweets (agent_id, twitter_account_id, content)
                      values ('a0000000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000002', 'forged')$$,
                    '42501');

-- test: the policy alone refuses a foreign account, without the trigger
alter table public.tweets disable trigger check_tweet_owner;
select tests.as_user('00000000-0000-4000-8000-00000000000b');
select tests.throws($$insert into public.tweets (agent_id, twitter_account_id, content)
                      values ('a0000000-0000-4000-8000-000000000002', 'c0000000-0000-4000-8000-000000000001', 'stolen')$$,
                    '42501', 'row-level security');

-- test: a queued tweet cannot be moved to another's account
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$update public.tweets set twitter_account_id = 'c0000000-0000-4000-8000-000000000002'
                      where id = 'f0000000-0000-4000-8000-000000000001'$$, '42501');

-- test: the server too is refused an agent and an account of two owners
select tests.as_service();
select tests.throws($$insert into public.tweets (agent_id, twitter_account_id, content)
                      values ('a0000000-0000-4000-8000-000000000002', 'c0000000-0000-4000-8000-000000000001', 'mixed')$$,
                    '42501');
select tests.affects($$insert into public.tweets (agent_id, twitter_account_id, content)
                      values ('a0000000-0000-4000-8000-000000000002', 'c0000000-0000-4000-8000-000000000002', 'own')$$, 1);

-- test: the owner edits and cancels what is pending
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.affects($$update public.tweets set content = 'better' where id = 'f0000000-0000-4000-8000-000000000001'$$, 1);
select tests.affects($$update public.tweets set status = 'cancelled' where id = 'f0000000-0000-4000-8000-000000000001'$$, 1);
select tests.rows($$select from public.tweets where status = 'cancelled' and content = 'better'$$, 1);

-- test: what has been posted or cancelled stays as it is
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.affects($$update public.tweets set content = 'never said' where id = 'f0000000-0000-4000-8000-000000000002'$$, 0);
select tests.affects($$update public.tweets set status = 'cancelled' where id = 'f0000000-0000-4000-8000-000000000001'$$, 1);
select tests.affects($$update public.tweets set status = 'pending' where id = 'f0000000-0000-4000-8000-000000000001'$$, 0);

-- test: only the server says that a tweet was posted
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$update public.tweets set status = 'posted' where id = 'f0000000-0000-4000-8000-000000000001'$$, '42501');
select tests.throws($$insert into public.tweets (agent_id, twitter_account_id, content, status)
                      values ('a0000000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000001', 'x', 'posted')$$,
                    '42501');
select tests.throws($$update public.tweets set twitter_tweet_id = '9' where id = 'f0000000-0000-4000-8000-000000000001'$$, '42501');
select tests.throws($$update public.tweets set attempts = 0, next_attempt_at = now()
                      where id = 'f0000000-0000-4000-8000-000000000001'$$, '42501');

-- test: the server records attempts, the next try, and the reason of a failure
select tests.as_service();
select tests.affects($$
  update public.tweets set attempts = attempts + 1, next_attempt_at = now() + interval '15 minutes', error = 'rate limited'
  where id = 'f0000000-0000-4000-8000-000000000001'$$, 1);
select tests.rows($$select from public.tweets where status = 'pending' and next_attempt_at <= now()$$, 0);
select tests.affects($$
  update public.tweets set status = 'failed', error = 'duplicate content'
  where id = 'f0000000-0000-4000-8000-000000000001'$$, 1);

-- test: one posted tweet is recorded once
select tests.as_service();
select tests.throws($$update public.tweets set status = 'posted', twitter_tweet_id = '9001'
                      where id = 'f0000000-0000-4000-8000-000000000001'$$, '23505');
