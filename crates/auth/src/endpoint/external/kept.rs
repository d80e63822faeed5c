//! Tokens of providers: on their way to the client, and kept for acting on the user's behalf. Both are sealed.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::providers::Configured;
use crate::db::Work;
use crate::error::{Error, Result};
use crate::external::{Profile, ProviderTokens};
use crate::flow::Flow;
use crate::seal::SealError;
use crate::service::{Auth, Call};

const ACCESS_TOKEN: &str = "auth.flow_state.provider_access_token";
const REFRESH_TOKEN: &str = "auth.flow_state.provider_refresh_token";
const KEPT: &str = "plinth.provider_token.tokens";

const INTO_FLOW: &str = "\
update auth.flow_state set provider_access_token = $2, provider_refresh_token = $3, updated_at = now() where id = $1::uuid";

const KEEP: &str = "\
insert into plinth.provider_token (provider, provider_user_id, user_id, handle, tokens, scopes, expires_at) \
values ($1, $2, $3::uuid, $4, $5, $6, $7::timestamptz) on conflict (provider, provider_user_id) do update set \
user_id = excluded.user_id, handle = excluded.handle, tokens = excluded.tokens, scopes = excluded.scopes, \
expires_at = excluded.expires_at, updated_at = now()";

/// What is sealed of an account's tokens.
#[derive(Serialize, Deserialize)]
struct Tokens<'a> {
    access_token: &'a str,
    refresh_token: Option<&'a str>,
}

/// Puts a provider's tokens where the client that began `flow` gets them once.
///
/// # Errors
///
/// 500 when they cannot be sealed.
pub(super) fn into_flow(
    call: &Call<'_>,
    work: &mut Work,
    flow: &Flow,
    tokens: &ProviderTokens,
) -> Result<()> {
    let seal = |purpose, text: &str| {
        let sealed = call.auth.sealer().seal(purpose, &flow.id.to_string(), text.as_bytes());
        sealed.map_err(unsealed)
    };
    let access = seal(ACCESS_TOKEN, tokens.access_token.expose())?;
    let refresh = tokens.refresh_token.as_ref();
    let refresh = refresh.map(|token| seal(REFRESH_TOKEN, token.expose())).transpose()?;
    work.add(INTO_FLOW, &[&flow.id, &access, &refresh]);
    Ok(())
}

/// The provider's access token and refresh token that wait in `flow`.
pub(crate) fn of_flow(auth: &Auth, flow: &Flow) -> (Option<String>, Option<String>) {
    let open = |purpose, sealed: &Option<String>| {
        let opened = auth.sealer().open_text(purpose, &flow.id.to_string(), sealed.as_deref()?);
        match opened {
            Ok(token) => Some(token.expose().to_owned()),
            Err(error) => {
                tracing::error!(error = %error, "a provider's token cannot be opened");
                None
            }
        }
    };
    (
        open(ACCESS_TOKEN, &flow.provider_access_token),
        open(REFRESH_TOKEN, &flow.provider_refresh_token),
    )
}

/// Keeps the account's tokens, where that is wanted of the provider. The identity must be there by then.
///
/// # Errors
///
/// 500 when they cannot be sealed.
pub(super) fn keep(
    call: &Call<'_>,
    work: &mut Work,
    configured: &Configured,
    user: Uuid,
    profile: &Profile,
    tokens: &ProviderTokens,
) -> Result<()> {
    if !configured.keep_tokens {
        return Ok(());
    }
    let (provider, account) = (&configured.name, &profile.provider_id);
    let refresh_token = tokens.refresh_token.as_ref().map(|token| token.expose());
    let plain = Tokens { access_token: tokens.access_token.expose(), refresh_token };
    let plain = serde_json::to_vec(&plain).map_err(|_| unsealed(SealError::Failed))?;
    let row = row(provider, account, user);
    let sealed = call.auth.sealer().seal(KEPT, &row, &plain).map_err(unsealed)?;
    let handle = profile.metadata.get("user_name").and_then(|name| name.as_str());
    let values: &[&dyn crate::db::Param] =
        &[provider, account, &user, &handle, &sealed, &tokens.scope, &tokens.expires_at];
    work.add(KEEP, values);
    Ok(())
}

/// What kept tokens are bound to: the account and the user it belongs to.
fn row(provider: &str, account: &str, user: Uuid) -> String {
    format!("{user}/{provider}/{account}")
}

fn unsealed(error: SealError) -> Error {
    tracing::error!(error = %error, "a provider's tokens cannot be sealed");
    Error::internal("Unexpected failure, please check server logs for more information")
}
