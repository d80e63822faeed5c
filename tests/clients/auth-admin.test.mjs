// supabase.auth.admin with the secret key: users, pages of them, bans, and other people's sessions.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { createClient } from '@supabase/supabase-js';
import { address, backend, browser, ok, password, sandbox, sign, signedUp } from './harness.mjs';
import { noMailTo } from './lib/inbox.mjs';

const on = await sandbox('auth-on');
const { admin } = backend(on).auth;
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return [error.status, error.code];
};

test('a user is created as told, read, changed and deleted', async () => {
  const email = address();
  const { user } = ok(await admin.createUser({ email, password, user_metadata: {}, app_metadata: { roles: ['editor'] } }));
  assert.deepEqual([user.email, user.user_metadata, user.email_confirmed_at], [email, {}, undefined]);
  assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'], roles: ['editor'] });
  assert.deepEqual(ok(await admin.getUserById(user.id)).user.id, user.id);
  assert.deepEqual(failed(await browser(on).auth.signInWithPassword({ email, password })), [400, 'email_not_confirmed']);

  const changed = ok(await admin.updateUserById(user.id, { email_confirm: true, email: `new_${email}`, user_metadata: { a: 1 }, app_metadata: { roles: ['admin'] } })).user;
  assert.deepEqual([changed.email, changed.user_metadata.a, changed.app_metadata.roles], [`new_${email}`, 1, ['admin']]);
  assert.match(changed.email_confirmed_at, /^\d{4}-/);
  const client = browser(on);
  ok(await client.auth.signInWithPassword({ email: `new_${email}`, password }));
  assert.deepEqual(ok(await client.auth.getClaims()).claims.app_metadata.roles, ['admin']);
  await noMailTo(email);

  ok(await admin.deleteUser(user.id));
  assert.deepEqual(failed(await admin.getUserById(user.id)), [404, 'user_not_found']);
  assert.deepEqual(failed(await admin.updateUserById(user.id, { email })), [404, 'user_not_found']);
  assert.deepEqual(failed(await admin.deleteUser(user.id)), [404, 'user_not_found']);
  assert.equal((await client.auth.getUser()).data.user, null);
});

test('what cannot be created is refused', async () => {
  const { user } = await signedUp(on);
  assert.deepEqual(failed(await admin.createUser({ email: user.email, password })), [422, 'email_exists']);
  assert.deepEqual(failed(await admin.createUser({ password })), [400, 'validation_failed']);
  assert.deepEqual(failed(await admin.createUser({ email: 'xx:;x@x.x', password })), [400, 'validation_failed']);
  assert.deepEqual(failed(await admin.createUser({ email: address(), password: '123' })), [422, 'weak_password']);
  assert.deepEqual(failed(await admin.getUserById(randomUUID())), [404, 'user_not_found']);
  await assert.rejects(admin.getUserById('x'));
});

test('hashes of passwords from elsewhere sign in', async () => {
  const email = address();
  const password_hash = '$2b$04$abcdefghijklmnopqrstuu7EJV7kdjBBQxyb0HjTh9KS7.Lah/6CG'; // bcrypt
  ok(await admin.createUser({ email, password_hash, email_confirm: true }));
  ok(await browser(on).auth.signInWithPassword({ email, password }));
});

test('users come in pages, the newest first', async () => {
  const made = [];
  for (let count = 0; count < 3; count += 1) made.push(ok(await admin.createUser({ email: address('page') })).user.id);
  const first = ok(await admin.listUsers());
  assert.ok(first.users.some(({ id }) => id === made[2]) && first.aud === 'authenticated');
  const page = async (number) => ok(await admin.listUsers({ page: number, perPage: 2 }));
  const [one, two] = [await page(1), await page(2)];
  assert.deepEqual([...one.users, ...two.users].slice(0, 3).map(({ id }) => id), made.toReversed());
  assert.deepEqual([one.nextPage, two.nextPage, one.lastPage], [2, 3, Math.ceil(one.total / 2)]);
  assert.ok(one.users.every(({ user_metadata, app_metadata, aud, created_at }) => user_metadata && app_metadata && aud && created_at));
  const wrong = await admin.listUsers({ page: -1 });
  assert.deepEqual([wrong.error.status, wrong.data.users], [400, []]);
});

test('who is banned neither enters nor stays', async () => {
  const { client, user } = await signedUp(on);
  const banned = ok(await admin.updateUserById(user.id, { ban_duration: '24h' })).user;
  assert.ok(new Date(banned.banned_until) > new Date());
  assert.deepEqual(failed(await browser(on).auth.signInWithPassword({ email: user.email, password })), [400, 'user_banned']);
  assert.deepEqual(failed(await client.auth.refreshSession()), [400, 'user_banned']);
  assert.deepEqual(failed(await client.auth.getUser(sign(on, user))), [403, 'user_banned']);
  ok(await admin.updateUserById(user.id, { ban_duration: 'none' }));
  ok(await browser(on).auth.signInWithPassword({ email: user.email, password }));
});

test('a user that is kept though deleted is nobody any more', async () => {
  const { client, user } = await signedUp(on);
  ok(await admin.deleteUser(user.id, true));
  assert.equal((await client.auth.getUser()).data.user, null);
  assert.deepEqual(failed(await browser(on).auth.signInWithPassword({ email: user.email, password })), [400, 'invalid_credentials']);
  ok(await browser(on).auth.signUp({ email: user.email, password }));
});

test('an administrator ends somebody\'s sessions by a token of theirs', async () => {
  const { client, session } = await signedUp(on);
  ok(await admin.signOut(session.access_token));
  assert.equal((await client.auth.getUser()).data.user, null);
  const bad = await admin.signOut('this-is-a-bad-token');
  assert.match(bad.error.message, /^invalid JWT/);
});

test('only servers are administrators', async () => {
  const { client, user } = await signedUp(on);
  assert.deepEqual(failed(await client.auth.admin.listUsers()), [403, 'not_admin']);
  assert.deepEqual(failed(await client.auth.admin.updateUserById(user.id, { role: 'service_role' })), [403, 'not_admin']);
  assert.deepEqual(failed(await browser(on).auth.admin.createUser({ email: address() })), [403, 'not_admin']);
  for (const claims of [{ role: 'service_role', sub: undefined, exp: undefined }, { role: 'supabase_admin', sub: '1234567890', exp: undefined }]) {
    const token = sign(on, { id: undefined }, claims);
    const by = createClient(on.API_URL, on.SECRET_KEY, { auth: { persistSession: false }, global: { headers: { Authorization: `Bearer ${token}` } } });
    ok(await by.auth.admin.listUsers());
  }
});
