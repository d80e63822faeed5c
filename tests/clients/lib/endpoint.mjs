// An endpoint on this machine that receives messages and serves workflows, and the clients of the project that sends them.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Receiver } from '@upstash/qstash';
import { Client as WorkflowClient, serve } from '@upstash/workflow';
import { project, server } from '../harness.mjs';

/** What came to the endpoint outside of workflows. */
export const received = [];
/** Answers to give before it says that all is well: {path, left: how often, status, headers, text, wait: milliseconds}. */
export const script = [];
/** Everything of workflows: {name, headers, body}, in order. */
export const deliveries = [];
const handlers = new Map();
let listener;

export let endpoint, url, qstash, workflow, token, ownToken, keys;

/** Waits until `find` gives something. */
export async function until(find, what, seconds = 20) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const found = await find();
    if (found) return found;
    if (Date.now() > end) assert.fail(`waited in vain for ${what}`);
    await sleep(25);
  }
}

/** Waits for a message to that path. */
export const arrived = (path) => until(() => received.find((one) => one.path === path), path);

async function receive(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const path = request.url;
  const handler = handlers.get(path.slice(1));
  if (handler) {
    deliveries.push({ name: path.slice(1), headers: request.headers, body: body.toString() });
    const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const answer = await handler(new Request(`${endpoint}${path}`, { method: request.method, headers, body: body.length ? body : undefined }));
    response.writeHead(answer.status, Object.fromEntries(answer.headers));
    response.end(await answer.text());
    return;
  }
  received.push({ path, method: request.method, headers: request.headers, body: body.toString() });
  const { status = 200, headers = {}, text = 'fine', wait = 0 } = script.find((one) => one.path === path && one.left-- > 0) ?? {};
  await sleep(wait);
  response.writeHead(status, headers).end(text);
}

/** Serves a workflow at /name. */
export function workflowAt(name, route, options = {}) {
  const served = serve(route, {
    qstashClient: new Client({ baseUrl: url, token }),
    receiver: new Receiver({ currentSigningKey: keys.current, nextSigningKey: keys.next }),
    url: `${endpoint}/${name}`,
    ...options,
  });
  handlers.set(name, served.handler);
  return `${endpoint}/${name}`;
}

/** Triggers a run and waits for its end; its log. */
export async function ran(options, state = 'RUN_SUCCESS') {
  const { workflowRunId } = await workflow.trigger(options);
  return ended(workflowRunId, state);
}

/** Waits for the end of a run; its log. */
export async function ended(workflowRunId, state = 'RUN_SUCCESS') {
  const run = await until(async () => {
    const { runs } = await workflow.logs({ workflowRunId });
    return runs[0] && runs[0].workflowState !== 'RUN_STARTED' && runs[0];
  }, `the end of ${workflowRunId}`);
  assert.equal(run.workflowState, state);
  return run;
}

/** To be called before everything else. */
export async function open() {
  listener = createServer((request, response) => receive(request, response).catch((error) => response.writeHead(500).end(String(error))));
  await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${listener.address().port}`;
  const at = await project('chatbot');
  url = `${(await server()).url}/p/chatbot/work`;
  token = at.SECRET_KEY;
  // The project's own token follows from its secret; its parts are what @upstash/workflow reads of it.
  const Password = createHmac('sha256', at.JWT_SECRET).update('plinth work token').digest('hex').slice(0, 48);
  ownToken = Buffer.from(JSON.stringify({ Password, UserID: 'chatbot' })).toString('base64');
  qstash = new Client({ baseUrl: url, token, enableTelemetry: false });
  workflow = new WorkflowClient({ baseUrl: url, token });
  keys = await (await fetch(`${url}/v2/keys`, { headers: { Authorization: `Bearer ${token}` } })).json();
}

export const close = () => listener.close();
