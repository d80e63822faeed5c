-- Why: roles exist once per cluster, so they are made here, in the control database, before any project has its schema.
--
-- Runs as a superuser, at every start, and changes nothing when nothing has to change. The names are the ones that
-- people's SQL grants to. None of them can log in by our doing and none may connect anywhere: CONNECT belongs to each
-- project's own login roles, which is what keeps projects apart although these names are shared. Roles that exist are
-- brought back to the powers below; LOGIN is left as it was found, for another stack on an external cluster may use it.

-- ------------------------------------------------------------------ roles and their powers

do $roles$
declare
  owner_name  constant name := (pg_catalog.parse_ident('@owner@'))[1];
  -- Before PostgreSQL 16 CREATEROLE could grant any role that is no superuser's, pg_execute_server_program among them.
  may_create  constant boolean := pg_catalog.current_setting('server_version_num')::integer >= 160000;
  wanted      record;
  found_role  pg_catalog.pg_roles;
  attributes  text;
begin
  for wanted in
    select * from (values
      ('anon',                       true,  false, false),
      ('authenticated',              true,  false, false),
      ('service_role',               true,  true,  false),
      ('authenticator',              false, false, false),
      ('supabase_auth_admin',        false, false, false),
      ('supabase_storage_admin',     false, false, false),
      ('supabase_realtime_admin',    false, false, false),
      ('supabase_functions_admin',   false, false, false),
      ('supabase_replication_admin', true,  false, false),
      ('supabase_etl_admin',         true,  false, false),
      ('supabase_read_only_user',    true,  true,  false),
      ('dashboard_user',             true,  false, false),
      ('pgbouncer',                  true,  false, false),
      -- Only named in people's grants when the superuser or the owner is called otherwise.
      ('supabase_admin',             true,  false, false),
      ('postgres',                   true,  false, false),
      (owner_name,                   true,  true,  may_create)
    ) as role (name, inherits, bypasses_rls, creates_roles)
    where role.name <> owner_name or role.bypasses_rls
  loop
    select * into found_role from pg_catalog.pg_roles where rolname = wanted.name;
    if found_role.rolname is not null and found_role.rolsuper then
      if wanted.name in ('postgres', 'supabase_admin') and wanted.name <> owner_name then
        continue;
      end if;
      raise exception 'role "%" is a superuser, which Plinth cannot allow', wanted.name
        using hint = pg_catalog.format('alter role %I nosuperuser; or let a role of another name own the projects'' objects', wanted.name);
    end if;

    attributes := pg_catalog.format(
      'nosuperuser nocreatedb noreplication %s %s %s',
      case when wanted.inherits then 'inherit' else 'noinherit' end,
      case when wanted.bypasses_rls then 'bypassrls' else 'nobypassrls' end,
      case when wanted.creates_roles then 'createrole' else 'nocreaterole' end);
    if found_role.rolname is null then
      execute pg_catalog.format('create role %I nologin %s', wanted.name, attributes);
    elsif (found_role.rolcreatedb, found_role.rolreplication, found_role.rolinherit, found_role.rolbypassrls,
           found_role.rolcreaterole)
      is distinct from (false, false, wanted.inherits, wanted.bypasses_rls, wanted.creates_roles) then
      execute pg_catalog.format('alter role %I %s', wanted.name, attributes);
    end if;
  end loop;
end
$roles$;

-- ------------------------------------------------------------------ administration

-- Whoever administers a shared role could rename it, drop it or hand it on, and so reach every project. The owner role
-- may create roles and administers those that it creates: a name that it took before Plinth did is taken back here.
do $administration$
declare
  fine    constant boolean := pg_catalog.current_setting('server_version_num')::integer >= 160000;
  held    record;
begin
  for held in
    select distinct role.rolname as role, member.rolname as member, grantor.rolname as grantor
    from pg_catalog.pg_auth_members as membership
    join pg_catalog.pg_roles as role on role.oid = membership.roleid
    join pg_catalog.pg_roles as member on member.oid = membership.member
    left join pg_catalog.pg_roles as grantor on grantor.oid = membership.grantor
    where membership.admin_option
      and not member.rolsuper
      and role.rolname in (
        'anon', 'authenticated', 'service_role', 'authenticator', 'supabase_auth_admin', 'supabase_storage_admin',
        'supabase_realtime_admin', 'supabase_functions_admin', 'supabase_replication_admin', 'supabase_etl_admin',
        'supabase_read_only_user', 'dashboard_user', 'pgbouncer', (pg_catalog.parse_ident('@owner@'))[1])
  loop
    execute pg_catalog.format('revoke admin option for %I from %I', held.role, held.member)
      || case when fine then pg_catalog.format(' granted by %I', held.grantor) else '' end
      || ' cascade';
  end loop;
end
$administration$;

-- ------------------------------------------------------------------ memberships

do $memberships$
declare
  owner_name constant name := (pg_catalog.parse_ident('@owner@'))[1];
  -- PostgreSQL 16 can say "has the rights of, but cannot become": what an owner of tables needs and no more.
  fine       constant boolean := pg_catalog.current_setting('server_version_num')::integer >= 160000;
  wanted     record;
  present    boolean;
begin
  for wanted in
    select * from (values
      ('anon',                    'authenticator',           true),
      ('authenticated',           'authenticator',           true),
      ('service_role',            'authenticator',           true),
      ('authenticator',           'supabase_storage_admin',  true),
      ('pg_read_all_data',        'supabase_read_only_user', true),
      -- The owner role tries its policies with `set role`.
      ('anon',                    owner_name,                true),
      ('authenticated',           owner_name,                true),
      ('service_role',            owner_name,                true),
      ('authenticator',           owner_name,                true),
      -- Policies and `drop trigger` ask for ownership of the table, so the owner role shares in it.
      ('supabase_auth_admin',     owner_name,                false),
      ('supabase_storage_admin',  owner_name,                false),
      ('supabase_realtime_admin', owner_name,                false)
    ) as membership (role, member, may_become)
  loop
    select exists (
      select from pg_catalog.pg_auth_members
      where roleid = pg_catalog.quote_ident(wanted.role)::pg_catalog.regrole
        and member = pg_catalog.quote_ident(wanted.member)::pg_catalog.regrole
        -- to_jsonb, because the columns are not there before PostgreSQL 16.
        and (not fine
          or (pg_catalog.to_jsonb(pg_auth_members) ->> 'set_option')::boolean = wanted.may_become
            and (wanted.may_become or (pg_catalog.to_jsonb(pg_auth_members) ->> 'inherit_option')::boolean))
    ) into present;
    continue when present;

    execute pg_catalog.format('grant %I to %I', wanted.role, wanted.member)
      || case when fine and not wanted.may_become then ' with inherit true, set false' else '' end;
  end loop;
end
$memberships$;

-- ------------------------------------------------------------------ what the owner role may set

-- Data dumps of Supabase's CLI begin with `set session_replication_role = replica`; it concerns the session alone.
grant set on parameter session_replication_role to @owner@;

-- ------------------------------------------------------------------ databases that belong to no project

do $doors$
declare
  database name;
begin
  for database in
    select datname from pg_catalog.pg_database
    where datname = pg_catalog.current_database()
      -- Where initdb was ours (the first superuser has our name) these two serve nobody else either.
      or (datname in ('postgres', 'template1')
          and exists (select from pg_catalog.pg_roles where oid = 10 and rolname = 'supabase_admin'))
  loop
    if exists (
      select from pg_catalog.pg_database as door,
        pg_catalog.aclexplode(coalesce(door.datacl, pg_catalog.acldefault('d', door.datdba))) as entry
      where door.datname = database and entry.grantee = 0
    ) then
      execute pg_catalog.format('revoke all on database %I from public', database);
    end if;
  end loop;
end
$doors$;
