//! The project as an identity provider for other apps and MCP clients (OAuth 2.1, OpenID Connect Core).
//!
//! An app sends its user here (`GET /oauth/authorize`), the project's own site asks for consent and says so
//! (`/oauth/authorizations/{id}`), the app is given a code and exchanges it (`POST /oauth/token`) for a session of its
//! own. Such a session names the app: it reads and writes what row level security lets it, and cannot administer the
//! account (see [`crate::Guard::User`]).

mod admin;
mod authorization;
mod authorize;
mod client;
mod client_auth;
mod code_grant;
mod consent;
mod grants;
mod id_token;
mod metadata;
mod redirect_uri;
mod refresh;
mod register;
mod scope;
mod token;
mod userinfo;

pub(super) use admin::{
    create as create_client, delete as delete_client, get as get_client, list as list_clients,
    regenerate_secret, update as update_client,
};
pub(super) use authorize::answer as authorize;
pub(super) use consent::{decide, details};
pub(super) use grants::{list as list_grants, revoke as revoke_grant};
pub(super) use metadata::{authorization_server, openid_configuration};
pub(super) use register::answer as register;
pub(super) use token::answer as token;
pub(super) use userinfo::answer as userinfo;

use crate::error::{Error, Result, code};
use crate::service::Call;

/// Whether the project lets others sign its users in.
///
/// # Errors
///
/// 404 `feature_disabled` when it does not.
fn enabled(call: &Call<'_>) -> Result<()> {
    match call.auth.config().oauth_server.enabled {
        true => Ok(()),
        false => Err(Error::not_found(code::FEATURE_DISABLED, "The OAuth server is disabled")),
    }
}
