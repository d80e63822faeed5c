// The tour of the README.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { blueprints, here, root, server } from './harness.mjs';

test('the tour signs ada in and nina up in each of the five, and shows nina nothing of ada\'s', async (t) => {
  await mkdir(path.join(here, '.work'), { recursive: true });
  const cwd = await mkdtemp(path.join(here, '.work/tour-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  await cp(path.join(root, 'examples/tour.mjs'), path.join(cwd, 'tour.mjs')); // here it finds supabase-js
  const { dataDir } = await server();
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(cwd, 'tour.mjs')], {
    cwd: root,
    env: {
      ...process.env, PLINTH_DATA_DIR: dataDir, PLINTH_BIN: path.resolve(root, process.env.PLINTH_BIN ?? 'target/debug/plinth'),
    },
  });
  const lines = stdout.trim().split('\n');
  assert.equal(lines.length, blueprints.length, stdout);
  for (const line of lines) {
    const [, project, own, seen, gone] = /^(\w+): ada sees (\d+) \w+, nina-\d+@example\.com sees (\d+) and could delete (\d+)$/.exec(line) ?? assert.fail(line);
    assert.ok(blueprints.includes(project));
    assert.ok(Number(own) > 0, line);
    assert.deepEqual([seen, gone], ['0', '0'], line);
  }
});

test('the README shows the tour as it is', async () => {
  const code = (text) => text.slice(text.indexOf("import { execFileSync }")).trim();
  const readme = await readFile(path.join(root, 'README.md'), 'utf8');
  assert.ok(readme.includes(code(await readFile(path.join(root, 'examples/tour.mjs'), 'utf8'))));
});
