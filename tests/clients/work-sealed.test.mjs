// A column of secrets: written with supabase-js, never stored or shown as it is, opened for an endpoint. And a meter.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { backend, database, forgetProjects, ok, plinth, project, restart, server } from './harness.mjs';

const NAME = 'client-sealed';
const TOKEN = 'a-token-that-nobody-may-read';
const received = [];
let folder, listener, of;

const manifest = (url) => `
[sealed]
account = ["token"]

[[binding]]
name    = "post"
on      = "account"
when    = "status = 'ready'"
action  = "http.request"
with    = { url = "${url}" }
input   = "select jsonb_build_object('id', id, 'account', jsonb_build_object('token', token)) from account where id = $row"
open    = "account.token"
done    = "update account set status = 'posted', said = $out where id = $row"
failed  = "update account set status = 'failed', said = to_jsonb($error) where id = $row"
retry   = { attempts = 2, first = "50ms" }

[[meter]]
name    = "bill"
actions = "http.request"
record  = "insert into bill (job, attempt, usage) values ($job, $attempt, $usage)"
`;

/** Fails once for each account, and says again what it got. */
async function answer(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = JSON.parse(Buffer.concat(chunks));
  received.push(body);
  const first = received.filter((one) => one.id === body.id).length === 1;
  response.writeHead(first ? 500 : 200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ echo: body, plinth: { usage: { tokens: first ? 1 : 2 } } }));
}

async function until(find, what) {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await find();
    if (found) return found;
    if (Date.now() > end) assert.fail(`waited in vain for ${what}`);
    await sleep(25);
  }
}

const rows = (sql) => database(of, async (db) => (await db.query(sql)).rows);
const posted = (id) => until(async () => {
  const [row] = await rows(`select status, said from account where id = ${id}`);
  return ['posted', 'failed'].includes(row?.status) && row;
}, `account ${id}`);

before(async () => {
  listener = createServer((request, response) => answer(request, response).catch((error) => response.writeHead(500).end(String(error))));
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  folder = await mkdtemp(path.join(tmpdir(), 'plinth-sealed-'));
  await plinth('project', 'create', NAME);
  forgetProjects();
  of = await project(NAME);
  await rows(`create table account (id bigint primary key, token text, status text not null default 'new', said jsonb);
              create table bill (job bigint, attempt integer, usage jsonb);
              insert into account (id, token) values (1, 'old-${TOKEN}');`);
  await writeFile(path.join(folder, 'blueprint.toml'), manifest(`http://127.0.0.1:${listener.address().port}/`));
});

after(async () => {
  listener.close();
  await plinth('project', 'drop', NAME, '--yes');
  forgetProjects();
  await rm(folder, { recursive: true });
});

test('a manifest seals the column and what is in it', async () => {
  assert.match(await plinth('blueprint', 'check', folder, '--project', NAME), /is sound/);
  assert.match(await plinth('blueprint', 'diff', folder, '--project', NAME), /\+ row post[^]*\+ sealed account/);
  assert.match(await plinth('blueprint', 'apply', folder, '--project', NAME), /\+ sealed account \(1 rows that were there are sealed\)/);
  assert.match(await plinth('blueprint', 'apply', folder, '--project', NAME), /nothing to change/);
  const [{ token }] = await rows('select token from account where id = 1');
  assert.match(token, /^sealed\.v1\./);
});

test('what a client writes is sealed, and the endpoint alone gets it', async () => {
  const client = backend(of);
  await until(async () => !(await client.from('account').select('id')).error, 'the table');
  const written = ok(await client.from('account').upsert({ id: 2, token: TOKEN, status: 'ready' }).select());
  assert.match(written[0].token, /^sealed\.v1\./);
  // The update of an upsert seals once.
  ok(await client.from('account').upsert({ id: 1, token: TOKEN, status: 'ready' }));
  for (const id of [1, 2]) {
    assert.deepEqual(await posted(id), { status: 'posted', said: { echo: { id, account: { token: '[sealed]' } } } });
    assert.deepEqual(received.filter((one) => one.id === id).map((one) => one.account.token), [TOKEN, TOKEN]);
  }
  const bill = await rows(`select usage->>'tokens' as tokens, attempt, count(*)::int from bill group by 1, 2 order by 1`);
  assert.deepEqual(bill, [{ tokens: '1', attempt: 1, count: 2 }, { tokens: '2', attempt: 2, count: 2 }]);
});

test('nothing shows it', async () => {
  const held = await rows(`
    select a::text from account a union all select j::text from plinth.job j union all select d::text from plinth.job_done d
    union all select s::text from plinth.step s union all select b::text from bill b`);
  const jobs = JSON.parse(await plinth('work', 'list', '--project', NAME, '--state', 'done', '-o', 'json'));
  const shown = [];
  for (const { job } of await rows('select distinct job from bill')) shown.push(await plinth('work', 'show', String(job), '--project', NAME));
  const all = JSON.stringify([held, jobs, shown, await (await server()).log()]);
  assert.equal(shown.length, 2);
  assert.ok(!all.includes('that-nobody-may-read'), all);
});

test('what was sealed before a restart opens after it', async () => {
  await restart('SIGKILL');
  of = await project(NAME);
  await rows(`update account set status = 'ready' where id = 2`);
  await until(async () => received.filter((one) => one.id === 2).length === 3, 'the third request');
  assert.equal((await posted(2)).status, 'posted');
  assert.equal(received.at(-1).account.token, TOKEN);
});

test('somebody else’s sealed text is of no use in one’s own row', async () => {
  await rows(`insert into account (id, token, status) select 3, token, 'ready' from account where id = 2`);
  const { status, said } = await posted(3);
  assert.equal(status, 'failed');
  assert.match(said, /`account\.token`: it was sealed twice/);
  assert.deepEqual(received.filter((one) => one.id === 3), []);
});
