// A short report for node's test runner: failures in full, everything else as one line per file and a closing count.
import path from 'node:path';
import { inspect } from 'node:util';

const failure = (error) => {
  const cause = error?.cause ?? error;
  return (cause instanceof Error ? cause.stack ?? cause.message : inspect(cause)).replace(/^/gm, '    ');
};

export default async function* report(source) {
  const count = { tests: 0, pass: 0, fail: 0, skipped: 0 };
  const files = new Map();
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite' || data.file === undefined) continue;
    // The runner wraps each file in a test of its own, which counts only when the file itself broke.
    const isFile = data.name === data.file || path.resolve(data.name) === data.file;
    if (isFile && type === 'test:pass') continue;
    // A parent fails because a subtest did, which has been told already.
    if (type === 'test:fail' && data.details.error?.failureType === 'subtestsFailed') continue;
    const name = path.basename(data.file);
    const file = files.get(name) ?? { pass: 0, fail: 0 };
    files.set(name, file);
    count.tests += 1;
    if (data.skip !== undefined) {
      count.skipped += 1;
      yield `- ${name}: ${data.name} (skipped: ${data.skip === true ? 'no reason' : data.skip})\n`;
    } else if (type === 'test:pass') {
      count.pass += 1;
      file.pass += 1;
    } else {
      count.fail += 1;
      file.fail += 1;
      yield `✖ ${name}: ${data.name}\n${failure(data.details.error)}\n`;
    }
  }
  for (const [name, { pass, fail }] of files) yield `${fail ? '✖' : '✔'} ${name}: ${pass} passed${fail ? `, ${fail} failed` : ''}\n`;
  for (const [what, number] of Object.entries(count)) yield `ℹ ${what} ${number}\n`;
}
