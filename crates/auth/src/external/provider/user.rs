//! Who somebody is: from ID tokens or from the provider's own documents.

use std::borrow::Cow;
use std::sync::Arc;

use aws_lc_rs::hmac;
use http::header::{ACCEPT, AUTHORIZATION};
use serde_json::{Map, Value};
use url::Url;

use super::super::azure::Tenant;
use super::super::claims::{self, Claims, ClaimsReader};
use super::super::directory::Document;
use super::super::flow::ProviderTokens;
use super::super::id_token::{self, Expected, ExpectedNonce};
use super::super::known::{User, With};
use super::super::{Custom, ExternalError, IdTokenError, Profile, readers};
use super::{Kind, Provider};

/// The document that was found is about somebody else.
const OTHER_ISSUER: ExternalError = ExternalError::Malformed("discovery document's issuer");

/// Whose tokens are accepted, and how they are read.
pub(super) struct Issuer {
    pub(super) document: Arc<Document>,
    aliases: &'static [&'static str],
    read: ClaimsReader,
    one_organisation: bool,
}

impl Provider {
    /// Who the tokens of [`Self::exchange`] belong to. `nonce` is the one of the authorization request.
    ///
    /// # Errors
    ///
    /// [`ExternalError::IdToken`] if the ID token is not acceptable, [`ExternalError::NoEmail`] if there is no address and one is
    /// required, others if the provider cannot be asked or understood.
    pub async fn profile(
        &self,
        tokens: &ProviderTokens,
        nonce: Option<&str>,
    ) -> Result<Profile, ExternalError> {
        let profile = match &self.kind {
            Kind::Known(known) => match &known.user {
                User::IdToken => self.by_id_token(tokens, nonce).await?,
                User::IdTokenOrUserinfo => self.by_openid(tokens, nonce).await?,
                User::Documents { api, paths, with, read } => {
                    let api = api.resolve(self.settings.url.as_deref());
                    let documents = self.documents(&api, paths, *with, tokens).await?;
                    read(&api, &documents)?
                }
                User::TokenAnswer { api, read } => {
                    let profile = tokens.profile.clone().unwrap_or_default();
                    read(&api.resolve(self.settings.url.as_deref()), &[profile])?
                }
            },
            Kind::Custom(Custom::Oidc { .. }) => self.by_openid(tokens, nonce).await?,
            Kind::Custom(Custom::OAuth2 { userinfo_url, .. }) => {
                let user = self.get(userinfo_url, tokens, With::Nothing).await?;
                let issuer = Url::parse(userinfo_url).map(|url| url.origin().ascii_serialization());
                readers::userinfo(&issuer.unwrap_or_default(), &self.mapped(user))?
            }
        };
        self.with_email(profile)
    }

    /// Who an ID token that a client obtained by itself belongs to. It must be for one of the settings' client ids; `access_token`
    /// is the one that was issued along, if the client has it.
    ///
    /// # Errors
    ///
    /// As [`Self::profile`], and [`ExternalError::NoIdTokens`] if the provider has none.
    pub async fn verify_id_token(
        &self,
        token: &str,
        nonce: ExpectedNonce<'_>,
        access_token: Option<&str>,
    ) -> Result<Profile, ExternalError> {
        let (issuer, claims) =
            self.verified(token, nonce, &self.settings.client_ids, access_token).await?;
        self.with_email(issuer.read(&claims)?)
    }

    async fn by_id_token(
        &self,
        tokens: &ProviderTokens,
        nonce: Option<&str>,
    ) -> Result<Profile, ExternalError> {
        let (issuer, claims) = self.flow_claims(tokens, nonce).await?;
        issuer.read(&claims)
    }

    /// The ID token's claims; where they have no address, those of the user endpoint beside them (OpenID Connect Core §5.3.2).
    async fn by_openid(
        &self,
        tokens: &ProviderTokens,
        nonce: Option<&str>,
    ) -> Result<Profile, ExternalError> {
        if tokens.id_token.is_none() {
            let document = self.issuer("").await?.document;
            let url = document.userinfo_endpoint.as_deref();
            let url = url.ok_or(ExternalError::Malformed("answer without an ID token"))?;
            let user = self.get(url, tokens, With::Nothing).await?;
            return readers::userinfo(document.issuer(), &self.mapped(user));
        }
        let (issuer, mut claims) = self.flow_claims(tokens, nonce).await?;
        if let Some(url) = &issuer.document.userinfo_endpoint
            && claims.get("email").is_none()
        {
            let user = self.get(url, tokens, With::Nothing).await?;
            if user.get("sub") != claims.get("sub") {
                return Err(ExternalError::Malformed("user endpoint's subject"));
            }
            claims.remove("email_verified");
            for (claim, value) in user.as_object().cloned().unwrap_or_default() {
                claims.entry(claim).or_insert(value);
            }
        }
        let Value::Object(claims) = self.mapped(Value::Object(claims)) else {
            return Err(ExternalError::Malformed("claims"));
        };
        issuer.read(&claims)
    }

    async fn flow_claims(
        &self,
        tokens: &ProviderTokens,
        nonce: Option<&str>,
    ) -> Result<(Issuer, Map<String, Value>), ExternalError> {
        let id_token = tokens.id_token.as_ref();
        let id_token = id_token.ok_or(ExternalError::Malformed("answer without an ID token"))?;
        let nonce = match nonce.filter(|_| self.uses_nonce()) {
            Some(nonce) => ExpectedNonce::Sent(nonce),
            None => ExpectedNonce::Any,
        };
        let first = self.settings.client_ids.get(..1).unwrap_or_default();
        let access_token = tokens.access_token.expose();
        self.verified(id_token.expose(), nonce, first, Some(access_token)).await
    }

    async fn verified(
        &self,
        token: &str,
        nonce: ExpectedNonce<'_>,
        client_ids: &[String],
        access_token: Option<&str>,
    ) -> Result<(Issuer, Map<String, Value>), ExternalError> {
        let header = id_token::header(token)?;
        let issuer = self.issuer(token).await?;
        let keys = self.directory.keys_for(&issuer.document, header.kid.as_deref()).await?;
        let mut issuers = vec![issuer.document.issuer()];
        issuers.extend(issuer.aliases);
        let nonce = if self.settings.skip_nonce_check { ExpectedNonce::Any } else { nonce };
        let expected = Expected { issuers: &issuers, client_ids, nonce, access_token };
        let claims = id_token::verify(token, &header, &keys, &expected)?;
        Ok((issuer, claims))
    }

    /// Whose tokens are accepted. `token` is looked at only for Azure, where every tenant is an issuer.
    pub(super) async fn issuer(&self, token: &str) -> Result<Issuer, ExternalError> {
        let url = self.settings.url.as_deref();
        let (address, aliases, read): (&str, &[&str], ClaimsReader) = match &self.kind {
            Kind::Known(known) if known.id == "azure" => return self.azure_issuer(token).await,
            Kind::Known(known) => {
                let tokens = known.id_tokens.as_ref().ok_or(ExternalError::NoIdTokens)?;
                let aliases = if url.is_none() { tokens.aliases } else { &[] };
                (url.unwrap_or(tokens.issuer), aliases, tokens.read)
            }
            Kind::Custom(Custom::Oidc { issuer, .. }) => (issuer, &[], claims::generic),
            Kind::Custom(Custom::OAuth2 { .. }) => return Err(ExternalError::NoIdTokens),
        };
        let document = match &self.kind {
            Kind::Custom(Custom::Oidc { discovery_url: Some(url), .. }) => {
                self.directory.document_at(url).await?
            }
            _ => self.directory.document(address).await?,
        };
        let same = document.issuer().trim_end_matches('/') == address.trim_end_matches('/');
        if !same && !aliases.contains(&document.issuer()) {
            return Err(OTHER_ISSUER);
        }
        Ok(Issuer { document, aliases, read, one_organisation: false })
    }

    async fn azure_issuer(&self, token: &str) -> Result<Issuer, ExternalError> {
        let tenant = Tenant::of(self.settings.url.as_deref());
        let (address, one_organisation) = match tenant.address() {
            Some(address) => (address, true),
            None => {
                let issuer = id_token::unverified_issuer(token)?;
                let accepted = tenant.accepts(&issuer);
                (accepted.then_some(issuer).ok_or(IdTokenError::Issuer)?, false)
            }
        };
        let document = self.directory.document(&address).await?;
        let by_domain = one_organisation && tenant.accepts(document.issuer());
        if document.issuer() != address && !by_domain {
            return Err(OTHER_ISSUER);
        }
        Ok(Issuer { document, aliases: &[], read: claims::azure, one_organisation })
    }

    async fn documents(
        &self,
        api: &str,
        paths: &[&str],
        with: With,
        tokens: &ProviderTokens,
    ) -> Result<Vec<Value>, ExternalError> {
        let mut documents = Vec::with_capacity(paths.len());
        for path in paths {
            documents.push(self.get(&format!("{api}{path}"), tokens, with).await?);
        }
        Ok(documents)
    }

    async fn get(
        &self,
        url: &str,
        tokens: &ProviderTokens,
        with: With,
    ) -> Result<Value, ExternalError> {
        let token = tokens.access_token.expose();
        let mut url = Cow::Borrowed(url);
        let mut request = http::Request::get("/")
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, format!("Bearer {token}"));
        match with {
            With::Nothing => {}
            With::ClientId => request = request.header("client-id", &self.settings.client_ids[0]),
            With::NotionVersion => request = request.header("notion-version", "2021-08-16"),
            With::FacebookProof => {
                let key =
                    hmac::Key::new(hmac::HMAC_SHA256, self.settings.secret.expose().as_bytes());
                let proof = hmac::sign(&key, token.as_bytes());
                url.to_mut().push_str("&appsecret_proof=");
                url.to_mut().push_str(&id_token::hex(proof.as_ref()));
            }
        }
        let malformed = |_| ExternalError::Malformed("user endpoint");
        let request = request.uri(url.as_ref()).body(Vec::new()).map_err(malformed)?;
        let answer = self.directory.outgoing().send(request).await?;
        if !answer.status.is_success() {
            return Err(ExternalError::Status(answer.status.as_u16()));
        }
        serde_json::from_slice(&answer.body).map_err(|_| ExternalError::Malformed("user"))
    }

    /// The claims after the settings' mapping: a text names another claim (or, with a leading slash, a JSON pointer, RFC 6901),
    /// anything else is the value itself.
    fn mapped(&self, mut claims: Value) -> Value {
        let original = claims.clone();
        for (target, source) in &self.settings.attribute_mapping {
            let value = match source {
                Value::String(pointer) if pointer.starts_with('/') => original.pointer(pointer),
                Value::String(claim) => original.get(claim),
                fixed => Some(fixed),
            };
            if let (Some(value), Some(claims)) = (value, claims.as_object_mut()) {
                claims.insert(target.clone(), value.clone());
            }
        }
        claims
    }

    fn with_email(&self, profile: Profile) -> Result<Profile, ExternalError> {
        if profile.emails.is_empty() && !self.settings.email_optional {
            return Err(ExternalError::NoEmail);
        }
        Ok(profile)
    }
}

impl Issuer {
    fn read(&self, claims: &Map<String, Value>) -> Result<Profile, ExternalError> {
        (self.read)(&Claims { all: claims, one_organisation: self.one_organisation })
    }
}
