//! Passkeys.

use http::StatusCode;
use plinth_testkit::authenticator::Authenticator;
use serde_json::{Value, json};

use crate::mfa::{App, refused};
use crate::support::{Answer, Site, with_configured_site, with_site};

const ORIGIN: &str = "http://localhost:5173";

const ON: &str = "\
[auth.passkey]
enabled = true
[auth.webauthn]
rp_id = \"localhost\"
rp_display_name = \"Acme\"
rp_origins = [\"http://localhost:5173\"]
";

fn device() -> Authenticator {
    Authenticator::new("localhost", ORIGIN).unwrap()
}

async fn options(site: &Site<'_>, what: &str, token: Option<&str>) -> (String, Value) {
    let path = format!("/passkeys/{what}/options");
    let body = json!({"gotrue_meta_security": {}});
    let answer = site.send("POST", &path, token, body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let left = answer.body["expires_at"].as_i64().unwrap() - jiff::Timestamp::now().as_second();
    assert!((290..=301).contains(&left), "{left}");
    (answer.body["challenge_id"].as_str().unwrap().to_owned(), answer.body["options"].clone())
}

async fn answer(
    site: &Site<'_>,
    what: &str,
    token: Option<&str>,
    id: &str,
    credential: Value,
) -> Answer {
    let body = json!({"challenge_id": id, "credential": credential});
    site.send("POST", &format!("/passkeys/{what}/verify"), token, body).await
}

async fn register(site: &Site<'_>, token: &str, device: &mut Authenticator) -> Answer {
    let (id, options) = options(site, "registration", Some(token)).await;
    answer(site, "registration", Some(token), &id, device.create(&options)).await
}

async fn sign_in(site: &Site<'_>, device: &mut Authenticator) -> Answer {
    let (id, options) = options(site, "authentication", None).await;
    answer(site, "authentication", None, &id, device.get(&options).unwrap()).await
}

async fn with_passkey(
    site: &Site<'_>,
    email: &str,
) -> (crate::support::SignedIn, Authenticator, String) {
    let user = site.sign_up(email).await;
    let mut device = device();
    let made = register(site, &user.token, &mut device).await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    (user, device, made.body["id"].as_str().unwrap().to_owned())
}

#[test]
fn a_passkey_is_made_used_named_and_removed() {
    with_configured_site(ON, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let token = user.token.as_str();
        let (abandoned, _) = options(site, "registration", Some(token)).await;
        let (id, options) = options(site, "registration", Some(token)).await;
        assert_ne!(id, abandoned);
        assert_eq!(options["rp"], json!({"id": "localhost", "name": "Acme"}));
        assert_eq!(options["user"]["name"], "ada@example.com");
        assert_eq!(options["authenticatorSelection"]["residentKey"], "required");
        let parameters = options["pubKeyCredParams"].as_array().unwrap();
        assert!(parameters.contains(&json!({"type": "public-key", "alg": -7})));
        let mut device = device();
        let made = answer(site, "registration", Some(token), &id, device.create(&options)).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        assert_eq!(made.body["friendly_name"], "Passkey");
        assert!(made.body["created_at"].is_string());
        let list = site.get("/passkeys", token).await;
        assert_eq!(list.body.as_array().unwrap().len(), 1);
        assert!(list.body[0].get("last_used_at").is_none());

        let session = sign_in(site, &mut device).await;
        assert_eq!(session.status, StatusCode::OK, "{}", session.body);
        assert_eq!(session.body["user"]["id"], json!(user.id));
        let claims = session.claims();
        assert_eq!(
            (&claims["aal"], &claims["amr"][0]["method"]),
            (&json!("aal1"), &json!("passkey"))
        );
        assert_eq!(site.refresh(&session.signed_in().refresh).await.status, StatusCode::OK);
        assert!(site.get("/passkeys", token).await.body[0]["last_used_at"].is_string());

        let path = format!("/passkeys/{}", made.body["id"].as_str().unwrap());
        let named =
            site.send("PATCH", &path, Some(token), json!({"friendly_name": "laptop"})).await;
        assert_eq!(
            (named.status, &named.body["friendly_name"]),
            (StatusCode::OK, &json!("laptop"))
        );
        for name in ["", &"x".repeat(121)] {
            let answer =
                site.send("PATCH", &path, Some(token), json!({"friendly_name": name})).await;
            refused(&answer, 400, "validation_failed");
        }
        let removed = site.send("DELETE", &path, Some(token), json!({})).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
        refused(
            &site.send("DELETE", &path, Some(token), json!({})).await,
            404,
            "webauthn_credential_not_found",
        );
        assert_eq!(site.get("/passkeys", token).await.body, json!([]));
        refused(&sign_in(site, &mut device).await, 400, "webauthn_verification_failed");
    });
}

#[test]
fn a_challenge_is_good_for_one_answer_right_or_wrong() {
    with_configured_site(ON, async |site: &Site| {
        let (_, mut device, _) = with_passkey(site, "ada@example.com").await;
        let (id, asked) = options(site, "authentication", None).await;
        assert!(asked.get("allowCredentials").is_none());
        let credential = device.get(&asked).unwrap();
        let first = answer(site, "authentication", None, &id, credential.clone()).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.body);
        let again = answer(site, "authentication", None, &id, credential).await;
        refused(&again, 400, "webauthn_challenge_not_found");

        let (id, asked) = options(site, "authentication", None).await;
        let good = device.get(&asked).unwrap();
        for rubbish in [json!({"id": "x"}), json!("x")] {
            let (id, _) = options(site, "authentication", None).await;
            let answer = answer(site, "authentication", None, &id, rubbish).await;
            refused(&answer, 400, "webauthn_verification_failed");
        }
        let wrong = answer(site, "authentication", None, &id, json!({"id": "x"})).await;
        refused(&wrong, 400, "webauthn_verification_failed");
        let late = answer(site, "authentication", None, &id, good).await;
        refused(&late, 400, "webauthn_challenge_not_found");
    });
}

#[test]
fn of_many_answers_to_a_challenge_at_once_one_counts() {
    with_configured_site(ON, async |site: &Site| {
        let (_, mut device, _) = with_passkey(site, "ada@example.com").await;
        device.quirks.no_counter = true;
        let (id, asked) = options(site, "authentication", None).await;
        let credential = device.get(&asked).unwrap();
        let tries = (0..6).map(|_| answer(site, "authentication", None, &id, credential.clone()));
        let answers = futures_util::future::join_all(tries).await;
        let good = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(good, 1);
    });
}

#[test]
fn challenges_expire_and_stay_with_whom_and_what_they_are_for() {
    with_configured_site(ON, async |site: &Site| {
        let (ada, mut device, _) = with_passkey(site, "ada@example.com").await;
        let ben = site.sign_up("ben@example.com").await;
        let nobodys = "00000000-0000-0000-0000-000000000000";
        let body = device.get(&json!({"challenge": "x"})).unwrap();
        let answered = answer(site, "authentication", None, nobodys, body.clone()).await;
        refused(&answered, 400, "webauthn_challenge_not_found");
        for (id, credential) in [("", body.clone()), ("x", body.clone()), (nobodys, Value::Null)] {
            let answered = answer(site, "authentication", None, id, credential).await;
            refused(&answered, 400, "validation_failed");
        }

        let (id, asked) = options(site, "authentication", None).await;
        site.sql("update auth.webauthn_challenges set expires_at = now() - interval '1 second'")
            .await;
        let late = answer(site, "authentication", None, &id, device.get(&asked).unwrap()).await;
        refused(&late, 400, "webauthn_challenge_expired");

        let (id, asked) = options(site, "registration", Some(&ada.token)).await;
        let mut other = Authenticator::new("localhost", ORIGIN).unwrap();
        let stolen =
            answer(site, "registration", Some(&ben.token), &id, other.create(&asked)).await;
        refused(&stolen, 400, "webauthn_challenge_not_found");
        let crossed = answer(site, "authentication", None, &id, other.get(&asked).unwrap()).await;
        refused(&crossed, 400, "webauthn_challenge_not_found");
        let own = answer(site, "registration", Some(&ada.token), &id, other.create(&asked)).await;
        assert_eq!(own.status, StatusCode::OK, "{}", own.body);
    });
}

#[test]
fn abandoned_challenges_are_swept() {
    with_configured_site(ON, async |site: &Site| {
        for _ in 0..3 {
            options(site, "authentication", None).await;
        }
        site.sql("update auth.webauthn_challenges set expires_at = now() - interval '1 second'")
            .await;
        options(site, "authentication", None).await;
        assert_eq!(site.count("auth.webauthn_challenges").await, 1);
    });
}

#[test]
fn other_devices_users_and_pages_do_not_sign_in() {
    with_configured_site(ON, async |site: &Site| {
        let (ada, owned, _) = with_passkey(site, "ada@example.com").await;
        let ben = site.sign_up("ben@example.com").await;
        let mut unknown = device();
        unknown.claim(ada.id.as_bytes());
        let mut disguised = owned.clone();
        disguised.claim(ben.id.as_bytes());
        let mut elsewhere = owned.clone();
        elsewhere.quirks.origin = Some("https://evil.example".to_owned());
        let mut other_site = owned.clone();
        other_site.quirks.rp_id = Some("evil.example".to_owned());
        let mut forged = owned.clone();
        forged.quirks.bad_signature = true;
        let mut unattended = owned.clone();
        unattended.quirks.user_unverified = true;
        for mut device in [unknown, disguised, elsewhere, other_site, forged, unattended] {
            refused(&sign_in(site, &mut device).await, 400, "webauthn_verification_failed");
        }
        assert_eq!(sign_in(site, &mut owned.clone()).await.status, StatusCode::OK);
    });
}

#[test]
fn a_copy_of_a_device_is_noticed() {
    with_configured_site(ON, async |site: &Site| {
        let (_, mut device, _) = with_passkey(site, "ada@example.com").await;
        let mut copy = device.clone();
        assert_eq!(sign_in(site, &mut device).await.status, StatusCode::OK);
        refused(&sign_in(site, &mut copy).await, 400, "webauthn_verification_failed");
        assert_eq!(sign_in(site, &mut device).await.status, StatusCode::OK);
    });
}

#[test]
fn passkeys_are_bounded_and_each_is_there_once() {
    let config = ON.replace("enabled = true", "enabled = true\nmax_passkeys_per_user = 2");
    with_configured_site(&config, async |site: &Site| {
        let (user, device, _) = with_passkey(site, "ada@example.com").await;
        let token = user.token.as_str();
        let mut first = (options(site, "registration", Some(token)).await, self::device());
        let mut second = (options(site, "registration", Some(token)).await, self::device());
        assert_eq!(first.0.1["excludeCredentials"][0]["id"], json!(device.credential_id()));
        let same = register(site, token, &mut device.clone()).await;
        refused(&same, 422, "webauthn_credential_exists");
        let (one, other) = (first.1.create(&first.0.1), second.1.create(&second.0.1));
        let (one, other) = tokio::join!(
            answer(site, "registration", Some(token), &first.0.0, one),
            answer(site, "registration", Some(token), &second.0.0, other),
        );
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422], "{} {}", one.body, other.body);
        let full =
            site.send("POST", "/passkeys/registration/options", Some(token), json!({})).await;
        refused(&full, 422, "too_many_passkeys");
        assert_eq!(site.count("auth.webauthn_credentials").await, 2);
    });
}

#[test]
fn who_has_a_second_factor_needs_it_to_add_or_remove_a_passkey() {
    with_configured_site(ON, async |site: &Site| {
        let (user, mut device, id) = with_passkey(site, "ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let strong = app.prove(site, &user.token, &app.code(0)).await.signed_in();
        let weak = sign_in(site, &mut device).await.signed_in();
        assert_eq!(weak.claims()["aal"], "aal1", "a passkey is one kind of proof");
        for what in ["options", "verify"] {
            let path = format!("/passkeys/registration/{what}");
            let answer = site.send("POST", &path, Some(&weak.token), json!({})).await;
            refused(&answer, 403, "insufficient_aal");
        }
        let path = format!("/passkeys/{id}");
        let remove = site.send("DELETE", &path, Some(&weak.token), json!({})).await;
        refused(&remove, 403, "insufficient_aal");
        let made = register(site, &strong.token, &mut self::device()).await;
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        let remove = site.send("DELETE", &path, Some(&strong.token), json!({})).await;
        assert_eq!(remove.status, StatusCode::NO_CONTENT);
    });
}

#[test]
fn passkeys_of_others_are_not_there() {
    with_configured_site(ON, async |site: &Site| {
        let (ada, _, id) = with_passkey(site, "ada@example.com").await;
        let ben = site.sign_up("ben@example.com").await;
        let path = format!("/passkeys/{id}");
        for (method, body) in [("PATCH", json!({"friendly_name": "mine"})), ("DELETE", json!({}))] {
            let answer = site.send(method, &path, Some(&ben.token), body).await;
            refused(&answer, 404, "webauthn_credential_not_found");
        }
        assert_eq!(site.get("/passkeys", &ben.token).await.body, json!([]));
        assert_eq!(site.get("/passkeys", &ada.token).await.body[0]["friendly_name"], "Passkey");
        let answer = site.send("DELETE", "/passkeys/x", Some(&ben.token), json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    });
}

#[test]
fn who_may_not_sign_in_may_not_with_a_passkey() {
    with_configured_site(ON, async |site: &Site| {
        let (_, mut device, _) = with_passkey(site, "ada@example.com").await;
        for (state, code) in [
            ("email_confirmed_at = null", "email_not_confirmed"),
            ("email_confirmed_at = now(), phone = '15551234567'", "phone_not_confirmed"),
            ("phone = null, banned_until = now() + interval '1 hour'", "user_banned"),
        ] {
            site.sql(&format!("update auth.users set {state}")).await;
            refused(&sign_in(site, &mut device).await, 403, code);
        }
        site.sql("update auth.users set banned_until = null, is_sso_user = true").await;
        let session = sign_in(site, &mut device).await;
        assert_eq!(session.status, StatusCode::OK, "{}", session.body);
        let path = "/passkeys/registration/options";
        let answer = site.send("POST", path, Some(session.token()), json!({})).await;
        refused(&answer, 422, "validation_failed");
    });
}

#[test]
fn an_administrator_lists_and_removes_passkeys() {
    with_configured_site(ON, async |site: &Site| {
        let (user, mut device, id) = with_passkey(site, "ada@example.com").await;
        let (key, list) = (site.service_key(), format!("/admin/users/{}/passkeys", user.id));
        let answer = site.get(&list, &key).await;
        assert_eq!((answer.status, &answer.body[0]["id"]), (StatusCode::OK, &json!(id)));
        let removed = site.send("DELETE", &format!("{list}/{id}"), Some(&key), json!({})).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
        assert_eq!(site.get(&list, &key).await.body, json!([]));
        refused(&sign_in(site, &mut device).await, 400, "webauthn_verification_failed");
        let unknown = site.send("DELETE", &format!("{list}/{id}"), Some(&key), json!({})).await;
        refused(&unknown, 404, "webauthn_credential_not_found");
    });
}

#[test]
fn a_site_without_a_domain_name_has_no_passkeys() {
    let config = "[auth]\nsite_url = \"http://127.0.0.1:3000\"\n[auth.passkey]\nenabled = true\n\
                  [auth.mfa.web_authn]\nenroll_enabled = true\nverify_enabled = true\n";
    with_configured_site(config, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let verify = json!({"challenge_id": user.id, "credential": {"id": "x"}});
        for (path, body) in [
            ("/passkeys/registration/options", json!({})),
            ("/passkeys/registration/verify", verify.clone()),
            ("/passkeys/authentication/options", json!({})),
            ("/passkeys/authentication/verify", verify),
        ] {
            let answer = site.send("POST", path, Some(&user.token), body).await;
            assert_eq!(answer.refusal(), (422, "validation_failed".to_owned()), "{path}");
            assert!(answer.message().contains("domain"), "{path}: {}", answer.message());
        }
        let factor = json!({"factor_type": "webauthn", "friendly_name": "Key"});
        let factor = site.send("POST", "/factors", Some(&user.token), factor).await;
        let path = format!("/factors/{}/challenge", factor.body["id"].as_str().unwrap());
        let answer = site.send("POST", &path, Some(&user.token), json!({})).await;
        assert_eq!(answer.refusal(), (422, "validation_failed".to_owned()));
    });
}

#[test]
fn without_the_feature_there_are_no_passkeys() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        for what in ["registration", "authentication"] {
            for half in ["options", "verify"] {
                let path = format!("/passkeys/{what}/{half}");
                let answer = site.send("POST", &path, Some(&user.token), json!({})).await;
                refused(&answer, 404, "passkey_disabled");
            }
        }
        refused(&site.get("/passkeys", &user.token).await, 404, "passkey_disabled");
        let path = format!("/admin/users/{}/passkeys", user.id);
        refused(&site.get(&path, &site.service_key()).await, 404, "passkey_disabled");
    });
}
