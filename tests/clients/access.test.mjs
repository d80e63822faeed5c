// Who is let in: keys, tokens, projects, CORS.
import assert from 'node:assert/strict';
import test from 'node:test';
import { backend, newcomer, ok, people, plinth, project, server, sign, signedIn, visitor } from './harness.mjs';

const chatbot = await project('chatbot');
const domo = await project('domo');

const get = (of, path, headers = {}) => fetch(`${of.API_URL}/rest/v1/${path}`, { headers });

test('a request without a key is refused', async () => {
  const answer = await get(chatbot, 'conversations');
  assert.equal(answer.status, 401);
  assert.equal(typeof (await answer.json()).message, 'string');
});

test('an unknown key is refused, whatever it looks like', async () => {
  const unknown = ['nonsense', 'sb_publishable_AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAA', 'sb_secret_AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAA',
    sign({ JWT_SECRET: 'another secret of more than 32 bytes' }, people.ada, { role: 'service_role' })];
  for (const apikey of unknown) {
    const answer = await get(chatbot, 'agent_tools', { apikey });
    assert.equal(answer.status, 401, apikey);
    assert.equal(typeof (await answer.json()).message, 'string');
  }
});

test('the publishable key and the anon key make a visitor, the secret key and the service key a server', async () => {
  for (const apikey of [chatbot.PUBLISHABLE_KEY, chatbot.ANON_KEY]) {
    const answer = await get(chatbot, 'agent_tools?select=name', { apikey });
    assert.equal(answer.status, 401, 'the chatbot shows nothing to visitors');
    assert.equal((await answer.json()).code, '42501');
  }
  for (const apikey of [chatbot.SECRET_KEY, chatbot.SERVICE_ROLE_KEY]) {
    const answer = await get(chatbot, 'agent_tools?select=name', { apikey });
    assert.equal(answer.status, 200);
    assert.ok((await answer.json()).length >= 4);
  }
});

test('a key in the query string counts like one in the header', async () => {
  assert.equal((await get(chatbot, `agent_tools?select=name&apikey=${chatbot.SECRET_KEY}`)).status, 200);
});

test('supabase-js works with every kind of key', async () => {
  for (const key of ['SECRET_KEY', 'SERVICE_ROLE_KEY']) {
    const { data, error } = await backend({ ...chatbot, SECRET_KEY: chatbot[key] }).from('users').select('email').eq('id', people.ada.id).single();
    assert.equal(error, null);
    assert.equal(data.email, 'ada@example.com');
  }
  for (const key of ['PUBLISHABLE_KEY', 'ANON_KEY']) {
    const data = ok(await signedIn({ ...chatbot, PUBLISHABLE_KEY: chatbot[key] }, people.ada).from('users').select('email').single());
    assert.equal(data.email, 'ada@example.com');
  }
});

test('a token in the global headers counts, as in a server-side client', async () => {
  const client = visitor(chatbot, { global: { headers: { Authorization: `Bearer ${sign(chatbot, people.ben)}` } } });
  assert.equal(ok(await client.from('users').select('email').single()).email, 'ben@example.com');
});

test('expired, tampered, unsigned and foreign tokens are refused with 401', async () => {
  const good = sign(chatbot, people.ada);
  const [head, body, signature] = good.split('.');
  const forged = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(body, 'base64url')), role: 'service_role' })).toString('base64url');
  const none = Buffer.from(JSON.stringify({ alg: 'none', typ: 'JWT' })).toString('base64url');
  const bad = {
    expired: sign(chatbot, people.ada, { exp: Math.floor(Date.now() / 1000) - 120 }),
    'not valid yet': sign(chatbot, people.ada, { nbf: Math.floor(Date.now() / 1000) + 600 }),
    'another role in the body': `${head}.${forged}.${signature}`,
    'alg none': `${none}.${body}.`,
    'alg none with the old signature': `${none}.${body}.${signature}`,
    'alg none, signed': sign(chatbot, people.ada, {}, { alg: 'none' }),
    'another algorithm': sign(chatbot, people.ada, {}, { alg: 'RS256' }),
    'no signature': `${head}.${body}`,
    'empty signature': `${head}.${body}.`,
    garbage: 'not.a.token',
    'another project': sign(domo, people.ada),
  };
  for (const [what, token] of Object.entries(bad)) {
    const answer = await get(chatbot, 'agent_tools', { apikey: chatbot.PUBLISHABLE_KEY, authorization: `Bearer ${token}` });
    assert.equal(answer.status, 401, what);
    const { code, message } = await answer.json();
    assert.match(code ?? '', /^PGRST3/, `${what}: ${code} ${message}`);
    assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/, what);
  }
  assert.equal((await get(chatbot, 'agent_tools', { apikey: chatbot.PUBLISHABLE_KEY, authorization: `Bearer ${good}` })).status, 200);
});

test('a token for a role that nobody may take is refused', async () => {
  for (const role of ['postgres', 'supabase_admin', 'nobody-there']) {
    const answer = await get(chatbot, 'agent_tools', {
      apikey: chatbot.PUBLISHABLE_KEY, authorization: `Bearer ${sign(chatbot, people.ada, { role })}`,
    });
    assert.ok([401, 403].includes(answer.status), `${role}: ${answer.status}`);
  }
});

test('keys of one project are refused by another', async () => {
  for (const key of ['PUBLISHABLE_KEY', 'SECRET_KEY', 'ANON_KEY', 'SERVICE_ROLE_KEY']) {
    assert.equal((await get(domo, 'demos', { apikey: chatbot[key] })).status, 401, key);
  }
  assert.notEqual(chatbot.JWT_SECRET, domo.JWT_SECRET);
});

test('plinth token signs in as that user', async () => {
  const token = (await plinth('token', '--project', 'chatbot', '--email', 'ada@example.com')).trim();
  const client = visitor(chatbot, { global: { headers: { Authorization: `Bearer ${token}` } } });
  assert.equal(ok(await client.from('users').select('email').single()).email, 'ada@example.com');
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.equal(claims.sub, people.ada.id);
  assert.equal(claims.role, 'authenticated');
  assert.equal(ok(await visitor(chatbot).auth.getUser(token)).user.id, people.ada.id);
});

test('a token of somebody who has gone shows nothing', async () => {
  const data = ok(await signedIn(chatbot, { id: '99999999-0000-4000-8000-000000000000', email: 'x@example.com' }).from('users').select());
  assert.deepEqual(data, []);
});

test('two people on one keep-alive connection never see each other', async (t) => {
  const [nina, otto] = [await newcomer(t, chatbot, 'nina'), await newcomer(t, chatbot, 'otto')];
  const clients = [signedIn(chatbot, nina), signedIn(chatbot, otto), visitor(chatbot)];
  const answers = await Promise.all(Array.from({ length: 60 }, (_, n) => clients[n % 3].from('users').select('email')));
  for (const [n, { data, error }] of answers.entries()) {
    if (n % 3 === 2) assert.equal(error.code, '42501');
    else assert.deepEqual(data, [{ email: [nina, otto][n % 3].email }]);
  }
});

test('a preflight is answered without a key, with the headers that were asked for', async () => {
  const answer = await fetch(`${chatbot.API_URL}/rest/v1/conversations`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.example.com', 'access-control-request-method': 'PATCH',
      'access-control-request-headers': 'authorization,apikey,content-type,prefer,x-client-info',
    },
  });
  assert.ok([200, 204].includes(answer.status));
  assert.equal(await answer.text(), '');
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  assert.match(answer.headers.get('access-control-allow-methods'), /PATCH/);
  for (const header of ['authorization', 'apikey', 'content-type', 'prefer', 'x-client-info']) {
    assert.match(answer.headers.get('access-control-allow-headers'), new RegExp(header, 'i'));
  }
});

test('answers and errors may be read across origins', async () => {
  for (const headers of [{ apikey: chatbot.SECRET_KEY }, {}, { apikey: 'nonsense' }]) {
    const answer = await get(chatbot, 'agent_tools', { ...headers, origin: 'https://app.example.com' });
    assert.equal(answer.headers.get('access-control-allow-origin'), '*', `HTTP ${answer.status}`);
  }
  const answer = await get(chatbot, 'agent_tools', { apikey: chatbot.SECRET_KEY, origin: 'https://app.example.com' });
  assert.match(answer.headers.get('access-control-expose-headers'), /content-range/i);
});

test('an unknown project is 404 with a JSON body', async () => {
  const { url } = await server();
  for (const path of ['/p/nothing-here/rest/v1/users', '/p/plinth/rest/v1/project', '/p/postgres/rest/v1/x', '/p//rest/v1/x']) {
    const answer = await fetch(url + path, { headers: { apikey: chatbot.SECRET_KEY } });
    assert.equal(answer.status, 404, path);
    assert.match(answer.headers.get('content-type'), /^application\/json/, path);
    assert.equal(typeof (await answer.json()).message, 'string', path);
  }
});

test('a path that is nothing is 404 with a JSON body', async () => {
  const { url } = await server();
  for (const path of ['/p/chatbot/nothing/v1', '/p/chatbot', '/nothing']) {
    const answer = await fetch(url + path, { headers: { apikey: chatbot.SECRET_KEY } });
    assert.equal(answer.status, 404, path);
    assert.equal(typeof (await answer.json()).message, 'string', path);
  }
});

test('the default project answers at the root', async () => {
  const { url } = await server();
  const status = JSON.parse(await plinth('status', '-o', 'json'));
  const standard = await project(status.default);
  const answer = await fetch(`${url}/rest/v1/`, { headers: { apikey: standard.SECRET_KEY } });
  assert.equal(answer.status, 200);
  const other = Object.keys(status.projects).find((name) => name !== status.default);
  const refused = await fetch(`${url}/rest/v1/`, { headers: { apikey: (await project(other)).SECRET_KEY } });
  assert.equal(refused.status, 401);
});

test('a project answers by its host name', async () => {
  const { port } = await server();
  // fetch does not let one set Host, so ask by hand.
  const { request } = await import('node:http');
  const status = await new Promise((resolve, reject) => {
    request({
      host: '127.0.0.1', port, path: '/rest/v1/users?select=email&limit=1',
      headers: { host: `chatbot.localhost:${port}`, apikey: chatbot.SECRET_KEY },
    }, (answer) => { answer.resume(); resolve(answer.statusCode); }).on('error', reject).end();
  });
  assert.equal(status, 200);
});

test('/health and /ready answer, and / names the projects', async () => {
  const { url } = await server();
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.equal((await fetch(`${url}/ready`)).status, 200);
  const page = await (await fetch(`${url}/`)).text();
  for (const name of ['paradyze', 'echelon', 'chatbot', 'domo', 'aethercrown']) assert.match(page, new RegExp(name));
  for (const key of [chatbot.SECRET_KEY, chatbot.SERVICE_ROLE_KEY, chatbot.JWT_SECRET]) assert.ok(!page.includes(key));
});

test('a body that is too large is refused', async () => {
  const answer = await fetch(`${chatbot.API_URL}/rest/v1/agent_tools`, {
    method: 'POST', headers: { apikey: chatbot.SECRET_KEY, 'content-type': 'application/json' }, body: Buffer.alloc(40 << 20, ' '),
  }).catch((error) => error);
  // The server may answer, or close on a client that goes on sending.
  if (!(answer instanceof Error)) assert.equal(answer.status, 413);
});

test('neither tokens nor bodies are in the log', async (t) => {
  const nina = await newcomer(t, chatbot);
  const token = sign(chatbot, nina);
  const client = visitor(chatbot, { global: { headers: { Authorization: `Bearer ${token}` } } });
  const title = `a title like no other ${nina.id}`;
  ok(await client.from('conversations').insert({ user_id: nina.id, title }));
  await client.from('conversations').insert({ user_id: people.ada.id, title });
  await client.from('nothing_here').select(title);
  const text = await (await server()).log();
  assert.ok(!text.includes(token.split('.')[2]), 'the token');
  assert.ok(!text.includes(title), 'the body');
});
