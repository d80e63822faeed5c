use http::HeaderValue;

use super::*;

const NOW: i64 = 1_700_000_000;
const STRIPE: &str = r#"{"id":"evt_1","type":"invoice.paid"}"#;
const STRIPE_SIGNATURE: &str = "46dc069361a7691082640523fa33fe5d6c8c88d5f5e257cdf8cf11539d166595";

fn rule(scheme: Scheme, header: &str, prefix: &str) -> Verify {
    Verify {
        scheme,
        secrets: Vec::new(),
        header: Some(header.to_owned()),
        prefix: prefix.to_owned(),
        encoding: Encoding::Hex,
        tolerance_ms: Some(300_000),
    }
}

struct Sent {
    rule: Verify,
    secrets: Vec<Secret>,
    headers: HeaderMap,
    body: Vec<u8>,
    now: i64,
}

impl Sent {
    fn new(rule: Verify, secret: &str, header: (&'static str, &str), body: &str) -> Self {
        let secrets = vec![Secret::new("another"), Secret::new(secret)];
        let sent = Self { rule, secrets, headers: HeaderMap::new(), body: body.into(), now: NOW };
        sent.with(header.0, header.1)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
        self
    }

    fn verify(&self) -> Result<(), Doubt> {
        let (headers, body, now) = (&self.headers, self.body.as_slice(), self.now);
        verify(&self.rule, &self.secrets, Proof { headers, body, token: None, now })
    }

    /// That it is believed, and no longer when anything of it is different.
    #[track_caller]
    fn proves(mut self) -> Self {
        assert_eq!(self.verify(), Ok(()));
        self.body.push(b' ');
        assert_eq!(self.verify(), Err(Doubt::Wrong), "another body");
        self.body.pop();
        let secret = self.secrets.pop().unwrap();
        assert_eq!(self.verify(), Err(Doubt::Wrong), "another secret");
        self.secrets.push(secret);
        let headers = std::mem::take(&mut self.headers);
        assert_eq!(self.verify(), Err(Doubt::Missing), "no header");
        for (name, value) in &headers {
            self.headers = headers.clone();
            self.headers.append(name, value.clone());
            assert_eq!(self.verify(), Err(Doubt::Malformed), "{name} twice");
        }
        self.headers = headers;
        self
    }

    /// That it is believed at these ages only.
    #[track_caller]
    fn holds_for(mut self, from: i64, to: i64) {
        for (age, expected) in [
            (from, Ok(())),
            (to, Ok(())),
            (from - 1, Err(Doubt::OutOfTime)),
            (to + 1, Err(Doubt::OutOfTime)),
        ] {
            self.now = NOW + age;
            assert_eq!(self.verify(), expected, "{age} seconds old");
        }
    }
}

#[test]
fn stripe_signs_time_and_body() {
    let written = format!("t={NOW},v1={STRIPE_SIGNATURE},v0=00");
    let rule = || rule(Scheme::Stripe, "stripe-signature", "");
    let sent = |written: &str| {
        Sent::new(rule(), "whsec_test_secret", ("stripe-signature", written), STRIPE)
    };
    sent(&written).proves().holds_for(-300, 300);
    sent(&format!("t={NOW}, v1=00, v1={}", STRIPE_SIGNATURE.to_uppercase())).proves();
    assert_eq!(sent(&format!("t={},v1={STRIPE_SIGNATURE}", NOW + 1)).verify(), Err(Doubt::Wrong));
    for wrong in [
        format!("t={NOW},v0={STRIPE_SIGNATURE}"),
        format!("t=,v1={STRIPE_SIGNATURE}"),
        format!("v1={STRIPE_SIGNATURE}"),
        format!("t={NOW}"),
        format!("t={NOW},v1=0"),
        format!("t={},v1={STRIPE_SIGNATURE}", i64::MIN),
        String::new(),
    ] {
        assert_eq!(sent(&wrong).verify(), Err(Doubt::Malformed), "{wrong}");
    }
}

#[test]
fn github_and_plain_hmacs_sign_the_body() {
    // The examples of GitHub's documentation and of RFC 2202 §3, case 2.
    let written = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let secret = "It's a Secret to Everybody";
    let rule_of = |scheme, prefix: &str| rule(scheme, "x-hub-signature-256", prefix);
    let github = rule_of(Scheme::GitHub, "sha256=");
    Sent::new(github.clone(), secret, ("x-hub-signature-256", written), "Hello, World!").proves();
    for wrong in ["sha1=7571", "757107ea", "sha256=zz", "sha256=7", "sha256=é"] {
        let sent =
            Sent::new(github.clone(), secret, ("x-hub-signature-256", wrong), "Hello, World!");
        assert_eq!(sent.verify(), Err(Doubt::Malformed), "{wrong}");
    }
    let sent = Sent::new(github, secret, ("x-hub-signature-256", "sha256=7571"), "Hello, World!");
    assert_eq!(sent.verify(), Err(Doubt::Wrong), "the beginning of it is not enough");

    let body = "what do ya want for nothing?";
    let sha1 = "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79";
    let mut rule = rule(Scheme::HmacSha1, "x-signature", "sha1=");
    Sent::new(rule.clone(), "Jefe", ("x-signature", &format!("sha1={sha1}")), body).proves();
    rule.encoding = Encoding::Base64;
    let sha1 = STANDARD.encode(unhex(sha1).unwrap());
    Sent::new(rule, "Jefe", ("x-signature", &format!("sha1={sha1}")), body).proves();
}

#[test]
fn standard_webhooks_sign_id_time_and_body() {
    // The example of the specification's reference implementations, with its own time.
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let body = r#"{"test": 2432232314}"#;
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    for prefix in ["webhook", "svix"] {
        let name = |part: &str| -> &'static str { Box::leak(format!("{prefix}-{part}").into()) };
        let rule = rule(Scheme::StandardWebhooks, "webhook-signature", "");
        let mut sent =
            Sent::new(rule, key, (name("signature"), &format!("v1a,xx v1,AAAA {signature}")), body)
                .with(name("id"), "msg_p5jXN8AQM9LWM0D4loKWxJek")
                .with(name("timestamp"), "1614265330");
        sent.now = 1_614_265_330;
        let mut sent = sent.proves();
        sent.now += 301;
        assert_eq!(sent.verify(), Err(Doubt::OutOfTime));
        sent.now -= 602;
        assert_eq!(sent.verify(), Err(Doubt::OutOfTime));
        sent.now += 301;
        let other_id = sent.with(name("id"), "msg_other");
        assert_eq!(other_id.verify(), Err(Doubt::Wrong));
        assert_eq!(other_id.with(name("signature"), "v2,xx").verify(), Err(Doubt::Malformed));
    }
}

#[test]
fn a_token_ends_and_may_name_the_body() {
    let body = r#"{"hello":"world"}"#;
    let claims = r#"{"iss":"Upstash","sub":"https://app.example.test/hook","exp":1700000300,"nbf":1700000000,"iat":1700000000,"jti":"jwt_demo","body":"k6I5cakU5erL8KjSUVTNownDwccvu5kU1Hxg88toFYg="}"#;
    let signature = "c5qBIsVuQ2dFwNsHYiQyY1ml8fM6bD_149f2FaXGBy8";
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.{signature}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims));
    let rule = || rule(Scheme::JwtHs256, "upstash-signature", "");
    let header = "upstash-signature";
    let sent = Sent::new(rule(), "sig_demo_current", (header, &token), body);
    // It is made 0 seconds ago, ends after 300, and clocks may differ by 60.
    sent.proves().holds_for(-60, 300);

    let made = |claims: &str, algorithm: &str| {
        let head = format!("{}.{}", part(&format!(r#"{{"alg":"{algorithm}"}}"#)), part(claims));
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        let token = format!("{head}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, head.as_bytes())));
        Sent::new(rule(), "key", (header, &token), body).verify()
    };
    assert_eq!(made(&format!(r#"{{"exp":{}}}"#, NOW + 1), "HS256"), Ok(()));
    assert_eq!(made(r#"{"sub":"nobody"}"#, "HS256"), Err(Doubt::OutOfTime));
    assert_eq!(made(&format!(r#"{{"iat":{}}}"#, NOW - 301), "HS256"), Err(Doubt::OutOfTime));
    for algorithm in ["none", "HS512", "RS256"] {
        assert_eq!(made(&format!(r#"{{"exp":{}}}"#, NOW + 1), algorithm), Err(Doubt::Wrong));
    }
}

#[test]
fn shared_secrets_are_compared_whole() {
    let rule_of = |scheme| rule(scheme, "x-secret", "Key ");
    let header = |written: &str| {
        Sent::new(rule_of(Scheme::SharedHeader), "s3cret", ("x-secret", written), "").verify()
    };
    assert_eq!(header("Key s3cret"), Ok(()));
    assert_eq!(header("Key s3cre"), Err(Doubt::Wrong));
    assert_eq!(header("Key "), Err(Doubt::Wrong));
    assert_eq!(header("s3cret"), Err(Doubt::Malformed));

    let path = |token: Option<&str>| {
        let (headers, secrets) = (HeaderMap::new(), [Secret::new("one"), Secret::new("two")]);
        let proof = Proof { headers: &headers, body: b"", token, now: NOW };
        verify(&rule_of(Scheme::PathToken), &secrets, proof)
    };
    assert_eq!([path(Some("one")), path(Some("two"))], [Ok(()), Ok(())]);
    assert_eq!(path(Some("onetwo")), Err(Doubt::Wrong));
    assert_eq!(path(None), Err(Doubt::Missing));
}

#[test]
fn whoever_has_no_secret_believes_nobody() {
    for scheme in [
        Scheme::HmacSha256,
        Scheme::HmacSha1,
        Scheme::GitHub,
        Scheme::Stripe,
        Scheme::StandardWebhooks,
        Scheme::JwtHs256,
        Scheme::PathToken,
        Scheme::SharedHeader,
    ] {
        let mut headers = HeaderMap::new();
        let sign =
            |text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b""), text.as_bytes());
        let signature = hex(sign("").as_ref());
        headers.insert("x", HeaderValue::from_str(&signature).unwrap());
        let rule = rule(scheme, "x", "");
        let proof = Proof { headers: &headers, body: b"", token: Some(""), now: NOW };
        assert!(verify(&rule, &[], proof).is_err(), "{scheme:?}");
    }
}
