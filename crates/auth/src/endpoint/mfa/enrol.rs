//! `POST /factors`.

use plinth_wire::WireError;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::{Kind, is_expired, lock, somebody};
use crate::audit::{self, Action};
use crate::contact::phone_contact;
use crate::db::{Work, condition_failed, taken};
use crate::error::{Error, Result, code};
use crate::limits;
use crate::request::Response;
use crate::service::{Call, seconds};
use crate::totp::{self, TotpError};
use crate::user::User;

/// Longest name of a factor, in characters.
const MAX_NAME: usize = 255;

/// Takes away what was not verified in time. A factor that was challenged can be verified until the challenge expires.
const DROP_EXPIRED: &str = "\
delete from auth.mfa_factors f where f.user_id = $1::uuid and f.status = 'unverified' \
and f.created_at < now() - make_interval(secs => $2::bigint) \
and not exists (select from auth.mfa_challenges c where c.factor_id = f.id \
  and c.created_at > now() - make_interval(secs => $3::bigint))";

const DROP_SAME_PHONE: &str = "\
delete from auth.mfa_factors where user_id = $1::uuid and phone = $2 and status = 'unverified'";

/// Fails when there are too many, or when there is a verified one that the session has not proved.
const INSERT: &str = "\
with made as ( \
  insert into auth.mfa_factors (id, user_id, friendly_name, factor_type, status, created_at, updated_at, secret, phone) \
  select $1::uuid, $2::uuid, $3, $4::auth.factor_type, 'unverified', now(), now(), $5, $6 \
  where (select count(*) from auth.mfa_factors where user_id = $2::uuid) < $7::bigint \
    and ($8::boolean or not exists (select from auth.mfa_factors where user_id = $2::uuid and status = 'verified')) \
  returning 1) \
select 1 / count(*) from made";

#[derive(Deserialize)]
struct Body {
    factor_type: Option<String>,
    friendly_name: Option<String>,
    issuer: Option<String>,
    phone: Option<String>,
}

/// A factor to be made.
struct New {
    id: Uuid,
    kind: Kind,
    /// Sealed.
    secret: Option<String>,
    phone: Option<String>,
    /// What its user is told about it besides its name.
    told: Value,
}

/// Makes a factor that counts once it is verified.
pub(in crate::endpoint) async fn enrol(call: &Call<'_>) -> Result<Response> {
    let user = somebody(call)?;
    call.session_row()?;
    let body: Body = call.request.json()?;
    let kind = body
        .factor_type
        .as_deref()
        .and_then(Kind::of_name)
        .ok_or_else(|| Error::validation("factor_type needs to be totp, phone, or webauthn"))?;
    kind.may_be_enrolled(&call.auth.config().mfa)?;
    let name = normalized_name(body.friendly_name.as_deref())?;
    call.limit(limits::Kind::FactorChallenge, Some(&user.id.to_string()))?;
    let phone = phone(kind, &body)?;
    may_enrol(call, user, name, phone.as_deref())?;
    let new = match kind {
        Kind::Totp => authenticator_app(call, user, body.issuer.as_deref())?,
        Kind::Phone | Kind::WebAuthn => {
            let told = phone.as_ref().map_or(json!({}), |_| json!({"phone": body.phone}));
            New { id: Uuid::new_v4(), kind, secret: None, phone, told }
        }
    };
    insert(call, user, name, &new).await?;
    let mut answer = new.told;
    answer["id"] = json!(new.id);
    answer["type"] = json!(kind.name());
    answer["friendly_name"] = json!(name);
    Ok(Response::ok(&answer))
}

/// A name as it is kept.
///
/// # Errors
///
/// 400 when it is too long or no text.
pub(in crate::endpoint) fn normalized_name(given: Option<&str>) -> Result<&str> {
    let name = given.unwrap_or_default();
    if name.chars().count() > MAX_NAME || name.contains('\0') {
        let message = format!("friendly_name must be {MAX_NAME} characters or less");
        return Err(Error::validation(message));
    }
    Ok(name)
}

fn phone(kind: Kind, body: &Body) -> Result<Option<String>> {
    if kind != Kind::Phone {
        return Ok(None);
    }
    let given = body.phone.as_deref().filter(|phone| !phone.is_empty());
    let given =
        given.ok_or_else(|| Error::validation("Phone number required to enroll Phone factor"))?;
    Ok(Some(phone_contact(given)?.text().to_owned()))
}

/// Whether the user may have one factor more, as far as is known before the insertion.
fn may_enrol(call: &Call<'_>, user: &User, name: &str, phone: Option<&str>) -> Result<()> {
    let config = &call.auth.config().mfa;
    let is_replaced = |other: &&crate::user::Factor| {
        is_expired(call, other)
            || phone.is_some() && other.phone.as_deref() == phone && !other.is_verified()
    };
    let others: Vec<_> = user.factors.iter().filter(|other| !is_replaced(other)).collect();
    if phone.is_some() && others.iter().any(|other| other.phone.as_deref() == phone) {
        return Err(phone_taken());
    }
    if !name.trim().is_empty()
        && others.iter().any(|other| other.friendly_name.as_deref() == Some(name))
    {
        return Err(name_taken(name));
    }
    let verified = user.verified_factors().count();
    let most = |bound: u32| usize::try_from(bound).unwrap_or(usize::MAX);
    if others.len() >= most(config.max_enrolled_factors)
        || verified >= most(config.max_verified_factors)
    {
        return Err(too_many());
    }
    if verified > 0 && !call.is_strong()? {
        let message = "AAL2 required to enroll a new factor";
        return Err(Error::forbidden(code::INSUFFICIENT_AAL, message));
    }
    Ok(())
}

fn authenticator_app(call: &Call<'_>, user: &User, issuer: Option<&str>) -> Result<New> {
    let site = Url::parse(call.auth.config().site_url()).ok();
    let own = site.as_ref().and_then(host_and_port);
    let issuer = issuer.map(str::to_owned).filter(|issuer| !issuer.is_empty()).or(own);
    let issuer = issuer.unwrap_or_else(|| call.auth.issuer().to_owned());
    let id = Uuid::new_v4();
    let account = match (user.email(), user.phone()) {
        ("", "") => user.id.to_string(),
        ("", phone) => phone.to_owned(),
        (email, _) => email.to_owned(),
    };
    let made = totp::enrol(&issuer, &account).map_err(|error| match error {
        TotpError::TooLong => Error::validation("issuer is too long"),
        TotpError::Randomness(_) | TotpError::Secret => {
            tracing::error!(error = %error, "no secret of an authenticator app can be made");
            Error::internal("Error generating QR Code")
        }
    })?;
    let secret = super::secret::sealed(call, super::secret::TOTP, id, made.secret.expose())?;
    let told = json!({"totp": {
        "qr_code": made.qr_code.expose(),
        "secret": made.secret.expose(),
        "uri": made.uri.expose(),
    }});
    Ok(New { id, kind: Kind::Totp, secret: Some(secret), phone: None, told })
}

fn host_and_port(site: &Url) -> Option<String> {
    let host = site.host_str()?;
    Some(site.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

async fn insert(call: &Call<'_>, user: &User, name: &str, new: &New) -> Result<()> {
    let config = &call.auth.config().mfa;
    let mut work = Work::new();
    lock(&mut work, user);
    let (factor, challenge) = (seconds(config.factor_expiry), seconds(config.challenge_expiry));
    work.add(DROP_EXPIRED, &[&user.id, &factor, &challenge]);
    if let Some(phone) = &new.phone {
        work.add(DROP_SAME_PHONE, &[&user.id, phone]);
    }
    let strong = call.is_strong()?;
    let (kind, most) = (new.kind.name(), config.max_enrolled_factors);
    work.add(INSERT, &[&new.id, &user.id, &name, &kind, &new.secret, &new.phone, &most, &strong]);
    let traits = json!({"factor_id": new.id, "factor_type": kind});
    audit::add(&mut work, call.request, user, Action("factor_in_progress"), traits);
    call.auth.db().try_run(work).await.map_err(|error| refused(error, name))?;
    Ok(())
}

/// What it means that a factor cannot be written that is called `name`.
pub(in crate::endpoint) fn refused(error: WireError, name: &str) -> Error {
    match taken(&error) {
        Some("mfa_factors_user_friendly_name_unique") => name_taken(name),
        Some("unique_phone_factor_per_user") => phone_taken(),
        _ if condition_failed(&error) => too_many(),
        _ => error.into(),
    }
}

fn name_taken(name: &str) -> Error {
    let message = format!("A factor with the friendly name {name:?} for this user already exists");
    Error::unprocessable(code::MFA_FACTOR_NAME_CONFLICT, message)
}

fn phone_taken() -> Error {
    let message =
        "A verified phone factor already exists, unenroll the existing factor to continue";
    Error::unprocessable(code::MFA_VERIFIED_FACTOR_EXISTS, message)
}

fn too_many() -> Error {
    let message = "Maximum number of verified factors reached, unenroll to continue";
    Error::unprocessable(code::TOO_MANY_ENROLLED_MFA_FACTORS, message)
}
