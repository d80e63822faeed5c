-- Why: sign-in works in a project's database as a login of its own, which may reach `auth` and nothing else.
-- Null in projects that are older; the next start makes the login.
alter table plinth.project add column auth_password text;

-- Who serves the project needs the password.
create trigger project_auth_login_changed after update of auth_password on plinth.project
  for each statement execute function plinth.project_changed();
