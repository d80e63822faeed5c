//! `DELETE /user/identities/{id}`: takes an identity away from its user.

use plinth_wire::WireError;
use serde_json::json;
use uuid::Uuid;

use super::manual_linking;
use crate::account;
use crate::audit::{self, Action};
use crate::db::{Work, condition_failed};
use crate::error::{Error, Result, code};
use crate::post::Notice;
use crate::request::Response;
use crate::service::Call;

/// Nobody else takes the other identity away meanwhile.
const LOCK: &str = "select 1 from auth.users where id = $1::uuid for update";

const DELETE: &str = "\
with gone as (delete from auth.identities i where i.id = $2::uuid and i.user_id = $1::uuid and exists \
(select from auth.identities o where o.user_id = $1::uuid and o.id <> $2::uuid) returning 1) select 1 / count(*) from gone";

/// The address is kept while an identity has it; otherwise it is that of the oldest identity that has one, and proved if
/// that provider has verified it.
const FOLLOW_EMAIL: &str = "\
update auth.users u set email = next.email, email_confirmed_at = \
case when next.verified then coalesce(u.email_confirmed_at, now()) end, updated_at = now() \
from (select (select i.email from auth.identities i where i.user_id = $1::uuid and i.email <> '' order by i.created_at, i.id limit 1) as email, \
coalesce((select i.identity_data -> 'email_verified' = 'true' from auth.identities i where i.user_id = $1::uuid and i.email <> '' \
order by i.created_at, i.id limit 1), false) as verified) next \
where u.id = $1::uuid and u.email is not null \
and not exists (select from auth.identities i where i.user_id = $1::uuid and i.email = u.email)";

const FORGET_PHONE: &str = "\
update auth.users set phone = null, phone_confirmed_at = null, updated_at = now() where id = $1::uuid";

/// Takes the identity away; the last one stays.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response> {
    let user = call.user()?;
    manual_linking(call)?;
    let id: Uuid = call
        .id(0)
        .ok_or_else(|| Error::not_found(code::VALIDATION_FAILED, "identity_id must be an UUID"))?;
    if user.identities.len() <= 1 {
        return Err(single());
    }
    let identity = user.identities.iter().find(|identity| identity.id == id);
    let identity = identity
        .ok_or_else(|| Error::unprocessable(code::IDENTITY_NOT_FOUND, "Identity doesn't exist"))?;
    let mut work = Work::new();
    work.add(LOCK, &[&user.id]);
    work.add(DELETE, &[&user.id, &id]);
    match identity.provider.as_str() {
        "phone" => work.add(FORGET_PHONE, &[&user.id]),
        _ => work.add(FOLLOW_EMAIL, &[&user.id]),
    };
    account::follow_providers(&mut work, user.id);
    let log = json!({
        "identity_id": identity.id,
        "provider": identity.provider,
        "provider_id": identity.provider_id,
    });
    audit::add(&mut work, call.request, user, Action("identity_unlinked"), log);
    call.auth.db().try_run(work).await.map_err(failed)?;
    call.notify(user, Notice::IdentityUnlinked { provider: &identity.provider });
    Ok(Response::done())
}

fn single() -> Error {
    let message = "User must have at least 1 identity after unlinking";
    Error::unprocessable(code::SINGLE_IDENTITY_NOT_DELETABLE, message)
}

fn failed(error: WireError) -> Error {
    match &error {
        // Somebody took the other identity, or this one, away meanwhile.
        _ if condition_failed(&error) => single(),
        WireError::Database(database) if database.code == "23505" => Error::unprocessable(
            code::EMAIL_CONFLICT_IDENTITY_NOT_DELETABLE,
            "Unable to unlink identity due to email conflict",
        ),
        _ => error.into(),
    }
}
