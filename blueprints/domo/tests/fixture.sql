-- The rows that the access table and the tests speak of. ada owns, ben is somebody else, cleo has lost her profile.

select tests.sign_up('a0000000-0000-4000-8000-000000000001', 'ada@example.com', '{"name": "Ada"}');
select tests.sign_up('b0000000-0000-4000-8000-000000000002', 'ben@example.com', '{"name": "Ben"}');
select tests.sign_up('c0000000-0000-4000-8000-000000000003', 'cleo@example.com');
delete from public.profiles where id = 'c0000000-0000-4000-8000-000000000003';

insert into public.demos (id, name, user_id, status) values
    ('d0000000-0000-4000-8000-000000000001', 'Ada''s draft', 'a0000000-0000-4000-8000-000000000001', 'draft'),
    ('d0000000-0000-4000-8000-000000000002', 'Ada''s published', 'a0000000-0000-4000-8000-000000000001', 'published'),
    ('d0000000-0000-4000-8000-000000000003', 'Ben''s draft', 'b0000000-0000-4000-8000-000000000002', 'draft');

-- By the defects' own example: 3 videos, 4 chunks and 2 events, which a join would show as 24 and 24.
insert into public.demo_videos (id, demo_id, title, storage_url, order_index, duration_seconds) values
    ('51000000-0000-4000-8000-000000000001', 'd0000000-0000-4000-8000-000000000001', 'One', 'one.mp4', 0, 10),
    ('51000000-0000-4000-8000-000000000002', 'd0000000-0000-4000-8000-000000000001', 'Two', 'two.mp4', 1, 20),
    ('51000000-0000-4000-8000-000000000003', 'd0000000-0000-4000-8000-000000000001', 'Three', 'three.mp4', 2, null);

insert into public.knowledge_chunks (id, demo_id, content)
select ('c1000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'd0000000-0000-4000-8000-000000000001', 'Chunk ' || n
from generate_series(1, 4) as n;

insert into public.conversations (id, demo_id, conversation_id, status) values
    ('c2000000-0000-4000-8000-000000000001', 'd0000000-0000-4000-8000-000000000001', 'tavus-ada', 'active'),
    ('c2000000-0000-4000-8000-000000000002', 'd0000000-0000-4000-8000-000000000003', 'tavus-ben', 'active');

-- A real payload says nothing of a demo.
insert into public.processed_webhook_events (id, conversation_id, event_type, event_data, processed_at, event_hash)
values
    ('ee000000-0000-4000-8000-000000000001', 'tavus-ada', 'system.replica_joined',
     '{"conversation_id": "tavus-ada"}', '2025-06-01 10:00+00', repeat('1', 64)),
    ('ee000000-0000-4000-8000-000000000002', 'tavus-ada', 'system.shutdown',
     '{"conversation_id": "tavus-ada"}', '2025-06-01 10:05+00', repeat('2', 64)),
    ('ee000000-0000-4000-8000-000000000003', 'tavus-ben', 'system.shutdown',
     '{"conversation_id": "tavus-ben"}', '2025-07-01 10:00+00', repeat('3', 64));

insert into public.conversation_messages (id, conversation_id, role, content) values
    ('aa000000-0000-4000-8000-000000000001', 'tavus-ada', 'user', 'Hello?'),
    ('aa000000-0000-4000-8000-000000000002', 'tavus-ben', 'user', 'Anybody there?');

-- The triggers have logged all of the above; this line has an id to ask for.
insert into public.audit_logs (id, user_id, action, table_name) values
    ('ad000000-0000-4000-8000-000000000001', 'a0000000-0000-4000-8000-000000000001', 'publish', 'demos');

insert into storage.objects (bucket_id, name) values
    ('demo-videos', 'd0000000-0000-4000-8000-000000000001/one.mp4');
