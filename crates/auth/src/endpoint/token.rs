//! `POST /token`: a session, by the kind of grant.

use crate::endpoint::{password_grant, pkce_grant, refresh_grant};
use crate::error::{Error, Result};
use crate::request::Response;
use crate::service::Call;

/// Answers by `grant_type`.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    match call.grant_type().as_deref() {
        Some("password") => password_grant::answer(call).await,
        Some("refresh_token") => refresh_grant::answer(call).await,
        Some("pkce") => pkce_grant::answer(call).await,
        _ => Err(Error::oauth(
            http::StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "unsupported_grant_type",
        )),
    }
}

impl Call<'_> {
    /// `grant_type`, from the query, or from a form as RFC 6749 has it.
    pub(crate) fn grant_type(&self) -> Option<String> {
        self.request.parameter("grant_type").or_else(|| {
            let kind = self.request.header("content-type")?;
            if !kind.starts_with("application/x-www-form-urlencoded") {
                return None;
            }
            let mut pairs = url::form_urlencoded::parse(&self.request.body);
            pairs.find(|(name, _)| name == "grant_type").map(|(_, value)| value.into_owned())
        })
    }
}
