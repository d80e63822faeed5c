// The chatbot beyond its SQL tests: the agent limit under concurrency, Drizzle, and the move of an existing database.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import { database, forgetProjects, here, newcomer, ok, people, plinth, project, root, signedIn } from './harness.mjs';

const chatbot = await project('chatbot');
const folder = path.join(root, 'blueprints/chatbot');

// ---- the agent limit --------------------------------------------------------------------------------------------------

const research = '30000000-0000-4000-8000-000000000001'; // ada's public definition

test('requests at once cannot pass the agent limit together', async (t) => {
  const nina = await newcomer(t, chatbot);
  const db = signedIn(chatbot, nina);
  const answers = await Promise.all(Array.from({ length: 12 }, (_, n) =>
    db.from('agent_instances').insert({ user_id: nina.id, definition_id: research, name: `agent ${n}` })));
  assert.equal(answers.filter(({ error }) => error === null).length, 1);
  const refused = answers.filter(({ error }) => error !== null);
  assert.deepEqual([...new Set(refused.map(({ error }) => error.code))], ['23514']);
  assert.match(refused[0].error.message, /agent limit/);
  assert.match(refused[0].error.hint, /Archive/);
  assert.equal(ok(await db.from('agent_instances').select('id')).length, 1);
});

for (const level of ['read committed', 'repeatable read', 'serializable']) {
  test(`nor can transactions under ${level}`, async (t) => {
    const nina = await newcomer(t, chatbot);
    const connections = [new pg.Client(chatbot.DB_URL), new pg.Client(chatbot.DB_URL)];
    const [first, second] = connections;
    for (const connection of connections) {
      await connection.connect();
      t.after(() => connection.end());
      await connection.query(`begin isolation level ${level}`);
      await connection.query('select count(*) from agent_instances'); // takes the snapshot
    }
    const insert = (connection) => connection.query(
      "insert into agent_instances (user_id, definition_id, name) values ($1, $2, 'n')", [nina.id, research]);
    await insert(first);
    const waiting = insert(second).then(() => 'inserted', (error) => error.code);
    await first.query('commit');
    assert.equal(await waiting, level === 'read committed' ? '23514' : '40001');
    await second.query('rollback');
    const { rows } = await first.query('select count(*)::int from agent_instances where user_id = $1', [nina.id]);
    assert.equal(rows[0].count, 1);
  });
}

test('a public definition of somebody else can be used, a private one cannot', async (t) => {
  const nina = await newcomer(t, chatbot);
  const db = signedIn(chatbot, nina);
  const { error } = await db.from('agent_instances')
    .insert({ user_id: nina.id, definition_id: '30000000-0000-4000-8000-000000000002', name: 'n' });
  assert.equal(error.code, '23503');
  const made = ok(await db.from('agent_instances').insert({ user_id: nina.id, definition_id: research, name: 'n' })
    .select('status, agent_definitions(name)').single());
  assert.deepEqual(made, { status: 'active', agent_definitions: { name: 'Research assistant' } });
});

// ---- Drizzle ------------------------------------------------------------------------------------------------------------

/** A copy of the blueprint's Drizzle folder from which drizzle-kit and TypeScript find their packages. */
async function workshop(t) {
  await mkdir(path.join(here, '.work'), { recursive: true });
  const copy = await mkdtemp(path.join(here, '.work/drizzle-'));
  t.after(() => rm(copy, { recursive: true, force: true }));
  await cp(path.join(folder, 'drizzle'), copy, { recursive: true });
  await symlink(path.join(here, 'node_modules'), path.join(copy, 'node_modules'));
  await writeFile(path.join(copy, 'package.json'), '{"type": "commonjs"}');
  return copy;
}

/** Compiles the folder's TypeScript, strictly, and imports the modules of those names. */
async function compiled(cwd, ...names) {
  await promisify(execFile)(process.execPath, [
    path.join(here, 'node_modules/typescript/bin/tsc'), '--strict', '--target', 'es2022', '--module', 'commonjs',
    '--moduleResolution', 'node10', '--skipLibCheck', '--outDir', 'js', ...names.map((name) => `${name}.ts`)], { cwd });
  return Promise.all(names.map(async (name) => (await import(pathToFileURL(path.join(cwd, 'js', `${name}.js`)))).default));
}

const drizzleKit = (cwd, url, ...args) => promisify(execFile)(process.execPath,
  [path.join(here, 'node_modules/drizzle-kit/bin.cjs'), ...args, '--config', 'drizzle.config.ts'],
  { cwd, env: { ...process.env, DATABASE_URL: url } });

/** Everything that Drizzle knows of: columns, constraints, indexes, policies, row level security. */
const shape = (db) => db.query(`
  select 'column' as kind, c.relname || '.' || a.attname as name,
         concat_ws(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
                   case when a.attgenerated = 's' then 'generated' end, pg_get_expr(d.adbin, d.adrelid)) as what
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
  union all
  select 'constraint', conrelid::regclass || '.' || conname, pg_get_constraintdef(oid)
  from pg_constraint where connamespace = 'public'::regnamespace
  union all
  select 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid)
  from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = 'public'::regnamespace
  union all
  select 'policy', tablename || '.' || policyname, concat_ws(' | ', permissive, roles::text, cmd, qual, with_check)
  from pg_policies where schemaname = 'public'
  union all
  select 'row level security', relname, relrowsecurity::text
  from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'
  order by 1, 2`).then(({ rows }) => rows.map((row) => `${row.kind} ${row.name}: ${row.what}`));

test('drizzle-kit makes of the kept schema what the migrations make', async (t) => {
  await plinth('project', 'create', 'drizzle-empty');
  forgetProjects();
  t.after(async () => {
    await plinth('project', 'drop', 'drizzle-empty', '--yes');
    forgetProjects();
  });
  const empty = await project('drizzle-empty');
  const cwd = await workshop(t);
  await drizzleKit(cwd, empty.DB_URL, 'generate');
  const [file] = (await readdir(path.join(cwd, 'out'))).filter((name) => name.endsWith('.sql'));
  const sql = await readFile(path.join(cwd, 'out', file), 'utf8');
  const made = await database(empty, async (db) => {
    for (const statement of sql.split('--> statement-breakpoint')) await db.query(statement);
    return shape(db);
  });
  const kept = await database(chatbot, shape);
  const documents = ['users', 'conversations', 'messages', 'artifacts', 'agent_definitions', 'agent_instances', 'agent_tools',
    'workflows', 'subscriptions'];
  for (const table of documents) assert.ok(made.includes(`row level security ${table}: true`), table);
  assert.deepEqual(made, kept);
});

test('drizzle-kit push finds nothing to change in a project of the blueprint', async (t) => {
  const cwd = await workshop(t);
  const { stdout } = await drizzleKit(cwd, chatbot.DB_URL, 'push');
  assert.match(stdout, /No changes detected/);
});

test('the example query of the document runs through Drizzle', async (t) => {
  const [{ getConversationMessages }, schema] = await compiled(await workshop(t), 'queries', 'schema');
  const { drizzle } = await import('drizzle-orm/node-postgres');
  await database(chatbot, async (client) => {
    const db = drizzle(client, { schema });
    const talk = await getConversationMessages(db, '50000000-0000-4000-8000-000000000001');
    assert.equal(talk.title, 'Solid-state batteries');
    assert.deepEqual(talk.messages.map((message) => message.role), ['user', 'assistant', 'tool', 'assistant']);
    assert.ok(talk.createdAt instanceof Date);
    const owner = await db.query.users.findFirst({
      where: (users, { eq }) => eq(users.id, people.ada.id),
      with: { subscription: true, agentInstances: { with: { definition: true, workflows: true } } },
    });
    assert.equal(owner.subscription.isActive, true);
    assert.ok(owner.agentInstances.some((instance) => instance.definition.name === 'Research assistant' && instance.workflows.length > 0));
  });
});

test('what Drizzle writes, supabase-js reads', async (t) => {
  const nina = await newcomer(t, chatbot);
  const [schema] = await compiled(await workshop(t), 'schema');
  const { drizzle } = await import('drizzle-orm/node-postgres');
  await database(chatbot, async (client) => {
    const db = drizzle(client, { schema });
    const [talk] = await db.insert(schema.conversations).values({ userId: nina.id, metadata: { from: 'drizzle' } }).returning();
    await db.insert(schema.messages).values({ conversationId: talk.id, role: 'user', content: 'Hi', parts: [{ type: 'text' }] });
  });
  const row = ok(await signedIn(chatbot, nina).from('conversations').select('title, metadata, messages(content, parts)').single());
  assert.deepEqual(row, { title: 'New chat', metadata: { from: 'drizzle' }, messages: [{ content: 'Hi', parts: [{ type: 'text' }] }] });
});

// ---- moving an existing database --------------------------------------------------------------------------------------

// The document's tables as Drizzle made them of the document, without a single correction.
const legacy = `
  create schema legacy; set search_path = legacy;
  create table users (id uuid primary key default gen_random_uuid(), email text not null unique, name text, avatar_url text,
    created_at timestamp default now() not null, updated_at timestamp default now() not null);
  create table conversations (id uuid primary key default gen_random_uuid(), user_id uuid not null references users (id),
    title text not null, system_prompt text, metadata jsonb, created_at timestamp default now() not null, updated_at timestamp default now() not null);
  create table messages (id uuid primary key default gen_random_uuid(), conversation_id uuid not null references conversations (id),
    role text not null, content text not null, parts jsonb, attachments jsonb, reasoning text, created_at timestamp default now() not null);
  create table artifacts (id uuid primary key default gen_random_uuid(), user_id uuid not null references users (id),
    message_id uuid references messages (id), type text not null, title text not null, content text, metadata jsonb,
    created_at timestamp default now() not null, updated_at timestamp default now() not null);
  create table agent_definitions (id uuid primary key default gen_random_uuid(), user_id uuid not null references users (id),
    name text not null, description text not null, system_prompt text not null, is_public boolean default false not null, tools jsonb,
    capabilities jsonb, metadata jsonb, created_at timestamp default now() not null, updated_at timestamp default now() not null);
  create table agent_instances (id uuid primary key default gen_random_uuid(), user_id uuid not null references users (id),
    definition_id uuid not null references agent_definitions (id), name text not null, configuration jsonb, status text default 'active' not null,
    metadata jsonb, created_at timestamp default now() not null, updated_at timestamp default now() not null);
  create table agent_tools (id uuid primary key default gen_random_uuid(), name text not null unique, description text not null,
    schema jsonb not null, is_system boolean default false not null, metadata jsonb, created_at timestamp default now() not null,
    updated_at timestamp default now() not null);
  create table workflows (id uuid primary key default gen_random_uuid(), user_id uuid not null references users (id),
    agent_instance_id uuid references agent_instances (id), workflow_id text not null, status text not null, goal text not null, steps jsonb,
    result jsonb, metadata jsonb, created_at timestamp default now() not null, updated_at timestamp default now() not null);
  create table subscriptions (id uuid primary key default gen_random_uuid(), user_id uuid not null references users (id),
    stripe_customer_id text, stripe_subscription_id text, stripe_price_id text, stripe_current_period_end timestamp, plan text not null,
    status text not null, is_active boolean default false not null, agent_limit integer not null,
    created_at timestamp default now() not null, updated_at timestamp default now() not null);

  insert into users (email, name) select 'legacy' || n || '@example.com', 'Legacy ' || n from generate_series(1, 20) n;
  insert into agent_tools (name, description, schema) values ('legacy_search', 'd', '{"type": "object"}');
  insert into conversations (user_id, title, created_at) select u.id, 'Talk ' || n, '2024-07-01 12:00' from users u, generate_series(1, 5) n;
  insert into messages (conversation_id, role, content) select c.id, 'user', 'Hi ' || n from conversations c, generate_series(1, 4) n;
  insert into artifacts (user_id, message_id, type, title)
    select c.user_id, m.id, 'code', 'A' from messages m join conversations c on c.id = m.conversation_id where m.content = 'Hi 1';
  insert into agent_definitions (user_id, name, description, system_prompt, tools)
    select u.id, 'Def', 'd', 'p', jsonb_build_array(t.id, gen_random_uuid()) from users u, agent_tools t;
  insert into agent_instances (user_id, definition_id, name) select d.user_id, d.id, 'I' || n from agent_definitions d, generate_series(1, 5) n;
  insert into workflows (user_id, agent_instance_id, workflow_id, status, goal)
    select i.user_id, i.id, 'legacy-' || i.id, 'completed', 'g' from agent_instances i;
  insert into workflows (user_id, workflow_id, status, goal) select w.user_id, w.workflow_id, 'failed', 'g' from workflows w limit 7;
  insert into subscriptions (user_id, plan, status, is_active, agent_limit, stripe_current_period_end)
    select u.id, 'pro', 'active', true, 3, '2024-07-31 12:00' from users u;
  insert into subscriptions (user_id, plan, status, is_active, agent_limit) select u.id, 'free', 'canceled', true, 1 from users u limit 4;`;

test('an existing database of the document\'s shape moves in', async () => {
  const exportSql = await readFile(path.join(folder, 'export.sql'), 'utf8');
  await database(chatbot, async (db) => {
    await db.query('begin'); // never committed: nothing of it stays
    await db.query(legacy);
    const { rows: [{ jsonb_build_object: data }] } = await db.query(exportSql);
    await db.query('set search_path = public');
    const { rows } = await db.query("select * from import_data($1, 'America/New_York')", [JSON.stringify(data)]);
    const report = Object.fromEntries(rows.map((row) => [row.table_name, [Number(row.given), Number(row.present)]]));
    assert.deepEqual(report, {
      users: [20, 20], conversations: [100, 100], messages: [400, 400], artifacts: [100, 100], agent_definitions: [20, 20],
      agent_instances: [100, 100], agent_tools: [1, 1], workflows: [107, 100], subscriptions: [24, 20],
    });
    const { rows: [checks] } = await db.query(`select
      (select count(*)::int from legacy.conversations l join conversations c using (id) where c.created_at = '2024-07-01 16:00+00') as moments,
      (select count(*)::int from legacy.users l join users u using (id) join auth.users a using (id)) as people,
      (select count(*)::int from legacy.agent_instances l join agent_instances i using (id) where i.status = 'active') as active,
      (select count(*)::int from legacy.agent_definitions l join agent_definitions d using (id) where jsonb_array_length(d.tools) = 1) as tools,
      (select count(*)::int from legacy.subscriptions l join subscriptions s using (id) where s.is_active and s.plan = 'pro'
         and s.stripe_current_period_end = '2024-07-31 16:00+00') as paid`);
    assert.deepEqual(checks, { moments: 100, people: 20, active: 60, tools: 20, paid: 20 });
    await db.query('rollback');
  });
});
