// supabase.auth by mail: confirmation, codes, links, PKCE, recovery, reauthentication and changes of the address, with the
// mails that `plinth up` catches.
import assert from 'node:assert/strict';
import test from 'node:test';
import { address, backend, browser, database, ok, password, sandbox, signedUp } from './harness.mjs';
import { follow, mailTo, noMailTo } from './lib/inbox.mjs';

const on = await sandbox('auth-on');
const off = await sandbox('auth-off');

const codeOf = ({ data, error }) => {
  assert.ok(error, `no error, but ${JSON.stringify(data)}`);
  return error.code;
};
const home = 'http://127.0.0.1:3000/welcome';
const pkce = { flowType: 'pkce' };
const method = async (client) => ok(await client.auth.getClaims()).claims.amr[0].method;

/** Somebody who has signed up where addresses are confirmed, and has done so. */
async function confirmed(auth) {
  const email = address();
  const client = browser(off, auth);
  ok(await client.auth.signUp({ email, password }));
  const { session, user } = ok(await browser(off).auth.verifyOtp({ email, token: (await mailTo(email)).code, type: 'signup' }));
  ok(await client.auth.setSession(session));
  return { client, email, user };
}

test('a sign-up waits for its address to be confirmed, which the code does', async () => {
  const email = address();
  const client = browser(off);
  const { user, session } = ok(await client.auth.signUp({ email, password, options: { data: { name: 'Nina' } } }));
  assert.equal(session, null);
  assert.ok(!('email_confirmed_at' in user) && !('confirmed_at' in user));
  assert.match(user.confirmation_sent_at, /^\d{4}-/);
  assert.deepEqual(user.user_metadata, { name: 'Nina' });
  assert.deepEqual([user.email, user.phone, user.role, user.identities.length], [email, '', 'authenticated', 1]);
  const early = await browser(off).auth.signInWithPassword({ email, password });
  assert.deepEqual([early.error.code, early.error.status], ['email_not_confirmed', 400]);

  const mail = await mailTo(email);
  assert.match(mail.code, /^\d{6}$/);
  assert.ok(mail.html.includes(mail.code) && mail.html.includes('<a href='));
  const wrong = mail.code === '123456' ? '654321' : '123456';
  const refused = await client.auth.verifyOtp({ email, token: wrong, type: 'signup' });
  assert.deepEqual([refused.error.code, refused.error.status, refused.error.message], ['otp_expired', 403, 'Token has expired or is invalid']);
  const { user: now } = ok(await client.auth.verifyOtp({ email, token: mail.code, type: 'email' }));
  assert.match(now.email_confirmed_at, /^\d{4}-/);
  assert.equal(now.user_metadata.email_verified, true);
  ok(await client.from('notes').insert({ content: 'in' }));
  assert.equal(codeOf(await browser(off).auth.verifyOtp({ email, token: mail.code, type: 'signup' })), 'otp_expired', 'once only');
  ok(await browser(off).auth.signInWithPassword({ email, password }));
});

test('the link of a confirmation leads back with a session in the fragment, once', async () => {
  const email = address();
  ok(await browser(off).auth.signUp({ email, password, options: { emailRedirectTo: home } }));
  const { link } = await mailTo(email);
  const { to, query, fragment } = await follow(link);
  assert.equal(to, home);
  assert.deepEqual(query, {});
  assert.deepEqual([fragment.token_type, fragment.type, fragment.expires_in], ['bearer', 'signup', '3600']);
  const client = browser(off);
  assert.equal(ok(await client.auth.setSession(fragment)).user.email, email);
  const again = await follow(link);
  assert.deepEqual([again.to, again.fragment.error, again.fragment.error_code], [home, 'access_denied', 'otp_expired']);
  assert.equal(again.fragment.access_token, undefined);
});

test('a link never leads to a site that is not allowed', async () => {
  const email = address();
  ok(await browser(off).auth.signUp({ email, password, options: { emailRedirectTo: 'https://evil.example/x' } }));
  const { link } = await mailTo(email);
  const forged = new URL(link);
  forged.searchParams.set('redirect_to', 'https://evil.example/y');
  assert.equal((await follow(forged)).to, 'http://127.0.0.1:3000/');
});

test('under PKCE the link gives a code, which only the client that began exchanges', async () => {
  const email = address();
  const client = browser(off, pkce);
  ok(await client.auth.signUp({ email, password, options: { emailRedirectTo: `${home}?from=mail` } }));
  const mail = await mailTo(email);
  assert.match(mail.hash, /^pkce_/);
  const { query, fragment } = await follow(mail.link);
  assert.deepEqual([query.from, fragment], ['mail', {}]);
  assert.match(query.code, /^[0-9a-f-]{36}$/);
  const stranger = browser(off, pkce);
  ok(await stranger.auth.signInWithOtp({ email: address() }));
  assert.equal(codeOf(await stranger.auth.exchangeCodeForSession(query.code)), 'bad_code_verifier');
  const { user, session } = ok(await client.auth.exchangeCodeForSession(query.code));
  assert.deepEqual([user.email, session.user.id], [email, user.id]);
  ok(await client.from('notes').insert({ content: 'in' }));
  ok(await client.auth.signInWithOtp({ email }));
  assert.equal(codeOf(await client.auth.exchangeCodeForSession(query.code)), 'flow_state_not_found', 'once only');
});

test('a code that is none, or whose verifier is not there, is refused', async () => {
  const answer = await fetch(`${on.API_URL}/auth/v1/token?grant_type=pkce`, {
    method: 'POST',
    headers: { apikey: on.PUBLISHABLE_KEY, 'content-type': 'application/json' },
    body: JSON.stringify({ auth_code: 'mock_code', code_verifier: null }),
  });
  assert.equal(answer.status, 400);
});

test('a PKCE client whose sign-up needs no confirmation gets its session at once', async () => {
  const { session } = await signedUp(on, { auth: pkce });
  assert.ok(session.access_token);
});

test('a code by mail signs known and new people in, as typed and by its hash', async () => {
  const email = address();
  const asked = ok(await browser(on).auth.signInWithOtp({ email, options: { data: { via: 'otp' } } }));
  assert.deepEqual([asked.user, asked.session], [null, null]);
  const typed = browser(on);
  const { user } = ok(await typed.auth.verifyOtp({ email, token: (await mailTo(email)).code, type: 'email' }));
  assert.equal(user.user_metadata.via, 'otp');
  assert.equal(await method(typed), 'otp');
  ok(await browser(on).auth.signInWithOtp({ email, options: { shouldCreateUser: false } }));
  const linked = browser(on);
  const again = ok(await linked.auth.verifyOtp({ token_hash: (await mailTo(email)).hash, type: 'email' }));
  assert.equal(again.user.id, user.id);
  const stranger = await browser(on, pkce).auth.signInWithOtp({ email: address(), options: { shouldCreateUser: false } });
  assert.deepEqual([stranger.error.code, stranger.error.status], ['otp_disabled', 422]);
  for (const wrong of [{ email: 'invalid-email' }, { phone: 'invalid-phone' }]) {
    assert.ok(codeOf(await browser(on).auth.signInWithOtp(wrong)), JSON.stringify(wrong));
  }
  assert.ok(codeOf(await browser(on).auth.verifyOtp({ email, token: 'invalid-token', type: 'email' })));
});

test('a magic link signs in, and a newer one puts the older out of use', async () => {
  const { user } = await signedUp(on);
  ok(await browser(on).auth.signInWithOtp({ email: user.email, options: { emailRedirectTo: home } }));
  const first = await mailTo(user.email);
  ok(await browser(on).auth.signInWithOtp({ email: user.email, options: { emailRedirectTo: home } }));
  const second = await mailTo(user.email);
  assert.equal((await follow(first.link)).fragment.error_code, 'otp_expired');
  const { fragment, to } = await follow(second.link);
  assert.deepEqual([to, fragment.type], [home, 'magiclink']);
  assert.equal(ok(await browser(on).auth.setSession(fragment)).user.id, user.id);
});

test('a magic link under PKCE', async () => {
  const { user } = await signedUp(on);
  const client = browser(on, pkce);
  ok(await client.auth.signInWithOtp({ email: user.email }));
  const { query } = await follow((await mailTo(user.email)).link);
  assert.equal(ok(await client.auth.exchangeCodeForSession(query.code)).user.id, user.id);
});

test('a sign-up that is repeated tells nobody that the address is known', async () => {
  const { email, user } = await confirmed();
  const { user: shown, session } = ok(await browser(off).auth.signUp({ email, password: 'another password' }));
  assert.equal(session, null);
  assert.notEqual(shown.id, user.id);
  assert.deepEqual([shown.identities, shown.email], [[], email]);
  assert.equal(codeOf(await browser(off).auth.signInWithPassword({ email, password: 'another password' })), 'invalid_credentials');
});

test('a confirmation is sent again, to those who wait for one', async () => {
  const email = address();
  ok(await browser(off).auth.signUp({ email, password }));
  const first = await mailTo(email);
  ok(await browser(off).auth.resend({ type: 'signup', email }));
  const second = await mailTo(email);
  assert.equal(codeOf(await browser(off).auth.verifyOtp({ token_hash: first.hash, type: 'signup' })), 'otp_expired');
  ok(await browser(off).auth.verifyOtp({ token_hash: second.hash, type: 'signup' }));
  ok(await browser(off).auth.resend({ type: 'signup', email }));
  for (const type of ['signup', 'email_change']) ok(await browser(off).auth.resend({ type, email: address(), options: { emailRedirectTo: 'nonsense' } }));
  for (const [type, phone] of [['sms', '+4915112345670'], ['phone_change', '+4915112345671']]) ok(await browser(off).auth.resend({ type, phone }));
  await noMailTo(email);
});

test('who forgot the password chooses another by the mail, and unknown addresses get the same answer', async () => {
  const { user } = await signedUp(on);
  assert.deepEqual(ok(await browser(on).auth.resetPasswordForEmail(user.email, { redirectTo: home })), {});
  const { link } = await mailTo(user.email);
  const { fragment, to } = await follow(link);
  assert.deepEqual([to, fragment.type], [home, 'recovery']);
  const client = browser(on);
  ok(await client.auth.setSession(fragment));
  ok(await client.auth.updateUser({ password: 'something new' }));
  ok(await browser(on).auth.signInWithPassword({ email: user.email, password: 'something new' }));

  const stranger = address();
  assert.deepEqual(ok(await browser(on).auth.resetPasswordForEmail(stranger)), {});
  await noMailTo(stranger);
});

test('recovery by code, by hash and under PKCE', async () => {
  const { user: { email, id } } = await signedUp(on);
  ok(await browser(on).auth.resetPasswordForEmail(email));
  assert.equal(ok(await browser(on).auth.verifyOtp({ email, token: (await mailTo(email)).code, type: 'recovery' })).user.id, id);
  ok(await browser(on).auth.resetPasswordForEmail(email));
  assert.equal(ok(await browser(on).auth.verifyOtp({ token_hash: (await mailTo(email)).hash, type: 'recovery' })).user.id, id);
  const client = browser(on, pkce);
  const events = [];
  client.auth.onAuthStateChange((event) => { events.push(event); });
  ok(await client.auth.resetPasswordForEmail(email, { redirectTo: home }));
  const { query } = await follow((await mailTo(email)).link);
  ok(await client.auth.exchangeCodeForSession(query.code));
  assert.ok(events.includes('PASSWORD_RECOVERY'), events.join());
});

test('an address changes when both the old and the new one agree', async () => {
  const { client, email, user } = await confirmed();
  const next = address('nina-new');
  const { user: waiting } = ok(await client.auth.updateUser({ email: next }, { emailRedirectTo: home }));
  assert.deepEqual([waiting.email, waiting.new_email], [email, next]);
  const first = await follow((await mailTo(email)).link);
  assert.match(JSON.stringify({ ...first.query, ...first.fragment }), /Confirmation link accepted/);
  assert.equal(ok(await client.auth.getUser()).user.email, email);
  const second = await follow((await mailTo(next)).link);
  assert.equal(second.fragment.type, 'email_change');
  const { user: changed } = ok(await client.auth.getUser());
  assert.deepEqual([changed.id, changed.email, changed.new_email, changed.identities[0].identity_data.email], [user.id, next, undefined, next]);
  ok(await client.auth.refreshSession());
  assert.equal(ok(await client.auth.getClaims()).claims.email, next);
  ok(await browser(off).auth.signInWithPassword({ email: next, password }));
});

test('an address changes by codes as well, and never to one that is taken', async () => {
  const { client, email } = await confirmed();
  const { email: taken } = await confirmed();
  assert.equal(codeOf(await client.auth.updateUser({ email: taken })), 'email_exists');
  const next = address('nina-new');
  ok(await client.auth.updateUser({ email: next }));
  const half = ok(await browser(off).auth.verifyOtp({ email: next, token: (await mailTo(next)).code, type: 'email_change' }));
  assert.equal(half.session, null);
  const { user } = ok(await browser(off).auth.verifyOtp({ email, token: (await mailTo(email)).code, type: 'email_change' }));
  assert.equal(user.email, next);
});

test('an old session proves itself by a code before the password changes', async () => {
  const { client, email, user } = await confirmed();
  const change = (nonce) => client.auth.updateUser({ password: 'something new', ...(nonce && { nonce }) });
  await database(off, (db) => db.query(`update auth.sessions set created_at = now() - interval '2 days' where user_id = $1`, [user.id]));
  assert.equal(codeOf(await change()), 'reauthentication_needed');
  const asked = ok(await client.auth.reauthenticate());
  assert.deepEqual([asked.user, asked.session], [null, null]);
  const { subject, code, text } = await mailTo(email);
  const nonce = code ?? /\d{6}/.exec(subject + text)[0];
  assert.equal(codeOf(await change(nonce === '123456' ? '654321' : '123456')), 'reauthentication_not_valid');
  ok(await change(nonce));
  ok(await browser(off).auth.signInWithPassword({ email, password: 'something new' }));
});

test('somebody anonymous becomes a user by confirming an address', async () => {
  const client = browser(on);
  const { user } = ok(await client.auth.signInAnonymously());
  const unable = await client.auth.reauthenticate();
  assert.match(unable.error.message, /Reauthentication requires the user to have an email or a phone number/);
  const email = address();
  ok(await client.auth.updateUser({ email }));
  ok(await client.auth.refreshSession());
  assert.equal(ok(await client.auth.getClaims()).claims.is_anonymous, false);
  assert.equal(ok(await client.auth.getUserIdentities()).identities[0].user_id, user.id);
});

test('a phone signs up and is confirmed by its code', async (t) => {
  const phone = '+4915112345670';
  const client = browser(off);
  const { user, session } = ok(await client.auth.signUp({ phone, password }));
  t.after(() => backend(off).auth.admin.deleteUser(user.id));
  assert.deepEqual([session, user.phone, user.phone_confirmed_at], [null, phone.slice(1), undefined]);
  assert.equal(codeOf(await browser(off).auth.signInWithPassword({ phone, password })), 'phone_not_confirmed');
  assert.equal(codeOf(await client.auth.verifyOtp({ phone, token: '000000', type: 'sms' })), 'otp_expired');
  const { user: now } = ok(await client.auth.verifyOtp({ phone, token: '123456', type: 'sms' }));
  assert.match(now.phone_confirmed_at, /^\d{4}-/);
  ok(await client.from('notes').insert({ content: 'in' }));
  ok(await browser(off).auth.signInWithPassword({ phone, password }));
});

test('phones without a carrier: an error soon, and never a session', async () => {
  const phone = `1${String(Date.now()).slice(-10)}`;
  const signUp = await browser(off).auth.signUp({ phone, password, options: { channel: 'whatsapp' } });
  assert.ok(signUp.error ? signUp.error.status !== 0 : signUp.data.session === null);
  for (const of of [on, off]) {
    assert.ok((await browser(of, pkce).auth.signInWithOtp({ phone: `${phone}1`, options: { channel: 'whatsapp' } })).error);
    for (const type of ['sms', 'phone_change']) {
      const { error } = await browser(of).auth.verifyOtp({ phone: '+4915112345678', token: '123456', type });
      assert.deepEqual([error.status, error.code, error.message], [403, 'otp_expired', 'Token has expired or is invalid']);
    }
  }
  const { error } = await browser(on).auth.verifyOtp({ phone: '+12345-invalid', token: '123456', type: 'sms' });
  assert.equal(error.message, 'Invalid phone number format (E.164 required)');
});
