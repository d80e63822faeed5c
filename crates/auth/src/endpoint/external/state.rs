//! What is remembered while somebody is away at a provider, and the text by which it is found again.
//!
//! The text (`state`, RFC 6749 §10.12) names the flow and has a random key, of which only the digest is kept. It is
//! kept sealed in `auth.oauth_client_states`, together with the code verifier and the nonce that the provider's answer is
//! held against, and is taken out once.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::external::{Pkce, nonce, pkce};
use crate::flow::{self, Flow, NewFlow};
use crate::random::{same, secret_hash, url_safe_token};
use crate::seal::SealError;
use crate::service::{Call, seconds};

/// What the memory is sealed for.
const PURPOSE: &str = "auth.oauth_client_states.code_verifier";

/// Forgets a few of the flows that nobody came back from. Both tables grow by what strangers ask, so that each who asks
/// clears away more than is added.
const FORGET: [&str; 2] = [
    "delete from auth.oauth_client_states where id in (select s.id from auth.oauth_client_states s \
     where s.created_at < now() - interval '25 hours' limit 4 for update skip locked)",
    "delete from auth.flow_state where id in (select f.id from auth.flow_state f \
     where f.created_at < now() - interval '25 hours' and f.authentication_method = 'oauth' limit 4 for update skip locked)",
];

const REMEMBER: &str = "\
insert into auth.oauth_client_states (id, provider_type, code_verifier, created_at) values ($1::uuid, $2, $3, now())";

const TAKE: &str = "\
with taken as (delete from auth.oauth_client_states s using auth.flow_state f \
where f.id = $1::uuid and s.id = f.oauth_client_state_id returning s.id, s.code_verifier) \
select jsonb_build_object('flow', to_jsonb(f), 'row', t.id, 'sealed', t.code_verifier) \
from auth.flow_state f join taken t on t.id = f.oauth_client_state_id where f.id = $1::uuid";

/// Somebody who is sent to a provider.
pub(super) struct Away {
    /// Comes back with the provider's answer.
    pub(super) state: String,
    /// What the provider is given to hold the exchange of the code against.
    pub(super) pkce: Pkce,
    /// What the ID token must repeat.
    pub(super) nonce: String,
}

/// Somebody who has come back.
pub(super) struct Back {
    /// How the flow began.
    pub(super) flow: Flow,
    /// What the code is exchanged with.
    pub(super) verifier: String,
    /// What the ID token must repeat.
    pub(super) nonce: String,
    /// The token of the invitation that is accepted by it.
    pub(super) invite: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    verifier: String,
    nonce: String,
    invite: Option<String>,
}

#[derive(Deserialize)]
struct Taken {
    flow: Flow,
    row: Uuid,
    sealed: String,
}

/// Remembers how a flow begins.
///
/// # Errors
///
/// Those of the database; 500 when nothing can be sealed.
pub(super) async fn begin(
    call: &Call<'_>,
    new: NewFlow<'_>,
    invite: Option<String>,
) -> Result<Away> {
    let row = Uuid::new_v4();
    let key: String = url_safe_token::<32>().map_err(|error| broken(&error))?;
    let (pkce, nonce) = (pkce(), nonce());
    let kept = Kept {
        key: secret_hash(&key),
        verifier: pkce.verifier.expose().to_owned(),
        nonce: nonce.clone(),
        invite,
    };
    let kept = serde_json::to_vec(&kept).map_err(|error| broken(&error))?;
    let sealed = call.auth.sealer().seal(PURPOSE, &row.to_string(), &kept);
    let sealed = sealed.map_err(|error| broken(&error))?;
    let mut work = Work::new();
    for statement in FORGET {
        work.add(statement, &[]);
    }
    work.add(REMEMBER, &[&row, &new.provider, &sealed]);
    let flow = flow::begin(&mut work, &NewFlow { client_state: Some(row), ..new });
    call.auth.db().run(work).await?;
    Ok(Away { state: format!("{}.{key}", flow.simple()), pkce, nonce })
}

/// Takes out what was remembered under `state`. Whoever asks with the same text again finds nothing.
///
/// # Errors
///
/// 400 when there is nothing, it is too old or the text is not the one that was given out; those of the database.
pub(super) async fn take(call: &Call<'_>, state: &str) -> Result<Back> {
    let (flow, key) = state.split_once('.').ok_or_else(invalid)?;
    let flow: Uuid = flow.parse().map_err(|_not_a_uuid| invalid())?;
    let taken: Option<Taken> = call.auth.db().query(TAKE, &[&flow]).await?.json(0)?;
    let taken = taken.ok_or_else(invalid)?;
    let opened = call.auth.sealer().open(PURPOSE, &taken.row.to_string(), &taken.sealed);
    let kept = opened.map_err(|error: SealError| {
        tracing::error!(error = %error, "what was kept of a sign-in elsewhere cannot be opened");
        invalid()
    })?;
    let kept: Kept = serde_json::from_slice(&kept).map_err(|_unreadable| invalid())?;
    if !same(secret_hash(key), &kept.key) {
        return Err(invalid());
    }
    if taken.flow.is_expired(call.now, seconds(call.auth.config().flow_state_expiry)) {
        return Err(Error::bad_request(code::BAD_OAUTH_STATE, "OAuth state has expired"));
    }
    Ok(Back { flow: taken.flow, verifier: kept.verifier, nonce: kept.nonce, invite: kept.invite })
}

fn invalid() -> Error {
    Error::bad_request(code::BAD_OAUTH_STATE, "OAuth callback with invalid state")
}

fn broken(error: &dyn std::fmt::Display) -> Error {
    tracing::error!(error = %error, "a sign-in elsewhere cannot be begun");
    Error::internal("Error creating state")
}
