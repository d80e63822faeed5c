//! Authenticator apps.

use http::StatusCode;
use serde_json::{Value, json};

use super::{App, challenge, refused, verify, with_app};
use crate::support::{Site, with_configured_site, with_site};

const EXPIRE: &str = "update auth.mfa_challenges set created_at = now() - interval '301 seconds'";

#[test]
fn a_factor_is_enrolled_proved_listed_and_removed() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let body = json!({"factor_type": "totp", "friendly_name": "phone", "issuer": "Acme"});
        let answer = site.send("POST", "/factors", Some(&user.token), body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(
            (&answer.body["type"], &answer.body["friendly_name"]),
            (&json!("totp"), &json!("phone"))
        );
        let totp = &answer.body["totp"];
        assert!(totp["qr_code"].as_str().unwrap().starts_with("<svg"));
        let uri = totp["uri"].as_str().unwrap();
        assert!(uri.starts_with("otpauth://totp/Acme:ada@example.com?"), "{uri}");
        let app = App {
            factor: answer.body["id"].as_str().unwrap().to_owned(),
            secret: totp["secret"].as_str().unwrap().to_owned(),
        };

        let path = format!("/factors/{}/challenge", app.factor);
        let asked = site.send("POST", &path, Some(&user.token), json!({})).await;
        assert_eq!((&asked.body["type"], asked.status), (&json!("totp"), StatusCode::OK));
        let left = asked.body["expires_at"].as_i64().unwrap() - jiff::Timestamp::now().as_second();
        assert!((290..=301).contains(&left), "{left}");
        let id = asked.body["id"].as_str().unwrap();
        let answer = verify(site, &user.token, &app.factor, id, &app.code(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let strong = answer.signed_in();
        let factors = &answer.body["user"]["factors"];
        assert_eq!(
            (&factors[0]["status"], &factors[0]["friendly_name"]),
            (&json!("verified"), &json!("phone"))
        );
        assert!(factors[0].get("secret").is_none());

        let path = format!("/factors/{}", app.factor);
        let removed = site.send("DELETE", &path, Some(&strong.token), json!({})).await;
        assert_eq!((removed.status, &removed.body["id"]), (StatusCode::OK, &json!(app.factor)));
        let user = site.get("/user", &strong.token).await;
        assert!(user.body.get("factors").is_none());
        assert_eq!(site.count("plinth.totp_step").await, 0);
    });
}

#[test]
fn no_secret_can_be_read_from_the_database() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let stored = site.text("select secret from auth.mfa_factors").await;
        assert!(stored.starts_with("v1.") && !stored.contains(&app.secret), "{stored}");
        let dump =
            site.text("select string_agg(payload::text, '') from auth.audit_log_entries").await;
        assert!(dump.contains("factor_in_progress") && !dump.contains(&app.secret));
    });
}

#[test]
fn a_secret_from_elsewhere_works_and_is_sealed_when_it_was_used() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        site.sql(&format!("update auth.mfa_factors set secret = '{}'", app.secret)).await;
        let answer = app.prove(site, &user.token, &app.code(-1)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(site.text("select secret from auth.mfa_factors").await.starts_with("v1."));
        let again = app.prove(site, answer.token(), &app.code(0)).await;
        assert_eq!(again.status, StatusCode::OK, "{}", again.body);
    });
}

#[test]
fn a_sealed_secret_of_another_factor_is_of_no_use() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let (_, ben) = with_app(site, "ben@example.com").await;
        let app = App::enrol(site, &ada.token, "").await;
        let copy = format!(
            "update auth.mfa_factors set secret = (select secret from auth.mfa_factors where id = '{}') where id = '{}'",
            ben.factor, app.factor
        );
        site.sql(&copy).await;
        let answer = app.prove(site, &ada.token, &ben.code(0)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    });
}

#[test]
fn a_wrong_code_is_refused_and_the_right_one_still_counts() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let id = challenge(site, &user.token, &app.factor).await;
        for wrong in ["000000", "12345", "abcdef", &app.code(20)] {
            let answer = verify(site, &user.token, &app.factor, &id, wrong).await;
            refused(&answer, 422, "mfa_verification_failed");
            assert!(answer.message().contains("Invalid TOTP code"));
        }
        refused(&verify(site, &user.token, &app.factor, &id, "").await, 400, "validation_failed");
        let answer = verify(site, &user.token, &app.factor, &id, &app.code(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
}

#[test]
fn a_code_is_good_for_one_time() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let (earlier, code) = (app.code(-1), app.code(0));
        let first = app.prove(site, &user.token, &code).await;
        assert_eq!(first.status, StatusCode::OK, "{}", first.body);
        for used in [&code, &earlier] {
            refused(&app.prove(site, first.token(), used).await, 422, "mfa_verification_failed");
        }
        let next = app.prove(site, first.token(), &app.code(1)).await;
        assert_eq!(next.status, StatusCode::OK, "{}", next.body);
    });
}

#[test]
fn of_many_proofs_at_once_one_counts() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let code = app.code(0);
        let mut challenges = Vec::new();
        for _ in 0..3 {
            challenges.push(challenge(site, &user.token, &app.factor).await);
        }
        challenges.extend(challenges.clone());
        let tries = challenges.iter().map(|id| verify(site, &user.token, &app.factor, id, &code));
        let answers = futures_util::future::join_all(tries).await;
        let good = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(good, 1);
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.body);
        }
    });
}

#[test]
fn a_challenge_is_good_for_one_proof_five_minutes_and_one_address() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let token = user.token.as_str();
        let nobodys = "00000000-0000-0000-0000-000000000000";
        let answer = verify(site, token, &app.factor, nobodys, &app.code(0)).await;
        refused(&answer, 422, "mfa_factor_not_found");
        refused(&verify(site, token, &app.factor, "x", "123456").await, 400, "validation_failed");

        let id = challenge(site, token, &app.factor).await;
        site.sql("update auth.mfa_challenges set ip_address = '192.0.2.1'").await;
        let answer = verify(site, token, &app.factor, &id, &app.code(0)).await;
        refused(&answer, 422, "mfa_ip_address_mismatch");

        let id = challenge(site, token, &app.factor).await;
        site.sql(EXPIRE).await;
        let answer = verify(site, token, &app.factor, &id, &app.code(0)).await;
        refused(&answer, 422, "mfa_challenge_expired");

        let id = challenge(site, token, &app.factor).await;
        assert_eq!(site.count("auth.mfa_challenges").await, 1, "expired ones are swept");
        let strong = verify(site, token, &app.factor, &id, &app.code(0)).await;
        assert_eq!(strong.status, StatusCode::OK, "{}", strong.body);
        let again = verify(site, strong.token(), &app.factor, &id, &app.code(1)).await;
        refused(&again, 422, "mfa_factor_not_found");
    });
}

#[test]
fn guessing_ends_after_ten_codes() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let id = challenge(site, &user.token, &app.factor).await;
        let guesses = (0..12).map(|_| verify(site, &user.token, &app.factor, &id, "000000"));
        for answer in futures_util::future::join_all(guesses).await {
            refused(&answer, 422, "mfa_verification_failed");
        }
        let right = verify(site, &user.token, &app.factor, &id, &app.code(0)).await;
        refused(&right, 422, "mfa_verification_failed");
        let fresh = app.prove(site, &user.token, &app.code(0)).await;
        refused(&fresh, 422, "mfa_verification_failed");
    });
}

#[test]
fn a_flood_of_answers_is_refused() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "").await;
        let id = challenge(site, &user.token, &app.factor).await;
        let guesses = (0..20).map(|_| verify(site, &user.token, &app.factor, &id, "000000"));
        let answers = futures_util::future::join_all(guesses).await;
        let flood = answers.iter().filter(|answer| answer.status.as_u16() == 429).count();
        assert_eq!(flood, 5, "fifteen in a minute");
    });
}

#[test]
fn a_factor_of_somebody_else_is_not_there() {
    with_site(async |site: &Site| {
        let (ada, app) = with_app(site, "ada@example.com").await;
        let mallory = site.sign_up("mallory@example.com").await;
        let id = challenge(site, &ada.token, &app.factor).await;
        let token = mallory.token.as_str();
        refused(
            &verify(site, token, &app.factor, &id, &app.code(0)).await,
            404,
            "mfa_factor_not_found",
        );
        for (method, path) in [("POST", "/challenge"), ("DELETE", "")] {
            let path = format!("/factors/{}{path}", app.factor);
            let answer = site.send(method, &path, Some(token), json!({})).await;
            refused(&answer, 404, "mfa_factor_not_found");
        }
        let own = App::enrol(site, token, "").await;
        let answer = verify(site, token, &own.factor, &id, &own.code(0)).await;
        refused(&answer, 422, "mfa_factor_not_found");
        let answer = site.send("DELETE", "/factors/test-factor-id", Some(token), json!({})).await;
        refused(&answer, 404, "validation_failed");
    });
}

#[test]
fn names_and_numbers_of_factors_are_bounded() {
    let config = "[auth.mfa]\nmax_enrolled_factors = 3";
    with_configured_site(config, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let enrol = async |name: &str| {
            let body = json!({"factor_type": "totp", "friendly_name": name});
            site.send("POST", "/factors", Some(&user.token), body).await
        };
        assert_eq!(enrol("one").await.status, StatusCode::OK);
        refused(&enrol("one").await, 422, "mfa_factor_name_conflict");
        refused(&enrol(&"x".repeat(256)).await, 400, "validation_failed");
        refused(&enrol("a\0b").await, 400, "bad_json");
        let answers = futures_util::future::join_all((0..5).map(|_| enrol(""))).await;
        let made = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(made, 2, "three in all");
        refused(&enrol("two").await, 422, "too_many_enrolled_mfa_factors");
        site.sql("update auth.mfa_factors set created_at = now() - interval '301 seconds'").await;
        assert_eq!(enrol("one").await.status, StatusCode::OK, "nobody has verified it in time");
        assert_eq!(site.count("auth.mfa_factors").await, 1);
    });
}

#[test]
fn what_was_not_verified_in_time_is_gone_unless_it_was_asked_for() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let app = App::enrol(site, &user.token, "slow").await;
        let id = challenge(site, &user.token, &app.factor).await;
        site.sql("update auth.mfa_factors set created_at = now() - interval '301 seconds'").await;
        let path = format!("/factors/{}/challenge", app.factor);
        let late = site.send("POST", &path, Some(&user.token), json!({})).await;
        refused(&late, 404, "mfa_factor_not_found");
        let answer = verify(site, &user.token, &app.factor, &id, &app.code(0)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
}

#[test]
fn requests_without_sense_are_refused() {
    with_site(async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let send = async |body: Value| site.send("POST", "/factors", Some(&user.token), body).await;
        refused(&send(json!({})).await, 400, "validation_failed");
        refused(&send(json!({"factor_type": "smoke"})).await, 400, "validation_failed");
        let long = json!({"factor_type": "totp", "issuer": "x".repeat(5000)});
        refused(&send(long).await, 400, "validation_failed");
        for (kind, code) in [
            ("phone", "mfa_phone_enroll_not_enabled"),
            ("webauthn", "mfa_webauthn_enroll_not_enabled"),
        ] {
            refused(&send(json!({"factor_type": kind})).await, 422, code);
        }
        let nobody = site.post("/factors", json!({"factor_type": "totp"})).await;
        refused(&nobody, 401, "no_authorization");
        assert!(nobody.message().contains("Bearer token"));
    });
}

#[test]
fn nobody_in_particular_has_no_factors() {
    let config = "[auth]\nenable_anonymous_sign_ins = true";
    with_configured_site(config, async |site: &Site| {
        let token = site.post("/signup", json!({})).await.token().to_owned();
        let body = json!({"factor_type": "totp"});
        refused(&site.send("POST", "/factors", Some(&token), body).await, 403, "no_authorization");
    });
}

#[test]
fn kinds_can_be_switched_off() {
    let config = "[auth.mfa.totp]\nenroll_enabled = false\nverify_enabled = false";
    with_configured_site(config, async |site: &Site| {
        let user = site.sign_up("ada@example.com").await;
        let body = json!({"factor_type": "totp"});
        let answer = site.send("POST", "/factors", Some(&user.token), body).await;
        refused(&answer, 422, "mfa_totp_enroll_not_enabled");
        site.sql(
            "insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) \
             select 'f0000000-0000-4000-8000-000000000001', id, 'totp', 'verified', now(), now() from auth.users",
        )
        .await;
        for path in ["challenge", "verify"] {
            let path = format!("/factors/f0000000-0000-4000-8000-000000000001/{path}");
            let answer =
                site.send("POST", &path, Some(&user.token), json!({"code": "123456"})).await;
            refused(&answer, 422, "mfa_totp_verify_not_enabled");
        }
    });
}

/// PostgreSQL's clock has microseconds, and the table has each moment once.
#[test]
fn two_factors_may_be_challenged_at_the_same_moment() {
    with_site(async |site: &Site| {
        let (ada, one) = with_app(site, "ada@example.com").await;
        let ben = site.sign_up("ben@example.com").await;
        let other = App::enrol(site, &ben.token, "").await;
        challenge(site, &ada.token, &one.factor).await;
        site.sql(
            "create sequence public.clashes; \
             create function public.clash() returns trigger language plpgsql security definer as $$ begin \
             if nextval('public.clashes') = 1 then new.last_challenged_at := \
             (select max(last_challenged_at) from auth.mfa_factors); end if; return new; end $$; \
             create trigger clash before update on auth.mfa_factors for each row execute function public.clash()",
        )
        .await;
        challenge(site, &ben.token, &other.factor).await;
        assert_eq!(site.text("select last_value::text from public.clashes").await, "2");
    });
}
