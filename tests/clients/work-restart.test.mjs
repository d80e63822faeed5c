// Messages and workflow runs when Plinth is killed: @upstash/qstash and @upstash/workflow against the real binary.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { restart } from './harness.mjs';
import { arrived, close, endpoint, open, qstash, received, until, workflow, workflowAt } from './lib/endpoint.mjs';

before(open);
after(close);

test('after kill -9 messages are delivered and runs go on, though nobody asks for them', async () => {
  const done = [];
  let end;
  const at = workflowAt('killed', async (context) => {
    const one = await context.run('one', () => { done.push('one'); return 1; });
    const two = await context.run('two', async () => {
      done.push('two');
      // The first time, who waits for the answer is killed, and none comes.
      if (done.length === 2) await new Promise(() => {});
      return one + 1;
    });
    end = await context.run('three', () => { done.push('three'); return two + 1; });
  });
  await qstash.publish({ url: `${endpoint}/after-kill`, body: 'still here', delay: '10s' });
  const { workflowRunId } = await workflow.trigger({ url: at });
  await until(() => done.includes('two'), 'the second step');
  assert.ok(!received.some((one) => one.path === '/after-kill'), 'it is not due yet');
  await restart('SIGKILL');
  assert.equal((await arrived('/after-kill')).body, 'still here');
  // Its lease has to run out first.
  await until(() => end, 'the last step', 60);
  assert.equal(end, 3);
  assert.deepEqual(done, ['one', 'two', 'two', 'three']);
  const run = await until(async () => (await workflow.logs({ workflowRunId })).runs.find((run) => run.workflowState === 'RUN_SUCCESS'), 'its end');
  assert.deepEqual(run.steps.flatMap((group) => group.steps).map((step) => step.stepName).filter((name) => name && name !== 'init'), ['one', 'two', 'three']);
});
