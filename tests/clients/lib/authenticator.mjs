// A WebAuthn authenticator and the browser in front of it, in software, that can be told to misbehave.
//
// It holds one ES256 credential. `create(options)` and `get(options)` stand for navigator.credentials.create() and .get():
// they take PublicKeyCredentialCreationOptionsJSON and …RequestOptionsJSON, or the same with binary values as auth-js hands
// them to browsers, or either inside { publicKey }, and answer RegistrationResponseJSON and AuthenticationResponseJSON. The
// answers have a toJSON() of their own, which is what `supabase.auth.mfa.verify` calls; `supabase.auth.passkey.verify…` takes
// them as they are. plinth-testkit's `authenticator` is the same for the tests in Rust.
//
//   const key = await Authenticator.make({ rpId: 'localhost', origin: 'http://localhost:5173' });
//   const credential = await key.create(options);
//   const stolen = await key.get(options, { origin: 'https://evil.example' });

const { subtle } = globalThis.crypto;
const present = 0x01;
const verified = 0x04;
const backupEligible = 0x08;
const backedUp = 0x10;
const attested = 0x40;

const utf8 = (text) => new TextEncoder().encode(text);
const sha256 = async (bytes) => new Uint8Array(await subtle.digest('SHA-256', bytes));
const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
export const base64url = (bytes) => Buffer.from(bytes).toString('base64url');

/** Text as it is, binary values in base64url. */
const text = (value) => {
  if (typeof value === 'string') return value;
  return base64url(ArrayBuffer.isView(value) ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(value));
};

/** An ECDSA signature of WebCrypto, r and s one after the other, as the DER that WebAuthn wants (§6.5.5). */
const der = (signature) => {
  const integer = (bytes) => {
    const start = bytes.findIndex((byte) => byte !== 0);
    const digits = bytes.subarray(start < 0 ? bytes.length - 1 : start);
    const positive = digits[0] & 0x80 ? [0, ...digits] : [...digits];
    return [0x02, positive.length, ...positive];
  };
  const body = [...integer(signature.subarray(0, 32)), ...integer(signature.subarray(32))];
  return Uint8Array.from([0x30, body.length, ...body]);
};

/** {1: 2, 3: -7, -1: 1, -2: x, -3: y} in CBOR (RFC 9053 §7.1). */
const coseKey = ({ x, y }) => join(
  [0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20], Buffer.from(x, 'base64url'),
  [0x22, 0x58, 0x20], Buffer.from(y, 'base64url'),
);

export class Authenticator {
  #key;
  #publicKey;
  #userHandle;
  #count = 0;

  /**
   * With a fresh key and credential.
   *
   * Quirks, to be set here, on `quirks`, or for one call only:
   * origin, rpId, challenge — instead of the right ones; crossOrigin — the page is a frame of another's;
   * otherCeremony — client data of the other ceremony; userAbsent — nobody touched it; userUnverified — no PIN;
   * frozenCounter — the counter stays, as in a copy; noCounter — it is nought for ever, as with synchronised passkeys;
   * badSignature — one bit is wrong; backup — true or false: eligible, and backed up or not;
   * noUserHandle — the assertion does not name its user; userHandle — it names this one, in base64url.
   */
  static async make({ rpId, origin, ...quirks }) {
    const pair = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
    const made = new Authenticator();
    Object.assign(made, { rpId, origin, quirks, id: base64url(crypto.getRandomValues(new Uint8Array(32))) });
    made.#key = pair.privateKey;
    made.#publicKey = coseKey(await subtle.exportKey('jwk', pair.publicKey));
    return made;
  }

  /** A copy with the same private key, which does not know how often the other signs from now on. */
  clone() {
    const copy = new Authenticator();
    Object.assign(copy, { rpId: this.rpId, origin: this.origin, quirks: { ...this.quirks }, id: this.id });
    copy.#key = this.#key;
    copy.#publicKey = this.#publicKey;
    copy.#userHandle = this.#userHandle;
    copy.#count = this.#count;
    return copy;
  }

  /** navigator.credentials.create(): remembers the user, and answers with a new credential. */
  async create(options, quirks = {}) {
    const { user, challenge } = options.publicKey ?? options;
    const how = { ...this.quirks, ...quirks };
    this.#userHandle = text(user.id);
    // After flags and counter: the model, which it would rather not say, and the credential.
    const data = join(await this.#authenticatorData(attested, how), new Uint8Array(16), [0, 32], Buffer.from(this.id, 'base64url'), this.#publicKey);
    return this.#answer({
      clientDataJSON: base64url(this.#clientData(how.otherCeremony ? 'get' : 'create', challenge, how)),
      // {"fmt": "none", "attStmt": {}, "authData": data}
      attestationObject: base64url(join(
        [0xa3, 0x63], utf8('fmt'), [0x64], utf8('none'), [0x67], utf8('attStmt'), [0xa0], [0x68], utf8('authData'), [0x58, data.length], data,
      )),
      transports: ['usb'],
    });
  }

  /** navigator.credentials.get(): signs the challenge. */
  async get(options, quirks = {}) {
    const { challenge } = options.publicKey ?? options;
    const how = { ...this.quirks, ...quirks };
    if (!how.frozenCounter && !how.noCounter) this.#count += 1;
    const data = await this.#authenticatorData(0, how);
    const clientData = this.#clientData(how.otherCeremony ? 'create' : 'get', challenge, how);
    const signed = join(data, await sha256(clientData));
    const signature = der(new Uint8Array(await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, this.#key, signed)));
    if (how.badSignature) signature[signature.length - 1] ^= 1;
    const userHandle = how.noUserHandle ? undefined : how.userHandle ?? this.#userHandle;
    return this.#answer({
      clientDataJSON: base64url(clientData),
      authenticatorData: base64url(data),
      signature: base64url(signature),
      ...(userHandle === undefined ? {} : { userHandle }),
    });
  }

  #answer(response) {
    const { id } = this;
    const answer = { id, rawId: id, type: 'public-key', authenticatorAttachment: 'cross-platform', clientExtensionResults: {}, response };
    return Object.defineProperty(answer, 'toJSON', { value: () => ({ ...answer }) });
  }

  #clientData(ceremony, challenge, how) {
    return utf8(JSON.stringify({
      type: `webauthn.${ceremony}`,
      challenge: how.challenge ?? text(challenge),
      origin: how.origin ?? this.origin,
      crossOrigin: how.crossOrigin ?? false,
    }));
  }

  /** WebAuthn §6.1, without attested data and extensions. */
  async #authenticatorData(more, how) {
    let flags = more;
    if (!how.userAbsent) flags |= present;
    if (!how.userUnverified) flags |= verified;
    if (how.backup !== undefined) flags |= backupEligible;
    if (how.backup) flags |= backedUp;
    const count = new DataView(new ArrayBuffer(4));
    count.setUint32(0, how.noCounter ? 0 : this.#count);
    return join(await sha256(utf8(how.rpId ?? this.rpId)), [flags], new Uint8Array(count.buffer));
  }
}
