// Starts the real binary on a fresh data folder, and gives the tests clients of its projects.
//
// The server is shared: `run` starts it once for all suites (`node harness.mjs start FILE`), names the state file in
// PLINTH_TEST_STATE, and stops it at the end (`node harness.mjs stop FILE`). A test file that is run alone starts a server
// of its own and stops it when it is done.
import { spawn, execFile, fork } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createClient } from '@supabase/supabase-js';
import pg from 'pg';

export const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, '../..');
const binary = path.resolve(root, process.env.PLINTH_BIN ?? 'target/debug/plinth');
// Plinth takes PLINTH_… for settings and warns of those it does not know.
const { PLINTH_BIN: _, PLINTH_TEST_STATE: __, PLINTH_TEST_STATUS: ___, ...env } = process.env;

/** The three sign-ups that every blueprint's seed has. eve owns nothing. */
export const people = {
  ada: { id: 'a0000000-0000-4000-8000-000000000001', email: 'ada@example.com' },
  ben: { id: 'b0000000-0000-4000-8000-000000000002', email: 'ben@example.com' },
  eve: { id: 'e0000000-0000-4000-8000-000000000003', email: 'eve@example.com' },
};
export const blueprints = ['paradyze', 'echelon', 'chatbot', 'domo', 'aethercrown'];

// ---- the process ----------------------------------------------------------------------------------------------------

const alive = (pid) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

/** Starts the OpenID provider, whose address plinth.toml takes from the environment; it lives as long as the data folder. */
async function provider(folder) {
  const log = await open(path.join(folder, 'openid.log'), 'a');
  const child = fork(path.join(here, 'lib/openid.mjs'), { detached: true, execArgv: [], stdio: ['ignore', log.fd, log.fd, 'ipc'] });
  const url = await new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the OpenID provider does not start (${code ?? signal})`)));
  });
  await log.close();
  child.disconnect();
  child.unref();
  return { pid: child.pid, url };
}

/** Starts `plinth up` on the state's data folder and port, and waits until it is ready. Returns the new state. */
async function launch(state) {
  const log = await open(path.join(state.folder, 'log'), 'a');
  const started = Date.now();
  const child = spawn(binary, ['up', '--config', path.join(here, 'plinth.toml'), '--data-dir', state.dataDir, '--listen', `127.0.0.1:${state.port}`], {
    cwd: root, env: { ...env, OPENID_URL: state.openid.url }, detached: true, stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  let exited = null;
  child.on('exit', (code, signal) => { exited = code ?? signal; });
  child.on('error', (error) => { exited = error.message; });
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${state.port}/ready`, { signal: AbortSignal.timeout(5000) }).catch(() => null);
    if (answer?.ok) break;
    if (exited !== null || Date.now() - started > 120_000) {
      if (exited === null) await end(child.pid, 'SIGTERM');
      throw new Error(`plinth is not ready (${exited ?? 'still starting'}):\n${await tail(state)}`);
    }
    await sleep(50);
  }
  child.unref();
  return { ...state, pid: child.pid, readyMs: Date.now() - started };
}

const logOf = (state) => readFile(path.join(state.folder, 'log'), 'utf8').catch(() => '');
const tail = async (state) => (await logOf(state)).split('\n').slice(-40).join('\n');

async function end(pid, signal, graceMs = 60_000) {
  if (!alive(pid)) return;
  process.kill(pid, signal);
  const until = Date.now() + graceMs;
  while (alive(pid)) {
    if (Date.now() > until) throw new Error(`plinth did not stop within ${graceMs} ms of ${signal}`);
    await sleep(20);
  }
}

async function start() {
  const folder = await mkdtemp(path.join(tmpdir(), 'plinth-clients-'));
  await chmod(folder, 0o755); // the cluster of a root user runs as somebody else, who has to get in
  let openid;
  try {
    openid = await provider(folder);
    return await launch({ folder, dataDir: path.join(folder, 'data'), port: await freePort(), openid });
  } catch (error) {
    if (openid) await end(openid.pid, 'SIGTERM');
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function stop(state) {
  try {
    await end(state.pid, 'SIGTERM');
  } finally {
    if (alive(state.pid)) await end(state.pid, 'SIGKILL');
    await end(state.openid.pid, 'SIGTERM');
    await rm(state.folder, { recursive: true, force: true });
  }
}

// ---- what tests use ---------------------------------------------------------------------------------------------------

let shared;

async function stateOf() {
  if (process.env.PLINTH_TEST_STATE) return JSON.parse(await readFile(process.env.PLINTH_TEST_STATE, 'utf8'));
  shared ??= start().then((state) => {
    after(() => shared.then(stop));
    return state;
  });
  return shared;
}

/** The running server. */
export async function server() {
  const state = await stateOf();
  return { ...state, url: `http://127.0.0.1:${state.port}`, log: () => logOf(state) };
}

/** Ends the server with the signal and starts it again on the same data, with the time that took. */
export async function restart(signal) {
  const before = await stateOf();
  await end(before.pid, signal);
  const state = await launch(before);
  if (process.env.PLINTH_TEST_STATE) await writeFile(process.env.PLINTH_TEST_STATE, JSON.stringify(state));
  else shared = Promise.resolve(state);
  projects = undefined;
  return state;
}

/** Starts `plinth rest` over the project's database with these settings (`PGRST_…`); resolves with its URL and `stop`. */
export async function alone(of, settings) {
  const port = await freePort();
  const child = spawn(binary, ['rest'], {
    cwd: root, env: { ...env, PGRST_DB_URI: of.DB_URL, PGRST_SERVER_PORT: String(port), ...settings }, stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { output += text; });
  const url = `http://127.0.0.1:${port}`;
  const until = Date.now() + 60_000;
  while (!(await fetch(url, { method: 'OPTIONS', signal: AbortSignal.timeout(5000) }).catch(() => null))?.ok) {
    if (child.exitCode !== null || Date.now() > until) throw new Error(`plinth rest is not ready:\n${output}`);
    await sleep(50);
  }
  return { url, stop: () => end(child.pid, 'SIGTERM') };
}

/** Runs `plinth …` on the server's data folder; resolves with stdout, rejects with stderr in the message. */
export async function plinth(...args) {
  const { dataDir } = await stateOf();
  const { stdout } = await promisify(execFile)(binary, ['--data-dir', dataDir, ...args], {
    cwd: root, env, maxBuffer: 64 << 20, timeout: 120_000,
  });
  return stdout;
}

let projects;

/** URLs and keys of one project, as `plinth status` prints them. */
export async function project(name) {
  projects ??= plinth('status', '-o', 'json').then(JSON.parse);
  const found = (await projects).projects[name];
  if (!found) throw new Error(`plinth status knows no project ${name}`);
  return { name, ...found };
}

/** Makes `project()` ask again, after projects were created or dropped. */
export function forgetProjects() {
  projects = undefined;
}

const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A token signed as the auth server would; `claims` and `header` override what is in it. */
export function sign(of, person, claims = {}, header = {}) {
  const now = Math.floor(Date.now() / 1000);
  const head = part({ alg: 'HS256', typ: 'JWT', ...header });
  const body = part({
    sub: person.id, email: person.email, role: 'authenticated', aud: 'authenticated', iat: now, exp: now + 3600, ...claims,
  });
  const signature = createHmac('sha256', of.JWT_SECRET).update(`${head}.${body}`).digest('base64url');
  return `${head}.${body}.${signature}`;
}

const quiet = { auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false } };

/** A client with the publishable key and nothing else. */
export const visitor = (of, options = {}) => createClient(of.API_URL, of.PUBLISHABLE_KEY, { ...quiet, ...options });

/** A client of a signed-in person. */
export const signedIn = (of, person, options = {}) =>
  createClient(of.API_URL, of.PUBLISHABLE_KEY, { accessToken: async () => sign(of, person), ...options });

/** What a browser keeps for a client: a storage of its own. */
const storage = () => {
  const kept = new Map();
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => { kept.set(key, value); },
    removeItem: (key) => { kept.delete(key); },
  };
};

/** A client as a browser has one, which signs up and in by itself; `auth` are options of supabase.auth. */
export const browser = (of, auth = {}) => createClient(of.API_URL, of.PUBLISHABLE_KEY, {
  auth: { storage: storage(), autoRefreshToken: false, detectSessionInUrl: false, ...auth },
});

/** An address that nobody else has. */
export const address = (name = 'nina') => `${name}-${randomUUID().slice(0, 8)}@example.com`;
export const password = 'correct horse battery staple';

/** A client of somebody who has just signed up by it, with their user and session. */
export async function signedUp(of, { auth, ...credentials } = {}) {
  const client = browser(of, auth);
  const { user, session } = ok(await client.auth.signUp({ email: address(), password, ...credentials }));
  return { client, user, session };
}

/** A client with the secret key. */
export const backend = (of, options = {}) => createClient(of.API_URL, of.SECRET_KEY, { ...quiet, ...options });

/** Runs `work` with a connection to the project's database as its owner. */
export async function database(of, work) {
  const client = new pg.Client({ connectionString: of.DB_URL });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A project for sign-in, which plinth.toml has settings of, with a table of the users' own rows. Made when it is missing. */
export async function sandbox(name) {
  const { projects: known } = JSON.parse(await plinth('status', '-o', 'json'));
  if (known[name]) return project(name);
  await plinth('project', 'create', name);
  forgetProjects();
  const of = await project(name);
  await database(of, (db) => db.query(`
    create table public.notes (
      id bigint generated always as identity primary key,
      user_id uuid not null default auth.uid() references auth.users (id) on delete cascade,
      content text not null);
    alter table public.notes enable row level security;
    create policy own on public.notes to authenticated using (user_id = (select auth.uid()));`));
  const until = Date.now() + 10_000;
  while ((await backend(of).from('notes').select('id')).error) {
    if (Date.now() > until) throw new Error(`${name} does not show its table`);
    await sleep(20);
  }
  return of;
}

/** Signs somebody up whom no other test knows; everything that is theirs goes when the test `t` ends. */
export async function newcomer(t, of, name = 'nina') {
  const id = randomUUID();
  const person = { id, email: `${name}-${id.slice(0, 8)}@example.com` };
  await database(of, (db) => db.query(
    `insert into auth.users (id, aud, role, email, raw_app_meta_data, raw_user_meta_data)
     values ($1, 'authenticated', 'authenticated', $2, '{"provider": "email"}', $3)`, [id, person.email, { name }]));
  t.after(async () => {
    // Asked anew: a restart may have moved the database to another port. And hooks run in the order of their making, so
    // the project may have been dropped by now, and everything with it.
    const now = await project(of.name).catch(() => null);
    if (now) await database(now, (db) => db.query('delete from auth.users where id = $1', [id]));
  });
  return person;
}

/** Data of an answer that must be a success. */
export function ok({ data, error, status }) {
  if (error) throw new Error(`HTTP ${status}: ${JSON.stringify(error)}`);
  return data;
}

/** Whether an answer shows nothing: an error of permission, or no row. */
export const refused = ({ data, error }) => (error ? error.code === '42501' : (data ?? []).length === 0);

// ---- command line -----------------------------------------------------------------------------------------------------

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , command, file] = process.argv;
  if (command === 'start') {
    const state = await start();
    await writeFile(file, JSON.stringify(state));
    process.exit(0);
  } else if (command === 'stop') {
    await stop(JSON.parse(await readFile(file, 'utf8')));
  } else if (command === 'env') {
    // For suites in other languages: what `plinth status` says, and tokens of the three people.
    process.env.PLINTH_TEST_STATE = file;
    for (const name of ['auth-on', 'auth-off', 'auth-closed', 'auth-keys']) await sandbox(name);
    const status = { ...JSON.parse(await plinth('status', '-o', 'json')), inbox: `${(await server()).url}/inbox` };
    for (const of of Object.values(status.projects)) {
      of.tokens = Object.fromEntries(Object.entries(people).map(([name, person]) => [name, sign(of, person)]));
    }
    console.log(JSON.stringify(status));
  } else {
    console.error('usage: node harness.mjs start|stop|env FILE');
    process.exit(2);
  }
}
