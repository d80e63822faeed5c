-- Types, constraints and indexes.

-- test: embeddings are vectors of 1536 dimensions, from an extension that the migrations ask for
select tests.is(format_type(a.atttypid, a.atttypmod), 'vector(1536)', 'type of vector_embedding')
from pg_attribute a
where a.attrelid = 'public.knowledge_chunks'::regclass and a.attname = 'vector_embedding';
select tests.throws($$ insert into knowledge_chunks (demo_id, content, vector_embedding)
                       values ('d0000000-0000-4000-8000-000000000001', 'x', '[1,2,3]') $$, '22000');

-- test: the columns use the types that were made for them
select tests.is(
    array_agg(format('%s.%s %s', a.attrelid::regclass, a.attname, a.atttypid::regtype) order by a.attrelid::regclass::text),
    array['conversation_messages.role message_role', 'demo_videos.processing_status processing_status',
          'demos.status demo_status'], 'columns of enum types')
from pg_attribute a
where a.atttypid in ('demo_status'::regtype, 'processing_status'::regtype, 'message_role'::regtype)
    and a.attrelid in ('demos'::regclass, 'demo_videos'::regclass, 'conversation_messages'::regclass);

-- test: states that do not exist are refused
select tests.throws($$ update demos set status = 'banana' $$, '22P02');
select tests.throws($$ update demo_videos set processing_status = 'banana' $$, '22P02');
select tests.throws($$ update conversation_messages set role = 'banana' $$, '22P02');
select tests.throws($$ update conversations set status = 'banana' $$, '23514');

-- test: a state is always there
select tests.throws($$ update demos set status = null $$, '23502');
select tests.throws($$ update demo_videos set processing_status = null $$, '23502');
select tests.throws($$ update conversation_messages set role = null $$, '23502');

-- test: a new demo has the defaults of the document
insert into demos (id, name, user_id)
values ('d0000000-0000-4000-8000-000000000009', 'New', 'a0000000-0000-4000-8000-000000000001');
select tests.is(
    row(d.agent_name, d.agent_personality, d.agent_greeting, d.status::text, d.video_storage_path, d.metadata)::text,
    row('Demo Agent', 'Friendly and helpful', 'Hello! I''m your demo agent. How can I help you today?', 'draft', '',
        '{}'::jsonb)::text, 'defaults')
from demos d where d.id = 'd0000000-0000-4000-8000-000000000009';

-- test: the named constraints hold
select tests.throws($$ update demos set name = '' $$, '23514', 'demos_name_length_check');
select tests.throws($$ update demos set name = repeat('x', 256) $$, '23514', 'demos_name_length_check');
select tests.throws($$ update demo_videos set order_index = -1 where title = 'One' $$, '23514',
    'demo_videos_order_index_check');
select tests.throws($$ update demo_videos set duration_seconds = 0 $$, '23514', 'demo_videos_duration_check');
select tests.throws($$ update knowledge_chunks set content = '' $$, '23514', 'knowledge_chunks_content_length_check');
select tests.ok(exists (select from pg_constraint where conname = 'demos_status_check'), 'demos_status_check exists');

-- test: no place in a demo is taken twice
select tests.throws($$ insert into demo_videos (demo_id, title, storage_url, order_index)
    values ('d0000000-0000-4000-8000-000000000001', 'Again', 'x.mp4', 0) $$, '23505', 'idx_demo_videos_order');

-- test: one statement may swap two videos
update demo_videos set order_index = 1 - order_index where title in ('One', 'Two');
select tests.is(array_agg(title order by order_index), array['Two', 'One', 'Three'], 'order')
from demo_videos where demo_id = 'd0000000-0000-4000-8000-000000000001';

-- test: an event has a SHA-256 hash and is stored once
select tests.throws($$ update processed_webhook_events set event_hash = null $$, '23502');
select tests.throws($$ insert into processed_webhook_events (conversation_id, event_type, event_data, event_hash)
    values ('tavus-ada', 'system.shutdown', '{}', repeat('1', 64)) $$, '23505', 'idx_webhook_events_hash');
select tests.throws($$ update processed_webhook_events set event_hash = 'abc' $$, '23514');
select tests.affects($$ insert into processed_webhook_events (conversation_id, event_type, event_data, event_hash)
    values ('tavus-ada', 'system.shutdown', '{}', repeat('1', 64)) on conflict (event_hash) do nothing $$, 0);

-- test: every index of the document that has work of its own exists
select tests.is(array_agg(name), null, 'missing indexes')
from unnest(array[
    'idx_demos_status', 'idx_demos_tavus_persona_id', 'idx_demos_user_status', 'idx_demos_metadata_gin',
    'idx_demo_videos_order', 'idx_demo_videos_status', 'idx_videos_processing',
    'knowledge_chunks_vector_embedding_idx', 'idx_chunks_demo_source',
    'idx_webhook_events_conversation_id', 'idx_webhook_events_type', 'idx_webhook_events_processed_at',
    'idx_webhook_events_hash', 'idx_conversation_messages_conversation_id', 'idx_conversation_messages_timestamp',
    'idx_conversation_messages_role']) as name
where to_regclass('public.' || name) is null;

-- test: no index repeats another or the beginning of one
select tests.is(array_agg(format('%s begins %s', a.indexrelid::regclass, b.indexrelid::regclass)), null, 'indexes')
from pg_index a
join pg_class r on r.oid = a.indrelid and r.relnamespace = 'public'::regnamespace
join pg_index b on b.indrelid = a.indrelid and b.indexrelid <> a.indexrelid
join pg_class ca on ca.oid = a.indexrelid
join pg_class cb on cb.oid = b.indexrelid and cb.relam = ca.relam
where a.indpred is null and b.indpred is null and a.indexprs is null and b.indexprs is null
    and b.indkey::text || ' ' like a.indkey::text || ' %'
    and (not a.indisunique or a.indkey::text = b.indkey::text);
