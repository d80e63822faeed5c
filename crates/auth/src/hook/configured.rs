//! The hooks of a project.

use std::collections::HashMap;
use std::sync::Arc;

use plinth_wire::Secret;
use reqwest::Client;
use tokio::sync::Semaphore;

use super::uri::{UriError, parse};
use super::{Hook, HookKind};
use crate::config::{AuthConfig, HookConfig, HookTarget};

/// Calls that nobody waits for, at a time. A further one is not made.
const MAX_BACKGROUND: usize = 64;

/// The hooks of a project, by kind.
#[derive(Debug, Clone)]
pub struct Hooks {
    hooks: HashMap<HookKind, Hook>,
    /// Places for calls that nobody waits for.
    pub(crate) background: Arc<Semaphore>,
}

/// Which hook cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("`auth.hook.{name}` cannot be used")]
pub struct HooksError {
    /// Its name in the settings.
    pub name: String,
    source: UriError,
}

impl Default for Hooks {
    /// No hook at all.
    fn default() -> Self {
        let background = Arc::new(Semaphore::new(MAX_BACKGROUND));
        Self { hooks: HashMap::new(), background }
    }
}

impl Hooks {
    /// Those of a project's settings, which call with `client`.
    ///
    /// # Errors
    ///
    /// [`HooksError`] for the first one that cannot be used.
    pub fn from_config(config: &AuthConfig, client: &Client) -> Result<Self, HooksError> {
        let mut hooks = HashMap::new();
        for kind in HookKind::ALL {
            let Some(settings) = config.hooks.get(kind.key()) else { continue };
            let failed = |source| HooksError { name: kind.key().to_owned(), source };
            hooks.insert(kind, one(settings, client).map_err(failed)?);
        }
        Ok(Self { hooks, ..Self::default() })
    }

    /// The hook of that kind.
    pub fn get(&self, kind: HookKind) -> Option<&Hook> {
        self.hooks.get(&kind)
    }
}

fn one(settings: &HookConfig, client: &Client) -> Result<Hook, UriError> {
    let secrets: Vec<&str> = settings.secrets.iter().map(Secret::expose).collect();
    let secrets = Secret::new(secrets.join("|"));
    match &settings.target {
        HookTarget::Function { schema, name } => {
            parse(&format!("pg-functions://postgres/{schema}/{name}"), &secrets, client)
        }
        HookTarget::Http(url) => parse(url.as_str(), &secrets, client),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(target: HookTarget, secret: &str) -> Result<Hooks, HooksError> {
        let mut config = AuthConfig::default();
        for kind in HookKind::ALL {
            let secrets = vec![Secret::new(secret), Secret::new(secret)];
            let hook = HookConfig { target: target.clone(), secrets };
            config.hooks.insert(kind.key().to_owned(), hook);
        }
        Hooks::from_config(&config, &crate::outgoing::client().unwrap())
    }

    #[test]
    fn every_kind_of_the_settings_is_called() {
        let function = HookTarget::Function { schema: "public".into(), name: "hook".into() };
        let functions = hooks(function, "").unwrap();
        let url = HookTarget::Http("https://example.com/hook".parse().unwrap());
        let servers = hooks(url, "v1,whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=").unwrap();
        for kind in HookKind::ALL {
            assert!(matches!(functions.get(kind), Some(Hook::Function(_))));
            assert!(matches!(servers.get(kind), Some(Hook::Http(_))));
            assert!(Hooks::default().get(kind).is_none());
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let url = HookTarget::Http("https://example.com/hook".parse().unwrap());
        let error = hooks(url, "hush").unwrap_err();
        assert_eq!(error.name, "before_user_created");
        assert!(error.to_string().starts_with("`auth.hook.before_user_created` cannot be used"));
        assert!(!error.to_string().contains("hush"));
    }
}
