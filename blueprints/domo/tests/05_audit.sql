-- The audit log.

-- test: an update is logged with what changed, before and after, and by whom
select tests.as_user('a0000000-0000-4000-8000-000000000001');
update demos set name = 'Renamed' where id = 'd0000000-0000-4000-8000-000000000001';
select tests.is(row(l.user_id, l.action, l.table_name, l.record_id, l.old_values, l.new_values, l.actor_role)::text,
    row('a0000000-0000-4000-8000-000000000001', 'update', 'demos', 'd0000000-0000-4000-8000-000000000001',
        '{"name": "Ada''s draft"}'::jsonb, '{"name": "Renamed"}'::jsonb, 'authenticated')::text, 'the log line')
from audit_logs l where l.record_id = 'd0000000-0000-4000-8000-000000000001' and l.action = 'update';

-- test: an insert is logged with the new row, a delete with the old one
select tests.as_user('a0000000-0000-4000-8000-000000000001');
insert into demo_videos (id, demo_id, title, storage_url, order_index)
values ('51000000-0000-4000-8000-000000000009', 'd0000000-0000-4000-8000-000000000001', 'Nine', 'nine.mp4', 9);
delete from demo_videos where id = '51000000-0000-4000-8000-000000000009';
select tests.is(
    array_agg(row(l.action, l.old_values ->> 'title', l.new_values ->> 'title')::text order by l.action desc),
    array['(insert,,Nine)', '(delete,Nine,)'], 'log lines')
from audit_logs l where l.record_id = '51000000-0000-4000-8000-000000000009';

-- test: an update that changes nothing is not logged
update demos set name = name;
select tests.rows($$ select from audit_logs where action = 'update' $$, 0);

-- test: what the server changes is logged as the server's, for the owner to read
select tests.as_service();
update demos set tavus_persona_id = 'p1' where id = 'd0000000-0000-4000-8000-000000000001';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.is(l.actor_role, 'service_role', 'actor')
from audit_logs l where l.new_values = '{"tavus_persona_id": "p1"}';

-- test: embeddings are not copied into the log
update knowledge_chunks set vector_embedding = array_fill(1::real, array[1536])::extensions.vector;
select tests.rows($$ select from audit_logs where action = 'update' $$, 0);
insert into knowledge_chunks (id, demo_id, content, vector_embedding)
values ('c1000000-0000-4000-8000-000000000009', 'd0000000-0000-4000-8000-000000000001', 'New',
        array_fill(1::real, array[1536])::extensions.vector);
select tests.is(l.new_values ? 'vector_embedding', false, 'an embedding in the log')
from audit_logs l where l.record_id = 'c1000000-0000-4000-8000-000000000009';

-- test: nobody changes or empties the log through the API, the server's key included
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$ insert into audit_logs (action, table_name) values ('forged', 'demos') $$, '42501');
select tests.throws($$ delete from audit_logs $$, '42501');
select tests.as_service();
select tests.throws($$ update audit_logs set action = 'rewritten' $$, '42501');
select tests.throws($$ delete from audit_logs $$, '42501');
select tests.throws($$ truncate audit_logs $$, '42501');
