//! `/admin`: users as servers manage them.

mod audit_log;
mod change;
mod factors;
mod links;
mod list;
mod users;

pub(super) use audit_log::read as audit_log;
pub(super) use factors::{
    change as change_factor, list as factors, passkeys, remove as remove_factor, remove_passkey,
};
pub(super) use links::{generate, invite};
pub(super) use list::{COUNTED, Page, list};
pub(super) use users::{create, delete, get, update};

use uuid::Uuid;

use crate::account;
use crate::error::{Error, Result, code};
use crate::service::Call;
use crate::user::User;

/// The user whom the path names.
pub(super) async fn named(call: &Call<'_>) -> Result<User> {
    let id: Uuid = call
        .id(0)
        .ok_or_else(|| Error::not_found(code::VALIDATION_FAILED, "user_id must be an UUID"))?;
    account::find(call.auth.db(), id).await?.ok_or_else(unknown)
}

pub(super) fn unknown() -> Error {
    Error::not_found(code::USER_NOT_FOUND, "User not found")
}
