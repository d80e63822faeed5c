//! Who signs in.

use plinth_doubles::oidc::Misbehaviour;
use serde_json::json;

use super::*;
use crate::support::PASSWORD;

const BY_PASSWORD: &str = "/token?grant_type=password";
const CONFIRMED_FIRST: &str = "email.enable_confirmations = true";

#[test]
fn who_has_come_before_is_the_same_user_and_what_is_known_is_refreshed() {
    with_providers("", async |site, _| {
        let first = user_of(site, &sign_in(site, "provider=ours").await).await;
        site.sql(
            "update auth.identities set identity_data = '{\"sub\": \"1815\", \"name\": \"Old\"}', last_sign_in_at = now() - interval '1 day'; \
             update auth.users set raw_user_meta_data = '{\"name\": \"Old\", \"mine\": 1}', email = 'new@example.com'",
        )
        .await;
        let second = user_of(site, &sign_in(site, "provider=ours").await).await;
        assert_eq!(first["id"], second["id"]);
        assert_eq!(
            second["email"], "new@example.com",
            "the user's address is not the provider's to change"
        );
        assert_eq!(second["user_metadata"]["name"], "Ada Lovelace");
        assert_eq!(second["user_metadata"]["mine"], 1);
        assert_eq!(second["identities"][0]["identity_data"]["email"], "ada@example.com");
        let fresh =
            "select (last_sign_in_at > now() - interval '1 hour')::text from auth.identities";
        assert_eq!(site.text(fresh).await, "true");
        assert_eq!(site.count("auth.users").await, 1);
    });
}

#[test]
fn a_verified_address_leads_to_its_user() {
    with_providers("", async |site, _| {
        let user = site.sign_up("ada@example.com").await;
        let landing = sign_in(site, "provider=ours").await;
        let found = user_of(site, &landing).await;
        assert_eq!(found["id"], user.id);
        assert_eq!(found["app_metadata"]["provider"], "email");
        assert_eq!(found["app_metadata"]["providers"], json!(["email", "ours"]));
        assert_eq!(found["user_metadata"]["full_name"], "Ada Lovelace");
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(site.post(BY_PASSWORD, body).await.status, StatusCode::OK);
        let github = user_of(site, &sign_in(site, "provider=github").await).await;
        assert_eq!(github["id"], user.id);
        assert_eq!(github["app_metadata"]["providers"], json!(["email", "ours", "github"]));
    });
}

#[test]
fn an_unverified_address_leads_nowhere() {
    for settings in ["", CONFIRMED_FIRST] {
        with_providers(settings, async |site, double| {
            site.post("/signup", json!({"email": "ada@example.com", "password": PASSWORD})).await;
            site.sql("update auth.users set email_confirmed_at = now()").await;
            double.misbehave(Some(Misbehaviour::UnverifiedEmail));
            for provider in ["ours", "github"] {
                let landing = sign_in(site, &format!("provider={provider}")).await;
                assert_eq!(landing.error(), ("access_denied", "provider_email_needs_verification"));
            }
            assert_eq!(site.count("auth.users").await, 1);
            assert_eq!(site.count("auth.identities").await, 1);
            // Not even where it is an unconfirmed user's.
            site.sql("update auth.users set email_confirmed_at = null").await;
            let landing = sign_in(site, "provider=ours").await;
            assert_eq!(landing.error(), ("access_denied", "provider_email_needs_verification"));
            assert_eq!(site.count("auth.identities").await, 1);
        });
    }
}

#[test]
fn who_merely_claimed_an_address_has_nothing_left_when_its_owner_comes() {
    with_providers(CONFIRMED_FIRST, async |site, _| {
        let body = json!({"email": "ada@example.com", "password": PASSWORD, "data": {"name": "Mallory", "trap": 1}});
        let squatter = site.post("/signup", body).await;
        assert_eq!(squatter.status, StatusCode::OK, "{}", squatter.body);
        let id = squatter.body["id"].as_str().unwrap();
        let link = site.mail_to("ada@example.com").await.link();
        site.sql(&format!(
            "insert into auth.sessions (id, user_id, created_at, aal) values (gen_random_uuid(), '{id}', now(), 'aal1'); \
             insert into auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at) \
             values (gen_random_uuid(), '{id}', 'totp', 'verified', now(), now()); \
             update auth.users set phone = '15550100', email_change = 'mallory@example.com', \
             raw_app_meta_data = raw_app_meta_data || '{{\"plan\": \"by an administrator\"}}'"
        ))
        .await;

        let user = user_of(site, &sign_in(site, "provider=ours").await).await;
        assert_eq!(user["id"], id);
        let identities = user["identities"].as_array().unwrap();
        assert_eq!(identities.len(), 1);
        assert_eq!(identities[0]["provider"], "ours");
        assert_eq!(user["app_metadata"]["providers"], json!(["ours"]));
        assert_eq!(user["app_metadata"]["plan"], "by an administrator");
        assert_eq!(user["user_metadata"]["name"], "Ada Lovelace");
        assert!(user["user_metadata"].get("trap").is_none());
        assert_eq!((&user["phone"], user.get("new_email")), (&json!(""), None));
        assert!(user.get("factors").is_none(), "{user}");
        assert_eq!(site.count("auth.sessions").await, 1);
        let body = json!({"email": "ada@example.com", "password": PASSWORD});
        assert_eq!(site.post(BY_PASSWORD, body).await.error(), "invalid_credentials");
        let followed = site.follow(&link).await.headers["location"].to_str().unwrap().to_owned();
        assert!(
            followed.contains("otp_expired"),
            "the mail of before is worth nothing: {followed}"
        );
    });
}

#[test]
fn who_has_proved_a_number_keeps_the_account() {
    with_providers("", async |site, _| {
        site.sign_up("ada@example.com").await;
        site.sql("update auth.users set email_confirmed_at = null, phone = '15550100', phone_confirmed_at = now()").await;
        let landing = sign_in(site, "provider=ours").await;
        assert_eq!(landing.error(), ("server_error", "email_exists"));
        assert_eq!(site.count("auth.identities").await, 1);
    });
}

#[test]
fn a_new_user_proves_an_address_that_the_provider_has_not() {
    with_providers(CONFIRMED_FIRST, async |site, double| {
        double.misbehave(Some(Misbehaviour::UnverifiedEmail));
        let refused = ("access_denied", "provider_email_needs_verification");
        let landing = sign_in(site, "provider=ours").await;
        assert_eq!(landing.error(), refused);
        assert!(landing.query["error_description"].contains("A confirmation email has been sent"));
        assert_eq!(site.count("auth.sessions").await, 0);
        let link = site.mail_to("ada@example.com").await.link();
        assert_eq!(site.follow(&link).await.status, StatusCode::SEE_OTHER);
        let user = user_of(site, &sign_in(site, "provider=ours").await).await;
        assert_eq!(user["identities"].as_array().unwrap().len(), 1);
        assert_eq!(site.count("auth.users").await, 1);
    });
}

#[test]
fn a_closed_site_lets_in_whom_it_knows() {
    with_providers("enable_signup = false", async |site, _| {
        let landing = sign_in(site, &format!("provider=ours&redirect_to={PAGE}")).await;
        assert_eq!(landing.page, PAGE);
        assert_eq!(landing.error(), ("access_denied", "signup_disabled"));
        assert_eq!(site.count("auth.users").await, 0);
        let body = json!({"email": "ada@example.com", "email_confirm": true});
        site.send("POST", "/admin/users", Some(&site.service_key()), body).await;
        sign_in(site, "provider=ours").await.token();
    });
}

#[test]
fn banned_users_stay_out() {
    with_providers("", async |site, _| {
        sign_in(site, "provider=ours").await.token();
        site.sql("delete from auth.sessions; update auth.users set banned_until = now() + interval '1 day'").await;
        for provider in ["ours", "github"] {
            let landing = sign_in(site, &format!("provider={provider}")).await;
            assert_eq!(landing.error(), ("access_denied", "user_banned"));
        }
        assert_eq!(site.count("auth.sessions").await, 0);
        assert_eq!(site.count("auth.identities").await, 1);
    });
}

#[test]
fn without_an_address_only_where_that_is_allowed() {
    with_providers("", async |site, double| {
        double.misbehave(Some(Misbehaviour::NoEmail));
        assert_eq!(
            sign_in(site, "provider=x").await.error(),
            ("server_error", "unexpected_failure")
        );
        assert_eq!(site.count("auth.users").await, 0);
    });
    with_provider("discord", "email_optional = true", async |site, double| {
        double.misbehave(Some(Misbehaviour::NoEmail));
        let user = user_of(site, &sign_in(site, "provider=discord").await).await;
        assert_eq!(user["email"], "");
        let again = user_of(site, &sign_in(site, "provider=discord").await).await;
        assert_eq!(again["id"], user["id"]);
        // An address that is somebody's, and that nobody has verified, is left out.
        site.sign_up("grace@example.com").await;
        double.misbehave(Some(Misbehaviour::UnverifiedEmail));
        let grace = user_of(site, &sign_in(site, "provider=discord&login_hint=grace").await).await;
        assert_eq!(grace["email"], "");
        assert_eq!(site.count("auth.users").await, 3);
    });
}

#[test]
fn a_trigger_that_fails_undoes_everything() {
    with_providers("", async |site, _| {
        site.sql(
            "create function public.no() returns trigger language plpgsql as $$ begin raise 'no'; end $$; \
             create trigger no after insert on auth.users for each row execute function public.no()",
        )
        .await;
        let landing = sign_in(site, "provider=ours").await;
        assert_eq!(landing.error(), ("server_error", "unexpected_failure"));
        assert_eq!(landing.query["error_description"], "Database error saving new user");
        for table in ["auth.users", "auth.identities", "auth.sessions"] {
            assert_eq!(site.count(table).await, 0, "{table}");
        }
    });
}

#[test]
fn a_trigger_sees_who_it_is() {
    with_providers("", async |site, _| {
        site.sql(
            "create table public.profile (id uuid primary key, name text, provider text); \
             create function public.welcome() returns trigger language plpgsql security definer set search_path = '' as $$ begin \
             insert into public.profile values (new.id, new.raw_user_meta_data ->> 'full_name', new.raw_app_meta_data ->> 'provider'); \
             return new; end $$; \
             create trigger welcome after insert on auth.users for each row execute function public.welcome()",
        )
        .await;
        sign_in(site, "provider=ours").await.token();
        let profile = site.text("select name || ' by ' || provider from public.profile").await;
        assert_eq!(profile, "Ada Lovelace by ours");
    });
}

#[test]
fn two_tabs_make_one_user() {
    with_providers("", async |site, _| {
        let (first, second) =
            (leave(site, "provider=ours").await, leave(site, "provider=ours").await);
        let third = leave(site, "provider=github").await;
        let (a, b, c) =
            futures_util::join!(open(site, &first), open(site, &second), open(site, &third));
        for answer in [a, b, c] {
            Landing::of(&answer).token();
        }
        assert_eq!(site.count("auth.users").await, 1);
        assert_eq!(site.count("auth.identities").await, 2);
        assert_eq!(site.count("auth.sessions").await, 3);
    });
}

#[test]
fn an_invitation_is_accepted_by_a_provider_that_knows_the_address() {
    with_providers("enable_signup = false", async |site, _| {
        site.sql(
            "insert into auth.users (id, aud, role, email, invited_at, raw_app_meta_data) values \
             ('6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f', 'authenticated', 'authenticated', 'ada@example.com', now(), '{}'); \
             insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to) values (gen_random_uuid(), \
             '6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f', 'confirmation_token', encode(sha224('invitation'), 'hex'), 'ada@example.com')",
        )
        .await;
        let grace = sign_in(site, "provider=ours&login_hint=grace&invite_token=invitation").await;
        assert_eq!(grace.error(), ("invalid_request", "validation_failed"));
        let waiting = leave(site, "provider=ours&invite_token=invitation").await;
        let ada =
            user_of(site, &sign_in(site, "provider=ours&invite_token=invitation").await).await;
        assert_eq!(ada["id"], "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f");
        assert!(ada["email_confirmed_at"].is_string());
        let used = Landing::of(&open(site, &waiting).await);
        assert_eq!(used.error(), ("server_error", "invite_not_found"));
    });
}
