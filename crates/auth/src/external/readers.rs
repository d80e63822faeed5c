//! From the documents of a provider's own API to a profile. One function per shape; which documents they are says the table.

use serde_json::Value;

use super::claims::{self, Claims, is_true, joined};
use super::profile::Builder;
use super::{ExternalError, Profile};

type Read = Result<Profile, ExternalError>;

fn document(documents: &[Value], index: usize) -> &Value {
    documents.get(index).unwrap_or(&Value::Null)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

pub(super) fn github(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let mut builder = Builder::new(api, &user["id"])
        .name(user["name"].clone())
        .set("avatar_url", user["avatar_url"].clone())
        .set("preferred_username", user["login"].clone())
        .set("user_name", user["login"].clone());
    for email in list(document(documents, 1)) {
        builder =
            builder.email(&email["email"], is_true(&email["verified"]), is_true(&email["primary"]));
    }
    builder.build()
}

/// The main address is confirmed if the account is; further ones come without a word on that.
pub(super) fn gitlab(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let confirmed = !text(user, "confirmed_at").is_empty();
    let mut builder = Builder::new(api, &user["id"])
        .name(user["name"].clone())
        .picture(user["avatar_url"].clone())
        .email(&user["email"], confirmed, true);
    for email in list(document(documents, 1)) {
        if email["email"] != user["email"] {
            builder = builder.email(&email["email"], false, false);
        }
    }
    builder.build()
}

pub(super) fn bitbucket(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let avatar = match &user["links"]["avatar"]["href"] {
        Value::Null => &user["avatar"]["href"],
        href => href,
    };
    let mut builder =
        Builder::new(api, &user["uuid"]).name(user["display_name"].clone()).picture(avatar.clone());
    for email in list(&document(documents, 1)["values"]) {
        builder = builder.email(
            &email["email"],
            is_true(&email["is_confirmed"]),
            is_true(&email["is_primary"]),
        );
    }
    builder.build()
}

/// X gives confirmed addresses only, and only to applications that may ask for them.
pub(super) fn x(api: &str, documents: &[Value]) -> Read {
    let user = &document(documents, 0)["data"];
    let username = text(user, "username");
    let page =
        if username.is_empty() { String::new() } else { format!("https://x.com/{username}") };
    Builder::new(api, &user["id"])
        .name(user["name"].clone())
        .picture(user["profile_image_url"].clone())
        .set("preferred_username", username)
        .set("user_name", username)
        .set("profile", page)
        .set("website", user["url"].clone())
        .custom("created_at", user["created_at"].clone())
        .email(&user["confirmed_email"], true, true)
        .build()
}

pub(super) fn discord(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let (name, discriminator) = (text(user, "username"), text(user, "discriminator"));
    Builder::new(api, &user["id"])
        .set("name", format!("{name}#{discriminator}"))
        .set("full_name", name)
        .picture(discord_avatar(user))
        .custom("global_name", user["global_name"].clone())
        .email(&user["email"], is_true(&user["verified"]), true)
        .build()
}

/// "Image Formatting" of Discord's reference: a hash that begins with `a_` is animated; without a hash there is a default avatar,
/// by the discriminator or, for names without one (`0`), by the id.
fn discord_avatar(user: &Value) -> String {
    const CDN: &str = "https://cdn.discordapp.com";
    let (id, hash) = (text(user, "id"), text(user, "avatar"));
    if hash.is_empty() {
        let index = match text(user, "discriminator").parse::<u64>() {
            Ok(discriminator) if discriminator > 0 => discriminator % 5,
            _ => (id.parse::<u64>().unwrap_or_default() >> 22) % 6,
        };
        return format!("{CDN}/embed/avatars/{index}.png");
    }
    let extension = if hash.starts_with("a_") { "gif" } else { "png" };
    format!("{CDN}/avatars/{id}/{hash}.{extension}")
}

/// Facebook gives confirmed addresses only.
pub(super) fn facebook(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    Builder::new(api, &user["id"])
        .name(joined(text(user, "first_name"), text(user, "last_name")))
        .set("nickname", user["name"].clone())
        .set("slug", user["name"].clone())
        .picture(user["picture"]["data"]["url"].clone())
        .email(&user["email"], true, true)
        .build()
}

/// Spotify says that an address may be unverified.
pub(super) fn spotify(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    Builder::new(api, &user["id"])
        .name(user["display_name"].clone())
        .picture(user["images"][0]["url"].clone())
        .email(&user["email"], false, true)
        .build()
}

/// Twitch gives verified addresses only.
pub(super) fn twitch(api: &str, documents: &[Value]) -> Read {
    let user = &document(documents, 0)["data"][0];
    let mut builder = Builder::new(api, &user["id"])
        .name(user["login"].clone())
        .set("nickname", user["display_name"].clone())
        .set("slug", user["display_name"].clone())
        .picture(user["profile_image_url"].clone());
    for claim in ["broadcaster_type", "description", "type", "offline_image_url", "view_count"] {
        builder = builder.custom(claim, user[claim].clone());
    }
    builder.email(&user["email"], true, true).build()
}

/// The token is a bot's; its owner is the user.
pub(super) fn notion(api: &str, documents: &[Value]) -> Read {
    let user = &document(documents, 0)["bot"]["owner"]["user"];
    Builder::new(api, &user["id"])
        .name(user["name"].clone())
        .picture(user["avatar_url"].clone())
        .email(&user["person"]["email"], true, true)
        .build()
}

pub(super) fn kakao(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let account = &user["kakao_account"];
    let nickname = &account["profile"]["nickname"];
    let verified = is_true(&account["is_email_verified"]) && is_true(&account["is_email_valid"]);
    Builder::new(api, &user["id"])
        .name(nickname.clone())
        .set("preferred_username", nickname.clone())
        .set("user_name", nickname.clone())
        .set("avatar_url", account["profile"]["profile_image_url"].clone())
        .email(&account["email"], verified, true)
        .build()
}

pub(super) fn keycloak(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    Builder::new(api, &user["sub"])
        .name(user["name"].clone())
        .set("preferred_username", user["preferred_username"].clone())
        .email(&user["email"], is_true(&user["email_verified"]), true)
        .build()
}

/// Slack's own claims have URLs as names. It confirms addresses, and says so where it says anything.
pub(super) fn slack(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let verified = user.get("email_verified").is_none_or(is_true);
    Builder::new(api, &user["https://slack.com/user_id"])
        .name(user["name"].clone())
        .picture(user["picture"].clone())
        .custom("https://slack.com/team_id", user["https://slack.com/team_id"].clone())
        .email(&user["email"], verified, true)
        .build()
}

/// `verified` is about registrations by address; whoever came by another way (`login_type` is not 100) was confirmed there.
pub(super) fn zoom(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let by_email = match &user["login_type"] {
        Value::Number(number) => number.as_u64() == Some(100),
        other => other.as_str() == Some("100"),
    };
    Builder::new(api, &user["id"])
        .name(joined(text(user, "first_name"), text(user, "last_name")))
        .picture(user["pic_url"].clone())
        .email(&user["email"], !by_email || is_true(&user["verified"]), true)
        .build()
}

pub(super) fn figma(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    Builder::new(api, &user["id"])
        .name(user["handle"].clone())
        .set("avatar_url", user["img_url"].clone())
        .email(&user["email"], true, true)
        .build()
}

pub(super) fn fly(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    let mut builder =
        Builder::new(api, &user["user_id"]).set("full_name", user["user_name"].clone());
    for claim in ["resource_owner_id", "organizations", "application", "scope", "created_at"] {
        builder = builder.custom(claim, user[claim].clone());
    }
    builder.email(&user["email"], true, true).build()
}

pub(super) fn snapchat(_api: &str, documents: &[Value]) -> Read {
    let user = &document(documents, 0)["data"]["me"];
    Builder::new("https://accounts.snapchat.com/accounts/oauth2/token", &user["externalId"])
        .name(user["displayName"].clone())
        .set("slug", user["displayName"].clone())
        .picture(user["bitmoji"]["avatar"].clone())
        .email(&user["email"], true, true)
        .build()
}

/// The profile that came with the token. The connection is the customer's identity provider, which answers for the address.
pub(super) fn workos(api: &str, documents: &[Value]) -> Read {
    let user = document(documents, 0);
    Builder::new(api, &user["id"])
        .name(joined(text(user, "first_name"), text(user, "last_name")))
        .custom("connection_id", user["connection_id"].clone())
        .custom("organization_id", user["organization_id"].clone())
        .email(&user["email"], true, true)
        .build()
}

/// A user endpoint in OpenID Connect's claims, which have no issuer there.
pub(super) fn userinfo(issuer: &str, user: &Value) -> Read {
    let mut all = user.as_object().cloned().unwrap_or_default();
    all.insert("iss".to_owned(), issuer.into());
    claims::generic(&Claims { all: &all, one_organisation: false })
}

#[cfg(test)]
mod tests;
