use std::collections::BTreeMap;

use plinth_wire::Secret;
use serde_json::{Map, Value};

/// How one provider is configured. Everything but the id, a client id and the redirect URI may be left at its default.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// The provider's key: one of [`known_ids`](super::known_ids), or any other together with `custom`.
    pub id: String,
    /// Client ids. The first one is used for the redirect flow; ID tokens are accepted for all of them, such as those of mobile
    /// applications.
    pub client_ids: Vec<String>,
    /// The client secret. Apple's is a JWT that the operator makes and renews. Empty for a public client.
    pub secret: Secret,
    /// Where the provider sends the browser back to, unless a call says otherwise.
    pub redirect_uri: String,
    /// Replaces the provider's host: a self-hosted GitLab or GitHub, a Keycloak realm, an Azure tenant
    /// (`https://login.microsoftonline.com/{tenant}`), or the issuer where discovery is used.
    pub url: Option<String>,
    /// Scopes that are asked for in addition to the provider's usual ones.
    pub scopes: Vec<String>,
    /// Accept ID tokens without looking at their nonce. For clients that cannot send one.
    pub skip_nonce_check: bool,
    /// Accept users for whom the provider gives no address.
    pub email_optional: bool,
    /// Parameters that are added to every authorization request.
    pub extra: BTreeMap<String, String>,
    /// Whether a code challenge is sent (RFC 7636). For custom providers.
    pub pkce: bool,
    /// Endpoints of a provider that is not known by name.
    pub custom: Option<Custom>,
    /// Claim of the profile → name of the provider's claim (a text), or a fixed value (anything else). For custom providers.
    pub attribute_mapping: Map<String, Value>,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            id: String::new(),
            client_ids: Vec::new(),
            secret: Secret::new(""),
            redirect_uri: String::new(),
            url: None,
            scopes: Vec::new(),
            skip_nonce_check: false,
            email_optional: false,
            extra: BTreeMap::new(),
            pkce: true,
            custom: None,
            attribute_mapping: Map::new(),
        }
    }
}

/// A provider that is not known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Custom {
    /// OpenID Connect; endpoints and keys come from `{issuer}/.well-known/openid-configuration`.
    Oidc {
        /// The issuer, exactly as its tokens name it.
        issuer: String,
        /// Where the discovery document is, if it is elsewhere.
        discovery_url: Option<String>,
    },
    /// OAuth 2.0 with a user endpoint that answers in OpenID Connect's claims, or in others that `attribute_mapping` translates.
    OAuth2 {
        /// Where the browser goes.
        authorization_url: String,
        /// Where codes are exchanged.
        token_url: String,
        /// Where the user is described.
        userinfo_url: String,
    },
}
