-- What people see who own nothing here.

-- test: a visitor sees published demos and nothing else
select tests.as_anon();
select tests.is(array_agg(name order by name), array['Ada''s published'], 'demos')
from (select name from demos) as d;

-- test: a visitor sees what the page of a demo needs, not the owner, the prompt or the ids at Tavus
select tests.as_anon();
select tests.rows($$ select id, name, description, agent_name, agent_greeting, cta_text, cta_link, published_url
                     from demos $$, 1);
select tests.throws($$ select user_id from demos $$, '42501');
select tests.throws($$ select agent_personality from demos $$, '42501');
select tests.throws($$ select tavus_persona_id, tavus_conversation_id from demos $$, '42501');
select tests.throws($$ select metadata from demos $$, '42501');

-- test: published_demos() shows the same to visitors with and without an account
select tests.as_anon();
select tests.rows($$ select * from published_demos() $$, 1);
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.rows($$ select * from published_demos() $$, 1);
select tests.is((select name from published_demos()), 'Ada''s published', 'the published demo');
select tests.rows($$ select from demos where name like 'Ada%' $$, 0);

-- test: an archived demo is published no more
update demos set status = 'archived' where id = 'd0000000-0000-4000-8000-000000000002';
select tests.as_anon();
select tests.rows($$ select name from demos $$, 0);
select tests.rows($$ select from published_demos() $$, 0);

-- test: conversations, events, messages and the audit log are closed to visitors and to other users
select tests.as_anon();
select tests.rows($$ select from processed_webhook_events $$, 0);
select tests.rows($$ select from conversation_messages $$, 0);
select tests.rows($$ select from audit_logs $$, 0);
select tests.throws($$ delete from audit_logs $$, '42501');
select tests.throws($$ update processed_webhook_events set event_data = '{}' $$, '42501');
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.is((select array_agg(distinct conversation_id) from processed_webhook_events), array['tavus-ben'], 'events');
select tests.is((select array_agg(distinct conversation_id) from conversation_messages), array['tavus-ben'], 'messages');
select tests.rows($$ select from audit_logs where user_id <> 'b0000000-0000-4000-8000-000000000002' $$, 0);

-- test: statistics of somebody else's demo are empty
select tests.as_anon();
select tests.is((select row(s.*)::text from get_demo_stats('d0000000-0000-4000-8000-000000000001') s), '(0,0,0,)', 'anon');
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.is((select row(s.*)::text from get_demo_stats('d0000000-0000-4000-8000-000000000001') s), '(0,0,0,)', 'ben');

-- test: nobody gives a demo or a chunk of another's to themselves, or theirs to another
select tests.as_user('b0000000-0000-4000-8000-000000000002');
select tests.throws($$ update demos set user_id = 'a0000000-0000-4000-8000-000000000001' $$, '42501');
select tests.throws($$ insert into knowledge_chunks (demo_id, content)
    values ('d0000000-0000-4000-8000-000000000001', 'planted') $$, '42501');

-- test: every table that is published to realtime has row level security
select tests.is(array_agg(r.prrelid::regclass::text), null, 'published without row level security')
from pg_publication_rel r
join pg_publication p on p.oid = r.prpubid and p.pubname = 'supabase_realtime'
join pg_class c on c.oid = r.prrelid
where not c.relrowsecurity;

-- test: demos, the state of videos and conversations are published to realtime, the audit log is not
select tests.is(array_agg(tablename order by tablename)::text[],
    array['conversation_messages', 'conversations', 'demo_videos', 'demos', 'processed_webhook_events'], 'published')
from pg_publication_tables where pubname = 'supabase_realtime';

-- test: publishing a table a second time does no harm
select publish_to_realtime('public.demos');
select publish_to_realtime('public.demos');
select tests.rows($$ select from pg_publication_tables where pubname = 'supabase_realtime' and tablename = 'demos' $$, 1);
