//! The providers of a project: those of its settings, and those that its administrators have added.

use std::collections::BTreeMap;
use std::sync::Arc;

use plinth_wire::Secret;

use super::custom;
use crate::config::{AuthConfig, ProviderConfig};
use crate::error::{Error, Result};
use crate::external::{Custom, Directory, Provider, ProviderSettings, known_ids};
use crate::service::Call;

/// What the names of added providers begin with.
pub(super) const CUSTOM: &str = "custom:";

/// A provider as a project uses it.
pub(crate) struct Configured {
    /// The name by which clients ask for it and identities remember it.
    pub(super) name: String,
    /// How it is spoken to.
    pub(super) provider: Provider,
    /// Whether its tokens are kept for acting on the user's behalf.
    pub(super) keep_tokens: bool,
}

/// The providers of a project's settings, by name.
pub(crate) struct Providers(BTreeMap<String, Arc<Configured>>);

impl Providers {
    /// The providers that can be used. What is wrong with the others is logged.
    pub(crate) fn of_config(
        config: &AuthConfig,
        external_url: &str,
        directory: &Arc<Directory>,
    ) -> Self {
        let usable = config.external.iter().filter_map(|(name, provider)| {
            let settings = settings(name, provider, external_url);
            match Provider::new(settings, directory.clone()) {
                Ok(made) => {
                    let configured = Configured {
                        name: name.clone(),
                        provider: made,
                        keep_tokens: provider.keep_tokens,
                    };
                    Some((name.clone(), Arc::new(configured)))
                }
                Err(error) => {
                    tracing::error!(error = %error, "a provider of identities cannot be used");
                    None
                }
            }
        });
        Self(usable.collect())
    }

    /// The provider of a name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<Configured>> {
        self.0.get(name).cloned()
    }
}

/// Where providers send people back to.
pub(super) fn callback_url(external_url: &str) -> String {
    format!("{external_url}/callback")
}

fn settings(name: &str, config: &ProviderConfig, external_url: &str) -> ProviderSettings {
    let id = canonical(name);
    let custom = match &config.issuer {
        Some(issuer) if !known_ids().any(|known| known == id) => {
            Some(Custom::Oidc { issuer: issuer.clone(), discovery_url: None })
        }
        _ => None,
    };
    ProviderSettings {
        id: id.to_owned(),
        client_ids: config.client_ids.clone(),
        secret: config.secret.clone().unwrap_or_else(|| Secret::new("")),
        redirect_uri: config.redirect_uri.clone().unwrap_or_else(|| callback_url(external_url)),
        url: config.url.clone(),
        scopes: config.scopes.clone(),
        skip_nonce_check: config.skip_nonce_check,
        email_optional: config.email_optional,
        custom,
        ..ProviderSettings::default()
    }
}

/// The provider that a name of the settings stands for: two have changed their ways and are known by new names.
fn canonical(name: &str) -> &str {
    match name {
        "linkedin" => "linkedin_oidc",
        "slack" => "slack_oidc",
        name => name,
    }
}

impl Call<'_> {
    /// The provider that a client asks for.
    ///
    /// # Errors
    ///
    /// 400 when there is none of that name, or it is switched off.
    pub(super) async fn provider(&self, name: &str) -> Result<Arc<Configured>> {
        let found = match name.starts_with(CUSTOM) {
            true => custom::find(self, name).await?,
            false => self.auth.providers().get(&name.to_ascii_lowercase()),
        };
        found.ok_or_else(|| Error::validation("Unsupported provider: provider is not enabled"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(issuer: Option<&str>) -> ProviderConfig {
        ProviderConfig {
            client_ids: vec!["client".to_owned()],
            secret: None,
            redirect_uri: None,
            url: None,
            skip_nonce_check: false,
            email_optional: false,
            issuer: issuer.map(str::to_owned),
            scopes: Vec::new(),
            keep_tokens: false,
        }
    }

    #[test]
    fn old_names_stand_for_the_new_ways() {
        for (name, id) in
            [("slack", "slack_oidc"), ("linkedin", "linkedin_oidc"), ("github", "github")]
        {
            assert_eq!(settings(name, &config(None), "http://a").id, id);
        }
    }

    #[test]
    fn an_issuer_makes_a_provider_only_of_names_that_are_not_known() {
        let issuer = Some("https://id.example");
        assert!(settings("google", &config(issuer), "http://a").custom.is_none());
        assert!(settings("slack", &config(issuer), "http://a").custom.is_none());
        let ours = settings("ours", &config(issuer), "http://a");
        let issuer = "https://id.example".to_owned();
        assert_eq!(ours.custom, Some(Custom::Oidc { issuer, discovery_url: None }));
    }

    #[test]
    fn people_come_back_to_this_interface_unless_somewhere_else_is_named() {
        let mut config = config(None);
        assert_eq!(
            settings("x", &config, "http://a/auth/v1").redirect_uri,
            "http://a/auth/v1/callback"
        );
        config.redirect_uri = Some("https://b/back".to_owned());
        assert_eq!(settings("x", &config, "http://a/auth/v1").redirect_uri, "https://b/back");
    }
}
