// supabase.auth.mfa: authenticator apps and security keys as second factors, and what tokens and rows say of them.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { backend, browser, database, ok, password, sandbox, signedUp } from './harness.mjs';
import { Authenticator } from './lib/authenticator.mjs';
import { totp } from './lib/totp.mjs';

const on = await sandbox('auth-on');
const { admin } = backend(on).auth;
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return [error.status, error.code];
};
const levels = async (client) => {
  const { currentLevel, nextLevel } = ok(await client.auth.mfa.getAuthenticatorAssuranceLevel());
  return [currentLevel, nextLevel];
};
const methods = async (client) => ok(await client.auth.getClaims()).claims.amr.map(({ method }) => method).sort();

/** Somebody whose session has passed an authenticator app. */
async function withApp() {
  const { client, user } = await signedUp(on);
  const { id, totp: { secret } } = ok(await client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' }));
  ok(await client.auth.mfa.challengeAndVerify({ factorId: id, code: totp(secret) }));
  return { client, user, factorId: id, secret };
}

test('an authenticator app is enrolled, challenged, verified, and lifts the session', async () => {
  const { client, user, session } = await signedUp(on);
  const other = browser(on);
  ok(await other.auth.signInWithPassword({ email: user.email, password }));
  const factor = ok(await client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone', issuer: 'Harbour' }));
  assert.deepEqual([factor.type, factor.friendly_name], ['totp', 'phone']);
  assert.match(factor.totp.qr_code, /^data:image\/svg\+xml;utf-8,<(\?xml|svg)/);
  assert.match(factor.totp.secret, /^[A-Z2-7]+$/);
  const uri = new URL(factor.totp.uri);
  assert.deepEqual([uri.protocol, uri.host, uri.searchParams.get('secret'), uri.searchParams.get('issuer')], ['otpauth:', 'totp', factor.totp.secret, 'Harbour']);
  assert.deepEqual(await levels(client), ['aal1', 'aal1']);
  assert.deepEqual(failed(await client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'phone' })), [422, 'mfa_factor_name_conflict']);

  const challenge = ok(await client.auth.mfa.challenge({ factorId: factor.id }));
  assert.equal(challenge.type, 'totp');
  assert.ok(challenge.expires_at > Date.now() / 1000 && Number.isInteger(challenge.expires_at));
  const verify = (code) => client.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, code });
  const wrong = totp(factor.totp.secret) === '123456' ? '654321' : '123456';
  const refused = await verify(wrong);
  assert.deepEqual([...failed(refused), refused.data], [422, 'mfa_verification_failed', null]);
  assert.match(refused.error.message, /Invalid TOTP code/);
  const events = [];
  client.auth.onAuthStateChange((event) => { events.push(event); });
  const lifted = ok(await verify(totp(factor.totp.secret)));
  assert.deepEqual([lifted.token_type, lifted.user.id, typeof lifted.refresh_token], ['bearer', user.id, 'string']);
  assert.ok(events.includes('MFA_CHALLENGE_VERIFIED'));

  assert.deepEqual(await levels(client), ['aal2', 'aal2']);
  assert.deepEqual(await methods(client), ['password', 'totp']);
  const { all, totp: verified } = ok(await client.auth.mfa.listFactors());
  assert.deepEqual([all.length, verified[0].id, verified[0].status], [1, factor.id, 'verified']);
  ok(await client.auth.refreshSession());
  assert.deepEqual(await levels(client), ['aal2', 'aal2'], 'it lasts');
  assert.ok((await browser(on).auth.refreshSession({ refresh_token: session.refresh_token })).error, 'the token before is used up');
  assert.equal((await other.auth.refreshSession()).data.session, null, 'sessions below it are over');
});

test('who has a factor enters at the lower level, where rows and settings can wait for the higher one', async (t) => {
  await database(on, (db) => db.query(`create policy second on public.notes as restrictive for insert to authenticated
    with check (content <> 'secret' or auth.jwt() ->> 'aal' = 'aal2')`));
  t.after(() => database(on, (db) => db.query('drop policy second on public.notes')));
  const { user, secret, factorId } = await withApp();
  const client = browser(on);
  ok(await client.auth.signInWithPassword({ email: user.email, password }));
  assert.deepEqual(await levels(client), ['aal1', 'aal2']);
  ok(await client.from('notes').insert({ content: 'plain' }));
  assert.equal((await client.from('notes').insert({ content: 'secret' })).error.code, '42501');
  assert.deepEqual(failed(await client.auth.updateUser({ password: 'something new' })), [401, 'insufficient_aal']);
  assert.deepEqual(failed(await client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'two' })), [403, 'insufficient_aal']);
  assert.deepEqual(failed(await client.auth.mfa.unenroll({ factorId })), [422, 'insufficient_aal']);
  // The code before was used to enrol.
  ok(await client.auth.mfa.challengeAndVerify({ factorId, code: totp(secret, 1) }));
  ok(await client.from('notes').insert({ content: 'secret' }));
  assert.deepEqual(ok(await client.auth.mfa.unenroll({ factorId })), { id: factorId });
  assert.equal(ok(await client.auth.mfa.listFactors()).all.length, 0);
  ok(await client.auth.refreshSession());
  assert.deepEqual((await levels(client))[1], 'aal1');
});

test('a code works once, a factor that was not verified can go, and strangers have none', async () => {
  const { client, factorId, secret } = await withApp();
  assert.deepEqual(failed(await client.auth.mfa.challengeAndVerify({ factorId, code: totp(secret) })), [422, 'mfa_verification_failed']);
  const second = ok(await client.auth.mfa.enroll({ factorType: 'totp', friendlyName: 'spare' }));
  assert.deepEqual(ok(await client.auth.mfa.unenroll({ factorId: second.id })), { id: second.id });

  const { client: stranger } = await signedUp(on);
  assert.ok(failed(await stranger.auth.mfa.challenge({ factorId }))[0] < 500);
  assert.deepEqual(failed(await stranger.auth.mfa.unenroll({ factorId })), [404, 'mfa_factor_not_found']);
  const out = await browser(on).auth.mfa.enroll({ factorType: 'totp' });
  assert.match(out.error.message, /Bearer token|sub claim|session missing/i);
  for (const ask of [browser(on).auth.mfa.challenge({ factorId: 'test-factor-id' }), browser(on).auth.mfa.unenroll({ factorId: 'test-factor-id' }),
    browser(on).auth.mfa.verify({ factorId: 'test-factor-id', challengeId: 'x', code: '123456' })]) {
    const [status] = failed(await ask);
    assert.ok(status >= 400 && status < 500);
  }
});

test('administrators see the factors and take them away', async () => {
  const { user, factorId } = await withApp();
  const { factors: [factor] } = ok(await admin.mfa.listFactors({ userId: user.id }));
  assert.deepEqual([factor.id, factor.friendly_name, factor.factor_type, factor.status], [factorId, 'phone', 'totp', 'verified']);
  assert.ok(!JSON.stringify(factor).includes('secret'));
  assert.equal(ok(ok(await admin.mfa.deleteFactor({ id: factorId, userId: user.id }))).id, factorId);
  assert.deepEqual(ok(await admin.mfa.listFactors({ userId: user.id })).factors, []);
  assert.equal(failed(await admin.mfa.listFactors({ userId: randomUUID() }))[0], 404);
  assert.equal(failed(await admin.mfa.deleteFactor({ id: randomUUID(), userId: user.id }))[0], 404);
});

test('a security key is a second factor as well', async () => {
  const { client, user } = await signedUp(on);
  const key = await Authenticator.make({ rpId: 'localhost', origin: 'http://localhost:5173' });
  const webauthn = { rpId: 'localhost', rpOrigins: ['http://localhost:5173'] };
  const factor = ok(await client.auth.mfa.enroll({ factorType: 'webauthn', friendlyName: 'key' }));
  assert.equal(factor.type, 'webauthn');
  const pass = async (by, quirks) => {
    const challenge = ok(await by.auth.mfa.challenge({ factorId: factor.id, webauthn }));
    const { type, credential_options } = challenge.webauthn;
    const credential_response = type === 'create' ? await key.create(credential_options, quirks) : await key.get(credential_options, quirks);
    return by.auth.mfa.verify({ factorId: factor.id, challengeId: challenge.id, webauthn: { ...webauthn, type, credential_response } });
  };
  assert.ok((await pass(client, { origin: 'https://evil.example' })).error);
  assert.equal(ok(await pass(client)).user.id, user.id);
  assert.deepEqual([await levels(client), await methods(client)], [['aal2', 'aal2'], ['mfa/webauthn', 'password']]);

  const later = browser(on);
  ok(await later.auth.signInWithPassword({ email: user.email, password }));
  assert.ok((await pass(later, { badSignature: true })).error);
  ok(await pass(later));
  assert.deepEqual(await levels(later), ['aal2', 'aal2']);
});
