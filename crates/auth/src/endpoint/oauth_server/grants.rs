//! `/user/oauth/grants`: which apps the user lets in.

use http::StatusCode;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::client::Client;
use super::enabled;
use crate::audit::{self, Action};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::request::Response;
use crate::service::Call;

#[derive(Deserialize)]
struct Grant {
    scopes: String,
    granted_at: Timestamp,
    client: Client,
}

/// `GET /user/oauth/grants`: the newest first.
pub(crate) async fn list(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let sql = "select jsonb_build_object('scopes', o.scopes, 'granted_at', o.granted_at, 'client', to_jsonb(c)) \
               from auth.oauth_consents o join auth.oauth_clients c on c.id = o.client_id and c.deleted_at is null \
               where o.user_id = $1::uuid and o.revoked_at is null order by o.granted_at desc";
    let answers = call.auth.db().query(sql, &[&call.user()?.id]).await?;
    let grants: Vec<Grant> = answers.json_rows(0)?;
    let views: Vec<Value> = grants
        .iter()
        .map(|grant| {
            json!({
                "client": grant.client.introduction(),
                "scopes": grant.scopes.split_whitespace().collect::<Vec<_>>(),
                "granted_at": grant.granted_at,
            })
        })
        .collect();
    Ok(Response::ok(&views))
}

/// `DELETE /user/oauth/grants?client_id=`: the app is out, with everything that it was given.
pub(crate) async fn revoke(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    let user = call.user()?;
    let id = call.request.parameter("client_id");
    let id = id.ok_or_else(|| Error::validation("client_id query parameter is required"))?;
    let id: Uuid =
        id.parse().map_err(|_not_a_uuid| Error::validation("invalid client_id format"))?;
    let mut work = Work::of(
        "update auth.oauth_consents set revoked_at = now() \
         where user_id = $1::uuid and client_id = $2::uuid and revoked_at is null returning 1",
        &[&user.id, &id],
    );
    for table in ["sessions", "oauth_authorizations"] {
        let column = if table == "sessions" { "oauth_client_id" } else { "client_id" };
        let end =
            format!("delete from auth.{table} where user_id = $1::uuid and {column} = $2::uuid");
        work.add(&end, &[&user.id, &id]);
    }
    let traits = json!({"oauth_client_id": id, "action": "revoke_oauth_grant"});
    audit::add(&mut work, call.request, user, Action("token_revoked"), traits);
    if !call.auth.db().run(work).await?.any(0) {
        let message = "No active grant found for this client";
        return Err(Error::not_found(code::OAUTH_CONSENT_NOT_FOUND, message));
    }
    Ok(Response::empty(StatusCode::NO_CONTENT))
}
