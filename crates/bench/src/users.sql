-- 5,000 people with the same password, each of whom signed in once.
insert into auth.users (
  instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, last_sign_in_at, raw_app_meta_data, raw_user_meta_data,
  created_at, updated_at)
select '00000000-0000-0000-0000-000000000000', ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'authenticated',
  'authenticated', 'user' || n || '@bench.test', 'HASH', now(), now(), '{"provider": "email", "providers": ["email"]}',
  jsonb_build_object('name', 'User ' || n), now(), now()
from generate_series(0, 4999) as n;

insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
select u.id, u.id, jsonb_build_object('sub', u.id, 'email', u.email, 'email_verified', false, 'phone_verified', false), 'email', now(), now(), now()
from auth.users u;

insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip, refresh_token_counter)
select u.id, u.id, now(), now(), 'aal1', 'plinth-bench', '127.0.0.1', 0
from auth.users u;

insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
select gen_random_uuid(), s.id, now(), now(), 'password' from auth.sessions s where s.user_agent = 'plinth-bench';

analyze auth.users, auth.identities, auth.sessions, auth.mfa_amr_claims;
