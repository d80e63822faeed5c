//! What apps, users and strangers are refused.

use http::StatusCode;
use serde_json::json;

use super::{
    App, CHALLENGE, ON, REDIRECT, VERIFIER, decide, details, grant, in_query, post_form, refusal,
    sent_back, with_server,
};
use crate::support::{Ask, Site, with_configured_site, with_site};

#[test]
fn nothing_is_there_unless_it_is_switched_on() {
    with_site(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let (user, admin) = (ada.token, site.service_key());
        for (method, path, token) in [
            ("POST", "/oauth/clients/register", None),
            ("GET", "/oauth/authorize?client_id=x&redirect_uri=y", None),
            ("POST", "/oauth/token", None),
            ("GET", "/.well-known/oauth-authorization-server", None),
            ("GET", "/.well-known/openid-configuration", None),
            ("GET", "/oauth/userinfo", Some(&user)),
            ("GET", "/oauth/authorizations/x", Some(&user)),
            ("POST", "/oauth/authorizations/x/consent", Some(&user)),
            ("GET", "/user/oauth/grants", Some(&user)),
            ("DELETE", "/user/oauth/grants", Some(&user)),
            ("GET", "/admin/oauth/clients", Some(&admin)),
            ("POST", "/admin/oauth/clients", Some(&admin)),
        ] {
            let answer = site.send(method, path, token.map(String::as_str), json!({})).await;
            assert_eq!(answer.refusal(), (404, "feature_disabled".to_owned()), "{method} {path}");
        }
    });
}

#[test]
fn nobody_is_sent_where_the_app_has_not_registered() {
    with_server(async |site: &Site| {
        let app = App::public(site).await;
        for (what, changes) in [
            ("no address", ("redirect_uri", "")),
            ("another host", ("redirect_uri", "https://evil.example/callback")),
            ("another path", ("redirect_uri", "https://app.example/callback/../x")),
            ("a longer one", ("redirect_uri", "https://app.example/callback?x=1")),
            ("a user name", ("redirect_uri", "https://app.example@evil.example/callback")),
            ("a script", ("redirect_uri", "javascript:alert(1)")),
            ("no app", ("client_id", "")),
            ("no id", ("client_id", "x")),
            ("an unknown app", ("client_id", "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f")),
        ] {
            let answer = site.follow(&app.request(&[changes])).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
            assert_eq!(answer.headers.get("location"), None, "{what}");
        }
        assert_eq!(site.count("auth.oauth_authorizations").await, 0);
    });
}

#[test]
fn the_app_is_told_what_it_does_wrong() {
    with_server(async |site: &Site| {
        let app = App::public(site).await;
        for (changes, error) in [
            (("response_type", "token"), "unsupported_response_type"),
            (("code_challenge", ""), "invalid_request"),
            (("code_challenge_method", ""), "invalid_request"),
            (("code_challenge_method", "plain"), "invalid_request"),
            (("code_challenge", "short"), "invalid_request"),
            (("scope", "email admin"), "invalid_scope"),
            (("prompt", "none"), "login_required"),
        ] {
            let answer = site.follow(&app.request(&[changes])).await;
            assert_eq!(answer.status, StatusCode::FOUND, "{changes:?}");
            assert!(answer.location().starts_with(&format!("{REDIRECT}?error=")), "{changes:?}");
            assert_eq!(answer.in_query("error"), error, "{changes:?}");
            assert_eq!(answer.in_query("state"), "s t&te", "{changes:?}");
            assert_eq!(answer.in_query("iss"), site.issuer(), "{changes:?}");
        }
        assert_eq!(site.count("auth.oauth_authorizations").await, 0);
    });
}

#[test]
fn a_code_is_worth_something_to_the_one_who_began_and_once() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let (app, other) = (App::confidential(site).await, App::confidential(site).await);
        let code = app.code(site, &ada).await;
        let wrong = CHALLENGE;
        for (what, place, value) in [
            ("a wrong verifier", 3, wrong),
            ("no verifier", 3, ""),
            ("another address", 2, "https://app.example/other"),
            ("a wrong code", 1, "nonsense"),
        ] {
            let mut form = grant(&code);
            form[place].1 = value;
            let answer = app.exchange(site, &form).await;
            assert_eq!(refusal(&answer), (400, "invalid_grant"), "{what}");
        }
        assert_eq!(refusal(&other.tokens(site, &code).await), (400, "invalid_grant"));
        let with_resource = [&grant(&code)[..], &[("resource", "https://mcp.example")]].concat();
        assert_eq!(refusal(&app.exchange(site, &with_resource).await), (400, "invalid_grant"));

        let tokens = app.tokens(site, &code).await;
        assert_eq!(tokens.status, StatusCode::OK, "none of that has used it up");
        let refresh = tokens.body["refresh_token"].as_str().unwrap();
        assert_eq!(refusal(&other.tokens(site, &code).await), (400, "invalid_grant"));
        assert_eq!(site.get("/user", tokens.token()).await.status, 200, "strangers end nothing");
        assert_eq!(refusal(&app.tokens(site, &code).await), (400, "invalid_grant"));
        assert_eq!(site.get("/user", tokens.token()).await.error(), "session_not_found");
        assert_eq!(refusal(&app.refresh(site, refresh).await), (400, "invalid_grant"));
        assert_eq!(refusal(&app.tokens(site, &code).await), (400, "invalid_grant"));
        assert_eq!(site.get("/user", &ada.token).await.status, 200);
    });
}

#[test]
fn of_many_at_the_same_time_at_most_one_has_tokens() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        let code = app.code(site, &ada).await;
        let (a, b, c, d) = tokio::join!(
            app.tokens(site, &code),
            app.tokens(site, &code),
            app.tokens(site, &code),
            app.tokens(site, &code)
        );
        let answers = [a, b, c, d];
        let given = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
        assert_eq!(given, 1);
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            assert_eq!(refusal(answer), (400, "invalid_grant"));
        }
    });
}

#[test]
fn a_code_and_a_request_have_their_time() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        let code = app.code(site, &ada).await;
        site.sql("update auth.oauth_authorizations set approved_at = now() - interval '301 s'")
            .await;
        assert_eq!(refusal(&app.tokens(site, &code).await), (400, "invalid_grant"));
        let name = app.begin(site, &[]).await;
        site.sql(
            "update auth.oauth_authorizations set created_at = now() - interval '1 h', expires_at = now() - interval '1 s'",
        )
        .await;
        let gone = (404, "oauth_authorization_not_found".to_owned());
        assert_eq!(details(site, &name, &ada).await.refusal(), gone);
        assert_eq!(decide(site, &name, &ada, "approve").await.refusal(), gone);
    });
}

#[test]
fn codes_and_secrets_are_stored_as_digests() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let code = app.code(site, &ada).await;
        let rows = "select (select string_agg(a::text, '') from auth.oauth_authorizations a) || \
                    (select string_agg(c::text, '') from auth.oauth_clients c)";
        let rows = site.text(rows).await;
        assert!(rows.contains(&app.id));
        assert!(!rows.contains(&code) && !rows.contains(app.secret.as_deref().unwrap()));
    });
}

#[test]
fn only_the_user_who_was_asked_decides_and_once() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let eve = site.sign_up("eve@example.com").await;
        let app = App::public(site).await;
        let name = app.begin(site, &[]).await;
        assert_eq!(details(site, &name, &ada).await.status, 200);
        let gone = (404, "oauth_authorization_not_found".to_owned());
        assert_eq!(details(site, &name, &eve).await.refusal(), gone);
        for action in ["approve", "deny"] {
            assert_eq!(decide(site, &name, &eve, action).await.refusal(), gone);
        }
        let refused = (400, "validation_failed".to_owned());
        assert_eq!(decide(site, &name, &ada, "maybe").await.refusal(), refused);
        let place = sent_back(&decide(site, &name, &ada, "deny").await);
        assert!(place.starts_with(REDIRECT));
        assert_eq!(in_query(&place, "error"), "access_denied");
        assert_eq!(in_query(&place, "state"), "s t&te");
        assert_eq!(in_query(&place, "code"), "");
        assert_eq!(decide(site, &name, &ada, "approve").await.refusal(), refused);
        assert_eq!(details(site, &name, &ada).await.refusal(), refused);
        assert_eq!(details(site, "nonsense", &ada).await.refusal(), gone);
        assert_eq!(site.count("auth.oauth_consents").await, 0);
    });
}

#[test]
fn pages_of_others_do_not_decide() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        let name = app.begin(site, &[]).await;
        for (origin, status) in [("https://evil.example", 400), ("https://site.example", 200)] {
            let answer = site
                .ask(Ask {
                    target: &format!("/oauth/authorizations/{name}"),
                    token: Some(&ada.token),
                    headers: &[("origin", origin)],
                    ..Ask::default()
                })
                .await;
            assert_eq!(answer.status.as_u16(), status, "{origin}");
        }
    });
}

#[test]
fn an_app_must_prove_who_it_is() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::confidential(site).await;
        let code = app.code(site, &ada).await;
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let mut form = grant(&code).to_vec();
        assert_eq!(refusal(&post_form(site, &[kind], &form).await), (401, "invalid_client"));
        form.push(("client_id", &app.id));
        let answer = post_form(site, &[kind], &form).await;
        assert_eq!(refusal(&answer), (401, "invalid_client"), "no secret");
        assert_eq!(answer.headers["www-authenticate"], "Basic");
        assert_eq!(answer.headers["cache-control"], "no-store");
        form.push(("client_secret", "wrong"));
        assert_eq!(refusal(&post_form(site, &[kind], &form).await), (401, "invalid_client"));
        // A public one has none.
        let public = App::public(site).await;
        let sent = App { id: public.id, secret: Some("any".to_owned()) };
        assert_eq!(refusal(&sent.tokens(site, &code).await), (401, "invalid_client"));
        let twice = [("grant_type", "refresh_token"), ("grant_type", "authorization_code")];
        assert_eq!(refusal(&app.exchange(site, &twice).await), (400, "invalid_request"));
        assert_eq!(refusal(&app.exchange(site, &[]).await), (400, "invalid_request"));
        let password = [("grant_type", "password"), ("username", "ada@example.com")];
        assert_eq!(refusal(&app.exchange(site, &password).await), (400, "unsupported_grant_type"));
        assert_eq!(app.tokens(site, &code).await.status, 200);
    });
}

#[test]
fn a_refresh_token_is_its_apps_and_theft_is_noticed() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let (app, other) = (App::public(site).await, App::public(site).await);
        let first = app.sign_in(site, &ada).await;
        let first = first.body["refresh_token"].as_str().unwrap().to_owned();
        assert_eq!(refusal(&other.refresh(site, &first).await), (400, "invalid_grant"));
        assert_eq!(refusal(&app.refresh(site, &ada.refresh).await), (400, "invalid_grant"));
        let second = app.refresh(site, &first).await;
        let second = second.body["refresh_token"].as_str().unwrap().to_owned();
        let third = app.refresh(site, &second).await;
        assert_eq!(third.status, 200);
        site.sql("update auth.sessions set refreshed_at = now() - interval '1 h'").await;
        assert_eq!(refusal(&app.refresh(site, &first).await), (400, "invalid_grant"));
        assert_eq!(site.get("/user", third.token()).await.error(), "session_not_found");
        assert_eq!(site.refresh(&ada.refresh).await.status, 200, "the user's own goes on");
    });
}

#[test]
fn who_is_banned_or_gone_has_no_tokens() {
    with_server(async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        let tokens = app.sign_in(site, &ada).await;
        let code = app.code(site, &ada).await;
        site.sql("update auth.users set banned_until = now() + interval '1 h'").await;
        assert_eq!(refusal(&app.tokens(site, &code).await), (400, "invalid_grant"));
        let refresh = tokens.body["refresh_token"].as_str().unwrap();
        assert_eq!(refusal(&app.refresh(site, refresh).await), (400, "invalid_grant"));
    });
}

#[test]
fn the_challenge_of_rfc_7636_is_what_these_tests_prove() {
    with_configured_site(ON, async |site: &Site| {
        let ada = site.sign_up("ada@example.com").await;
        let app = App::public(site).await;
        let code = app.code(site, &ada).await;
        // What was sent in the open proves nothing.
        let mut form = grant(&code);
        form[3].1 = CHALLENGE;
        assert_eq!(refusal(&app.exchange(site, &form).await), (400, "invalid_grant"));
        form[3].1 = VERIFIER;
        assert_eq!(app.exchange(site, &form).await.status, 200);
    });
}
