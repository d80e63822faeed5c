// Tokens that a key pair signs: verified by whoever has the published key, and no longer when the key is revoked.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { browser, ok, plinth, sandbox, sign, signedUp } from './harness.mjs';

const of = await sandbox('auth-keys');
const run = async (command, ...args) => JSON.parse(await plinth('keys', command, ...args, '--project', of.name, '-o', 'json'));
const published = async () => (await fetch(`${of.API_URL}/auth/v1/.well-known/jwks.json`)).json();
const failed = ({ data, error }) => error ?? assert.fail(`no error, but ${JSON.stringify(data)}`);
const kidOf = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url').toString()).kid;

/** Until the server has heard of a change of the keys. */
async function until(pleases, what) {
  const end = Date.now() + 10_000;
  while (!(await pleases())) {
    if (Date.now() > end) assert.fail(what);
    await sleep(20);
  }
}

/** A new key pair that signs. */
async function rotated(...algorithm) {
  const { kid } = await run('add', ...algorithm);
  await until(async () => (await published()).keys.some((key) => key.kid === kid), 'it is published before it signs');
  await run('rotate', kid);
  await until(async () => kidOf((await signedUp(of)).session.access_token) === kid, 'it signs');
  return kid;
}

test('what a key pair signs is verified by the published key alone, and opens rows', async () => {
  const kid = await rotated();
  const { client, user, session } = await signedUp(of);
  const jwks = await published();
  const key = jwks.keys.find((known) => known.kid === kid);
  assert.deepEqual([key.kty, key.alg, key.key_ops, key.d], ['EC', 'ES256', ['verify'], undefined]);
  const asked = [];
  const verifier = browser(of, { fetch: (url) => { asked.push(url); throw new Error('asked'); } });
  const { claims, header } = ok(await verifier.auth.getClaims(session.access_token, { jwks }));
  assert.deepEqual([claims.email, header.kid, header.alg, asked], [user.email, kid, 'ES256', []]);
  ok(await client.auth.getClaims());
  ok(await client.from('notes').insert({ content: 'mine' }));
  assert.deepEqual(ok(await client.from('notes').select('content')), [{ content: 'mine' }]);
});

test('tokens that are forged, stale or of nobody are refused', async () => {
  const { user } = await signedUp(of);
  const visitor = browser(of);
  const forged = sign({ JWT_SECRET: 'not the secret' }, { id: '1234567890', email: 'x@example.com' });
  assert.match(failed(await visitor.auth.getClaims(forged)).message, /unable to parse or verify signature/);
  assert.match(failed(await visitor.auth.getUser(sign(of, user, { exp: 1 }))).message, /^invalid JWT/);
  assert.equal(failed(await visitor.auth.getUser(sign(of, { id: randomUUID(), email: 'x@example.com' }))).code, 'user_not_found');
});

test('keys of every kind sign; the one before still verifies until it is revoked', async () => {
  const first = await rotated('--algorithm', 'eddsa');
  const before = await signedUp(of);
  assert.equal(kidOf(before.session.access_token), first);
  ok(await before.client.auth.getUser());
  const second = await rotated('--algorithm', 'rs256');
  const after = await signedUp(of);
  assert.equal(kidOf(after.session.access_token), second);
  assert.equal(ok(await after.client.auth.getClaims()).header.alg, 'RS256');
  for (const { client } of [before, after]) ok(await client.from('notes').insert({ content: 'x' }));

  await run('revoke', first);
  await until(async () => (await before.client.from('notes').select('id')).error, 'its tokens open nothing');
  assert.ok((await before.client.auth.getUser()).error);
  assert.ok((await published()).keys.every((key) => key.kid !== first));
  ok(await before.client.auth.refreshSession());
  ok(await before.client.from('notes').select('id'));
});
