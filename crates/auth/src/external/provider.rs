//! One provider: its settings, and the redirect flow.

mod endpoints;
mod user;

use std::sync::Arc;

use oauth2::{AuthorizationCode, CsrfToken, PkceCodeVerifier, RefreshToken, Scope};
use url::Url;

use super::directory::Directory;
use super::flow::{self, AuthorizeRequest, ProviderTokens, TokenEndpoint};
use super::known::{self, Known};
use super::{Custom, ExternalError, ProviderSettings};

/// One outside identity provider, ready to be used.
#[derive(Debug)]
pub struct Provider {
    settings: ProviderSettings,
    kind: Kind,
    directory: Arc<Directory>,
}

#[derive(Debug)]
enum Kind {
    Known(&'static Known),
    Custom(Custom),
}

impl Provider {
    /// A provider of these settings. Asks nobody.
    ///
    /// # Errors
    ///
    /// [`ExternalError::Settings`] if the settings cannot work.
    pub fn new(
        settings: ProviderSettings,
        directory: Arc<Directory>,
    ) -> Result<Self, ExternalError> {
        let problem = |problem| ExternalError::Settings { provider: settings.id.clone(), problem };
        let kind = match (&settings.custom, known::find(&settings.id)) {
            (Some(_), Some(_)) => return Err(problem("this key has endpoints already")),
            (Some(custom), None) => Kind::Custom(custom.clone()),
            (None, Some(known)) => Kind::Known(known),
            (None, None) => return Err(problem("unknown, and without endpoints")),
        };
        if settings.client_ids.first().is_none_or(String::is_empty) {
            return Err(problem("missing client id"));
        }
        if Url::parse(&settings.redirect_uri).is_err() {
            return Err(problem("the redirect URI is not a URL"));
        }
        if settings.url.as_deref().is_some_and(|url| Url::parse(url).is_err()) {
            return Err(problem("the URL is not one"));
        }
        if settings.id == "keycloak" && settings.url.is_none() {
            return Err(problem("missing the URL of the realm"));
        }
        Ok(Self { settings, kind, directory })
    }

    /// The provider's key.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Whether a code challenge is sent, and the verifier therefore needed when the code comes back.
    pub fn uses_pkce(&self) -> bool {
        match &self.kind {
            Kind::Known(known) => known.pkce,
            Kind::Custom(_) => self.settings.pkce,
        }
    }

    /// Whether a nonce is sent and comes back in the ID token.
    pub fn uses_nonce(&self) -> bool {
        match &self.kind {
            Kind::Known(known) => known.id_tokens.as_ref().is_some_and(|tokens| tokens.nonce),
            Kind::Custom(custom) => matches!(custom, Custom::Oidc { .. }),
        }
    }

    /// Whether a user may come without an address.
    pub fn email_optional(&self) -> bool {
        self.settings.email_optional
    }

    /// Where to send the browser.
    ///
    /// # Errors
    ///
    /// [`ExternalError`] if the endpoints have to be discovered and cannot be, or the settings' URLs are none.
    pub async fn authorize_url(
        &self,
        request: &AuthorizeRequest<'_>,
    ) -> Result<Url, ExternalError> {
        let ends = self.ends().await?;
        let client = self.client(&ends, request.redirect_uri)?;
        let mut asked = client
            .authorize_url(|| CsrfToken::new(request.state.to_owned()))
            .add_scopes(self.scopes(request.scopes).into_iter().map(Scope::new));
        let own = match &self.kind {
            Kind::Known(known) => known.parameters,
            Kind::Custom(_) => &[],
        };
        for &(name, value) in own {
            asked = asked.add_extra_param(name, value);
        }
        if let Some(nonce) = request.nonce.filter(|_| self.uses_nonce()) {
            asked = asked.add_extra_param("nonce", nonce);
        }
        if let Some(challenge) = request.pkce_challenge.filter(|_| self.uses_pkce()) {
            asked = asked.add_extra_param("code_challenge", challenge);
            asked = asked.add_extra_param("code_challenge_method", "S256");
        }
        let fixed: Vec<(String, String)> =
            self.settings.extra.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in flow::forwarded(&fixed) {
            asked = asked.add_extra_param(name, value);
        }
        let given = flow::forwarded(request.extra);
        for (name, value) in given.filter(|(name, _)| !self.settings.extra.contains_key(*name)) {
            if !own.iter().any(|(own, _)| *own == name) {
                asked = asked.add_extra_param(name, value);
            }
        }
        Ok(asked.url().0)
    }

    /// Exchanges the code of a callback. `redirect_uri` must be that of the authorization request.
    ///
    /// # Errors
    ///
    /// [`ExternalError::Denied`] if the provider refuses the code, the verifier or the client; others if it cannot be asked.
    pub async fn exchange(
        &self,
        code: &str,
        verifier: Option<&str>,
        redirect_uri: Option<&str>,
    ) -> Result<ProviderTokens, ExternalError> {
        let client = self.client(&self.ends().await?, redirect_uri)?;
        let mut request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        if let Some(verifier) = verifier.filter(|_| self.uses_pkce()) {
            request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()));
        }
        let http = TokenEndpoint(self.directory.outgoing());
        let answer = Box::pin(request.request_async(&http)).await;
        Ok(answer.map_err(flow::failure)?.into())
    }

    /// New tokens for a refresh token, for calls on the user's behalf. If the answer has a refresh token, it replaces the old one.
    ///
    /// # Errors
    ///
    /// As [`Self::exchange`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<ProviderTokens, ExternalError> {
        let client = self.client(&self.ends().await?, None)?;
        let refresh_token = RefreshToken::new(refresh_token.to_owned());
        let http = TokenEndpoint(self.directory.outgoing());
        let request = client.exchange_refresh_token(&refresh_token);
        let answer = Box::pin(request.request_async(&http)).await;
        Ok(answer.map_err(flow::failure)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::ExpectedNonce;
    use super::*;

    /// Compiles only if the calls may be made on a server that moves them between threads.
    #[expect(dead_code, reason = "compiling it is the test")]
    fn every_call_is_send(provider: &Provider, tokens: &ProviderTokens) {
        fn is_send(_: impl Send) {}
        is_send(provider.authorize_url(&AuthorizeRequest::default()));
        is_send(provider.exchange("", None, None));
        is_send(provider.refresh(""));
        is_send(provider.profile(tokens, None));
        is_send(provider.verify_id_token("", ExpectedNonce::Any, None));
    }
}
