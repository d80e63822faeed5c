// The server is stopped, killed and started again in the middle of things.
import assert from 'node:assert/strict';
import test from 'node:test';
import { database, newcomer, ok, people, project, restart, server, signedIn } from './harness.mjs';

const write = async (of, nina, title) => ok(await signedIn(of, nina).from('conversations').insert({ user_id: nina.id, title }).select('title').single());
const titles = async (of, nina) => ok(await signedIn(of, nina).from('conversations').select('title').order('title')).map((row) => row.title);

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`after ${signal} everything is there again, under the same keys, in under three seconds`, async (t) => {
    const before = await project('chatbot');
    const nina = await newcomer(t, before);
    await write(before, nina, 'before');
    const { readyMs } = await restart(signal);
    const after = await project('chatbot');
    for (const key of ['API_URL', 'JWT_SECRET', 'ANON_KEY', 'SERVICE_ROLE_KEY', 'PUBLISHABLE_KEY', 'SECRET_KEY']) {
      assert.equal(after[key], before[key], key);
    }
    await write(after, nina, 'since');
    assert.deepEqual(await titles(after, nina), ['before', 'since']);
    assert.ok(readyMs < 3000, `ready after ${readyMs} ms`);
  });
}

test('a client that goes on asking during a restart gets errors and then answers', async (t) => {
  const of = await project('chatbot');
  const nina = await newcomer(t, of);
  const db = signedIn(of, nina, { global: { fetch: (url, init) => fetch(url, { ...init, signal: AbortSignal.timeout(5000) }) } });
  const outcomes = [];
  let going = true;
  const asking = (async () => {
    while (going) {
      outcomes.push((await db.from('users').select('email').then((answer) => answer)).error === null);
      await new Promise((resolve) => { setTimeout(resolve, 10); });
    }
  })();
  await restart('SIGTERM');
  await new Promise((resolve) => { setTimeout(resolve, 200); });
  going = false;
  await asking;
  assert.equal(outcomes[0], true);
  assert.equal(outcomes.at(-1), true);
});

test('when the project\'s backends are killed, requests recover by themselves', async (t) => {
  const of = await project('chatbot');
  const nina = await newcomer(t, of);
  const db = signedIn(of, nina);
  ok(await db.from('users').select('email'));
  const { pid } = await server();
  // The owner may end the backends of its own project's roles, if the platform lets it; otherwise end them by hand.
  const killed = await database(of, async (client) => {
    const { rows } = await client.query(`select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`);
    let count = 0;
    for (const row of rows) {
      try {
        process.kill(row.pid, 'SIGTERM');
        count += 1;
      } catch { /* it is another user's, or gone */ }
    }
    return count;
  });
  if (killed === 0) t.diagnostic('no backend was there to be killed');
  const outcomes = [];
  for (let n = 0; n < 20; n += 1) outcomes.push(await db.from('users').select('email'));
  for (const { error, status } of outcomes.filter(({ error }) => error)) assert.equal(status, 503, JSON.stringify(error));
  assert.equal(outcomes.at(-1).error, null);
  assert.doesNotThrow(() => process.kill(pid, 0), 'the server is still the same process');
  assert.equal(ok(await signedIn(of, people.ada).from('users').select('email').single()).email, people.ada.email);
});
