//! Security keys as a factor.

use http::StatusCode;
use plinth_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use super::refused;
use crate::support::{Answer, PASSWORD, SignedIn, Site, with_configured_site};

const ORIGIN: &str = "http://localhost:5173";

const ON: &str = "\
[auth.mfa.web_authn]
enroll_enabled = true
verify_enabled = true
[auth.webauthn]
rp_id = \"localhost\"
rp_origins = [\"http://localhost:5173\"]
";

fn key() -> Authenticator {
    Authenticator::new("localhost", ORIGIN).unwrap()
}

async fn enrol(site: &Site<'_>, token: &str, name: &str) -> String {
    let body = json!({"factor_type": "webauthn", "friendly_name": name});
    let answer = site.send("POST", "/factors", Some(token), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(
        (&answer.body["type"], &answer.body["friendly_name"]),
        (&json!("webauthn"), &json!(name))
    );
    answer.body["id"].as_str().unwrap().to_owned()
}

/// The id of a challenge, what is to be done, and the options for it.
async fn challenge(site: &Site<'_>, token: &str, factor: &str) -> (String, String, Value) {
    let path = format!("/factors/{factor}/challenge");
    let body = json!({"factorId": factor, "webauthn": {"rpId": "localhost"}});
    let answer = site.send("POST", &path, Some(token), body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(answer.body["expires_at"].is_i64());
    let asked = &answer.body["webauthn"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let options = asked["credential_options"]["publicKey"].clone();
    (text(&answer.body["id"]), text(&asked["type"]), options)
}

async fn verify(
    site: &Site<'_>,
    token: &str,
    factor: &str,
    (id, kind): (&str, &str),
    response: Value,
) -> Answer {
    let webauthn = json!({"type": kind, "rpId": "localhost", "credential_response": response});
    let body = json!({"challenge_id": id, "webauthn": webauthn});
    site.send("POST", &format!("/factors/{factor}/verify"), Some(token), body).await
}

/// Makes the factor's credential.
async fn create(site: &Site<'_>, token: &str, factor: &str, key: &mut Authenticator) -> Answer {
    let (id, kind, options) = challenge(site, token, factor).await;
    assert_eq!(kind, "create");
    verify(site, token, factor, (&id, &kind), key.create(&options)).await
}

/// Proves it.
async fn request(site: &Site<'_>, token: &str, factor: &str, key: &mut Authenticator) -> Answer {
    let (id, kind, options) = challenge(site, token, factor).await;
    assert_eq!(kind, "request");
    verify(site, token, factor, (&id, &kind), key.get(&options).unwrap()).await
}

async fn with_key(site: &Site<'_>, key: &mut Authenticator) -> (SignedIn, String) {
    let user = site.sign_up("ada@example.com").await;
    let factor = enrol(site, &user.token, "key").await;
    let answer = create(site, &user.token, &factor, key).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    (answer.signed_in(), factor)
}

#[test]
fn a_key_is_made_and_proved() {
    with_configured_site(ON, async |site: &Site| {
        let mut key = key();
        let (strong, factor) = with_key(site, &mut key).await;
        let claims = strong.claims();
        assert_eq!(
            (&claims["aal"], &claims["amr"][0]["method"]),
            (&json!("aal2"), &json!("mfa/webauthn"))
        );
        let aaguid = site.text("select web_authn_aaguid::text from auth.mfa_factors").await;
        assert_eq!(aaguid, "00000000-0000-0000-0000-000000000000");

        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        let weak = site.post("/token?grant_type=password", body).await.signed_in();
        let answer = request(site, &weak.token, &factor, &mut key).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.claims()["aal"], "aal2");
        let count =
            "select web_authn_credential #>> '{authenticator,signCount}' from auth.mfa_factors";
        assert_eq!(site.text(count).await, "1");
    });
}

#[test]
fn any_answer_uses_the_challenge_up() {
    with_configured_site(ON, async |site: &Site| {
        let mut key = key();
        let (strong, factor) = with_key(site, &mut key).await;
        let (id, kind, options) = challenge(site, &strong.token, &factor).await;
        let good = key.get(&options).unwrap();
        key.quirks.bad_signature = true;
        let bad = key.get(&options).unwrap();
        let answer = verify(site, &strong.token, &factor, (&id, &kind), bad).await;
        refused(&answer, 422, "mfa_verification_failed");
        let answer = verify(site, &strong.token, &factor, (&id, &kind), good).await;
        refused(&answer, 422, "mfa_factor_not_found");
    });
}

#[test]
fn answers_of_other_keys_pages_and_people_are_refused() {
    with_configured_site(ON, async |site: &Site| {
        let mut own = key();
        let (strong, factor) = with_key(site, &mut own).await;
        let token = strong.token.as_str();
        let (_, _, options) = challenge(site, token, &factor).await;
        let mut elsewhere = own.clone();
        elsewhere.quirks.origin = Some("https://evil.example".to_owned());
        let mut stale = own.clone();
        stale.quirks.challenge = Some(options["challenge"].as_str().unwrap().to_owned());
        let mut other = key();
        other.claim(strong.id.as_bytes());
        for mut key in [elsewhere, stale, other] {
            let answer = request(site, token, &factor, &mut key).await;
            refused(&answer, 422, "mfa_verification_failed");
        }
        let (id, kind, _) = challenge(site, token, &factor).await;
        let answer = verify(site, token, &factor, (&id, &kind), json!({"id": "x"})).await;
        refused(&answer, 400, "validation_failed");
    });
}

#[test]
fn a_copy_of_a_key_is_noticed() {
    with_configured_site(ON, async |site: &Site| {
        let mut key = key();
        let (strong, factor) = with_key(site, &mut key).await;
        let mut copy = key.clone();
        let answer = request(site, &strong.token, &factor, &mut key).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let answer = request(site, answer.token(), &factor, &mut copy).await;
        refused(&answer, 422, "mfa_verification_failed");
    });
}

#[test]
fn one_key_is_one_factor() {
    with_configured_site(ON, async |site: &Site| {
        let mut key = key();
        let (strong, _) = with_key(site, &mut key).await;
        let second = enrol(site, &strong.token, "again").await;
        let (id, kind, options) = challenge(site, &strong.token, &second).await;
        assert_eq!(options["excludeCredentials"][0]["id"], json!(key.credential_id()));
        let answer = verify(site, &strong.token, &second, (&id, &kind), key.create(&options)).await;
        refused(&answer, 422, "mfa_verification_failed");
    });
}

#[test]
fn a_factor_takes_what_it_asked_for() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let factor = enrol(site, &user.token, "").await;
        let (id, _, options) = challenge(site, &user.token, &factor).await;
        let made = key().create(&options);
        for kind in ["request", "smoke"] {
            let answer = verify(site, &user.token, &factor, (&id, kind), made.clone()).await;
            refused(&answer, 400, "validation_failed");
        }
        let path = format!("/factors/{factor}/verify");
        for body in [
            json!({"challenge_id": id, "code": "123456"}),
            json!({"challenge_id": id, "webauthn": {"type": "create"}}),
        ] {
            let answer = site.send("POST", &path, Some(&user.token), body).await;
            refused(&answer, 400, "validation_failed");
        }
        let answer = verify(site, &user.token, &factor, (&id, "create"), made).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
}
