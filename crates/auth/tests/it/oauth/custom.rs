//! Providers that administrators add.

use serde_json::json;

use super::*;

const PATH: &str = "/admin/custom-providers";

async fn ask(site: &Site<'_>, method: &str, path: &str, body: Value) -> Answer {
    site.send(method, path, Some(&site.service_key()), body).await
}

fn oidc(double: &Oidc) -> Value {
    json!({
        "provider_type": "oidc", "identifier": "company", "name": "The company", "client_id": "client",
        "client_secret": "secret", "issuer": double.url(), "scopes": ["email"],
    })
}

#[track_caller]
fn refused(answer: &Answer, message: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (400, "validation_failed"),
        "{}",
        answer.body
    );
    assert!(answer.message().contains(message), "{}", answer.message());
}

#[test]
fn a_provider_is_added_used_changed_and_removed() {
    with_providers("", async |site, double| {
        let made = ask(site, "POST", PATH, oidc(double)).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        assert_eq!(made.body["identifier"], "custom:company");
        assert_eq!(made.body["scopes"], json!(["openid", "email"]));
        assert_eq!(
            (&made.body["enabled"], &made.body["pkce_enabled"]),
            (&json!(true), &json!(true))
        );
        assert!(made.body.get("client_secret").is_none() && made.body["created_at"].is_string());
        let sealed = site.text("select client_secret from auth.custom_oauth_providers").await;
        assert!(sealed.starts_with("v1."), "{sealed}");

        let landing = sign_in(site, "provider=custom:company").await;
        let user = user_of(site, &landing).await;
        assert_eq!(user["app_metadata"]["provider"], "custom:company");
        let body =
            json!({"provider": "custom:company", "id_token": double.id_token(json!({})).unwrap()});
        assert_eq!(site.post("/token?grant_type=id_token", body).await.status, StatusCode::OK);

        let one = format!("{PATH}/custom:company");
        let read = ask(site, "GET", &one, json!({})).await;
        assert_eq!(read.body, made.body);
        let list = ask(site, "GET", &format!("{PATH}?type=oidc"), json!({})).await;
        assert_eq!(list.body["providers"][0]["name"], "The company");
        assert_eq!(
            ask(site, "GET", &format!("{PATH}?type=oauth2"), json!({})).await.body,
            json!({"providers": []})
        );

        let changed = ask(site, "PUT", &one, json!({"name": "Ours", "enabled": false})).await;
        assert_eq!(
            (&changed.body["name"], &changed.body["client_id"]),
            (&json!("Ours"), &json!("client"))
        );
        let off = open(site, "/authorize?provider=custom:company").await;
        assert_eq!(off.status, StatusCode::BAD_REQUEST);
        let changed =
            ask(site, "PUT", &one, json!({"enabled": true, "client_secret": "wrong"})).await;
        assert_eq!(changed.status, StatusCode::OK, "{}", changed.body);
        assert_eq!(sign_in(site, "provider=custom:company").await.error().0, "server_error");
        ask(
            site,
            "PUT",
            "/admin/custom-providers/custom%3Acompany",
            json!({"client_secret": "secret"}),
        )
        .await;
        assert_eq!(
            user_of(site, &sign_in(site, "provider=custom:company").await).await["id"],
            user["id"]
        );

        let gone = ask(site, "DELETE", &one, json!({})).await;
        assert_eq!(gone.status, StatusCode::OK);
        let read = ask(site, "GET", &one, json!({})).await;
        assert_eq!(
            (read.status.as_u16(), read.error().as_str()),
            (404, "custom_provider_not_found")
        );
    });
}

#[test]
fn a_provider_without_id_tokens_describes_its_users() {
    with_providers("", async |site, double| {
        let url = double.url();
        let body = json!({
            "provider_type": "oauth2", "identifier": "custom:plain", "name": "Plain", "client_id": "client",
            "client_secret": "secret", "authorization_url": format!("{url}/authorize"), "token_url": format!("{url}/token"),
            "userinfo_url": format!("{url}/userinfo"), "pkce_enabled": false, "scopes": ["openid"],
            "authorization_params": {"login_hint": "grace"}, "attribute_mapping": {"nickname": "preferred_username"},
        });
        let made = ask(site, "POST", PATH, body).await;
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let away = location(&open(site, "/authorize?provider=custom:plain").await);
        assert!(!away.contains("code_challenge"), "{away}");
        let user = user_of(site, &sign_in(site, "provider=custom:plain").await).await;
        assert_eq!(user["email"], "grace@example.com");
        assert_eq!(user["user_metadata"]["nickname"], "grace");
    });
}

#[test]
fn a_document_may_be_elsewhere_and_speaks_for_the_same_issuer() {
    with_providers("", async |site, double| {
        let mut body = oidc(double);
        let document = format!("{}/.well-known/openid-configuration", double.url());
        body["discovery_url"] = json!(document);
        assert_eq!(ask(site, "POST", PATH, body).await.status, StatusCode::CREATED);
        sign_in(site, "provider=custom:company").await.token();
        let other = json!({"issuer": "https://id.example"});
        ask(site, "PUT", &format!("{PATH}/custom:company"), other).await;
        let answer = open(site, "/authorize?provider=custom:company").await;
        assert_eq!(
            answer.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "the document names another issuer"
        );
    });
}

#[test]
fn what_cannot_be_is_refused() {
    with_providers("", async |site, double| {
        let with = |name: &str, value: Value| {
            let mut body = oidc(double);
            body[name] = value;
            body
        };
        for (body, message) in [
            (json!({}), "provider_type must be either"),
            (with("identifier", json!("")), "identifier is required"),
            (with("identifier", json!("custom:Google")), "reserved provider name"),
            (with("identifier", json!("a/b")), "identifier may have"),
            (with("name", json!(null)), "name is required"),
            (with("client_id", json!("")), "client_id is required"),
            (with("client_secret", json!("")), "client_secret is required"),
            (with("issuer", json!("")), "issuer is required"),
            (with("issuer", json!("http://169.254.169.254")), "URL is not allowed"),
            (with("issuer", json!("https://me:secret@id.example")), "URL is not allowed"),
            (with("discovery_url", json!("file:///etc/passwd")), "URL is not allowed"),
            (with("authorization_params", json!({"State": "x"})), "reserved OAuth parameter"),
            (with("attribute_mapping", json!({"role": "admin"})), "protected system field"),
            (with("provider_type", json!("oauth2")), "authorization_url is required"),
        ] {
            refused(&ask(site, "POST", PATH, body).await, message);
        }
        refused(
            &ask(site, "GET", &format!("{PATH}/company"), json!({})).await,
            "must start with 'custom:'",
        );
        refused(
            &ask(site, "GET", &format!("{PATH}?type=saml"), json!({})).await,
            "type must be either",
        );
        ask(site, "POST", PATH, oidc(double)).await;
        let twice = ask(site, "POST", PATH, oidc(double)).await;
        assert_eq!((twice.status.as_u16(), twice.error().as_str()), (400, "conflict"));
        site.sql(
            "insert into auth.custom_oauth_providers (provider_type, identifier, name, client_id, client_secret, issuer) \
             select 'oidc', 'custom:' || n, 'n', 'c', 's', 'https://id.example' from generate_series(1, 99) n",
        )
        .await;
        let many = ask(site, "POST", PATH, with("identifier", json!("more"))).await;
        assert_eq!((many.status.as_u16(), many.error().as_str()), (400, "over_quota"));
    });
}
