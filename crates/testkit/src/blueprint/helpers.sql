-- The helpers that SQL tests of blueprints and of the platform are written with.
-- Installed by a superuser into an empty project, before its migrations. `@owner@` is replaced by the owner role.

drop schema if exists tests cascade;
create schema tests;
grant usage on schema tests to public;

-- ---- Who asks -------------------------------------------------------------------------------------------------------

-- Takes a role with claims until the end of the transaction, as a request does.
create function tests.enter(role text, claims jsonb) returns void
language plpgsql as $$
begin
  perform pg_catalog.set_config('request.jwt.claims', coalesce(claims::text, ''), true);
  perform pg_catalog.set_config('role', enter.role, true);
end $$;

-- The caller's own role may not read auth.users, and a function that changes the role may not be SECURITY DEFINER.
create function tests.email_of(id uuid) returns text
language sql stable security definer set search_path = '' as
$$ select u.email::text from auth.users u where u.id = email_of.id $$;

-- Continues as that signed-in user.
create function tests.as_user(id uuid) returns void
language sql as $$
  select tests.enter('authenticated', jsonb_build_object(
    'sub', id, 'role', 'authenticated', 'aud', 'authenticated', 'email', tests.email_of(id)));
$$;

-- Continues as a visitor without a token of a user.
create function tests.as_anon() returns void
language sql as $$ select tests.enter('anon', '{"role": "anon"}') $$;

-- Continues as a server that holds the secret key.
create function tests.as_service() returns void
language sql as $$ select tests.enter('service_role', '{"role": "service_role"}') $$;

-- Continues as the role that owns the project's objects. (Not `reset role`: the session may belong to a superuser.)
create function tests.as_owner() returns void
language sql as $$ select tests.enter(pg_catalog.btrim('@owner@', '"'), null) $$;

-- ---- What is claimed ------------------------------------------------------------------------------------------------

-- ASSERT_FAILURE is the one error that `when others` does not catch, so no test can swallow its own failure.
create function tests.fail(message text) returns void
language plpgsql as $$
begin
  raise exception using errcode = 'assert_failure', message = fail.message;
end $$;

-- Fails unless the condition is true; null fails.
create function tests.ok(condition boolean, what text) returns void
language plpgsql as $$
begin
  if condition is not true then
    perform tests.fail(format('%s: got %s', what, coalesce(condition::text, 'null')));
  end if;
end $$;

-- Fails unless both values are equal; null equals null. Different numeric types are compared by value.
create function tests.is(got anycompatible, expected anycompatible, what text) returns void
language plpgsql as $$
begin
  if got is distinct from expected then
    perform tests.fail(format('%s: expected %s, got %s', what,
      coalesce(quote_literal(expected::text), 'null'), coalesce(quote_literal(got::text), 'null')));
  end if;
end $$;

-- Fails unless the query returns that many rows to the current caller.
create function tests.rows(sql text, expected bigint, what text default null) returns void
language plpgsql as $$
declare
  got bigint;
begin
  execute sql;
  get diagnostics got = row_count;
  if got is distinct from expected then
    perform tests.fail(format('%s: expected %s rows, got %s', coalesce(what, sql), expected, got));
  end if;
end $$;

-- Fails unless the statement changes that many rows for the current caller.
create function tests.affects(sql text, expected bigint, what text default null) returns void
language plpgsql as $$
declare
  got bigint;
begin
  execute sql;
  get diagnostics got = row_count;
  if got is distinct from expected then
    perform tests.fail(format('%s: expected %s affected rows, got %s', coalesce(what, sql), expected, got));
  end if;
end $$;

-- Fails unless the statement raises that SQLSTATE; `fragment`, when given, must occur in its message.
-- Deferred constraints are checked at the end of the statement. What the statement did is undone.
create function tests.throws(sql text, sqlstate text, fragment text default null) returns void
language plpgsql as $$
declare
  got_state text;
  got_message text;
begin
  begin
    execute sql;
    set constraints all immediate;
    raise exception using errcode = 'PT000', message = 'nothing was raised';
  exception when others then
    get stacked diagnostics got_state = returned_sqlstate, got_message = message_text;
  end;
  if got_state = 'PT000' then
    perform tests.fail(format('%s: expected SQLSTATE %s, but it succeeded', sql, throws.sqlstate));
  elsif got_state <> throws.sqlstate then
    perform tests.fail(format('%s: expected SQLSTATE %s, got %s (%s)', sql, throws.sqlstate, got_state, got_message));
  elsif fragment is not null and position(fragment in got_message) = 0 then
    perform tests.fail(format('%s: expected a message with %L, got %L', sql, fragment, got_message));
  end if;
end $$;

-- ---- Sign-up --------------------------------------------------------------------------------------------------------

-- Inserts a confirmed user with the rights that the auth server has, so that a trigger on auth.users which needs more
-- than its caller's rights must bring them itself.
create function tests.sign_up(id uuid, email text, meta jsonb default '{}') returns void
language sql security definer set search_path = '' as $$
  insert into auth.users (id, aud, role, email, email_confirmed_at, raw_app_meta_data, raw_user_meta_data,
                          created_at, updated_at)
  values (sign_up.id, 'authenticated', 'authenticated', sign_up.email, pg_catalog.now(),
          '{"provider": "email", "providers": ["email"]}', sign_up.meta, pg_catalog.now(), pg_catalog.now());
$$;
alter function tests.sign_up(uuid, text, jsonb) owner to supabase_auth_admin;

-- ---- What a blueprint made ------------------------------------------------------------------------------------------

-- Every object that was there before the migrations; the rules speak about the others.
create table tests.baseline (class oid, object oid, primary key (class, object));
insert into tests.baseline
select 'pg_class'::regclass, oid from pg_class
union all select 'pg_proc'::regclass, oid from pg_proc
union all select 'pg_policy'::regclass, oid from pg_policy;
insert into tests.baseline select 'pg_class'::regclass, 'tests.baseline'::regclass on conflict do nothing;

-- Whether the migrations made the object themselves (an extension's members came with it).
create function tests.is_new(class regclass, object oid) returns boolean
language sql stable as $$
  select not exists (select from tests.baseline b where b.class = is_new.class and b.object = is_new.object)
     and not exists (select from pg_depend d
                     where d.classid = is_new.class and d.objid = is_new.object and d.deptype = 'e')
$$;

-- Tables, views and partitions that the migrations made.
create view tests.new_relation as
select c.oid, n.nspname as schema, c.relname as name, format('%s.%s', n.nspname, c.relname) as title,
       c.relkind as kind, c.relispartition as is_partition, c.relrowsecurity as has_rls, c.reloptions as options
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'v', 'm', 'f')
  and n.nspname !~ '^pg_' and n.nspname not in ('tests', 'information_schema')
  and tests.is_new('pg_class', c.oid);

-- Functions and procedures that the migrations made.
create view tests.new_function as
select p.oid, format('%s.%s', n.nspname, p.proname) as title,
       format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)) as signature,
       p.prosecdef as is_definer, p.proconfig as settings, p.prosqlbody is not null as is_bound
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where p.prokind in ('f', 'p', 'w') and n.nspname !~ '^pg_' and n.nspname <> 'tests'
  and tests.is_new('pg_proc', p.oid);

-- Policies that the migrations made, also those on tables of the platform.
create view tests.new_policy as
select p.oid, p.polname as name, p.polrelid as relation, format('%s.%s', n.nspname, c.relname) as title,
       p.polcmd as command, pg_get_expr(p.polqual, p.polrelid) as using_text,
       pg_get_expr(p.polwithcheck, p.polrelid) as check_text
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where tests.is_new('pg_policy', p.oid);

grant execute on all functions in schema tests to public;
