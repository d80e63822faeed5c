//! `DELETE /factors/{id}`.

use serde_json::json;

use super::{lock, named, somebody, unknown};
use crate::audit::{self, Action};
use crate::db::{Work, condition_failed};
use crate::error::{Error, Result, code};
use crate::post::Notice;
use crate::request::Response;
use crate::service::Call;
use crate::session;

/// Fails when it is gone, or when it counts by now and the session has not proved a factor.
const DELETE: &str = "\
with removed as ( \
  delete from auth.mfa_factors where id = $1::uuid and user_id = $2::uuid and (status = 'unverified' or $3::boolean) \
  returning 1) \
select 1 / count(*) from removed";

/// Takes a factor away. Sessions that were `aal2` by it are `aal1` from then on.
pub(in crate::endpoint) async fn remove(call: &Call<'_>) -> Result<Response> {
    let user = somebody(call)?;
    let (factor, _) = named(call, 0, user)?;
    let session = call.session_row()?.id;
    let strong = call.is_strong()?;
    if factor.is_verified() && !strong {
        let message = "AAL2 required to unenroll verified factor";
        return Err(Error::unprocessable(code::INSUFFICIENT_AAL, message));
    }
    let mut work = Work::new();
    lock(&mut work, user);
    work.add(DELETE, &[&factor.id, &user.id, &strong]);
    session::step_down(&mut work, factor.id);
    let traits =
        json!({"factor_id": factor.id, "factor_status": factor.status, "session_id": session});
    audit::add(&mut work, call.request, user, Action("factor_unenrolled"), traits);
    call.auth
        .db()
        .try_run(work)
        .await
        .map_err(|error| if condition_failed(&error) { unknown() } else { error.into() })?;
    if factor.is_verified() {
        call.notify(user, Notice::FactorUnenrolled { kind: &factor.factor_type });
    }
    Ok(Response::ok(&json!({"id": factor.id})))
}
