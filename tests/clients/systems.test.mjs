// The five systems, each as the two people of its seed, as somebody who owns nothing, as a visitor and as a server.
import assert from 'node:assert/strict';
import test from 'node:test';
import { backend, blueprints, database, newcomer, ok, people, project, refused, signedIn, visitor } from './harness.mjs';

const { ada, ben, eve } = people;
const of = Object.fromEntries(await Promise.all(blueprints.map(async (name) => [name, await project(name)])));

// ---- every table of every system ----------------------------------------------------------------------------------------

// Rows of other people that a signed-in user is meant to see.
const open = {
  chatbot: { agent_definitions: (row) => row.is_public },
  echelon: { agent_templates: (row) => row.is_public, teams: () => false },
  domo: { demos: (row) => row.status === 'published', demo_dashboard: (row) => row.status === 'published' },
};

const relations = (project) => database(project, async (db) => {
  const { rows } = await db.query(`select relname as name, relkind in ('v', 'm') as is_view from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition order by 1`);
  return rows;
});

/** Columns that the role may read; some tables show a user only a few. */
const readable = (project, table, role) => database(project, async (db) => {
  const { rows } = await db.query(`select string_agg(quote_ident(attname), ',' order by attnum) as list from pg_attribute
    where attrelid = $1::regclass and attnum > 0 and not attisdropped and has_column_privilege($2, attrelid, attnum, 'select')`, [`public.${table}`, role]);
  return rows[0].list;
});

for (const name of blueprints) {
  test(`${name}: in no table does anybody see what is ada's or ben's, unless it is meant for them`, async () => {
    const all = await relations(of[name]);
    assert.ok(all.length >= 5, `${name} has ${all.length} tables`);
    const ids = { ada: ada.id, ben: ben.id };
    for (const { name: table } of all) {
      const columns = await readable(of[name], table, 'authenticated');
      const shown = columns === null ? [] : ok(await signedIn(of[name], eve).from(table).select(columns));
      for (const row of shown.filter((row) => !open[name]?.[table]?.(row))) {
        const text = JSON.stringify(row);
        for (const [who, id] of Object.entries(ids)) assert.ok(!text.includes(id), `eve sees ${who}'s row of ${table}: ${text}`);
      }
      const seen = await visitor(of[name]).from(table).select(await readable(of[name], table, 'anon') ?? '*');
      if (seen.error) {
        assert.equal(seen.status, 401, `visitor in ${table}: ${JSON.stringify(seen.error)}`);
        assert.equal(seen.error.code, '42501');
      } else {
        for (const row of seen.data) assert.ok(open[name]?.[table]?.(row) ?? !JSON.stringify(row).includes(ada.id), `a visitor sees a row of ${table}`);
      }
    }
  });

  test(`${name}: the server sees rows in every table that the seed fills, and counts them`, async () => {
    let filled = 0;
    for (const { name: table } of await relations(of[name])) {
      const columns = await readable(of[name], table, 'service_role');
      const answer = await backend(of[name]).from(table).select(columns, { count: 'exact', head: true });
      assert.equal(answer.error, null, `${table}: HTTP ${answer.status}`);
      filled += answer.count > 0;
    }
    assert.ok(filled >= 5, `only ${filled} tables have rows`);
  });

  test(`${name}: a sign-up makes the user's own row, and its deletion takes it away`, async (t) => {
    const table = ['paradyze', 'domo'].includes(name) ? 'profiles' : name === 'aethercrown' ? 'user_profiles' : 'users';
    const nina = await newcomer(t, of[name]);
    const db = signedIn(of[name], nina);
    const rows = ok(await db.from(table).select('id, email'));
    assert.deepEqual(rows, [{ id: nina.id, email: nina.email }]);
    await database(of[name], (client) => client.query('delete from auth.users where id = $1', [nina.id]));
    assert.deepEqual(ok(await db.from(table).select('id')), []);
  });
}

// ---- paradyze -------------------------------------------------------------------------------------------------------------

test('paradyze: agent, conversation and message by supabase-js, and out of reach for others', async (t) => {
  const [nina, otto] = [await newcomer(t, of.paradyze, 'nina'), await newcomer(t, of.paradyze, 'otto')];
  const db = signedIn(of.paradyze, nina);
  const agent = ok(await db.from('agents').insert({
    name: 'Nova', config: { bio: ['x'], settings: { secrets: { OPENAI_API_KEY: 'sk-test' } } },
  }).select().single());
  assert.equal(agent.user_id, nina.id);
  assert.ok(!JSON.stringify(agent).includes('sk-test'), 'secrets leave the config');
  const chat = ok(await db.from('conversations').insert({ agent_id: agent.id }).select().single());
  assert.match(chat.room_id, /^[0-9a-f-]{36}$/);
  ok(await db.from('messages').insert({ conversation_id: chat.id, sender_type: 'user', content: 'Hello' }));
  const talk = ok(await db.from('conversations').select('agents(name), messages(sender_type, content)').single());
  assert.deepEqual(talk, { agents: { name: 'Nova' }, messages: [{ sender_type: 'user', content: 'Hello' }] });

  const other = signedIn(of.paradyze, otto);
  assert.deepEqual(ok(await other.from('agents').select()), []);
  assert.equal((await other.from('conversations').insert({ agent_id: agent.id })).error?.code, '42501');
  assert.equal((await other.from('messages').insert({ conversation_id: chat.id, sender_type: 'user', content: 'x' })).error?.code, '42501');
  assert.deepEqual(ok(await other.from('agents').update({ name: 'taken' }).eq('id', agent.id).select()), []);
  assert.equal((await db.from('messages').insert({ conversation_id: chat.id, sender_type: 'agent', content: 'forged' })).error?.code, '42501');
});

test('paradyze: nobody reads tokens, and nobody tweets through a stranger\'s account', async (t) => {
  const nina = await newcomer(t, of.paradyze);
  const db = signedIn(of.paradyze, nina);
  assert.equal((await signedIn(of.paradyze, ada).from('twitter_accounts').select('access_token')).error?.code, '42501');
  const [account] = ok(await signedIn(of.paradyze, ada).from('twitter_accounts').select('id, username'));
  assert.equal(account.username, 'nova_explains');
  const agent = ok(await db.from('agents').insert({ name: 'Mine' }).select('id').single());
  const { error } = await db.from('tweets').insert({ agent_id: agent.id, twitter_account_id: account.id, content: 'gm' });
  assert.ok(error, 'queued a tweet through another account');
  const tweets = ok(await signedIn(of.paradyze, ada).from('tweets').select('status, agents(name), twitter_accounts(username)'));
  assert.ok(tweets.length > 0 && tweets.every((tweet) => tweet.agents && tweet.twitter_accounts));
});

// ---- echelon ----------------------------------------------------------------------------------------------------------------

test('echelon: a viewer sees the team\'s agents and changes nothing, a stranger sees nothing', async () => {
  const seen = async (person) => ok(await signedIn(of.echelon, person).from('agents').select('name').order('name')).map((row) => row.name);
  assert.deepEqual(await seen(ada), ['Foghorn', 'Lantern', 'Tide']);
  assert.deepEqual(await seen(ben), ['Clipper', 'Lantern', 'Tide'], 'his own and the team\'s');
  assert.deepEqual(await seen(eve), []);
  assert.deepEqual(ok(await signedIn(of.echelon, ben).from('agents').update({ name: 'Taken' }).eq('name', 'Tide').select()), []);
  assert.deepEqual(ok(await signedIn(of.echelon, ben).from('agents').delete().eq('name', 'Tide').select()), []);
});

test('echelon: nobody makes themselves an admin or pays themselves', async (t) => {
  const nina = await newcomer(t, of.echelon);
  const db = signedIn(of.echelon, nina);
  const { error } = await db.from('user_roles').insert({ user_id: nina.id, role: 'admin', team_id: '10000000-0000-4000-8000-000000000001', granted_by: nina.id });
  assert.equal(error?.code, '42501');
  assert.equal((await db.from('users').update({ subscription_tier: 'enterprise' }).eq('id', nina.id)).error?.code, '42501');
  ok(await db.from('users').update({ full_name: 'Nina' }).eq('id', nina.id));
});

test('echelon: embeds across the whole chain, and a dashboard with right numbers', async () => {
  const db = signedIn(of.echelon, ada);
  const tide = ok(await db.from('agents').select(`name, teams(name), deployments(version, status), workflows(name, execution_count, workflow_executions(status))`)
    .eq('name', 'Tide').order('version', { referencedTable: 'deployments' }).single());
  assert.equal(tide.teams.name, 'Harbour Research');
  assert.deepEqual(tide.deployments, [{ version: 1, status: 'stopped' }, { version: 2, status: 'deployed' }]);
  assert.equal(tide.workflows.length, 2);
  for (const workflow of tide.workflows) assert.equal(workflow.execution_count, workflow.workflow_executions.length);
  const [row] = ok(await db.from('agent_dashboard').select('deployment_status, execution_count, success_count, error_count').eq('name', 'Tide'));
  assert.equal(row.execution_count, 28, 'the sum over its workflows');
  assert.equal(row.success_count + row.error_count, 28);
  assert.equal(row.deployment_status, 'deployed');
  assert.deepEqual(ok(await signedIn(of.echelon, eve).from('agent_dashboard').select('id')), []);
});

test('echelon: two foreign keys to one table are told apart by a hint', async () => {
  const db = signedIn(of.echelon, ada);
  const unclear = await db.from('user_roles').select('role, users(email)');
  assert.equal(unclear.status, 300);
  assert.equal(unclear.error.code, 'PGRST201');
  const roles = ok(await db.from('user_roles').select('role, member:users!user_id(full_name), by:users!user_roles_granted_by_fkey(full_name)')
    .eq('team_id', '10000000-0000-4000-8000-000000000001').order('role'));
  assert.equal(roles[0].role, 'admin');
  assert.equal(roles[0].member.full_name, 'Ada Lind');
});

test('echelon: a team is made, its creator is its admin, and notifications are marked read', async (t) => {
  const nina = await newcomer(t, of.echelon);
  const db = signedIn(of.echelon, nina);
  const slug = `team-${nina.id.slice(0, 8)}`;
  ok(await db.from('teams').insert({ name: 'Nina & Co', slug, created_by: nina.id }));
  const team = ok(await db.from('teams').select('name, user_roles(role, user_id)').eq('slug', slug).single());
  assert.deepEqual(team.user_roles, [{ role: 'admin', user_id: nina.id }]);
  const agent = ok(await db.from('agents').insert({ name: 'N', type: 'alarm', created_by: nina.id }).select('id, status').single());
  assert.equal(agent.status, 'inactive');
  ok(await db.from('agents').update({ status: 'error' }).eq('id', agent.id));
  const [note] = ok(await db.from('unread_notifications').select('priority, message'));
  assert.equal(note.priority, 'high');
  assert.equal(ok(await db.rpc('mark_notifications_read')), 1);
  assert.deepEqual(ok(await db.from('unread_notifications').select()), []);
});

// ---- domo -------------------------------------------------------------------------------------------------------------------

test('domo: visitors see what is published and nothing else', async () => {
  const shown = ok(await visitor(of.domo).rpc('published_demos'));
  assert.deepEqual(shown.map((demo) => demo.name).sort(), ['Ben\'s espresso machines', 'Northwind CRM tour']);
  for (const table of ['demo_videos', 'knowledge_chunks', 'conversations', 'conversation_messages', 'processed_webhook_events', 'audit_logs', 'profiles']) {
    assert.ok(refused(await visitor(of.domo).from(table).select('*').limit(1)), table);
  }
});

test('domo: the dashboard and the statistics count each thing once', async () => {
  const db = signedIn(of.domo, ada);
  const id = 'd0000000-0000-4000-8000-000000000001';
  const [row] = ok(await db.from('demo_dashboard').select('name, video_count, knowledge_count').eq('id', id));
  assert.deepEqual(row, { name: 'Northwind CRM tour', video_count: 3, knowledge_count: 5 });
  const [stats] = ok(await db.rpc('get_demo_stats', { demo_uuid: id }));
  assert.equal(stats.video_count, 3);
  assert.equal(stats.total_video_duration, 48 + 132 + 95);
  assert.ok(stats.last_conversation_at);
  const [none] = ok(await signedIn(of.domo, eve).rpc('get_demo_stats', { demo_uuid: id }));
  assert.deepEqual([none.video_count, none.last_conversation_at], [0, null]);
});

test('domo: knowledge is found by its embedding, by the owner alone', async () => {
  const db = signedIn(of.domo, ada);
  const demo_id = 'd0000000-0000-4000-8000-000000000001';
  const chunk = ok(await db.from('knowledge_chunks').select('content, vector_embedding').eq('demo_id', demo_id).ilike('content', '%29 euros%').single());
  assert.equal(JSON.parse(chunk.vector_embedding).length, 1536);
  const args = { query_embedding: chunk.vector_embedding, demo_id, match_threshold: 0.01, match_count: 3 };
  const found = ok(await db.rpc('search_knowledge_chunks', args));
  assert.equal(found[0].content, chunk.content);
  assert.ok(found[0].similarity > 0.999 && found.length <= 3);
  const again = ok(await db.rpc('search_knowledge_chunks', { ...args, query_embedding: JSON.parse(chunk.vector_embedding) }));
  assert.equal(again[0].content, chunk.content, 'an array works as well as text');
  assert.deepEqual(ok(await signedIn(of.domo, ben).rpc('search_knowledge_chunks', args)), []);
  assert.equal((await visitor(of.domo).rpc('search_knowledge_chunks', args)).error?.code, '42501');
});

test('domo: enums, a set of rows from a function, and its filters', async (t) => {
  const nina = await newcomer(t, of.domo);
  const db = signedIn(of.domo, nina);
  const demo = ok(await db.from('demos').insert({ user_id: nina.id, name: 'Mine' }).select('id, status').single());
  assert.equal(demo.status, 'draft');
  const wrong = await db.from('demos').update({ status: 'banana' }).eq('id', demo.id);
  assert.equal(wrong.error.code, '22P02');
  const videos = ok(await db.from('demo_videos').insert([0, 1, 2].map((order_index) => (
    { demo_id: demo.id, title: `v${order_index}`, storage_url: `${demo.id}/v${order_index}.mp4`, order_index }))).select('id'));
  const order = ok(await db.rpc('reorder_demo_videos', { demo_uuid: demo.id, video_ids: videos.map((video) => video.id).reverse() })
    .select('title, order_index').gt('order_index', 0).order('order_index', { ascending: false }));
  assert.deepEqual(order, [{ title: 'v0', order_index: 2 }, { title: 'v1', order_index: 1 }]);
  const [exported] = ok(await db.rpc('export_demo_data'));
  assert.equal(exported.videos.length, 3);
  assert.deepEqual(exported.knowledge_chunks, []);
});

// ---- aethercrown ------------------------------------------------------------------------------------------------------------

test('aethercrown: tasks come by priority, not by letters', async () => {
  const tasks = ok(await signedIn(of.aethercrown, ada).from('ai_tasks').select('priority, ai_clones!inner(name)').eq('status', 'pending')
    .order('priority', { ascending: false }).order('created_at'));
  assert.deepEqual(tasks.map((task) => task.priority), ['critical', 'high', 'low']);
});

test('aethercrown: own clones, tasks and log lines, nobody else\'s', async (t) => {
  const nina = await newcomer(t, of.aethercrown);
  const db = signedIn(of.aethercrown, nina);
  const clone = ok(await db.from('ai_clones').insert({ name: 'C', model_type: 'gpt-4', user_id: nina.id }).select('id').single());
  ok(await db.from('ai_tasks').insert({ clone_id: clone.id, task_name: 'T' }));
  const theirs = await db.from('ai_tasks').insert({ clone_id: 'cc000000-0000-4000-8000-000000000001', task_name: 'T' });
  assert.equal(theirs.error?.code, '42501');
  const mine = ok(await db.from('ai_clones').select('name, ai_tasks(task_name)'));
  assert.deepEqual(mine, [{ name: 'C', ai_tasks: [{ task_name: 'T' }] }]);
  const log = ok(await db.from('activity_logs').select('log_type, user_id'));
  assert.ok(log.length > 0 && log.every((line) => line.user_id === nina.id), 'the log tells of the own things');
  assert.ok(refused(await db.from('activity_logs').insert({ log_type: 'system', action: 'forged', user_id: nina.id })));
  assert.ok(refused(await db.from('payments').insert({ order_id: 'x', amount: 1, currency: 'USD', user_id: nina.id })));
});

test('aethercrown: the log reads through its partitions, page by page', async () => {
  const db = signedIn(of.aethercrown, ada);
  const page = (from) => db.from('activity_logs').select('id, created_at', { count: 'exact' }).order('created_at', { ascending: false }).order('id').range(from, from + 4);
  const [first, second] = [await page(0), await page(5)];
  assert.equal(ok(first).length, 5);
  assert.equal(first.count, second.count);
  assert.ok(first.data[4].created_at >= second.data[0].created_at);
  assert.ok(!second.data.some((row) => first.data.some((other) => other.id === row.id)));
});

test('aethercrown: amounts are exact, and a password hash is nobody\'s to read', async () => {
  const db = signedIn(of.aethercrown, ada);
  const payments = ok(await db.from('payments').select('amount::text, currency').order('created_at'));
  assert.deepEqual(payments.map(({ amount, currency }) => `${Number(amount)} ${currency}`), ['49 USD', '49 USD', '6800 JPY']);
  assert.equal((await db.from('users').select('password_hash')).error?.code, '42501');
});
