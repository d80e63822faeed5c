//! Whether a person solved a challenge: hCaptcha and Cloudflare Turnstile.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use plinth_wire::Secret;
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::config::CaptchaConfig;
use crate::outgoing;

/// Tokens that are verified at a time; whoever comes then has to come again.
const MAX_AT_ONCE: usize = 64;
/// How long a verification may take in all, unless the settings say.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer tokens are refused unseen; those of both providers are a quarter of it at most.
const MAX_TOKEN: usize = 8 * 1024;
const MAX_ANSWER: usize = 64 * 1024;

/// Who judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptchaProvider {
    /// `hcaptcha`
    Hcaptcha,
    /// `turnstile`
    Turnstile,
}

impl CaptchaProvider {
    /// The provider of that name in a configuration.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "hcaptcha" => Some(Self::Hcaptcha),
            "turnstile" => Some(Self::Turnstile),
            _ => None,
        }
    }

    fn url(self) -> &'static str {
        match self {
            Self::Hcaptcha => "https://hcaptcha.com/siteverify",
            Self::Turnstile => "https://challenges.cloudflare.com/turnstile/v0/siteverify",
        }
    }
}

/// The settings name a provider that is not known.
#[derive(Debug, thiserror::Error)]
#[error("`auth.captcha.provider` must be `hcaptcha` or `turnstile`")]
pub struct UnknownProvider;

/// Why a request is not let through.
#[derive(Debug, thiserror::Error)]
pub enum CaptchaError {
    /// The request has no `gotrue_meta_security.captcha_token`. 400 `captcha_failed`.
    #[error("captcha protection: request disallowed (no captcha_token found)")]
    Missing,
    /// The provider says no, with its error codes. 400 `captcha_failed`.
    #[error("captcha protection: request disallowed ({})", .0.join(", "))]
    Refused(Vec<String>),
    /// Too many are being asked about at the moment. 429.
    #[error("captcha verification is busy, try again in a moment")]
    Busy,
    /// The provider could not be asked or understood. 500.
    #[error("captcha verification process failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Asks one provider.
#[derive(Debug, Clone)]
pub struct Captcha {
    client: Client,
    url: String,
    secret: Secret,
    timeout: Duration,
    places: Arc<Semaphore>,
}

/// What providers answer.
#[derive(Deserialize)]
struct Verdict {
    #[serde(default)]
    success: bool,
    #[serde(default, rename = "error-codes")]
    error_codes: Vec<String>,
}

impl Captcha {
    /// Asks `provider` with the site's `secret`.
    pub fn new(client: Client, provider: CaptchaProvider, secret: Secret) -> Self {
        let places = Arc::new(Semaphore::new(MAX_AT_ONCE));
        Self { client, url: provider.url().to_owned(), secret, timeout: TIMEOUT, places }
    }

    /// Asks the provider of a project's settings.
    ///
    /// # Errors
    ///
    /// [`UnknownProvider`] for a name that is none of [`CaptchaProvider`]'s.
    pub fn from_config(client: Client, config: &CaptchaConfig) -> Result<Self, UnknownProvider> {
        let provider = CaptchaProvider::of_name(&config.provider).ok_or(UnknownProvider)?;
        let captcha = Self::new(client, provider, config.secret.clone());
        Ok(Self { timeout: config.timeout, ..captcha })
    }

    /// Asks at another URL, for tests.
    pub fn with_url(self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self }
    }

    /// Has the provider judge the `token` that a client at `ip` sent.
    ///
    /// # Errors
    ///
    /// [`CaptchaError`] unless the provider says that the challenge was solved.
    pub async fn verify(&self, token: &str, ip: Option<IpAddr>) -> Result<(), CaptchaError> {
        let token = token.trim();
        if token.is_empty() {
            return Err(CaptchaError::Missing);
        }
        if token.len() > MAX_TOKEN {
            return Err(CaptchaError::Refused(vec!["invalid-input-response".to_owned()]));
        }
        // Anybody can send made-up tokens: they may not make more than so many calls at a time.
        let _place = self.places.try_acquire().map_err(|_taken| CaptchaError::Busy)?;
        let verdict = tokio::time::timeout(self.timeout, self.ask(token, ip))
            .await
            .map_err(|late| CaptchaError::Unavailable(late.into()))?
            .map_err(CaptchaError::Unavailable)?;
        if verdict.success { Ok(()) } else { Err(CaptchaError::Refused(verdict.error_codes)) }
    }

    async fn ask(
        &self,
        token: &str,
        ip: Option<IpAddr>,
    ) -> Result<Verdict, Box<dyn std::error::Error + Send + Sync>> {
        let ip = ip.map(|ip| ip.to_string());
        let mut form = vec![("secret", self.secret.expose()), ("response", token)];
        form.extend(ip.as_deref().map(|ip| ("remoteip", ip)));
        let response = self.client.post(&self.url).form(&form).send().await?;
        let body = outgoing::body(response, MAX_ANSWER).await?;
        Ok(serde_json::from_slice(&body)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::outgoing::double::{Double, closed, json as answer};

    fn captcha(url: &str) -> Captcha {
        let client = outgoing::client().unwrap();
        Captcha::new(client, CaptchaProvider::Turnstile, Secret::new("site-secret")).with_url(url)
    }

    #[tokio::test]
    async fn a_solved_challenge_lets_through() {
        let double = Double::json(200, json!({"success": true, "hostname": "app.example"})).await;
        let ip = Some("192.0.2.1".parse().unwrap());
        captcha(&double.base).verify(" solved ", ip).await.unwrap();
        let asked = double.asked();
        assert_eq!(asked[0].method, "POST");
        let form = [("secret", "site-secret"), ("response", "solved"), ("remoteip", "192.0.2.1")];
        assert_eq!(asked[0].form(), form.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[tokio::test]
    async fn a_refusal_names_the_provider_s_codes() {
        let codes = json!({"success": false, "error-codes": ["timeout-or-duplicate", "other"]});
        let double = Double::json(200, codes).await;
        let error = captcha(&double.base).verify("used", None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "captcha protection: request disallowed (timeout-or-duplicate, other)"
        );
    }

    #[tokio::test]
    async fn no_token_asks_nobody() {
        let double = Double::json(200, json!({"success": true})).await;
        let captcha = captcha(&double.base);
        let error = captcha.verify("  ", None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "captcha protection: request disallowed (no captcha_token found)"
        );
        let long = captcha.verify(&"x".repeat(MAX_TOKEN + 1), None).await.unwrap_err();
        assert!(matches!(long, CaptchaError::Refused(_)));
        assert!(double.asked().is_empty());
    }

    #[tokio::test]
    async fn what_is_not_a_verdict_lets_nobody_through() {
        let broken = Double::start(|_| answer(200, "<html>")).await;
        let silent = Double::json(200, json!({})).await;
        let large = Double::start(|_| answer(200, &" ".repeat(MAX_ANSWER + 1))).await;
        let redirect = Double::start(|_| {
            let to = axum::response::Redirect::temporary("https://example.com/");
            axum::response::IntoResponse::into_response(to)
        });
        let redirect = redirect.await;
        for base in [&broken.base, &large.base, &redirect.base, &closed().await] {
            let error = captcha(base).verify("token", None).await.unwrap_err();
            assert!(matches!(error, CaptchaError::Unavailable(_)), "{error:?}");
            assert_eq!(error.to_string(), "captcha verification process failed");
        }
        let error = captcha(&silent.base).verify("token", None).await.unwrap_err();
        assert!(matches!(error, CaptchaError::Refused(codes) if codes.is_empty()));
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", captcha("https://example.com")).contains("site-secret"));
    }

    #[test]
    fn providers_have_their_configured_names() {
        let turnstile = CaptchaProvider::of_name("turnstile").unwrap();
        assert!(turnstile.url().starts_with("https://challenges.cloudflare.com/"));
        assert_eq!(CaptchaProvider::of_name("hcaptcha"), Some(CaptchaProvider::Hcaptcha));
        assert_eq!(CaptchaProvider::of_name("recaptcha"), None);
    }
}
