//! `POST /logout`.

use http::StatusCode;
use serde_json::Value;

use crate::audit::{self, Action};
use crate::db::Work;
use crate::error::{Error, Result};
use crate::request::Response;
use crate::service::Call;

/// Ends this session, the others, or all of the user's; access tokens live until they expire.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    let user = call.user()?;
    let caller = call.caller()?;
    let session = caller.session.as_ref().map(|session| session.id);
    let scope = call.request.parameter("scope");
    // An app ends what it was given, and nothing else.
    let scope = if caller.is_app() { Some("local") } else { scope.as_deref() };
    let condition = match (scope, session) {
        (None | Some("global"), _) => "",
        (Some("local"), None) if !caller.is_app() => "",
        (Some("local"), _) => " and id = $2::uuid",
        (Some("others"), _) => " and id is distinct from $2::uuid",
        (Some(other), _) => {
            let other: String = other.chars().take(64).collect();
            return Err(Error::validation(format!("Unsupported logout scope {other:?}")));
        }
    };
    let mut work = Work::new();
    audit::add(&mut work, call.request, user, Action("logout"), Value::Null);
    let sql = format!("delete from auth.sessions where user_id = $1::uuid{condition}");
    if condition.is_empty() {
        work.add(&sql, &[&user.id]);
    } else {
        work.add(&sql, &[&user.id, &session]);
    }
    call.auth.db().run(work).await?;
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
