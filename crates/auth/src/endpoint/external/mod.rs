//! Sign-in by outside identity providers.

mod arrival;
mod authorize;
mod callback;
mod custom;
mod id_token_grant;
mod kept;
mod providers;
mod state;
mod unlink;
mod visitor;

pub(crate) use authorize::{authorize, link};
pub(crate) use callback::answer as callback;
pub(crate) use custom::{
    create as create_provider, delete as delete_provider, list as list_providers,
    read as read_provider, update as update_provider,
};
pub(crate) use id_token_grant::answer as id_token_grant;
pub(crate) use kept::of_flow as provider_tokens;
pub(crate) use providers::Providers;
pub(crate) use unlink::answer as unlink;

use crate::error::{Error, Result, code};
use crate::request::Response;
use crate::service::Call;

/// Companies' own providers by SAML: there are none.
pub(crate) fn saml() -> Result<Response> {
    Err(Error::not_found(code::SAML_PROVIDER_DISABLED, "SAML 2.0 is disabled"))
}

/// Sign-in by a wallet: there is none.
pub(crate) fn web3() -> Result<Response> {
    Err(Error::unprocessable(code::WEB3_PROVIDER_DISABLED, "Web3 provider is disabled"))
}

/// Whether users may link and unlink identities.
fn manual_linking(call: &Call<'_>) -> Result<()> {
    match call.auth.config().manual_linking {
        true => Ok(()),
        false => {
            let message = "Manual linking is disabled";
            Err(Error::not_found(code::MANUAL_LINKING_DISABLED, message))
        }
    }
}
