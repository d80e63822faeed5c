-- Why: people's SQL points at auth.users, hangs triggers on it and asks auth.uid() in every policy.
set local search_path = '';

-- ------------------------------------------------------------------ who is asking

-- Bodies in standard SQL are bound to their objects now, so they need no SET clause, and without one PostgreSQL
-- inlines them: a policy pays for current_setting() and nothing else. A setting that was set once in a session reads
-- back as '' afterwards, hence nullif. One setting per claim is how old servers of the data API passed them.

create function auth.uid() returns uuid
language sql stable parallel safe
return coalesce(
  nullif(pg_catalog.current_setting('request.jwt.claim.sub', true), ''),
  nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid;

create function auth.role() returns text
language sql stable parallel safe
return coalesce(
  nullif(pg_catalog.current_setting('request.jwt.claim.role', true), ''),
  nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'role');

create function auth.email() returns text
language sql stable parallel safe
return coalesce(
  nullif(pg_catalog.current_setting('request.jwt.claim.email', true), ''),
  nullif(pg_catalog.current_setting('request.jwt.claims', true), '')::jsonb ->> 'email');

create function auth.jwt() returns jsonb
language sql stable parallel safe
return coalesce(
  nullif(pg_catalog.current_setting('request.jwt.claim', true), ''),
  nullif(pg_catalog.current_setting('request.jwt.claims', true), ''))::jsonb;

comment on function auth.uid() is 'The id of the user who is asking, null outside of a request and for API keys';
comment on function auth.role() is 'The database role of the token';
comment on function auth.email() is 'The e-mail address in the token; prefer auth.jwt() ->> ''email''';
comment on function auth.jwt() is 'All claims of the token';

-- ------------------------------------------------------------------ types

create type auth.aal_level as enum ('aal1', 'aal2', 'aal3');
create type auth.code_challenge_method as enum ('s256', 'plain');
create type auth.factor_status as enum ('unverified', 'verified');
create type auth.factor_type as enum ('totp', 'webauthn', 'phone');
create type auth.one_time_token_type as enum (
  'confirmation_token', 'reauthentication_token', 'recovery_token',
  'email_change_token_new', 'email_change_token_current', 'phone_change_token');
create type auth.oauth_registration_type as enum ('dynamic', 'manual');
create type auth.oauth_authorization_status as enum ('pending', 'approved', 'denied', 'expired');
create type auth.oauth_response_type as enum ('code');
create type auth.oauth_client_type as enum ('public', 'confidential');

-- ------------------------------------------------------------------ users and their identities

create table auth.users (
  instance_id                 uuid,
  id                          uuid primary key,
  aud                         varchar(255),
  role                        varchar(255),
  email                       varchar(255),
  encrypted_password          varchar(255),
  email_confirmed_at          timestamptz,
  invited_at                  timestamptz,
  confirmation_token          varchar(255),
  confirmation_sent_at        timestamptz,
  recovery_token              varchar(255),
  recovery_sent_at            timestamptz,
  email_change_token_new      varchar(255),
  email_change                varchar(255),
  email_change_sent_at        timestamptz,
  last_sign_in_at             timestamptz,
  raw_app_meta_data           jsonb,
  raw_user_meta_data          jsonb,
  is_super_admin              boolean,
  created_at                  timestamptz,
  updated_at                  timestamptz,
  phone                       text default null constraint users_phone_key unique,
  phone_confirmed_at          timestamptz,
  phone_change                text default '',
  phone_change_token          varchar(255) default '',
  phone_change_sent_at        timestamptz,
  confirmed_at                timestamptz generated always as (least(email_confirmed_at, phone_confirmed_at)) stored,
  email_change_token_current  varchar(255) default '',
  email_change_confirm_status smallint default 0
    constraint users_email_change_confirm_status_check check (email_change_confirm_status between 0 and 2),
  banned_until                timestamptz,
  reauthentication_token      varchar(255) default '',
  reauthentication_sent_at    timestamptz,
  is_sso_user                 boolean not null default false,
  deleted_at                  timestamptz,
  is_anonymous                boolean not null default false
);
comment on table auth.users is 'Everybody who can sign in to this project';
comment on column auth.users.is_sso_user is 'Signed in by a company''s provider: several such users may share one address';

-- One address, one user, except for those of single sign-on.
create unique index users_email_partial_key on auth.users (email) where is_sso_user = false;
create index users_instance_id_idx on auth.users (instance_id);
create index users_instance_id_email_idx on auth.users (instance_id, lower(email));
create index users_is_anonymous_idx on auth.users (is_anonymous);
create index users_created_at_idx on auth.users (created_at);
-- Tokens are digests, so a value of digits and blanks is an old one or none and need not be unique.
create unique index confirmation_token_idx on auth.users (confirmation_token) where confirmation_token !~ '^[0-9 ]*$';
create unique index recovery_token_idx on auth.users (recovery_token) where recovery_token !~ '^[0-9 ]*$';
create unique index email_change_token_current_idx on auth.users (email_change_token_current)
  where email_change_token_current !~ '^[0-9 ]*$';
create unique index email_change_token_new_idx on auth.users (email_change_token_new) where email_change_token_new !~ '^[0-9 ]*$';
create unique index reauthentication_token_idx on auth.users (reauthentication_token) where reauthentication_token !~ '^[0-9 ]*$';

create table auth.identities (
  provider_id     text not null,
  user_id         uuid not null references auth.users (id) on delete cascade,
  identity_data   jsonb not null,
  provider        text not null,
  last_sign_in_at timestamptz,
  created_at      timestamptz,
  updated_at      timestamptz,
  email           text generated always as (lower(identity_data ->> 'email')) stored,
  id              uuid primary key default gen_random_uuid(),
  constraint identities_provider_id_provider_unique unique (provider_id, provider)
);
create index identities_user_id_idx on auth.identities (user_id);
create index identities_email_idx on auth.identities (email text_pattern_ops);

-- ------------------------------------------------------------------ OAuth clients (of the project as a provider)

create table auth.oauth_clients (
  id                         uuid primary key,
  client_secret_hash         text,
  registration_type          auth.oauth_registration_type not null,
  redirect_uris              text not null,
  grant_types                text not null,
  client_name                text constraint oauth_clients_client_name_length check (char_length(client_name) <= 1024),
  client_uri                 text constraint oauth_clients_client_uri_length check (char_length(client_uri) <= 2048),
  logo_uri                   text constraint oauth_clients_logo_uri_length check (char_length(logo_uri) <= 2048),
  created_at                 timestamptz not null default now(),
  updated_at                 timestamptz not null default now(),
  deleted_at                 timestamptz,
  client_type                auth.oauth_client_type not null default 'confidential',
  token_endpoint_auth_method text not null constraint oauth_clients_token_endpoint_auth_method_check
    check (token_endpoint_auth_method in ('client_secret_basic', 'client_secret_post', 'none'))
);
create index oauth_clients_deleted_at_idx on auth.oauth_clients (deleted_at);

-- ------------------------------------------------------------------ sessions and refresh tokens

create table auth.sessions (
  id                       uuid primary key,
  user_id                  uuid not null references auth.users (id) on delete cascade,
  created_at               timestamptz,
  updated_at               timestamptz,
  factor_id                uuid,
  aal                      auth.aal_level,
  not_after                timestamptz,
  refreshed_at             timestamp,
  user_agent               text,
  ip                       inet,
  tag                      text,
  oauth_client_id          uuid references auth.oauth_clients (id) on delete cascade,
  refresh_token_hmac_key   text,
  refresh_token_counter    bigint,
  scopes                   text constraint sessions_scopes_length check (char_length(scopes) <= 4096)
);
create index sessions_user_id_idx on auth.sessions (user_id);
create index user_id_created_at_idx on auth.sessions (user_id, created_at);
create index sessions_not_after_idx on auth.sessions (not_after desc);
create index sessions_oauth_client_id_idx on auth.sessions (oauth_client_id);

create table auth.refresh_tokens (
  instance_id uuid,
  id          bigserial primary key,
  token       varchar(255) constraint refresh_tokens_token_unique unique,
  user_id     varchar(255),
  revoked     boolean,
  created_at  timestamptz,
  updated_at  timestamptz,
  parent      varchar(255),
  session_id  uuid references auth.sessions (id) on delete cascade
);
create index refresh_tokens_instance_id_idx on auth.refresh_tokens (instance_id);
create index refresh_tokens_instance_id_user_id_idx on auth.refresh_tokens (instance_id, user_id);
create index refresh_tokens_parent_idx on auth.refresh_tokens (parent);
create index refresh_tokens_session_id_revoked_idx on auth.refresh_tokens (session_id, revoked);
create index refresh_tokens_updated_at_idx on auth.refresh_tokens (updated_at desc);

create table auth.mfa_amr_claims (
  session_id            uuid not null references auth.sessions (id) on delete cascade,
  created_at            timestamptz not null,
  updated_at            timestamptz not null,
  authentication_method text not null,
  id                    uuid constraint amr_id_pk primary key,
  constraint mfa_amr_claims_session_id_authentication_method_pkey unique (session_id, authentication_method)
);

-- ------------------------------------------------------------------ second factors

create table auth.mfa_factors (
  id                           uuid primary key,
  user_id                      uuid not null references auth.users (id) on delete cascade,
  friendly_name                text,
  factor_type                  auth.factor_type not null,
  status                       auth.factor_status not null,
  created_at                   timestamptz not null,
  updated_at                   timestamptz not null,
  secret                       text,
  phone                        text,
  last_challenged_at           timestamptz constraint mfa_factors_last_challenged_at_key unique,
  web_authn_credential         jsonb,
  web_authn_aaguid             uuid,
  last_webauthn_challenge_data jsonb
);
create unique index mfa_factors_user_friendly_name_unique on auth.mfa_factors (friendly_name, user_id) where trim(friendly_name) <> '';
create unique index unique_phone_factor_per_user on auth.mfa_factors (user_id, phone);
create index factor_id_created_at_idx on auth.mfa_factors (user_id, created_at);

create table auth.mfa_challenges (
  id                     uuid primary key,
  factor_id              uuid not null constraint mfa_challenges_auth_factor_id_fkey references auth.mfa_factors (id) on delete cascade,
  created_at             timestamptz not null,
  verified_at            timestamptz,
  ip_address             inet not null,
  otp_code               text,
  web_authn_session_data jsonb
);
create index mfa_challenges_factor_id_idx on auth.mfa_challenges (factor_id);
create index mfa_challenge_created_at_idx on auth.mfa_challenges (created_at desc);

create table auth.webauthn_credentials (
  id               uuid primary key default gen_random_uuid(),
  user_id          uuid not null references auth.users (id) on delete cascade,
  credential_id    bytea not null,
  public_key       bytea not null,
  attestation_type text not null default '',
  aaguid           uuid,
  sign_count       bigint not null default 0,
  transports       jsonb not null default '[]',
  backup_eligible  boolean not null default false,
  backed_up        boolean not null default false,
  friendly_name    text not null default '',
  created_at       timestamptz not null default now(),
  updated_at       timestamptz not null default now(),
  last_used_at     timestamptz
);
create unique index webauthn_credentials_credential_id_key on auth.webauthn_credentials (credential_id);
create index webauthn_credentials_user_id_idx on auth.webauthn_credentials (user_id);

create table auth.webauthn_challenges (
  id             uuid primary key default gen_random_uuid(),
  user_id        uuid references auth.users (id) on delete cascade,
  challenge_type text not null constraint webauthn_challenges_challenge_type_check
    check (challenge_type in ('signup', 'registration', 'authentication')),
  session_data   jsonb not null,
  created_at     timestamptz not null default now(),
  expires_at     timestamptz not null
);
create index webauthn_challenges_user_id_idx on auth.webauthn_challenges (user_id);
create index webauthn_challenges_expires_at_idx on auth.webauthn_challenges (expires_at);

-- ------------------------------------------------------------------ tokens in mails, flows in progress

create table auth.one_time_tokens (
  id         uuid primary key,
  user_id    uuid not null references auth.users (id) on delete cascade,
  token_type auth.one_time_token_type not null,
  token_hash text not null constraint one_time_tokens_token_hash_check check (char_length(token_hash) > 0),
  relates_to text not null,
  created_at timestamp not null default now(),
  updated_at timestamp not null default now()
);
create unique index one_time_tokens_user_id_token_type_key on auth.one_time_tokens (user_id, token_type);
create index one_time_tokens_token_hash_hash_idx on auth.one_time_tokens using hash (token_hash);
create index one_time_tokens_relates_to_hash_idx on auth.one_time_tokens using hash (relates_to);

create table auth.flow_state (
  id                     uuid primary key,
  user_id                uuid,
  auth_code              text,
  code_challenge_method  auth.code_challenge_method,
  code_challenge         text,
  provider_type          text not null,
  provider_access_token  text,
  provider_refresh_token text,
  created_at             timestamptz,
  updated_at             timestamptz,
  authentication_method  text not null,
  auth_code_issued_at    timestamptz,
  invite_token           text,
  referrer               text,
  oauth_client_state_id  uuid,
  linking_target_id      uuid,
  email_optional         boolean not null default false
);
comment on table auth.flow_state is 'Sign-ins under way: PKCE and OAuth';
create index flow_state_created_at_idx on auth.flow_state (created_at desc);
create index idx_auth_code on auth.flow_state (auth_code);
create index idx_user_id_auth_method on auth.flow_state (user_id, authentication_method);

-- ------------------------------------------------------------------ single sign-on of companies

create table auth.sso_providers (
  id          uuid primary key,
  resource_id text constraint sso_providers_resource_id_check check (char_length(resource_id) > 0),
  created_at  timestamptz,
  updated_at  timestamptz,
  disabled    boolean
);
create unique index sso_providers_resource_id_idx on auth.sso_providers (lower(resource_id));

create table auth.sso_domains (
  id              uuid primary key,
  sso_provider_id uuid not null references auth.sso_providers (id) on delete cascade,
  domain          text not null constraint sso_domains_domain_check check (char_length(domain) > 0),
  created_at      timestamptz,
  updated_at      timestamptz
);
create unique index sso_domains_domain_idx on auth.sso_domains (lower(domain));
create index sso_domains_sso_provider_id_idx on auth.sso_domains (sso_provider_id);

create table auth.saml_providers (
  id                uuid primary key,
  sso_provider_id   uuid not null references auth.sso_providers (id) on delete cascade,
  entity_id         text not null constraint saml_providers_entity_id_key unique check (char_length(entity_id) > 0),
  metadata_xml      text not null check (char_length(metadata_xml) > 0),
  metadata_url      text check (char_length(metadata_url) > 0),
  attribute_mapping jsonb,
  created_at        timestamptz,
  updated_at        timestamptz,
  name_id_format    text
);
create index saml_providers_sso_provider_id_idx on auth.saml_providers (sso_provider_id);

create table auth.saml_relay_states (
  id              uuid primary key,
  sso_provider_id uuid not null references auth.sso_providers (id) on delete cascade,
  request_id      text not null check (char_length(request_id) > 0),
  for_email       text,
  redirect_to     text,
  created_at      timestamptz,
  updated_at      timestamptz,
  flow_state_id   uuid references auth.flow_state (id) on delete cascade
);
create index saml_relay_states_sso_provider_id_idx on auth.saml_relay_states (sso_provider_id);
create index saml_relay_states_for_email_idx on auth.saml_relay_states (for_email);
create index saml_relay_states_created_at_idx on auth.saml_relay_states (created_at desc);
create index saml_relay_states_flow_state_id_idx on auth.saml_relay_states (flow_state_id);

-- ------------------------------------------------------------------ the project as an OAuth provider

create table auth.oauth_authorizations (
  id                    uuid primary key,
  authorization_id      text not null constraint oauth_authorizations_authorization_id_key unique,
  client_id             uuid not null references auth.oauth_clients (id) on delete cascade,
  user_id               uuid references auth.users (id) on delete cascade,
  redirect_uri          text not null check (char_length(redirect_uri) <= 2048),
  scope                 text not null check (char_length(scope) <= 4096),
  state                 text check (char_length(state) <= 4096),
  resource              text check (char_length(resource) <= 2048),
  code_challenge        text check (char_length(code_challenge) <= 128),
  code_challenge_method auth.code_challenge_method,
  response_type         auth.oauth_response_type not null default 'code',
  status                auth.oauth_authorization_status not null default 'pending',
  authorization_code    text constraint oauth_authorizations_authorization_code_key unique check (char_length(authorization_code) <= 255),
  created_at            timestamptz not null default now(),
  expires_at            timestamptz not null default now() + interval '3 minutes',
  approved_at           timestamptz,
  nonce                 text check (char_length(nonce) <= 255),
  constraint oauth_authorizations_expires_at_future check (expires_at > created_at)
);
create index oauth_authorizations_client_id_idx on auth.oauth_authorizations (client_id);
create index oauth_authorizations_user_id_idx on auth.oauth_authorizations (user_id);
create index oauth_auth_pending_exp_idx on auth.oauth_authorizations (expires_at) where status = 'pending';

create table auth.oauth_consents (
  id         uuid primary key,
  user_id    uuid not null references auth.users (id) on delete cascade,
  client_id  uuid not null references auth.oauth_clients (id) on delete cascade,
  scopes     text not null check (char_length(scopes) <= 2048),
  granted_at timestamptz not null default now(),
  revoked_at timestamptz,
  constraint oauth_consents_revoked_after_granted check (revoked_at is null or revoked_at >= granted_at),
  constraint oauth_consents_user_client_unique unique (user_id, client_id)
);
create index oauth_consents_user_order_idx on auth.oauth_consents (user_id, granted_at desc);
create index oauth_consents_active_client_idx on auth.oauth_consents (client_id) where revoked_at is null;
create index oauth_consents_active_user_client_idx on auth.oauth_consents (user_id, client_id) where revoked_at is null;

create table auth.oauth_client_states (
  id            uuid primary key,
  provider_type text not null,
  code_verifier text,
  created_at    timestamptz not null
);
comment on table auth.oauth_client_states is 'Sign-ins under way at a provider that wants PKCE from us';
create index idx_oauth_client_states_created_at on auth.oauth_client_states (created_at);

create table auth.custom_oauth_providers (
  id                  uuid primary key default gen_random_uuid(),
  provider_type       text not null constraint custom_oauth_providers_provider_type_check check (provider_type in ('oauth2', 'oidc')),
  identifier          text not null constraint custom_oauth_providers_identifier_key unique,
  name                text not null,
  client_id           text not null,
  client_secret       text not null,
  acceptable_client_ids text[] not null default '{}',
  scopes              text[] not null default '{}',
  pkce_enabled        boolean not null default true,
  attribute_mapping   jsonb not null default '{}',
  authorization_params jsonb not null default '{}',
  enabled             boolean not null default true,
  email_optional      boolean not null default false,
  issuer              text,
  discovery_url       text,
  skip_nonce_check    boolean not null default false,
  cached_discovery    jsonb,
  discovery_cached_at timestamptz,
  authorization_url   text,
  token_url           text,
  userinfo_url        text,
  jwks_uri            text,
  created_at          timestamptz not null default now(),
  updated_at          timestamptz not null default now(),
  constraint custom_oauth_providers_oidc_requires_issuer check (provider_type <> 'oidc' or issuer is not null),
  constraint custom_oauth_providers_oauth2_requires_endpoints check (
    provider_type <> 'oauth2' or (authorization_url is not null and token_url is not null and userinfo_url is not null))
);

-- ------------------------------------------------------------------ the rest

create table auth.audit_log_entries (
  instance_id uuid,
  id          uuid primary key,
  payload     json,
  created_at  timestamptz,
  ip_address  varchar(64) not null default ''
);
create index audit_logs_instance_id_idx on auth.audit_log_entries (instance_id);

-- Kept for tools that look for them; a project is one instance.
create table auth.instances (
  id              uuid primary key,
  uuid            uuid,
  raw_base_config text,
  created_at      timestamptz,
  updated_at      timestamptz
);
create table auth.schema_migrations (version varchar(255) primary key);

-- ------------------------------------------------------------------ ownership

-- The auth part works as supabase_auth_admin. RLS without policies keeps the rows from everybody who is not the owner,
-- even if somebody grants the tables.
do $ownership$
declare
  item record;
begin
  for item in
    select oid::pg_catalog.regclass as name from pg_catalog.pg_class
    where relnamespace = 'auth'::pg_catalog.regnamespace and relkind = 'r'
  loop
    execute pg_catalog.format('alter table %s owner to supabase_auth_admin', item.name);
    execute pg_catalog.format('alter table %s enable row level security', item.name);
  end loop;
  for item in
    select oid::pg_catalog.regtype as name from pg_catalog.pg_type
    where typnamespace = 'auth'::pg_catalog.regnamespace and typtype = 'e'
  loop
    execute pg_catalog.format('alter type %s owner to supabase_auth_admin', item.name);
  end loop;
end
$ownership$;

-- Through membership the owner role has these rights already; granted by name, it can also pass them on.
grant all on all tables in schema auth to @owner@ with grant option;
grant all on all sequences in schema auth to @owner@ with grant option;
