// Signing up to the five systems: their triggers make the profiles, and the new user goes on with the same client.
import assert from 'node:assert/strict';
import test from 'node:test';
import { address, backend, blueprints, browser, database, ok, password, project, signedUp } from './harness.mjs';

const of = Object.fromEntries(await Promise.all(blueprints.map(async (name) => [name, await project(name)])));

// Where a sign-up leaves rows, with what they say of Nina. `nameless` is what they say of somebody without an address,
// null where there is no row before one is known.
const placeholder = (id) => `${id}@users.invalid`;
const profiles = {
  paradyze: { table: 'profiles', columns: 'id, email, display_name', row: (id, email) => ({ id, email, display_name: 'Nina' }),
    nameless: (id) => ({ id, email: null, display_name: 'Nina' }) },
  echelon: { table: 'users', columns: 'id, email, full_name', row: (id, email) => ({ id, email, full_name: 'Nina' }),
    nameless: (id) => ({ id, email: placeholder(id), full_name: 'Nina' }) },
  chatbot: { table: 'users', columns: 'id, email, name, subscriptions(plan, agent_limit)',
    row: (id, email) => ({ id, email, name: 'Nina', subscriptions: { plan: 'free', agent_limit: 1 } }),
    nameless: (id) => ({ id, email: placeholder(id), name: 'Nina', subscriptions: { plan: 'free', agent_limit: 1 } }) },
  domo: { table: 'profiles', columns: 'id, email, display_name', row: (id, email) => ({ id, email, display_name: 'Nina' }),
    nameless: (id) => ({ id, email: null, display_name: 'Nina' }) },
  aethercrown: { table: 'users', columns: 'id, email, name', row: (id, email) => ({ id, email, name: 'Nina' }), nameless: () => null },
};
const data = { name: 'Nina' };

for (const [name, { table, columns, row, nameless }] of Object.entries(profiles)) {
  const read = (client) => client.from(table).select(columns).maybeSingle();

  test(`${name}: a sign-up makes the profile, which is the user's and goes with them`, async () => {
    const email = address();
    const { client, user } = await signedUp(of[name], { email, options: { data } });
    assert.deepEqual(ok(await read(client)), row(user.id, email), 'the only one that they see');
    const next = address('nina-new');
    ok(await backend(of[name]).auth.admin.updateUserById(user.id, { email: next }));
    assert.deepEqual(ok(await read(client)), row(user.id, next), 'follows the address');
    ok(await backend(of[name]).auth.admin.deleteUser(user.id));
    assert.deepEqual(ok(await backend(of[name]).from(table).select('id').eq('id', user.id)), []);
  });

  test(`${name}: who is anonymous first has the profile, or gets it with an address`, async () => {
    const client = browser(of[name]);
    const { user } = ok(await client.auth.signInAnonymously({ options: { data } }));
    assert.deepEqual(ok(await read(client)), nameless(user.id));
    const email = address();
    ok(await client.auth.updateUser({ email }));
    assert.deepEqual(ok(await read(client)), row(user.id, email));
  });

  test(`${name}: the people of the seed sign in with their password`, async () => {
    const { user } = ok(await browser(of[name]).auth.signInWithPassword({ email: 'ada@example.com', password: 'plinth-demo' }));
    assert.equal(user.id, 'a0000000-0000-4000-8000-000000000001');
    assert.equal(user.identities.length, 1);
  });
}

test('aethercrown: the last sign-in shows', async () => {
  const { client, user } = await signedUp(of.aethercrown);
  const seen = async () => ok(await client.from('users').select('last_login').single()).last_login;
  const first = await seen();
  assert.ok(first !== null);
  ok(await client.auth.signInWithPassword({ email: user.email, password }));
  assert.ok(await seen() > first);
});

test('a trigger that fails lets nobody in, and leaves nothing', async (t) => {
  const email = address();
  const sql = (text) => database(of.domo, (db) => db.query(text));
  await sql(`alter table public.profiles add constraint nobody check (email <> '${email}')`);
  t.after(() => sql('alter table public.profiles drop constraint nobody'));
  const { data: { user }, error } = await browser(of.domo).auth.signUp({ email, password });
  assert.deepEqual([user, error.name, error.status], [null, 'AuthRetryableFetchError', 500]);
  const answer = await fetch(`${of.domo.API_URL}/auth/v1/signup`, {
    method: 'POST', headers: { apikey: of.domo.PUBLISHABLE_KEY, 'x-supabase-api-version': '2024-01-01' }, body: JSON.stringify({ email, password }),
  });
  assert.deepEqual(await answer.json(), { code: 'unexpected_failure', message: 'Database error saving new user' });
  const { rows } = await sql(`select from auth.users where email = '${email}'`);
  assert.deepEqual(rows, []);
});
