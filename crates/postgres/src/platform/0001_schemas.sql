-- Why: everything else hangs on this: the schemas, who may use them, and what a new object of a project is open to.

-- A project's owner may create functions in schemas of the usual search path. A superuser must never resolve a name
-- there, so every file of the platform runs with an empty path and names everything in full.
set local search_path = '';

-- ------------------------------------------------------------------ the database

-- CONNECT goes to the project's own login roles alone (made with the project); never to a shared role or to public.
revoke all on database @database@ from public;
grant create, temporary on database @database@ to @owner@;
grant temporary on database @database@ to anon, authenticated, service_role;

alter database @database@ set search_path = "$user", public, extensions;
-- Answers must not depend on the zone and language of the machine that ran initdb.
alter database @database@ set timezone = 'UTC';
alter database @database@ set default_text_search_config = 'pg_catalog.english';
-- app.settings.jwt_secret is missing on purpose: settings of databases and roles are readable by every role of the
-- whole cluster (pg_db_role_setting), and nothing here verifies tokens in SQL.
alter database @database@ set app.settings.jwt_exp = '3600';
-- Who creates a role may also become it and give it objects, as before PostgreSQL 16.
do $creators$
begin
  if pg_catalog.current_setting('server_version_num')::integer >= 160000 then
    alter database @database@ set createrole_self_grant = 'set, inherit';
  end if;
end
$creators$;

-- They do not take effect on SET ROLE; the data API reads them from the catalog and applies them to each request.
alter role anon in database @database@ set statement_timeout = '3s';
alter role authenticated in database @database@ set statement_timeout = '8s';
alter role authenticator in database @database@ set statement_timeout = '8s';
alter role authenticator in database @database@ set lock_timeout = '8s';

-- ------------------------------------------------------------------ schema plinth: ours alone

create schema if not exists plinth;
revoke all on schema plinth from public;
grant usage on schema plinth to @owner@, service_role;

create table if not exists plinth.migration (
  version    integer primary key,
  name       text not null,
  checksum   text not null,
  applied_at timestamptz not null default now()
);
comment on table plinth.migration is 'Files of the platform schema that were applied to this database';

-- ------------------------------------------------------------------ schema public: the project's

-- Owned by the role that runs migrations, so that `comment on schema public` and a drop and re-create work.
alter schema public owner to @owner@;
revoke create on schema public from public;
grant usage on schema public to anon, authenticated, service_role;

-- New tables are open to all request roles and row level security alone decides: what Supabase's users rely on.
alter default privileges in schema public grant all on tables to @owner@, anon, authenticated, service_role;
alter default privileges in schema public grant all on sequences to @owner@, anon, authenticated, service_role;
alter default privileges in schema public grant all on functions to @owner@, anon, authenticated, service_role;
alter default privileges for role @owner@ in schema public grant all on tables to @owner@, anon, authenticated, service_role;
alter default privileges for role @owner@ in schema public grant all on sequences to @owner@, anon, authenticated, service_role;
alter default privileges for role @owner@ in schema public grant all on functions to @owner@, anon, authenticated, service_role;

-- ------------------------------------------------------------------ schemas of the platform

-- Owned by the superuser: whoever owns a schema may drop what others put into it.
create schema auth;
create schema storage;
create schema realtime;
create schema extensions;
create schema graphql_public;

grant usage on schema auth, storage, realtime, extensions, graphql_public to @owner@ with grant option;
grant usage on schema auth, storage, realtime, extensions, graphql_public to anon, authenticated, service_role;
grant create on schema extensions to @owner@;

-- Owning a table is not enough: foreign keys are checked as the owner of the table they point to.
grant usage on schema auth to supabase_auth_admin;
grant usage on schema storage to supabase_storage_admin;
grant usage on schema realtime to supabase_realtime_admin;
grant usage on schema extensions to supabase_auth_admin, supabase_storage_admin, supabase_realtime_admin;

-- ------------------------------------------------------------------ history of the project's own migrations

-- In the shape of Supabase's CLI, owned by the owner role because that is who migrates.
create schema supabase_migrations authorization @owner@;

create table supabase_migrations.schema_migrations (
  version    text primary key,
  statements text[],
  name       text
);
alter table supabase_migrations.schema_migrations owner to @owner@;

create table supabase_migrations.seed_files (
  path text primary key,
  hash text not null
);
alter table supabase_migrations.seed_files owner to @owner@;
