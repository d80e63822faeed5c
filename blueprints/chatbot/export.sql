-- Step one of moving an existing database of the document's shape: run in the *old* database, it prints one JSON object.
--   psql "$OLD_URL" -XAtq -f export.sql > export.json
-- Steps two and three, in the new one: see README.md, "Moving an existing database". Rows of a table that did not exist
-- in the old database can be left out by hand.
select jsonb_build_object(
  'users',             (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from users t),
  'conversations',     (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from conversations t),
  'messages',          (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from messages t),
  'artifacts',         (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from artifacts t),
  'agent_definitions', (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from agent_definitions t),
  'agent_instances',   (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from agent_instances t),
  'agent_tools',       (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from agent_tools t),
  'workflows',         (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from workflows t),
  'subscriptions',     (select coalesce(jsonb_agg(to_jsonb(t)), '[]') from subscriptions t));
