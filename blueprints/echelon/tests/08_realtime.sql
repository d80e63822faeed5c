-- test: the tables of the document's subscriptions are published, and those that its pages show live
select tests.is(
  (select array_agg(tablename::text order by tablename) from pg_publication_tables
   where pubname = 'supabase_realtime' and schemaname = 'public'),
  array['agent_thoughts', 'agents', 'deployments', 'notifications', 'workflow_executions', 'workflows'], 'published');

-- test: a deletion can be filtered by created_by and by user_id
select tests.is(
  (select array_agg(relname::text order by relname) from pg_class
   where relreplident = 'f' and relnamespace = 'public'::regnamespace), array['agents', 'notifications'], 'full identity');
