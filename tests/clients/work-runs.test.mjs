// Every call of @upstash/workflow's client, and what a run keeps from its beginning to its end.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client } from '@upstash/qstash';
import { WorkflowNonRetryableError, WorkflowRetryAfterError } from '@upstash/workflow';
import { close, deliveries, ended, endpoint, open, qstash, ran, received, script, token, until, url, workflow, workflowAt } from './lib/endpoint.mjs';

before(open);
after(close);

const asleep = (name) => workflowAt(name, async (context) => { await context.sleep('long', 3600); });
const breaks = (name, when = () => true, options = {}) => workflowAt(name, async (context) => {
  await context.run('fine', () => 1);
  return context.run('breaks', () => { if (when()) throw new WorkflowNonRetryableError('broken'); return 'mended'; });
}, options);
/** The runs of these options, with a label that no other test has. */
const begun = (options) => Promise.all(options.map((option) => workflow.trigger(option))).then((runs) => runs.map((run) => run.workflowRunId));
const stateOf = async (workflowRunId) => (await workflow.logs({ workflowRunId })).runs[0].workflowState;
const flowOf = async (key) => (await fetch(`${url}/v2/flowControl/${key}`, { headers: { Authorization: `Bearer ${token}` } })).json();

describe('beginning', () => {
  test('many runs at once, none of them twice', async () => {
    const at = workflowAt('many', async (context) => context.run('echo', () => context.requestPayload));
    const several = [1, 2, 3].map((n) => ({ url: at, body: n, workflowRunId: `many-${n}` }));
    const runs = await workflow.trigger(several);
    assert.deepEqual(runs.map((run) => run.workflowRunId), ['wfr_many-1', 'wfr_many-2', 'wfr_many-3']);
    const results = await Promise.all(runs.map(async ({ workflowRunId }) => (await ended(workflowRunId)).workflowRunResponse));
    assert.deepEqual(results, ['1', '2', '3']);
    await workflow.trigger([...several, { url: at, body: 4, workflowRunId: 'many-4' }]);
    await ended('wfr_many-4');
    assert.equal((await workflow.logs({ filter: { workflowUrl: at } })).runs.length, 4);
  });

  test('every delivery has the limits, headers and labels that the run began with', async () => {
    let most = 0, now = 0;
    const at = workflowAt('kept', async (context) => {
      const step = (name) => context.run(name, async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 60));
        now--;
      });
      await step('before');
      await context.sleep('nap', 1);
      await step('between');
      await context.waitForEvent('wait', 'never-told', { timeout: '1s' });
      await Promise.all([step('a'), step('b')]);
      await context.call('ask', { url: `${endpoint}/asked`, method: 'POST' });
      await step('after');
    });
    const flowControl = { key: 'kept', parallelism: 1 };
    const options = { url: at, label: 'kept', headers: { 'x-own': 'yes' }, flowControl, retries: 7 };
    const ids = await begun([options, options, options]);
    for (const id of ids) await ended(id);
    assert.equal(most, 1);
    const own = deliveries.filter((one) => one.name === 'kept' && !one.headers['upstash-workflow-callback']);
    assert.ok(own.length >= 24, `${own.length}`);
    for (const { headers } of own) assert.deepEqual([headers['x-own'], headers['upstash-label']], ['yes', 'kept']);
    const { runs } = await workflow.logs({ filter: { flowControlKey: 'kept', label: ['kept', 'other'] } });
    assert.equal(runs.length, 3);
    assert.equal((await flowOf('kept')).parallelismCount, 0);
  });

  test('delays, and steps that ask for a later try', async () => {
    let tries = 0;
    const at = workflowAt('late', async (context) => context.run('once', () => { if (++tries === 1) throw new WorkflowRetryAfterError('later', '1s'); return tries; }));
    const start = Date.now();
    const run = await ran({ url: at, delay: '1s' });
    assert.equal(run.workflowRunResponse, '2');
    assert.ok(Date.now() - start >= 2000);
  });

  test('a list that is too long to send is fetched', async () => {
    const large = 'x'.repeat(500_000);
    const at = workflowAt('large', async (context) => {
      const one = await context.run('one', () => large);
      const two = await context.run('two', () => large);
      return [context.requestPayload.length, one.length, two.length];
    });
    const run = await ran({ url: at, body: large });
    assert.deepEqual(JSON.parse(run.workflowRunResponse), [500_000, 500_000, 500_000]);
    const bodies = deliveries.filter((one) => one.name === 'large').map((one) => one.body.length);
    assert.ok(bodies[0] > 0 && bodies.at(-1) === 0, `${bodies}`);
  });

  test('a call that fails is a result', async () => {
    script.push({ path: '/refuses', status: 418, left: 2, text: 'no' });
    const at = workflowAt('refused', async (context) => (await context.call('ask', { url: `${endpoint}/refuses`, method: 'POST', retries: 1, retryDelay: '20' })).status);
    const run = await ran({ url: at });
    assert.equal(run.workflowRunResponse, '418');
    assert.equal(received.filter((one) => one.path === '/refuses').length, 2);
  });

  test('a step that cannot be appended fails its run, and its failure function hears why', async () => {
    const words = {
      scheme: (context) => context.call('x', { url: 'api.example.com/x' }),
      delay: (context) => context.call('x', { url: endpoint, retries: 1, retryDelay: 'foo(retried)' }),
      timeout: (context) => context.call('x', { url: endpoint, timeout: '2w' }),
      flow: (context) => context.call('x', { url: endpoint, flowControl: { key: 'none', parallelism: 0 } }),
      sleep: (context) => context.sleep('z', '1w'),
      moment: (context) => context.sleepUntil('z', 'garbage'),
      wait: (context) => context.waitForEvent('w', 'never-told', { timeout: '2w' }),
      many: (context) => Promise.all(Array.from({ length: 1001 }, (_, n) => context.run(`${n}`, () => n))),
    };
    await Promise.all(Object.entries(words).map(async ([word, steps]) => {
      let told;
      const at = workflowAt(`refused-${word}`, steps, { failureFunction: ({ failStatus, failResponse }) => { told = { failStatus, failResponse }; } });
      await ran({ url: at }, 'RUN_FAILED');
      const { failStatus, failResponse } = await until(() => told, word);
      assert.deepEqual([failStatus, failResponse.length > 0], [489, true], word);
    }));
  });

  test('an id by which nobody could end the run is refused', async () => {
    const at = asleep('unnamed');
    for (const workflowRunId of ['order/1', 'q?x=1', 'h#1', '50%25', 'a,b']) {
      await assert.rejects(workflow.trigger({ url: at, workflowRunId }), /cannot be the id of a workflow run/, workflowRunId);
    }
  });

  test('what comes of a call is told with the retries of the run, and its failure is the failure of the run', async () => {
    let told;
    const at = workflowAt('deaf', async (context) => { await context.call('ask', { url: `${endpoint}/fine`, method: 'POST' }); }, {
      // It cannot publish the result of the call.
      qstashClient: new Client({ baseUrl: url, token, retry: false }),
      failureFunction: ({ context }) => { told = context.requestPayload; },
    });
    const deaf = Client.prototype.publishJSON;
    Client.prototype.publishJSON = () => { throw new Error('deaf'); };
    try {
      await ran({ url: at, body: { about: 'it' }, retries: 0 }, 'RUN_FAILED');
    } finally {
      Client.prototype.publishJSON = deaf;
    }
    await until(() => told, 'the failure function');
    assert.deepEqual(told, { about: 'it' });
  });
});

describe('events', () => {
  test('one that comes before anybody waits is kept for the run that it names', async () => {
    const at = workflowAt('early', async (context) => {
      await context.sleep('first', 1);
      return (await context.waitForEvent('wait', 'early-word', { timeout: '1h' })).eventData;
    });
    const { workflowRunId } = await workflow.trigger({ url: at });
    assert.deepEqual(await workflow.notify({ eventId: 'early-word', eventData: 'nobody' }), []);
    await workflow.notify({ eventId: 'early-word', eventData: { n: 1 }, workflowRunId });
    assert.deepEqual(JSON.parse((await ended(workflowRunId)).workflowRunResponse), { n: 1 });
    assert.deepEqual(await workflow.getWaiters({ eventId: 'early-word' }), []);
  });

  test('a run tells another', async () => {
    const waits = workflowAt('listens', async (context) => (await context.waitForEvent('wait', 'from-run', { timeout: '1h' })).eventData);
    const tells = workflowAt('tells', async (context) => (await context.notify('tell', 'from-run', { said: 'it' })).notifyResponse.length);
    const { workflowRunId } = await workflow.trigger({ url: waits });
    const waiter = await until(async () => (await workflow.getWaiters({ eventId: 'from-run' }))[0], 'the waiter');
    assert.equal(waiter.url, waits);
    assert.equal((await ran({ url: tells })).workflowRunResponse, '1');
    assert.deepEqual(JSON.parse((await ended(workflowRunId)).workflowRunResponse), { said: 'it' });
  });
});

describe('cancelling', () => {
  test('by id, by URL, by what else they are, and no others', async () => {
    const [one, two, three] = ['idle-1', 'idle-2', 'idle-3'].map(asleep);
    const ids = await begun([one, two, three].map((url) => ({ url, label: 'idle' })));
    const cancel = async (request) => (await workflow.cancel(request)).cancelled;
    const none = [
      { label: 'other' }, { workflowUrl: `${endpoint}/idle-` }, { workflowUrlStartingWith: 'http://elsewhere.test' }, { host: 'elsewhere.test' },
      { flowControlKey: 'x' }, { callerIp: '192.0.2.1' }, { label: 'idle', toDate: new Date(0) }, { unknown: 'x' },
    ];
    for (const filter of none) assert.equal(await cancel({ filter }), 0, JSON.stringify(filter));
    assert.equal(await cancel(ids[0]), 1);
    assert.equal(await cancel({ filter: { workflowUrl: two } }), 1);
    assert.deepEqual(await Promise.all(ids.map(stateOf)), ['RUN_CANCELED', 'RUN_CANCELED', 'RUN_STARTED']);
    assert.equal(await cancel({ filter: { workflowUrlStartingWith: `${endpoint}/idle-` } }), 1);
    const again = await begun([one, two].map((url) => ({ url, label: 'idle-again' })));
    assert.equal(await cancel([...again, ids[0]]), 2);
    await begun([{ url: one, label: 'idle-last' }]);
    assert.equal(await cancel({ filter: { label: ['idle-last', 'x'], path: '/idle-1' } }), 1);
    // As versions before 0.3 of the client ask.
    const [old, kept] = await begun([{ url: one }, { url: two }]);
    const answer = await fetch(`${url}/v2/workflows/runs`, { method: 'DELETE', headers: { Authorization: `Bearer ${token}` }, body: JSON.stringify({ workflowRunIds: [old] }) });
    assert.deepEqual(await answer.json(), { cancelled: 1 });
    assert.equal(await stateOf(kept), 'RUN_STARTED');
    assert.equal(await cancel({ ids: [kept] }), 1);
    await begun([{ url: two }]);
    assert.equal(await cancel({ urlStartingWith: two }), 1);
    const [alone] = await begun([{ url: three }]);
    assert.equal(await qstash.workflow.cancel(alone), true);
    await begun([{ url: three }]);
    assert.ok(await cancel({ all: true }) >= 1);
  });

  test('a run cancels itself', async () => {
    const at = workflowAt('gives-up', async (context) => { await context.run('one', () => 1); await context.cancel(); });
    await ran({ url: at }, 'RUN_CANCELED');
  });
});

describe('logs and dead letters', () => {
  test('logs page by page', async () => {
    const at = workflowAt('paged', async (context) => context.run('only', () => 'done'));
    const ids = [];
    for (let n = 0; n < 3; n++) ids.unshift((await ran({ url: at, label: 'paged' })).workflowRunId);
    const filter = { label: 'paged', state: 'RUN_SUCCESS' };
    const first = await workflow.logs({ filter, count: 2 });
    const second = await workflow.logs({ filter, count: 2, cursor: first.cursor });
    assert.deepEqual([...first.runs, ...second.runs].map((run) => run.workflowRunId), ids);
    const { workflowRunCreatedAt } = first.runs[0];
    assert.equal((await workflow.logs({ filter: { ...filter, workflowCreatedAt: workflowRunCreatedAt } })).runs[0].workflowRunId, ids[0]);
    assert.deepEqual((await workflow.logs({ filter: { ...filter, workflowUrl: `${endpoint}/other` } })).runs, []);
  });

  test('a run that is taken up or begun anew keeps its limits, or gets others', async () => {
    let broken = true;
    const at = breaks('mends', () => broken);
    const flowControl = { key: 'mends', parallelism: 3 };
    const failed = [];
    for (let n = 0; n < 3; n++) failed.push((await ran({ url: at, label: 'mends', flowControl }, 'RUN_FAILED')).dlqId);
    broken = false;
    const resumed = await workflow.dlq.resume(failed[0]);
    assert.equal(resumed.workflowRuns.length, 1);
    await ended(resumed.workflowRuns[0].workflowRunId);
    const other = { key: 'mends-other', rate: 9, period: '1m' };
    const [changed] = await workflow.dlq.resume({ dlqId: [failed[1]], flowControl: other, retries: 2 });
    await ended(changed.workflowRunId);
    const restarted = await workflow.dlq.restart({ filter: { label: 'mends', workflowUrl: [at] } }, { flowControl: other });
    assert.equal(restarted.workflowRuns.length, 1);
    await ended(restarted.workflowRuns[0].workflowRunId);
    const keys = async (flowControlKey) => new Set((await workflow.logs({ filter: { label: 'mends', flowControlKey } })).runs.map((run) => run.workflowRunId));
    assert.deepEqual(await keys('mends-other'), new Set([changed.workflowRunId, restarted.workflowRuns[0].workflowRunId]));
    assert.ok((await keys('mends')).has(resumed.workflowRuns[0].workflowRunId));
    assert.equal((await flowOf('mends-other')).rateMax, 9);
    assert.deepEqual((await workflow.dlq.list({ filter: { label: 'mends' } })).messages, []);
  });

  test('what came of a failure function is told, and asked for again', async () => {
    let deaf = true;
    const at = breaks('unheard', undefined, { failureFunction: () => { if (deaf) throw new Error('deaf'); return 'heard'; } });
    const run = await ran({ url: at, retries: 0 }, 'RUN_FAILED');
    const state = async () => (await workflow.logs({ workflowRunId: run.workflowRunId })).runs[0].failureFunction?.state;
    await until(async () => await state() === 'CALLBACK_FAIL', 'the failure of the failure function');
    const filter = { workflowRunId: run.workflowRunId, failureFunctionState: 'CALLBACK_FAIL' };
    const [letter] = (await workflow.dlq.list({ filter })).messages;
    assert.deepEqual([letter.dlqId, letter.failureCallbackInfo.state, letter.failureCallbackInfo.responseStatus], [run.dlqId, 'CALLBACK_FAIL', 500]);
    deaf = false;
    assert.equal((await workflow.dlq.retryFailureFunction({ dlqId: run.dlqId })).workflowRunId, run.workflowRunId);
    await until(async () => await state() === 'CALLBACK_SUCCESS', 'the failure function');
    const { failureFunction } = (await workflow.logs({ workflowRunId: run.workflowRunId })).runs[0];
    assert.deepEqual([failureFunction.url, failureFunction.failStatus, failureFunction.dlqId], [at, 489, run.dlqId]);
    assert.deepEqual((await workflow.dlq.list({ filter })).messages, []);
    await assert.rejects(workflow.dlq.retryFailureFunction({ dlqId: run.dlqId }), { status: 404 });
  });

  test('dead letters are deleted by what they are', async () => {
    const at = breaks('hopeless');
    const [one, two] = [await ran({ url: at, label: 'hopeless' }, 'RUN_FAILED'), await ran({ url: at, label: 'hopeless' }, 'RUN_FAILED')];
    assert.equal((await workflow.dlq.delete({ filter: { label: 'hope' } })).deleted, 0);
    assert.equal((await workflow.dlq.delete({ filter: { workflowRunId: one.workflowRunId } })).deleted, 1);
    assert.equal((await workflow.dlq.delete([two.dlqId])).deleted, 1);
    await assert.rejects(workflow.dlq.resume({ dlqId: one.dlqId }).then((run) => { if (!run) throw new Error('none'); }));
  });
});
