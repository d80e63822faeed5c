//! Sign-in by password, and signing out.

use http::StatusCode;
use serde_json::json;

use crate::support::{Site, with_site};

const PASSWORD: &str = "/token?grant_type=password";

#[test]
fn the_right_password_gives_a_session() {
    with_site(async |site: &Site| {
        site.sign_up("ada@example.com").await;
        let body = json!({"email": "ada@example.com", "password": "correct horse"});
        let answer = site.post(PASSWORD, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["weak_password"], json!(null));
        assert!(answer.body.as_object().unwrap().contains_key("weak_password"));
        assert_eq!(answer.claims()["amr"][0]["method"], "password");
        assert!(answer.body["user"]["last_sign_in_at"].is_string());
    });
}

#[test]
fn who_does_not_know_the_password_learns_nothing() {
    with_site(async |site: &Site| {
        site.sign_up("ada@example.com").await;
        site.sql("update auth.users set banned_until = now() + interval '1 day', email_confirmed_at = null").await;
        let wrong =
            site.post(PASSWORD, json!({"email": "ada@example.com", "password": "wrong"})).await;
        let unknown =
            site.post(PASSWORD, json!({"email": "eve@example.com", "password": "wrong"})).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        assert_eq!(wrong.error(), "invalid_credentials");
        assert_eq!(wrong.message(), "Invalid login credentials");
        assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));
    });
}

#[test]
fn banned_and_unconfirmed_users_are_told_so_once_they_are_known() {
    with_site(async |site: &Site| {
        site.sign_up("ada@example.com").await;
        let body = json!({"email": "ada@example.com", "password": "correct horse"});
        site.sql("update auth.users set banned_until = now() + interval '1 day'").await;
        assert_eq!(site.post(PASSWORD, body.clone()).await.error(), "user_banned");
        site.sql("update auth.users set banned_until = null, email_confirmed_at = null").await;
        assert_eq!(site.post(PASSWORD, body).await.error(), "email_not_confirmed");
    });
}

#[test]
fn users_of_bcrypt_hashes_sign_in_and_get_a_better_one() {
    with_site(async |site: &Site| {
        site.sql(
            "insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at) \
             values ('00000000-0000-0000-0000-000000000000', gen_random_uuid(), 'authenticated', 'authenticated', \
             'seed@example.com', extensions.crypt('correct horse', extensions.gen_salt('bf')), now())",
        )
        .await;
        let body = json!({"email": "seed@example.com", "password": "correct horse"});
        let answer = site.post(PASSWORD, body.clone()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let hash = site.text("select encrypted_password from auth.users").await;
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_eq!(site.post(PASSWORD, body).await.status, StatusCode::OK);
    });
}

#[test]
fn signing_out_ends_the_sessions_of_its_scope() {
    with_site(async |site: &Site| {
        let first = site.sign_up("ada@example.com").await;
        let body = json!({"email": "ada@example.com", "password": "correct horse"});
        let second = site.post(PASSWORD, body.clone()).await.signed_in();
        let third = site.post(PASSWORD, body).await.signed_in();

        let answer =
            site.send("POST", "/logout?scope=others", Some(&second.token), json!({})).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        for (gone, token) in [(true, &first.token), (false, &second.token), (true, &third.token)] {
            let answer = site.get("/user", token).await;
            assert_eq!(answer.status == StatusCode::FORBIDDEN, gone);
            if gone {
                assert_eq!(answer.error(), "session_not_found");
            }
        }
        let answer =
            site.send("POST", "/logout?scope=everywhere", Some(&second.token), json!({})).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "validation_failed"));
        site.send("POST", "/logout?scope=local", Some(&second.token), json!({})).await;
        assert_eq!(site.get("/user", &second.token).await.error(), "session_not_found");
        assert_eq!(site.refresh(&second.refresh).await.error(), "session_not_found");
    });
}
