use super::*;
use serde_json::json;

const SECRET: &[u8] = b"a-secret-that-is-at-least-32-bytes-long";
const NOW: i64 = 1_700_000_000;

fn secret() -> Option<KeySet> {
    Some(KeySet::secret(SECRET))
}

fn verifier() -> Verifier {
    Verifier::new(secret(), None, MissingRole::Refuse)
}

fn verify(claims: Value) -> Result<Verified, String> {
    verify_with(&verifier(), claims)
}

fn verify_with(verifier: &Verifier, claims: Value) -> Result<Verified, String> {
    let token = sign(&claims, SECRET).unwrap();
    verifier.verify(&token, NOW).map_err(|error| format!("{} {}", error.code, error.message))
}

fn refusal(token: &str) -> String {
    let error = verifier().verify(token, NOW).unwrap_err();
    assert_eq!(error.status, http::StatusCode::UNAUTHORIZED);
    format!("{} {}", error.code, error.message)
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[test]
fn a_genuine_token_gives_its_role_and_its_claims_unchanged() {
    let claims = json!({"role": "authenticated", "sub": "x", "exp": NOW + 60, "n": 1.50});
    let verified = verify(claims.clone()).unwrap();
    assert_eq!(&*verified.role, "authenticated");
    assert!(!format!("{verified:?}").contains("sub"), "claims are not printed");
    assert_eq!(serde_json::from_slice::<Value>(&verified.claims).unwrap(), claims);
    assert_eq!(verified.valid_until, NOW + 60 + 30);
}

#[test]
fn times_are_checked_with_thirty_seconds_of_skew() {
    for (claims, answer) in [
        (json!({"role": "a", "exp": NOW - 30}), None),
        (json!({"role": "a", "exp": NOW - 31}), Some("PGRST303 JWT expired")),
        (json!({"role": "a", "nbf": NOW + 30}), None),
        (json!({"role": "a", "nbf": NOW + 31}), Some("PGRST303 JWT not yet valid")),
        (json!({"role": "a", "iat": NOW + 31}), Some("PGRST303 JWT issued at future")),
        (
            json!({"role": "a", "exp": "soon"}),
            Some("PGRST303 The JWT 'exp' claim must be a number"),
        ),
        (json!({"role": "a", "exp": null, "nbf": null}), None),
        (json!({"role": "a", "exp": 1e300}), None),
        (json!({"role": "a", "exp": -1e300}), Some("PGRST303 JWT expired")),
    ] {
        let got = verify(claims.clone()).err();
        assert_eq!(got.as_deref(), answer, "{claims}");
    }
}

#[test]
fn an_audience_must_match_when_one_is_configured() {
    let strict = Verifier::new(secret(), Some("me".to_owned()), MissingRole::Refuse);
    for (aud, accepted) in [
        (json!("me"), true),
        (json!("you"), false),
        (json!(["you", "me"]), true),
        (json!(["you"]), false),
        (json!([]), true),
        (json!(null), true),
        (json!(7), false),
        (json!([7]), false),
    ] {
        let got = verify_with(&strict, json!({"role": "a", "aud": aud}));
        assert_eq!(got.is_ok(), accepted, "{aud}: {got:?}");
    }
    assert!(verify(json!({"role": "a", "aud": "anyone"})).is_ok());
}

#[test]
fn a_missing_role_is_refused_or_assumed() {
    assert_eq!(verify(json!({"sub": "x"})).unwrap_err(), "PGRST303 The JWT has no 'role' claim");
    assert!(verify(json!({"role": 7})).is_err());
    let assume = |role| Verifier::new(secret(), None, MissingRole::Assume(role));
    let claims = json!({"sub": "x"});
    let verified = verify_with(&assume(Some(Arc::from("web_anon"))), claims.clone()).unwrap();
    assert_eq!(&*verified.role, "web_anon");
    let seen: Value = serde_json::from_slice(&verified.claims).unwrap();
    assert_eq!(seen, json!({"sub": "x", "role": "web_anon"}), "SQL sees the role that counts");
    assert_eq!(
        verify_with(&assume(None), claims).unwrap_err(),
        "PGRST302 Anonymous access is disabled"
    );
}

#[test]
fn the_role_may_stand_elsewhere() {
    let path = RolePath::parse("$.app.role").unwrap();
    let deep = Verifier::new(secret(), None, MissingRole::Assume(None)).with_role_path(path);
    let verified = verify_with(&deep, json!({"role": "no", "app": {"role": "yes"}})).unwrap();
    assert_eq!(&*verified.role, "yes");
    assert_eq!(serde_json::from_slice::<Value>(&verified.claims).unwrap()["role"], "yes");
    assert!(verify_with(&deep, json!({"role": "no"})).is_err());
}

#[test]
fn other_algorithms_are_refused_whatever_they_are_signed_with() {
    let claims = encode(&json!({"role": "service_role"}).to_string());
    let none = format!("{}.{claims}.", encode(r#"{"alg":"none"}"#));
    assert_eq!(refusal(&none), "PGRST301 Wrong or unsupported encoding algorithm");

    let key = EncodingKey::from_secret(SECRET);
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let header = jsonwebtoken::Header::new(algorithm);
        let token = jsonwebtoken::encode(&header, &json!({"role": "a"}), &key).unwrap();
        assert_eq!(refusal(&token), "PGRST301 No suitable key or wrong key type");
    }
    // A genuine HS256 signature under a header that claims another algorithm.
    for (alg, wanted) in [
        ("RS256", "PGRST301 No suitable key or wrong key type"),
        ("ES256", "PGRST301 No suitable key or wrong key type"),
        ("hs256", "PGRST301 JWT cryptographic operation failed"),
        ("HS256 ", "PGRST301 JWT cryptographic operation failed"),
        ("", "PGRST301 JWT cryptographic operation failed"),
    ] {
        let signed = format!("{}.{claims}", encode(&json!({"alg": alg}).to_string()));
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
        let answer = refusal(&format!("{signed}.{signature}"));
        assert_eq!(answer, wanted, "{alg}");
    }
}

#[test]
fn unknown_critical_extensions_are_refused() {
    let signed =
        format!("{}.{}", encode(r#"{"alg":"HS256","crit":["b64"]}"#), encode(r#"{"role":"a"}"#));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(refusal(&format!("{signed}.{signature}")), "PGRST301 Unsupported token type");
}

#[test]
fn a_tampered_token_is_refused_wherever_it_was_touched() {
    let token = sign(&json!({"role": "anon"}), SECRET).unwrap();
    let forged = {
        let parts: Vec<&str> = token.split('.').collect();
        format!("{}.{}.{}", parts[0], encode(r#"{"role":"service_role"}"#), parts[2])
    };
    assert_eq!(refusal(&forged), "PGRST301 No suitable key or wrong key type");
    for position in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert!(verifier().verify(&changed, NOW).is_err(), "position {position}");
    }
    let other = sign(&json!({"role": "anon"}), b"another-secret-that-is-32-bytes-long!").unwrap();
    assert_eq!(refusal(&other), "PGRST301 No suitable key or wrong key type");
}

#[test]
fn rubbish_is_refused_without_a_panic() {
    for (token, answer) in [
        ("", "PGRST301 Empty JWT is sent in Authorization header"),
        ("a", "PGRST301 Expected 3 parts in JWT; got 1"),
        ("a.b", "PGRST301 Expected 3 parts in JWT; got 2"),
        ("a.b.c.d", "PGRST301 Expected 3 parts in JWT; got 4"),
        ("..", "PGRST301 JWT cryptographic operation failed"),
        ("é.ü.ß", "PGRST301 JWT cryptographic operation failed"),
        ("W10.e30.e30", "PGRST301 JWT cryptographic operation failed"),
    ] {
        assert_eq!(refusal(token), answer, "{token}");
    }
    // Whatever the header promises, the other parts must be base64 too.
    let header = encode(r#"{"alg":"HS256"}"#);
    for rest in ["e3=.e30", "e30.e3 ", "e30.e30=", "e.e30", "ß.e30"] {
        let answer = refusal(&format!("{header}.{rest}"));
        assert_eq!(answer, "PGRST301 JWT cryptographic operation failed", "{rest}");
    }
    assert_eq!(refusal(&format!("{header}.e30.")), "PGRST301 No suitable key or wrong key type");
    let array = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode("[1]"));
    let key = EncodingKey::from_secret(SECRET);
    let signature = jsonwebtoken::crypto::sign(array.as_bytes(), &key, Algorithm::HS256).unwrap();
    assert_eq!(refusal(&format!("{array}.{signature}")), "PGRST303 Parsing claims failed");
}

#[test]
fn without_a_secret_no_token_is_accepted() {
    let open = Verifier::new(None, None, MissingRole::Refuse);
    let token = sign(&json!({"role": "a"}), b"").unwrap();
    assert_eq!(open.verify(&token, NOW).unwrap_err().code, "PGRST300");
}
