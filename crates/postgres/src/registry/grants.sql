-- Why: the shared roles hold CREATE and TEMPORARY on every project's database. An owner's `drop owned by postgres` cannot
-- take them, but a superuser's in one project takes them on all the others as well, for DROP OWNED reaches databases.
-- This gives back what is missing, and the memberships of logins that an older Plinth made. It runs in the control
-- database at every start, for all projects at once, and writes nothing when nothing is missing.
do $grants$
declare
  missing record;
begin
  for missing in
    select database.datname as database, pg_catalog.string_agg(wanted.privilege, ', ') as privileges, wanted.grantee
    from plinth.project
    join pg_catalog.pg_database as database on database.datname = project.name
    cross join lateral (values
      ('create',    project.owner_role),
      ('temporary', project.owner_role),
      ('temporary', 'anon'),
      ('temporary', 'authenticated'),
      ('temporary', 'service_role'),
      ('connect',   'postgres.' || project.name),
      ('connect',   'authenticator.' || project.name),
      ('connect',   'auth.' || project.name)
    ) as wanted (privilege, grantee)
    join pg_catalog.pg_roles as role on role.rolname = wanted.grantee
    where project.state = 'ready'
      and not exists (
        select from pg_catalog.aclexplode(database.datacl) as entry
        where entry.grantee = role.oid and pg_catalog.lower(entry.privilege_type) = wanted.privilege)
    group by database.datname, wanted.grantee
  loop
    execute pg_catalog.format('grant %s on database %I to %I', missing.privileges, missing.database, missing.grantee);
  end loop;

  for missing in
    select login.rolname as login, wanted.role
    from plinth.project
    cross join lateral (values
      ('authenticator.' || project.name, 'authenticator'),
      ('auth.' || project.name,          'supabase_auth_admin')
    ) as wanted (login, role)
    join pg_catalog.pg_roles as login on login.rolname = wanted.login
    -- A role of that name is certainly ours only when the project is ready: then its login was made.
    where (wanted.role = 'authenticator' or project.state = 'ready')
      and not exists (
        select from pg_catalog.pg_auth_members
        where member = login.oid and roleid = pg_catalog.quote_ident(wanted.role)::pg_catalog.regrole)
  loop
    execute pg_catalog.format('grant %I to %I', missing.role, missing.login);
  end loop;
end
$grants$;
