update auth.users u set
  email = t.email, phone = t.phone, aud = t.aud, role = t.role,
  encrypted_password = coalesce(t.encrypted_password, u.encrypted_password),
  email_confirmed_at = t.email_confirmed_at, phone_confirmed_at = t.phone_confirmed_at, invited_at = t.invited_at,
  last_sign_in_at = greatest(t.last_sign_in_at, u.last_sign_in_at), banned_until = t.banned_until, deleted_at = t.deleted_at,
  created_at = t.created_at, updated_at = t.updated_at, is_sso_user = t.is_sso_user, is_anonymous = t.is_anonymous,
  raw_user_meta_data = t.raw_user_meta_data, raw_app_meta_data = t.raw_app_meta_data
from plinth_import_user t where t.id = u.id and t.verdict = 'same';

update auth.identities i set identity_data = coalesce(t.identity_data, '{}'), last_sign_in_at = t.last_sign_in_at, updated_at = t.updated_at
from plinth_import_identity t
where i.provider = t.provider and i.provider_id = t.provider_id and i.user_id = t.user_id
