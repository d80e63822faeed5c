-- What the platform schema promises to people's SQL, and what it keeps from them.
-- Runs as the owner role in a project without a blueprint.

-- test: the owner role is no superuser and has none of the rights that reach beyond its project
select tests.is(current_user::text, (select pg_get_userbyid(relowner)::text from pg_class where oid = 'supabase_migrations.schema_migrations'::regclass),
  'the tests run as the owner role');
select tests.ok(not rolsuper and not rolcreatedb and not rolreplication, 'no superuser, no databases, no replication')
from pg_roles where rolname = current_user;
select tests.ok(rolbypassrls, 'the owner sees all rows of its project') from pg_roles where rolname = current_user;
select tests.is(rolcreaterole, current_setting('server_version_num')::int >= 160000, 'may create roles where that is safe')
from pg_roles where rolname = current_user;
select tests.ok(not pg_has_role(current_user, role, 'member'), role || ' is not granted')
from unnest(array['pg_monitor', 'pg_read_all_stats', 'pg_signal_backend', 'pg_read_all_data', 'pg_write_all_data',
  'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_checkpoint']) as role;
select tests.throws($$select pg_read_file('/etc/passwd')$$, '42501');
select tests.throws($$select lo_import('/etc/passwd')$$, '42501');
select tests.throws($$copy (select 1) to program 'true'$$, '42501');
select tests.throws($$select pg_create_logical_replication_slot('platform_test', 'pgoutput')$$, '42501');
select tests.throws($$alter role authenticated set statement_timeout = '1h'$$, '42501');
select tests.throws($$alter role authenticator login$$, '42501');
select tests.throws($$drop role anon$$, '42501');

-- test: shared roles have the powers they need and may connect nowhere
select tests.is(array_agg(rolname::text || case when rolinherit then '' else ' noinherit' end || case when rolbypassrls then ' bypassrls' else '' end
    order by rolname collate "C"),
  array['anon', 'authenticated', 'authenticator noinherit', 'service_role bypassrls', 'supabase_auth_admin noinherit',
    'supabase_realtime_admin noinherit', 'supabase_storage_admin noinherit'], 'attributes')
from pg_roles
where rolname in ('anon', 'authenticated', 'authenticator', 'service_role', 'supabase_auth_admin', 'supabase_realtime_admin', 'supabase_storage_admin');
select tests.ok(not (rolsuper or rolcreatedb or rolcreaterole or rolreplication), rolname || ' has no power')
from pg_roles
where rolname in ('anon', 'authenticated', 'authenticator', 'service_role', 'supabase_auth_admin', 'supabase_realtime_admin',
  'supabase_storage_admin', 'supabase_functions_admin', 'supabase_replication_admin', 'supabase_etl_admin', 'supabase_read_only_user',
  'dashboard_user', 'pgbouncer');
select tests.is(count(*), 0::bigint, 'no database lets a shared role or everybody in')
from pg_database cross join aclexplode(coalesce(datacl, acldefault('d', datdba))) as entry
where datname = current_database() and entry.privilege_type = 'CONNECT'
  and (entry.grantee = 0 or entry.grantee in (select oid from pg_roles where rolname in (
    'anon', 'authenticated', 'authenticator', 'service_role', 'supabase_auth_admin', 'supabase_realtime_admin', 'supabase_storage_admin',
    'supabase_functions_admin', 'supabase_replication_admin', 'supabase_etl_admin', 'supabase_read_only_user', 'dashboard_user', 'pgbouncer'))
    or entry.grantee = current_user::regrole);
select tests.is(count(*), 0::bigint, 'nobody but a superuser administers a shared role')
from pg_auth_members join pg_roles as member on member.oid = member
where admin_option and not member.rolsuper and roleid::regrole::text in (
  'anon', 'authenticated', 'authenticator', 'service_role', 'supabase_auth_admin', 'supabase_realtime_admin', 'supabase_storage_admin', current_user);

-- test: the roles that people's SQL names all exist
select tests.ok(to_regrole(role) is not null, role || ' exists')
from unnest(array['anon', 'authenticated', 'service_role', 'authenticator', 'postgres', 'supabase_admin', 'supabase_auth_admin',
  'supabase_storage_admin', 'supabase_realtime_admin', 'supabase_functions_admin', 'supabase_replication_admin', 'supabase_etl_admin',
  'supabase_read_only_user', 'dashboard_user', 'pgbouncer']) as role;

-- test: the database has the settings that people's SQL relies on, and no secret among them
select tests.is(array_agg(split_part(setting, '=', 1) order by setting collate "C") filter (where setting !~ '^createrole_self_grant='),
  array['TimeZone', 'app.settings.jwt_exp', 'default_text_search_config', 'search_path'], 'settings of the database')
from pg_db_role_setting cross join unnest(setconfig) as setting
where setdatabase = (select oid from pg_database where datname = current_database()) and setrole = 0;
select tests.is(jsonb_object_agg(setrole::regrole, setconfig),
  '{"anon": ["statement_timeout=3s"], "authenticated": ["statement_timeout=8s"], "authenticator": ["statement_timeout=8s", "lock_timeout=8s"]}',
  'settings of the request roles')
from pg_db_role_setting
where setdatabase = (select oid from pg_database where datname = current_database())
  and setrole in ('anon'::regrole, 'authenticated'::regrole, 'authenticator'::regrole);
select tests.is(count(*), 0::bigint, 'no secret in a setting, which every role of the cluster can read')
from pg_db_role_setting cross join unnest(setconfig) as setting where setting ~* 'secret|password|_key=';

-- test: auth functions are cheap: stable, parallel safe, invoker's rights, inlinable
select tests.ok(provolatile = 's' and proparallel = 's' and not prosecdef and proconfig is null and lanname = 'sql' and not proisstrict,
  pg_proc.oid::regprocedure::text)
from pg_proc join pg_language on pg_language.oid = prolang
where pg_proc.oid in ('auth.uid()'::regprocedure, 'auth.role()'::regprocedure, 'auth.jwt()'::regprocedure, 'auth.email()'::regprocedure,
  'realtime.topic()'::regprocedure, 'storage.operation()'::regprocedure);
do $$
declare
  line text;
  plan text := '';
begin
  for line in explain (verbose) select auth.uid(), auth.role(), auth.jwt(), auth.email() loop
    plan := plan || line;
  end loop;
  perform tests.ok(plan not like '%auth.%(%' and plan like '%current_setting%', 'the bodies stand in the plan');
end
$$;

-- test: auth functions give null before any claims are set, and when they are empty
select tests.is(auth.uid(), null::uuid, 'uid'), tests.is(auth.role(), null::text, 'role'),
  tests.is(auth.email(), null::text, 'email'), tests.is(auth.jwt(), null::jsonb, 'jwt');
select set_config('request.jwt.claims', '', true), set_config('request.jwt.claim.sub', '', true), set_config('request.jwt.claim', '', true);
select tests.is(auth.uid(), null::uuid, 'uid of empty claims'), tests.is(auth.role(), null::text, 'role of empty claims'),
  tests.is(auth.email(), null::text, 'email of empty claims'), tests.is(auth.jwt(), null::jsonb, 'jwt of empty claims');

-- test: auth functions read the claims of a user's token and of an API key
select set_config('request.jwt.claims', '{"sub": "a0000000-0000-4000-8000-000000000001", "role": "authenticated", "email": "ada@example.com", "aal": "aal2"}', true);
select tests.is(auth.uid(), 'a0000000-0000-4000-8000-000000000001'::uuid, 'uid'), tests.is(auth.role(), 'authenticated', 'role'),
  tests.is(auth.email(), 'ada@example.com', 'email'), tests.is(auth.jwt() ->> 'aal', 'aal2', 'jwt');
select set_config('request.jwt.claims', '{"role": "anon", "iss": "supabase"}', true);
select tests.is(auth.uid(), null::uuid, 'an API key is nobody'), tests.is(auth.role(), 'anon', 'role of the key');

-- test: auth functions prefer the settings of single claims that old servers make
select set_config('request.jwt.claims', '{"sub": "a0000000-0000-4000-8000-000000000001", "role": "anon"}', true),
  set_config('request.jwt.claim.sub', 'b0000000-0000-4000-8000-000000000002', true), set_config('request.jwt.claim.role', 'authenticated', true),
  set_config('request.jwt.claim.email', 'ben@example.com', true);
select tests.is(auth.uid(), 'b0000000-0000-4000-8000-000000000002'::uuid, 'uid'), tests.is(auth.role(), 'authenticated', 'role'),
  tests.is(auth.email(), 'ben@example.com', 'email');

-- test: every request role may call the auth functions
create temporary table asked (who text) on commit drop;
grant select, insert on asked to public;
select tests.as_anon();
insert into asked select 'anon' where auth.uid() is null and auth.role() = 'anon';
select tests.as_user('a0000000-0000-4000-8000-000000000001');
insert into asked select 'user' where auth.uid() = 'a0000000-0000-4000-8000-000000000001' and auth.jwt() ->> 'role' = 'authenticated';
select tests.as_service();
insert into asked select 'service' where auth.uid() is null and auth.role() = 'service_role';
select tests.as_owner();
select tests.is((select array_agg(who order by who) from asked), array['anon', 'service', 'user'], 'who was answered');

-- test: a sign-up trigger and a profile that references auth.users, as everybody writes them
create table public.profiles (id uuid primary key references auth.users (id) on delete cascade, name text);
create function public.handle_new_user() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into public.profiles (id, name) values (new.id, new.raw_user_meta_data ->> 'name');
  return new;
end
$$;
drop trigger if exists on_auth_user_created on auth.users;
create trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();
select tests.sign_up('a0000000-0000-4000-8000-000000000001', 'ada@example.com', '{"name": "Ada"}');
select tests.rows($$select from public.profiles where name = 'Ada'$$, 1);
insert into auth.users (id, email, encrypted_password, raw_user_meta_data)
values ('b0000000-0000-4000-8000-000000000002', 'ben@example.com', crypt('plinth-demo', gen_salt('bf')), '{"name": "Ben"}');
select tests.rows($$select from public.profiles$$, 2, 'a seed''s insert signs up too');
delete from auth.users where email = 'ada@example.com';
select tests.rows($$select from public.profiles$$, 1, 'the cascade reached the profile');
-- The second run of the same migration.
drop trigger if exists on_auth_user_created on auth.users;
create or replace trigger on_auth_user_created after insert on auth.users for each row execute function public.handle_new_user();
drop trigger on_auth_user_created on auth.users;
select tests.rows($$select from pg_trigger where tgname = 'on_auth_user_created'$$, 0);

-- test: a function of the owner with definer's rights may read auth.users for callers who may not
create function public.address_of(who uuid) returns text language sql stable security definer set search_path = ''
as 'select email from auth.users where id = who';
select tests.sign_up('a0000000-0000-4000-8000-000000000001', 'ada@example.com');
select tests.as_anon();
select tests.is(public.address_of('a0000000-0000-4000-8000-000000000001'), 'ada@example.com', 'through the function');
select tests.throws('select from auth.users', '42501');

-- test: one address belongs to one user, whatever the case of single sign-on
insert into auth.users (id, email) values (gen_random_uuid(), 'ada@example.com');
select tests.throws($$insert into auth.users (id, email) values (gen_random_uuid(), 'ada@example.com')$$, '23505');
select tests.affects($$insert into auth.users (id, email, is_sso_user) values (gen_random_uuid(), 'ada@example.com', true)$$, 1);
select tests.affects($$insert into auth.users (id, confirmation_token) values (gen_random_uuid(), ''), (gen_random_uuid(), '')$$, 2, 'empty tokens');

-- test: request roles can do nothing with the tables of auth
select tests.as_anon();
select tests.throws('select from auth.users', '42501'), tests.throws('select from auth.sessions', '42501'),
  tests.throws('delete from auth.users', '42501');
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws('select from auth.users', '42501'), tests.throws('select from auth.refresh_tokens', '42501');
select tests.as_service();
select tests.throws('select from auth.users', '42501');

-- test: row level security is on for every table of auth, storage and realtime, and nothing but the owner's is granted in auth
select tests.ok(relrowsecurity, oid::regclass::text) from pg_class
where relnamespace in ('auth'::regnamespace, 'storage'::regnamespace, 'realtime'::regnamespace) and relkind in ('r', 'p');
select tests.is(count(*), 0::bigint, 'grants in auth')
from pg_class cross join aclexplode(relacl) as entry
where relnamespace = 'auth'::regnamespace and relkind in ('r', 'S')
  and entry.grantee not in ('supabase_auth_admin'::regrole, current_user::regrole);

-- test: every foreign key of the platform has an index
select tests.ok(exists (
    select from pg_index where indrelid = conrelid and (indkey::smallint[])[0:cardinality(conkey) - 1] @> conkey),
  conrelid::regclass || '.' || conname)
from pg_constraint
where contype = 'f' and connamespace in ('auth'::regnamespace, 'storage'::regnamespace, 'realtime'::regnamespace);

-- test: schema plinth is closed to request roles, its tables to everybody, its functions are granted by name
select tests.as_anon();
select tests.throws('select from plinth.migration', '42501');
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws('select from plinth.migration', '42501');
select tests.as_service();
select tests.throws('select from plinth.migration', '42501');
select tests.as_owner();
select tests.throws('select from plinth.migration', '42501');
select tests.throws('create table plinth.mine ()', '42501');
select tests.ok(not exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0), oid::regprocedure::text)
from pg_proc where pronamespace = 'plinth'::regnamespace;

-- test: new tables, sequences and functions of the owner are open to the request roles, so that policies alone decide
create table public.things (id bigint generated always as identity primary key, number serial);
create function public.answer() returns integer language sql as 'select 42';
select tests.ok(has_table_privilege(role, 'public.things', 'select, insert, update, delete'), role || ' table'),
  tests.ok(has_sequence_privilege(role, 'public.things_number_seq', 'usage'), role || ' sequence'),
  tests.ok(has_function_privilege(role, 'public.answer()', 'execute'), role || ' function')
from unnest(array['anon', 'authenticated', 'service_role']) as role;
alter table public.things enable row level security;
insert into public.things default values;
select tests.as_anon();
select tests.rows('select from public.things', 0, 'no policy, no rows');
select tests.as_service();
select tests.rows('select from public.things', 1, 'the service key passes row level security');

-- test: the same holds for what the platform's superuser makes in public
select tests.is(array_agg(distinct defaclobjtype::text order by defaclobjtype::text), array['S', 'f', 'r'], 'default privileges of the superuser')
from pg_default_acl join pg_roles on pg_roles.oid = defaclrole cross join aclexplode(defaclacl) as entry
where defaclnamespace = 'public'::regnamespace and rolsuper and entry.grantee = 'anon'::regrole;

-- test: a schema of the project's own is closed until it is granted, and explicit grants work
create schema app;
create table app.things (id integer);
select tests.as_anon();
select tests.throws('select from app.things', '42501');
select tests.as_owner();
grant usage on schema app to anon;
alter default privileges in schema app grant select on tables to anon;
create table app.others (id integer);
grant select on app.things to anon;
comment on schema app is 'Mine';
comment on schema public is 'Mine too';
select tests.as_anon();
select tests.rows('select from app.things', 0), tests.rows('select from app.others', 0);

-- test: a request role cannot create anything
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws('create table public.mine ()', '42501'), tests.throws('create schema mine', '42501'),
  tests.throws('create table extensions.mine ()', '42501'), tests.throws('create extension hstore', '42501');

-- test: the owner writes policies on storage.objects, and they decide
insert into storage.buckets (id, name) values ('avatars', 'avatars') on conflict do nothing;
insert into storage.objects (bucket_id, name, owner_id)
values ('avatars', 'a0000000-0000-4000-8000-000000000001/face.png', 'a0000000-0000-4000-8000-000000000001'),
  ('avatars', 'b0000000-0000-4000-8000-000000000002/face.png', 'b0000000-0000-4000-8000-000000000002');
alter table storage.objects enable row level security;
drop policy if exists "own folder" on storage.objects;
create policy "own folder" on storage.objects for select to authenticated
using (bucket_id = 'avatars' and (storage.foldername(name))[1] = (select auth.uid())::text);
create policy "own upload" on storage.objects for insert to authenticated with check (owner_id = (select auth.uid())::text);
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.rows('select from storage.objects', 1, 'one''s own');
select tests.affects($$insert into storage.objects (bucket_id, name, owner_id) values ('avatars', 'a0000000-0000-4000-8000-000000000001/2', auth.uid()::text)$$, 1);
select tests.throws($$insert into storage.objects (bucket_id, name, owner_id) values ('avatars', 'x', 'b0000000-0000-4000-8000-000000000002')$$, '42501');
select tests.as_anon();
select tests.rows('select from storage.objects', 0, 'anon');
select tests.as_owner();
alter policy "own folder" on storage.objects rename to "my folder";
drop policy "my folder" on storage.objects;
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.rows('select from storage.objects', 0, 'without the policy');

-- test: truncating auth.users takes the accepted codes of authenticator apps along
insert into auth.users (id) values ('b0000000-0000-4000-8000-000000000002');
insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at)
values ('f0000000-0000-4000-8000-000000000001', 'b0000000-0000-4000-8000-000000000002', 'totp', 'verified', now(), now());
insert into plinth.totp_step (factor_id, step) values ('f0000000-0000-4000-8000-000000000001', 1);
truncate auth.users cascade;
select tests.rows('select from plinth.totp_step', 0);
select tests.as_service();
select tests.throws('select from plinth.totp_step', '42501');

-- test: storage rows are hidden by default, and truncate is not granted
insert into storage.buckets (id, name, public) values ('b', 'b', true);
select tests.as_anon();
select tests.rows('select from storage.buckets', 0), tests.throws('truncate storage.objects', '42501'),
  tests.throws($$insert into storage.buckets (id, name) values ('c', 'c')$$, '42501');
select tests.as_service();
select tests.rows('select from storage.buckets', 1);

-- test: rows of files are deleted through the storage API, or on purpose
insert into storage.buckets (id, name) values ('b', 'b');
insert into storage.objects (bucket_id, name) values ('b', 'x');
select tests.throws('delete from storage.objects', '42501', 'Direct deletion');
select tests.throws('delete from storage.buckets', '42501', 'Direct deletion');
set local storage.allow_delete_query = 'true';
select tests.affects('delete from storage.objects', 1), tests.affects('delete from storage.buckets', 1);

-- test: storage functions take names apart
select tests.is(storage.foldername('a/b/c.tar.gz'), array['a', 'b'], 'foldername'), tests.is(storage.foldername('c'), array[]::text[], 'no folder'),
  tests.is(storage.filename('a/b/c.tar.gz'), 'c.tar.gz', 'filename'), tests.is(storage.extension('a/b/c.tar.gz'), 'gz', 'extension'),
  tests.is(storage.extension('a.b/README'), 'README', 'no extension'), tests.is(storage.foldername(null), null::text[], 'null');
select tests.is(storage.get_common_prefix('a/b/c', 'a/', '/'), 'a/b/', 'a folder'), tests.is(storage.get_common_prefix('a/b', 'a/', '/'), null::text, 'a file');
select tests.ok(not storage.allow_only_operation('object.list'), 'no operation in plain SQL');
select set_config('storage.operation', 'storage.object.list', true);
select tests.ok(storage.allow_only_operation('object.list') and storage.allow_any_operation(array['object.get', 'storage.object.list']), 'listing'),
  tests.ok(not storage.allow_only_operation('object.upload'), 'not uploading');

-- test: a bucket's name is limited, and updated_at is kept
select tests.throws(format('insert into storage.buckets (id, name) values (%L, %L)', 'b', repeat('x', 101)), 'P0001', 'too long');
insert into storage.buckets (id, name) values ('b', repeat('x', 100));
insert into storage.objects (bucket_id, name, updated_at) values ('b', 'x', '2020-01-01');
update storage.objects set metadata = '{"size": 3}';
select tests.ok(updated_at = now(), 'updated_at') from storage.objects;
select tests.is(size, 3::bigint, 'size of the bucket') from storage.get_size_by_bucket();

-- test: listing a bucket shows folders once, page after page, under the caller's policies
insert into storage.buckets (id, name) values ('b', 'b');
insert into storage.objects (bucket_id, name)
select 'b', unnest(array['a.txt', 'docs/1', 'docs/2', 'docs/deep/x', 'docs-old', 'docs0', 'z_z', 'zaz']);
select tests.is((select array_agg(name) from storage.list_objects_with_delimiter('b', '', '/')), array['a.txt', 'docs-old', 'docs/', 'docs0', 'z_z', 'zaz'], 'all');
select tests.is((select array_agg(name) from storage.list_objects_with_delimiter('b', '', '/', 2, '', 'docs-old')), array['docs/', 'docs0'], 'second page');
select tests.is((select array_agg(name) from storage.list_objects_with_delimiter('b', '', '/', 2, '', 'docs/')), array['docs0', 'z_z'], 'after a folder');
select tests.is((select array_agg(name) from storage.list_objects_with_delimiter('b', 'docs/', '/')), array['docs/1', 'docs/2', 'docs/deep/'], 'a folder');
select tests.is((select array_agg(name) from storage.search('docs/', 'b', levels => 2, sortorder => 'desc')), array['deep', '2', '1'], 'search');
select tests.is((select array_agg(name) from storage.search('', 'b', search => 'z_')), array['z_z'], 'an underscore is an underscore');
select tests.is((select array_agg(key) from storage.search_v2('docs/', 'b', levels => 2, start_after => 'docs/1')), array['2', 'deep'], 'search_v2');
select tests.as_anon();
select tests.rows($$select from storage.list_objects_with_delimiter('b', '', '/')$$, 0), tests.rows($$select from storage.search('', 'b')$$, 0),
  tests.rows($$select from storage.search_v2('', 'b')$$, 0);

-- test: can_insert_object asks the policies and leaves nothing
insert into storage.buckets (id, name) values ('b', 'b');
select tests.throws($$select storage.can_insert_object('b', 'x', null, null)$$, 'PT200');
select tests.rows('select from storage.objects', 0);
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$select storage.can_insert_object('b', 'x', null, null)$$, '42501');

-- test: the platform's tables keep their shape and their triggers, whatever the owner role tries
select tests.throws('alter table auth.users add column mine text', '42501', 'belongs to the platform'),
  tests.throws('alter table auth.users drop column phone', '42501', 'belongs to the platform'),
  tests.throws('alter table auth.users alter column email set not null', '42501', 'belongs to the platform'),
  tests.throws('alter table storage.objects disable row level security', '42501', 'belongs to the platform'),
  tests.throws('alter table storage.objects rename to mine', '42501'),
  tests.throws('alter table storage.objects disable trigger protect_objects_delete', '42501', 'belongs to the platform'),
  tests.throws('alter trigger protect_objects_delete on storage.objects rename to mine', '42501', 'belongs to the platform'),
  tests.throws('drop trigger protect_objects_delete on storage.objects', '42501', 'belongs to the platform'),
  tests.throws('drop table auth.audit_log_entries', '42501', 'belongs to the platform'),
  tests.throws('drop index storage.bucketid_objname', '42501', 'belongs to the platform'),
  tests.throws('create rule mine as on delete to auth.users do instead nothing', '42501', 'belongs to the platform'),
  tests.throws('create table realtime.mine ()', '42501'), tests.throws('create table auth.mine ()', '42501'),
  tests.throws('create or replace function auth.uid() returns uuid language sql as ''select null::uuid''', '42501'),
  tests.throws('drop function auth.uid()', '42501'), tests.throws('drop schema auth cascade', '42501'),
  tests.throws('drop event trigger plinth_guard_drops', '42501');

-- test: the guards do not sleep when triggers are switched off for a restore
set local session_replication_role = replica;
select tests.throws('alter table auth.users add column mine text', '42501', 'belongs to the platform'),
  tests.throws('drop trigger protect_objects_delete on storage.objects', '42501', 'belongs to the platform');

-- test: comments, triggers and replica identity of the platform's tables are free, and people's own tables too
comment on table storage.objects is 'My files';
alter table storage.objects replica identity full;
create function public.noted() returns trigger language plpgsql as 'begin return null; end';
create trigger noted after insert on storage.objects for each row execute function public.noted();
alter trigger noted on storage.objects rename to noted_too;
drop function public.noted() cascade;
create table public.users (id uuid primary key references auth.users (id), name text);
alter table public.users add column mine text;
create index on public.users (name);
create rule silent as on delete to public.users do instead nothing;
drop table public.users;

-- test: policies on realtime.messages decide who reads a private channel
create policy "members read" on realtime.messages for select to authenticated using (topic = (select realtime.topic()) and extension = 'broadcast');
select realtime.send('{"text": "hello"}', 'said', 'room:1'), realtime.send('{}', 'said', 'room:2', false);
select tests.rows($$select from realtime.messages where private and payload ->> 'id' = id::text and payload ->> 'text' = 'hello'$$, 1);
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select set_config('realtime.topic', 'room:1', true);
select tests.rows('select from realtime.messages', 1);
select set_config('realtime.topic', '', true);
select tests.rows('select from realtime.messages', 0, 'no channel'), tests.is(realtime.topic(), null::text, 'topic');
select tests.throws($$insert into realtime.messages (topic, extension) values ('room:1', 'broadcast')$$, '42501');
select tests.as_owner();
drop policy "members read" on realtime.messages;

-- test: a message that cannot be sent does not undo the work that it tells about
select tests.as_anon();
set local client_min_messages = error;
select realtime.send('{}', 'said', 'room:1');
select tests.as_owner();
select tests.rows('select from realtime.messages', 0);

-- test: broadcast_changes tells a row's change to a private topic
create table public.notes (id integer primary key, body text);
create function public.tell() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  perform realtime.broadcast_changes('notes', tg_op, tg_op, tg_table_name, tg_table_schema, new, old);
  return null;
end
$$;
create trigger tell after insert or update or delete on public.notes for each row execute function public.tell();
insert into public.notes values (1, 'a');
update public.notes set body = 'b';
delete from public.notes;
select tests.is((select payload - 'id' from realtime.messages where event = 'UPDATE'),
  '{"schema": "public", "table": "notes", "operation": "UPDATE", "record": {"id": 1, "body": "b"}, "old_record": {"id": 1, "body": "a"}}'::jsonb, 'payload');
select tests.is((select array_agg(event order by event) from realtime.messages where private and topic = 'notes' and extension = 'broadcast'),
  array['DELETE', 'INSERT', 'UPDATE'], 'events');

-- test: messages have partitions ahead; later ones are taken in and moved, stale ones go
select tests.ok(to_regclass('realtime.messages_' || to_char(now() at time zone 'utc' + interval '3 days', 'YYYY_MM_DD')) is not null, 'three days ahead');
insert into realtime.messages (topic, extension, inserted_at) values ('later', 'broadcast', (now() at time zone 'utc') + interval '5 days');
select tests.rows('select from realtime.messages_default', 1, 'no partition yet');
select realtime.make_partitions(6);
select tests.rows('select from realtime.messages_default', 0, 'moved'), tests.rows('select from realtime.messages', 1, 'and kept');
select tests.ok(relrowsecurity, 'row level security on the partition') from pg_class
where oid = to_regclass('realtime.messages_' || to_char(now() at time zone 'utc' + interval '5 days', 'YYYY_MM_DD'));
select realtime.make_partitions(0, interval '-7 days');
select tests.rows('select from realtime.messages', 0, 'too old to keep');

-- test: the owner puts tables into the publication, and may drop and make it anew
create table public.things (id integer primary key);
alter publication supabase_realtime add table public.things;
select tests.rows($$select from pg_publication_tables where pubname = 'supabase_realtime'$$, 1);
drop publication if exists supabase_realtime;
create publication supabase_realtime;
select tests.throws('create publication everything for all tables', '42501');
select tests.is((select array_agg(schemaname || '.' || tablename) from pg_publication_tables where pubname = 'supabase_realtime_messages_publication'),
  array['realtime.messages'], 'messages are published');

-- test: extensions that seeds use are on the search path, and trusted ones can be added
select tests.ok(uuid_generate_v4() is not null and crypt('x', gen_salt('bf', 4)) like '$2a$04$%' and similarity('word', 'words') > 0.5, 'unqualified');
create extension if not exists pgcrypto with schema extensions;
create extension if not exists "uuid-ossp";
create extension if not exists pg_stat_statements;
create extension if not exists hstore with schema extensions;
select tests.is('a=>1'::hstore -> 'a', '1', 'hstore');

-- test: the owner may ask for vector, whether or not its packager marked it as trusted
create extension if not exists vector with schema extensions;
create extension if not exists vector;
select tests.is('[1,0]'::vector <=> '[0,1]', 1::double precision, 'cosine distance');

-- test: tokens can be signed and verified in SQL
select tests.ok(valid, 'a token that others made'), tests.is(payload ->> 'name', 'John Doe', 'its payload')
from verify('eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c',
  'your-256-bit-secret');
select tests.ok(valid, 'HS512') from verify(sign('{"sub": "ä"}', 's', 'HS512'), 's', 'HS512');
select tests.ok(not valid, 'another secret') from verify(sign('{"sub": "1"}', 's'), 't');
select tests.ok(not valid, 'expired') from verify(sign('{"exp": 1}', 's'), 's');
select tests.throws($$select sign('{}', 's', 'none')$$, '22023');

-- test: statistics of statements show this database alone, to the owner and to servers
select tests.throws('select from plinth.pg_stat_statements', '42501'), tests.throws('select plinth.pg_stat_statements(true)', '42501');
select tests.throws('select plinth.pg_stat_statements_reset(0, 0, 0)', '42501');
select tests.is(count(*) filter (where dbid <> (select oid from pg_database where datname = current_database())), 0::bigint, 'rows of others')
from extensions.pg_stat_statements;
select tests.ok(count(*) > 0, 'rows of this one') from plinth.statement_stats();
select tests.as_service();
select tests.ok(count(*) > 0, 'for a server') from extensions.pg_stat_statements;
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws('select from extensions.pg_stat_statements', '42501'), tests.throws('select plinth.statement_stats()', '42501');

-- test: DDL is told on channel pgrst, also under replication's role; temporary objects are not
select tests.is(array_agg(format('%s %s %s', evtname, evtevent, evtenabled) order by evtname),
  array['pgrst_ddl_watch ddl_command_end A', 'pgrst_drop_watch sql_drop A'], 'event triggers')
from pg_event_trigger where evtname like 'pgrst%';
select tests.ok(prosrc like '%notify pgrst, ''reload schema''%' and prosrc like '%pg_temp%', 'told') from pg_proc where oid = 'extensions.pgrst_ddl_watch()'::regprocedure;
select tests.ok(prosrc like '%notify pgrst, ''reload schema''%' and prosrc like '%is_temporary%', 'told') from pg_proc where oid = 'extensions.pgrst_drop_watch()'::regprocedure;

-- test: graphql answers with an error that clients can show
select tests.as_anon();
select tests.is(graphql_public.graphql(query => '{ __typename }') #>> '{errors,0,message}', 'pg_graphql extension is not enabled.', 'message');

-- test: the history of migrations is the owner's
insert into supabase_migrations.schema_migrations (version, statements, name) values ('20240101000000', array['select 1'], 'init');
insert into supabase_migrations.seed_files (path, hash) values ('seed.sql', 'x');
select tests.as_anon();
select tests.throws('select from supabase_migrations.schema_migrations', '42501');

-- test: a role of the project's own reaches the data API through authenticator
do $$
begin
  if current_setting('server_version_num')::integer < 160000 then
    perform tests.throws('create role platform_test_editor', '42501');
    return;
  end if;
  create role platform_test_editor;
  grant platform_test_editor to authenticator;
  grant usage on schema auth, public to platform_test_editor;
  perform tests.ok(pg_has_role('authenticator', 'platform_test_editor', 'member'), 'authenticator may become it');
  perform tests.throws('grant anon to platform_test_editor', '42501');
  perform tests.throws('create role platform_test_root superuser', '42501');
  perform tests.throws('create role platform_test_copy replication', '42501');
  perform tests.throws('grant pg_read_server_files to platform_test_editor', '42501');
end
$$;

-- test: timeouts of a request role can be set for this project, other settings and roles cannot
select plinth.set_setting('statement_timeout', '15s', 'authenticated');
select tests.rows($$select from pg_db_role_setting where setrole = 'authenticated'::regrole and setconfig @> '{statement_timeout=15s}'
  and setdatabase = (select oid from pg_database where datname = current_database())$$, 1);
select plinth.set_setting('pgrst.db_schemas', 'public, api', 'authenticator'), plinth.set_setting('app.color', 'it''s blue'), plinth.set_setting('app.color', null);
select tests.throws($$select plinth.set_setting('search_path', 'x')$$, '42501'),
  tests.throws($$select plinth.set_setting('role', 'postgres', 'authenticator')$$, '42501'),
  tests.throws($$select plinth.set_setting('session_preload_libraries', 'x')$$, '42501'),
  tests.throws($$select plinth.set_setting('app.x = 1; alter role anon superuser; --', 'x')$$, '42501'),
  tests.throws($$select plinth.set_setting('statement_timeout', '1s', 'supabase_admin')$$, '42501');
select tests.as_user('a0000000-0000-4000-8000-000000000001');
select tests.throws($$select plinth.set_setting('statement_timeout', '1h', 'authenticated')$$, '42501');

-- test: no function of the platform runs with more rights than its caller, but those listed here
select tests.is((select array_agg(pg_proc.oid::regprocedure::text order by pg_proc.oid::regprocedure::text collate "C")
    from pg_proc where prosecdef and pronamespace in ('auth'::regnamespace, 'storage'::regnamespace, 'realtime'::regnamespace,
      'extensions'::regnamespace, 'plinth'::regnamespace, 'graphql_public'::regnamespace)),
  array['plinth.enqueue(text,jsonb)', 'plinth.notify(text,jsonb,bigint,text)', 'plinth.rotate_history(interval)',
    'plinth.schedule_call(text,text,text,text)', 'plinth.seal_value(text)', 'plinth.set_setting(text,text,text)',
    'plinth.statement_stats()', 'plinth.unschedule_call(text)', 'realtime.make_partitions(integer,interval)'], 'definer''s rights');
select tests.ok(proconfig @> '{"search_path=\"\""}', oid::regprocedure || ' pins its search path')
from pg_proc
where (prosecdef or prolang = (select oid from pg_language where lanname = 'plpgsql'))
  and pronamespace in ('auth'::regnamespace, 'storage'::regnamespace, 'realtime'::regnamespace, 'plinth'::regnamespace, 'graphql_public'::regnamespace)
  -- Once for each job, with their caller's rights, and full names only.
  and (prosecdef or oid not in ('plinth.fence(boolean)'::regprocedure, 'plinth.hold(bigint)'::regprocedure));

-- test: what marks sealed texts is out of reach, and only the owner role names the key and seals
select tests.throws('select secret from plinth.sealing_secret', '42501');
select tests.throws('select plinth.sealing_mark('''', '''')', '42501');
select tests.throws('insert into plinth.sealing (one) values (true)', '42501');
select tests.throws('delete from plinth.sealing', '42501');
select tests.rows('select name, public from plinth.sealing', 1);
select tests.throws('select plinth.seal_value(''a'')', 'P0001');
select tests.ok(not has_function_privilege(role, 'plinth.seal_value(text)', 'execute'), role || ' does not seal'),
  tests.ok(not has_table_privilege(role, 'plinth.sealing', 'select,update'), role || ' has no key')
from unnest(array['anon', 'authenticated', 'service_role', 'authenticator']) as role;

-- test: tokens of users' accounts elsewhere are out of reach of requests and go with the identity
select tests.ok(not has_table_privilege(role, 'plinth.provider_token', privilege), role || ' has no ' || privilege)
from unnest(array['anon', 'authenticated', 'service_role', 'authenticator']) as role,
  unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as privilege;
select tests.throws('alter table plinth.provider_token add column mine text', '42501');
select tests.throws('create trigger mine after insert on plinth.provider_token execute function plinth.check_seals()', '42501');
insert into auth.users (id) values ('a0000000-0000-4000-8000-0000000000f1');
insert into auth.identities (provider_id, user_id, identity_data, provider)
values ('1', 'a0000000-0000-4000-8000-0000000000f1', '{}', 'x'), ('2', 'a0000000-0000-4000-8000-0000000000f1', '{}', 'x');
insert into plinth.provider_token (provider, provider_user_id, user_id, tokens)
values ('x', '1', 'a0000000-0000-4000-8000-0000000000f1', ''), ('x', '2', 'a0000000-0000-4000-8000-0000000000f1', '');
select tests.throws($$insert into plinth.provider_token (provider, provider_user_id, user_id, tokens)
  values ('x', '3', 'a0000000-0000-4000-8000-0000000000f1', '')$$, '23503');
delete from auth.identities where provider_id = '1';
select tests.rows('select from plinth.provider_token', 1);
delete from auth.users where id = 'a0000000-0000-4000-8000-0000000000f1';
select tests.rows('select from plinth.provider_token', 0);
