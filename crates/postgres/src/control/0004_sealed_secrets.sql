-- Why: whoever sees this database alone (a dump, a backup, a replica) shall have nobody's keys and passwords.

-- What opens a project, as one text that is sealed for the project's name. Null only until the start that applies this
-- file has sealed what the next table holds.
alter table plinth.project
  add column secrets text check (secrets ~ '^v[0-9]+[.]');

-- What earlier versions kept in plain. SQL has no master key: the server seals row by row and deletes each here.
create table plinth.plain_secret (
  project                text primary key references plinth.project (name) on delete cascade,
  owner_password         text not null,
  authenticator_password text not null,
  auth_password          text,
  jwt_secret             text not null,
  service_role_key       text not null,
  secret_key             text not null
);
insert into plinth.plain_secret
  select name, owner_password, authenticator_password, auth_password, jwt_secret, service_role_key, secret_key
  from plinth.project;

-- Dropped, not emptied: an older server that still runs cannot take what it does not understand for a key.
drop trigger project_auth_login_changed on plinth.project;
alter table plinth.project
  drop column owner_password,
  drop column authenticator_password,
  drop column auth_password,
  drop column jwt_secret,
  drop column service_role_key,
  drop column secret_key;

create trigger project_secrets_changed after update of secrets on plinth.project
  for each statement execute function plinth.project_changed();
