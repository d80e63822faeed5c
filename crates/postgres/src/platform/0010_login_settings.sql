-- Why: the data API logs in as `authenticator.{project}`, and PostgreSQL gives a session the settings of the role that
-- logged in, not of `authenticator`, which people name. So what is set for the one is set for the other.
set local search_path = '';

create or replace function plinth.set_setting(name text, value text, role text default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  database constant text := pg_catalog.current_database();
  -- A project that is being made or reset has its database under another name still.
  login    constant text := 'authenticator.' || pg_catalog.regexp_replace(database, '^plinth_(new|old)_', '');
  target   text;
begin
  -- The statement runs as a superuser, so it is confined to names that give nobody any power.
  if name !~ '^(statement_timeout|lock_timeout|idle_in_transaction_session_timeout|(app|pgrst)\.[a-z0-9_.]+)$' then
    raise exception 'setting "%" cannot be set for a project', name
      using errcode = 'insufficient_privilege', hint = 'Possible are the timeouts and names that begin with app. or pgrst.';
  end if;
  if role not in ('anon', 'authenticated', 'service_role', 'authenticator') then
    raise exception 'settings of role "%" cannot be changed by a project', role
      using errcode = 'insufficient_privilege', hint = 'Possible are anon, authenticated, service_role and authenticator.';
  end if;

  for target in
    select pg_catalog.format('database %I', database) where role is null
    union all
    select pg_catalog.format('role %I in database %I', rolname, database) from pg_catalog.pg_roles
    where rolname = role or role = 'authenticator' and rolname = login
  loop
    if value is null then
      execute pg_catalog.format('alter %s reset %s', target, name);
    else
      execute pg_catalog.format('alter %s set %s = %L', target, name, value);
    end if;
  end loop;
  notify pgrst, 'reload config';
end
$$;
