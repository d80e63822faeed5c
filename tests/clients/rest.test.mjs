// The data API through supabase-js, on the chatbot's tables. Every test has a user of its own.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { backend, database, newcomer, ok, people, project, sign, signedIn } from './harness.mjs';

const chatbot = await project('chatbot');

/** A new user's client with three conversations: Alpha (two messages), Beta (one), and an untitled one without any. */
async function desk(t) {
  const nina = await newcomer(t, chatbot);
  const db = signedIn(chatbot, nina);
  const conversations = ok(await db.from('conversations').insert([
    { user_id: nina.id, title: 'Alpha', metadata: { model: 'large', tags: ['a', 'b'], depth: { level: 3 } }, created_at: '2025-01-01T10:00:00Z' },
    { user_id: nina.id, title: 'Beta', metadata: { model: 'small', tags: ['b'] }, system_prompt: 'Be brief.', created_at: '2025-01-02T10:00:00Z' },
    { user_id: nina.id, title: 'Gamma, "quoted" & (odd)', created_at: '2025-01-03T10:00:00Z' },
  ], { defaultToNull: false }).select());
  const [alpha, beta] = conversations;
  ok(await db.from('messages').insert([
    { conversation_id: alpha.id, role: 'user', content: 'How do solid batteries work?', created_at: '2025-01-01T10:00:01Z' },
    { conversation_id: alpha.id, role: 'assistant', content: 'By moving ions through a solid.', created_at: '2025-01-01T10:00:05Z' },
    { conversation_id: beta.id, role: 'user', content: 'Write a haiku', created_at: '2025-01-02T10:00:01Z' },
  ]));
  return { nina, db, alpha, beta, gamma: conversations[2] };
}

const titles = (answer) => ok(answer).map((row) => row.title);

// ---- reads ----------------------------------------------------------------------------------------------------------

test('comparison operators', async (t) => {
  const { db } = await desk(t);
  const find = () => db.from('conversations').select('title').order('created_at');
  assert.deepEqual(titles(await find().eq('title', 'Beta')), ['Beta']);
  assert.deepEqual(titles(await find().neq('title', 'Beta')), ['Alpha', 'Gamma, "quoted" & (odd)']);
  assert.deepEqual(titles(await find().gt('created_at', '2025-01-02T10:00:00Z')), ['Gamma, "quoted" & (odd)']);
  assert.deepEqual(titles(await find().gte('created_at', '2025-01-02T10:00:00Z')).length, 2);
  assert.deepEqual(titles(await find().lt('created_at', '2025-01-02T10:00:00Z')), ['Alpha']);
  assert.deepEqual(titles(await find().lte('created_at', '2025-01-02T10:00:00Z')), ['Alpha', 'Beta']);
  assert.deepEqual(titles(await find().like('title', '%eta')), ['Beta']);
  assert.deepEqual(titles(await find().ilike('title', 'a%')), ['Alpha']);
  assert.deepEqual(titles(await find().likeAnyOf('title', ['Al%', 'Be%'])), ['Alpha', 'Beta']);
  assert.deepEqual(titles(await find().likeAllOf('title', ['%a', '%t%'])), ['Beta']);
  assert.deepEqual(titles(await find().in('title', ['Alpha', 'Beta', 'No, (none)'])), ['Alpha', 'Beta']);
  // supabase-js does not escape quotes in lists itself.
  assert.deepEqual(titles(await find().filter('title', 'in', '("Gamma, \\"quoted\\" & (odd)",Beta)')), ['Beta', 'Gamma, "quoted" & (odd)']);
  assert.deepEqual(titles(await find().is('system_prompt', null)), ['Alpha', 'Gamma, "quoted" & (odd)']);
  assert.deepEqual(titles(await find().not('system_prompt', 'is', null)), ['Beta']);
  assert.deepEqual(titles(await find().match({ title: 'Beta', system_prompt: 'Be brief.' })), ['Beta']);
  assert.deepEqual(titles(await find().filter('title', 'match', '^(Al|Be)')), ['Alpha', 'Beta']);
  assert.deepEqual(titles(await find().filter('title', 'imatch', '^al')), ['Alpha']);
  assert.deepEqual(titles(await find().isDistinct('system_prompt', 'Be brief.')).length, 2);
  assert.deepEqual(titles(await find().eq('title', 'Gamma, "quoted" & (odd)')), ['Gamma, "quoted" & (odd)']);
});

test('and, or and not, nested', async (t) => {
  const { db } = await desk(t);
  const find = () => db.from('conversations').select('title').order('created_at');
  assert.deepEqual(titles(await find().or('title.eq.Alpha,system_prompt.not.is.null')), ['Alpha', 'Beta']);
  assert.deepEqual(titles(await find().or('and(title.eq.Alpha,system_prompt.is.null),and(title.eq.Beta,system_prompt.is.null)')), ['Alpha']);
  assert.deepEqual(titles(await find().or('title.in.("Gamma, \\"quoted\\" & (odd)",Beta)')), ['Beta', 'Gamma, "quoted" & (odd)']);
  assert.deepEqual(titles(await find().not('title', 'in', '(Alpha,Beta)')), ['Gamma, "quoted" & (odd)']);
  assert.deepEqual(titles(await find().or('not.and(title.gt.A,title.lt.C)')), ['Gamma, "quoted" & (odd)']);
});

test('JSON: paths in select, filter and order, and containment', async (t) => {
  const { db } = await desk(t);
  const rows = ok(await db.from('conversations').select('title, model:metadata->>model, level:metadata->depth->level, first:metadata->tags->>0')
    .not('metadata', 'is', null).order('metadata->>model', { ascending: false }));
  assert.deepEqual(rows, [
    { title: 'Beta', model: 'small', level: null, first: 'b' },
    { title: 'Alpha', model: 'large', level: 3, first: 'a' },
  ]);
  const find = () => db.from('conversations').select('title');
  assert.deepEqual(titles(await find().eq('metadata->>model', 'large')), ['Alpha']);
  assert.deepEqual(titles(await find().gt('metadata->depth->level', 2)), ['Alpha']);
  assert.deepEqual(titles(await find().contains('metadata', { tags: ['a'] })), ['Alpha']);
  assert.deepEqual(titles(await find().containedBy('metadata', { model: 'small', tags: ['b'], more: 1 })), ['Beta']);
});

test('full text search', async (t) => {
  const { db } = await desk(t);
  const found = ok(await db.from('messages').select('content').textSearch('content', 'battery', { config: 'english' }));
  assert.deepEqual(found, [{ content: 'How do solid batteries work?' }]);
  assert.equal(ok(await db.from('messages').select('id').textSearch('content', 'solid -ions', { type: 'websearch', config: 'english' })).length, 1);
  assert.equal(ok(await db.from('messages').select('id').textSearch('content', 'moving ions', { type: 'phrase', config: 'english' })).length, 1);
  assert.equal(ok(await db.from('messages').select('id').textSearch('content', 'moving solid', { type: 'plain', config: 'english' })).length, 1);
});

test('select: renamed, cast and chosen columns', async (t) => {
  const { db } = await desk(t);
  const [row] = ok(await db.from('conversations').select('name:title, day:created_at::date, created_at::text').eq('title', 'Alpha'));
  assert.deepEqual(Object.keys(row), ['name', 'day', 'created_at']);
  assert.equal(row.day, '2025-01-01');
});

test('values come as PostgreSQL writes them', async (t) => {
  const { db, nina } = await desk(t);
  const row = ok(await db.from('conversations').select('*').eq('title', 'Alpha').single());
  assert.deepEqual(Object.keys(row), ['id', 'user_id', 'title', 'system_prompt', 'metadata', 'created_at', 'updated_at']);
  assert.equal(row.user_id, nina.id);
  assert.equal(row.system_prompt, null);
  assert.deepEqual(row.metadata, { model: 'large', tags: ['a', 'b'], depth: { level: 3 } });
  assert.equal(row.created_at, '2025-01-01T10:00:00+00:00');
  const subscription = ok(await db.from('subscriptions').select('agent_limit, is_active, stripe_customer_id').single());
  assert.deepEqual(subscription, { agent_limit: 1, is_active: true, stripe_customer_id: null });
});

test('order by several columns, with nulls where they are wanted', async (t) => {
  const { db } = await desk(t);
  const find = () => db.from('conversations').select('title');
  assert.equal(titles(await find().order('system_prompt', { nullsFirst: false }).order('title', { ascending: false })).at(0), 'Beta');
  assert.deepEqual(titles(await find().order('system_prompt', { nullsFirst: true }).order('title', { ascending: false })),
    ['Gamma, "quoted" & (odd)', 'Alpha', 'Beta']);
});

test('limit, range and counts', async (t) => {
  const { db } = await desk(t);
  const find = (options) => db.from('conversations').select('title', options).order('created_at');
  assert.deepEqual(titles(await find().limit(1)), ['Alpha']);
  assert.deepEqual(titles(await find().range(1, 2)), ['Beta', 'Gamma, "quoted" & (odd)']);
  const page = await find({ count: 'exact' }).range(0, 1);
  assert.equal(page.count, 3);
  assert.equal(page.status, 206);
  const whole = await find({ count: 'exact' });
  assert.equal(whole.count, 3);
  assert.equal(whole.status, 200);
  for (const count of ['planned', 'estimated']) assert.equal(typeof (await find({ count })).count, 'number');
  const head = await find({ count: 'exact', head: true });
  assert.equal(head.count, 3);
  assert.equal(head.data, null);
  const beyond = await find({ count: 'exact' }).range(10, 20);
  assert.equal(beyond.status, 416);
  assert.equal(beyond.error.code, 'PGRST103');
  assert.deepEqual(titles(await find().range(10, 20)), []);
});

test('single and maybeSingle', async (t) => {
  const { db } = await desk(t);
  const find = () => db.from('conversations').select('title');
  assert.deepEqual(ok(await find().eq('title', 'Alpha').single()), { title: 'Alpha' });
  const none = await find().eq('title', 'Omega').single();
  assert.equal(none.status, 406);
  assert.equal(none.error.code, 'PGRST116');
  const many = await find().single();
  assert.equal(many.error.code, 'PGRST116');
  assert.match(many.error.details, /3 rows/);
  const nothing = await find().eq('title', 'Omega').maybeSingle();
  assert.equal(nothing.data, null);
  assert.equal(nothing.error, null);
  assert.equal((await find().maybeSingle()).error.code, 'PGRST116');
});

test('CSV', async (t) => {
  const { db } = await desk(t);
  const text = ok(await db.from('conversations').select('title, system_prompt').order('created_at').csv());
  assert.equal(text.trim(), 'title,system_prompt\nAlpha,\nBeta,"Be brief."\n"Gamma, ""quoted"" & (odd)",');
});

// ---- embedded resources -----------------------------------------------------------------------------------------------

test('to-many embeds, ordered and limited', async (t) => {
  const { db } = await desk(t);
  const rows = ok(await db.from('conversations').select('title, messages(role, content)').order('created_at')
    .order('created_at', { referencedTable: 'messages', ascending: false }).limit(1, { referencedTable: 'messages' }));
  assert.deepEqual(rows, [
    { title: 'Alpha', messages: [{ role: 'assistant', content: 'By moving ions through a solid.' }] },
    { title: 'Beta', messages: [{ role: 'user', content: 'Write a haiku' }] },
    { title: 'Gamma, "quoted" & (odd)', messages: [] },
  ]);
});

test('to-one embeds, nested, renamed, and by the name of the foreign key', async (t) => {
  const { db, nina } = await desk(t);
  const [row] = ok(await db.from('messages').select('content, talk:conversations(title, owner:users(email))').eq('content', 'Write a haiku'));
  assert.deepEqual(row, { content: 'Write a haiku', talk: { title: 'Beta', owner: { email: nina.email } } });
  const [hinted] = ok(await db.from('messages').select('conversations!messages_conversation_id_conversations_id_fk(title)').eq('content', 'Write a haiku'));
  assert.deepEqual(hinted, { conversations: { title: 'Beta' } });
  const [byColumn] = ok(await db.from('messages').select('conversation_id(title)').eq('content', 'Write a haiku'));
  assert.deepEqual(byColumn, { conversation_id: { title: 'Beta' } });
});

test('a one-to-one relation embeds as an object', async (t) => {
  const { db } = await desk(t);
  const row = ok(await db.from('users').select('email, subscriptions(plan)').single());
  assert.deepEqual(row.subscriptions, { plan: 'free' });
});

test('inner embeds filter their parents, plain ones do not', async (t) => {
  const { db } = await desk(t);
  const inner = ok(await db.from('conversations').select('title, messages!inner(content)').eq('messages.role', 'assistant'));
  assert.deepEqual(inner, [{ title: 'Alpha', messages: [{ content: 'By moving ions through a solid.' }] }]);
  const plain = ok(await db.from('conversations').select('title, messages(content)').eq('messages.role', 'assistant').order('title'));
  assert.deepEqual(plain.map((row) => row.messages.length), [1, 0, 0]);
  const without = titles(await db.from('conversations').select('title, messages()').is('messages', null));
  assert.deepEqual(without, ['Gamma, "quoted" & (odd)']);
});

test('spread embeds', async (t) => {
  const { db } = await desk(t);
  const [row] = ok(await db.from('messages').select('content, ...conversations(talk:title)').eq('content', 'Write a haiku'));
  assert.deepEqual(row, { content: 'Write a haiku', talk: 'Beta' });
});

test('computed columns and computed relations', async () => {
  const ada = signedIn(chatbot, people.ada);
  const subscription = ok(await ada.from('subscriptions').select('agent_limit, effective_agent_limit').single());
  assert.deepEqual(subscription, { agent_limit: 5, effective_agent_limit: 5 });
  const [research] = ok(await ada.from('agent_definitions').select('name, tools_of(name)').eq('name', 'Research assistant'));
  assert.deepEqual(research.tools_of, [{ name: 'web_search' }, { name: 'create_document' }]);
});

test('an embed that is not there, or is not clear, says so', async (t) => {
  const { db } = await desk(t);
  const none = await db.from('conversations').select('title, workflows(goal)');
  assert.equal(none.status, 400);
  assert.equal(none.error.code, 'PGRST200');
});

// ---- writes -----------------------------------------------------------------------------------------------------------

test('insert: without, with and with chosen columns of the result', async (t) => {
  const nina = await newcomer(t, chatbot);
  const db = signedIn(chatbot, nina);
  const bare = await db.from('conversations').insert({ user_id: nina.id });
  assert.equal(bare.status, 201);
  assert.equal(bare.data, null);
  const [row] = ok(await db.from('conversations').insert({ user_id: nina.id }).select('title'));
  assert.deepEqual(row, { title: 'New chat' }, 'the default');
  const one = ok(await db.from('conversations').insert({ user_id: nina.id, title: 'One' }).select().single());
  assert.equal(one.title, 'One');
  assert.match(one.id, /^[0-9a-f-]{36}$/);
});

test('insert many: keys that are missing become null, or the default when that is asked for', async (t) => {
  const nina = await newcomer(t, chatbot);
  const db = signedIn(chatbot, nina);
  const rows = [{ user_id: nina.id, title: 'First' }, { user_id: nina.id }];
  const strict = await db.from('conversations').insert(rows);
  assert.equal(strict.status, 400);
  assert.equal(strict.error.code, '23502');
  assert.deepEqual(titles(await db.from('conversations').insert(rows, { defaultToNull: false }).select('title')), ['First', 'New chat']);
  assert.deepEqual(titles(await db.from('conversations').select('title').order('title')), ['First', 'New chat'], 'nothing of the first try stayed');
});

test('an insert says where the row is, when asked', async (t) => {
  const nina = await newcomer(t, chatbot);
  const answer = await fetch(`${chatbot.API_URL}/rest/v1/conversations`, {
    method: 'POST', body: JSON.stringify({ user_id: nina.id, title: 'Found' }),
    headers: {
      apikey: chatbot.PUBLISHABLE_KEY, authorization: `Bearer ${sign(chatbot, nina)}`,
      'content-type': 'application/json', prefer: 'return=headers-only',
    },
  });
  assert.equal(answer.status, 201);
  const location = answer.headers.get('location');
  const { rows } = await database(chatbot, (db) => db.query('select id from conversations where user_id = $1', [nina.id]));
  assert.match(location, new RegExp(`/conversations\\?id=eq\\.${rows[0].id}$`));
});

test('update: changed rows, chosen columns, and none', async (t) => {
  const { db } = await desk(t);
  const [row] = ok(await db.from('conversations').update({ title: 'Renamed' }).eq('title', 'Alpha').select('title'));
  assert.deepEqual(row, { title: 'Renamed' });
  const bare = await db.from('conversations').update({ system_prompt: null }).eq('title', 'Beta');
  assert.equal(bare.status, 204);
  assert.equal(bare.data, null);
  assert.deepEqual(ok(await db.from('conversations').update({ title: 'x' }).eq('title', 'Omega').select()), []);
  const counted = await db.from('conversations').update({ metadata: null }, { count: 'exact' }).neq('title', 'Beta');
  assert.equal(counted.count, 2);
});

test('delete, with the rows that went', async (t) => {
  const { db, alpha } = await desk(t);
  const gone = ok(await db.from('conversations').delete().eq('id', alpha.id).select('title, id'));
  assert.deepEqual(gone, [{ title: 'Alpha', id: alpha.id }]);
  assert.deepEqual(ok(await db.from('messages').select('content')), [{ content: 'Write a haiku' }], 'its messages went with it');
  assert.equal((await db.from('conversations').delete().eq('title', 'Beta')).status, 204);
});

test('upsert: merge by key, ignore, and by another unique column', async (t) => {
  const { db, nina, alpha } = await desk(t);
  const merged = ok(await db.from('conversations').upsert([
    { id: alpha.id, user_id: nina.id, title: 'Alpha again' },
    { id: randomUUID(), user_id: nina.id, title: 'Delta' },
  ]).select('title'));
  assert.deepEqual(merged.map((row) => row.title).sort(), ['Alpha again', 'Delta']);
  const ignored = ok(await db.from('conversations').upsert({ id: alpha.id, user_id: nina.id, title: 'No' }, { ignoreDuplicates: true }).select());
  assert.deepEqual(ignored, []);
  assert.equal(ok(await db.from('conversations').select('title').eq('id', alpha.id).single()).title, 'Alpha again');

  const server = backend(chatbot);
  const name = `tool-${randomUUID()}`;
  t.after(() => server.from('agent_tools').delete().eq('name', name));
  const tool = { name, description: 'one', schema: { type: 'object' } };
  ok(await server.from('agent_tools').insert(tool));
  const again = ok(await server.from('agent_tools').upsert({ ...tool, description: 'two' }, { onConflict: 'name' }).select('description'));
  assert.deepEqual(again, [{ description: 'two' }]);
});

test('a write may embed what it touched', async (t) => {
  const { db, alpha } = await desk(t);
  const row = ok(await db.from('messages').insert({ conversation_id: alpha.id, role: 'tool', parts: [{ type: 'tool-result' }] })
    .select('role, content, parts, conversations(title)').single());
  assert.deepEqual(row, { role: 'tool', content: '', parts: [{ type: 'tool-result' }], conversations: { title: 'Alpha' } });
});

test('odd values survive the way there and back', async (t) => {
  const { db, nina } = await desk(t);
  const title = 'null, "{1,2}" \\ \'; drop table users; -- ✓ 日本語 \u0001 %20 + & = # \r\n\t';
  const metadata = { deep: [[{ a: null, b: [] }], 1e21, -0.1, true, '', '\\u0000'], 'a key': 'ü' };
  const row = ok(await db.from('conversations').insert({ user_id: nina.id, title, metadata }).select('id, title, metadata').single());
  assert.equal(row.title, title);
  assert.deepEqual(row.metadata, metadata);
  assert.deepEqual(ok(await db.from('conversations').select('id').eq('title', title)), [{ id: row.id }]);
});

// ---- functions ----------------------------------------------------------------------------------------------------------

test('a function answers by POST and by GET', async (t) => {
  const { db, alpha } = await desk(t);
  for (const options of [{}, { get: true }]) {
    const talk = ok(await db.rpc('get_conversation_messages', { conversation_id: alpha.id }, options));
    assert.equal(talk.title, 'Alpha');
    assert.deepEqual(talk.messages.map((message) => message.role), ['user', 'assistant']);
  }
  assert.equal(ok(await db.rpc('get_conversation_messages', { conversation_id: randomUUID() })), null);
  assert.equal(ok(await db.rpc('is_json_schema', { value: { type: 'string' } })), true);
  assert.equal(ok(await db.rpc('is_json_schema', { value: { type: 'nonsense' } })), false);
});

test('a function with wrong arguments, or none of that name, is not found', async (t) => {
  const { db } = await desk(t);
  for (const [name, args] of [['get_conversation_messages', { id: 1 }], ['get_conversation_messages', {}], ['nothing', {}]]) {
    const answer = await db.rpc(name, args);
    assert.equal(answer.status, 404);
    assert.equal(answer.error.code, 'PGRST202');
  }
});

// ---- errors -------------------------------------------------------------------------------------------------------------

test('mistakes of the client get the code and status of PostgREST', async (t) => {
  const { db, nina, alpha } = await desk(t);
  const cases = [
    ['unknown table', db.from('nothing').select(), 404, 'PGRST205'],
    ['unknown column', db.from('conversations').select('nothing'), 400, '42703'],
    ['unknown column in a filter', db.from('conversations').select().eq('nothing', 1), 400, '42703'],
    ['unknown column in a body', db.from('conversations').insert({ user_id: nina.id, nothing: 1 }), 400, 'PGRST204'],
    ['malformed select', db.from('conversations').select('title,('), 400, 'PGRST100'],
    ['malformed operator', db.from('conversations').select().filter('title', 'banana', 'x'), 400, 'PGRST100'],
    ['not a uuid', db.from('conversations').select().eq('id', 'x'), 400, '22P02'],
    ['not null', backend(chatbot).from('conversations').insert({ title: 'x' }), 400, '23502'],
    ['foreign key', backend(chatbot).from('conversations').insert({ user_id: randomUUID() }), 409, '23503'],
    ['unique', db.from('conversations').insert({ id: alpha.id, user_id: nina.id }), 409, '23505'],
    ['check', db.from('messages').insert({ conversation_id: alpha.id, role: 'banana' }), 400, '23514'],
    ['row level security', db.from('conversations').insert({ user_id: people.ada.id }), 403, '42501'],
    ['no privilege', db.from('subscriptions').update({ agent_limit: 9 }).eq('user_id', nina.id), 403, '42501'],
    ['generated column', backend(chatbot).from('subscriptions').update({ is_active: true }).eq('user_id', nina.id), 400, '428C9'],
  ];
  for (const [what, request, status, code] of cases) {
    const answer = await request;
    assert.equal(answer.error?.code, code, `${what}: ${JSON.stringify(answer.error)}`);
    assert.equal(answer.status, status, what);
    assert.deepEqual(Object.keys(answer.error).filter((key) => ['code', 'details', 'hint', 'message'].includes(key)).sort(),
      ['code', 'details', 'hint', 'message'], what);
  }
});

test('a malformed body is a mistake of the client', async () => {
  const send = (body, type = 'application/json') => fetch(`${chatbot.API_URL}/rest/v1/agent_tools`, {
    method: 'POST', body, headers: { apikey: chatbot.SECRET_KEY, 'content-type': type },
  });
  for (const [body, type] of [['{"name": '], ['[1, 2]'], ['{"name": "\\ud800"}'], ['<a/>', 'application/xml'], ['\u0000']]) {
    const answer = await send(body, type);
    assert.ok(answer.status >= 400 && answer.status < 500, `${body}: ${answer.status}`);
    assert.match((await answer.json()).code, /^(PGRST|22|23)/, body);
  }
});

test('visitors get 401 where a user gets 403', async () => {
  const answer = await fetch(`${chatbot.API_URL}/rest/v1/conversations`, { headers: { apikey: chatbot.PUBLISHABLE_KEY } });
  assert.equal(answer.status, 401);
  assert.equal((await answer.json()).code, '42501');
});

test('a method that a table does not have is 405', async () => {
  const answer = await fetch(`${chatbot.API_URL}/rest/v1/conversations`, { method: 'PROPFIND', headers: { apikey: chatbot.SECRET_KEY } });
  assert.equal(answer.status, 405);
});

test('another schema is not exposed', async (t) => {
  const { nina } = await desk(t);
  for (const schema of ['auth', 'plinth', 'pg_catalog', 'extensions']) {
    const answer = await signedIn(chatbot, nina).schema(schema).from('users').select();
    assert.equal(answer.status, 406, schema);
    assert.equal(answer.error.code, 'PGRST106', schema);
  }
});

test('the OpenAPI root names the tables', async () => {
  const answer = await fetch(`${chatbot.API_URL}/rest/v1/`, { headers: { apikey: chatbot.SECRET_KEY } });
  assert.equal(answer.status, 200);
  const document = await answer.json();
  assert.equal(document.swagger, '2.0');
  for (const table of ['users', 'conversations', 'agent_instances']) assert.ok(document.definitions[table], table);
});

test('many requests at once are answered each with its own', async (t) => {
  const { db, alpha, beta } = await desk(t);
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) =>
    db.from('conversations').select('title').eq('id', n % 2 ? alpha.id : beta.id).single()));
  for (const [n, answer] of answers.entries()) assert.equal(ok(answer).title, n % 2 ? 'Alpha' : 'Beta');
});
