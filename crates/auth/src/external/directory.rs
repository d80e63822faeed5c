//! What issuers publish about themselves: discovery documents and keys, fetched once and kept for a while.

mod cache;
mod keys;

use std::sync::Arc;
use std::time::Duration;

use http::header::ACCEPT;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ExternalError;
use crate::outgoing::Outgoing;
use cache::{Cache, Freshness};
use keys::KeySet;
pub(super) use keys::{Key, name as algorithm_name};

/// How many issuers are remembered. At the bound the one that was not used for longest is forgotten.
const ISSUER_LIMIT: usize = 128;

/// How long what was fetched is kept.
#[derive(Debug, Clone, Copy)]
pub struct DirectorySettings {
    /// After this long a document is fetched anew. When that fails, the old one serves.
    pub max_age: Duration,
    /// An unknown key id makes the keys be fetched anew, but not sooner than this after they were fetched last.
    pub key_refetch: Duration,
    /// After a failure nothing is asked for this long.
    pub retry_after: Duration,
}

impl Default for DirectorySettings {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(60 * 60),
            key_refetch: Duration::from_secs(30),
            retry_after: Duration::from_secs(5),
        }
    }
}

/// Discovery documents and keys of all issuers. One per process, shared by all providers.
#[derive(Debug)]
pub struct Directory {
    outgoing: Outgoing,
    settings: DirectorySettings,
    documents: Cache<Document>,
    keys: Cache<KeySet>,
}

/// What is used of a discovery document (OpenID Connect Discovery 1.0 §3).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Document {
    issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) userinfo_endpoint: Option<String>,
    jwks_uri: String,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
}

impl Directory {
    /// A directory that knows nothing yet.
    pub fn new(outgoing: Outgoing, settings: DirectorySettings) -> Arc<Self> {
        Arc::new(Self {
            outgoing,
            settings,
            documents: Cache::new(ISSUER_LIMIT),
            keys: Cache::new(ISSUER_LIMIT),
        })
    }

    /// The client that everything here is fetched with.
    pub fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The document of the issuer at `address`. Whether it is the expected one is for the caller to check.
    pub(super) async fn document(&self, address: &str) -> Result<Arc<Document>, ExternalError> {
        let address = address.trim_end_matches('/');
        self.document_at(&format!("{address}/.well-known/openid-configuration")).await
    }

    /// The document at `url`. Whether its issuer is the expected one is for the caller to check.
    pub(super) async fn document_at(&self, url: &str) -> Result<Arc<Document>, ExternalError> {
        let fetch = self.fetch::<Document>(url, "discovery document");
        let document =
            self.documents.get(url, self.freshness(self.settings.max_age), fetch).await?;
        document.ok_or(ExternalError::Unavailable("discovery document"))
    }

    /// The keys of `document`'s issuer that fit `kid`. Fetches them anew if there is none.
    pub(super) async fn keys_for(
        &self,
        document: &Document,
        kid: Option<&str>,
    ) -> Result<Vec<Key>, ExternalError> {
        let url = document.jwks_uri.as_str();
        let usual = self.freshness(self.settings.max_age);
        let unavailable = || ExternalError::Unavailable("key set");
        let known = self.keys.get(url, usual, self.fetch_keys(url)).await?;
        let known = known.ok_or_else(unavailable)?.find(kid);
        if !known.is_empty() {
            return Ok(known);
        }
        let anew = self.freshness(self.settings.key_refetch);
        let known = self.keys.get(url, anew, self.fetch_keys(url)).await?;
        Ok(known.ok_or_else(unavailable)?.find(kid))
    }

    async fn fetch_keys(&self, url: &str) -> Result<KeySet, ExternalError> {
        Ok(KeySet::read(&self.fetch(url, "key set").await?))
    }

    fn freshness(&self, max_age: Duration) -> Freshness {
        Freshness { max_age, retry_after: self.settings.retry_after }
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        url: &str,
        what: &'static str,
    ) -> Result<T, ExternalError> {
        let request = http::Request::get(url)
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| ExternalError::Malformed(what))?;
        let answer = self.outgoing.send(request).await?;
        if !answer.status.is_success() {
            return Err(ExternalError::Status(answer.status.as_u16()));
        }
        serde_json::from_slice(&answer.body).map_err(|_| ExternalError::Malformed(what))
    }
}

impl Document {
    /// The issuer as it writes itself, which its tokens repeat.
    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }
}
