//! Whether a person asks: captchas.

use http::StatusCode;
use serde::Deserialize;

use crate::captcha::CaptchaError;
use crate::error::{Error, Result, code};
use crate::routes::Route;
use crate::service::Call;

/// Where a captcha is asked for, besides some grants of `/token`.
const ASKED: [&str; 7] = [
    "/signup",
    "/otp",
    "/magiclink",
    "/recover",
    "/resend",
    "/sso",
    "/passkeys/authentication/options",
];

/// Grants whose callers have proved something already.
const PROVED: [&str; 3] = ["refresh_token", "pkce", "id_token"];

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    gotrue_meta_security: Option<Security>,
}

#[derive(Deserialize)]
struct Security {
    #[serde(default)]
    captcha_token: Option<String>,
}

impl Call<'_> {
    /// Has the token of a captcha verified, where the project wants one. Administrators need none.
    ///
    /// # Errors
    ///
    /// 400 `captcha_failed` when there is no token or the provider does not accept it, 500 when the
    /// provider cannot be asked, 429 when too many are being asked about.
    pub(crate) async fn captcha(&self, route: &Route) -> Result<()> {
        let Some(captcha) = self.auth.captcha() else { return Ok(()) };
        if !self.is_asked_for_a_captcha(route) || self.admin().is_ok() {
            return Ok(());
        }
        let body: Body = self.request.json()?;
        let token = body.gotrue_meta_security.and_then(|security| security.captcha_token);
        let ip = self.known_ip();
        captcha.verify(&token.unwrap_or_default(), ip).await.map_err(|error| match &error {
            CaptchaError::Missing | CaptchaError::Refused(_) => {
                Error::bad_request(code::CAPTCHA_FAILED, error.to_string())
            }
            CaptchaError::Busy => {
                Error::too_many(code::OVER_REQUEST_RATE_LIMIT, error.to_string(), 1)
            }
            CaptchaError::Unavailable(cause) => {
                tracing::error!(error = %cause, "captchas cannot be verified");
                Error::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    code::UNEXPECTED_FAILURE,
                    error.to_string(),
                )
            }
        })
    }

    fn is_asked_for_a_captcha(&self, route: &Route) -> bool {
        match route.path {
            _ if route.method != "POST" => false,
            "/token" => !self.grant_type().is_some_and(|kind| PROVED.contains(&kind.as_str())),
            path => ASKED.contains(&path),
        }
    }
}
