//! What an administrator changes.

use super::*;

#[test]
fn changes_apply_at_once() {
    with_site(async |site: &Site| {
        let id = site.created(json!({"email": "ada@example.com", "user_metadata": {}})).await;
        let path = format!("/admin/users/{id}");
        let put = async |body: Value| {
            let answer = site.admin("PUT", &path, body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            answer.body
        };
        let user = put(json!({"email": "New@example.com"})).await;
        assert_eq!(user["email"], "new@example.com");
        assert_eq!(user["identities"][0]["identity_data"]["email"], "new@example.com");
        assert_eq!(user["identities"][0]["email"], "new@example.com");
        assert_eq!(user.get("new_email"), None);

        let user = put(json!({"user_metadata": {"a": 1, "b": {"c": [true]}}})).await;
        assert_eq!(user["user_metadata"], json!({"a": 1, "b": {"c": [true]}}));
        let user = put(json!({"user_metadata": {"a": null, "d": "x"}})).await;
        assert_eq!(user["user_metadata"], json!({"b": {"c": [true]}, "d": "x"}));

        let user = put(json!({"app_metadata": {"roles": ["admin"], "gone": null}})).await;
        let app = json!({"provider": "email", "providers": ["email"], "roles": ["admin"]});
        assert_eq!(user["app_metadata"], app);

        let user = put(json!({"phone": "+1 555 0100", "role": "editor", "aud": "staff"})).await;
        assert_eq!(user["app_metadata"]["providers"], json!(["email", "phone"]));
        assert_eq!((&user["role"], &user["aud"]), (&json!("editor"), &json!("staff")));
        assert_eq!(user["phone"], "15550100");

        let user = put(json!({"email_confirm": true, "phone_confirm": true})).await;
        assert!(user["email_confirmed_at"].is_string() && user["phone_confirmed_at"].is_string());
        assert_eq!(user["user_metadata"]["email_verified"], true);
        // What is false or absent takes nothing back.
        let user = put(json!({"email_confirm": false, "email": "", "role": ""})).await;
        assert!(user["email_confirmed_at"].is_string());
        assert_eq!((&user["email"], &user["role"]), (&json!("new@example.com"), &json!("editor")));
    });
}

#[test]
fn what_somebody_else_has_cannot_be_given_away() {
    with_site(async |site: &Site| {
        site.created(json!({"email": "ada@example.com", "phone": "15550100"})).await;
        let id = site.created(json!({"email": "bob@example.com"})).await;
        let path = format!("/admin/users/{id}");
        let put = async |body: Value| site.admin("PUT", &path, body).await;
        refused(&put(json!({"email": "ada@example.com"})).await, 422, "email_exists");
        refused(&put(json!({"phone": "15550100"})).await, 422, "phone_exists");
        refused(&put(json!({"email": "nonsense"})).await, 400, "validation_failed");
        refused(&put(json!({"password": "1"})).await, 422, "weak_password");
        refused(&put(json!({"ban_duration": "-"})).await, 400, "validation_failed");
        refused(&put(json!({"aud": "a".repeat(256)})).await, 400, "validation_failed");
        // All or nothing.
        let both = put(json!({"user_metadata": {"x": 1}, "email": "ada@example.com"})).await;
        refused(&both, 422, "email_exists");
        let user = site.admin("GET", &path, json!({})).await.body;
        assert_eq!(
            (&user["email"], &user["user_metadata"]),
            (&json!("bob@example.com"), &json!({}))
        );
    });
}

#[test]
fn a_new_password_ends_every_session() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let path = format!("/admin/users/{}", ada.id);
        let answer = site.admin("PUT", &path, json!({"password": "battery staple"})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        refused(&site.get("/user", &ada.token).await, 403, "session_not_found");
        refused(&site.refresh(&ada.refresh).await, 400, "session_not_found");
        refused(
            &site.password("email", "ada@example.com", PASSWORD).await,
            400,
            "invalid_credentials",
        );
        let answer = site.password("email", "ada@example.com", "battery staple").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    });
}

#[test]
fn a_ban_holds_against_tokens_that_are_out_already() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let path = format!("/admin/users/{}", ada.id);
        let user = site.admin("PUT", &path, json!({"ban_duration": "24h"})).await.body;
        let until: jiff::Timestamp = user["banned_until"].as_str().unwrap().parse().unwrap();
        let hours = (until.as_second() - jiff::Timestamp::now().as_second()) as f64 / 3600.0;
        assert!((23.9..=24.0).contains(&hours), "{hours}");
        refused(&site.get("/user", &ada.token).await, 403, "user_banned");
        refused(&site.refresh(&ada.refresh).await, 400, "user_banned");
        refused(&site.password("email", "ada@example.com", PASSWORD).await, 400, "user_banned");

        let user = site.admin("PUT", &path, json!({"ban_duration": "none"})).await.body;
        assert_eq!(user.get("banned_until"), None);
        assert_eq!(site.get("/user", &ada.token).await.status, StatusCode::OK);
        assert_eq!(site.refresh(&ada.refresh).await.status, StatusCode::OK);
        let user = site.admin("PUT", &path, json!({"ban_duration": "2540400h"})).await;
        assert_eq!(user.status, StatusCode::OK, "{}", user.body);
    });
}

#[test]
fn a_ban_may_have_no_end() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        site.sql("update auth.users set banned_until = 'infinity'").await;
        refused(&site.get("/user", &ada.token).await, 403, "user_banned");
        refused(&site.password("email", "ada@example.com", PASSWORD).await, 400, "user_banned");
        let path = format!("/admin/users/{}", ada.id);
        let user = site.admin("GET", &path, json!({})).await;
        assert!(user.body["banned_until"].is_string(), "{}", user.body);
        site.sql("update auth.users set banned_until = '-infinity'").await;
        assert_eq!(site.get("/user", &ada.token).await.status, StatusCode::OK);
    });
}
