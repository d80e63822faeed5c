//! Tokens that somebody else made, or that were made for something else.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::StatusCode;
use plinth_auth::Parts;
use plinth_auth::token::{Algorithm, KeyState, SigningKey, SigningKeys, generate};
use plinth_testkit::token::{seconds, sign, sign_with_header};
use serde_json::{Value, json};

use crate::support::{Ask, Setup, Site, with_setup, with_site};

/// The claims of the token of somebody who is signed in, with some of them changed.
fn claims_with(site: &crate::support::SignedIn, changes: Value) -> Value {
    let mut claims = site.claims();
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

#[track_caller]
fn is_bad(answer: &crate::support::Answer, what: &str) {
    let found = (answer.status, answer.error());
    assert_eq!(found, (StatusCode::FORBIDDEN, "bad_jwt".to_owned()), "{what}");
    assert!(
        answer.message().starts_with("invalid JWT: unable to parse or verify signature"),
        "{what}"
    );
}

#[test]
fn a_token_does_not_choose_how_it_is_verified() {
    let key = |algorithm, state| SigningKey { jwk: generate(algorithm).unwrap(), state };
    let keys = [
        key(Algorithm::Es256, KeyState::InUse),
        key(Algorithm::Es256, KeyState::Standby),
        key(Algorithm::Es256, KeyState::Revoked),
    ];
    let published = Mutex::new(String::new());
    let adjust = |parts: &mut Parts| {
        let all = SigningKeys::with_keys(&parts.secret, &keys).unwrap();
        *published.lock().unwrap() = all.public_jwks().to_owned();
        parts.keys = Arc::new(all);
    };
    with_setup(Setup { adjust: &adjust, ..Setup::default() }, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        assert_eq!(site.get("/user", &ada.token).await.status, StatusCode::OK);
        let claims = ada.claims();
        let jwks: Value = serde_json::from_str(&published.lock().unwrap()).unwrap();
        let kids: Vec<String> = keys.iter().map(|key| key.jwk.kid().unwrap().to_owned()).collect();
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2, "a revoked key is not published");

        // A public key is public, so it is no secret to sign with.
        for public in [
            jwks["keys"][0].to_string(),
            jwks["keys"][0]["x"].as_str().unwrap().to_owned(),
            String::new(),
        ] {
            for header in [
                json!({"alg": "HS256", "typ": "JWT", "kid": kids[0]}),
                json!({"alg": "HS256", "typ": "JWT"}),
                json!({"alg": "ES256", "typ": "JWT", "kid": kids[0]}),
                json!({"alg": "HS256", "typ": "JWT", "jwk": jwks["keys"][0]}),
            ] {
                let forged = sign_with_header(&public, &header, &claims);
                is_bad(&site.get("/user", &forged).await, &header.to_string());
            }
        }
        // The secret signs for no key pair, and the right signature belongs to its key alone.
        for kid in &kids {
            let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
            is_bad(
                &site.get("/user", &sign_with_header(&site.secret(), &header, &claims)).await,
                kid,
            );
            let swapped = ada.token.split_once('.').unwrap().1;
            let header = base64_json(&json!({"alg": "ES256", "typ": "JWT", "kid": kid}));
            let right = *kid == kids[0];
            let answer = site.get("/user", &format!("{header}.{swapped}")).await;
            // Even the same words in another order are another header, and the signature is over it.
            assert!(answer.status == StatusCode::FORBIDDEN || right, "{kid}: {}", answer.body);
        }
        // Old tokens of the secret stay good beside key pairs.
        let legacy = sign(&site.secret(), &claims);
        assert_eq!(site.get("/user", &legacy).await.status, StatusCode::OK);
    });
}

fn base64_json(value: &Value) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
}

#[test]
fn forged_old_and_foreign_tokens_are_refused() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let secret = site.secret();
        let claims = ada.claims();
        let none = |alg: &str| {
            let header = base64_json(&json!({"alg": alg, "typ": "JWT"}));
            format!("{header}.{}.", base64_json(&claims))
        };
        let now = seconds(Duration::ZERO);
        let (head, _) = ada.token.rsplit_once('.').unwrap();
        for (what, token) in [
            ("none", none("none")),
            ("None", none("None")),
            ("NONE", none("NONE")),
            ("HS256 without a signature", none("HS256")),
            (
                "another project's secret",
                sign("another-secret-of-at-least-thirty-two-bytes", &claims),
            ),
            ("no secret", sign("", &claims)),
            ("another algorithm", sign_with_header(&secret, &json!({"alg": "HS512"}), &claims)),
            (
                "critical",
                sign_with_header(
                    &secret,
                    &json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
                    &claims,
                ),
            ),
            ("expired just now", sign(&secret, &claims_with(&ada, json!({"exp": now - 1})))),
            ("expires now", sign(&secret, &claims_with(&ada, json!({"exp": now})))),
            ("not yet", sign(&secret, &claims_with(&ada, json!({"nbf": now + 60})))),
            ("cut", ada.token[..ada.token.len() - 2].to_owned()),
            (
                "other claims",
                format!(
                    "{}.{}.{}",
                    ada.token.split('.').next().unwrap(),
                    base64_json(&claims_with(&ada, json!({"role": "service_role"}))),
                    ada.token.rsplit('.').next().unwrap()
                ),
            ),
            ("no signature", format!("{head}.")),
            ("two parts", head.to_owned()),
            ("five parts", format!("{}.a.b", ada.token)),
            ("long", "a".repeat(100_000)),
        ] {
            is_bad(&site.get("/user", &token).await, what);
            let body = json!({"email": "x@example.com"});
            is_bad(&site.send("POST", "/admin/users", Some(&token), body).await, what);
        }
        let far = sign(&secret, &claims_with(&ada, json!({"exp": now + 60, "iat": now + 30})));
        assert_eq!(site.get("/user", &far).await.status, StatusCode::OK, "a clock that is ahead");
    });
}

#[test]
fn a_token_is_good_for_its_own_user_and_session_only() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let bob = site.sign_up("bob@example.com").await;
        let secret = site.secret();
        let session = ada.claims()["session_id"].clone();
        let substituted = sign(&secret, &claims_with(&bob, json!({"session_id": session})));
        let answer = site.get("/user", &substituted).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (403, "session_not_found"));

        for (sub, status, code) in [
            (json!(""), 403, "bad_jwt"),
            (json!("1234567890"), 400, "bad_jwt"),
            (json!("6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f"), 403, "user_not_found"),
        ] {
            let token = sign(&secret, &claims_with(&ada, json!({"sub": sub})));
            let answer = site.get("/user", &token).await;
            assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, code), "{sub}");
        }
        // What a user writes about himself is no role.
        let data = json!({"data": {"role": "service_role"}});
        site.send("PUT", "/user", Some(&ada.token), data).await;
        let answer = site.get("/admin/users", site.refresh(&ada.refresh).await.token()).await;
        assert_eq!(answer.error(), "not_admin");
        // An access token is no refresh token, and the other way round.
        assert_eq!(site.refresh(&bob.token).await.error(), "refresh_token_not_found");
        is_bad(&site.get("/user", &bob.refresh).await, "a refresh token");
    });
}

#[test]
fn a_client_that_wants_another_audience_is_not_shown_the_user() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        for (aud, status) in [("staff", 400), ("authenticated", 200), ("", 200)] {
            let headers = [("x-jwt-aud", aud)];
            let ask = Ask {
                target: "/user",
                token: Some(&ada.token),
                headers: &headers,
                ..Ask::default()
            };
            assert_eq!(site.ask(ask).await.status.as_u16(), status, "{aud}");
        }
    });
}
