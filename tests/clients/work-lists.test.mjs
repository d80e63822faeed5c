// Every call of @upstash/qstash beside publishing: filters, dead letters, queues, groups, schedules, flows, logs and keys.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Receiver } from '@upstash/qstash';
import { arrived, close, endpoint, keys, open, qstash, received, script, token, until, url } from './lib/endpoint.mjs';

before(open);
after(close);

const ask = async (method, path, body) => (await fetch(`${url}${path}`, {
  method, body: body && JSON.stringify(body), headers: { Authorization: `Bearer ${token}` },
})).json();

/** Messages that wait for an hour; their ids. */
async function waiting(paths, options = {}) {
  const made = await Promise.all(paths.map((path) => qstash.publish({ url: `${endpoint}${path}`, body: path, delay: '1h', ...options })));
  return made.map((message) => message.messageId);
}

/** Messages that failed; their dead letters, the oldest first. */
async function dead(paths, options = {}) {
  const ids = [];
  for (const path of paths) {
    script.push({ path, status: 500, left: 1, text: `no ${path}` });
    const { messageId } = await qstash.publish({ url: `${endpoint}${path}`, body: path, retries: 0, ...options });
    ids.push(await until(async () => (await qstash.dlq.listMessages({ filter: { messageId } })).messages[0]?.dlqId, `the end of ${path}`));
  }
  return ids;
}

const isThere = (messageId) => qstash.messages.get(messageId).then(() => true, (error) => { assert.equal(error.status, 404); return false; });

describe('messages', () => {
  test('what is published is shown, but not what is redacted', async () => {
    const { messageId } = await qstash.publish({
      url: `${endpoint}/shown`, body: 'secret', method: 'PUT', delay: '1h', retries: 5, retryDelay: '1000 * retried', timeout: '30s', label: ['a', 'b'],
      headers: { 'x-plain': 'p', 'x-secret': 's' }, callback: `${endpoint}/c`, failureCallback: `${endpoint}/f`,
      flowControl: { key: 'shown', rate: 4, period: 60 }, redact: { body: true, header: ['x-secret'] },
    });
    const shown = await qstash.messages.get(messageId);
    assert.deepEqual(
      [shown.method, shown.body, shown.maxRetries, shown.retryDelayExpression, shown.label, shown.labels, shown.callback, shown.failureCallback, shown.flowControlKey, shown.rate, shown.period],
      ['PUT', 'REDACTED', 5, '1000 * retried', 'a', ['a', 'b'], `${endpoint}/c`, `${endpoint}/f`, 'shown', 4, 60],
    );
    assert.deepEqual([shown.header['x-plain'], shown.header['x-secret']], [['p'], ['REDACTED']]);
    await qstash.messages.delete(messageId);
    assert.equal(await isThere(messageId), false);
  });

  test('a batch with a queue, a moment, and contents that were sent before', async () => {
    const soon = Math.floor(Date.now() / 1000) + 2;
    const same = { url: `${endpoint}/batch/same`, body: 'same', contentBasedDeduplication: true, delay: '1h', label: 'batch' };
    const [first, again, later] = await qstash.batch([
      same, same, { url: `${endpoint}/batch/later`, body: 'later', queueName: 'batch', notBefore: soon, label: 'batch' },
    ]);
    assert.deepEqual([again.messageId, again.deduplicated], [first.messageId, true]);
    const shown = await qstash.messages.get(later.messageId);
    assert.deepEqual([shown.queueName, shown.notBefore], ['batch', soon * 1000]);
    await arrived('/batch/later');
    assert.ok(Date.now() >= soon * 1000);
    assert.deepEqual(await qstash.messages.cancel(first.messageId), { cancelled: 1 });
  });

  test('many are cancelled by what they are, and no others', async () => {
    const [one, two, three] = await waiting(['/many/1', '/many/2', '/many/3'], { label: 'many' });
    const [other] = await waiting(['/other'], { label: 'other' });
    const cancel = async (filter) => (await qstash.messages.cancel({ filter })).cancelled;
    const none = [
      { host: 'elsewhere.test' }, { path: '/many' }, { label: '' }, { label: 'man' }, { url: `${endpoint}/many` }, { queueName: 'many' },
      { scheduleId: 'x' }, { flowControlKey: 'x' }, { callerIp: '192.0.2.1' }, { urlGroup: 'x' }, { label: 'many', toDate: new Date(0) },
      { label: 'many', fromDate: Date.now() + 60_000 }, { unknown: 'x' },
    ];
    for (const filter of none) assert.equal(await cancel(filter), 0, JSON.stringify(filter));
    assert.deepEqual(await ask('DELETE', '/v2/messages', { messageIds: [] }), { cancelled: 0 });
    assert.equal(await cancel({ path: ['/many/1', '/nowhere'], host: [new URL(endpoint).hostname] }), 1);
    assert.deepEqual(await Promise.all([one, two, three, other].map(isThere)), [false, true, true, true]);
    assert.equal((await qstash.messages.cancel({ filter: { label: ['many', 'more'] }, count: 1 })).cancelled, 1);
    assert.equal(await cancel({ label: ['many', 'more'] }), 1);
    assert.equal(await qstash.messages.deleteMany([other, 'msg_unknown']), 1);
    const left = await waiting(['/last/1', '/last/2']);
    assert.ok(await qstash.messages.deleteAll() >= 2);
    assert.deepEqual(await Promise.all(left.map(isThere)), [false, false]);
  });

  test('logs, page by page', async () => {
    const ids = [];
    for (const path of ['/log/1', '/log/2', '/log/3']) {
      ids.push((await qstash.publish({ url: `${endpoint}${path}`, body: path, label: 'logged' })).messageId);
      await until(async () => (await qstash.logs({ filter: { messageId: ids.at(-1), state: 'DELIVERED' } })).logs[0], path);
    }
    const filter = { label: 'logged', state: 'DELIVERED' };
    const first = await qstash.logs({ filter, count: 2 });
    assert.deepEqual(first.logs.map((log) => log.messageId), [ids[2], ids[1]]);
    const second = await qstash.events({ filter, count: 2, cursor: first.cursor });
    assert.deepEqual(second.events.map((log) => log.messageId), [ids[0]]);
    assert.ok(!second.cursor);
    const named = async (request) => new Set((await qstash.logs(request)).logs.map((log) => log.messageId));
    assert.deepEqual(await named({ messageIds: [ids[0], ids[2]] }), new Set([ids[0], ids[2]]));
    assert.deepEqual(await named({ filter: { url: [`${endpoint}/log/1`, `${endpoint}/log/2`] } }), new Set([ids[0], ids[1]]));
    assert.deepEqual(await named({ filter: { path: '/log/2', host: new URL(endpoint).host } }), new Set([ids[1]]));
    assert.deepEqual(await named({ filter: { ...filter, toDate: new Date(0) } }), new Set());
  });
});

describe('dead letters', () => {
  test('are listed, read and deleted by what they are', async () => {
    const ids = await dead(['/dead/1', '/dead/2', '/dead/3'], { label: 'dead' });
    const filter = { label: 'dead' };
    const first = await qstash.dlq.listMessages({ filter, count: 2 });
    const second = await qstash.dlq.listMessages({ filter, count: 2, cursor: first.cursor });
    assert.deepEqual([...first.messages, ...second.messages].map((message) => message.dlqId), ids.toReversed());
    const listed = async (request) => (await qstash.dlq.listMessages(request)).messages.map((message) => message.dlqId);
    assert.deepEqual(await listed({ dlqIds: [ids[0], ids[1]] }), [ids[1], ids[0]]);
    assert.deepEqual(await listed({ filter: { ...filter, responseStatus: [404, 500], url: [`${endpoint}/dead/2`] } }), [ids[1]]);
    assert.deepEqual(await listed({ filter: { ...filter, responseStatus: 404 } }), []);
    const one = await ask('GET', `/v2/dlq/${ids[0]}`);
    assert.deepEqual([one.responseStatus, one.responseBody, one.body], [500, 'no /dead/1', '/dead/1']);
    assert.deepEqual(await qstash.dlq.delete(ids[0]), { deleted: 1 });
    await assert.rejects(qstash.dlq.delete(ids[0]), { status: 404 });
    assert.equal((await qstash.dlq.delete({ filter: { label: 'dea' } })).deleted, 0);
    assert.deepEqual(await ask('DELETE', '/v2/dlq', { dlqIds: [ids[1]] }), { deleted: 1 });
    assert.deepEqual(await listed({ filter }), [ids[2]]);
    assert.equal((await qstash.dlq.deleteMany({ dlqIds: [ids[2]] })).deleted, 1);
  });

  test('are sent again, some or all', async () => {
    const ids = await dead(['/again/1', '/again/2', '/again/3'], { label: 'again' });
    const arrivals = () => received.filter((one) => one.path.startsWith('/again/')).length;
    assert.equal((await qstash.dlq.retry({ filter: { label: 'nobody' } })).responses.length, 0);
    const some = await qstash.dlq.retry({ filter: { label: 'again' }, count: 2 });
    assert.equal(some.responses.length, 2);
    assert.ok(some.cursor);
    const rest = await qstash.dlq.retry({ filter: { label: 'again' }, count: 2, cursor: some.cursor });
    assert.equal(rest.responses.length, 1);
    assert.equal(rest.cursor, undefined);
    await until(() => arrivals() === 6, 'all of them');
    assert.equal((await qstash.dlq.retry(ids)).responses.length, 0);
    await dead(['/all/1', '/all/2']);
    assert.ok((await qstash.dlq.delete({ all: true })).deleted >= 2);
    assert.deepEqual((await qstash.dlq.listMessages()).messages, []);
  });
});

describe('queues', () => {
  test('the next message waits for retries and callbacks of the one before', async () => {
    script.push({ path: '/turn/1', status: 500, left: 1 }, { path: '/turn/back', status: 200, left: 9, wait: 200 });
    const queue = qstash.queue({ queueName: 'turns' });
    for (const n of [1, 2, 3]) await queue.enqueueJSON({ url: `${endpoint}/turn/${n}`, body: n, retryDelay: '50', callback: n === 3 ? undefined : `${endpoint}/turn/back` });
    await arrived('/turn/3');
    const order = received.filter((one) => one.path.startsWith('/turn/')).map((one) => one.path);
    assert.deepEqual(order.filter((path) => path !== '/turn/back'), ['/turn/1', '/turn/1', '/turn/2', '/turn/3']);
    // A callback for each try of the first and one for the second, all of them before the third.
    assert.equal(order.filter((path) => path === '/turn/back').length, 3);
    assert.equal(order.slice(0, order.indexOf('/turn/2')).filter((path) => path === '/turn/back').length, 2);
    await queue.delete();
  });

  test('the next message waits for the failure callback of one that is dead', async () => {
    script.push({ path: '/fell/1', status: 500, left: 1 }, { path: '/fell/word', status: 500, left: 1, wait: 100 });
    const queue = qstash.queue({ queueName: 'fell' });
    const headers = { 'Upstash-Failure-Callback-Retry-Delay': '50' };
    await queue.enqueue({ url: `${endpoint}/fell/1`, body: '', retries: 0, failureCallback: `${endpoint}/fell/word`, headers });
    await queue.enqueue({ url: `${endpoint}/fell/2`, body: '' });
    await arrived('/fell/2');
    assert.deepEqual(received.filter((one) => one.path.startsWith('/fell/')).map((one) => one.path), ['/fell/1', '/fell/word', '/fell/word', '/fell/2']);
    assert.ok((await queue.list()).some((one) => one.name === 'fell'));
  });
});

describe('groups, schedules, flows and keys', () => {
  test('groups lose single endpoints', async () => {
    const name = 'several';
    await qstash.urlGroups.addEndpoints({ name, endpoints: ['a', 'b', 'c'].map((name) => ({ name, url: `${endpoint}/g/${name}` })) });
    await qstash.urlGroups.removeEndpoints({ name, endpoints: [{ name: 'a' }, { url: `${endpoint}/g/b` }] });
    assert.deepEqual((await qstash.topics.get(name)).endpoints, [{ name: 'c', url: `${endpoint}/g/c` }]);
    assert.ok((await qstash.urlGroups.list()).some((group) => group.name === name));
    await qstash.urlGroups.delete(name);
  });

  test('schedules say what they send, pause and go on', async () => {
    const request = {
      destination: `${endpoint}/each`, cron: '* * * * * *', scheduleId: 'each', body: 'now', method: 'PUT', retries: 1, timeout: '9s', queueName: 'each',
      label: 'each', headers: { 'x-own': 'yes' }, flowControl: { key: 'each', parallelism: 2 }, callback: `${endpoint}/each/back`,
    };
    await qstash.schedules.create(request);
    await qstash.schedules.pause({ schedule: 'each' });
    const shown = await qstash.schedules.get('each');
    assert.deepEqual(
      [shown.isPaused, shown.cron, shown.destination, shown.method, shown.body, shown.retries, shown.queueName, shown.label, shown.flowControlKey, shown.parallelism, shown.callback],
      [true, request.cron, request.destination, 'PUT', 'now', 1, 'each', 'each', 'each', 2, request.callback],
    );
    const before = received.length;
    await qstash.schedules.resume({ schedule: 'each' });
    const got = await until(() => received.slice(before).find((one) => one.path === '/each'), 'a tick');
    assert.deepEqual([got.method, got.body, got.headers['x-own'], got.headers['upstash-schedule-id']], ['PUT', 'now', 'yes', 'each']);
    // The same id again changes it.
    await qstash.schedules.create({ ...request, cron: '0 0 1 1 *' });
    assert.equal((await qstash.schedules.get('each')).cron, '0 0 1 1 *');
    await qstash.schedules.delete('each');
    await assert.rejects(qstash.schedules.get('each'), { status: 404 });
  });

  test('flows pause, go on, and begin their period anew', async () => {
    const flowControl = { key: 'tap', rate: 1, period: '1h' };
    await qstash.flowControl.pause('tap');
    await qstash.publish({ url: `${endpoint}/tap/1`, body: '', flowControl });
    await qstash.publish({ url: `${endpoint}/tap/2`, body: '', flowControl });
    const flow = await qstash.flowControl.get('tap');
    assert.deepEqual([flow.isPaused, flow.waitListSize, flow.rateMax, flow.ratePeriod], [true, 2, 1, 3600]);
    await qstash.flowControl.resume('tap');
    await arrived('/tap/1');
    assert.equal((await qstash.flowControl.get('tap')).rateCount, 1);
    assert.ok(!received.some((one) => one.path === '/tap/2'));
    await qstash.flowControl.resetRate('tap');
    await arrived('/tap/2');
    assert.equal((await qstash.flowControl.getGlobalParallelism()).parallelismMax, 0);
  });

  test('keys rotate, and receivers that know the next one go on', async () => {
    const rotated = await ask('POST', '/v2/keys/rotate');
    assert.equal(rotated.current, keys.next);
    assert.deepEqual(await ask('GET', '/v2/keys'), rotated);
    await qstash.publish({ url: `${endpoint}/signed`, body: 'x' });
    const { headers, body } = await arrived('/signed');
    const request = { signature: headers['upstash-signature'], body, url: `${endpoint}/signed` };
    for (const known of [keys, rotated]) {
      assert.equal(await new Receiver({ currentSigningKey: known.current, nextSigningKey: known.next }).verify(request), true);
    }
    await assert.rejects(new Receiver({ currentSigningKey: keys.current, nextSigningKey: keys.current }).verify(request));
  });
});
