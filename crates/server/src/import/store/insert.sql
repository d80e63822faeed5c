insert into auth.users (
  instance_id, id, email, phone, aud, role, encrypted_password, email_confirmed_at, phone_confirmed_at, invited_at,
  confirmation_sent_at, recovery_sent_at, email_change_sent_at, phone_change_sent_at, reauthentication_sent_at, last_sign_in_at,
  banned_until, deleted_at, created_at, updated_at, is_sso_user, is_anonymous, raw_user_meta_data, raw_app_meta_data,
  confirmation_token, recovery_token, email_change_token_new, email_change)
select
  '00000000-0000-0000-0000-000000000000', id, email, phone, aud, role, encrypted_password, email_confirmed_at, phone_confirmed_at,
  invited_at, confirmation_sent_at, recovery_sent_at, email_change_sent_at, phone_change_sent_at, reauthentication_sent_at,
  last_sign_in_at, banned_until, deleted_at, created_at, updated_at, is_sso_user, is_anonymous, raw_user_meta_data,
  raw_app_meta_data, '', '', '', ''
from plinth_import_user where verdict = 'insert' order by position;

-- Constraints are asked here, for foreign keys are not checked while triggers are off.
create temporary table plinth_import_written on commit drop as
with written as (
  insert into auth.identities (id, user_id, provider, provider_id, identity_data, last_sign_in_at, created_at, updated_at)
  select t.id, t.user_id, t.provider, t.provider_id, coalesce(t.identity_data, '{}'), t.last_sign_in_at, t.created_at, t.updated_at
  from plinth_import_identity t
  where t.provider is not null and t.provider_id is not null and exists (select from auth.users u where u.id = t.user_id)
  order by t.position
  on conflict do nothing
  returning 1)
select count(*) as identities from written;

-- Who signs in by address or number has an identity that says so; dumps of old systems have none.
create temporary table plinth_import_created on commit drop as
with own (user_id, provider, value, proved) as (
  select id, 'email', email, email_confirmed_at is not null from plinth_import_user
  where verdict in ('insert', 'same') and email is not null and not is_sso_user and deleted_at is null
    and (encrypted_password is not null or not exists (select from auth.identities i where i.user_id = plinth_import_user.id))
  union all
  select id, 'phone', phone, phone_confirmed_at is not null from plinth_import_user
  where verdict in ('insert', 'same') and phone is not null and deleted_at is null),
created as (
  insert into auth.identities (user_id, provider, provider_id, identity_data, created_at, updated_at)
  select user_id, provider, user_id::text,
    jsonb_build_object('sub', user_id, provider, value, 'email_verified', false, 'phone_verified', false)
      || jsonb_build_object(provider || '_verified', proved), now(), now()
  from own where exists (select from auth.users u where u.id = own.user_id)
  on conflict do nothing
  returning 1)
select count(*) as identities from created
