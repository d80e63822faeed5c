//! `/admin/users/{id}/factors` and `/admin/users/{id}/passkeys`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{named, unknown};
use crate::account;
use crate::audit::{self, Action};
use crate::contact::phone_contact;
use crate::db::{Work, condition_failed};
use crate::endpoint::{mfa, passkey};
use crate::error::{Error, Result, code};
use crate::post::Notice;
use crate::request::Response;
use crate::service::Call;
use crate::session;
use crate::user::{Factor, User};

const CHANGE: &str = "\
with changed as ( \
  update auth.mfa_factors set friendly_name = coalesce($3, friendly_name), phone = coalesce($4, phone), updated_at = now() \
  where id = $1::uuid and user_id = $2::uuid returning 1) \
select 1 / count(*) from changed";

const DELETE: &str = "\
with removed as (delete from auth.mfa_factors where id = $1::uuid and user_id = $2::uuid returning 1) \
select 1 / count(*) from removed";

#[derive(Deserialize)]
struct Body {
    friendly_name: Option<String>,
    phone: Option<String>,
}

/// `GET /admin/users/{id}/factors`.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response> {
    let user = named(call).await?;
    let views: Vec<_> = user.factors.iter().map(Factor::view).collect();
    Ok(Response::ok(&views))
}

/// `PUT /admin/users/{id}/factors/{factor}`: its name, and the number of a phone.
pub(crate) async fn change(call: &Call<'_>) -> Result<Response> {
    let user = named(call).await?;
    let (factor, kind) = mfa::named(call, 1, &user)?;
    let body: Body = call.request.json()?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let name = given(&body.friendly_name);
    let name = name.as_deref().map(|name| mfa::normalized_name(Some(name))).transpose()?;
    let phone = given(&body.phone).filter(|_| kind == mfa::Kind::Phone);
    let phone =
        phone.map(|phone| Ok::<_, Error>(phone_contact(&phone)?.text().to_owned())).transpose()?;
    let mut work = Work::new();
    work.add(CHANGE, &[&factor.id, &user.id, &name, &phone]);
    note(call, &mut work, &user, factor, "factor_updated");
    let place = account::read(&mut work, user.id);
    let answers =
        call.auth.db().try_run(work).await.map_err(|error| match condition_failed(&error) {
            true => mfa::unknown(),
            false => mfa::enrolment_refused(error, name.unwrap_or_default()),
        })?;
    let changed: User = answers.json(place)?.ok_or_else(unknown)?;
    let changed = changed.factors.iter().find(|other| other.id == factor.id);
    Ok(Response::ok(&changed.ok_or_else(mfa::unknown)?.view()))
}

/// `DELETE /admin/users/{id}/factors/{factor}`. Sessions that were `aal2` by it are `aal1` from then on.
pub(crate) async fn remove(call: &Call<'_>) -> Result<Response> {
    let user = named(call).await?;
    let (factor, _) = mfa::named(call, 1, &user)?;
    let mut work = Work::new();
    work.add(DELETE, &[&factor.id, &user.id]);
    session::step_down(&mut work, factor.id);
    note(call, &mut work, &user, factor, "factor_deleted");
    call.auth
        .db()
        .try_run(work)
        .await
        .map_err(|error| if condition_failed(&error) { mfa::unknown() } else { error.into() })?;
    if factor.is_verified() {
        call.notify(&user, Notice::FactorUnenrolled { kind: &factor.factor_type });
    }
    Ok(Response::ok(&factor.view()))
}

fn note(call: &Call<'_>, work: &mut Work, user: &User, factor: &Factor, action: &'static str) {
    let traits: Value = json!({"user_id": user.id, "factor_id": factor.id});
    audit::add_by_admin(work, call.request, Action(action), traits);
}

/// `GET /admin/users/{id}/passkeys`.
pub(crate) async fn passkeys(call: &Call<'_>) -> Result<Response> {
    passkey::enabled(call)?;
    let user = named(call).await?;
    passkey::list_of(call.auth.db(), user.id).await
}

/// `DELETE /admin/users/{id}/passkeys/{passkey}`.
pub(crate) async fn remove_passkey(call: &Call<'_>) -> Result<Response> {
    passkey::enabled(call)?;
    let user = named(call).await?;
    let id = call
        .id(1)
        .ok_or_else(|| Error::not_found(code::VALIDATION_FAILED, "passkey_id must be an UUID"))?;
    let mut work = Work::new();
    let traits = json!({"user_id": user.id, "passkey_id": id});
    audit::add_by_admin(&mut work, call.request, Action("passkey_deleted"), traits);
    passkey::delete_of(call.auth.db(), work, user.id, id).await
}
