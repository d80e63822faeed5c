//! `GET /oauth/userinfo` (OpenID Connect Core §5.3): what the app's scopes let it know.

use serde_json::{Map, Value};

use super::{enabled, scope};
use crate::error::Result;
use crate::request::Response;
use crate::service::Call;
use crate::user::User;

/// Who the user is.
pub(crate) fn answer(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let session = call.caller()?.session.as_ref();
    let scopes = session.and_then(|session| session.scopes.as_deref()).unwrap_or_default();
    Ok(Response::ok(&claims(call.user()?, scopes)))
}

/// What an app with these scopes is told (OpenID Connect Core §5.4).
pub(super) fn claims(user: &User, scopes: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| {
        claims.insert(name.to_owned(), value);
    };
    add("sub", user.id.to_string().into());
    if scope::has(scopes, "email") && !user.email().is_empty() {
        add("email", user.email().into());
        add("email_verified", user.email_is_confirmed().into());
    }
    if scope::has(scopes, "phone") && !user.phone().is_empty() {
        let verified = user.phone_confirmed_at.is_some();
        add("phone", user.phone().into());
        add("phone_verified", verified.into());
        add("phone_number", format!("+{}", user.phone()).into());
        add("phone_number_verified", verified.into());
    }
    if scope::has(scopes, "profile") {
        let metadata = user.user_metadata();
        let first = |names: [&str; 2]| {
            let mut texts = names.iter().filter_map(|name| metadata.get(*name)?.as_str());
            texts.find(|text| !text.is_empty()).map(str::to_owned)
        };
        for (name, value) in [
            ("name", first(["name", "full_name"])),
            ("picture", first(["picture", "avatar_url"])),
            ("preferred_username", first(["preferred_username", "username"])),
        ] {
            if let Some(value) = value {
                add(name, value.into());
            }
        }
        if let Some(at) = user.updated_at {
            add("updated_at", at.as_second().into());
        }
        add("user_metadata", Value::Object(metadata.clone()));
    }
    claims
}
