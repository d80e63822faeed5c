// `plinth gen types` for the five systems: programs that use the types compile, and only as they should.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';
import { blueprints, here, plinth } from './harness.mjs';

test('programs that use the types of all five projects compile, and their mistakes do not', async (t) => {
  await mkdir(path.join(here, '.work'), { recursive: true });
  const cwd = await mkdtemp(path.join(here, '.work/types-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  await cp(path.join(here, 'types'), cwd, { recursive: true });
  await mkdir(path.join(cwd, 'generated'));
  await symlink(path.join(here, 'node_modules'), path.join(cwd, 'node_modules'));
  await Promise.all(blueprints.map(async (name) =>
    writeFile(path.join(cwd, 'generated', `${name}.ts`), await plinth('gen', 'types', '--lang', 'typescript', '--project', name))));
  const tsc = promisify(execFile)(process.execPath, [
    path.join(here, 'node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--target', 'es2022', '--module', 'esnext',
    '--moduleResolution', 'bundler', '--skipLibCheck', '--types', 'node', ...blueprints.map((name) => `${name}.ts`)], { cwd });
  await assert.doesNotReject(tsc.catch(({ stdout }) => { throw new Error(stdout); }));
});

test('the same database gives the same text', async () => {
  const generate = () => plinth('gen', 'types', '--lang', 'typescript', '--project', 'domo');
  assert.equal(await generate(), await generate());
});
