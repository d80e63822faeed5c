//! The way to a provider and back.

use plinth_doubles::oidc::Misbehaviour;
use serde_json::json;

use super::*;

#[test]
fn an_implicit_flow_ends_with_a_session_in_the_fragment() {
    with_providers("", async |site, _| {
        let landing = sign_in(site, &format!("provider=ours&redirect_to={PAGE}?a=b")).await;
        assert_eq!(landing.page, PAGE);
        assert_eq!(landing.query, HashMap::from([("a".to_owned(), "b".to_owned())]));
        assert_eq!(landing.fragment["token_type"], "bearer");
        assert!(landing.fragment["provider_token"].starts_with("access-"));
        assert!(landing.fragment["provider_refresh_token"].starts_with("refresh-"));
        assert!(site.refresh(&landing.fragment["refresh_token"]).await.status.is_success());

        let user = user_of(site, &landing).await;
        assert_eq!(user["email"], "ada@example.com");
        assert!(user["email_confirmed_at"].is_string() && user["last_sign_in_at"].is_string());
        assert_eq!(user["app_metadata"], json!({"provider": "ours", "providers": ["ours"]}));
        assert_eq!(user["user_metadata"]["full_name"], "Ada Lovelace");
        assert_eq!(user["user_metadata"]["email_verified"], true);
        let identity = &user["identities"][0];
        assert_eq!((&identity["provider"], &identity["id"]), (&json!("ours"), &json!("1815")));
        assert_eq!(identity["identity_data"]["sub"], "1815");
        let claims = site.text("select authentication_method from auth.mfa_amr_claims").await;
        assert_eq!(claims, "oauth");
        for table in ["auth.flow_state", "auth.oauth_client_states"] {
            assert_eq!(site.count(table).await, 0, "{table}");
        }
    });
}

#[test]
fn a_pkce_flow_ends_with_a_code_for_the_client_that_began_it() {
    with_providers("", async |site, _| {
        let pkce = format!("code_challenge={CHALLENGE}&code_challenge_method=s256");
        let landing = sign_in(site, &format!("provider=github&redirect_to={PAGE}&{pkce}")).await;
        assert_eq!(landing.page, PAGE);
        assert!(landing.fragment.is_empty() && landing.query.len() == 1, "{landing:?}");
        let code = &landing.query["code"];
        let tokens = "select provider_access_token from auth.flow_state";
        assert!(site.text(tokens).await.starts_with("v1."));
        assert_eq!(site.count("auth.sessions").await, 0);
        let stored = "select count(*)::text from auth.flow_state where auth_code = ";
        assert_eq!(site.text(&format!("{stored}'{code}'")).await, "0");

        let wrong = exchange(site, code, CHALLENGE).await;
        assert_eq!((wrong.status.as_u16(), wrong.error().as_str()), (400, "bad_code_verifier"));
        let answer = exchange(site, code, VERIFIER).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert!(answer.body["provider_token"].as_str().unwrap().starts_with("access-"));
        assert!(answer.body.get("provider_refresh_token").is_none(), "GitHub gives none");
        assert_eq!(answer.claims()["amr"][0]["method"], "oauth");
        let again = exchange(site, code, VERIFIER).await;
        assert_eq!((again.status.as_u16(), again.error().as_str()), (404, "flow_state_not_found"));
        assert_eq!(site.count("auth.sessions").await, 1);
    });
}

#[test]
fn tokens_of_one_flow_open_in_no_other() {
    with_providers("", async |site, _| {
        let pkce = format!("code_challenge={CHALLENGE}&code_challenge_method=s256");
        let ours = format!("provider=ours&{pkce}");
        let first = sign_in(site, &ours).await;
        let second = sign_in(site, &format!("{ours}&login_hint=grace")).await;
        site.sql(
            "update auth.flow_state f set provider_access_token = o.provider_access_token \
             from auth.flow_state o where o.id <> f.id",
        )
        .await;
        for landing in [first, second] {
            let answer = exchange(site, &landing.query["code"], VERIFIER).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            assert!(answer.body.get("provider_token").is_none());
            assert!(answer.body["provider_refresh_token"].is_string());
        }
    });
}

#[test]
fn providers_may_come_back_by_a_form() {
    with_providers("", async |site, _| {
        let back = leave(site, "provider=ours").await;
        let (path, query) = back.split_once('?').unwrap();
        let ask = Ask { method: "POST", target: path, body: form(query), ..Ask::default() };
        let landing = Landing::of(&site.ask(ask).await);
        assert_eq!(user_of(site, &landing).await["email"], "ada@example.com");
    });
}

#[test]
fn the_way_there_is_refused_before_anything_is_remembered() {
    with_providers("", async |site, _| {
        for (query, message) in [
            ("", "Unsupported provider: provider is not enabled"),
            ("provider=nobody", "Unsupported provider: provider is not enabled"),
            ("provider=facebook", "Unsupported provider: provider is not enabled"),
            ("provider=custom:nobody", "Unsupported provider: provider is not enabled"),
            (
                "provider=ours&code_challenge_method=s256",
                "PKCE flow requires code_challenge_method and code_challenge",
            ),
        ] {
            let answer = site.send("GET", &format!("/authorize?{query}"), None, json!({})).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (400, "validation_failed")
            );
            assert_eq!(answer.message(), message);
        }
        let answer =
            site.send("GET", "/authorize?provider=ours&invite_token=x", None, json!({})).await;
        assert_eq!(answer.error(), "user_not_found");
        assert_eq!(site.count("auth.oauth_client_states").await, 0);
    });
}

#[test]
fn nobody_is_sent_to_a_foreign_page() {
    with_providers("", async |site, _| {
        for page in ["https://evil.example", "//evil.example", "http://127.0.0.1:3000@evil.example"]
        {
            let landing = sign_in(site, &format!("provider=ours&redirect_to={page}")).await;
            assert_eq!(landing.page, "http://127.0.0.1:3000", "{page}");
        }
        let back = leave(site, &format!("provider=ours&redirect_to={PAGE}")).await;
        site.sql("update auth.flow_state set referrer = 'https://evil.example'").await;
        assert_eq!(Landing::of(&open(site, &back).await).page, "http://127.0.0.1:3000");
    });
}

#[test]
fn parameters_that_are_ours_cannot_be_set() {
    with_providers("", async |site, double| {
        let query = "provider=ours&client_id=evil&redirect_uri=https://evil.example&state=mine&nonce=mine\
                     &response_type=token&scopes=extra&prompt=consent";
        let url = location(&open(site, &format!("/authorize?{query}")).await);
        assert!(url.starts_with(&double.url()), "{url}");
        for evil in ["evil", "mine", "response_type=token", "provider="] {
            assert!(!url.contains(evil), "{evil} in {url}");
        }
        assert!(url.contains("prompt=consent") && url.contains("extra"), "{url}");
    });
}

#[test]
fn what_the_provider_says_instead_is_passed_on() {
    with_providers("", async |site, _| {
        let landing = sign_in(site, &format!("provider=ours&deny=1&redirect_to={PAGE}")).await;
        assert_eq!(landing.page, PAGE);
        assert_eq!(landing.error(), ("access_denied", "bad_oauth_callback"));
        let back = leave(site, "provider=ours").await;
        let landing = Landing::of(&open(site, &with(&back, "code", "")).await);
        assert_eq!(landing.error(), ("invalid_request", "bad_oauth_callback"));
    });
}

#[test]
fn a_state_is_used_once() {
    with_providers("", async |site, _| {
        let back = leave(site, &format!("provider=ours&redirect_to={PAGE}")).await;
        Landing::of(&open(site, &back).await).token();
        let again = Landing::of(&open(site, &back).await);
        assert_eq!(again.page, "http://127.0.0.1:3000");
        assert_eq!(again.error(), ("invalid_request", "bad_oauth_state"));
        assert_eq!(site.count("auth.sessions").await, 1);
    });
}

#[test]
fn a_state_that_was_not_given_out_is_worth_nothing() {
    with_providers("", async |site, _| {
        let back = leave(site, "provider=ours").await;
        let state = parameter(&back, "state");
        let (flow, key) = state.split_once('.').unwrap();
        assert!(key.len() >= 43, "{key}");
        let guessed = format!("{flow}.{}", "A".repeat(key.len()));
        let nobody = format!("{}.{key}", uuid::Uuid::new_v4().simple());
        for state in ["x", "..", flow, key, &nobody, &guessed] {
            let landing = Landing::of(&open(site, &with(&back, "state", state)).await);
            assert_eq!(landing.error(), ("invalid_request", "bad_oauth_state"), "{state}");
        }
        let landing = Landing::of(&open(site, &with(&back, "state", "")).await);
        assert_eq!(landing.error(), ("invalid_request", "bad_oauth_callback"));
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn the_code_of_another_browser_is_not_accepted() {
    with_providers("", async |site, double| {
        let mine = leave(site, "provider=ours").await;
        let theirs = leave(site, "provider=ours&login_hint=grace").await;
        let swapped = with(&mine, "code", &parameter(&theirs, "code"));
        let landing = Landing::of(&open(site, &swapped).await);
        assert_eq!(landing.error(), ("server_error", "unexpected_failure"));
        // A provider that checks no code challenge repeats the nonce of the other browser.
        double.misbehave(Some(Misbehaviour::WrongNonce));
        let landing = sign_in(site, "provider=ours").await;
        assert_eq!(landing.error(), ("server_error", "unexpected_failure"));
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn a_state_expires() {
    with_providers("", async |site, _| {
        let back = leave(site, &format!("provider=ours&redirect_to={PAGE}")).await;
        site.sql("update auth.flow_state set created_at = now() - interval '10 minutes'").await;
        let landing = Landing::of(&open(site, &back).await);
        assert_eq!(landing.error(), ("invalid_request", "bad_oauth_state"));
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn flows_that_nobody_came_back_from_are_forgotten() {
    with_providers("", async |site, _| {
        for _ in 0..3 {
            leave(site, "provider=ours").await;
        }
        site.sql(
            "update auth.flow_state set created_at = now() - interval '2 days'; \
             update auth.oauth_client_states set created_at = now() - interval '2 days'",
        )
        .await;
        leave(site, "provider=ours").await;
        for table in ["auth.flow_state", "auth.oauth_client_states"] {
            assert_eq!(site.count(table).await, 1, "{table}");
        }
    });
}

#[test]
fn what_is_kept_meanwhile_is_sealed() {
    with_providers("", async |site, _| {
        let back = leave(site, "provider=ours").await;
        let sealed = site.text("select code_verifier from auth.oauth_client_states").await;
        assert!(sealed.starts_with("v1."), "{sealed}");
        let key = parameter(&back, "state").split_once('.').unwrap().1.to_owned();
        let rows = "select (select to_jsonb(f) from auth.flow_state f)::text || \
                    (select to_jsonb(s) from auth.oauth_client_states s)::text";
        assert!(!site.text(rows).await.contains(&key));
    });
}

#[test]
fn a_provider_that_lies_opens_no_door() {
    with_providers("", async |site, double| {
        for how in [
            Misbehaviour::NoNonce,
            Misbehaviour::WrongAudience,
            Misbehaviour::Expired,
            Misbehaviour::WrongIssuer,
            Misbehaviour::WrongAccessTokenHash,
            Misbehaviour::NoEmail,
        ] {
            double.misbehave(Some(how.clone()));
            let landing = sign_in(site, "provider=ours").await;
            assert_eq!(landing.error(), ("server_error", "unexpected_failure"), "{how:?}");
        }
        assert_eq!(site.count("auth.users").await, 0);
    });
}

#[test]
fn single_sign_on_and_wallets_are_off() {
    with_providers("", async |site, _| {
        for body in [json!({}), json!({"provider_id": "no uuid"}), json!("nonsense")] {
            let answer = site.post("/sso", body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (404, "saml_provider_disabled")
            );
            assert_eq!(answer.message(), "SAML 2.0 is disabled");
        }
        let answer = open(site, "/sso/saml/metadata").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let answer = site.get("/admin/sso/providers", &site.service_key()).await;
        assert_eq!(answer.error(), "saml_provider_disabled");
        let answer = site.post("/token?grant_type=web3", json!({"chain": "solana"})).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (422, "web3_provider_disabled")
        );
        assert!(answer.message().contains("Web3 provider is disabled"));
    });
}
