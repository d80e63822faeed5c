//! Where a provider's flow goes, and with what.

use std::borrow::Cow;

use oauth2::{AuthType, AuthUrl, Client, ClientId, ClientSecret, RedirectUrl, TokenUrl};

use super::super::flow::OAuthClient;
use super::super::known::{ClientAuth, Endpoints};
use super::super::{Custom, ExternalError};
use super::{Kind, Provider};

/// Where a flow goes, and how the client proves itself there.
pub(super) struct Ends<'a> {
    authorize: Cow<'a, str>,
    token: Cow<'a, str>,
    client_auth: ClientAuth,
}

impl Provider {
    pub(super) async fn ends(&self) -> Result<Ends<'_>, ExternalError> {
        let url = self.settings.url.as_deref();
        match &self.kind {
            Kind::Known(known) => match &known.endpoints {
                Endpoints::Fixed { authorize, token } => Ok(Ends {
                    authorize: authorize.resolve(url).into(),
                    token: token.resolve(url).into(),
                    client_auth: known.client_auth,
                }),
                Endpoints::Discovered => self.discovered(Some(known.client_auth)).await,
            },
            Kind::Custom(Custom::Oidc { .. }) => self.discovered(None).await,
            Kind::Custom(Custom::OAuth2 { authorization_url, token_url, .. }) => Ok(Ends {
                authorize: authorization_url.into(),
                token: token_url.into(),
                client_auth: ClientAuth::Basic,
            }),
        }
    }

    async fn discovered(&self, client_auth: Option<ClientAuth>) -> Result<Ends<'_>, ExternalError> {
        let document = self.issuer("").await?.document;
        let supported = &document.token_endpoint_auth_methods_supported;
        let has = |method: &str| supported.iter().any(|supported| supported == method);
        // Basic is what a document without the list means (OpenID Connect Discovery §3).
        let post = !has("client_secret_basic") && has("client_secret_post");
        let offered = if post { ClientAuth::Post } else { ClientAuth::Basic };
        Ok(Ends {
            authorize: document.authorization_endpoint.clone().into(),
            token: document.token_endpoint.clone().into(),
            client_auth: client_auth.unwrap_or(offered),
        })
    }

    pub(super) fn client(
        &self,
        ends: &Ends<'_>,
        redirect_uri: Option<&str>,
    ) -> Result<OAuthClient, ExternalError> {
        let redirect_uri = redirect_uri.unwrap_or(&self.settings.redirect_uri);
        let wrong = |problem| {
            move |_| ExternalError::Settings { provider: self.settings.id.clone(), problem }
        };
        let authorize = AuthUrl::new(ends.authorize.to_string())
            .map_err(wrong("the authorization endpoint is not a URL"))?;
        if !matches!(authorize.url().scheme(), "https" | "http") {
            return Err(ExternalError::Malformed("authorization endpoint"));
        }
        let token = TokenUrl::new(ends.token.to_string())
            .map_err(wrong("the token endpoint is not a URL"))?;
        let redirect = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(wrong("the redirect URI is not a URL"))?;
        let auth_type = match ends.client_auth {
            ClientAuth::Basic => AuthType::BasicAuth,
            ClientAuth::Post => AuthType::RequestBody,
        };
        let id = self.settings.client_ids.first().cloned().unwrap_or_default();
        let mut client = Client::new(ClientId::new(id))
            .set_auth_uri(authorize)
            .set_token_uri(token)
            .set_redirect_uri(redirect)
            .set_auth_type(auth_type);
        let secret = self.settings.secret.expose();
        if !secret.is_empty() {
            client = client.set_client_secret(ClientSecret::new(secret.to_owned()));
        }
        Ok(client)
    }

    /// The provider's scopes, those of the settings and those of the request, each once.
    pub(super) fn scopes(&self, asked: &str) -> Vec<String> {
        let usual: &[&str] = match &self.kind {
            Kind::Known(known) => known.scopes,
            Kind::Custom(Custom::Oidc { .. }) if self.settings.scopes.is_empty() => {
                &["openid", "profile", "email"]
            }
            Kind::Custom(Custom::Oidc { .. }) => &["openid"],
            Kind::Custom(Custom::OAuth2 { .. }) => &[],
        };
        let mut scopes: Vec<String> = Vec::new();
        let all = usual
            .iter()
            .copied()
            .chain(self.settings.scopes.iter().map(String::as_str))
            .chain(asked.split([',', ' ', '+']));
        for scope in all.map(str::trim).filter(|scope| !scope.is_empty()) {
            if !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
        scopes
    }
}
