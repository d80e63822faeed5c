// supabase.auth at an outside provider: an OpenID Connect provider over real HTTP, with redirects that are followed as a
// browser does; identities that are linked and unlinked; ID tokens; what is refused.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import test from 'node:test';
import { address, backend, blueprints, browser, database, ok, password, project, sandbox, signedUp } from './harness.mjs';
import { mailTo, noMailTo } from './lib/inbox.mjs';
import { keyPair, signed, usual } from './lib/openid.mjs';
import { idToken, issuer, land, person, step, userinfo, walk } from './lib/outside.mjs';

const of = await sandbox('auth-outside');
const { admin } = backend(of).auth;
const site = 'http://127.0.0.1:3000';
const home = `${site}/welcome`;
const pkce = { flowType: 'pkce' };
const provider = 'harbour';
const failed = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return [error.status, error.code];
};

/** What a browser opens to sign somebody in. */
const leave = async (client, { sub } = {}, options = {}) =>
  ok(await client.auth.signInWithOAuth({ provider, options: { redirectTo: home, queryParams: { login_hint: sub ?? 'nobody' }, ...options } })).url;

/** A client of somebody who has signed in at the provider, with their user and session. */
async function arrived(someone, where = of) {
  const client = browser(where);
  const { fragment } = await land(await leave(client, someone));
  assert.ok(fragment.access_token, JSON.stringify(fragment));
  return { client, ...ok(await client.auth.setSession(fragment)) };
}

/** Somebody with a password and an address that they have confirmed. */
async function confirmed() {
  const { user } = ok(await admin.createUser({ email: address(), password, email_confirm: true }));
  const client = browser(of);
  ok(await client.auth.signInWithPassword({ email: user.email, password }));
  return { client, user };
}

/** What a landing says went wrong, which it says in the query and in the fragment. */
function wrong({ to, query, fragment }) {
  assert.ok(!('code' in query) && !('access_token' in fragment), JSON.stringify({ query, fragment }));
  const { sb, ...said } = fragment;
  assert.deepEqual([said, sb], [query, ''], 'it is said twice');
  return [to, query.error, query.error_code];
}

const providers = ({ app_metadata: { provider: first, providers: all } }) => [first, all];

test('PKCE: the redirect brings a code, and the client that began exchanges it once', async () => {
  const someone = await person({ picture: 'https://harbour.example/nina.png' });
  const client = browser(of, pkce);
  const { to, query, fragment } = await land(await leave(client, someone));
  assert.deepEqual([to, Object.keys(query), fragment], [home, ['code'], {}]);
  assert.equal(failed(await browser(of, pkce).auth.exchangeCodeForSession(query.code))[1], 'pkce_code_verifier_not_found', 'another client has no verifier');

  const stranger = browser(of, pkce);
  await leave(stranger, someone);
  assert.deepEqual(failed(await stranger.auth.exchangeCodeForSession(query.code)), [400, 'bad_code_verifier']);
  const { user, session } = ok(await client.auth.exchangeCodeForSession(query.code));
  assert.deepEqual(providers(user), [provider, [provider]]);
  assert.deepEqual([user.email, user.role, user.is_anonymous], [someone.email, 'authenticated', false]);
  assert.match(user.email_confirmed_at, /^\d{4}-/);
  const said = { iss: issuer, sub: someone.sub, provider_id: someone.sub, email: someone.email, email_verified: true, name: 'Nina', full_name: 'Nina',
    picture: someone.picture, avatar_url: someone.picture, phone_verified: false };
  assert.deepEqual(user.user_metadata, said);
  const [identity, ...others] = user.identities;
  assert.deepEqual([identity.provider, identity.id, identity.user_id, identity.email, identity.identity_data, others],
    [provider, someone.sub, user.id, someone.email, said, []]);
  assert.equal((await userinfo(session.provider_token)).sub, someone.sub, "the provider's own token");
  assert.equal(typeof session.provider_refresh_token, 'string');
  assert.equal(ok(await client.auth.getClaims()).claims.amr[0].method, 'oauth');

  ok(await client.from('notes').insert({ content: 'mine' }));
  assert.deepEqual(ok(await client.from('notes').select('content, user_id')), [{ content: 'mine', user_id: user.id }]);
  const { session: next } = ok(await client.auth.refreshSession());
  assert.deepEqual([next.user.id, next.provider_token], [user.id, undefined], 'is given once');
  await leave(client, someone);
  assert.deepEqual(failed(await client.auth.exchangeCodeForSession(query.code)), [404, 'flow_state_not_found']);
});

test('implicit: the redirect brings the session; who comes again is the same user, with what is new of them', async () => {
  const someone = await person();
  const { to, query, fragment } = await land(await leave(browser(of), someone));
  assert.deepEqual([to, query, fragment.token_type], [home, {}, 'bearer']);
  assert.equal((await userinfo(fragment.provider_token)).email, someone.email);
  const client = browser(of);
  const { user } = ok(await client.auth.setSession(fragment));
  assert.ok(Number(fragment.expires_at) - Date.now() / 1000 > 3500);

  await person({ ...someone, name: 'Nina Novak' });
  const again = await arrived(someone);
  assert.deepEqual([again.user.id, again.user.user_metadata.full_name, again.user.identities.length], [user.id, 'Nina Novak', 1]);
  assert.ok(again.user.identities[0].last_sign_in_at > user.identities[0].last_sign_in_at);
  ok(await client.auth.getUser());
  const { rows } = await database(of, (db) => db.query('select from auth.users where email = $1', [someone.email]));
  assert.equal(rows.length, 1);
});

test('a user whose address is confirmed gets the identity when the provider has verified the address, and only then', async () => {
  const { client, user } = await confirmed();
  const unproved = await person({ email: user.email, email_verified: false });
  for (const auth of [{}, pkce]) {
    assert.deepEqual(wrong(await land(await leave(browser(of, auth), unproved))), [home, 'access_denied', 'provider_email_needs_verification']);
  }
  assert.equal(ok(await client.auth.getUserIdentities()).identities.length, 1);
  await noMailTo(user.email);

  const { user: same } = await arrived(await person({ email: user.email.toUpperCase() }));
  assert.deepEqual([same.id, providers(same)], [user.id, ['email', ['email', provider]]]);
  assert.deepEqual(ok(await client.auth.getUserIdentities()).identities.map((one) => one.provider).sort(), ['email', provider].sort());
  ok(await browser(of).auth.signInWithPassword({ email: user.email, password }));
});

test('whoever took an address that was never theirs has lost it when its owner comes', async () => {
  const email = address();
  ok(await browser(of).auth.signUp({ email, password }));
  const { user } = await arrived(await person({ email }));
  assert.deepEqual([user.email, providers(user)], [email, [provider, [provider]]]);
  assert.deepEqual(failed(await browser(of).auth.signInWithPassword({ email, password })), [400, 'invalid_credentials']);
});

test('an address that the provider has not verified is confirmed by mail', async () => {
  const someone = await person({ email_verified: false });
  const client = browser(of);
  assert.deepEqual(wrong(await land(await leave(client, someone))), [home, 'access_denied', 'provider_email_needs_verification']);
  const { user } = ok(await browser(of).auth.verifyOtp({ email: someone.email, token: (await mailTo(someone.email)).code, type: 'email' }));
  assert.match(user.email_confirmed_at, /^\d{4}-/);
  assert.equal((await arrived(someone)).user.id, user.id);
});

test('identities are linked to the user who asks, listed, and unlinked but for the last', async () => {
  const { client, user } = await confirmed();
  const someone = await person();
  const options = { redirectTo: home, queryParams: { login_hint: someone.sub } };
  const { url } = ok(await client.auth.linkIdentity({ provider, options }));
  assert.equal(new URL(url).origin, issuer, 'without a redirect of our own');
  const { to, fragment } = await land(url);
  assert.equal(to, home);
  const linked = ok(await client.auth.setSession(fragment)).user;
  assert.deepEqual([linked.id, linked.email, providers(linked)], [user.id, user.email, ['email', ['email', provider]]]);
  assert.equal((await arrived(someone)).user.id, user.id, 'who signs in by it is the same user');

  const other = await confirmed();
  const taken = ok(await other.client.auth.linkIdentity({ provider, options })).url;
  assert.deepEqual(wrong(await land(taken)).slice(1), ['server_error', 'identity_already_exists']);

  const { identities } = ok(await client.auth.getUserIdentities());
  const [outside, own] = [provider, 'email'].map((name) => identities.find((one) => one.provider === name));
  assert.equal(outside.identity_data.email, someone.email);
  assert.deepEqual(failed(await other.client.auth.unlinkIdentity(outside)), [422, 'single_identity_not_deletable']);
  ok(await client.auth.unlinkIdentity(outside));
  const now = ok(await client.auth.getUser()).user;
  assert.deepEqual([now.identities.map((one) => one.provider), providers(now)], [['email'], ['email', ['email']]]);
  assert.deepEqual(failed(await client.auth.unlinkIdentity(own)), [422, 'single_identity_not_deletable']);
  assert.notEqual((await arrived(someone)).user.id, user.id, 'who signs in by it is somebody else now');
});

test('identities are linked by PKCE and by an ID token, too', async () => {
  const { user, client: there } = await confirmed();
  const client = browser(of, pkce);
  ok(await client.auth.setSession(ok(await there.auth.getSession()).session));
  const { sub } = await person();
  const { url } = ok(await client.auth.linkIdentity({ provider, options: { redirectTo: home, queryParams: { login_hint: sub } } }));
  const { query } = await land(url);
  assert.equal(ok(await client.auth.exchangeCodeForSession(query.code)).user.id, user.id);
  const [, outside] = ok(await client.auth.getUserIdentities()).identities.sort((a, b) => a.created_at.localeCompare(b.created_at));
  ok(await client.auth.unlinkIdentity(outside));

  const token = await idToken(await person());
  const linked = ok(await client.auth.linkIdentity({ provider, token }));
  assert.deepEqual([linked.user.id, linked.user.identities.length], [user.id, 2]);
  assert.deepEqual(failed(await (await confirmed()).client.auth.linkIdentity({ provider, token })), [422, 'identity_already_exists']);
});

test('an ID token that an app has obtained by itself signs in, with the nonce that it was asked for with', async () => {
  const someone = await person();
  const nonce = randomUUID();
  const hashed = createHash('sha256').update(nonce).digest('hex');
  const access_token = 'of the provider';
  const at_hash = createHash('sha256').update(access_token).digest().subarray(0, 16).toString('base64url');
  const client = browser(of);
  const signIn = (token, more = { nonce }) => client.auth.signInWithIdToken({ provider, token, ...more });
  const good = { ...someone, nonce: hashed, at_hash };
  const { user, session } = ok(await signIn(await idToken(good), { nonce, access_token }));
  assert.deepEqual([user.email, providers(user), session.user.id], [someone.email, [provider, [provider]], user.id]);
  ok(await client.from('notes').insert({ content: 'mine' }));
  assert.equal(ok(await signIn(await idToken({ ...someone, aud: 'plinth-mobile' }), {})).user.id, user.id, 'for our other app, and without a nonce on either side');
  assert.equal((await arrived(someone)).user.id, user.id, 'the same as by redirects');

  const now = Math.floor(Date.now() / 1000);
  const key = keyPair();
  const { kid } = JSON.parse(Buffer.from((await idToken(good)).split('.')[0], 'base64url').toString());
  const foreign = signed({ ...usual(issuer), ...good }, { ...key, kid });
  const none = [{ alg: 'none', typ: 'JWT' }, { ...usual(issuer), ...good }].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  for (const [what, token, more, message] of [
    ['another nonce', await idToken(good), { nonce: 'another' }, 'Nonces mismatch'],
    ['the nonce itself in the token', await idToken({ ...good, nonce }), { nonce }, 'Nonces mismatch'],
    ['no nonce in the token', await idToken(someone), { nonce }, /nonce/i],
    ['a nonce in the token alone', await idToken(good), {}, /nonce/i],
    ['for somebody else', await idToken({ ...good, aud: 'another' }), { nonce }, /aud/i],
    ['of somebody else', await idToken({ ...good, iss: 'https://evil.example' }), { nonce }, 'Bad ID token'],
    ['expired', await idToken({ ...good, iat: now - 1000, exp: now - 120 }), { nonce }, 'Bad ID token'],
    ['a key of somebody else', foreign, { nonce }, 'Bad ID token'],
    ['a key nobody knows', signed({ ...usual(issuer), ...good }, key), { nonce }, 'Bad ID token'],
    ['unsigned', `${none}.`, { nonce }, 'Bad ID token'],
    ['another access token', await idToken(good), { nonce, access_token: 'another' }, 'Bad ID token'],
    ['no token', 'x', {}, 'Bad ID token'],
  ]) {
    const { data, error } = await signIn(token, more);
    assert.deepEqual([data, error?.status], [{ user: null, session: null }, 400], what);
    assert.match(error.message, message instanceof RegExp ? message : new RegExp(`^${message}$`), what);
  }
  assert.deepEqual(failed(await browser(of).auth.signInWithIdToken({ provider: 'google', token: await idToken(good), nonce })), [400, 'provider_disabled']);
  assert.equal(failed(await browser(of).auth.signInWithIdToken({ provider: 'unknown', token: await idToken(good), nonce }))[0], 400);
});

test('people land on the site and on pages that are allowed, whatever the app asks for', async () => {
  const someone = await person();
  const landing = async (redirectTo) => (await land(await leave(browser(of), someone, { redirectTo }))).to;
  assert.equal(await landing('https://app.example/deep/page?x=1'), 'https://app.example/deep/page');
  for (const evil of ['https://evil.example/', 'https://app.example.evil.example/', 'https://app.example@evil.example/', '//evil.example', 'javascript:alert(1)']) {
    assert.equal(await landing(evil), `${site}/`, evil);
  }
  assert.equal(await landing(undefined), `${site}/`);
});

test('a state is worth one return, of the flow that it was made for', async () => {
  const someone = await person();
  const back = async () => walk(await leave(browser(of), someone), (url) => url.pathname.endsWith('/callback'));
  const changed = (url, change) => {
    const copy = new URL(url);
    change(copy.searchParams);
    return land(copy);
  };
  const nowhere = [`${site}/`, 'invalid_request', 'bad_oauth_state'];
  const first = await back();
  assert.ok((await land(first)).fragment.access_token);
  assert.deepEqual(wrong(await land(first)), nowhere, 'twice');
  const second = await back();
  const [flow, key] = second.searchParams.get('state').split('.');
  assert.deepEqual(wrong(await changed(second, (query) => query.set('state', `${flow}.${key.replace(/^./, (a) => (a === 'A' ? 'B' : 'A'))}`))), nowhere, 'tampered');
  const [third, fourth] = [await back(), await back()];
  const keyOf = (url) => url.searchParams.get('state').split('.')[1];
  const flowOf = (url) => url.searchParams.get('state').split('.')[0];
  assert.deepEqual(wrong(await changed(third, (query) => query.set('state', `${flowOf(third)}.${keyOf(fourth)}`))), nowhere, 'put together');
  for (const state of [`${randomUUID().replaceAll('-', '')}.${key}`, randomUUID(), 'x', '.']) {
    assert.deepEqual(wrong(await changed(fourth, (query) => query.set('state', state))), nowhere, state);
  }
  assert.deepEqual(wrong(await changed(fourth, (query) => query.delete('state'))), [`${site}/`, 'invalid_request', 'bad_oauth_callback']);
  assert.deepEqual(wrong(await changed(fourth, (query) => query.delete('code'))), [home, 'invalid_request', 'bad_oauth_callback']);
  const fifth = await back();
  assert.deepEqual(wrong(await changed(fifth, (query) => query.set('code', 'made up'))), [home, 'server_error', 'unexpected_failure']);
});

test('a code of one browser is worth nothing in the flow of another', async () => {
  const [mine, theirs] = [await person(), await person()];
  const there = (url) => url.pathname.endsWith('/callback');
  const [back, other] = [await walk(await leave(browser(of), mine), there), await walk(await leave(browser(of), theirs), there)];
  back.searchParams.set('code', other.searchParams.get('code'));
  assert.deepEqual(wrong(await land(back)), [home, 'server_error', 'unexpected_failure']);
});

test('who says no at the provider comes back with its words', async () => {
  for (const auth of [{}, pkce]) {
    const landing = await land(await leave(browser(of, auth)));
    assert.deepEqual([...wrong(landing), landing.query.error_description], [home, 'access_denied', 'bad_oauth_callback', 'The user said no']);
  }
});

test('providers that there are not, single sign-on and wallets are refused', async () => {
  for (const name of ['github', 'google', 'nothing', '']) {
    const { url } = ok(await browser(of).auth.signInWithOAuth({ provider: name }));
    const answer = await fetch(url, { redirect: 'manual' });
    const { code, error_code, msg } = await answer.json();
    assert.deepEqual([answer.status, code, error_code, msg], [400, 400, 'validation_failed', 'Unsupported provider: provider is not enabled'], name);
  }
  assert.deepEqual(failed(await (await confirmed()).client.auth.linkIdentity({ provider: 'github' })), [400, 'validation_failed']);
  for (const which of [{ domain: 'example.com' }, { providerId: randomUUID() }]) {
    assert.deepEqual(failed(await browser(of).auth.signInWithSSO(which)), [404, 'saml_provider_disabled']);
  }
  for (const [chain, signature] of [['solana', new Uint8Array(64)], ['ethereum', '0x00']]) {
    assert.deepEqual(failed(await browser(of).auth.signInWithWeb3({ chain, message: 'x', signature })), [422, 'web3_provider_disabled']);
  }
});

test('where linking is off nobody links, and where sign-up is off nobody new gets in', async () => {
  const keys = await sandbox('auth-keys');
  const { client } = await signedUp(keys);
  assert.deepEqual(failed(await client.auth.linkIdentity({ provider })), [404, 'manual_linking_disabled']);
  const [identity] = ok(await client.auth.getUserIdentities()).identities;
  assert.deepEqual(failed(await client.auth.unlinkIdentity(identity)), [404, 'manual_linking_disabled']);
  const closed = await sandbox('auth-closed');
  assert.deepEqual(wrong(await land(await leave(browser(closed), await person()))), [home, 'access_denied', 'signup_disabled']);
});

test('an administrator adds a provider while the server runs, and takes it away', async () => {
  const { customProviders } = admin;
  const identifier = `custom:quay-${randomUUID().slice(0, 8)}`;
  const made = ok(await customProviders.createProvider({ provider_type: 'oidc', identifier, name: 'Quay', client_id: 'plinth',
    client_secret: 'harbour secret: % & +', issuer, scopes: ['openid', 'email'] }));
  assert.deepEqual([made.identifier, made.issuer, 'client_secret' in made], [identifier, issuer, false]);
  const someone = await person();
  const options = { redirectTo: home, queryParams: { login_hint: someone.sub } };
  const { url } = ok(await browser(of).auth.signInWithOAuth({ provider: identifier, options }));
  const client = browser(of);
  const { user } = ok(await client.auth.setSession((await land(url)).fragment));
  assert.deepEqual([user.email, providers(user)], [someone.email, [identifier, [identifier]]]);
  assert.ok(ok(await customProviders.listProviders()).providers.some((one) => one.identifier === identifier));
  ok(await customProviders.deleteProvider(identifier));
  assert.equal((await fetch(url, { redirect: 'manual' })).status, 400);
});

// Where a new user leaves a row, with the column of their name.
const profiles = {
  paradyze: ['profiles', 'display_name'], echelon: ['users', 'full_name'], chatbot: ['users', 'name'], domo: ['profiles', 'display_name'], aethercrown: ['users', 'name'],
};
for (const name of blueprints) {
  test(`${name}: who comes from a provider has a profile, as everybody has`, async () => {
    const where = await project(name);
    const someone = await person();
    const { client, user } = await arrived(someone, where);
    const [table, column] = profiles[name];
    assert.deepEqual(ok(await client.from(table).select(`id, email, ${column}`).single()), { id: user.id, email: someone.email, [column]: 'Nina' });
    assert.equal((await arrived(someone, where)).user.id, user.id);
    ok(await backend(where).auth.admin.deleteUser(user.id));
    assert.deepEqual(ok(await backend(where).from(table).select('id').eq('id', user.id)), []);
  });
}

test('the way to the provider says who we are and nothing that we keep', async () => {
  const url = await step(await leave(browser(of, pkce), { sub: 'somebody' }, { scopes: 'calendar' }));
  const asked = Object.fromEntries(url.searchParams);
  assert.deepEqual([url.origin, asked.client_id, asked.response_type, asked.login_hint, asked.code_challenge_method],
    [issuer, 'plinth', 'code', 'somebody', 'S256']);
  assert.deepEqual(asked.scope.split(' ').sort(), ['calendar', 'email', 'openid', 'profile']);
  assert.equal(asked.redirect_uri, `${of.API_URL}/auth/v1/callback`);
  assert.deepEqual(Object.keys(asked).filter((name) => /secret|verifier|redirect_to|apikey|provider/.test(name)), []);
});
