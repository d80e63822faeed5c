//! `GET /passkeys`, `PATCH` and `DELETE /passkeys/{id}`.

use serde::Deserialize;
use serde_json::json;

use super::{enabled, may_manage, store};
use crate::audit::{self, Action};
use crate::db::Work;
use crate::error::{Error, Result};
use crate::request::Response;
use crate::service::Call;

/// Longest name of a passkey, in characters.
const MAX_NAME: usize = 120;

#[derive(Deserialize)]
struct Body {
    friendly_name: Option<String>,
}

/// The user's passkeys.
pub(in crate::endpoint) async fn list(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    store::list_of(call.auth.db(), call.user()?.id).await
}

/// Names a passkey.
pub(in crate::endpoint) async fn rename(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let user = call.user()?;
    let passkey = call.id(0).ok_or_else(store::unknown)?;
    let name = call.request.json::<Body>()?.friendly_name.unwrap_or_default();
    if name.is_empty() {
        return Err(Error::validation("friendly_name is required"));
    }
    if name.chars().count() > MAX_NAME || name.contains('\0') {
        let message = format!("friendly_name must be {MAX_NAME} characters or less");
        return Err(Error::validation(message));
    }
    let mut work = Work::new();
    let traits = json!({"passkey_id": passkey});
    audit::add(&mut work, call.request, user, Action("passkey_updated"), traits);
    let view = store::rename(call.auth.db(), work, user.id, passkey, &name).await?;
    Ok(Response::ok(&view))
}

/// Takes a passkey away.
pub(in crate::endpoint) async fn remove(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let user = call.user()?;
    may_manage(call, user)?;
    let passkey = call.id(0).ok_or_else(store::unknown)?;
    let mut work = Work::new();
    let traits = json!({"passkey_id": passkey});
    audit::add(&mut work, call.request, user, Action("passkey_deleted"), traits);
    store::delete_of(call.auth.db(), work, user.id, passkey).await
}
