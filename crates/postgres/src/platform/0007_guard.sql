-- Why: PostgreSQL lets only a table's owner write policies on it and drop triggers from it. The owner role therefore
-- shares in the ownership of the platform's tables, and this takes back what it does not need: changing their shape.
set local search_path = '';

-- ------------------------------------------------------------------ the shape that must stay

create table plinth.sealed (
  relation regclass primary key,
  name     text not null,
  shape    text not null
);
comment on table plinth.sealed is 'Tables of the platform as the platform made them';
grant select on plinth.sealed to @owner@;

-- Built from columns of the catalog rather than from deparsed text, which differs from one PostgreSQL to the next.
-- Policies, comments, privileges, statistics, replica identity and the project's own triggers are not part of it.
create function plinth.shape(relation regclass) returns text
language sql stable strict
set search_path = ''
as $$
  select pg_catalog.md5(pg_catalog.concat_ws(E'\n',
    relation, pg_catalog.pg_get_userbyid(class.relowner), class.relkind, class.relpersistence,
    class.relrowsecurity, class.relforcerowsecurity,
    (select pg_catalog.string_agg(pg_catalog.concat_ws(' ',
        attname, atttypid::pg_catalog.regtype, atttypmod, attnotnull, atthasdef, attidentity, attgenerated, attisdropped),
        E'\n' order by attnum)
      from pg_catalog.pg_attribute where attrelid = relation and attnum > 0),
    (select pg_catalog.string_agg(pg_catalog.concat_ws(' ',
        conname, contype, convalidated, conkey, confrelid::pg_catalog.regclass, confdeltype), E'\n' order by conname)
      from pg_catalog.pg_constraint where conrelid = relation and contype in ('p', 'u', 'f', 'c', 'x')),
    (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', indexrelid::pg_catalog.regclass, indisunique, indisvalid, indkey),
        E'\n' order by indexrelid::pg_catalog.regclass::text)
      from pg_catalog.pg_index where indrelid = relation),
    -- The platform's triggers are those that run the platform's functions.
    (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', tgname, tgfoid::pg_catalog.regprocedure, tgtype, tgenabled),
        E'\n' order by tgname)
      from pg_catalog.pg_trigger join pg_catalog.pg_proc on pg_proc.oid = tgfoid
      where tgrelid = relation and not tgisinternal and pronamespace = class.relnamespace),
    (select pg_catalog.string_agg(rulename, E'\n' order by rulename) from pg_catalog.pg_rewrite where ev_class = relation)))
  from pg_catalog.pg_class as class
  where class.oid = relation
$$;

-- To be called at the end of every file that makes or changes tables of the platform.
create function plinth.seal() returns void
language sql
set search_path = ''
as $$
  delete from plinth.sealed;
  insert into plinth.sealed (relation, name, shape)
  select class.oid, class.oid::pg_catalog.regclass, plinth.shape(class.oid)
  from pg_catalog.pg_class as class
  where class.relnamespace in (
      'auth'::pg_catalog.regnamespace, 'storage'::pg_catalog.regnamespace, 'realtime'::pg_catalog.regnamespace)
    and class.relkind in ('r', 'p')
    -- Partitions come and go.
    and (not class.relispartition or class.relname = 'messages_default');
$$;

create function plinth.check_seals() returns void
language plpgsql
set search_path = ''
as $$
declare
  broken constant text := (
    select pg_catalog.string_agg(name, ', ' order by name) from plinth.sealed where shape is distinct from plinth.shape(relation));
begin
  if broken is not null then
    raise exception '% belongs to the platform and keeps its shape', broken
      using errcode = 'insufficient_privilege',
        hint = 'Policies, triggers and comments may be added. Columns of your own go into a table of your own that references it.';
  end if;
end
$$;

-- ------------------------------------------------------------------ the guards

-- Only the owner role shares in the ownership. Event triggers run as whoever gives the command, and others may not
-- look into this schema at all, so nothing in it is touched on their behalf.

create function plinth.guard_commands() returns event_trigger
language plpgsql
set search_path = ''
as $$
declare
  command record;
begin
  if not pg_catalog.pg_has_role('@owner@'::pg_catalog.regrole, 'usage')
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

create function plinth.guard_drops() returns event_trigger
language plpgsql
set search_path = ''
as $$
begin
  if not pg_catalog.pg_has_role('@owner@'::pg_catalog.regrole, 'usage')
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

revoke all on all functions in schema plinth from public;
grant execute on function plinth.check_seals(), plinth.shape(regclass) to @owner@;

create event trigger plinth_guard_commands on ddl_command_end execute function plinth.guard_commands();
create event trigger plinth_guard_drops on sql_drop execute function plinth.guard_drops();
-- The owner role may set session_replication_role, which must not switch these off.
alter event trigger plinth_guard_commands enable always;
alter event trigger plinth_guard_drops enable always;

select plinth.seal();
