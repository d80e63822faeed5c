//! Apps as administrators and they themselves register them.

use serde_json::{Value, json};

use super::{App, REDIRECT, refusal, with_server};
use crate::support::{Answer, Site, with_configured_site};

async fn admin(site: &Site<'_>, method: &str, path: &str, body: Value) -> Answer {
    let target = format!("/admin/oauth/clients{path}");
    site.send(method, &target, Some(&site.service_key()), body).await
}

#[test]
fn an_administrator_makes_changes_and_deletes_an_app() {
    with_server(async |site: &Site| {
        let uris = json!(["http://localhost:3000/cb", REDIRECT]);
        let body = json!({"client_name": "One", "redirect_uris": uris});
        let made = admin(site, "POST", "", body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        assert_eq!(made.body["client_name"], "One");
        assert_eq!(made.body["redirect_uris"], uris, "in their order");
        assert_eq!(made.body["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert_eq!(made.body["response_types"], json!(["code"]));
        assert_eq!(made.body["client_type"], "confidential");
        assert_eq!(made.body["token_endpoint_auth_method"], "client_secret_basic");
        assert_eq!(made.body["registration_type"], "manual");
        assert!(made.body["created_at"].is_string() && made.body["updated_at"].is_string());
        let app = App::of(&made);
        let path = format!("/{}", app.id);

        let read = admin(site, "GET", &path, json!({})).await;
        assert_eq!((read.status.as_u16(), read.body.get("client_secret")), (200, None));
        let change = json!({"client_name": "Two", "logo_uri": "https://app.example/logo.png"});
        let changed = admin(site, "PUT", &path, change).await.body;
        assert_eq!((&changed["client_name"], &changed["redirect_uris"]), (&json!("Two"), &uris));
        assert_eq!(changed["logo_uri"], "https://app.example/logo.png");

        let secret = app.secret.clone().unwrap();
        let again = admin(site, "POST", &format!("{path}/regenerate_secret"), json!({})).await;
        assert_eq!(again.status, 200);
        let newer = App::of(&again);
        assert_ne!(newer.secret.as_ref(), Some(&secret));
        assert_eq!(refusal(&app.tokens(site, "x").await), (401, "invalid_client"));
        assert_eq!(refusal(&newer.tokens(site, "x").await), (400, "invalid_grant"));

        let ada = site.sign_up("ada@example.com").await;
        let tokens = newer.sign_in(site, &ada).await;
        let deleted = admin(site, "DELETE", &path, json!({})).await;
        assert_eq!((deleted.status.as_u16(), deleted.body), (204, Value::Null));
        let gone = (404, "oauth_client_not_found".to_owned());
        for (method, path) in [("GET", path.as_str()), ("PUT", &path), ("DELETE", &path)] {
            let answer = admin(site, method, path, json!({"client_name": "x"})).await;
            assert_eq!(answer.refusal(), gone, "{method}");
        }
        assert_eq!(site.get("/user", tokens.token()).await.error(), "session_not_found");
        assert_eq!(refusal(&newer.tokens(site, "x").await), (401, "invalid_client"));
        assert_eq!(site.get("/user/oauth/grants", &ada.token).await.body, json!([]));
        assert_eq!(site.follow(&newer.request(&[])).await.status, 400);
    });
}

#[test]
fn apps_are_listed_page_by_page() {
    with_server(async |site: &Site| {
        for _ in 0..3 {
            App::confidential(site).await;
        }
        let page = admin(site, "GET", "?page=1&per_page=2", json!({})).await;
        assert_eq!(page.body["clients"].as_array().unwrap().len(), 2);
        assert_eq!(page.headers["x-total-count"], "3");
        assert!(
            page.headers["link"].to_str().unwrap().contains("page=2&per_page=2>; rel=\"next\"")
        );
        let page = admin(site, "GET", "?page=2&per_page=2", json!({})).await;
        assert_eq!(page.body["clients"].as_array().unwrap().len(), 1);
        assert_eq!(page.body["clients"][0].get("client_secret"), None);
    });
}

#[test]
fn what_makes_no_sense_is_no_app() {
    with_server(async |site: &Site| {
        let many: Vec<String> = (0..11).map(|n| format!("https://app.example/{n}")).collect();
        for body in [
            json!({}),
            json!({"redirect_uris": []}),
            json!({"redirect_uris": many}),
            json!({"redirect_uris": ["nonsense"]}),
            json!({"redirect_uris": ["http://app.example/"]}),
            json!({"redirect_uris": ["https://app.example/#x"]}),
            json!({"redirect_uris": ["javascript:alert(1)"]}),
            json!({"redirect_uris": [REDIRECT], "response_types": ["token"]}),
            json!({"redirect_uris": [REDIRECT], "grant_types": ["password"]}),
            json!({"redirect_uris": [REDIRECT], "client_name": "x".repeat(1025)}),
            json!({"redirect_uris": [REDIRECT], "client_uri": "javascript:alert(1)"}),
            json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "tls"}),
        ] {
            let answer = admin(site, "POST", "", body.clone()).await;
            assert_eq!(answer.refusal(), (400, "validation_failed".to_owned()), "{body}");
            let answer = site.post("/oauth/clients/register", body.clone()).await;
            let (status, error) = refusal(&answer);
            assert_eq!(status, 400, "{body}");
            assert!(["invalid_redirect_uri", "invalid_client_metadata"].contains(&error), "{body}");
        }
        let app = App::confidential(site).await;
        for body in [
            json!({}),
            json!({"redirect_uris": []}),
            json!({"grant_types": []}),
            json!({"token_endpoint_auth_method": "none"}),
        ] {
            let answer = admin(site, "PUT", &format!("/{}", app.id), body.clone()).await;
            assert_eq!(answer.refusal(), (400, "validation_failed".to_owned()), "{body}");
        }
        let public = App::public(site).await;
        let path = format!("/{}/regenerate_secret", public.id);
        assert_eq!(admin(site, "POST", &path, json!({})).await.status, 400);
        assert_eq!(site.count("auth.oauth_clients").await, 2);
    });
}

#[test]
fn an_app_registers_itself_only_where_it_may() {
    let off = "[auth.oauth_server]\nenabled = true\n";
    with_configured_site(off, async |site: &Site| {
        let body = json!({"redirect_uris": [REDIRECT]});
        let answer = site.post("/oauth/clients/register", body).await;
        let code = "oauth_dynamic_client_registration_disabled".to_owned();
        assert_eq!(answer.refusal(), (403, code));
        let found = site.follow("/.well-known/oauth-authorization-server").await;
        assert_eq!(found.body.get("registration_endpoint"), None);
    });
    with_server(async |site: &Site| {
        let body = json!({
            "client_name": "Inspector",
            "redirect_uris": ["http://localhost:6274/oauth/callback"],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "token_endpoint_auth_method": "client_secret_post",
            "software_id": "ignored",
        });
        let answer = site.post("/oauth/clients/register", body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        assert_eq!(answer.body["registration_type"], "dynamic");
        assert_eq!(answer.body["token_endpoint_auth_method"], "client_secret_post");
        assert_eq!(answer.body["grant_types"], json!(["authorization_code", "refresh_token"]));
        assert_eq!(answer.body["client_secret_expires_at"], 0);
        assert!(answer.body["client_id_issued_at"].is_i64());
        assert!(answer.body["client_secret"].as_str().unwrap().len() >= 43);
    });
}
