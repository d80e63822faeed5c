//! `/user`: the user who asks.

use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::Value;

use crate::account;
use crate::audit::{self, Action};
use crate::contact::{Contact, email_contact, phone_contact};
use crate::db::Work;
use crate::endpoint::otp::channel;
use crate::error::{Error, Result, code};
use crate::flow;
use crate::limits;
use crate::one_time::{self, Kind, using_token};
use crate::password::Verdict;
use crate::post::Notice;
use crate::request::Response;
use crate::service::{Call, seconds};
use crate::session;
use crate::user::{Object, User, merged};

/// How long after signing in a password may be changed without proving oneself again, where that is asked.
const FRESH_SECONDS: i64 = 24 * 60 * 60;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    current_password: Option<String>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    data: Option<Object>,
    #[serde(default)]
    app_metadata: Option<Object>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(flatten)]
    pkce: flow::Given,
}

/// `GET /user`.
pub(super) fn get(call: &Call<'_>) -> Result<Response> {
    // A client that asks for an audience is not shown the user of another one.
    let asked = call.request.header("x-jwt-aud").filter(|aud| !aud.is_empty());
    if asked.is_some_and(|aud| call.caller().is_ok_and(|caller| caller.claims.aud != aud)) {
        return Err(Error::validation("Token audience doesn't match request audience"));
    }
    Ok(Response::ok(&call.user()?.view()))
}

/// `PUT /user`: changes what the user may change. New addresses and numbers count once they are proved.
pub(super) async fn put(call: &Call<'_>) -> Result<Response> {
    let user = call.user()?;
    call.limit(limits::Kind::UserUpdate, Some(&user.id.to_string()))?;
    let mut body: Body = call.request.json()?;
    let challenge = body.pkce.challenge()?;
    if body.app_metadata.is_some() {
        let message = "Updating app_metadata requires admin privileges";
        return Err(Error::forbidden(code::NOT_ADMIN, message));
    }
    let password = body.password.take().filter(|text| !text.is_empty()).map(Secret::new);
    let email = changed(body.email.as_deref(), user.email(), email_contact)?;
    let phone = changed(body.phone.as_deref(), user.phone(), phone_contact)?;
    let sensitive = password.is_some() || email.is_some() || phone.is_some();
    if sensitive {
        may_change(call, user)?;
    }
    let email_applies = user.is_anonymous && !call.auth.config().email.confirmations;
    let phone_applies = !call.auth.config().sms.confirmations;
    let channel = channel(body.channel.as_deref())?;
    for (contact, applies) in [(&email, email_applies), (&phone, phone_applies)] {
        let Some(contact) = contact else { continue };
        free(call, user, contact).await?;
        if !applies {
            call.pace(limits::Kind::UserUpdate, &user.id.to_string(), contact.text())?;
        }
    }
    let mut work = Work::new();
    if let Some(password) = &password {
        if user.is_anonymous && email.is_none() && phone.is_none() {
            let message =
                "Updating password of an anonymous user without an email or phone is not allowed";
            return Err(Error::unprocessable(code::VALIDATION_FAILED, message));
        }
        change_password(call, user, password, &body, &mut work).await?;
    }
    if let Some(data) = body.data.take() {
        let metadata = merged(user.user_metadata(), data);
        account::check_metadata(&user.app_metadata(), &metadata)?;
        let metadata = Value::Object(metadata);
        let set = "update auth.users set raw_user_meta_data = $2::jsonb, updated_at = now() where id = $1::uuid";
        work.add(set, &[&user.id, &metadata]);
    }
    // The wish and the tokens that prove it are one transaction: an older agreement must not be taken for one to this wish.
    let mut email_tokens = None;
    if let Some(Contact::Email(email)) = &email {
        wish(&mut work, user, "email_change", email);
        let wishing = User { email_change: Some(email.clone()), ..user.clone() };
        if email_applies {
            account::change_email(&mut work, &wishing);
        } else {
            email_tokens =
                Some(call.begin_email_change(&mut work, &wishing, challenge.as_ref())?);
        }
    }
    let mut phone_token = None;
    if let Some(Contact::Phone(phone)) = &phone {
        wish(&mut work, user, "phone_change", phone);
        if phone_applies {
            let wishing = User { phone_change: Some(phone.clone()), ..user.clone() };
            account::change_phone(&mut work, &wishing);
        } else {
            phone_token = Some(call.issue(&mut work, user.id, Kind::PhoneChange, phone, false)?);
        }
    }
    audit::add(&mut work, call.request, user, Action("user_modified"), Value::Null);
    let place = account::read(&mut work, user.id);
    let answers = call.auth.db().try_run(work).await.map_err(using_token)?;
    let updated: User = answers.json(place)?.ok_or_else(gone)?;
    if password.is_some() {
        call.notify(&updated, Notice::PasswordChanged);
    }
    if phone.is_some() && phone_applies {
        call.notify(&updated, Notice::PhoneChanged { old: user.phone() });
    }
    if let Some(tokens) = &email_tokens {
        call.mail_email_change(&updated, tokens).await?;
    }
    if let (Some(Contact::Phone(phone)), Some(token)) = (&phone, &phone_token) {
        call.renewed(phone);
        call.text(&updated, Kind::PhoneChange.message(), phone, token, channel.name()).await?;
    }
    Ok(Response::ok(&updated.view()))
}

/// The contact that was given, if it differs from the present one.
fn changed(
    given: Option<&str>,
    present: &str,
    parse: impl Fn(&str) -> Result<Contact>,
) -> Result<Option<Contact>> {
    let Some(given) = given.filter(|given| !given.is_empty()) else { return Ok(None) };
    let contact = parse(given)?;
    Ok(Some(contact).filter(|contact| contact.text() != present))
}

/// Whether the user may change how to sign in.
fn may_change(call: &Call<'_>, user: &User) -> Result<()> {
    if user.is_sso_user {
        let message = "Updating email, phone, password of a SSO account only possible via SSO";
        return Err(Error::unprocessable(code::USER_SSO_MANAGED, message));
    }
    if user.verified_factors().next().is_some() && !call.is_strong()? {
        let message = "AAL2 session is required to update email or password when MFA is enabled.";
        let status = http::StatusCode::UNAUTHORIZED;
        return Err(Error::new(status, code::INSUFFICIENT_AAL, message));
    }
    Ok(())
}

async fn change_password(
    call: &Call<'_>,
    user: &User,
    password: &Secret,
    body: &Body,
    work: &mut Work,
) -> Result<()> {
    call.check_password(password).await?;
    reauthenticated(call, user, body, work).await?;
    if let Some(stored) = user.password_hash() {
        if call.auth.config().password.current_required {
            let current = body.current_password.clone().filter(|text| !text.is_empty());
            let current = current.ok_or_else(|| {
                let message = "Current password required when setting new password.";
                Error::bad_request(code::CURRENT_PASSWORD_REQUIRED, message)
            })?;
            if !call.password_is(&Secret::new(current), stored).await? {
                let message = "Current password required when setting new password.";
                return Err(Error::bad_request(code::CURRENT_PASSWORD_INVALID, message));
            }
        }
        if call.password_is(password, stored).await? {
            let message = "New password should be different from the old password.";
            return Err(Error::unprocessable(code::SAME_PASSWORD, message));
        }
    }
    let hash = call.hash(password).await?;
    work.add(
        "update auth.users set encrypted_password = $2, updated_at = now() where id = $1::uuid",
        &[&user.id, &hash],
    );
    match &call.caller()?.session {
        Some(session) => session::end_others(work, user.id, session.id),
        None => {
            work.add("delete from auth.sessions where user_id = $1::uuid", &[&user.id]);
        }
    }
    audit::add(work, call.request, user, Action("user_updated_password"), Value::Null);
    Ok(())
}

/// Asks for a nonce where the session is old and the project wants one.
async fn reauthenticated(call: &Call<'_>, user: &User, body: &Body, work: &mut Work) -> Result<()> {
    if !call.auth.config().email.secure_password_change {
        return Ok(());
    }
    let since = call.caller()?.session.as_ref().and_then(|session| session.created_at);
    let fresh = since.is_some_and(|since| call.now.as_second() - since.as_second() < FRESH_SECONDS);
    if fresh {
        return Ok(());
    }
    let nonce = body.nonce.as_deref().filter(|nonce| !nonce.is_empty()).ok_or_else(|| {
        let message = "Password update requires reauthentication";
        Error::bad_request(code::REAUTHENTICATION_NEEDED, message)
    })?;
    let address = if user.email().is_empty() { user.phone() } else { user.email() };
    let wrong = || {
        let message = "Nonce has expired or is invalid";
        Error::unprocessable(code::REAUTHENTICATION_NOT_VALID, message)
    };
    call.begin_attempt(address).map_err(|_dead| wrong())?;
    let (db, key) = (call.auth.db(), call.auth.token_key());
    let found = one_time::find_by_code(db, key, &[Kind::Reauthentication], address, nonce).await?;
    let expiry = seconds(call.auth.config().email.otp_expiry);
    let token = found
        .into_iter()
        .find(|token| token.user.id == user.id && !token.is_expired(call.now, expiry))
        .ok_or_else(wrong)?;
    call.attempt_was_right(address);
    token.consume(work);
    Ok(())
}

/// Notes where the user wants to be reached from now on.
fn wish(work: &mut Work, user: &User, column: &str, value: &str) {
    let set =
        format!("update auth.users set {column} = $2, updated_at = now() where id = $1::uuid");
    work.add(&set, &[&user.id, &value]);
}

/// Whether nobody else is reached there.
async fn free(call: &Call<'_>, user: &User, contact: &Contact) -> Result<()> {
    match contact.find(call.auth.db()).await? {
        Some(other) if other.id != user.id => Err(match contact {
            Contact::Email(_) => {
                let message = "A user with this email address has already been registered";
                Error::unprocessable(code::EMAIL_EXISTS, message)
            }
            Contact::Phone(_) => {
                let message = "A user with this phone number has already been registered";
                Error::unprocessable(code::PHONE_EXISTS, message)
            }
        }),
        _ => Ok(()),
    }
}

fn gone() -> Error {
    Error::forbidden(code::USER_NOT_FOUND, "User from sub claim in JWT does not exist")
}

impl Call<'_> {
    /// Whether a password is the one that was stored.
    pub(crate) async fn password_is(&self, password: &Secret, stored: &str) -> Result<bool> {
        let verdict = self.auth.hasher().verify(password.expose(), stored).await;
        Ok(matches!(verdict.map_err(|_busy| super::busy())?, Verdict::Match { .. }))
    }
}
