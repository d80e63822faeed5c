-- Why: people raise a role's timeout with `alter role authenticated set …`, which here would reach every project and is
-- therefore refused to the owner role. This does the same for one project.
set local search_path = '';

-- Sets, or with a null value forgets, a setting of this database, or of a request role in this database.
create function plinth.set_setting(name text, value text, role text default null) returns void
language plpgsql security definer
set search_path = ''
as $$
declare
  target constant text := case
    when role is null then pg_catalog.format('database %I', pg_catalog.current_database())
    else pg_catalog.format('role %I in database %I', role, pg_catalog.current_database())
  end;
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

  if value is null then
    execute pg_catalog.format('alter %s reset %s', target, name);
  else
    execute pg_catalog.format('alter %s set %s = %L', target, name, value);
  end if;
  notify pgrst, 'reload config';
end
$$;
revoke all on function plinth.set_setting(text, text, text) from public;
grant execute on function plinth.set_setting(text, text, text) to @owner@;
