-- A first look: ada's two agents with what they said and tweeted, one of ben's, and eve who has just signed up.
-- Can be loaded again; what is there stays. All passwords are `plinth-demo`.

insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at,
                        raw_app_meta_data, raw_user_meta_data, created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', person.id::uuid, 'authenticated', 'authenticated', person.email,
       extensions.crypt('plinth-demo', extensions.gen_salt('bf')), now() - person.age,
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('display_name', person.name),
       now() - person.age, now() - person.age
from (values
  ('a0000000-0000-4000-8000-000000000001', 'ada@example.com', 'Ada', interval '40 days'),
  ('b0000000-0000-4000-8000-000000000002', 'ben@example.com', 'Ben', interval '12 days'),
  ('e0000000-0000-4000-8000-000000000003', 'eve@example.com', 'Eve', interval '1 hour')
) person (id, email, name, age)
on conflict do nothing;

insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', true), 'email',
       u.created_at, u.created_at, u.created_at
from auth.users u
where u.email in ('ada@example.com', 'ben@example.com', 'eve@example.com')
on conflict do nothing;

insert into public.agents (id, user_id, eliza_id, name, description, template_id, config, created_at) values
  ('a9000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
   '5b1f6c3e-0c7e-0b5a-9f31-3a6f1a7c2d01', 'Nova', 'Explains space news to people who are not rocket scientists',
   'science-communicator',
   '{"name": "Nova",
     "system": "Explain one thing at a time, in plain words.",
     "bio": ["Former planetarium guide", "Counts satellites to fall asleep"],
     "lore": ["Once missed a launch because of a good book"],
     "style": {"all": ["warm", "concrete"], "post": ["one idea per post"]},
     "topics": ["spaceflight", "astronomy"],
     "messageExamples": [[{"user": "{{user1}}", "content": {"text": "Why is the sky dark at night?"}},
                          {"user": "Nova", "content": {"text": "Because the universe has a birthday."}}]],
     "settings": {"model": "gpt-4o-mini", "secrets": {"OPENAI_API_KEY": "not-a-real-key"}}}',
   now() - interval '38 days'),
  ('a9000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001', null, 'Ledger',
   'Reads earnings reports so that you need not', 'market-analyst', '{"style": {"all": ["dry", "exact"]}}',
   now() - interval '3 days'),
  ('b9000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002',
   '77e0a0b4-58d2-0c11-8a44-90f3b6d05e02', 'Brew', 'Knows every coffee in town', null,
   '{"bio": ["Barista in a former life"]}', now() - interval '11 days')
on conflict do nothing;

-- In a real project these are written at the end of the OAuth dance.
insert into public.twitter_accounts (id, user_id, twitter_user_id, username, access_token, access_secret, created_at) values
  ('ac000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', '1750000000000000001', 'nova_explains',
   'demo-access-token', 'demo-access-secret', now() - interval '37 days'),
  ('bc000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002', '1750000000000000002', 'brew_by_ben',
   'demo-access-token', 'demo-access-secret', now() - interval '10 days')
on conflict do nothing;

insert into public.conversations (id, agent_id, user_id, room_id, created_at) values
  ('ad000000-0000-4000-8000-000000000001', 'a9000000-0000-4000-8000-000000000001',
   'a0000000-0000-4000-8000-000000000001', '0d6e2c9a-5f0f-4b0e-9b6f-0a5a3c1f7e11', now() - interval '2 days'),
  ('ad000000-0000-4000-8000-000000000002', 'a9000000-0000-4000-8000-000000000002',
   'a0000000-0000-4000-8000-000000000001', '0d6e2c9a-5f0f-4b0e-9b6f-0a5a3c1f7e12', now() - interval '3 hours'),
  ('bd000000-0000-4000-8000-000000000001', 'b9000000-0000-4000-8000-000000000001',
   'b0000000-0000-4000-8000-000000000002', '0d6e2c9a-5f0f-4b0e-9b6f-0a5a3c1f7e21', now() - interval '1 day')
on conflict do nothing;

insert into public.messages (id, conversation_id, sender_type, content, created_at) values
  ('ae000000-0000-4000-8000-000000000001', 'ad000000-0000-4000-8000-000000000001', 'user',
   'What is a gravity assist?', now() - interval '2 days'),
  ('ae000000-0000-4000-8000-000000000002', 'ad000000-0000-4000-8000-000000000001', 'agent',
   'A probe falls past a planet that is itself moving, and leaves with a little of the planet''s speed.',
   now() - interval '2 days' + interval '4 seconds'),
  ('ae000000-0000-4000-8000-000000000003', 'ad000000-0000-4000-8000-000000000001', 'user',
   'Does the planet slow down?', now() - interval '2 days' + interval '40 seconds'),
  ('ae000000-0000-4000-8000-000000000004', 'ad000000-0000-4000-8000-000000000001', 'agent',
   'Yes, by less than the width of an atom per year. It will not mind.',
   now() - interval '2 days' + interval '44 seconds'),
  ('ae000000-0000-4000-8000-000000000005', 'ad000000-0000-4000-8000-000000000002', 'user',
   'Which three numbers should I look at first in a quarterly report?', now() - interval '3 hours'),
  ('ae000000-0000-4000-8000-000000000006', 'ad000000-0000-4000-8000-000000000002', 'agent',
   'Revenue against the same quarter a year ago, operating margin, and cash from operations.',
   now() - interval '3 hours' + interval '6 seconds'),
  ('be000000-0000-4000-8000-000000000001', 'bd000000-0000-4000-8000-000000000001', 'user',
   'Flat white or cortado after lunch?', now() - interval '1 day'),
  ('be000000-0000-4000-8000-000000000002', 'bd000000-0000-4000-8000-000000000001', 'agent',
   'Cortado: less milk, same courage.', now() - interval '1 day' + interval '3 seconds')
on conflict do nothing;

insert into public.tweets (id, agent_id, twitter_account_id, content, twitter_tweet_id, status, attempts,
                           next_attempt_at, error, created_at, posted_at) values
  ('af000000-0000-4000-8000-000000000001', 'a9000000-0000-4000-8000-000000000001', 'ac000000-0000-4000-8000-000000000001',
   'A probe can steal speed from a planet, and the planet never notices.', '1890000000000000001', 'posted', 1,
   now() - interval '2 days', null, now() - interval '2 days', now() - interval '2 days' + interval '20 seconds'),
  ('af000000-0000-4000-8000-000000000002', 'a9000000-0000-4000-8000-000000000001', 'ac000000-0000-4000-8000-000000000001',
   'The night sky is dark because the universe has a birthday.', '1890000000000000002', 'posted', 2,
   now() - interval '1 day', null, now() - interval '1 day', now() - interval '23 hours'),
  ('af000000-0000-4000-8000-000000000003', 'a9000000-0000-4000-8000-000000000001', 'ac000000-0000-4000-8000-000000000001',
   'The night sky is dark because the universe has a birthday.', null, 'failed', 1,
   now() - interval '20 hours', 'You are not allowed to create a Tweet with duplicate content.',
   now() - interval '20 hours', null),
  ('af000000-0000-4000-8000-000000000004', 'a9000000-0000-4000-8000-000000000001', 'ac000000-0000-4000-8000-000000000001',
   'Draft: ten things about Saturn', null, 'cancelled', 0, now() - interval '6 hours', null,
   now() - interval '6 hours', null),
  -- Far enough ahead that a worker which is started beside the demo leaves it alone.
  ('af000000-0000-4000-8000-000000000005', 'a9000000-0000-4000-8000-000000000001', 'ac000000-0000-4000-8000-000000000001',
   'Tonight: Jupiter next to the Moon. Look south-east after nine.', null, 'pending', 1,
   now() + interval '30 days', 'Rate limited, will be tried again.', now() - interval '10 minutes', null),
  ('bf000000-0000-4000-8000-000000000001', 'b9000000-0000-4000-8000-000000000001', 'bc000000-0000-4000-8000-000000000001',
   'New beans from Huila. Tastes like cherry and a clear conscience.', '1890000000000000003', 'posted', 1,
   now() - interval '1 day', null, now() - interval '1 day', now() - interval '1 day' + interval '8 seconds')
on conflict do nothing;
