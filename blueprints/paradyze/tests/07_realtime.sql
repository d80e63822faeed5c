-- test: what a second browser shows is published, and no secrets are
select tests.is(
  (select array_agg(tablename::text order by tablename) from pg_publication_tables
   where pubname = 'supabase_realtime' and schemaname = 'public'),
  array['agents', 'conversations', 'messages', 'tweets'], 'published tables');
