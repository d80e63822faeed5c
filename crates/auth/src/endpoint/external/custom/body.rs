//! What administrators say about a provider of theirs.

use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::{Kind, Row};
use crate::config::PROVIDERS;
use crate::endpoint::external::providers::CUSTOM;
use crate::error::{Error, Result};
use crate::service::Call;
use crate::user::Object;

/// Parameters of the authorization request that are not for settings to set.
const RESERVED: [&str; 10] = [
    "client_id",
    "client_secret",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "nonce",
];

/// Claims that a mapping must not reach: who somebody is and what the provider has verified is for its answer to say, and the
/// rest is ours.
const PROTECTED: [&str; 13] = [
    "id",
    "iss",
    "aud",
    "role",
    "app_metadata",
    "created_at",
    "updated_at",
    "confirmed_at",
    "email_confirmed_at",
    "phone_confirmed_at",
    "banned_until",
    "is_super_admin",
    "is_anonymous",
];

/// Most characters of a name or a URL.
const TEXT: usize = 2048;

/// Most entries of a list or a map.
const ENTRIES: usize = 64;

/// A provider to be made, or what is to change of one.
#[derive(Deserialize)]
pub(super) struct Body {
    provider_type: Option<String>,
    identifier: Option<String>,
    name: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    acceptable_client_ids: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    pkce_enabled: Option<bool>,
    attribute_mapping: Option<Object>,
    authorization_params: Option<Object>,
    enabled: Option<bool>,
    email_optional: Option<bool>,
    issuer: Option<String>,
    discovery_url: Option<String>,
    skip_nonce_check: Option<bool>,
    authorization_url: Option<String>,
    token_url: Option<String>,
    userinfo_url: Option<String>,
    jwks_uri: Option<String>,
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn required(text: &Option<String>, message: &'static str) -> Result<String> {
    given(text).map(str::to_owned).ok_or_else(|| Error::validation(message))
}

impl Body {
    /// The client secret, when there is one.
    pub(super) fn secret(&self) -> Option<&str> {
        given(&self.client_secret)
    }

    /// A new provider, still without its secret.
    pub(super) fn row(&self) -> Result<Row> {
        let provider_type = match given(&self.provider_type) {
            Some("oauth2") => Kind::OAuth2,
            Some("oidc") => Kind::Oidc,
            _ => return Err(Error::validation("provider_type must be either 'oauth2' or 'oidc'")),
        };
        let mut row = Row {
            id: Uuid::new_v4(),
            provider_type,
            identifier: identifier(&required(&self.identifier, "identifier is required")?)?,
            name: required(&self.name, "name is required")?,
            client_id: required(&self.client_id, "client_id is required")?,
            client_secret: String::new(),
            acceptable_client_ids: Vec::new(),
            scopes: Vec::new(),
            pkce_enabled: true,
            attribute_mapping: Object::new(),
            authorization_params: Object::new(),
            enabled: true,
            email_optional: false,
            issuer: None,
            discovery_url: None,
            skip_nonce_check: false,
            authorization_url: None,
            token_url: None,
            userinfo_url: None,
            jwks_uri: None,
            created_at: None,
            updated_at: None,
        };
        self.change(&mut row)?;
        Ok(row)
    }

    /// Changes what was given; kind and identifier stay.
    pub(super) fn change(&self, row: &mut Row) -> Result<()> {
        fn set<T: Clone>(place: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                place.clone_from(value);
            }
        }
        fn set_url(place: &mut Option<String>, value: &Option<String>) {
            if value.is_some() {
                *place = given(value).map(str::to_owned);
            }
        }
        for (place, value) in [(&mut row.name, &self.name), (&mut row.client_id, &self.client_id)] {
            if let Some(value) = given(value) {
                value.clone_into(place);
            }
        }
        set(&mut row.acceptable_client_ids, &self.acceptable_client_ids);
        set(&mut row.scopes, &self.scopes);
        set(&mut row.pkce_enabled, &self.pkce_enabled);
        set(&mut row.attribute_mapping, &self.attribute_mapping);
        set(&mut row.authorization_params, &self.authorization_params);
        set(&mut row.enabled, &self.enabled);
        set(&mut row.email_optional, &self.email_optional);
        match row.provider_type {
            Kind::Oidc => {
                set_url(&mut row.issuer, &self.issuer);
                set_url(&mut row.discovery_url, &self.discovery_url);
                set(&mut row.skip_nonce_check, &self.skip_nonce_check);
                if !row.scopes.iter().any(|scope| scope == "openid") {
                    row.scopes.insert(0, "openid".to_owned());
                }
            }
            Kind::OAuth2 => {
                set_url(&mut row.authorization_url, &self.authorization_url);
                set_url(&mut row.token_url, &self.token_url);
                set_url(&mut row.userinfo_url, &self.userinfo_url);
                set_url(&mut row.jwks_uri, &self.jwks_uri);
            }
        }
        Ok(())
    }
}

/// With its prefix; names of providers that are there anyway are refused.
fn identifier(given: &str) -> Result<String> {
    let name = given.strip_prefix(CUSTOM).unwrap_or(given);
    if PROVIDERS.contains(&name.to_ascii_lowercase().as_str()) {
        let message = format!("Cannot use reserved provider name: {name}.");
        return Err(Error::validation(message));
    }
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    if name.is_empty() || name.len() > 100 || !name.bytes().all(fine) {
        let message = "identifier may have letters, digits and -_.: and at most 100 characters";
        return Err(Error::validation(message));
    }
    Ok(format!("{CUSTOM}{name}"))
}

impl Row {
    /// Refuses what cannot work or must not be.
    pub(super) fn check(&self, call: &Call<'_>) -> Result<()> {
        if let Some(name) = self.authorization_params.keys().find(|name| is_reserved(name)) {
            let message = format!("Cannot override reserved OAuth parameter: {name}");
            return Err(Error::validation(message));
        }
        let protected = |name: &&String| PROTECTED.contains(&name.as_str());
        if let Some(name) = self.attribute_mapping.keys().find(protected) {
            let message = format!("Cannot map to protected system field: {name}");
            return Err(Error::validation(message));
        }
        self.check_sizes()?;
        let needed: &[(&Option<String>, &'static str)] = match self.provider_type {
            Kind::Oidc => &[(&self.issuer, "issuer is required for OIDC providers")],
            Kind::OAuth2 => &[
                (&self.authorization_url, "authorization_url is required for OAuth2 providers"),
                (&self.token_url, "token_url is required for OAuth2 providers"),
                (&self.userinfo_url, "userinfo_url is required for OAuth2 providers"),
            ],
        };
        for (url, message) in needed {
            required(url, message)?;
        }
        let urls = [
            &self.issuer,
            &self.discovery_url,
            &self.authorization_url,
            &self.token_url,
            &self.userinfo_url,
            &self.jwks_uri,
        ];
        for url in urls.into_iter().flatten() {
            let parsed = Url::parse(url)
                .ok()
                .filter(|url| url.username().is_empty() && url.password().is_none());
            let allowed =
                parsed.is_some_and(|url| call.auth.directory().outgoing().check(&url).is_ok());
            if !allowed || url.len() > TEXT {
                return Err(Error::validation(format!("URL is not allowed: {url:.200}")));
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<()> {
        let texts = [&self.name, &self.client_id].into_iter();
        let mut texts = texts.chain(&self.acceptable_client_ids).chain(&self.scopes);
        let maps = [&self.attribute_mapping, &self.authorization_params];
        let many = self.acceptable_client_ids.len().max(self.scopes.len()) > ENTRIES
            || maps.iter().any(|map| {
                map.len() > ENTRIES
                    || serde_json::to_string(map).map_or(true, |text| text.len() > 16 * TEXT)
            });
        match many || texts.any(|text| text.len() > TEXT) {
            true => Err(Error::validation("the settings of the provider are too long")),
            false => Ok(()),
        }
    }
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name.to_ascii_lowercase().as_str())
}
