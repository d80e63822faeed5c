//! Users who add identities to themselves and take them away.

use serde_json::json;

use super::*;
use crate::support::SignedIn;

const ON: &str = "enable_manual_linking = true";

/// Begins with the token of a user; gives the callback.
async fn begin(site: &Site<'_>, user: &str, query: &str) -> String {
    let target = format!("/user/identities/authorize?skip_http_redirect=true&{query}");
    let answer = site.get(&target, user).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    at_provider(answer.body["url"].as_str().unwrap()).await
}

async fn link(site: &Site<'_>, user: &str, query: &str) -> Landing {
    let back = begin(site, user, query).await;
    Landing::of(&open(site, &back).await)
}

async fn identities(site: &Site<'_>, user: &SignedIn) -> Vec<(String, String)> {
    let body = site.get("/user", &user.token).await.body;
    let identities = body["identities"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    identities.map(|found| (text(&found["provider"]), text(&found["identity_id"]))).collect()
}

async fn unlink(site: &Site<'_>, user: &SignedIn, identity: &str) -> Answer {
    site.send("DELETE", &format!("/user/identities/{identity}"), Some(&user.token), json!({})).await
}

#[test]
fn nobody_links_where_that_is_off() {
    with_providers("", async |site, _| {
        let user = site.sign_up("ada@example.com").await;
        let id = uuid::Uuid::new_v4().to_string();
        for answer in [
            site.get("/user/identities/authorize?provider=ours", &user.token).await,
            unlink(site, &user, &id).await,
        ] {
            assert_eq!(
                (answer.status.as_u16(), answer.error().as_str()),
                (404, "manual_linking_disabled")
            );
            assert!(answer.message().contains("Manual linking is disabled"));
        }
    });
}

#[test]
fn a_user_adds_an_identity_with_another_address() {
    with_providers(ON, async |site, _| {
        let user = site.sign_up("me@example.org").await;
        let landing = link(site, &user.token, &format!("provider=ours&redirect_to={PAGE}")).await;
        assert_eq!(landing.page, PAGE);
        let linked = user_of(site, &landing).await;
        assert_eq!((&linked["id"], &linked["email"]), (&json!(user.id), &json!("me@example.org")));
        assert_eq!(linked["app_metadata"]["providers"], json!(["email", "ours"]));
        let later = user_of(site, &sign_in(site, "provider=ours").await).await;
        assert_eq!(later["id"], user.id);
        let plain = site.get("/user/identities/authorize?provider=github", &user.token).await;
        assert!(location(&plain).contains("/login/oauth/authorize"));
    });
}

#[test]
fn a_linking_flow_may_end_with_a_code() {
    with_providers(ON, async |site, _| {
        let user = site.sign_up("me@example.org").await;
        let query = format!("provider=ours&code_challenge={CHALLENGE}&code_challenge_method=s256");
        let landing = link(site, &user.token, &query).await;
        let answer = exchange(site, &landing.query["code"], VERIFIER).await;
        assert_eq!(answer.body["user"]["id"], user.id, "{}", answer.body);
        assert_eq!(answer.body["user"]["identities"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn an_identity_has_one_user() {
    with_providers(ON, async |site, _| {
        let ada = site.sign_up("me@example.org").await;
        let eve = site.sign_up("eve@example.org").await;
        let waiting = begin(site, &eve.token, "provider=ours").await;
        link(site, &ada.token, "provider=ours").await.token();
        for (user, message) in [
            (&ada, "Identity is already linked"),
            (&eve, "Identity is already linked to another user"),
        ] {
            let landing = link(site, &user.token, "provider=ours").await;
            assert_eq!(landing.error(), ("server_error", "identity_already_exists"));
            assert_eq!(landing.query["error_description"], message);
        }
        let late = Landing::of(&open(site, &waiting).await);
        assert_eq!(late.error(), ("server_error", "identity_already_exists"));
        assert_eq!(identities(site, &eve).await.len(), 1);
    });
}

#[test]
fn an_identity_goes_to_who_began_and_not_to_who_is_there() {
    with_providers(ON, async |site, _| {
        let ada = site.sign_up("me@example.org").await;
        let eve = site.sign_up("eve@example.org").await;
        let back = begin(site, &ada.token, "provider=ours").await;
        let ask = Ask { target: &back, token: Some(&eve.token), headers: &[], ..Ask::default() };
        let landing = Landing::of(&site.ask(ask).await);
        assert_eq!(user_of(site, &landing).await["id"], ada.id);
        assert_eq!(identities(site, &eve).await.len(), 1);
        // Once the user is gone, so is the flow.
        let back = begin(site, &eve.token, "provider=github").await;
        site.sql(&format!("delete from auth.users where id = '{}'", eve.id)).await;
        let landing = Landing::of(&open(site, &back).await);
        assert_eq!(landing.error(), ("server_error", "user_not_found"));
    });
}

#[test]
fn an_anonymous_user_becomes_somebody() {
    with_providers(&format!("{ON}\nenable_anonymous_sign_ins = true"), async |site, _| {
        let nobody = site.post("/signup", json!({})).await.signed_in();
        let landing = link(site, &nobody.token, "provider=ours").await;
        let user = user_of(site, &landing).await;
        assert_eq!(user["id"], nobody.id);
        assert_eq!(
            (&user["is_anonymous"], &user["email"]),
            (&json!(false), &json!("ada@example.com"))
        );
        assert!(user["email_confirmed_at"].is_string());
        assert_eq!(user["app_metadata"]["provider"], "ours");

        site.sign_up("grace@example.com").await;
        let nobody = site.post("/signup", json!({})).await.signed_in();
        let landing = link(site, &nobody.token, "provider=ours&login_hint=grace").await;
        assert_eq!(landing.error(), ("server_error", "email_exists"));
        assert_eq!(site.get("/user", &nobody.token).await.body["is_anonymous"], true);
    });
}

#[test]
fn an_identity_is_taken_away_by_its_user_and_never_the_last() {
    with_providers(ON, async |site, _| {
        let ada = site.sign_up("me@example.org").await;
        let eve = site.sign_up("eve@example.org").await;
        link(site, &eve.token, "provider=github&login_hint=grace").await.token();
        let own = identities(site, &ada).await[0].1.clone();
        let answer = unlink(site, &ada, &own).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (422, "single_identity_not_deletable")
        );
        link(site, &ada.token, "provider=ours").await.token();
        let answer = unlink(site, &ada, "no-uuid").await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (404, "validation_failed"));
        let theirs = identities(site, &eve).await[0].1.clone();
        let answer = unlink(site, &ada, &theirs).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (422, "identity_not_found"));

        let ours =
            identities(site, &ada).await.into_iter().find(|(name, _)| name == "ours").unwrap().1;
        let answer = unlink(site, &ada, &ours).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &json!({})));
        let user = site.get("/user", &ada.token).await.body;
        assert_eq!(user["app_metadata"]["providers"], json!(["email"]));
        assert_eq!(
            (&user["email"], user["email_confirmed_at"].is_string()),
            (&json!("me@example.org"), true)
        );
        assert_ne!(user_of(site, &sign_in(site, "provider=ours").await).await["id"], ada.id);
    });
}

#[test]
fn the_address_follows_the_identities() {
    with_providers(ON, async |site, _| {
        let ada = site.sign_up("me@example.org").await;
        link(site, &ada.token, "provider=ours").await.token();
        let own =
            identities(site, &ada).await.into_iter().find(|(name, _)| name == "email").unwrap().1;
        let other = site.sign_up("ada@example.com").await;
        let answer = unlink(site, &ada, &own).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (422, "email_conflict_identity_not_deletable")
        );
        assert_eq!(identities(site, &ada).await.len(), 2);
        site.sql(&format!("delete from auth.users where id = '{}'", other.id)).await;
        assert_eq!(unlink(site, &ada, &own).await.status, StatusCode::OK);
        let user = site.get("/user", &ada.token).await.body;
        assert_eq!(user["email"], "ada@example.com");
        assert_eq!(user["app_metadata"], json!({"provider": "ours", "providers": ["ours"]}));
    });
}

#[test]
fn an_address_that_nobody_verified_is_not_confirmed_by_unlinking() {
    with_providers(ON, async |site, double| {
        let ada = site.sign_up("me@example.org").await;
        double.misbehave(Some(plinth_doubles::oidc::Misbehaviour::UnverifiedEmail));
        link(site, &ada.token, "provider=ours").await.token();
        let own =
            identities(site, &ada).await.into_iter().find(|(name, _)| name == "email").unwrap().1;
        assert_eq!(unlink(site, &ada, &own).await.status, StatusCode::OK);
        let confirmed =
            format!("select email_confirmed_at::text from auth.users where id = '{}'", ada.id);
        assert_eq!(site.text(&confirmed).await, "");
    });
}

#[test]
fn two_tabs_leave_one_identity() {
    with_providers(ON, async |site, _| {
        let ada = site.sign_up("ada@example.com").await;
        link(site, &ada.token, "provider=ours").await.token();
        let both = identities(site, &ada).await;
        let (first, second) =
            futures_util::join!(unlink(site, &ada, &both[0].1), unlink(site, &ada, &both[1].1));
        let mut outcomes = [first.error(), second.error()];
        outcomes.sort();
        assert_eq!(outcomes, ["", "single_identity_not_deletable"]);
        assert_eq!(identities(site, &ada).await.len(), 1);
    });
}
