//! `POST /token`: a session, by the kind of grant.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::endpoint::{external, password_grant, pkce_grant, refresh_grant};
use crate::error::{Error, Result, code};
use crate::request::Response;
use crate::service::Call;
use crate::user::Object;

/// Answers by `grant_type`.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    match call.grant_type().as_deref() {
        Some("password") => password_grant::answer(call).await,
        Some("refresh_token") => refresh_grant::answer(call).await,
        Some("pkce") => pkce_grant::answer(call).await,
        Some("id_token") => Box::pin(external::id_token_grant(call)).await,
        Some("web3") => external::web3(),
        _ => Err(Error::bad_request(code::INVALID_CREDENTIALS, "unsupported_grant_type")),
    }
}

impl Call<'_> {
    /// `grant_type`, from the query, or from a form as RFC 6749 has it.
    pub(crate) fn grant_type(&self) -> Option<String> {
        let said = self.request.parameter("grant_type");
        said.or_else(|| form(self)?.remove("grant_type")?.as_str().map(str::to_owned))
    }
}

/// What the body says: JSON, or a form as RFC 6749 has it.
///
/// # Errors
///
/// 400 `bad_json` when it is neither.
pub(super) fn fields<T: DeserializeOwned>(call: &Call<'_>) -> Result<T> {
    let Some(form) = form(call) else { return call.request.json() };
    serde_json::from_value(Value::Object(form)).map_err(|_other| {
        Error::bad_request(code::BAD_JSON, "Could not parse request body as a form")
    })
}

/// The body when it is a form; of fields that are repeated, the first.
fn form(call: &Call<'_>) -> Option<Object> {
    let kind = call.request.header("content-type")?;
    // `curl -d` calls everything a form.
    let is_json = call.request.body.trim_ascii_start().starts_with(b"{");
    if is_json || !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let mut form = Object::new();
    for (name, value) in url::form_urlencoded::parse(&call.request.body) {
        // PostgreSQL has no texts with it.
        if !value.contains('\0') {
            form.entry(name).or_insert_with(|| value.into_owned().into());
        }
    }
    Some(form)
}
