// supabase.auth.admin: links that an administrator hands out, and invitations.
import assert from 'node:assert/strict';
import test from 'node:test';
import { address, backend, browser, ok, password, sandbox } from './harness.mjs';
import { follow, mailTo, noMailTo } from './lib/inbox.mjs';

const on = await sandbox('auth-on');
const off = await sandbox('auth-off');
const { admin } = backend(on).auth;
const home = 'http://127.0.0.1:3000/welcome';
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return [error.status, error.code];
};

test('links without mails: sign-up, invitation, magic link, recovery and both halves of a change of address', async () => {
  const link = async (params) => ok(await admin.generateLink({ options: { redirectTo: 'http://localhost:9999/welcome' }, ...params }));
  const enters = async (properties, type) => ok(await browser(on).auth.verifyOtp({ token_hash: properties.hashed_token, type })).user;

  const email = address();
  const signUp = await admin.generateLink({ type: 'signup', email, password, options: { data: { a: 1 }, redirectTo: 'http://localhost:9999/welcome' } });
  const { user, properties } = ok(signUp);
  assert.deepEqual([user.user_metadata, properties.verification_type, properties.redirect_to], [{ a: 1 }, 'signup', 'http://localhost:9999/welcome']);
  assert.match(properties.action_link, /\?token=.*type=signup.*redirect_to=http:\/\/localhost:9999\/welcome/);
  assert.ok(properties.action_link.startsWith(`${on.API_URL}/auth/v1/verify?`));
  assert.match(properties.email_otp, /^\d{6}$/);
  assert.equal((await follow(properties.action_link)).fragment.type, 'signup');
  await noMailTo(email);

  assert.equal((await enters((await link({ type: 'magiclink', email })).properties, 'magiclink')).id, user.id);
  const recovery = (await link({ type: 'recovery', email })).properties;
  assert.equal(ok(await browser(on).auth.verifyOtp({ email, token: recovery.email_otp, type: 'recovery' })).user.id, user.id);
  const guest = await link({ type: 'invite', email: address() });
  assert.equal((await enters(guest.properties, 'invite')).id, guest.user.id);
  const unknown = address();
  const made = await link({ type: 'magiclink', email: unknown });
  assert.deepEqual([made.user.email, made.properties.verification_type], [unknown, 'signup']);
  assert.deepEqual(failed(await admin.generateLink({ type: 'recovery', email: address() })), [404, 'user_not_found']);
  assert.deepEqual(failed(await admin.generateLink({ type: 'signup', email: 'xx:;x@x.x', password })), [400, 'validation_failed']);

  const newEmail = address('nina-new');
  const current = await link({ type: 'email_change_current', email, newEmail });
  assert.deepEqual([current.user.new_email, current.properties.verification_type], [newEmail, 'email_change_current']);
  assert.match(current.properties.action_link, /type=email_change&/);
  const next = await link({ type: 'email_change_new', email, newEmail });
  assert.equal(ok(await browser(on).auth.verifyOtp({ token_hash: current.properties.hashed_token, type: 'email_change' })).session, null);
  assert.equal((await enters(next.properties, 'email_change')).email, newEmail);
});

test('invitations are accepted by their link, and a password chosen', async () => {
  const email = address('guest');
  const { user } = ok(await backend(off).auth.admin.inviteUserByEmail(email, { data: { team: 'red' }, redirectTo: home }));
  assert.match(user.invited_at, /^\d{4}-/);
  const { fragment, to } = await follow((await mailTo(email)).link);
  assert.deepEqual([to, fragment.type], [home, 'invite']);
  const client = browser(off);
  ok(await client.auth.setSession(fragment));
  const { user: now } = ok(await client.auth.updateUser({ password }));
  assert.deepEqual([now.id, now.user_metadata.team], [user.id, 'red']);
  ok(await browser(off).auth.signInWithPassword({ email, password }));
  assert.deepEqual(failed(await backend(off).auth.admin.inviteUserByEmail(email)), [422, 'email_exists']);
  assert.deepEqual(failed(await backend(off).auth.admin.inviteUserByEmail('xx:;x@x.x')), [400, 'validation_failed']);
});
