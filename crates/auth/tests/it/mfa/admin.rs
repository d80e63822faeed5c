//! Factors as administrators see them.

use http::StatusCode;
use serde_json::json;

use super::{App, refused, with_app};
use crate::support::{Site, with_site};

#[test]
fn an_administrator_lists_renames_and_removes() {
    with_site(async |site: &Site| {
        let (user, app) = with_app(site, "ada@example.com").await;
        let key = site.service_key();
        let list = format!("/admin/users/{}/factors", user.id);
        let answer = site.get(&list, &key).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let factor = &answer.body[0];
        assert_eq!((&factor["id"], &factor["status"]), (&json!(app.factor), &json!("verified")));
        assert_eq!(
            (&factor["factor_type"], &factor["friendly_name"]),
            (&json!("totp"), &json!("phone"))
        );
        assert!(factor.get("secret").is_none());

        let path = format!("{list}/{}", app.factor);
        let renamed = site.send("PUT", &path, Some(&key), json!({"friendly_name": "tablet"})).await;
        assert_eq!(
            (renamed.status, &renamed.body["friendly_name"]),
            (StatusCode::OK, &json!("tablet"))
        );
        App::enrol(site, &user.token, "other").await;
        let taken = site.send("PUT", &path, Some(&key), json!({"friendly_name": "other"})).await;
        refused(&taken, 422, "mfa_factor_name_conflict");

        let removed = site.send("DELETE", &path, Some(&key), json!({})).await;
        assert_eq!((removed.status, &removed.body["id"]), (StatusCode::OK, &json!(app.factor)));
        refused(
            &site.send("DELETE", &path, Some(&key), json!({})).await,
            404,
            "mfa_factor_not_found",
        );
        assert_eq!(site.get(&list, &key).await.body.as_array().unwrap().len(), 1);
        assert_eq!(site.refresh(&user.refresh).await.claims()["aal"], "aal1");
    });
}

#[test]
fn factors_are_found_by_their_own_user_only() {
    with_site(async |site: &Site| {
        let (_, app) = with_app(site, "ada@example.com").await;
        let other = site.sign_up("ben@example.com").await;
        let key = site.service_key();
        let path = format!("/admin/users/{}/factors/{}", other.id, app.factor);
        for method in ["PUT", "DELETE"] {
            let answer = site.send(method, &path, Some(&key), json!({"friendly_name": "x"})).await;
            refused(&answer, 404, "mfa_factor_not_found");
        }
        let nobody = "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f";
        let answer = site.get(&format!("/admin/users/{nobody}/factors"), &key).await;
        refused(&answer, 404, "user_not_found");
        let path = format!("/admin/users/{}/factors/x", other.id);
        let answer = site.send("DELETE", &path, Some(&key), json!({})).await;
        refused(&answer, 404, "validation_failed");
    });
}
