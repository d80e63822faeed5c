//! Users as servers manage them.

mod list;
mod update;

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, Site, with_site};

const UNKNOWN: &str = "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f";

impl Site<'_> {
    /// Asks with the project's secret key.
    async fn admin(&self, method: &str, target: &str, body: Value) -> Answer {
        self.send(method, target, Some(&self.service_key()), body).await
    }

    async fn create(&self, body: Value) -> Answer {
        self.admin("POST", "/admin/users", body).await
    }

    /// A user whom an administrator made; gives the id.
    async fn created(&self, body: Value) -> String {
        let answer = self.create(body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["id"].as_str().unwrap().to_owned()
    }

    async fn password(&self, name: &str, value: &str, password: &str) -> Answer {
        self.post("/token?grant_type=password", json!({name: value, "password": password})).await
    }
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str) {
    let found = (answer.status.as_u16(), answer.error());
    assert_eq!(found, (status, code.to_owned()), "{}", answer.body);
}

#[test]
fn a_user_is_made_as_described() {
    with_site(async |site: &Site| {
        let answer = site
            .create(json!({
                "email": "Ada@Example.com", "password": PASSWORD, "user_metadata": {"name": "Ada"},
                "app_metadata": {"roles": ["editor"]}, "role": "editor", "aud": "staff",
            }))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        let user = &answer.body;
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["user_metadata"], json!({"name": "Ada"}));
        let app = json!({"provider": "email", "providers": ["email"], "roles": ["editor"]});
        assert_eq!(user["app_metadata"], app);
        assert_eq!((&user["role"], &user["aud"]), (&json!("editor"), &json!("staff")));
        assert_eq!(user.get("email_confirmed_at"), None);
        assert_eq!(user["identities"][0]["provider"], "email");
        assert_eq!(user["identities"][0]["id"], user["id"]);
        assert_eq!(user["identities"][0]["identity_data"]["email"], "ada@example.com");
        refused(
            &site.password("email", "ada@example.com", PASSWORD).await,
            400,
            "email_not_confirmed",
        );
    });
}

#[test]
fn confirmed_users_sign_in_by_address_and_by_number() {
    with_site(async |site: &Site| {
        let answer = site
            .create(json!({
                "email": "ada@example.com", "phone": "+15550100", "password": PASSWORD,
                "email_confirm": true, "phone_confirm": true, "user_metadata": null, "role": null,
            }))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.body["phone"], "15550100");
        assert_eq!(answer.body["user_metadata"], json!({"email_verified": true}));
        assert_eq!(answer.body["app_metadata"]["providers"], json!(["email", "phone"]));
        for field in ["email_confirmed_at", "phone_confirmed_at", "confirmed_at"] {
            assert!(answer.body[field].is_string(), "{field}");
        }
        let answer = site.password("email", "ada@example.com", PASSWORD).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.claims()["role"], "authenticated");
    });
}

#[test]
fn whoever_cannot_be_reached_or_is_there_already_is_not_made() {
    with_site(async |site: &Site| {
        let id = site.created(json!({"email": "ada@example.com", "phone": "15550100"})).await;
        for (body, status, code) in [
            (json!({}), 400, "validation_failed"),
            (json!({"email": "", "phone": ""}), 400, "validation_failed"),
            (json!({"email": "xx:;x@x.x"}), 400, "validation_failed"),
            (json!({"phone": "call me"}), 400, "validation_failed"),
            (json!({"email": "ADA@example.com"}), 422, "email_exists"),
            (json!({"phone": "+15550100"}), 422, "phone_exists"),
            (json!({"email": "b@example.com", "id": id}), 422, "user_already_exists"),
            (json!({"email": "b@example.com", "id": "1"}), 400, "validation_failed"),
            (
                json!({"email": "b@example.com", "id": "00000000-0000-0000-0000-000000000000"}),
                400,
                "validation_failed",
            ),
            (json!({"email": "b@example.com", "password": "123"}), 422, "weak_password"),
            (
                json!({"email": "b@example.com", "password": "long enough", "password_hash": "$2a$10$x"}),
                400,
                "validation_failed",
            ),
            (json!({"email": "b@example.com", "password_hash": "md5"}), 400, "validation_failed"),
            (json!({"email": "b@example.com", "ban_duration": "soon"}), 400, "validation_failed"),
            (json!({"email": "b@example.com", "role": "r".repeat(256)}), 400, "validation_failed"),
            (json!({"email": "b@example.com", "user_metadata": 1}), 400, "bad_json"),
            (json!([]), 400, "bad_json"),
        ] {
            let answer = site.create(body.clone()).await;
            assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, code), "{body}");
        }
        assert_eq!(
            site.create(json!({})).await.message(),
            "Cannot create a user without either an email or phone"
        );
        assert_eq!(site.count("auth.users").await, 1);
    });
}

#[test]
fn the_id_is_the_one_that_was_asked_for() {
    with_site(async |site: &Site| {
        let id = site.created(json!({"email": "ada@example.com", "id": UNKNOWN})).await;
        assert_eq!(id, UNKNOWN);
        let answer = site.admin("GET", &format!("/admin/users/{id}"), json!(null)).await;
        assert_eq!(answer.body["email"], "ada@example.com");
        assert_eq!(answer.body["identities"][0]["user_id"], UNKNOWN);
    });
}

/// Hashes of "correct horse" by other programs: bcrypt of PostgreSQL, argon2 of the reference.
#[test]
fn passwords_may_come_as_hashes_of_other_programs() {
    with_site(async |site: &Site| {
        let bcrypt = site
            .text("select extensions.crypt('correct horse', extensions.gen_salt('bf', 6))")
            .await;
        let two_y = bcrypt.replacen("$2a$", "$2y$", 1);
        site.sign_up("model@example.com").await;
        let argon = site.text("select encrypted_password from auth.users").await;
        for (number, hash) in [bcrypt, two_y, argon].into_iter().enumerate() {
            let email = format!("u{number}@example.com");
            site.created(json!({"email": email, "email_confirm": true, "password_hash": hash}))
                .await;
            let answer = site.password("email", &email, PASSWORD).await;
            assert_eq!(answer.status, StatusCode::OK, "{hash}: {}", answer.body);
            refused(&site.password("email", &email, "wrong").await, 400, "invalid_credentials");
        }
    });
}

#[test]
fn nobody_is_there_under_an_id_that_is_unknown_or_is_none() {
    with_site(async |site: &Site| {
        for method in ["GET", "PUT", "DELETE"] {
            let answer = site.admin(method, &format!("/admin/users/{UNKNOWN}"), json!({})).await;
            refused(&answer, 404, "user_not_found");
            let answer = site.admin(method, "/admin/users/42", json!({})).await;
            refused(&answer, 404, "validation_failed");
            assert_eq!(answer.message(), "user_id must be an UUID");
        }
    });
}

#[test]
fn deleted_users_are_gone_with_their_sessions() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let path = format!("/admin/users/{}", ada.id);
        let answer = site.admin("DELETE", &path, json!({"should_soft_delete": false})).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &json!({})));
        refused(&site.admin("GET", &path, json!({})).await, 404, "user_not_found");
        refused(&site.get("/user", &ada.token).await, 403, "user_not_found");
        assert!(site.refresh(&ada.refresh).await.status.is_client_error());
        let answer = site.send("POST", "/logout", Some(&ada.token), json!({})).await;
        refused(&answer, 403, "user_not_found");
        for table in ["users", "identities", "sessions", "mfa_amr_claims"] {
            assert_eq!(site.count(&format!("auth.{table}")).await, 0, "{table}");
        }
        // The address is free again.
        site.sign_up("ada@example.com").await;
    });
}

#[test]
fn a_shell_that_is_kept_leads_to_nobody() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let path = format!("/admin/users/{}", ada.id);
        let soft = json!({"should_soft_delete": true});
        assert_eq!(site.admin("DELETE", &path, soft.clone()).await.status, StatusCode::OK);
        let shell = site.admin("GET", &path, json!({})).await.body;
        assert!(shell["deleted_at"].is_string(), "{shell}");
        assert!(!shell.to_string().contains("ada@"), "{shell}");
        refused(&site.get("/user", &ada.token).await, 403, "user_not_found");
        assert!(site.refresh(&ada.refresh).await.status.is_client_error());
        refused(
            &site.password("email", "ada@example.com", PASSWORD).await,
            400,
            "invalid_credentials",
        );
        assert_eq!(site.admin("DELETE", &path, soft).await.status, StatusCode::OK);
        assert_eq!(site.admin("GET", &path, json!({})).await.body, shell);
        site.sign_up("ada@example.com").await;
        assert_eq!(site.count("auth.users").await, 2);
    });
}

#[test]
fn somebody_whom_other_rows_need_is_not_deleted() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        site.sql(
            "create table public.orders (owner uuid references auth.users); \
             insert into public.orders select id from auth.users",
        )
        .await;
        let answer = site.admin("DELETE", &format!("/admin/users/{}", ada.id), json!({})).await;
        refused(&answer, 500, "unexpected_failure");
        assert_eq!(answer.message(), "Database error deleting user");
        assert_eq!(site.get("/user", &ada.token).await.status, StatusCode::OK);
    });
}

#[test]
fn an_administrator_signs_a_user_out_with_the_users_token() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let answer = site.send("POST", "/logout?scope=global", Some(&ada.token), json!({})).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        refused(&site.get("/user", &ada.token).await, 403, "session_not_found");
        let answer = site.send("POST", "/logout", Some("this-is-a-bad-token"), json!({})).await;
        assert!(answer.message().starts_with("invalid JWT"), "{}", answer.body);
    });
}
