//! Sign-in by outside identity providers: OAuth 2.0 (RFC 6749, PKCE by RFC 7636) and OpenID Connect.
//!
//! A [`Provider`] is made from plain [`ProviderSettings`] and knows four things: where to send the browser, how to exchange the code
//! that comes back, how to read who the user is, and how to verify an ID token that a client already holds. Whether that somebody
//! may sign in, and as which user, is decided elsewhere: nothing here touches the database or the routes.
//!
//! Providers that agree with a pattern are rows of a table (`known`); what differs is their endpoints, scopes and the shape of the
//! profile, which a pure function reads. Discovery documents and keys are fetched through a [`Directory`] that all providers share.

mod azure;
mod claims;
mod directory;
mod error;
mod flow;
mod id_token;
mod known;
mod profile;
mod provider;
mod readers;
mod settings;

pub use directory::{Directory, DirectorySettings};
pub use error::{ExternalError, IdTokenError};
pub use flow::{AuthorizeRequest, Pkce, ProviderTokens, nonce, pkce};
pub use id_token::ExpectedNonce;
pub use profile::{Email, Profile};
pub use provider::Provider;
pub use settings::{Custom, ProviderSettings};

/// The keys of the providers that need no endpoints of their own in the settings, in alphabetical order.
pub fn known_ids() -> impl Iterator<Item = &'static str> {
    known::KNOWN.iter().map(|known| known.id)
}
