-- Why: sign-in works as supabase_auth_admin, and runs what people hang on it: triggers on `auth.users`, and functions of
-- theirs as hooks.
set local search_path = '';

-- Hooks are where people put them; which ones may be executed is theirs to grant, to supabase_auth_admin.
grant usage on schema public to supabase_auth_admin;

-- A trigger without definer's rights runs as the owner of the platform's tables, whose shape must stay then too. The
-- owner role is a member of supabase_auth_admin, so one question covers both.
grant usage on schema plinth to supabase_auth_admin;
grant select on plinth.sealed to supabase_auth_admin;
grant execute on function plinth.check_seals(), plinth.shape(regclass) to supabase_auth_admin;

create or replace function plinth.guard_commands() returns event_trigger
language plpgsql
set search_path = ''
as $$
declare
  command record;
begin
  if not pg_catalog.pg_has_role('supabase_auth_admin'::pg_catalog.regrole, 'usage')
    or (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;

  for command in
    select command_tag, object_identity from pg_catalog.pg_event_trigger_ddl_commands()
    where schema_name in ('auth', 'storage', 'realtime')
      -- These have no schema, but the table they are on has.
      or object_type in ('rule', 'trigger') and object_identity ~ ' on (auth|storage|realtime)\.'
      -- A table that was moved away is known by its oid.
      or classid = 'pg_catalog.pg_class'::pg_catalog.regclass and objid in (select relation from plinth.sealed)
  loop
    if command.command_tag like 'CREATE %' and command.command_tag not in ('CREATE TRIGGER', 'CREATE POLICY', 'CREATE STATISTICS') then
      raise exception '% %: the schema belongs to the platform', command.command_tag, command.object_identity
        using errcode = 'insufficient_privilege', hint = 'Create it in public or in a schema of your own.';
    end if;
    perform plinth.check_seals();
  end loop;
end
$$;

create or replace function plinth.guard_drops() returns event_trigger
language plpgsql
set search_path = ''
as $$
begin
  if not pg_catalog.pg_has_role('supabase_auth_admin'::pg_catalog.regrole, 'usage')
    or (select rolsuper from pg_catalog.pg_roles where rolname = current_user) then
    return;
  end if;

  if exists (
    select from pg_catalog.pg_event_trigger_dropped_objects()
    where schema_name in ('auth', 'storage', 'realtime') or address_names[1] in ('auth', 'storage', 'realtime')
  ) then
    perform plinth.check_seals();
  end if;
end
$$;
