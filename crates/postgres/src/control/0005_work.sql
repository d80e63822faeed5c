-- Why: an instance that starts shall know which projects have work without opening every database, and hear when another
-- process changes what there is to do.
alter table plinth.project
  -- Digest of the manifest that was applied to its database last.
  add column manifest      text,
  -- Whether there are bindings.
  add column has_work      boolean not null default false,
  -- Grows when they change.
  add column work_revision bigint not null default 0;

create trigger project_work_changed after update of has_work, work_revision on plinth.project
  for each statement execute function plinth.project_changed();
