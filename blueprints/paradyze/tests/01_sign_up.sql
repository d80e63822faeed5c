-- test: signing up makes a profile with the address and the display name
select tests.sign_up('00000000-0000-4000-8000-0000000000c1', 'new@example.com', '{"display_name": "Newcomer"}');
select tests.is(p.email, 'new@example.com', 'email'), tests.is(p.display_name, 'Newcomer', 'display name')
from public.profiles p where p.id = '00000000-0000-4000-8000-0000000000c1';
select tests.rows($$select from public.profiles where id = '00000000-0000-4000-8000-0000000000c1'$$, 1);

-- test: the name that an OAuth provider sends is taken as the display name
select tests.sign_up('00000000-0000-4000-8000-0000000000c1', 'new@example.com', '{"full_name": "New Comer"}');
select tests.is((select display_name from public.profiles where id = '00000000-0000-4000-8000-0000000000c1'),
                'New Comer', 'display name');

-- test: an account without an address or a name can sign up too
select tests.sign_up('00000000-0000-4000-8000-0000000000c1', null);
select tests.rows($$select from public.profiles where id = '00000000-0000-4000-8000-0000000000c1' and email is null$$, 1);

-- test: the profile follows the account's address
update auth.users set email = 'moved@example.com' where id = '00000000-0000-4000-8000-00000000000a';
select tests.is((select email from public.profiles where id = '00000000-0000-4000-8000-00000000000a'),
                'moved@example.com', 'email');

-- test: a user cannot claim another address in their profile
select tests.as_user('00000000-0000-4000-8000-00000000000a');
select tests.throws($$update public.profiles set email = 'boss@example.com'
                      where id = '00000000-0000-4000-8000-00000000000a'$$, '42501');

-- test: deleting an account removes everything that is theirs and nothing else
delete from auth.users where id = '00000000-0000-4000-8000-00000000000a';
select tests.rows('select from public.profiles', 1);
select tests.rows('select from public.agents', 1);
select tests.rows('select from public.agent_secrets', 0);
select tests.rows('select from public.twitter_accounts', 1);
select tests.rows('select from public.conversations', 1);
select tests.rows('select from public.messages', 0);
select tests.rows('select from public.tweets', 0);
