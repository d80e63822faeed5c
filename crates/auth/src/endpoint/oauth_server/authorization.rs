//! Requests of apps to sign a user in, from the first redirect to the code: rows of `auth.oauth_authorizations`.
//!
//! A code is stored as a digest. The row outlives its use for a day, so that a code that comes a second time is known
//! as such; the session that was made with it has the id of the row.

use plinth_wire::Secret;
use serde::Deserialize;
use url::Url;
use uuid::Uuid;

use super::client::{self, Client};
use crate::db::{Db, Work};
use crate::error::Result;
use crate::user::{USER, User};

/// Seconds that an app has to exchange its code (RFC 6749 §4.1.2 wants ten minutes at most).
const CODE_SECONDS: i64 = 300;

/// A request to sign somebody in, with the app that makes it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Authorization {
    /// Primary key, and the id of the session to be.
    pub id: Uuid,
    /// Its name for the page that asks for consent.
    pub authorization_id: String,
    /// Who was asked, once that is known.
    pub user_id: Option<Uuid>,
    /// Where the app gets its user back.
    pub redirect_uri: String,
    /// What the app wants to know, separated by spaces.
    pub scope: String,
    /// Given back to the app as it is.
    pub state: Option<String>,
    /// The server that the tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// What the app must prove to know: S256.
    pub code_challenge: Option<String>,
    /// `pending`, `approved`, `denied`, or `expired` once its code was used.
    pub status: String,
    /// For the ID token.
    pub nonce: Option<String>,
    /// Its time is over.
    pub over: bool,
    /// Who makes it.
    pub client: Client,
}

/// With whom a code is exchanged.
#[derive(Debug, Deserialize)]
pub(super) struct Granted {
    /// What was granted.
    pub authorization: Authorization,
    /// By whom; nobody when the user was deleted.
    pub user: Option<User>,
}

/// A request as it is stored.
#[derive(Debug, Default)]
pub(super) struct New<'a> {
    pub(super) client: Uuid,
    pub(super) redirect_uri: &'a str,
    pub(super) scope: &'a str,
    pub(super) state: Option<&'a str>,
    pub(super) resource: Option<&'a str>,
    pub(super) code_challenge: &'a str,
    pub(super) nonce: Option<&'a str>,
    /// Until it is over.
    pub(super) seconds: i64,
}

/// The row `a` with its app.
const AUTHORIZATION: &str = "to_jsonb(a) || jsonb_build_object('client', \
     (select to_jsonb(c) from auth.oauth_clients c where c.id = a.client_id and c.deleted_at is null))";

/// Stores a request; returns its name. Some of those that nobody answered are forgotten.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn begin(db: &Db, new: &New<'_>) -> Result<String> {
    let name = client::random()?;
    let mut work = Work::of(
        "delete from auth.oauth_authorizations where id in (select id from auth.oauth_authorizations \
         where status = 'pending' and expires_at < now() - interval '1 day' limit 20)",
        &[],
    );
    work.add(
        "insert into auth.oauth_authorizations (id, authorization_id, client_id, redirect_uri, scope, state, resource, \
         code_challenge, code_challenge_method, nonce, created_at, expires_at) \
         values (gen_random_uuid(), $1, $2::uuid, $3, $4, $5, $6, $7, 's256', $8, now(), \
         now() + make_interval(secs => $9::bigint))",
        &[
            &name,
            &new.client,
            &new.redirect_uri,
            &new.scope,
            &new.state,
            &new.resource,
            &new.code_challenge,
            &new.nonce,
            &new.seconds,
        ],
    );
    db.run(work).await?;
    Ok(name)
}

/// Shows a request to `user`, who is from now on the only one to see it. `None` when there is none for this user;
/// otherwise also the scopes that the user lets the app have already.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn show(
    db: &Db,
    name: &str,
    user: Uuid,
) -> Result<Option<(Authorization, String)>> {
    let mut work = Work::of(
        "update auth.oauth_authorizations set user_id = $2::uuid where authorization_id = $1 and user_id is null \
         and status = 'pending' and expires_at > now()",
        &[&name, &user],
    );
    let sql = format!(
        "select jsonb_build_array({AUTHORIZATION} || jsonb_build_object('over', a.expires_at <= now()), \
         coalesce((select o.scopes from auth.oauth_consents o where o.user_id = a.user_id \
                   and o.client_id = a.client_id and o.revoked_at is null), '')) \
         from auth.oauth_authorizations a join auth.oauth_clients c on c.id = a.client_id and c.deleted_at is null \
         where a.authorization_id = $1 and a.user_id = $2::uuid"
    );
    let place = work.add(&sql, &[&name, &user]);
    db.run(work).await?.json(place)
}

/// Grants a pending request and remembers that; returns the code, or `None` when it is not pending any more.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn approve(
    db: &Db,
    request: &Authorization,
    user: Uuid,
) -> Result<Option<Secret>> {
    let code = client::new_secret()?;
    let answers = db
        .query(
            "with approved as ( \
               update auth.oauth_authorizations set status = 'approved', approved_at = now(), authorization_code = $3 \
               where id = $1::uuid and user_id = $2::uuid and status = 'pending' and expires_at > now() \
               returning user_id, client_id, scope) \
             insert into auth.oauth_consents as o (id, user_id, client_id, scopes, granted_at) \
             select gen_random_uuid(), user_id, client_id, scope, now() from approved \
             on conflict (user_id, client_id) do update set granted_at = now(), revoked_at = null, \
               scopes = case when o.revoked_at is not null then excluded.scopes else \
                 o.scopes || coalesce((select string_agg(' ' || more.scope, '' order by more.place) \
                   from unnest(string_to_array(excluded.scopes, ' ')) with ordinality as more (scope, place) \
                   where more.scope <> all (string_to_array(o.scopes, ' '))), '') end \
             returning 1",
            &[&request.id, &user, &client::secret_hash(&code)],
        )
        .await?;
    Ok(answers.any(0).then_some(code))
}

/// Refuses a pending request; whether it was pending.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn deny(db: &Db, request: &Authorization, user: Uuid) -> Result<bool> {
    let sql = "update auth.oauth_authorizations set status = 'denied' \
               where id = $1::uuid and user_id = $2::uuid and status = 'pending' returning 1";
    Ok(db.query(sql, &[&request.id, &user]).await?.any(0))
}

/// What was granted with `code`, used or not.
///
/// # Errors
///
/// Those of the database.
pub(super) async fn find_by_code(db: &Db, code: &Secret) -> Result<Option<Granted>> {
    let sql = format!(
        "select jsonb_build_object('authorization', {AUTHORIZATION} || jsonb_build_object('over', \
           coalesce(a.approved_at + make_interval(secs => $2::bigint) <= now(), true)), \
         'user', (select {USER} from auth.users u where u.id = a.user_id and u.deleted_at is null)) \
         from auth.oauth_authorizations a join auth.oauth_clients c on c.id = a.client_id and c.deleted_at is null \
         where a.authorization_code = $1"
    );
    db.query(&sql, &[&client::secret_hash(code), &CODE_SECONDS]).await?.json(0)
}

impl Authorization {
    /// Uses its code up: `work` comes to nothing when somebody else was quicker. Older ones of the user are forgotten.
    pub(super) fn consume(&self, work: &mut Work) {
        work.add(
            "with used as (update auth.oauth_authorizations set status = 'expired' \
             where id = $1::uuid and status = 'approved' returning 1) select 1 / count(*) from used",
            &[&self.id],
        );
        work.add(
            "delete from auth.oauth_authorizations where user_id = $1::uuid and expires_at < now() - interval '1 day'",
            &[&self.user_id],
        );
    }

    /// Where the app gets its user back, with `answer` and what it needs to know that the answer is for it.
    pub(super) fn back(&self, answer: &[(&str, &str)], issuer: &str) -> String {
        back(&self.redirect_uri, answer, self.state.as_deref(), issuer)
    }
}

/// `uri` with `answer`, the app's `state`, and who answers (RFC 9207).
pub(super) fn back(
    uri: &str,
    answer: &[(&str, &str)],
    state: Option<&str>,
    issuer: &str,
) -> String {
    // Only what was registered comes here, and that was read as a URL.
    let Ok(mut url) = Url::parse(uri) else { return uri.to_owned() };
    url.query_pairs_mut()
        .extend_pairs(answer)
        .extend_pairs(state.map(|state| ("state", state)))
        .append_pair("iss", issuer);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_goes_into_the_query_and_leaves_the_rest() {
        let issuer = "https://a.example";
        assert_eq!(
            back("https://app.example/cb?tenant=1", &[("code", "x y")], Some("a&b"), issuer),
            "https://app.example/cb?tenant=1&code=x+y&state=a%26b&iss=https%3A%2F%2Fa.example"
        );
        assert_eq!(
            back("com.example.app:/cb", &[("error", "access_denied")], None, issuer),
            "com.example.app:/cb?error=access_denied&iss=https%3A%2F%2Fa.example"
        );
    }
}
