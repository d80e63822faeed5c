// The project signs its users in for other apps (OAuth 2.1): supabase.auth.admin.oauth, supabase.auth.oauth on the page that asks for
// consent, and the app's own requests by fetch, as a library of its own would send them.
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { address, backend, browser, database, ok, password, plinth, sandbox, visitor } from './harness.mjs';
import { step } from './lib/outside.mjs';

const of = await sandbox('auth-outside');
const { admin } = backend(of).auth;
const base = `${of.API_URL}/auth/v1`;
const callback = 'https://app.example/callback';
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return [error.status, error.code];
};

/** A client of somebody who is signed in, who is a user for the tests of this file. */
async function somebody() {
  const { user } = ok(await admin.createUser({ email: address(), password, email_confirm: true, user_metadata: { name: 'Nina' } }));
  const client = browser(of);
  ok(await client.auth.signInWithPassword({ email: user.email, password }));
  return { client, user };
}

/** An app, which an administrator has registered. */
const app = async (more = {}) => ok(await admin.oauth.createClient({ client_name: 'Ledger', redirect_uris: [callback], ...more }));

/** What an app opens in its user's browser, with what it has to keep until the code comes. */
function request({ client_id }, changes = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const query = new URLSearchParams({ client_id, redirect_uri: callback, response_type: 'code', scope: 'email profile', state: 'of the app',
    code_challenge: challenge, code_challenge_method: 'S256', ...changes });
  return { url: `${base}/oauth/authorize?${query}`, verifier };
}

/** Sends a user; the request's name, for the page that asks, and the verifier. */
async function begin(of, changes) {
  const { url, verifier } = request(of, changes);
  const page = await step(url);
  assert.equal(`${page.origin}${page.pathname}`, 'http://127.0.0.1:3000/oauth/consent');
  return { id: page.searchParams.get('authorization_id'), verifier };
}

/** What the token endpoint answers; an app with a secret proves itself by HTTP's basic authentication. */
async function token({ client_id, client_secret }, form) {
  const basic = Buffer.from(`${client_id}:${client_secret}`).toString('base64');
  const answer = await fetch(`${base}/oauth/token`, {
    method: 'POST',
    headers: client_secret ? { authorization: `Basic ${basic}` } : {},
    body: new URLSearchParams({ ...(client_secret ? {} : { client_id }), ...form }),
  });
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  return { status: answer.status, ...await answer.json() };
}
const refusal = ({ status, error }) => [status, error];
const exchange = (of, code, verifier, more = {}) =>
  token(of, { grant_type: 'authorization_code', code, redirect_uri: callback, code_verifier: verifier, ...more });

/** A code that the user has granted, with its verifier. */
async function granted(of, client, changes) {
  const { id, verifier } = await begin(of, changes);
  const { redirect_url: known } = ok(await client.auth.oauth.getAuthorizationDetails(id));
  const { redirect_url } = known ? { redirect_url: known } : ok(await client.auth.oauth.approveAuthorization(id));
  return { code: new URL(redirect_url).searchParams.get('code'), verifier };
}

/** Tokens of an app for the user. */
async function entered(of, client, changes) {
  const { code, verifier } = await granted(of, client, changes);
  const tokens = await exchange(of, code, verifier, changes?.redirect_uri ? { redirect_uri: changes.redirect_uri } : {});
  assert.equal(tokens.status, 200, JSON.stringify(tokens));
  return tokens;
}

/** The app's own requests with the user's token. */
const by = ({ access_token }) => visitor(of, { global: { headers: { authorization: `Bearer ${access_token}` } } });

test('an administrator registers apps, lists, reads, changes and deletes them, and gives them new secrets', async () => {
  const made = await app({ client_uri: 'https://app.example/', redirect_uris: [callback, 'http://localhost:4000/callback'] });
  const { client_secret: secret, ...shown } = made;
  assert.match(secret, /^.{32,}$/);
  assert.deepEqual([made.client_name, made.client_uri, made.client_type, made.token_endpoint_auth_method, made.registration_type],
    ['Ledger', 'https://app.example/', 'confidential', 'client_secret_basic', 'manual']);
  assert.deepEqual([made.redirect_uris, made.grant_types, made.response_types],
    [[callback, 'http://localhost:4000/callback'], ['authorization_code', 'refresh_token'], ['code']]);
  assert.deepEqual(ok(await admin.oauth.getClient(made.client_id)), shown, 'the secret is told once');

  const second = await app({ token_endpoint_auth_method: 'none' });
  assert.deepEqual([second.client_type, 'client_secret' in second], ['public', false]);
  const page = ok(await admin.oauth.listClients({ page: 1, perPage: 1 }));
  assert.deepEqual([page.clients.length, page.clients[0].client_id, page.nextPage], [1, second.client_id, 2], 'the newest first');
  assert.ok(page.total >= 2 && page.lastPage >= 2);
  const { clients } = ok(await admin.oauth.listClients());
  assert.ok(clients.some((one) => one.client_id === made.client_id) && !JSON.stringify(clients).includes(secret));

  const changed = ok(await admin.oauth.updateClient(made.client_id, { client_name: 'Ledger 2', redirect_uris: [callback] }));
  assert.deepEqual([changed.client_name, changed.redirect_uris, changed.client_uri, 'client_secret' in changed], ['Ledger 2', [callback], 'https://app.example/', false]);
  const next = ok(await admin.oauth.regenerateClientSecret(made.client_id));
  assert.ok(next.client_secret && next.client_secret !== secret);
  assert.deepEqual(failed(await admin.oauth.regenerateClientSecret(second.client_id)), [400, 'validation_failed'], 'it has none');

  assert.equal((await admin.oauth.deleteClient(made.client_id)).error, null);
  for (const answer of [await admin.oauth.getClient(made.client_id), await admin.oauth.deleteClient(randomUUID()), await admin.oauth.updateClient(made.client_id, { client_name: 'x' })]) {
    assert.deepEqual(failed(answer), [404, 'oauth_client_not_found']);
  }
  for (const wrong of [{ redirect_uris: [] }, { redirect_uris: ['http://app.example/'] }, { redirect_uris: ['javascript:alert(1)'] },
    { redirect_uris: ['https://app.example/#x'] }, { grant_types: ['password'] }, { client_type: 'odd' }]) {
    assert.deepEqual(failed(await admin.oauth.createClient({ client_name: 'x', redirect_uris: [callback], ...wrong })), [400, 'validation_failed'], JSON.stringify(wrong));
  }
  const { client } = await somebody();
  assert.deepEqual(failed(await client.auth.admin.oauth.listClients()), [403, 'not_admin']);
});

test('an app is let in by its user: code, tokens, refresh, rows, and what it must not do', async () => {
  const ledger = await app();
  const { client, user } = await somebody();
  ok(await client.from('notes').insert({ content: 'mine' }));
  const { id, verifier } = await begin(ledger);
  assert.deepEqual(ok(await client.auth.oauth.getAuthorizationDetails(id)), { authorization_id: id, redirect_uri: callback,
    client: { id: ledger.client_id, name: 'Ledger' }, user: { id: user.id, email: user.email }, scope: 'email profile' });
  assert.deepEqual(failed(await (await somebody()).client.auth.oauth.getAuthorizationDetails(id)), [404, 'oauth_authorization_not_found'], "it is this user's now");
  const back = new URL(ok(await client.auth.oauth.approveAuthorization(id)).redirect_url);
  assert.deepEqual([`${back.origin}${back.pathname}`, back.searchParams.get('state'), back.searchParams.get('iss')], [callback, 'of the app', base]);
  assert.deepEqual(failed(await client.auth.oauth.approveAuthorization(id)), [400, 'validation_failed'], 'once');

  const tokens = await exchange(ledger, back.searchParams.get('code'), verifier);
  assert.deepEqual([tokens.status, tokens.token_type, tokens.expires_in, tokens.scope, 'user' in tokens], [200, 'bearer', 3600, 'email profile', false]);
  const { claims } = ok(await browser(of).auth.getClaims(tokens.access_token));
  assert.deepEqual([claims.sub, claims.client_id, claims.role, claims.amr[0].method], [user.id, ledger.client_id, 'authenticated', 'oauth_provider/authorization_code']);
  assert.equal(ok(await browser(of).auth.getUser(tokens.access_token)).user.id, user.id);
  const about = await (await fetch(`${base}/oauth/userinfo`, { headers: { authorization: `Bearer ${tokens.access_token}` } })).json();
  assert.deepEqual([about.sub, about.email, about.email_verified, about.name], [user.id, user.email, true, 'Nina']);

  assert.deepEqual(ok(await by(tokens).from('notes').select('content')), [{ content: 'mine' }], "the user's rows and nobody else's");
  ok(await by(tokens).from('notes').insert({ content: 'by the app' }));
  assert.equal(ok(await client.from('notes').select('content')).length, 2);
  await database(of, (db) => db.query(`create or replace function public.app() returns text language sql as $$ select auth.jwt() ->> 'client_id' $$;
    notify pgrst, 'reload schema'`));
  const until = Date.now() + 10_000;
  while ((await by(tokens).rpc('app')).data !== ledger.client_id) { // policies can tell apps by it
    assert.ok(Date.now() < until, 'the claims name the app');
    await sleep(50);
  }

  const next = await token(ledger, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
  assert.equal(next.status, 200, JSON.stringify(next));
  assert.notEqual(next.refresh_token, tokens.refresh_token);
  assert.equal(ok(await browser(of).auth.getClaims(next.access_token)).claims.session_id, claims.session_id);
  assert.deepEqual(refusal(await token(await app(), { grant_type: 'refresh_token', refresh_token: next.refresh_token })), [400, 'invalid_grant'], 'of another app');
  assert.ok((await browser(of).auth.refreshSession({ refresh_token: next.refresh_token })).error, 'is no session of the user');

  const asUser = (method, path, body) => fetch(`${base}${path}`, { method, body: JSON.stringify(body), headers: { authorization: `Bearer ${next.access_token}` } });
  for (const [method, path, body] of [['PUT', '/user', { password: 'taken over' }], ['POST', '/factors', { factor_type: 'totp' }],
    ['GET', '/user/identities/authorize?provider=harbour'], ['GET', '/user/oauth/grants'], ['GET', '/admin/users']]) {
    const answer = await asUser(method, path, body);
    assert.ok([401, 403].includes(answer.status), `${method} ${path} answers ${answer.status}`);
  }
  ok(await client.auth.refreshSession());
});

test('who has agreed is not asked again, sees what was granted, and takes it back', async () => {
  const ledger = await app();
  const { client } = await somebody();
  const tokens = await entered(ledger, client);
  const again = await begin(ledger, { scope: 'email' });
  assert.match(ok(await client.auth.oauth.getAuthorizationDetails(again.id)).redirect_url, /\?code=/);
  const more = await begin(ledger, { scope: 'email phone' });
  assert.equal(ok(await client.auth.oauth.getAuthorizationDetails(more.id)).scope, 'email phone', 'it is about more');

  const [grant, ...others] = ok(await client.auth.oauth.listGrants());
  assert.deepEqual([grant.client, grant.scopes, others], [{ id: ledger.client_id, name: 'Ledger' }, ['email', 'profile'], []]);
  assert.match(grant.granted_at, /^\d{4}-/);
  ok(await client.auth.oauth.revokeGrant({ clientId: ledger.client_id }));
  assert.deepEqual(ok(await client.auth.oauth.listGrants()), []);
  assert.deepEqual(refusal(await token(ledger, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })), [400, 'invalid_grant']);
  assert.ok((await browser(of).auth.getUser(tokens.access_token)).error);
  assert.deepEqual(failed(await client.auth.oauth.revokeGrant({ clientId: ledger.client_id })), [404, 'oauth_consent_not_found']);
  const asked = await begin(ledger);
  assert.ok(!('redirect_url' in ok(await client.auth.oauth.getAuthorizationDetails(asked.id))), 'is asked anew');
});

test('who says no sends the app away; nobody answers for somebody else', async () => {
  const ledger = await app();
  const { client } = await somebody();
  const { id } = await begin(ledger);
  assert.equal((await browser(of).auth.oauth.getAuthorizationDetails(id)).error.name, 'AuthSessionMissingError');
  assert.deepEqual(failed(await client.auth.oauth.getAuthorizationDetails(randomUUID())), [404, 'oauth_authorization_not_found']);
  ok(await client.auth.oauth.getAuthorizationDetails(id));
  const back = new URL(ok(await client.auth.oauth.denyAuthorization(id)).redirect_url);
  assert.deepEqual([`${back.origin}${back.pathname}`, back.searchParams.get('error'), back.searchParams.get('state'), back.searchParams.get('code')],
    [callback, 'access_denied', 'of the app', null]);
  assert.deepEqual(failed(await client.auth.oauth.approveAuthorization(id)), [400, 'validation_failed'], 'for good');
});

test('a code is worth nothing without its verifier, to another app, elsewhere, or a second time', async () => {
  const ledger = await app();
  const { client } = await somebody();
  const { code, verifier } = await granted(ledger, client);
  for (const [what, answer] of [
    ['another verifier', await exchange(ledger, code, randomBytes(32).toString('base64url'))],
    ['no verifier', await exchange(ledger, code, '')],
    ['another place', await exchange(ledger, code, verifier, { redirect_uri: 'https://evil.example/' })],
    ['another app', await exchange(await app(), code, verifier)],
    ['a public app', await exchange(await app({ token_endpoint_auth_method: 'none' }), code, verifier)],
    ['another code', await exchange(ledger, 'made up', verifier)],
  ]) assert.deepEqual(refusal(answer), [400, 'invalid_grant'], what);
  for (const [what, who] of [['a wrong secret', { ...ledger, client_secret: 'x' }], ['no secret', { client_id: ledger.client_id }], ['nobody', { client_id: randomUUID() }]]) {
    assert.deepEqual(refusal(await exchange(who, code, verifier)), [401, 'invalid_client'], what);
  }
  const tokens = await exchange(ledger, code, verifier);
  assert.equal(tokens.status, 200, 'none of that has used it up');
  assert.deepEqual(refusal(await exchange(ledger, code, verifier)), [400, 'invalid_grant'], 'a second time');
  assert.deepEqual(refusal(await token(ledger, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token })), [400, 'invalid_grant'], 'and what it had given is void');
  assert.deepEqual(refusal(await token(ledger, { grant_type: 'password', username: 'x', password })), [400, 'unsupported_grant_type']);
});

test('a secret that was replaced, and an app that was deleted, open nothing', async () => {
  const ledger = await app();
  const { client } = await somebody();
  const tokens = await entered(ledger, client);
  const { client_secret } = ok(await admin.oauth.regenerateClientSecret(ledger.client_id));
  const refresh = (secret) => token({ ...ledger, client_secret: secret }, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
  assert.deepEqual(refusal(await refresh(ledger.client_secret)), [401, 'invalid_client']);
  const next = await refresh(client_secret);
  assert.equal(next.status, 200);
  await admin.oauth.deleteClient(ledger.client_id);
  assert.deepEqual(refusal(await refresh(client_secret)), [401, 'invalid_client']);
  assert.ok((await browser(of).auth.getUser(next.access_token)).error, 'its sessions are over');
});

test('nobody is sent where the app has not registered, and mistakes are told there', async () => {
  const ledger = await app();
  for (const changes of [{ redirect_uri: 'https://evil.example/' }, { redirect_uri: `${callback}/more` }, { redirect_uri: '' }, { client_id: randomUUID() }, { client_id: 'x' }]) {
    const answer = await fetch(request(ledger, changes).url, { redirect: 'manual' });
    assert.deepEqual([answer.status, answer.headers.get('location')], [400, null], JSON.stringify(changes));
  }
  for (const [changes, error] of [[{ response_type: 'token' }, 'unsupported_response_type'], [{ scope: 'admin' }, 'invalid_scope'],
    [{ code_challenge_method: 'plain' }, 'invalid_request'], [{ code_challenge: '' }, 'invalid_request'], [{ prompt: 'none' }, 'login_required']]) {
    const back = await step(request(ledger, changes).url);
    assert.deepEqual([`${back.origin}${back.pathname}`, back.searchParams.get('error'), back.searchParams.get('state')], [callback, error, 'of the app'], JSON.stringify(changes));
  }
});

test('an app on the user\'s machine finds out by itself where everything is, registers, and needs no secret', async () => {
  const found = await (await fetch(`${base}/.well-known/oauth-authorization-server`)).json();
  assert.deepEqual([found.issuer, found.authorization_endpoint, found.token_endpoint, found.code_challenge_methods_supported],
    [base, `${base}/oauth/authorize`, `${base}/oauth/token`, ['S256']]);
  const answer = await fetch(found.registration_endpoint, { method: 'POST', body: JSON.stringify({
    client_name: 'Agent', redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_method: 'none', grant_types: ['authorization_code', 'refresh_token'],
  }) });
  const agent = await answer.json();
  assert.deepEqual([answer.status, agent.registration_type, agent.client_type, agent.client_secret], [201, 'dynamic', 'public', undefined]);
  const { client, user } = await somebody();
  const tokens = await entered(agent, client, { redirect_uri: 'http://127.0.0.1:49152/callback' });
  assert.equal(ok(await browser(of).auth.getUser(tokens.access_token)).user.id, user.id);
  const next = await token(agent, { grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
  assert.deepEqual([next.status, ok(await by(next).from('notes').select('id'))], [200, []]);
});

test('where that is off, there is nothing of it', async () => {
  const keys = await sandbox('auth-keys');
  assert.deepEqual(failed(await backend(keys).auth.admin.oauth.listClients()), [404, 'feature_disabled']);
  for (const path of ['/.well-known/oauth-authorization-server', '/oauth/authorize?client_id=x']) {
    assert.equal((await fetch(`${keys.API_URL}/auth/v1${path}`, { redirect: 'manual' })).status, 404, path);
  }
});

// The last one: from here on the project has a key pair.
test('with a key pair there are ID tokens, which the app checks by the published key', async () => {
  const ledger = await app();
  const { client, user } = await somebody();
  assert.ok(!('id_token' in await entered(ledger, client, { scope: 'openid email' })), 'nobody could check one that a shared secret signs');
  const { kid } = JSON.parse(await plinth('keys', 'add', '--project', of.name, '-o', 'json'));
  const document = async () => (await fetch(`${base}/.well-known/openid-configuration`)).json();
  const { jwks_uri } = await document();
  const published = async () => (await fetch(jwks_uri)).json();
  const until = Date.now() + 10_000;
  const soon = async (pleases, what) => {
    while (!(await pleases())) {
      assert.ok(Date.now() < until, what);
      await sleep(50);
    }
  };
  await soon(async () => (await published()).keys.some((key) => key.kid === kid), 'the key is published');
  await plinth('keys', 'rotate', kid, '--project', of.name, '-o', 'json');
  await soon(async () => (await document()).id_token_signing_alg_values_supported.includes('ES256'), 'the key signs');
  const tokens = await entered(ledger, client, { scope: 'openid email', nonce: 'of the app' });
  const { claims, header } = ok(await browser(of).auth.getClaims(tokens.id_token, { jwks: await published() }));
  assert.deepEqual([header.kid, claims.iss, claims.aud, claims.sub, claims.email, claims.nonce], [kid, base, ledger.client_id, user.id, user.email, 'of the app']);
  assert.deepEqual([claims.role, claims.session_id], [undefined, undefined], 'it is no access token');
  assert.ok((await by({ access_token: tokens.id_token }).from('notes').insert({ content: 'x' })).error);
  ok(await by(tokens).from('notes').insert({ content: 'by the app' }));
});
