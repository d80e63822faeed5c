//! `POST /passkeys/authentication/options` and `…/verify`.

use plinth_wire::WireError;
use serde::Deserialize;
use uuid::Uuid;

use super::{Answer, TAKE, begun, enabled, in_time, not_proved, refused, store};
use crate::db::{Work, condition_failed};
use crate::error::{Error, Result, code};
use crate::limits;
use crate::request::Response;
use crate::service::Call;
use crate::session::{SignIn, saving_user};
use crate::user::{USER, User};
use crate::webauthn::PasskeyAssertion;

const KIND: &str = "authentication";

/// A passkey with its user.
#[derive(Deserialize)]
struct Found {
    passkey: store::Passkey,
    user: User,
}

/// What a browser needs to sign in with a passkey, whoever it is.
pub(in crate::endpoint) async fn begin_sign_in(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    call.limit(limits::Kind::Passkey, None)?;
    let ceremony = call.auth.relying_party()?.passkey_authentication_options();
    begun(call, None, KIND, ceremony).await
}

/// Signs in with a passkey. It is one kind of proof (`aal1`), though a strong one.
pub(in crate::endpoint) async fn sign_in(call: &Call<'_>) -> Result<Response> {
    enabled(call)?;
    call.limit(limits::Kind::Passkey, None)?;
    let (id, credential) = call.request.json::<Answer>()?.parts()?;
    let party = call.auth.relying_party()?;
    let assertion = PasskeyAssertion::parse(&credential);
    let mut work = Work::of(TAKE, &[&id, &KIND, &None::<Uuid>]);
    if let Ok(assertion) = &assertion {
        find(&mut work, assertion);
    }
    let answers = call.auth.db().run(work).await?;
    let data = in_time(answers.json(0)?)?;
    let assertion = assertion.map_err(|error| refused(&error))?;
    let Found { passkey, user } = answers.json(1)?.ok_or_else(not_proved)?;
    let stored = passkey.credential().map_err(|error| refused(&error))?;
    let now = party
        .finish_passkey_authentication(&data, &assertion, passkey.user_id, &stored)
        .map_err(|error| refused(&error))?;
    may_sign_in(call, &user)?;
    let mut work = Work::new();
    store::used(&mut work, passkey.id, &now);
    let failed = |error: WireError| {
        if condition_failed(&error) { not_proved() } else { saving_user(error) }
    };
    let session = call.sign_in_with(work, &user, SignIn::by("passkey", "passkey"), failed).await?;
    Ok(Response::ok(&session))
}

/// The passkey that is claimed to be used, of the user that it is claimed to be of.
fn find(work: &mut Work, assertion: &PasskeyAssertion) {
    use base64::Engine as _;
    let id = base64::engine::general_purpose::STANDARD.encode(assertion.credential_id());
    let sql = format!(
        "select jsonb_build_object('passkey', {PASSKEY}, 'user', {USER}) \
         from auth.webauthn_credentials p join auth.users u on u.id = p.user_id \
         where p.credential_id = decode($1, 'base64') and p.user_id = $2::uuid and u.deleted_at is null",
        PASSKEY = store::PASSKEY,
    );
    work.add(&sql, &[&id, &assertion.user_id()]);
}

/// Only who has proved to have the key learns that it is not enough.
fn may_sign_in(call: &Call<'_>, user: &User) -> Result<()> {
    if !user.email().is_empty() && user.email_confirmed_at.is_none() {
        return Err(Error::forbidden(code::EMAIL_NOT_CONFIRMED, "Email not confirmed"));
    }
    if !user.phone().is_empty() && user.phone_confirmed_at.is_none() {
        return Err(Error::forbidden(code::PHONE_NOT_CONFIRMED, "Phone not confirmed"));
    }
    if user.is_banned(call.now) {
        return Err(Error::forbidden(code::USER_BANNED, "User is banned"));
    }
    Ok(())
}
