-- A first look with life in it. ada sells with her demos, ben has just published his first, eve has signed up only.
-- Everybody's password is plinth-demo.

insert into auth.users
    (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
     created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', id, 'authenticated', 'authenticated', email,
       extensions.crypt('plinth-demo', extensions.gen_salt('bf')), now() - since,
       '{"provider": "email", "providers": ["email"]}', jsonb_build_object('name', name), now() - since, now() - since
from (values
    ('a0000000-0000-4000-8000-000000000001'::uuid, 'ada@example.com', 'Ada', interval '60 days'),
    ('b0000000-0000-4000-8000-000000000002', 'ben@example.com', 'Ben', interval '9 days'),
    ('e0000000-0000-4000-8000-000000000003', 'eve@example.com', 'Eve', interval '1 hour')
) as person (id, email, name, since)
on conflict (id) do nothing;

-- How they sign in.
insert into auth.identities
    (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select u.id::text, u.id, jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', true), 'email',
       u.created_at, u.created_at, u.created_at
from auth.users u
where u.email in ('ada@example.com', 'ben@example.com', 'eve@example.com')
on conflict do nothing;

insert into public.demos
    (id, user_id, name, description, agent_name, agent_personality, agent_greeting, cta_text, cta_link, status,
     published_url, tavus_persona_id, tavus_conversation_id, video_storage_path, metadata, created_at, updated_at)
values
    ('d0000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001',
     'Northwind CRM tour', 'Shows a sales lead how deals, mail and reports work together.',
     'Nora', 'Warm, brief, knows pricing by heart', 'Hi, I''m Nora. What would you like to see of Northwind?',
     'Book a call', 'https://northwind.example.com/call', 'published', 'https://demos.example.com/northwind-crm',
     'p7c1a0e2f9d4', 'c3f0a9b8e7d6', 'd0000000-0000-4000-8000-000000000001/',
     '{"language": "en", "industry": "sales", "theme": {"accent": "#2b6cb0"}}', now() - interval '45 days',
     now() - interval '2 days'),
    ('d0000000-0000-4000-8000-000000000002', 'a0000000-0000-4000-8000-000000000001',
     'Onboarding for new colleagues', 'First week at Northwind, told by somebody who has time for questions.',
     'Theo', 'Patient and a little funny', 'Welcome on board! Ask me anything.', null, null, 'draft',
     null, null, null, 'd0000000-0000-4000-8000-000000000002/', '{"language": "en"}', now() - interval '3 days',
     now() - interval '3 hours'),
    ('d0000000-0000-4000-8000-000000000003', 'a0000000-0000-4000-8000-000000000001',
     'Trade fair 2024', 'The demo of last year''s stand.', 'Demo Agent', 'Friendly and helpful',
     'Hello! I''m your demo agent. How can I help you today?', 'See the catalogue', 'https://northwind.example.com',
     'archived', 'https://demos.example.com/fair-2024', 'p1b2c3d4e5f6', null,
     'd0000000-0000-4000-8000-000000000003/', '{"language": "de", "event": "fair-2024"}', now() - interval '58 days',
     now() - interval '30 days'),
    ('d0000000-0000-4000-8000-000000000004', 'b0000000-0000-4000-8000-000000000002',
     'Ben''s espresso machines', 'Which machine fits which kitchen.', 'Gina', 'Enthusiastic about coffee',
     'Ciao! Shall we find your machine?', 'To the shop', 'https://espresso.example.com', 'published',
     'https://demos.example.com/espresso', 'p9d8c7b6a5f4', 'c0d1e2f3a4b5', 'd0000000-0000-4000-8000-000000000004/',
     '{"language": "en"}', now() - interval '8 days', now() - interval '1 day')
on conflict (id) do nothing;

-- Videos in every state of processing.
insert into public.demo_videos
    (id, demo_id, title, storage_url, order_index, duration_seconds, processing_status, transcript, created_at)
select ('51000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
       ('d0000000-0000-4000-8000-' || lpad(demo::text, 12, '0'))::uuid,
       title, format('d0000000-0000-4000-8000-%s/%s', lpad(demo::text, 12, '0'), file), place, seconds,
       state::public.processing_status, transcript, now() - since
from (values
    (1, 1, 'Welcome', 'welcome.mp4', 0, 48, 'completed',
     'Welcome to Northwind. In four minutes you will see how a deal moves from first mail to signature.',
     interval '44 days'),
    (2, 1, 'The pipeline', 'pipeline.mp4', 1, 132, 'completed',
     'The pipeline shows every deal as a card. Drag a card to the next stage and the forecast follows.',
     interval '44 days'),
    (3, 1, 'Reports', 'reports.mp4', 2, 95, 'completed',
     'Reports answer three questions: what was won, what was lost and what is likely next month.',
     interval '40 days'),
    (4, 2, 'Your first day', 'first-day.mp4', 0, 210, 'completed',
     'Collect your laptop at the front desk. Lunch is at half past twelve.', interval '2 days'),
    (5, 2, 'Security basics', 'security.mp4', 1, 185, 'processing', null, interval '4 hours'),
    (6, 2, 'Meet the team', 'team.mp4', 2, null, 'pending', null, interval '3 hours'),
    (7, 2, 'Expenses', 'expenses.mov', 3, null, 'failed', null, interval '1 day'),
    (8, 3, 'At the stand', 'stand.mp4', 0, 61, 'completed', 'Greetings from hall seven.', interval '58 days'),
    (9, 4, 'Three machines', 'machines.mp4', 0, 154, 'completed',
     'One boiler, two boilers or a heat exchanger: what is the difference in the cup?', interval '7 days')
) as video (n, demo, title, file, place, seconds, state, transcript, since)
on conflict (id) do nothing;

-- A stand-in for the embedding model: every word points in a direction of its own, so that texts with words in common
-- are near each other. Same text, same vector.
create or replace function pg_temp.embedding(text)
returns extensions.vector
language sql
as $$
    select extensions.l2_normalize(array_agg(weight order by axis)::extensions.vector)
    from (
        select axis, sum(hashtextextended(word, axis) / 9223372036854775807.0)::real as weight
        from (select distinct word from regexp_split_to_table(lower($1), '[^a-z0-9]+') as word where word <> '') as words,
             generate_series(1, 1536) as axis
        group by axis
    ) as direction
$$;

insert into public.knowledge_chunks (id, demo_id, content, question, answer, source, vector_embedding, created_at)
select ('c1000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
       ('d0000000-0000-4000-8000-' || lpad(demo::text, 12, '0'))::uuid,
       content, question, answer, source, pg_temp.embedding(content), now() - since
from (values
    (1, 1, 'The pipeline shows every deal as a card. Drag a card to the next stage and the forecast follows.',
     null, null, 'Video: The pipeline', interval '44 days'),
    (2, 1, 'Reports answer three questions: what was won, what was lost and what is likely next month.',
     null, null, 'Video: Reports', interval '40 days'),
    (3, 1, 'Northwind costs 29 euros per person and month; the first 14 days are free.',
     'What does Northwind cost?', '29 euros per person and month, with 14 days free.', 'Q&A', interval '39 days'),
    (4, 1, 'Mail is read from your own mailbox over IMAP; messages are never copied to other servers.',
     'Does Northwind store my mail?', 'No, it reads your mailbox in place.', 'Q&A', interval '39 days'),
    (5, 1, 'Deals can be imported from a spreadsheet: one row per deal, one column per field.',
     'Can I import my deals?', 'Yes, from a spreadsheet.', 'Q&A', interval '20 days'),
    (6, 2, 'Collect your laptop at the front desk. Lunch is at half past twelve.',
     null, null, 'Video: Your first day', interval '2 days'),
    (7, 2, 'Expenses are filed by the fifth of the month, with a photo of every receipt.',
     'When do I file expenses?', 'By the fifth of the month.', 'Handbook', interval '1 day'),
    (8, 4, 'A heat exchanger steams milk and brews espresso at the same time.',
     'Can I brew and steam together?', 'Yes, with a heat exchanger or two boilers.', 'Video: Three machines',
     interval '7 days'),
    (9, 4, 'Descale the boiler every three months, more often with hard water.',
     'How often should I descale?', 'Every three months.', 'Manual', interval '6 days')
) as chunk (n, demo, content, question, answer, source, since)
on conflict (id) do nothing;

-- Written, not embedded yet.
insert into public.knowledge_chunks (id, demo_id, content, source, created_at) values
    ('c1000000-0000-4000-8000-000000000010', 'd0000000-0000-4000-8000-000000000002',
     'Lock your screen when you leave your desk, and never share a password.', 'Video: Security basics', now())
on conflict (id) do nothing;

-- The current conversations are on the map already; these came before them, and one was asked for just now.
insert into public.conversations
    (id, demo_id, conversation_id, conversation_url, status, error_message, created_at, ended_at)
values
    ('c2000000-0000-4000-8000-000000000001', 'd0000000-0000-4000-8000-000000000001', 'c1e2d3c4b5a6',
     'https://tavus.daily.co/c1e2d3c4b5a6', 'ended', null, now() - interval '9 days',
     now() - interval '9 days' + interval '7 minutes'),
    ('c2000000-0000-4000-8000-000000000002', 'd0000000-0000-4000-8000-000000000001', 'c2a4b6c8d0e2',
     'https://tavus.daily.co/c2a4b6c8d0e2', 'ended', null, now() - interval '4 days',
     now() - interval '4 days' + interval '3 minutes'),
    ('c2000000-0000-4000-8000-000000000003', 'd0000000-0000-4000-8000-000000000002', null, null, 'failed',
     'persona has no replica', now() - interval '5 hours', null)
on conflict (id) do nothing;

update public.conversations
set conversation_url = 'https://tavus.daily.co/' || conversation_id
where conversation_id in ('c3f0a9b8e7d6', 'c0d1e2f3a4b5') and conversation_url is null;

-- What Tavus sent about them, in its own envelope.
insert into public.processed_webhook_events
    (id, conversation_id, event_type, event_data, processed_at, processing_duration_ms, event_hash)
select ('ee000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, conversation_id, event_type, payload,
       now() - since, 12 + n, encode(sha256(convert_to(payload::text, 'UTF8')), 'hex')
from (
    select n, conversation_id, event_type, since,
           jsonb_build_object(
               'conversation_id', conversation_id, 'event_type', event_type, 'properties', properties::jsonb,
               'message_type', split_part(event_type, '.', 1), 'timestamp', now() - since,
               'webhook_url', 'https://demos.example.com/hooks/tavus') as payload
    from (values
        (1, 'c1e2d3c4b5a6', 'system.replica_joined', '{"replica_id": "r4c41453d2"}', interval '9 days'),
        (2, 'c1e2d3c4b5a6', 'application.transcription_ready',
         '{"replica_id": "r4c41453d2", "transcript": [
            {"role": "system", "content": "You are Nora."},
            {"role": "assistant", "content": "Hi, I''m Nora. What would you like to see of Northwind?"},
            {"role": "user", "content": "What does it cost for a team of five?"},
            {"role": "assistant", "content": "29 euros per person and month, so 145 euros, with 14 days free."}]}',
         interval '8 days 23 hours 50 minutes'),
        (3, 'c1e2d3c4b5a6', 'system.shutdown', '{"shutdown_reason": "participant_left_timeout reached"}',
         interval '8 days 23 hours 52 minutes'),
        (4, 'c2a4b6c8d0e2', 'system.replica_joined', '{"replica_id": "r4c41453d2"}', interval '4 days'),
        (5, 'c2a4b6c8d0e2', 'application.transcription_ready',
         '{"replica_id": "r4c41453d2", "transcript": [
            {"role": "assistant", "content": "Hi, I''m Nora. What would you like to see of Northwind?"},
            {"role": "user", "content": "I hate importing spreadsheets. Is there another way?"},
            {"role": "assistant", "content": "Today a spreadsheet is the way in, one row per deal."}]}',
         interval '3 days 23 hours 55 minutes'),
        (6, 'c3f0a9b8e7d6', 'system.replica_joined', '{"replica_id": "r4c41453d2"}', interval '5 minutes'),
        (7, 'c0d1e2f3a4b5', 'system.replica_joined', '{"replica_id": "r79e1c033f"}', interval '1 day'),
        (8, 'c0d1e2f3a4b5', 'application.transcription_ready',
         '{"replica_id": "r79e1c033f", "transcript": [
            {"role": "assistant", "content": "Ciao! Shall we find your machine?"},
            {"role": "user", "content": "Can I brew and steam together?"}]}',
         interval '23 hours')
    ) as event (n, conversation_id, event_type, properties, since)
) as callback
on conflict (id) do nothing;

insert into public.conversation_messages
    (id, conversation_id, message_id, role, content, content_length, timestamp, sentiment, intent, confidence)
select ('aa000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, conversation_id, 'm' || n,
       role::public.message_role, content, char_length(content), now() - since, sentiment, intent, confidence
from (values
    (1, 'c1e2d3c4b5a6', 'assistant', 'Hi, I''m Nora. What would you like to see of Northwind?',
     interval '9 days', 'positive', 'greeting', 0.98),
    (2, 'c1e2d3c4b5a6', 'user', 'What does it cost for a team of five?',
     interval '8 days 23 hours 59 minutes', 'neutral', 'pricing', 0.94),
    (3, 'c1e2d3c4b5a6', 'assistant', '29 euros per person and month, so 145 euros, with 14 days free.',
     interval '8 days 23 hours 58 minutes', 'positive', 'answer', 0.97),
    (4, 'c2a4b6c8d0e2', 'assistant', 'Hi, I''m Nora. What would you like to see of Northwind?',
     interval '4 days', 'positive', 'greeting', 0.98),
    (5, 'c2a4b6c8d0e2', 'user', 'I hate importing spreadsheets. Is there another way?',
     interval '3 days 23 hours 59 minutes', 'negative', 'feature_request', 0.81),
    (6, 'c2a4b6c8d0e2', 'assistant', 'Today a spreadsheet is the way in, one row per deal.',
     interval '3 days 23 hours 58 minutes', 'neutral', 'answer', 0.90),
    (7, 'c0d1e2f3a4b5', 'assistant', 'Ciao! Shall we find your machine?',
     interval '1 day', 'positive', 'greeting', 0.99),
    (8, 'c0d1e2f3a4b5', 'user', 'Can I brew and steam together?',
     interval '23 hours 59 minutes', 'neutral', 'product_question', 0.92)
) as message (n, conversation_id, role, content, since, sentiment, intent, confidence)
on conflict (id) do nothing;

-- Two edits, so that the audit log has something with a before and an after.
update public.demos
set cta_text = 'Book a demo call', agent_personality = 'Warm, brief, knows pricing and security by heart'
where id = 'd0000000-0000-4000-8000-000000000001' and cta_text = 'Book a call';

update public.demo_videos
set title = 'Expenses and travel'
where id = '51000000-0000-4000-8000-000000000007' and title = 'Expenses';
