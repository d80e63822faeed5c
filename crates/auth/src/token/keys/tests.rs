use super::super::jwk::generate;
use super::*;
use proptest::prelude::*;
use serde_json::Value;

const SECRET: &str = "super-secret-jwt-token-with-at-least-32-characters-long";
const ASYMMETRIC: [Algorithm; 3] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa];

fn secret() -> Secret {
    Secret::new(SECRET)
}

fn key(algorithm: Algorithm, state: KeyState) -> SigningKey {
    SigningKey { jwk: generate(algorithm).unwrap(), state }
}

fn keys(list: &[SigningKey]) -> SigningKeys {
    SigningKeys::with_keys(&secret(), list).unwrap()
}

fn claims() -> Claims {
    Claims { sub: "ann".to_owned(), exp: Some(2_000), ..Claims::default() }
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A token with any header, signed by HMAC with any secret.
fn forge(header: &Value, payload: &Value, secret: &[u8]) -> String {
    let signed = format!("{}.{}", part(header), part(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn header_of(token: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_token_of_the_secret_is_accepted_again() {
    let keys = SigningKeys::new(&secret()).unwrap();
    let token = keys.sign(&claims()).unwrap();
    assert_eq!(header_of(&token), json!({"alg": "HS256", "typ": "JWT"}));
    assert_eq!(keys.verify(&token, 1_000, 0), Ok(claims()));
}

#[test]
fn a_token_of_each_kind_of_key_is_accepted_again() {
    for algorithm in ASYMMETRIC {
        let signing = key(algorithm, KeyState::InUse);
        let keys = keys(std::slice::from_ref(&signing));
        let token = keys.sign(&claims()).unwrap();
        let header = json!({"alg": algorithm.name(), "typ": "JWT", "kid": signing.jwk.kid()});
        assert_eq!(header_of(&token), header);
        assert_eq!(keys.verify(&token, 1_000, 0), Ok(claims()), "{algorithm:?}");
    }
}

/// The example of RFC 7515 appendix A.1, whose header has a line break and whose key is 64 bytes long.
#[test]
fn the_example_of_the_rfc_is_genuine() {
    let jwk = r#"[{"kty":"oct","kid":"rfc","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]"#;
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
        eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
        dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let list = Jwk::parse_list(jwk).unwrap();
    let verifier = Verifier::new(&list[0]).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert!(verifier.accepts(signed.as_bytes(), &signature));
}

/// RFC 7515 appendix A.3 (ES256) and RFC 8037 appendix A.4 (Ed25519): key, signed text, signature.
#[test]
fn the_examples_with_public_keys_are_genuine() {
    let es256 = (
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
        "eyJhbGciOiJFUzI1NiJ9.\
         eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    );
    let ed25519 = (
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    for (jwk, signed, signature) in [es256, ed25519] {
        let verifier = Verifier::new(&Jwk::parse(jwk).unwrap()).unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(verifier.accepts(signed.as_bytes(), &signature));
        assert!(!verifier.accepts(b"something else", &signature));
    }
}

#[test]
fn tokens_of_the_secret_outlive_the_change_to_a_key() {
    let before = SigningKeys::new(&secret()).unwrap();
    let token = before.sign(&claims()).unwrap();
    let after = keys(&[key(Algorithm::Es256, KeyState::InUse)]);
    assert_eq!(after.algorithm(), Algorithm::Es256);
    assert_eq!(after.verify(&token, 1_000, 0), Ok(claims()));
}

#[test]
fn a_kid_that_nobody_knows_leaves_the_secret() {
    let keys = keys(&[key(Algorithm::Es256, KeyState::InUse)]);
    let payload = json!({"sub": "ann"});
    let hs256 = json!({"alg": "HS256", "kid": "other"});
    assert!(keys.verify(&forge(&hs256, &payload, SECRET.as_bytes()), 0, 0).is_ok());
    let es256 = json!({"alg": "ES256", "kid": "other"});
    let forged = forge(&es256, &payload, SECRET.as_bytes());
    assert_eq!(keys.verify(&forged, 0, 0), Err(TokenError::UnknownKey));
}

#[test]
fn rotation_goes_through_all_states() {
    let mut first = key(Algorithm::Es256, KeyState::InUse);
    let mut second = key(Algorithm::EdDsa, KeyState::Standby);
    let before = keys(&[first.clone(), second.clone()]);
    let old = before.sign(&claims()).unwrap();
    (first.state, second.state) = (KeyState::PreviouslyUsed, KeyState::InUse);
    let after = keys(&[first.clone(), second.clone()]);
    let new = after.sign(&claims()).unwrap();
    assert!(after.verify(&old, 1_000, 0).is_ok());
    assert!(before.verify(&new, 1_000, 0).is_ok(), "a standby key verifies already");
    first.state = KeyState::Revoked;
    let last = keys(&[first.clone(), second]);
    assert_eq!(last.verify(&old, 1_000, 0), Err(TokenError::UnknownKey));
    assert!(!last.public_jwks().contains(first.jwk.kid().unwrap()));
}

#[test]
fn the_public_set_lists_neither_secrets_nor_private_members() {
    assert_eq!(SigningKeys::new(&secret()).unwrap().public_jwks(), r#"{"keys":[]}"#);
    let all = [
        key(Algorithm::Hs256, KeyState::Standby),
        key(Algorithm::Rs256, KeyState::PreviouslyUsed),
        key(Algorithm::Es256, KeyState::InUse),
        key(Algorithm::EdDsa, KeyState::Revoked),
    ];
    let set: Value = serde_json::from_str(keys(&all).public_jwks()).unwrap();
    let listed: Vec<&str> =
        set["keys"].as_array().unwrap().iter().map(|key| key["alg"].as_str().unwrap()).collect();
    assert_eq!(listed, ["RS256", "ES256"]);
    for member in ["d", "p", "q", "dp", "dq", "qi", "k"] {
        assert!(set["keys"].as_array().unwrap().iter().all(|key| key.get(member).is_none()));
    }
}

/// The classic: the public key, which everybody has, as the secret of an HMAC.
#[test]
fn a_public_key_is_no_secret() {
    for algorithm in ASYMMETRIC {
        let signing = key(algorithm, KeyState::InUse);
        let keys = keys(std::slice::from_ref(&signing));
        let public = serde_json::to_string(&signing.jwk.public().unwrap()).unwrap();
        let mut guesses = vec![public.into_bytes(), keys.public_jwks().as_bytes().to_vec()];
        guesses.extend(["x", "n"].iter().filter_map(|name| signing.jwk.member(name).ok()));
        for guess in guesses {
            let named = json!({"alg": "HS256", "kid": signing.jwk.kid()});
            let forged = forge(&named, &json!({"role": "service_role"}), &guess);
            assert_eq!(keys.verify(&forged, 0, 0), Err(TokenError::WrongAlgorithm));
            let unnamed = json!({"alg": "HS256"});
            let forged = forge(&unnamed, &json!({"role": "service_role"}), &guess);
            assert_eq!(keys.verify(&forged, 0, 0), Err(TokenError::Signature));
        }
    }
}

#[test]
fn no_header_talks_its_way_past_the_signature() {
    let signing = key(Algorithm::Es256, KeyState::InUse);
    let kid = signing.jwk.kid().unwrap().to_owned();
    let keys = keys(&[signing]);
    let payload = json!({"role": "service_role"});
    let forged = |header: Value| forge(&header, &payload, SECRET.as_bytes());
    for (header, refusal) in [
        (json!({"alg": "none"}), TokenError::UnknownKey),
        (json!({"alg": "None", "kid": kid}), TokenError::WrongAlgorithm),
        (json!({"alg": "none", "kid": kid}), TokenError::WrongAlgorithm),
        (json!({"alg": "hs256"}), TokenError::UnknownKey),
        (json!({"alg": "HS512"}), TokenError::UnknownKey),
        (json!({"alg": "ES256"}), TokenError::UnknownKey),
        (json!({"alg": "ES256", "kid": kid}), TokenError::Signature),
        (json!({"alg": "HS256", "crit": ["exp"]}), TokenError::Critical),
        (json!({"alg": "HS256", "crit": null}), TokenError::Critical),
        (json!({"alg": 5}), TokenError::Malformed),
        (json!({"alg": "HS256", "kid": 5}), TokenError::Malformed),
        (json!({}), TokenError::Malformed),
        (json!([]), TokenError::Malformed),
    ] {
        assert_eq!(keys.verify(&forged(header.clone()), 0, 0), Err(refusal), "{header}");
    }
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&payload));
    assert_eq!(keys.verify(&unsigned, 0, 0), Err(TokenError::UnknownKey));
    let unsigned = format!("{}.{}.", part(&json!({"alg": "HS256"})), part(&payload));
    assert_eq!(keys.verify(&unsigned, 0, 0), Err(TokenError::Signature));
}

#[test]
fn a_key_that_comes_with_the_token_is_ignored() {
    let keys = SigningKeys::new(&secret()).unwrap();
    let own = [7; 64];
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(own)});
    let header = json!({"alg": "HS256", "jwk": jwk, "jku": "http://evil.example/jwks.json"});
    let forged = forge(&header, &json!({"role": "service_role"}), &own);
    assert_eq!(keys.verify(&forged, 0, 0), Err(TokenError::Signature));
}

#[test]
fn a_token_ends_at_its_second() {
    let keys = SigningKeys::new(&secret()).unwrap();
    let token = keys.sign(&claims()).unwrap();
    assert!(keys.verify(&token, 1_999, 0).is_ok());
    assert_eq!(keys.verify(&token, 2_000, 0), Err(TokenError::Expired));
    assert!(keys.verify(&token, 2_029, 30).is_ok());
    assert_eq!(keys.verify(&token, 2_030, 30), Err(TokenError::Expired));
    assert_eq!(keys.verify(&token, 2_030, u32::MAX), Err(TokenError::Expired), "leeway is cut");
    let endless = keys.sign(&json!({"exp": i64::MAX})).unwrap();
    assert!(keys.verify(&endless, i64::MAX - 1, 30).is_ok());
}

#[test]
fn a_token_begins_at_its_second() {
    let keys = SigningKeys::new(&secret()).unwrap();
    let token = keys.sign(&json!({"nbf": 100})).unwrap();
    assert_eq!(keys.verify(&token, 99, 0), Err(TokenError::NotYetValid));
    assert!(keys.verify(&token, 100, 0).is_ok());
    assert!(keys.verify(&token, 70, 30).is_ok());
}

#[test]
fn another_projects_token_is_refused() {
    let ours = SigningKeys::new(&secret()).unwrap();
    let theirs =
        SigningKeys::new(&Secret::new("another-secret-that-also-has-32-characters")).unwrap();
    let token = theirs.sign(&claims()).unwrap();
    assert_eq!(ours.verify(&token, 1_000, 0), Err(TokenError::Signature));
}

#[test]
fn keys_that_cannot_work_are_refused() {
    let refusal = |list: &[SigningKey]| SigningKeys::with_keys(&secret(), list).unwrap_err();
    let one = key(Algorithm::Es256, KeyState::InUse);
    assert_eq!(refusal(&[one.clone(), one.clone()]), KeyError::DuplicateKid);
    let other = key(Algorithm::Es256, KeyState::InUse);
    assert_eq!(refusal(&[one.clone(), other.clone()]), KeyError::SeveralInUse);
    let public = SigningKey { jwk: one.jwk.public().unwrap(), state: KeyState::InUse };
    assert_eq!(refusal(&[public]), KeyError::NotPrivate);
    assert_eq!(SigningKeys::new(&Secret::new("short")).unwrap_err(), KeyError::ShortSecret);
    // The private half of one key with the public half of another.
    let mut mixed: Value = serde_json::from_str(one.jwk.to_json().expose()).unwrap();
    let theirs: Value = serde_json::from_str(other.jwk.to_json().expose()).unwrap();
    (mixed["x"], mixed["y"]) = (theirs["x"].clone(), theirs["y"].clone());
    let jwk = Jwk::parse(&mixed.to_string()).unwrap();
    assert_eq!(refusal(&[SigningKey { jwk, state: KeyState::InUse }]), KeyError::Inconsistent);
}

#[test]
fn configured_keys_sign_with_the_first_that_may() {
    let rsa = generate(Algorithm::Rs256).unwrap();
    let ec = generate(Algorithm::Es256).unwrap();
    let text = json!([rsa.public().unwrap(), ec]).to_string();
    let ready = |text: &str| {
        SigningKeys::with_keys(&secret(), &SigningKey::configured(text).unwrap()).unwrap()
    };
    let keys = ready(&text);
    assert_eq!(keys.algorithm(), Algorithm::Es256);
    let token = ready(&json!([rsa]).to_string()).sign(&json!({"exp": 2_000})).unwrap();
    assert!(keys.verify(&token, 0, 0).is_ok());
    let oct = generate(Algorithm::Hs256).unwrap();
    for (text, error) in [
        (json!([ec, oct]), KeyError::Unsupported),
        (json!([rsa.public().unwrap()]), KeyError::NotPrivate),
        (json!([]), KeyError::NotPrivate),
        (json!("key"), KeyError::Malformed),
    ] {
        assert_eq!(SigningKey::configured(&text.to_string()).unwrap_err(), error);
    }
}

proptest! {
    /// Whatever is changed about a token, it is refused: base64url without slack bits has one spelling.
    #[test]
    fn a_changed_token_is_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_.=+/ -]") {
        let keys = SigningKeys::new(&secret()).unwrap();
        let token = keys.sign(&claims()).unwrap();
        let at = at.index(token.len());
        let mut changed = token.clone();
        changed.replace_range(at..=at, &with);
        prop_assume!(changed != token);
        prop_assert!(keys.verify(&changed, 1_000, 0).is_err());
    }

    #[test]
    fn any_text_is_answered(text in "\\PC*") {
        let keys = SigningKeys::new(&secret()).unwrap();
        prop_assert!(keys.verify(&text, 0, 0).is_err());
    }

    #[test]
    fn cut_tokens_are_refused(end in 0usize..200) {
        let keys = SigningKeys::new(&secret()).unwrap();
        let token = keys.sign(&claims()).unwrap();
        prop_assume!(end < token.len());
        prop_assert!(keys.verify(&token[..end], 1_000, 0).is_err());
    }
}
