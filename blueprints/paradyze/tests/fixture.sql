-- Two tenants. Everything below belongs to the owner, except what is named as the other's.
select tests.sign_up('00000000-0000-4000-8000-00000000000a', 'owner@example.com', '{"display_name": "Owner"}');
select tests.sign_up('00000000-0000-4000-8000-00000000000b', 'other@example.com', '{"display_name": "Other"}');
-- And one who came, deleted the profile, and may come again.
select tests.sign_up('00000000-0000-4000-8000-00000000000c', 'returner@example.com');
delete from public.profiles where id = '00000000-0000-4000-8000-00000000000c';

insert into public.agents (id, user_id, eliza_id, name, template_id, config) values
  ('a0000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', 'eliza-1', 'Nova', 'paradyze',
   '{"style": {"all": ["brief"]}, "settings": {"model": "small", "secrets": {"OPENAI_API_KEY": "sk-owner"}}}'),
  ('a0000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000b', 'eliza-2', 'Rival', null, null);

insert into public.twitter_accounts (id, user_id, twitter_user_id, username, access_token, access_secret) values
  ('c0000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-00000000000a', '1001', 'owner', 'token-1', 'secret-1'),
  ('c0000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-00000000000b', '1002', 'other', 'token-2', 'secret-2');

insert into public.conversations (id, agent_id, user_id, room_id) values
  ('d0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
   '00000000-0000-4000-8000-00000000000a', 'room-1'),
  ('d0000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000002',
   '00000000-0000-4000-8000-00000000000b', 'room-2');

insert into public.messages (id, conversation_id, sender_type, content) values
  ('e0000000-0000-4000-8000-000000000001', 'd0000000-0000-4000-8000-000000000001', 'user', 'Hello'),
  ('e0000000-0000-4000-8000-000000000002', 'd0000000-0000-4000-8000-000000000001', 'agent', 'Hi, I am Nova');

insert into public.tweets (id, agent_id, twitter_account_id, content, status, twitter_tweet_id, posted_at) values
  ('f0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
   'c0000000-0000-4000-8000-000000000001', 'gm', 'pending', null, null),
  ('f0000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001',
   'c0000000-0000-4000-8000-000000000001', 'first', 'posted', '9001', now());
