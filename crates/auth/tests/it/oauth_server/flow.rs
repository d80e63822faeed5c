//! From the app's first redirect to its last token.

use std::sync::Arc;

use plinth_auth::token::{Algorithm, KeyState, SigningKey, SigningKeys, generate};
use plinth_auth::{Guard, Parts, ROUTES};
use serde_json::json;

use super::{
    App, ON, REDIRECT, VERIFIER, decide, details, grant, in_query, payload, post_form, refusal,
    sent_back, with_server,
};
use crate::support::{PASSWORD, Setup, Site, with_setup};

#[test]
fn an_app_signs_its_user_in() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let name = app.begin(site, &[]).await;

        let shown = details(site, &name, &ada).await;
        assert_eq!(
            shown.body,
            json!({
                "authorization_id": name,
                "redirect_uri": REDIRECT,
                "client": {"id": app.id, "name": "App"},
                "user": {"id": ada.id, "email": "ada@example.com"},
                "scope": "openid email",
            })
        );
        let place = sent_back(&decide(site, &name, &ada, "approve").await);
        assert!(place.starts_with("https://app.example/callback?code="), "{place}");
        assert_eq!(in_query(&place, "state"), "s t&te");
        assert_eq!(in_query(&place, "iss"), site.issuer());
        let code = in_query(&place, "code");
        assert_eq!(site.count("auth.sessions").await, 1, "none for the app yet");

        let answer = app.tokens(site, &code).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.headers["cache-control"], "no-store");
        assert_eq!(answer.body["token_type"], "bearer");
        assert_eq!(answer.body["expires_in"], 3600);
        assert_eq!(answer.body["scope"], "openid email");
        assert_eq!(answer.body.get("user"), None);
        assert_eq!(answer.body.get("id_token"), None, "nobody could check it: HS256");
        let claims = answer.claims();
        assert_eq!(claims["client_id"], app.id);
        assert_eq!(claims["scope"], "openid email");
        assert_eq!(claims["sub"], ada.id);
        assert_eq!(claims["role"], "authenticated");
        assert_eq!(claims["aal"], "aal1");
        assert_eq!(claims["amr"][0]["method"], "oauth_provider/authorization_code");
        assert_ne!(claims["session_id"], ada.claims()["session_id"]);

        let known = site.get("/oauth/userinfo", answer.token()).await.body;
        let all = json!({"sub": ada.id, "email": "ada@example.com", "email_verified": true});
        assert_eq!(known, all);

        // The next tokens, and the user's own session next to it.
        let refreshed = app.refresh(site, answer.body["refresh_token"].as_str().unwrap()).await;
        assert_eq!(refreshed.status, 200, "{}", refreshed.body);
        assert_eq!(refreshed.claims()["client_id"], app.id);
        assert_eq!(refreshed.claims()["session_id"], claims["session_id"]);
        assert_eq!(site.refresh(&ada.refresh).await.status, 200);
    });
}

#[test]
fn a_public_app_does_the_same_on_any_port_of_the_machine() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        assert_eq!(app.secret, None);
        let here = "http://127.0.0.1:49152/callback";
        let name = app.begin(site, &[("redirect_uri", here), ("scope", "")]).await;
        assert_eq!(details(site, &name, &ada).await.body["scope"], "email", "the default");
        let place = sent_back(&decide(site, &name, &ada, "approve").await);
        assert!(place.starts_with("http://127.0.0.1:49152/callback?code="), "{place}");
        let mut form = grant("").to_vec();
        let code = in_query(&place, "code");
        form[1].1 = &code;
        form[2].1 = here;
        let answer = app.exchange(site, &form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let next = app.refresh(site, answer.body["refresh_token"].as_str().unwrap()).await;
        assert_eq!(next.status, 200, "{}", next.body);
    });
}

#[test]
fn json_and_a_secret_in_the_body_are_fine_too() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let code = app.code(site, &ada).await;
        let body = json!({
            "grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT,
            "code_verifier": VERIFIER, "client_id": app.id, "client_secret": app.secret,
        });
        assert_eq!(site.post("/oauth/token", body).await.status, 200);
        let code = app.code(site, &ada).await;
        let mut form = grant(&code).to_vec();
        form.push(("client_id", &app.id));
        form.push(("client_secret", app.secret.as_deref().unwrap()));
        let kind = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(post_form(site, &[kind], &form).await.status, 200);
    });
}

#[test]
fn who_has_agreed_is_not_asked_again_unless_it_is_about_more() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let eve = site.sign_up("eve@example.com").await;
        let app = App::public(site).await;
        app.sign_in(site, &ada).await;
        let name = app.begin(site, &[("scope", "email")]).await;
        let place = sent_back(&details(site, &name, &ada).await);
        assert_eq!(app.tokens(site, &in_query(&place, "code")).await.status, 200);
        let more = app.begin(site, &[("scope", "email phone")]).await;
        assert_eq!(details(site, &more, &ada).await.body["scope"], "email phone");
        sent_back(&decide(site, &more, &ada, "approve").await);
        let other = app.begin(site, &[]).await;
        assert_eq!(details(site, &other, &eve).await.body.get("redirect_url"), None);

        let grants = site.get("/user/oauth/grants", &ada.token).await.body;
        assert_eq!(grants[0]["client"], json!({"id": app.id, "name": "Agent"}));
        assert_eq!(grants[0]["scopes"], json!(["openid", "email", "phone"]));
        assert!(grants[0]["granted_at"].is_string());
    });
}

#[test]
fn an_app_that_is_out_has_nothing_any_more() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let tokens = app.sign_in(site, &ada).await;
        let waiting = app.code(site, &ada).await;
        let target = format!("/user/oauth/grants?client_id={}", app.id);
        let revoke = async || site.send("DELETE", &target, Some(&ada.token), json!({})).await;
        assert_eq!(revoke().await.status, 204);
        assert_eq!(site.get("/user/oauth/grants", &ada.token).await.body, json!([]));
        assert_eq!(site.get("/user", tokens.token()).await.error(), "session_not_found");
        let refresh = tokens.body["refresh_token"].as_str().unwrap();
        assert_eq!(refusal(&app.refresh(site, refresh).await), (400, "invalid_grant"));
        assert_eq!(refusal(&app.tokens(site, &waiting).await), (400, "invalid_grant"));
        assert_eq!(revoke().await.refusal(), (404, "oauth_consent_not_found".to_owned()));
        // And has to ask again.
        let name = app.begin(site, &[]).await;
        assert_eq!(details(site, &name, &ada).await.body.get("redirect_url"), None);
        assert_eq!(site.get("/user", &ada.token).await.status, 200);
    });
}

#[test]
fn an_app_cannot_administer_the_account() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let tokens = app.sign_in(site, &ada).await;
        for route in ROUTES {
            let wanted = match route.guard {
                Guard::Anyone | Guard::UserOrApp => continue,
                Guard::User => (403, "no_authorization".to_owned()),
                Guard::Admin => (403, "not_admin".to_owned()),
            };
            let path = route.path.replace("{id}", &ada.id);
            let answer = site.send(route.method, &path, Some(tokens.token()), json!({})).await;
            assert_eq!(answer.refusal(), wanted, "{} {}", route.method, route.path);
        }
        // A route that anybody may ask, unless something is to become the caller's.
        let link = json!({"provider": "google", "id_token": "x", "link_identity": true});
        let link =
            site.send("POST", "/token?grant_type=id_token", Some(tokens.token()), link).await;
        assert_eq!(link.refusal(), (403, "no_authorization".to_owned()));
        assert_eq!(site.get("/user", tokens.token()).await.body["id"], ada.id);
        // Whatever it says, it ends only what is its own.
        let out = site.send("POST", "/logout?scope=global", Some(tokens.token()), json!({})).await;
        assert_eq!(out.status, 204);
        assert_eq!(site.get("/user", tokens.token()).await.error(), "session_not_found");
        assert_eq!(site.get("/user", &ada.token).await.status, 200);
        // Nor does its refresh token make it a client like any other.
        let tokens = app.sign_in(site, &ada).await;
        let refresh = tokens.body["refresh_token"].as_str().unwrap();
        assert_eq!(
            site.refresh(refresh).await.refusal(),
            (400, "refresh_token_not_found".to_owned())
        );
        assert_eq!(app.refresh(site, refresh).await.status, 200, "it was not used up");
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(site.post("/token?grant_type=password", body).await.status, 200);
    });
}

#[test]
fn an_app_may_ask_for_less_than_it_has() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        let tokens = app.sign_in(site, &ada).await;
        let token = tokens.body["refresh_token"].as_str().unwrap().to_owned();
        let form = [("grant_type", "refresh_token"), ("refresh_token", &token)];
        let less = app.exchange(site, &[form[0], form[1], ("scope", "email")]).await;
        assert_eq!(less.claims()["scope"], "email");
        let token = less.body["refresh_token"].as_str().unwrap().to_owned();
        let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
        let more = app.exchange(site, &[form[0], form[1], ("scope", "email phone")]).await;
        assert_eq!(refusal(&more), (400, "invalid_scope"));
    });
}

#[test]
fn apps_find_out_by_themselves_where_everything_is() {
    with_server(async |site: &Site| {
        let here = site.issuer();
        let found = site.follow("/.well-known/oauth-authorization-server").await;
        assert_eq!(found.status, 200);
        for (name, path) in [
            ("issuer", ""),
            ("authorization_endpoint", "/oauth/authorize"),
            ("token_endpoint", "/oauth/token"),
            ("registration_endpoint", "/oauth/clients/register"),
            ("userinfo_endpoint", "/oauth/userinfo"),
            ("jwks_uri", "/.well-known/jwks.json"),
        ] {
            assert_eq!(found.body[name], format!("{here}{path}"), "{name}");
        }
        assert_eq!(found.body["code_challenge_methods_supported"], json!(["S256"]));
        let openid = site.follow("/.well-known/openid-configuration").await;
        assert_eq!(openid.body["issuer"], here);
        assert_eq!(openid.body["subject_types_supported"], json!(["public"]));
    });
}

#[test]
fn an_id_token_opens_nothing() {
    let adjust = |parts: &mut Parts| {
        let pair = SigningKey { jwk: generate(Algorithm::Es256).unwrap(), state: KeyState::InUse };
        parts.keys = Arc::new(SigningKeys::with_keys(&parts.secret, &[pair]).unwrap());
    };
    let setup = Setup { config: ON, adjust: &adjust, ..Setup::default() };
    with_setup(setup, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let tokens = app.sign_in(site, &ada).await;
        let id_token = tokens.body["id_token"].as_str().unwrap();
        let claims = payload(id_token);
        assert_eq!(claims["aud"], app.id);
        assert_eq!(claims["iss"], site.issuer());
        assert_eq!(claims["sub"], ada.id);
        assert_eq!(claims["email"], "ada@example.com");
        assert_eq!(claims.get("role"), None);
        assert!(claims["auth_time"].is_i64());
        let answer = site.get("/user", id_token).await;
        assert_eq!(answer.refusal(), (403, "bad_jwt".to_owned()));
    });
}
