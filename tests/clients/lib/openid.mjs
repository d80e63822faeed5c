// An OpenID Connect provider (Core 1.0, Discovery 1.0) in a process of its own, which the harness starts before the server.
//
// It knows the people that a test tells it of (`PUT /people/SUB` with their claims); the browser that comes with
// `login_hint=SUB` is theirs, and one that comes with somebody unknown is of somebody who says no. It insists on what a careful provider
// does: the client's secret, PKCE, a nonce, each code once. `POST /tokens` signs an ID token of any claims.
import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';

/** The applications that it knows, with the secret that they share. */
export const clients = ['plinth', 'plinth-mobile'];
const secret = 'harbour secret: % & +';

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** Signs claims as a JWT with a key pair on P-256 (ES256). */
export function signed(claims, { privateKey, kid }) {
  const text = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part(claims)}`;
  return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** A new key pair. */
export const keyPair = () => ({ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }), kid: randomBytes(8).toString('hex') });

/** Claims that a token has unless it says otherwise. */
export function usual(issuer) {
  const now = Math.floor(Date.now() / 1000);
  return { iss: issuer, aud: clients[0], iat: now, exp: now + 300 };
}

/** A refusal, as the token endpoint words it (RFC 6749 §5.2). */
class Refused extends Error {}

const check = (holds, code) => { if (!holds) throw new Refused(code); };
const digest = (text) => createHash('sha256').update(text).digest();

class Provider {
  key = keyPair();
  people = new Map();
  codes = new Map();
  tokens = new Map();

  constructor(issuer) { this.issuer = issuer; }

  get document() {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      userinfo_endpoint: `${this.issuer}/userinfo`,
      jwks_uri: `${this.issuer}/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['ES256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
    };
  }

  get jwks() {
    const { publicKey, kid } = this.key;
    return { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' }] };
  }

  /** Where the browser goes next; nobody is asked anything. */
  authorize(query) {
    const asked = Object.fromEntries(query);
    check(clients.includes(asked.client_id), 'invalid_client');
    const back = new URL(asked.redirect_uri);
    check(back.hostname === '127.0.0.1' && back.pathname.endsWith('/auth/v1/callback'), 'invalid_redirect_uri');
    check(asked.response_type === 'code' && asked.state, 'invalid_request');
    check(asked.nonce && asked.code_challenge && asked.code_challenge_method === 'S256', 'invalid_request');
    check(asked.scope.split(' ').includes('openid'), 'invalid_scope');
    back.searchParams.set('state', asked.state);
    const person = this.people.get(asked.login_hint);
    if (person) {
      const code = randomBytes(16).toString('base64url');
      this.codes.set(code, { ...asked, person });
      back.searchParams.set('code', code);
    } else {
      back.searchParams.set('error', 'access_denied');
      back.searchParams.set('error_description', 'The user said no');
    }
    return back.href;
  }

  token(authorization, form) {
    const [scheme, credentials = ''] = (authorization ?? '').split(' ');
    const [id, password] = Buffer.from(credentials, 'base64').toString().split(':')
      .map((text) => new URLSearchParams(`x=${text}`).get('x')); // both are encoded as in a form (RFC 6749 §2.3.1)
    check(scheme === 'Basic' && password === secret, 'invalid_client');
    check(form.get('grant_type') === 'authorization_code', 'unsupported_grant_type');
    const asked = this.codes.get(form.get('code'));
    this.codes.delete(form.get('code'));
    check(asked?.client_id === id && asked.redirect_uri === form.get('redirect_uri'), 'invalid_grant');
    check(digest(form.get('code_verifier') ?? '').toString('base64url') === asked.code_challenge, 'invalid_grant');
    const access_token = randomBytes(16).toString('base64url');
    this.tokens.set(access_token, asked.person);
    const at_hash = digest(access_token).subarray(0, 16).toString('base64url');
    const id_token = this.signed({ ...asked.person, aud: id, nonce: asked.nonce, at_hash });
    return { access_token, refresh_token: randomBytes(16).toString('base64url'), id_token, token_type: 'Bearer', expires_in: 300, scope: asked.scope };
  }

  signed(claims) {
    return signed({ ...usual(this.issuer), ...claims }, this.key);
  }

  answer(request, url, body) {
    const { authorization } = request.headers;
    switch (`${request.method} ${url.pathname.replace(/^\/people\/.+/, '/people')}`) {
      case 'GET /.well-known/openid-configuration': return this.document;
      case 'GET /jwks': return this.jwks;
      case 'GET /authorize': return new URL(this.authorize(url.searchParams));
      case 'POST /token': return this.token(authorization, new URLSearchParams(body));
      case 'GET /userinfo': {
        const person = this.tokens.get(authorization?.replace(/^Bearer /, ''));
        check(person, 'invalid_token');
        return person;
      }
      case 'PUT /people': {
        const sub = decodeURIComponent(url.pathname.split('/').at(-1));
        this.people.set(sub, { ...JSON.parse(body), sub });
        return {};
      }
      case 'POST /tokens': return { id_token: this.signed(JSON.parse(body)) };
      default: return null;
    }
  }
}

async function serve(provider, request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const found = provider.answer(request, new URL(request.url, provider.issuer), Buffer.concat(chunks).toString());
  if (found instanceof URL) return response.writeHead(302, { location: found.href }).end();
  return response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(found));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let provider;
  const server = createServer((request, response) => {
    serve(provider, request, response).catch((error) => {
      const known = error instanceof Refused;
      if (!known) console.error(error);
      response.writeHead(known ? 400 : 500, { 'content-type': 'application/json' })
        .end(JSON.stringify({ error: known ? error.message : 'server_error' }));
    });
  });
  server.listen(0, '127.0.0.1', () => {
    provider = new Provider(`http://127.0.0.1:${server.address().port}`);
    process.send(provider.issuer);
  });
}
