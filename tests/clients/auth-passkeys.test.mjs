// supabase.auth.passkey with an authenticator in software: registered, listed, named, signed in with, taken away.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { backend, browser, ok, sandbox, signedUp } from './harness.mjs';
import { Authenticator } from './lib/authenticator.mjs';

const on = await sandbox('auth-on');
const experimental = { experimental: { passkey: true } };
const { admin } = backend(on, { auth: { persistSession: false, autoRefreshToken: false, ...experimental } }).auth;
const authenticator = (quirks) => Authenticator.make({ rpId: 'localhost', origin: 'http://localhost:5173', ...quirks });
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return [error.status, error.code];
};

async function register(client, key, quirks) {
  const { challenge_id, options } = ok(await client.auth.passkey.startRegistration());
  return client.auth.passkey.verifyRegistration({ challengeId: challenge_id, credential: await key.create(options, quirks) });
}

async function signIn(client, key, quirks) {
  const { challenge_id, options } = ok(await client.auth.passkey.startAuthentication());
  const params = { challengeId: challenge_id, credential: await key.get(options, quirks) };
  return { params, answer: await client.auth.passkey.verifyAuthentication(params) };
}

test('a passkey is registered, signs in without a password, and says when it was last used', async () => {
  const { client, user } = await signedUp(on, { auth: experimental });
  const { challenge_id, options, expires_at } = ok(await client.auth.passkey.startRegistration());
  assert.match(challenge_id, /^[0-9a-f-]{36}$/);
  assert.ok(expires_at > Date.now() / 1000);
  assert.deepEqual([options.rp.id, options.authenticatorSelection.residentKey, typeof options.challenge, typeof options.user.id], ['localhost', 'required', 'string', 'string']);
  assert.ok(options.pubKeyCredParams.some(({ alg, type }) => alg === -7 && type === 'public-key'));
  ok(await client.auth.passkey.startRegistration()); // left alone
  const key = await authenticator();
  const made = ok(await client.auth.passkey.verifyRegistration({ challengeId: challenge_id, credential: await key.create(options) }));
  assert.match(made.id, /^[0-9a-f-]{36}$/);
  const [listed] = ok(await client.auth.passkey.list());
  assert.deepEqual([listed.id, listed.last_used_at], [made.id, undefined]);

  const later = browser(on, experimental);
  const { options: request } = ok(await later.auth.passkey.startAuthentication());
  assert.equal((request.allowCredentials ?? []).length, 0);
  const { answer } = await signIn(later, key);
  assert.equal(ok(answer).session.user.id, user.id);
  const { claims } = ok(await later.auth.getClaims());
  assert.deepEqual([claims.amr.map(({ method }) => method), claims.aal], [['passkey'], 'aal1']);
  ok(await later.from('notes').insert({ content: 'in' }));
  assert.match(ok(await later.auth.passkey.list())[0].last_used_at, /^\d{4}-/);

  assert.equal(ok(await client.auth.passkey.update({ passkeyId: made.id, friendlyName: 'Laptop' })).friendly_name, 'Laptop');
  assert.equal(failed(await client.auth.passkey.update({ passkeyId: randomUUID(), friendlyName: 'x' }))[0], 404);
  ok(await client.auth.passkey.delete({ passkeyId: made.id }));
  assert.deepEqual(ok(await client.auth.passkey.list()), []);
  assert.deepEqual(failed((await signIn(browser(on, experimental), key)).answer), [400, 'webauthn_verification_failed']);
});

test('a challenge works once, and only for what was signed for this site by a key that is known', async () => {
  const { client, user } = await signedUp(on, { auth: experimental });
  const key = await authenticator();
  ok(await register(client, key));
  const visitor = browser(on, experimental);
  const { params, answer } = await signIn(visitor, key);
  ok(answer);
  assert.equal(failed(await visitor.auth.passkey.verifyAuthentication(params))[1], 'webauthn_challenge_not_found');
  assert.equal(failed(await visitor.auth.passkey.verifyAuthentication({ ...params, challengeId: '00000000-0000-0000-0000-000000000000' }))[1], 'webauthn_challenge_not_found');
  for (const quirks of [{ origin: 'https://evil.example' }, { rpId: 'evil.example' }, { badSignature: true }, { userUnverified: true },
    { userAbsent: true }, { otherCeremony: true }, { challenge: 'AAAA' }]) {
    assert.deepEqual(failed((await signIn(browser(on, experimental), key, quirks)).answer), [400, 'webauthn_verification_failed'], JSON.stringify(quirks));
  }
  const unknown = await authenticator({ userHandle: Buffer.from(user.id).toString('base64url') });
  assert.deepEqual(failed((await signIn(browser(on, experimental), unknown)).answer), [400, 'webauthn_verification_failed']);
  assert.equal(failed(await register(client, await authenticator(), { origin: 'https://evil.example' }))[1], 'webauthn_verification_failed');
});

test('administrators see passkeys and take them away; strangers see none', async () => {
  const { client, user } = await signedUp(on, { auth: experimental });
  const { id } = ok(await register(client, await authenticator()));
  assert.deepEqual(ok(await admin.passkey.listPasskeys({ userId: user.id })).map((passkey) => passkey.id), [id]);
  const stranger = await signedUp(on, { auth: experimental });
  assert.equal(failed(await stranger.client.auth.passkey.delete({ passkeyId: id }))[0], 404);
  assert.deepEqual(ok(await stranger.client.auth.passkey.list()), []);
  assert.equal((await admin.passkey.deletePasskey({ userId: user.id, passkeyId: id })).error, null);
  assert.deepEqual(ok(await client.auth.passkey.list()), []);
});
