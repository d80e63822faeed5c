// Projects come and go while the server runs, keep apart from each other, and show changes of their schema at once.
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { backend, database, forgetProjects, newcomer, ok, plinth, project, signedIn, visitor } from './harness.mjs';

/** A project of that name for one test. */
async function made(t, name, ...options) {
  await plinth('project', 'create', name, ...options);
  forgetProjects();
  t.after(() => dropped(name));
  return project(name);
}

async function dropped(name) {
  await plinth('project', 'drop', name, '--yes').catch(() => {});
  forgetProjects();
}

/** Asks until the answer pleases, because the server hears of a change a moment after it was committed. */
async function eventually(ask, pleases, what) {
  const until = Date.now() + 10_000;
  for (;;) {
    const answer = await ask();
    if (pleases(answer)) return answer;
    if (Date.now() > until) assert.fail(`${what}: ${JSON.stringify(answer)}`);
    await sleep(25);
  }
}

test('a project is created, used and dropped while the server runs', async (t) => {
  const shop = await made(t, 'client-shop');
  const db = backend(shop);
  const empty = await eventually(() => db.from('item').select(), ({ status }) => status === 404, 'the empty project answers');
  assert.equal(empty.error.code, 'PGRST205');

  await database(shop, (client) => client.query(`
    create table item (id bigint generated always as identity primary key, name text not null, price numeric(10, 2));
    insert into item (name, price) values ('teapot', 12.50);`));
  const first = await eventually(() => db.from('item').select(), ({ error }) => error === null, 'the new table shows');
  assert.deepEqual(first.data, [{ id: 1, name: 'teapot', price: 12.5 }]);

  await dropped('client-shop');
  const gone = await eventually(() => fetch(`${shop.API_URL}/rest/v1/item`, { headers: { apikey: shop.SECRET_KEY } }),
    ({ status }) => status === 404, 'the dropped project is gone');
  assert.equal(typeof (await gone.json()).message, 'string');
  await assert.rejects(database(shop, async () => {}), 'its database is gone too');
});

test('changes of the schema show without a restart', async (t) => {
  const shop = await made(t, 'client-ddl');
  const db = backend(shop);
  const run = (sql) => database(shop, (client) => client.query(sql));
  const shows = (what, ask, pleases) => eventually(ask, pleases, what);

  await run('create table author (id int primary key, name text); create table book (id int primary key, title text, author_id int)');
  await run("insert into author values (1, 'Ursula'); insert into book values (1, 'Tales', 1)");
  await shows('a table', () => db.from('book').select('title'), ({ error }) => error === null);
  assert.equal((await db.from('book').select('title, author(name)')).error.code, 'PGRST200');

  await run('alter table book add foreign key (author_id) references author');
  const { data } = await shows('a foreign key', () => db.from('book').select('title, author(name)'), ({ error }) => error === null);
  assert.deepEqual(data, [{ title: 'Tales', author: { name: 'Ursula' } }]);

  await run('alter table book add column pages int default 200');
  await shows('a column', () => db.from('book').insert({ id: 2, title: 'More', pages: 10 }), ({ error }) => error === null);

  await run('create function shout(word text) returns text language sql immutable return upper(word)');
  assert.equal((await shows('a function', () => db.rpc('shout', { word: 'hi' }), ({ error }) => error === null)).data, 'HI');

  await run('create view long_book with (security_invoker = true) as select id, title, pages, author_id from book where pages > 100');
  await shows('a view', () => db.from('long_book').select('title, pages'), ({ error }) => error === null);

  const far = await shows('a key seen through a view', () => db.from('long_book').select('title, author(name)'), ({ error }) => error === null);
  assert.deepEqual(far.data, [{ title: 'Tales', author: { name: 'Ursula' } }]);

  await run('alter table book rename column title to name');
  await shows('a renamed column', () => db.from('book').select('name'), ({ error }) => error === null);

  await run('drop table book cascade');
  await shows('a dropped table', () => db.from('book').select(), ({ error }) => error?.code === 'PGRST205');

  await run("notify pgrst, 'reload schema'");
  await shows('after a reload', () => db.from('author').select('name'), ({ error }) => error === null);
});

test('many-to-many: tables that a junction joins embed in each other', async (t) => {
  const shop = await made(t, 'client-m2m');
  await database(shop, (client) => client.query(`
    create table film (id int primary key, title text); create table actor (id int primary key, name text);
    create table role (film_id int references film, actor_id int references actor, part text, primary key (film_id, actor_id));
    insert into film values (1, 'Solaris'), (2, 'Stalker'); insert into actor values (1, 'Donatas'), (2, 'Alisa');
    insert into role values (1, 1, 'Kris'), (2, 2, 'Wife');`));
  const db = backend(shop);
  const { data } = await eventually(() => db.from('film').select('title, actor(name)').order('id'), ({ error }) => error === null, 'm2m');
  assert.deepEqual(data, [{ title: 'Solaris', actor: [{ name: 'Donatas' }] }, { title: 'Stalker', actor: [{ name: 'Alisa' }] }]);
  assert.deepEqual(ok(await db.from('actor').select('name, film!inner(title)').eq('film.title', 'Stalker')), [{ name: 'Alisa', film: [{ title: 'Stalker' }] }]);
});

test('a new table is open until it has row level security, as people know it', async (t) => {
  const shop = await made(t, 'client-rls');
  const run = (sql) => database(shop, (client) => client.query(sql));
  await run("create table note (id int primary key, owner uuid default auth.uid(), body text); insert into note (id, body) values (1, 'x')");
  const seen = await eventually(() => visitor(shop).from('note').select('body'), ({ error }) => error === null, 'the table shows');
  assert.equal(seen.data.length, 1);
  await run('alter table note enable row level security');
  assert.deepEqual(ok(await visitor(shop).from('note').select('body')), []);
  await run('create policy own on note to authenticated using (owner = (select auth.uid())) with check (owner = (select auth.uid()))');
  const nina = await newcomer(t, shop);
  const db = signedIn(shop, nina);
  assert.deepEqual(ok(await db.from('note').insert({ id: 2, body: 'mine' }).select('owner, body')), [{ owner: nina.id, body: 'mine' }]);
  assert.deepEqual(ok(await db.from('note').select('id')), [{ id: 2 }]);
});

test('the owner of a project may do what people\'s migrations do, and is no superuser', async (t) => {
  const shop = await made(t, 'client-owner');
  await database(shop, async (client) => {
    await client.query(`
      create extension if not exists vector; create extension if not exists pg_trgm; create extension if not exists "uuid-ossp";
      create table profile (id uuid primary key references auth.users on delete cascade, email text);
      create function make_profile() returns trigger language plpgsql security definer set search_path = '' as
        'begin insert into public.profile values (new.id, new.email); return new; end';
      create trigger on_auth_user_created after insert on auth.users for each row execute function make_profile();
      create policy mine on storage.objects for select to authenticated using (owner = (select auth.uid()));
      alter publication supabase_realtime add table profile;
      create schema app; grant usage on schema app to anon;`);
    const { rows: [who] } = await client.query('select rolsuper, rolcreatedb from pg_roles where rolname = current_user');
    assert.deepEqual(who, { rolsuper: false, rolcreatedb: false });
    for (const sql of ['create database escape', 'alter system set work_mem = 1', "copy profile to program 'id'", "select pg_read_file('PG_VERSION')",
      'create role boss superuser', 'set role supabase_admin', 'set session authorization supabase_admin', 'create extension dblink; select dblink_connect(\'dbname=plinth\')',
      'alter role supabase_admin password null', 'select pg_terminate_backend(pid) from pg_stat_activity where datname = \'chatbot\'']) {
      const outcome = await client.query(sql).then((result) => (Array.isArray(result) ? result.at(-1) : result), (error) => error);
      if (sql.startsWith('select pg_terminate')) assert.ok(outcome instanceof Error || outcome.rows.every((row) => row.pg_terminate_backend !== true), sql);
      else assert.ok(outcome instanceof Error, sql);
    }
  });
  const nina = await newcomer(t, shop);
  const answer = await eventually(() => backend(shop).from('profile').select('email'), ({ error }) => error === null, 'the table shows');
  assert.deepEqual(answer.data, [{ email: nina.email }]);
});

test('a project\'s login does not open another project, nor the control database', async (t) => {
  const shop = await made(t, 'client-apart');
  for (const other of ['chatbot', 'plinth', 'postgres', 'template1']) {
    const url = new URL(shop.DB_URL);
    url.pathname = `/${other}`;
    const client = new pg.Client(url.href);
    await assert.rejects(client.connect(), /permission denied|authentication failed|not permitted/i, other);
    await client.end().catch(() => {});
  }
  const wrong = new URL(shop.DB_URL);
  wrong.password = 'wrong';
  await assert.rejects(new pg.Client(wrong.href).connect(), /password/i);
});

test('two projects of one blueprint share nothing', async (t) => {
  const twin = await made(t, 'client-twin', '--blueprint', 'chatbot', '--no-seed');
  const chatbot = await project('chatbot');
  const answer = await eventually(() => backend(twin).from('users').select('id', { count: 'exact' }), ({ error }) => error === null, 'the twin answers');
  assert.equal(answer.count, 0);
  const nina = await newcomer(t, twin);
  assert.equal(ok(await signedIn(twin, nina).from('users').select('email').single()).email, nina.email);
  assert.equal((await signedIn({ ...chatbot, JWT_SECRET: twin.JWT_SECRET }, nina).from('users').select()).status, 401);
  assert.notEqual(twin.SECRET_KEY, chatbot.SECRET_KEY);
});

test('a project with a bad name, a taken name or no such blueprint is not made', async () => {
  const before = await plinth('project', 'list', '-o', 'json');
  for (const name of ['a', 'Shop', '1shop', 'shop_1', 'shop-', '-shop', 'postgres', 'template0', 'plinth', 'x'.repeat(60), "a'b", 'chatbot']) {
    await assert.rejects(plinth('project', 'create', '--', name), name);
  }
  await assert.rejects(plinth('project', 'create', 'client-none', '--blueprint', 'nothing-here'));
  assert.equal(await plinth('project', 'list', '-o', 'json'), before);
});
