-- Rows by the types of their columns. Columns that there are not are left out, and so are those that are generated, and
-- the tokens: links in mails that another system sent lead there.
create temporary table plinth_import_user on commit drop as
select
  row.position, row.line, 'insert'::text as verdict,
  coalesce(u.id, gen_random_uuid()) as id,
  nullif(lower(btrim(u.email)), '') as email,
  nullif(ltrim(btrim(u.phone), '+'), '') as phone,
  coalesce(nullif(u.aud, ''), 'authenticated') as aud,
  coalesce(nullif(u.role, ''), 'authenticated') as role,
  nullif(u.encrypted_password, '') as encrypted_password,
  u.email_confirmed_at, u.phone_confirmed_at, u.invited_at, u.confirmation_sent_at, u.recovery_sent_at,
  u.email_change_sent_at, u.phone_change_sent_at, u.reauthentication_sent_at, u.last_sign_in_at, u.banned_until, u.deleted_at,
  coalesce(u.created_at, now()) as created_at,
  coalesce(u.updated_at, u.created_at, now()) as updated_at,
  coalesce(u.is_sso_user, false) as is_sso_user,
  coalesce(u.is_anonymous, false) as is_anonymous,
  coalesce(u.raw_user_meta_data, '{}') as raw_user_meta_data,
  case when coalesce(u.raw_app_meta_data, '{}') ? 'provider' then '{}'
    when nullif(u.email, '') is not null then '{"provider": "email", "providers": ["email"]}'
    when nullif(u.phone, '') is not null then '{"provider": "phone", "providers": ["phone"]}'
    else '{}' end::jsonb || coalesce(u.raw_app_meta_data, '{}') as raw_app_meta_data
from plinth_import_row row
cross join lateral jsonb_populate_record(null::auth.users, row.doc - 'instance_id') u
where row.kind = 'user';

create unique index on plinth_import_user (position);
create index on plinth_import_user (id);
create index on plinth_import_user (email);
create index on plinth_import_user (phone);

create temporary table plinth_import_identity on commit drop as
select
  row.position, row.line, coalesce(i.id, gen_random_uuid()) as id, i.user_id, i.provider, i.identity_data, i.last_sign_in_at,
  -- Of addresses and numbers it is the user's id, whatever it once was.
  case when i.provider in ('email', 'phone') then i.user_id::text else i.provider_id end as provider_id,
  coalesce(i.created_at, now()) as created_at, coalesce(i.updated_at, i.created_at, now()) as updated_at
from plinth_import_row row
cross join lateral jsonb_populate_record(null::auth.identities, row.doc) i
where row.kind = 'identity';
create index on plinth_import_identity (user_id);

analyze plinth_import_user;
analyze plinth_import_identity
