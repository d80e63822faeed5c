-- Why: lists of users and of what happened are read page by page from the newest on, and users are found by parts of
-- their addresses, numbers and names; a table of a million users must not be read for that.
set local search_path = '';

create index users_newest_idx on auth.users (created_at desc nulls last, id);
create index audit_logs_newest_idx on auth.audit_log_entries (created_at desc nulls last, id);

-- One index for the three, because each row is in it once. New entries wait in its list and are sorted in together, so a
-- sign-up pays little; the list is kept short, for every search reads it. Where the server was packaged without
-- `pg_trgm`, searching reads the table.
do $trigrams$
begin
  if exists (select from pg_catalog.pg_extension where extname = 'pg_trgm') then
    create index users_search_idx on auth.users using gin (
      email extensions.gin_trgm_ops, phone extensions.gin_trgm_ops,
      (raw_user_meta_data ->> 'full_name') extensions.gin_trgm_ops)
      with (fastupdate = on, gin_pending_list_limit = 512);
  end if;
end
$trigrams$;

select plinth.seal();
