-- Why: the code of an authenticator app is good for up to 90 seconds, and must not be accepted twice in them (RFC 6238 §5.2).
set local search_path = '';

-- A table beside the factors, because theirs keeps the shape that people's tools know.
create table plinth.totp_step (
  factor_id uuid primary key references auth.mfa_factors (id) on delete cascade,
  step      bigint not null
);
comment on table plinth.totp_step is 'The latest time step whose code was accepted, by factor: only later ones are from then on';

-- Truncate, because who truncates auth.users truncates what hangs on it.
grant select, insert, update, delete, truncate on plinth.totp_step to supabase_auth_admin;
