//! What follows when a factor was proved, in one transaction.

use serde_json::json;
use uuid::Uuid;

use super::{Kind, lock, secret, unknown};
use crate::audit::{self, Action};
use crate::db::{Work, condition_failed};
use crate::error::Result;
use crate::post::Notice;
use crate::service::Call;
use crate::session::{self, Found, Session};
use crate::user::{Factor, User};

/// Fails when somebody else was quicker.
const CONSUME: &str = "\
with used as (delete from auth.mfa_challenges where id = $1::uuid and factor_id = $2::uuid returning 1) \
select 1 / count(*) from used";

/// Fails when the factor is gone, or when it would be a second one that a session without the first brings in.
const VERIFY: &str = "\
with verified as ( \
  update auth.mfa_factors f set status = 'verified', \
    updated_at = case f.status when 'verified' then f.updated_at else now() end \
  where f.id = $1::uuid and f.user_id = $2::uuid and (f.status = 'verified' or $3::boolean or not exists ( \
    select from auth.mfa_factors o where o.user_id = f.user_id and o.id <> f.id and o.status = 'verified')) \
  returning 1) \
select 1 / count(*) from verified";

const DROP_UNVERIFIED: &str = "\
delete from auth.mfa_factors where user_id = $1::uuid and id <> $2::uuid and status = 'unverified'";

/// A proof that is right, with the statements that use it up.
pub(super) struct Proof<'a> {
    user: &'a User,
    factor: &'a Factor,
    kind: Kind,
    challenge: Uuid,
    /// The statements so far. Each fails when its part of the proof was used meanwhile.
    pub(super) work: Work,
}

impl<'a> Proof<'a> {
    /// Of `factor`, in answer to `challenge`.
    pub(super) fn of(user: &'a User, factor: &'a Factor, kind: Kind, challenge: Uuid) -> Self {
        let mut work = Work::new();
        lock(&mut work, user);
        Self { user, factor, kind, challenge, work }
    }

    /// The challenge is still there, and must not be afterwards.
    pub(super) fn consume_challenge(&mut self) {
        self.work.add(CONSUME, &[&self.challenge, &self.factor.id]);
    }
}

/// The session that asks is `aal2` with a refresh token of its own, the factor counts, and whatever could get round it is
/// gone: the user's other sessions that have not proved a factor, and factors that nobody has verified.
///
/// # Errors
///
/// 422 when the proof was used meanwhile.
pub(super) async fn pass(call: &Call<'_>, proof: Proof<'_>) -> Result<Session> {
    let Proof { user, factor, kind, challenge, mut work } = proof;
    let session = call.session_row()?.id;
    work.add(VERIFY, &[&factor.id, &user.id, &call.is_strong()?]);
    session::step_up(&mut work, session, factor.id, kind.method());
    session::end_weaker(&mut work, user.id, session);
    work.add(DROP_UNVERIFIED, &[&user.id, &factor.id]);
    let traits =
        json!({"factor_id": factor.id, "challenge_id": challenge, "factor_type": kind.name()});
    audit::add(&mut work, call.request, user, Action("verification_attempted"), traits);
    let place = session::read(&mut work, session);
    let answers = call.auth.db().try_run(work).await.map_err(|error| {
        if condition_failed(&error) { secret::wrong(factor) } else { error.into() }
    })?;
    let found: Found = answers.json(place)?.ok_or_else(unknown)?;
    if !factor.is_verified() {
        call.notify(&found.user, Notice::FactorEnrolled { kind: kind.name() });
    }
    call.session(&found.session, &found.user).await
}
