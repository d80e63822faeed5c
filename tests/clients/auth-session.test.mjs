// supabase.auth with a password: sign-up, sign-in, the session and its tokens, the user, and what rows they see.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AuthApiError, AuthWeakPasswordError } from '@supabase/supabase-js';
import { address, backend, browser, database, ok, password, project, sandbox, signedUp } from './harness.mjs';

const on = await sandbox('auth-on');
const closed = await sandbox('auth-closed');
const off = await sandbox('auth-off');

/** Code, status and words of an error that must be there, as auth-js has understood it. */
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return { code: error.code, status: error.status, message: error.message };
};
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
const isTime = (text) => assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);

test('who signs up is signed in, with everything that clients read of a user and a session', async () => {
  const email = address();
  const { client, user, session } = await signedUp(on, { email, options: { data: { name: 'Nina', likes: ['tea'] } } });
  assert.equal(session.token_type, 'bearer');
  assert.equal(session.expires_in, 3600);
  assert.ok(Math.abs(session.expires_at - Date.now() / 1000 - 3600) < 10);
  assert.equal(typeof session.refresh_token, 'string');
  assert.deepEqual([user.email, user.phone, user.aud, user.role, user.is_anonymous], [email, '', 'authenticated', 'authenticated', false]);
  assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] });
  assert.deepEqual(user.user_metadata.likes, ['tea']);
  for (const time of ['created_at', 'updated_at', 'last_sign_in_at', 'email_confirmed_at', 'confirmed_at']) isTime(user[time]);
  assert.equal(user.identities.length, 1);
  const [identity] = user.identities;
  assert.deepEqual([identity.provider, identity.id, identity.user_id, identity.identity_data.email], ['email', user.id, user.id, email]);
  assert.match(identity.identity_id, /^[0-9a-f-]{36}$/);

  assert.deepEqual(ok(await client.auth.getUser()).user.user_metadata.likes, ['tea']);
  const { claims, header } = ok(await client.auth.getClaims());
  assert.equal(header.alg, 'HS256');
  assert.deepEqual([claims.sub, claims.email, claims.phone, claims.role, claims.aud, claims.aal], [user.id, email, '', 'authenticated', 'authenticated', 'aal1']);
  assert.deepEqual(claims.amr.map(({ method }) => method), ['password']);
  assert.equal(claims.iss, `${on.API_URL}/auth/v1`);
  assert.match(claims.session_id, /^[0-9a-f-]{36}$/);
});

test('a password signs in again, a wrong one and an unknown address do not, in the same words', async () => {
  const { user } = await signedUp(on);
  const client = browser(on);
  const again = ok(await client.auth.signInWithPassword({ email: user.email.toUpperCase(), password }));
  assert.equal(again.user.id, user.id);
  assert.ok(again.weak_password === undefined || again.weak_password === null);
  const wrong = failed(await browser(on).auth.signInWithPassword({ email: user.email, password: 'wrong' }));
  const unknown = failed(await browser(on).auth.signInWithPassword({ email: address(), password }));
  assert.deepEqual(wrong, { code: 'invalid_credentials', status: 400, message: 'Invalid login credentials' });
  assert.deepEqual(unknown, wrong);
});

test('refusals of a sign-up have the codes and words that apps look for', async () => {
  const { user } = await signedUp(on);
  const signUp = (credentials, of = on) => browser(of).auth.signUp({ email: address(), password, ...credentials });
  const taken = await signUp({ email: user.email });
  assert.deepEqual(failed(taken), { code: 'user_already_exists', status: 422, message: 'User already registered' });
  assert.deepEqual([taken.data.user, taken.data.session], [null, null]);
  const weak = (await signUp({ password: '123' })).error;
  assert.ok(weak instanceof AuthWeakPasswordError);
  assert.match(weak.message, /Password should be at least 6 characters/);
  assert.deepEqual(weak.reasons, ['length']);
  for (const email of ['a', 'xx:;x@x.x', 'a@b@c', `${'a'.repeat(250)}@example.com`]) {
    const { code, message } = failed(await signUp({ email }));
    assert.equal(code, 'validation_failed', email);
    assert.match(message, /Unable to validate email address/, email);
  }
  assert.equal(failed(await signUp({ password: '' })).status, 400);
  assert.equal(failed(await signUp({ password: 'x'.repeat(73) })).code, 'validation_failed');
  const { error } = await signUp({}, closed);
  assert.ok(error instanceof AuthApiError);
  assert.deepEqual([error.code, error.message], ['signup_disabled', 'Signups not allowed for this instance']);
  assert.ok(ok(await signUp({ options: { emailRedirectTo: 'nina@example.com' } })).session, 'a bad address to go to is no error');
});

test('a signed-in user reads and writes own rows through the same client, and nobody else\'s', async () => {
  const [nina, otto] = [await signedUp(on), await signedUp(on)];
  assert.equal(ok(await nina.client.from('notes').insert({ content: 'mine' }).select('user_id').single()).user_id, nina.user.id);
  ok(await otto.client.from('notes').insert({ content: 'his' }));
  assert.deepEqual(ok(await nina.client.from('notes').select('content')), [{ content: 'mine' }]);
  assert.equal((await nina.client.from('notes').insert({ content: 'x', user_id: otto.user.id })).error.code, '42501');
  assert.deepEqual(ok(await otto.client.from('notes').delete().eq('user_id', nina.user.id).select('id')), []);
  await nina.client.auth.signOut();
  const after = await nina.client.from('notes').select('content');
  assert.ok(after.error?.code === '42501' || after.data.length === 0, 'a signed-out client is a visitor');
  assert.deepEqual(ok(await otto.client.from('notes').select('content')), [{ content: 'his' }]);
});

test('a refresh gives another pair, the new access token works, and a second client keeps its own session', async () => {
  const { client, session } = await signedUp(on);
  const { session: next } = ok(await client.auth.refreshSession());
  assert.notEqual(next.refresh_token, session.refresh_token);
  assert.equal(claimsOf(next.access_token).session_id, claimsOf(session.access_token).session_id);
  assert.deepEqual(claimsOf(next.access_token).amr.map(({ method }) => method), ['password']);
  ok(await client.from('notes').insert({ content: 'after' }));
  const given = browser(on);
  assert.equal(ok(await given.auth.setSession(next)).user.id, next.user.id);
  ok(await given.auth.updateUser({ data: { hello: 'world' } }));
  assert.equal(ok(await client.auth.getUser()).user.user_metadata.hello, 'world');
});

test('two tabs that refresh at once both stay signed in; one client asks once for many', async () => {
  const { client, session } = await signedUp(on);
  const tabs = [browser(on), browser(on)];
  const answers = await Promise.all(tabs.map((tab) => tab.auth.refreshSession({ refresh_token: session.refresh_token })));
  const users = answers.map((answer) => ok(answer).user.id);
  assert.deepEqual(users, [session.user.id, session.user.id]);
  for (const tab of tabs) {
    ok(await tab.auth.getUser());
    ok(await tab.auth.refreshSession());
  }
  const many = await Promise.all(Array.from({ length: 5 }, () => client.auth.refreshSession()));
  assert.equal(new Set(many.map((answer) => ok(answer).session.refresh_token)).size, 1);
});

test('a replaced refresh token that comes back too late ends the session of whoever has it', async () => {
  const { client, session } = await signedUp(on);
  ok(await client.auth.refreshSession());
  ok(await client.auth.refreshSession());
  await database(on, (db) => db.query(`update auth.sessions set refreshed_at = now() - interval '1 minute',
    updated_at = now() - interval '1 minute' where id = $1`, [claimsOf(session.access_token).session_id]));
  const stolen = failed(await browser(on).auth.refreshSession({ refresh_token: session.refresh_token }));
  assert.equal(stolen.code, 'refresh_token_already_used');
  assert.match(stolen.message, /^Invalid Refresh Token: Already Used/);
  assert.equal((await client.auth.refreshSession()).error.name, 'AuthSessionMissingError');
});

test('refresh tokens that are none are refused in words that clients look for', async () => {
  for (const [token, words] of [['invalid-refresh-token', /Invalid Refresh Token: Refresh Token Not Found/],
    ['expired-refresh-token', /Invalid Refresh Token/]]) {
    const { code, status, message } = failed(await browser(on).auth.refreshSession({ refresh_token: token }));
    assert.deepEqual([code, status], ['refresh_token_not_found', 400]);
    assert.match(message, words);
  }
  const { session } = await signedUp(await project('chatbot'));
  assert.equal(failed(await browser(on).auth.refreshSession(session)).code, 'refresh_token_not_found', 'another project\'s');
});

test('an expired session in the storage is refreshed when the client begins', async () => {
  const { session } = await signedUp(on);
  const kept = JSON.stringify({ ...session, expires_at: Math.floor(Date.now() / 1000) - 100 });
  const client = browser(on, { storage: { getItem: () => kept, setItem() {}, removeItem() {} } });
  const { session: found } = ok(await client.auth.getSession());
  assert.equal(found.user.id, session.user.id);
  assert.notEqual(found.refresh_token, session.refresh_token);
});

test('onAuthStateChange tells of signing in, refreshing, changing and signing out', async () => {
  const client = browser(on);
  const events = [];
  const { data: { subscription } } = client.auth.onAuthStateChange((event, session) => {
    events.push(`${event} ${session?.user.email ?? 'nobody'}`);
  });
  const email = address();
  ok(await client.auth.signUp({ email, password }));
  ok(await client.auth.refreshSession());
  ok(await client.auth.updateUser({ data: { a: 1 } }));
  ok(await client.auth.signOut());
  await sleep(10);
  subscription.unsubscribe();
  assert.deepEqual(events, ['INITIAL_SESSION nobody', `SIGNED_IN ${email}`, `TOKEN_REFRESHED ${email}`, `USER_UPDATED ${email}`, 'SIGNED_OUT nobody']);
});

test('signing out ends this session, the others or all of them', async () => {
  const { client: first, user } = await signedUp(on);
  const enter = async () => {
    const client = browser(on);
    ok(await client.auth.signInWithPassword({ email: user.email, password }));
    return client;
  };
  const lives = async (client) => {
    const { data: { session } } = await client.auth.getSession();
    return session !== null && (await client.auth.getUser(session.access_token)).error === null;
  };
  const [second, third] = [await enter(), await enter()];
  const token = (await second.auth.getSession()).data.session;
  ok(await second.auth.signOut({ scope: 'local' }));
  assert.deepEqual([await lives(first), await lives(second), await lives(third)], [true, false, true]);
  const gone = await second.auth.getUser(token.access_token);
  assert.equal(gone.error.name, 'AuthSessionMissingError', 'the token outlived its session');
  assert.equal((await browser(on).auth.refreshSession(token)).error.name, 'AuthSessionMissingError');

  const fourth = await enter();
  ok(await first.auth.signOut({ scope: 'others' }));
  assert.deepEqual([await lives(first), await lives(third), await lives(fourth)], [true, false, false]);
  const fifth = await enter();
  ok(await first.auth.signOut());
  assert.deepEqual([await lives(first), await lives(fifth)], [false, false]);
  assert.equal((await first.auth.getUser()).data.user, null);
  ok(await first.auth.signOut());
});

test('signing out the token of somebody who is gone is no error', async () => {
  const { client, user } = await signedUp(on);
  ok(await backend(on).auth.admin.deleteUser(user.id));
  ok(await client.auth.signOut());
});

test('updateUser changes metadata and the password, which ends other sessions', async () => {
  const { client, user } = await signedUp(on, { options: { data: { keep: 1, drop: 2 } } });
  const other = browser(on);
  ok(await other.auth.signInWithPassword({ email: user.email, password }));
  const { user: changed } = ok(await client.auth.updateUser({ data: { drop: null, add: { deep: true } } }));
  const { keep, drop, add } = changed.user_metadata;
  assert.deepEqual([keep, drop, add], [1, undefined, { deep: true }]);
  assert.equal(failed(await client.auth.updateUser({ password })).code, 'same_password');
  assert.equal(failed(await client.auth.updateUser({ password: '123' })).code, 'weak_password');
  assert.ok(failed(await client.auth.updateUser({ email: 'invalid-email' })).status < 500);
  ok(await client.auth.updateUser({ password: '123e5a' }));
  ok(await browser(on).auth.signInWithPassword({ email: user.email, password: '123e5a' }));
  assert.equal(failed(await browser(on).auth.signInWithPassword({ email: user.email, password })).code, 'invalid_credentials');
  ok(await client.auth.getUser());
  assert.equal((await other.auth.refreshSession()).data.session, null, 'the other session is over');
  assert.equal(failed(await client.auth.updateUser({ app_metadata: { role: 'admin' } })).code, 'not_admin');
});

test('anonymous people have rows, and become users by an address and a password', async () => {
  const client = browser(on);
  const { user, session } = ok(await client.auth.signInAnonymously({ options: { data: { seen: 'tour' } } }));
  assert.deepEqual([user.is_anonymous, user.role, user.email, user.user_metadata], [true, 'authenticated', '', { seen: 'tour' }]);
  assert.equal(claimsOf(session.access_token).is_anonymous, true);
  assert.deepEqual(claimsOf(session.access_token).amr.map(({ method }) => method), ['anonymous']);
  ok(await client.from('notes').insert({ content: 'before' }));
  assert.equal(failed(await client.auth.updateUser({ password })).code, 'validation_failed');
  const email = address();
  const { user: named } = ok(await client.auth.updateUser({ email }));
  assert.deepEqual([named.id, named.email, named.is_anonymous], [user.id, email, false]);
  ok(await client.auth.updateUser({ password }));
  const later = browser(on);
  ok(await later.auth.signInWithPassword({ email, password }));
  assert.deepEqual(ok(await later.from('notes').select('content')), [{ content: 'before' }]);
  assert.match(failed(await browser(off).auth.signInAnonymously()).message, /Anonymous sign-ins are disabled/);
});

test('a phone with a password signs up and in where numbers need no confirmation', async () => {
  const phone = `1${String(Date.now()).slice(-10)}`;
  const { user } = ok(await browser(on).auth.signUp({ phone, password }));
  assert.deepEqual([user.phone, user.email, user.app_metadata.provider], [phone, '', 'phone']);
  isTime(user.phone_confirmed_at);
  assert.equal(ok(await browser(on).auth.signInWithPassword({ phone, password })).user.phone, phone);
  for (const unknown of ['+34123', '+123456789']) {
    const { status } = failed(await browser(on).auth.signInWithPassword({ phone: unknown, password }));
    assert.ok(status >= 400 && status < 500, unknown);
  }
});
