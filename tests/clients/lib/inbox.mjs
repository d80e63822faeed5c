// The mails that `plinth up` has caught, through Mailpit's API at /inbox.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { server } from '../harness.mjs';

async function ask(path, init) {
  const { url } = await server();
  const answer = await fetch(`${url}/inbox/api/v1/${path}`, init);
  assert.ok(answer.ok, `the inbox answers ${path} with ${answer.status}`);
  return answer;
}

const sentTo = async (to) => (await (await ask(`search?query=${encodeURIComponent(`to:"${to}"`)}`)).json()).messages;

/** Waits for a mail to the address and takes it out: its subject, text, code to type, and link with its parameters. */
export async function mailTo(to) {
  const until = Date.now() + 10_000;
  for (;;) {
    const [found] = (await sentTo(to)).reverse();
    if (found) {
      const message = await (await ask(`message/${found.ID}`)).json();
      await ask('messages', { method: 'DELETE', body: JSON.stringify({ IDs: [found.ID] }) });
      const link = /https?:\/\/\S+\/verify\?\S+/.exec(message.Text)?.[0];
      return {
        subject: message.Subject,
        text: message.Text,
        html: message.HTML,
        code: /^Code: (\d+)$/m.exec(message.Text)?.[1],
        link,
        hash: link && new URL(link).searchParams.get('token'),
      };
    }
    if (Date.now() > until) assert.fail(`no mail to ${to}`);
    await sleep(20);
  }
}

/** Asserts that there is no mail to the address, nor comes one soon. */
export async function noMailTo(to) {
  await sleep(300);
  assert.deepEqual((await sentTo(to)).map((mail) => mail.Subject), []);
}

/** Opens a link as a browser does; where it leads to, with the parameters of the query and of the fragment. */
export async function follow(link) {
  const answer = await fetch(link, { redirect: 'manual' });
  assert.equal(answer.status, 303, await answer.text());
  const to = new URL(answer.headers.get('location'));
  return {
    to: `${to.origin}${to.pathname}`,
    query: Object.fromEntries(to.searchParams),
    fragment: Object.fromEntries(new URLSearchParams(to.hash.slice(1))),
  };
}
