-- Statistics, dashboard and export.

-- test: the dashboard counts each child once
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(row(d.video_count, d.knowledge_count)::text, '(3,4)', 'videos and chunks')
from demo_dashboard d where d.id = 'd0000000-0000-4000-8000-000000000001';

-- test: the dashboard shows when a demo was last talked to, though payloads carry no demo
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(d.last_activity, '2025-06-01 10:05+00'::timestamptz, 'last activity')
from demo_dashboard d where d.id = 'd0000000-0000-4000-8000-000000000001';
select tests.is(d.last_activity, null::timestamptz, 'last activity of a demo nobody talked to')
from demo_dashboard d where d.id = 'd0000000-0000-4000-8000-000000000002';

-- test: the dashboard shows the caller's demos only, the last touched first
update demos set name = 'Touched' where id = 'd0000000-0000-4000-8000-000000000001';
update demos set updated_at = now() + interval '1 hour' where id = 'd0000000-0000-4000-8000-000000000002';
alter table demos disable trigger update_demos_updated_at;
update demos set updated_at = now() + interval '1 hour' where id = 'd0000000-0000-4000-8000-000000000002';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is((select array_agg(name) from demo_dashboard), array['Ada''s published', 'Touched'], 'ada''s dashboard');
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.is((select array_agg(name) from demo_dashboard), array['Ben''s draft'], 'ben''s dashboard');

-- test: statistics are right for the owner
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(row(s.*)::text, row(3::bigint, 4::bigint, 30, '2025-06-01 10:05+00'::timestamptz)::text, 'statistics')
from get_demo_stats('d0000000-0000-4000-8000-000000000001') s;

-- test: a demo remembers the conversations before its current one
update demos set tavus_conversation_id = 'tavus-second' where id = 'd0000000-0000-4000-8000-000000000001';
update demos set tavus_conversation_id = 'tavus-third' where id = 'd0000000-0000-4000-8000-000000000001';
insert into processed_webhook_events (conversation_id, event_type, event_data, processed_at, event_hash)
values ('tavus-second', 'system.shutdown', '{}', '2025-06-09 10:00+00', repeat('a', 64));
select tests.is(array_agg(conversation_id order by conversation_id), array['tavus-ada', 'tavus-second', 'tavus-third'],
    'conversations')
from conversations where demo_id = 'd0000000-0000-4000-8000-000000000001';
select tests.is(last_conversation_at, '2025-06-09 10:00+00'::timestamptz, 'last conversation')
from get_demo_stats('d0000000-0000-4000-8000-000000000001');

-- test: a callback that comes before its conversation is known is counted once it is
insert into processed_webhook_events (conversation_id, event_type, event_data, processed_at, event_hash)
values ('tavus-early', 'system.replica_joined', '{}', '2025-06-10 10:00+00', repeat('b', 64));
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.rows($$ select from processed_webhook_events where conversation_id = 'tavus-early' $$, 0);
select tests.as_service();
update demos set tavus_conversation_id = 'tavus-early' where id = 'd0000000-0000-4000-8000-000000000001';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(last_conversation_at, '2025-06-10 10:00+00'::timestamptz, 'last conversation')
from get_demo_stats('d0000000-0000-4000-8000-000000000001');

-- test: an export holds every demo of the user with its children
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.rows($$ select from export_demo_data() $$, 2);
select tests.is(
    row(jsonb_array_length(e -> 'videos'), jsonb_array_length(e -> 'knowledge_chunks'), e ->> 'name',
        e #>> '{videos,2,title}', e #>> '{conversations,0,messages,0,content}')::text,
    row(3, 4, 'Ada''s draft', 'Three', 'Hello?')::text, 'export')
from export_demo_data() e where e ->> 'id' = 'd0000000-0000-4000-8000-000000000001';

-- test: a demo without children is exported with empty arrays
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(row(e -> 'videos', e -> 'knowledge_chunks', e -> 'conversations')::text, '([],[],[])', 'children')
from export_demo_data() e where e ->> 'id' = 'd0000000-0000-4000-8000-000000000002';

-- test: an export of somebody else is empty, of the server complete
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.rows($$ select from export_demo_data('a0000000-0000-4000-8000-000000000001') $$, 0);
select tests.as_service();
select tests.rows($$ select from export_demo_data('a0000000-0000-4000-8000-000000000001') $$, 2);
select tests.as_anon();
select tests.throws($$ select export_demo_data('a0000000-0000-4000-8000-000000000001') $$, '42501');

-- test: reordering numbers the videos from 0 in the given order
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(array_agg(title order by order_index), array['Three', 'One', 'Two'], 'order')
from reorder_demo_videos('d0000000-0000-4000-8000-000000000001', array[
    '51000000-0000-4000-8000-000000000003', '51000000-0000-4000-8000-000000000001',
    '51000000-0000-4000-8000-000000000002']::uuid[]);
select tests.is(array_agg(title || ' ' || order_index order by order_index), array['Three 0', 'One 1', 'Two 2'], 'stored')
from demo_videos;

-- test: reordering wants every video of the demo exactly once
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ select reorder_demo_videos('d0000000-0000-4000-8000-000000000001',
    array['51000000-0000-4000-8000-000000000003']::uuid[]) $$, '22023');
select tests.throws($$ select reorder_demo_videos('d0000000-0000-4000-8000-000000000001', array[
    '51000000-0000-4000-8000-000000000001', '51000000-0000-4000-8000-000000000001',
    '51000000-0000-4000-8000-000000000002']::uuid[]) $$, '22023');
select tests.throws($$ select reorder_demo_videos('d0000000-0000-4000-8000-000000000001', null) $$, '22023');

-- test: nobody reorders the videos of somebody else
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.throws($$ select reorder_demo_videos('d0000000-0000-4000-8000-000000000001', array[
    '51000000-0000-4000-8000-000000000003', '51000000-0000-4000-8000-000000000001',
    '51000000-0000-4000-8000-000000000002']::uuid[]) $$, '22023');
