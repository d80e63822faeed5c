// Messages and workflow runs: @upstash/qstash and @upstash/workflow against the real binary, with a real endpoint.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Client, Receiver } from '@upstash/qstash';
import { WorkflowNonRetryableError } from '@upstash/workflow';
import { arrived, close, endpoint, keys, open, ownToken, qstash, ran, received, script, until, url, workflow, workflowAt } from './lib/endpoint.mjs';

before(open);
after(close);

describe('@upstash/qstash', () => {
  test('a published message arrives signed', async () => {
    const { messageId } = await qstash.publishJSON({ url: `${endpoint}/json?a=b`, body: { hello: 'world' }, headers: { 'x-own': 'yes' }, label: 'first' });
    const got = await arrived('/json?a=b');
    assert.equal(got.headers['upstash-message-id'], messageId);
    assert.equal(got.headers['x-own'], 'yes');
    assert.deepEqual(JSON.parse(got.body), { hello: 'world' });
    const receiver = new Receiver({ currentSigningKey: keys.current, nextSigningKey: keys.next });
    assert.equal(await receiver.verify({ signature: got.headers['upstash-signature'], body: got.body, url: `${endpoint}/json?a=b` }), true);
    const states = await until(async () => {
      const { logs } = await qstash.logs({ filter: { messageId } });
      return logs.some((log) => log.state === 'DELIVERED') && logs.map((log) => log.state);
    }, 'its log');
    assert.deepEqual(states, ['DELIVERED', 'ACTIVE', 'CREATED']);
  });

  test('no stranger publishes', async () => {
    const stranger = new Client({ baseUrl: url, token: 'stranger', enableTelemetry: false });
    await assert.rejects(stranger.publish({ url: endpoint, body: '' }), { status: 401 });
  });

  test('retries, callbacks and dead letters', async () => {
    script.push({ path: '/broken', status: 500, left: 2, text: 'no' });
    const { messageId } = await qstash.publish({
      url: `${endpoint}/broken`, body: 'x', retries: 1, retryDelay: '10', callback: `${endpoint}/callback`, failureCallback: `${endpoint}/failure`,
    });
    const told = JSON.parse((await arrived('/failure')).body);
    assert.deepEqual([told.sourceMessageId, told.status, told.retried, atob(told.body)], [messageId, 500, 1, 'no']);
    assert.equal(received.filter((one) => one.path === '/broken').length, 2);
    const { messages } = await qstash.dlq.listMessages({ filter: { url: `${endpoint}/broken` } });
    assert.deepEqual(messages.map((message) => [message.dlqId, message.responseStatus]), [[told.dlqId, 500]]);
    const { responses } = await qstash.dlq.retry(told.dlqId);
    assert.equal(responses.length, 1);
    await until(() => received.filter((one) => one.path === '/broken').length === 3, 'the third delivery');
    assert.deepEqual((await qstash.dlq.listMessages({ filter: { url: `${endpoint}/broken` } })).messages, []);
  });

  test('delays, reading and cancelling', async () => {
    const { messageId } = await qstash.publish({ url: `${endpoint}/never`, body: 'x', delay: '1h' });
    const message = await qstash.messages.get(messageId);
    assert.equal(message.url, `${endpoint}/never`);
    assert.equal(message.body, 'x');
    assert.deepEqual(await qstash.messages.cancel([messageId]), { cancelled: 1 });
    await assert.rejects(qstash.messages.get(messageId), { status: 404 });
  });

  test('a request that is too long is told how long it may be', async () => {
    const long = Array.from({ length: 12 }, () => ({ url: `${endpoint}/never`, body: 'x'.repeat(1_000_000) }));
    await assert.rejects(qstash.batch(long), (error) => error.status === 413 && /longer than 10485760 bytes/.test(error.message));
  });

  test('batches, groups and deduplication', async () => {
    await qstash.urlGroups.addEndpoints({ name: 'both', endpoints: [{ name: 'one', url: `${endpoint}/one` }, { name: 'two', url: `${endpoint}/two` }] });
    assert.equal((await qstash.urlGroups.get('both')).endpoints.length, 2);
    const [single, group] = await qstash.batchJSON([{ url: `${endpoint}/three`, body: { n: 3 } }, { urlGroup: 'both', body: { n: 2 } }]);
    assert.ok(single.messageId);
    assert.equal(group.length, 2);
    for (const path of ['/one', '/two', '/three']) await arrived(path);
    const once = { url: `${endpoint}/once`, body: 'x', deduplicationId: 'order-1' };
    const first = await qstash.publish(once);
    const second = await qstash.publish(once);
    assert.deepEqual([second.messageId, second.deduplicated], [first.messageId, true]);
    await qstash.urlGroups.delete('both');
    await assert.rejects(qstash.urlGroups.get('both'), { status: 404 });
  });

  test('queues', async () => {
    const queue = qstash.queue({ queueName: 'line' });
    await queue.upsert({ parallelism: 1 });
    await queue.pause();
    for (const n of [1, 2, 3]) await queue.enqueueJSON({ url: `${endpoint}/line`, body: n });
    assert.deepEqual([(await queue.get()).lag, (await queue.get()).paused], [3, true]);
    await queue.resume();
    await until(() => received.filter((one) => one.path === '/line').length === 3, 'the queue');
    assert.deepEqual(received.filter((one) => one.path === '/line').map((one) => one.body), ['1', '2', '3']);
    await queue.delete();
  });

  test('schedules', async () => {
    const { scheduleId } = await qstash.schedules.create({ destination: `${endpoint}/tick`, cron: '* * * * * *', body: 'now' });
    assert.equal((await arrived('/tick')).headers['upstash-schedule-id'], scheduleId);
    await qstash.schedules.pause({ schedule: scheduleId });
    assert.equal((await qstash.schedules.get(scheduleId)).isPaused, true);
    await qstash.schedules.delete(scheduleId);
    assert.ok(!(await qstash.schedules.list()).some((schedule) => schedule.scheduleId === scheduleId));
  });

  test('flow control', async () => {
    await qstash.publish({ url: `${endpoint}/flow`, body: 'x', flowControl: { key: 'tenant', parallelism: 2, rate: 10, period: '1m' } });
    await arrived('/flow');
    const flow = await qstash.flowControl.get('tenant');
    assert.deepEqual([flow.parallelismMax, flow.rateMax, flow.ratePeriod], [2, 10, 60]);
    await qstash.flowControl.pin('tenant', { parallelism: 5 });
    assert.equal((await qstash.flowControl.get('tenant')).isPinnedParallelism, true);
    await qstash.flowControl.unpin('tenant', { parallelism: true });
  });
});

describe('@upstash/workflow', () => {
  test('steps run once each, in order, with sleeps between them', async () => {
    const done = [];
    const at = workflowAt('steps', async (context) => {
      const one = await context.run('one', () => { done.push('one'); return context.requestPayload.n + 1; });
      await context.sleep('nap', 1);
      const two = await context.run('two', () => { done.push('two'); return one * 10; });
      await context.sleepUntil('later', Math.floor(Date.now() / 1000) + 1);
      return { two };
    });
    const run = await ran({ url: at, body: { n: 1 }, headers: { 'x-user': 'ada' } });
    assert.deepEqual(done, ['one', 'two']);
    assert.deepEqual(JSON.parse(run.workflowRunResponse), { two: 20 });
  });

  test('an endpoint that is called like any other begins a run', async () => {
    let finished;
    const at = workflowAt('direct', async (context) => { finished = await context.run('only', () => context.requestPayload); });
    const answered = await qstash.publishJSON({ url: at, body: { published: true } });
    assert.ok(answered.messageId);
    await until(() => finished, 'the run');
    assert.deepEqual(finished, { published: true });
  });

  test('steps side by side', async () => {
    const done = [];
    const at = workflowAt('parallel', async (context) => {
      const results = await Promise.all(['a', 'b', 'c'].map((name) => context.run(name, () => { done.push(name); return name; })));
      return results.join('');
    });
    const run = await ran({ url: at });
    assert.deepEqual(done.sort(), ['a', 'b', 'c']);
    assert.equal(JSON.parse(run.workflowRunResponse), 'abc');
    assert.ok(run.steps.some((group) => group.type === 'parallel' && group.steps.length === 3));
  });

  test('calls to others', async () => {
    script.push({ path: '/third', status: 201, left: 1, headers: { 'content-type': 'application/json' }, text: '{"said":"yes"}' });
    const at = workflowAt('call', async (context) => {
      const { status, body } = await context.call('ask', { url: `${endpoint}/third`, method: 'POST', body: { q: 1 }, headers: { 'x-for': 'third' } });
      return { status, body };
    });
    const run = await ran({ url: at });
    assert.deepEqual(JSON.parse(run.workflowRunResponse), { status: 201, body: { said: 'yes' } });
    assert.equal((await arrived('/third')).headers['x-for'], 'third');
  });

  test('waiting for events, and not for ever', async () => {
    const at = workflowAt('wait', async (context) => {
      const told = await context.waitForEvent('word', 'the-word', { timeout: '1h' });
      const late = await context.waitForEvent('silence', 'no-word', { timeout: '1s' });
      return { told: told.eventData, late: late.timeout };
    });
    const { workflowRunId } = await workflow.trigger({ url: at });
    await until(async () => (await workflow.getWaiters({ eventId: 'the-word' })).length, 'the waiter');
    const answers = await workflow.notify({ eventId: 'the-word', eventData: { go: true } });
    assert.equal(answers.length, 1);
    const run = await until(async () => (await workflow.logs({ workflowRunId })).runs.find((run) => run.workflowState === 'RUN_SUCCESS'), 'its end');
    assert.deepEqual(JSON.parse(run.workflowRunResponse), { told: { go: true }, late: true });
  });

  test('cancelling', async () => {
    const at = workflowAt('long', async (context) => { await context.sleep('long', 3600); });
    const { workflowRunId } = await workflow.trigger({ url: at });
    await until(async () => (await workflow.logs({ workflowRunId })).runs[0]?.steps.length, 'the run');
    assert.deepEqual(await workflow.cancel(workflowRunId), { cancelled: 1 });
    assert.equal((await workflow.logs({ workflowRunId })).runs[0].workflowState, 'RUN_CANCELED');
  });

  test('failure functions, and taking up a failed run', async () => {
    let broken = true, told;
    const done = [];
    const at = workflowAt('fails', async (context) => {
      await context.run('fine', () => { done.push('fine'); });
      return await context.run('breaks', () => { if (broken) throw new WorkflowNonRetryableError('broken'); return 'mended'; });
    }, { failureFunction: ({ failStatus, failResponse, context }) => { told = [failStatus, failResponse, context.requestPayload]; } });
    const run = await ran({ url: at, body: { about: 'it' } }, 'RUN_FAILED');
    await until(() => told, 'the failure function');
    assert.deepEqual(told, [489, 'broken', { about: 'it' }]);
    const { messages } = await workflow.dlq.list({ filter: { workflowRunId: run.workflowRunId } });
    assert.equal(messages.length, 1);
    broken = false;
    const { workflowRunId } = await workflow.dlq.resume({ dlqId: messages[0].dlqId });
    const mended = await until(async () => (await workflow.logs({ workflowRunId })).runs.find((run) => run.workflowState === 'RUN_SUCCESS'), 'its end');
    assert.equal(JSON.parse(mended.workflowRunResponse), 'mended');
    assert.deepEqual(done, ['fine']);
  });

  test('workflows that begin others', async () => {
    workflowAt('child', async (context) => context.run('double', () => context.requestPayload.n * 2));
    const broken = workflowAt('broken-child', async (context) => context.run('never', () => { throw new WorkflowNonRetryableError('no'); }));
    assert.ok(broken);
    const invoke = (context, workflowId, body) => context.invoke(workflowId, { workflow: { workflowId, routeFunction: () => {}, options: {} }, body });
    const at = workflowAt('parent', async (context) => {
      const good = await invoke(context, 'child', { n: 21 });
      const bad = await invoke(context, 'broken-child', {});
      return [good.body, good.isFailed, bad.isFailed];
    });
    const run = await ran({ url: at });
    assert.deepEqual(JSON.parse(run.workflowRunResponse), [42, false, true]);
  });

  test('webhooks that a run makes and waits for', async () => {
    let hook;
    const own = new Client({ baseUrl: url, token: ownToken });
    const at = workflowAt('hooked', async (context) => {
      const made = await context.createWebhook('make');
      hook = made.webhookUrl;
      const { request, timeout } = await context.waitForWebhook('wait', made, '1h');
      // Senders that sign the URL are verified with what the request says.
      return [timeout, request.method, await request.json(), request.headers.get('x-from'), request.url];
    }, { qstashClient: own });
    const { workflowRunId } = await workflow.trigger({ url: at });
    await until(() => hook, 'the address');
    assert.equal((await fetch(`${hook}?to=us`, { method: 'PUT', body: '{"a":1}', headers: { 'x-from': 'outside' } })).status, 200);
    const run = await until(async () => (await workflow.logs({ workflowRunId })).runs.find((run) => run.workflowState === 'RUN_SUCCESS'), 'its end');
    assert.deepEqual(JSON.parse(run.workflowRunResponse), [false, 'PUT', { a: 1 }, 'outside', `${hook}?to=us`]);
  });

  test('a failed run that begins anew', async () => {
    let broken = true;
    const at = workflowAt('anew', async (context) => context.run('step', () => { if (broken) throw new WorkflowNonRetryableError('broken'); return 'new'; }));
    const run = await ran({ url: at }, 'RUN_FAILED');
    broken = false;
    const { workflowRuns } = await workflow.dlq.restart({ filter: { workflowRunId: run.workflowRunId } });
    const [{ workflowRunId }] = workflowRuns;
    assert.notEqual(workflowRunId, run.workflowRunId);
    await until(async () => (await workflow.logs({ workflowRunId })).runs.find((run) => run.workflowState === 'RUN_SUCCESS'), 'its end');
  });

  test('retries of a step', async () => {
    let tries = 0;
    const at = workflowAt('flaky', async (context) => context.run('flaky', () => { if (++tries < 3) throw new Error('not yet'); return tries; }));
    const run = await ran({ url: at, retries: 3, retryDelay: '20' });
    assert.equal(JSON.parse(run.workflowRunResponse), 3);
  });
});
