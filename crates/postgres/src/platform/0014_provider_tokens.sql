-- Why: an account that signs in may also be posted for later; what that takes must outlive the sign-in, and go with the identity.
set local search_path = '';

create table plinth.provider_token (
  provider         text not null,
  provider_user_id text not null,
  user_id          uuid not null,
  handle           text,
  tokens           text not null,
  scopes           text not null default '',
  expires_at       timestamptz,
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  primary key (provider, provider_user_id),
  constraint provider_token_identity_fkey foreign key (provider_user_id, provider)
    references auth.identities (provider_id, provider) on delete cascade,
  constraint provider_token_user_id_fkey foreign key (user_id) references auth.users (id) on delete cascade
);
comment on table plinth.provider_token is 'Tokens by which a user''s account elsewhere can be acted for';
comment on column plinth.provider_token.handle is 'The account''s name, such as it was at the last sign-in';
comment on column plinth.provider_token.tokens is 'Access token and refresh token, sealed';
comment on column plinth.provider_token.expires_at is 'When the access token ends, null when it was not said';
create index provider_token_user_id_idx on plinth.provider_token (user_id);

revoke all on plinth.provider_token from public, anon, authenticated, service_role;
-- Truncate, because who truncates auth.users truncates what hangs on it.
grant select, insert, update, delete, truncate on plinth.provider_token to supabase_auth_admin;
