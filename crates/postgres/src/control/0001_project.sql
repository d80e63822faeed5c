-- Why: the registry says which projects there are, and holds what only administrators may know of them.

create schema plinth;
revoke all on schema plinth from public;

create table plinth.migration (
  version    integer primary key,
  name       text not null,
  checksum   text not null,
  applied_at timestamptz not null default now()
);

-- What was decided once for the whole cluster.
create table plinth.setting (
  name  text primary key,
  value text not null
);

create table plinth.project (
  name                   text primary key check (name ~ '^[a-z][a-z0-9-]{0,38}[a-z0-9]$'),
  -- Only a ready project exists for anyone but its maker. The others are remains of a killed process unless someone
  -- holds the advisory lock of their name.
  state                  text not null check (state in ('creating', 'ready', 'dropping')),
  -- Counts the databases that this project has had: a reset gives it a new one.
  generation             bigint not null default 1,
  owner_role             text not null,
  owner_password         text not null,
  authenticator_password text not null,
  jwt_secret             text not null,
  anon_key               text not null,
  service_role_key       text not null,
  publishable_key        text not null,
  secret_key             text not null,
  blueprint              text,
  -- Digest of the platform files that its database is known to have, so that a start need not open every database.
  platform               text,
  created_at             timestamptz not null default now()
);

-- Grows with every change, so that a server knows whether what it has is current.
create table plinth.revision (
  the_only boolean primary key default true check (the_only),
  number   bigint not null
);
insert into plinth.revision (number) values (0);

create function plinth.project_changed() returns trigger
language plpgsql
set search_path = ''
as $$
declare
  current bigint;
begin
  update plinth.revision set number = number + 1 returning number into current;
  perform pg_catalog.pg_notify('plinth_projects', current::text);
  return null;
end
$$;

create trigger project_changed after insert or update of state, generation or delete on plinth.project
  for each statement execute function plinth.project_changed();
