// People of the OpenID provider (lib/openid.mjs), and their way through redirects.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { address, server } from '../harness.mjs';

const { openid, url: plinth } = await server();
/** Where the provider is, which is its name as well. */
export const issuer = openid.url;

async function ask(method, path, body) {
  const answer = await fetch(`${issuer}${path}`, { method, body: JSON.stringify(body) });
  assert.ok(answer.ok, `the provider answers ${path} with ${answer.status}`);
  return answer.json();
}

/** Somebody whom the provider knows, with what it says of them. */
export async function person(claims = {}) {
  const known = { sub: randomUUID(), email: address(), email_verified: true, name: 'Nina', ...claims };
  await ask('PUT', `/people/${known.sub}`, known);
  return known;
}

/** An ID token as the provider gives it to an app; `claims` are added to those that every one has. */
export const idToken = async (claims) => (await ask('POST', '/tokens', claims)).id_token;

/** What the provider says to whoever has its access token. */
export async function userinfo(token) {
  return (await fetch(`${issuer}/userinfo`, { headers: { authorization: `Bearer ${token}` } })).json();
}

/** One step of a browser: where it is sent. */
export async function step(url) {
  const answer = await fetch(url, { redirect: 'manual' });
  assert.ok([302, 303].includes(answer.status), `${url} answers ${answer.status}: ${await answer.text()}`);
  return new URL(answer.headers.get('location'), url);
}

/** Follows redirects as a browser does until `there(url)`, or out of the server and the provider. */
export async function walk(url, there = () => false) {
  let at = new URL(url);
  for (let steps = 0; [plinth, issuer].includes(at.origin) && !there(at); steps += 1) {
    assert.ok(steps < 10, `redirects without end at ${at}`);
    at = await step(at);
  }
  return at;
}

/** Where a browser lands in the end, with the parameters of the query and of the fragment. */
export async function land(url) {
  const at = await walk(url);
  return {
    to: `${at.origin}${at.pathname}`,
    query: Object.fromEntries(at.searchParams),
    fragment: Object.fromEntries(new URLSearchParams(at.hash.slice(1))),
  };
}
