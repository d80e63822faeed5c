//! `POST /passkeys/registration/options` and `…/verify`.

use serde_json::json;
use uuid::Uuid;

use super::{Answer, TAKE, begun, enabled, in_time, may_manage, refused, shown_name, store};
use crate::audit::{self, Action};
use crate::db::{Work, condition_failed, taken};
use crate::endpoint::mfa::somebody;
use crate::error::{Error, Result, code};
use crate::limits;
use crate::request::Response;
use crate::service::Call;
use crate::user::User;
use crate::webauthn::{CeremonyUser, Credential, authenticator_name};

const KIND: &str = "registration";

/// The user who asks, if that may have another passkey.
fn entitled<'c>(call: &'c Call<'_>) -> Result<&'c User> {
    enabled(call)?;
    let user = somebody(call)?;
    if user.is_sso_user {
        return Err(Error::unprocessable(
            code::VALIDATION_FAILED,
            "SSO users cannot register passkeys",
        ));
    }
    may_manage(call, user)?;
    Ok(user)
}

/// What a browser needs to make a passkey.
pub(in crate::endpoint) async fn begin_registration(call: &Call<'_>) -> Result<Response> {
    let user = entitled(call)?;
    call.limit(limits::Kind::Passkey, None)?;
    let party = call.auth.relying_party()?;
    let existing = store::of(call.auth.db(), user.id).await?;
    if existing.len()
        >= usize::try_from(call.auth.config().passkey.max_per_user).unwrap_or(usize::MAX)
    {
        return Err(too_many());
    }
    let existing =
        existing.iter().map(store::Passkey::credential).collect::<Result<Vec<Credential>, _>>();
    let name = shown_name(user);
    let person = CeremonyUser { id: user.id, name: &name, display_name: &name };
    let ceremony =
        existing.and_then(|existing| party.passkey_registration_options(&person, &existing));
    begun(call, Some(user.id), KIND, ceremony).await
}

/// Keeps a passkey that was made.
pub(in crate::endpoint) async fn register(call: &Call<'_>) -> Result<Response> {
    let user = entitled(call)?;
    call.limit(limits::Kind::Passkey, None)?;
    let (id, credential) = call.request.json::<Answer>()?.parts()?;
    let party = call.auth.relying_party()?;
    let answers = call.auth.db().query(TAKE, &[&id, &KIND, &user.id]).await?;
    let data = in_time(answers.json(0)?)?;
    let made =
        party.finish_registration(&data, user.id, &credential).map_err(|error| refused(&error))?;
    let passkey = Uuid::new_v4();
    let mut work = Work::new();
    // Of two registrations at once, the second counts what the first has made.
    work.add("select 1 from auth.users where id = $1::uuid for no key update", &[&user.id]);
    let name = authenticator_name(made.aaguid);
    let most = call.auth.config().passkey.max_per_user;
    let place = store::insert(&mut work, user.id, passkey, &made, name, most);
    let traits = json!({"passkey_id": passkey});
    audit::add(&mut work, call.request, user, Action("passkey_created"), traits);
    let answers = call.auth.db().try_run(work).await.map_err(|error| match taken(&error) {
        Some("webauthn_credentials_credential_id_key") => {
            let message = "This credential is already registered";
            Error::unprocessable(code::WEBAUTHN_CREDENTIAL_EXISTS, message)
        }
        _ if condition_failed(&error) => too_many(),
        _ => error.into(),
    })?;
    let view: store::View = answers.json(place)?.ok_or_else(store::unknown)?;
    Ok(Response::ok(&view))
}

fn too_many() -> Error {
    Error::unprocessable(code::TOO_MANY_PASSKEYS, "Maximum number of passkeys reached")
}
