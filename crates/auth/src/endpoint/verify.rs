//! `/verify`: the other end of a mail or a message.

use http::{Method, StatusCode};
use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::absent::or_default;
use crate::account;
use crate::audit::{self, Action};
use crate::contact::{Contact, Given};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::flow;
use crate::hook::HookKind;
use crate::limits;
use crate::one_time::{self, Kind, Token, expired, using_token};
use crate::post::Notice;
use crate::request::Response;
use crate::service::{Call, seconds};
use crate::session::{Session, SignIn};
use crate::user::User;

#[derive(Deserialize)]
struct Body {
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    token: String,
    #[serde(default, deserialize_with = "or_default")]
    token_hash: String,
    #[serde(flatten)]
    given: Given,
}

/// What a token brought about.
enum Verified {
    /// The user is signed in by what is in `work`.
    SignsIn(Box<User>, Work),
    /// One of two addresses has agreed to a change.
    HalfWay(Work),
}

/// What is said when one of two addresses has agreed to a change.
const HALF_WAY: &str =
    "Confirmation link accepted. Please proceed to confirm link sent to the other email";

/// `POST /verify`: a code that was typed, or the digest of a link.
pub(super) async fn post(call: &Call<'_>) -> Result<Response> {
    let body: Body = call.request.json()?;
    let kinds = kinds(&body.kind)?;
    let token = match (body.token.is_empty(), body.token_hash.is_empty()) {
        (true, false) if body.given.is_empty() => by_hash(call, kinds, &body.token_hash).await?,
        (true, false) => {
            return Err(Error::validation("Only the token_hash and type should be provided"));
        }
        (false, true) => by_code(call, kinds, &body).await?,
        _ => {
            let message = "Verify requires either a token or a token hash";
            return Err(Error::validation(message));
        }
    };
    match used(call, &token)? {
        Verified::SignsIn(user, work) => {
            let session = signed_in(call, &token, &user, work).await?;
            tell(call, &token);
            Ok(Response::ok(&session))
        }
        Verified::HalfWay(work) => {
            call.auth.db().try_run(work).await.map_err(using_token)?;
            Ok(Response::ok(&json!({"msg": HALF_WAY, "code": "200"})))
        }
    }
}

/// `GET /verify`: the link of a mail. Always answered with a redirect, to a place that is allowed. `HEAD` is safe
/// (RFC 9110 §9.2.1), and asked by what scans mails: it uses nothing up and learns nothing.
pub(super) async fn get(call: &Call<'_>) -> Result<Response> {
    if call.request.method == Method::HEAD {
        return Ok(Response::empty(StatusCode::OK));
    }
    let redirect = call.redirect_to();
    let hash = call.request.parameter("token").unwrap_or_default();
    let pkce = hash.starts_with(one_time::PKCE);
    let target = match followed(call, &redirect, &hash).await {
        Ok(target) => target,
        Err(error) => failed(&redirect, &error, pkce),
    };
    Ok(Response::redirect(StatusCode::SEE_OTHER, &target))
}

async fn followed(call: &Call<'_>, redirect: &str, hash: &str) -> Result<String> {
    let kind = call.request.parameter("type").unwrap_or_default();
    if hash.is_empty() {
        return Err(Error::validation("Verify requires a token or a token hash"));
    }
    let kinds = kinds(&kind)?;
    let token = by_hash(call, kinds, hash).await?;
    let (user, mut work) = match used(call, &token)? {
        Verified::SignsIn(user, work) => (user, work),
        Verified::HalfWay(work) => {
            call.auth.db().try_run(work).await.map_err(using_token)?;
            return Ok(with_fragment(redirect, &[("message", HALF_WAY)]));
        }
    };
    if !token.is_pkce() {
        let session = signed_in(call, &token, &user, work).await?;
        tell(call, &token);
        return Ok(session_fragment(redirect, &session, &kind));
    }
    let method = method(&kind);
    let flow = flow::find_of_user(call.auth.db(), user.id, method).await?.ok_or_else(|| {
        Error::not_found(code::FLOW_STATE_NOT_FOUND, "No valid flow state found for user.")
    })?;
    let code = flow::grant(&mut work, flow.id, user.id);
    call.auth.db().try_run(work).await.map_err(using_token)?;
    tell(call, &token);
    Ok(with_query(redirect, &[("code", &code)]))
}

/// What a type of verification accepts.
fn kinds(name: &str) -> Result<Accepted> {
    let newcomers = ["signup", "sms"].contains(&name);
    let kinds: &'static [Kind] = match name {
        "invite" => &[Kind::Confirmation],
        // Recovery: see `proof` in [`super::otp`].
        "signup" | "sms" => &[Kind::Confirmation, Kind::Recovery],
        "magiclink" | "recovery" => &[Kind::Recovery],
        // Whoever types a code does not know whether it was the first.
        "email" => &[Kind::Confirmation, Kind::Recovery],
        "email_change" => &[Kind::EmailChangeNew, Kind::EmailChangeCurrent],
        "phone_change" => &[Kind::PhoneChange],
        "" => return Err(Error::validation("Verify requires a verification type")),
        _ => return Err(Error::validation("Unsupported verification type")),
    };
    Ok(Accepted { kinds, newcomers })
}

/// Which tokens a type of verification accepts.
#[derive(Clone, Copy)]
struct Accepted {
    kinds: &'static [Kind],
    /// Of recoveries, only those of users who have never been there.
    newcomers: bool,
}

impl Accepted {
    fn fits(self, token: &Token) -> bool {
        let late = token.kind == Kind::Recovery && token.user.confirmed_at.is_some();
        self.kinds.contains(&token.kind) && !(late && self.newcomers)
    }
}

/// How a flow was begun that a link of this type ends.
fn method(kind: &str) -> &'static str {
    match kind {
        "signup" => "email/signup",
        "invite" => "invite",
        "recovery" => "recovery",
        "email_change" => "email_change",
        _ => "magiclink",
    }
}

async fn by_hash(call: &Call<'_>, kinds: Accepted, hash: &str) -> Result<Token> {
    call.limit(limits::Kind::Verify, None)?;
    let invalid = || Error::forbidden(code::OTP_EXPIRED, "Email link is invalid or has expired");
    let found = one_time::find_by_link(call.auth.db(), hash).await?.ok_or_else(invalid)?;
    let fits = kinds.fits(&found) && !is_over(call, &found);
    if fits { Ok(found) } else { Err(invalid()) }
}

async fn by_code(call: &Call<'_>, kinds: Accepted, body: &Body) -> Result<Token> {
    let one = "Only an email address or phone number should be provided on verify";
    let contact = body
        .given
        .contact("Only an email address or phone number should be provided on verify", one)?;
    let by_phone = ["sms", "phone_change"].contains(&body.kind.as_str());
    if by_phone != contact.phone().is_some() {
        return Err(Error::validation("Type of verification and contact do not fit"));
    }
    let address = contact.text();
    call.limit(limits::Kind::Verify, Some(address))?;
    // Every attempt counts before it is looked at, so that parallel ones cannot share a last chance.
    call.begin_attempt(address)?;
    let found = typed(call, kinds.kinds, &contact, &body.token).await?;
    let fits = |token: &Token| kinds.fits(token) && !is_over(call, token);
    let token = found.into_iter().find(fits).ok_or_else(expired)?;
    call.attempt_was_right(address);
    Ok(token)
}

/// The tokens whose digits were typed.
async fn typed(
    call: &Call<'_>,
    kinds: &[Kind],
    contact: &Contact,
    code: &str,
) -> Result<Vec<Token>> {
    let (auth, address) = (call.auth, contact.text());
    let carrier = auth.sms().filter(|carrier| carrier.makes_codes());
    let carrier = carrier.filter(|_| !call.has_hook(HookKind::SendSms));
    match (contact, carrier) {
        // The carrier has sent digits of its own.
        (Contact::Phone(phone), Some(carrier)) if call.test_code(phone).is_none() => {
            let right = carrier.check(phone, &Secret::new(code.to_owned())).await;
            match right {
                Ok(true) => one_time::find_by_address(auth.db(), kinds, address).await,
                Ok(false) => Ok(Vec::new()),
                Err(error) => {
                    tracing::warn!(error = %error, "a code cannot be checked");
                    Ok(Vec::new())
                }
            }
        }
        _ => one_time::find_by_code(auth.db(), auth.token_key(), kinds, address, code).await,
    }
}

/// Too old, or sent to where the user is not any more.
fn is_over(call: &Call<'_>, token: &Token) -> bool {
    let user = &token.user;
    let address = match token.kind {
        Kind::EmailChangeNew => user.email_change.as_deref().unwrap_or_default(),
        Kind::PhoneChange => user.phone_change.as_deref().unwrap_or_default(),
        _ if token.relates_to.contains('@') => user.email(),
        _ => user.phone(),
    };
    if address != token.relates_to {
        return true;
    }
    let config = call.auth.config();
    let by_phone = !token.relates_to.contains('@');
    let expiry = if by_phone { config.sms.otp_expiry } else { config.email.otp_expiry };
    token.is_expired(call.now, seconds(expiry))
}

/// What a token brings about, as statements.
fn used(call: &Call<'_>, token: &Token) -> Result<Verified> {
    let user = &token.user;
    if user.is_banned(call.now) {
        return Err(Error::forbidden(code::USER_BANNED, "User is banned"));
    }
    let mut work = Work::new();
    // First: what it brings about forgets tokens, this one too.
    token.consume(&mut work);
    let log =
        |work: &mut Work, action| audit::add(work, call.request, user, Action(action), Value::Null);
    match token.kind {
        Kind::Confirmation => {
            if token.relates_to.contains('@') {
                account::confirm_email(&mut work, user.id);
            } else {
                account::confirm_phone(&mut work, user.id);
            }
            // Codes by phone are sent to who has signed up long ago, too.
            if user.confirmed_at.is_none() {
                let invited = user.invited_at.is_some();
                log(&mut work, if invited { "invite_accepted" } else { "user_signedup" });
            }
        }
        Kind::Recovery => {
            let by_mail = token.relates_to.contains('@');
            if user.confirmed_at.is_none() {
                // Whoever laid them there may just wait for somebody else to confirm the address.
                let own = if by_mail { "email" } else { "phone" };
                account::forget_strangers(&mut work, user.id, own);
            }
            if by_mail && !user.email_is_confirmed() {
                account::confirm_email(&mut work, user.id);
                log(&mut work, "user_signedup");
            }
            if !by_mail && user.phone_confirmed_at.is_none() {
                account::confirm_phone(&mut work, user.id);
                log(&mut work, "user_signedup");
            }
        }
        Kind::EmailChangeNew | Kind::EmailChangeCurrent => {
            if needs_both(call, user) {
                let half = "update auth.users set email_change_confirm_status = 1, updated_at = now() where id = $1::uuid";
                work.add(half, &[&user.id]);
                return Ok(Verified::HalfWay(work));
            }
            account::change_email(&mut work, user);
            log(&mut work, "user_modified");
        }
        Kind::PhoneChange => {
            account::change_phone(&mut work, user);
            log(&mut work, "user_modified");
        }
        Kind::Reauthentication => return Err(expired()),
    }
    Ok(Verified::SignsIn(Box::new(user.clone()), work))
}

/// Tells the user of a change that is done.
fn tell(call: &Call<'_>, token: &Token) {
    let user = &token.user;
    match token.kind {
        Kind::EmailChangeNew | Kind::EmailChangeCurrent => {
            let (email, email_confirmed_at) = (user.email_change.clone(), Some(call.now));
            let changed = User { email, email_confirmed_at, ..user.clone() };
            call.notify(&changed, Notice::EmailChanged { old: user.email() });
        }
        Kind::PhoneChange => {
            let changed = User { phone: user.phone_change.clone(), ..user.clone() };
            call.notify(&changed, Notice::PhoneChanged { old: user.phone() });
        }
        Kind::Confirmation | Kind::Recovery | Kind::Reauthentication => {}
    }
}

/// Whether the other address has still to agree.
fn needs_both(call: &Call<'_>, user: &User) -> bool {
    call.auth.config().email.double_confirm_changes
        && !user.email().is_empty()
        && user.email_change_confirm_status.unwrap_or_default() == 0
}

async fn signed_in(call: &Call<'_>, token: &Token, user: &User, work: Work) -> Result<Session> {
    let provider = if token.relates_to.contains('@') { "email" } else { "phone" };
    call.sign_in_with(work, user, SignIn::by("otp", provider), using_token).await
}

/// The address of a page with a session in its fragment, which browsers do not send to servers.
pub(crate) fn session_fragment(redirect: &str, session: &Session, kind: &str) -> String {
    let mut pairs = vec![
        ("access_token", session.access_token.clone()),
        ("expires_at", session.expires_at.to_string()),
        ("expires_in", session.expires_in.to_string()),
    ];
    let tokens = [
        ("provider_refresh_token", &session.provider_refresh_token),
        ("provider_token", &session.provider_token),
    ];
    let given = tokens.into_iter().filter_map(|(name, token)| Some((name, token.clone()?)));
    pairs.extend(given);
    pairs.push(("refresh_token", session.refresh_token.clone()));
    pairs.push(("sb", String::new()));
    pairs.push(("token_type", "bearer".to_owned()));
    if !kind.is_empty() {
        pairs.push(("type", kind.to_owned()));
    }
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    with_fragment(redirect, &pairs)
}

/// The address of a page that learns why it did not work: in the fragment, and in the query too where the
/// page's server finishes the sign-in.
pub(crate) fn failed(redirect: &str, error: &Error, in_query: bool) -> String {
    let name = if error.status.is_server_error() { "server_error" } else { "access_denied" };
    let pairs = [
        ("error", name),
        ("error_code", error.code),
        ("error_description", error.message.as_ref()),
    ];
    let place = if in_query { with_query(redirect, &pairs) } else { redirect.to_owned() };
    let mut fragment = pairs.to_vec();
    fragment.push(("sb", ""));
    with_fragment(&place, &fragment)
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// `redirect` with a fragment in place of its own.
pub(crate) fn with_fragment(redirect: &str, pairs: &[(&str, &str)]) -> String {
    let place = redirect.split('#').next().unwrap_or_default();
    format!("{place}#{}", encoded(pairs))
}

/// `redirect` with more parameters in its query, and without a fragment.
pub(crate) fn with_query(redirect: &str, pairs: &[(&str, &str)]) -> String {
    let place = redirect.split('#').next().unwrap_or_default();
    let separator = match place.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some(_) => "&",
    };
    format!("{place}{separator}{}", encoded(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_join_those_that_are_there() {
        assert_eq!(with_query("http://a/b", &[("code", "1")]), "http://a/b?code=1");
        assert_eq!(with_query("http://a/b?x=y#z", &[("code", "1")]), "http://a/b?x=y&code=1");
        assert_eq!(with_query("http://a/b?", &[("code", "1")]), "http://a/b?code=1");
        assert_eq!(with_fragment("http://a/b#old", &[("a", "b c")]), "http://a/b#a=b+c");
    }

    #[test]
    fn a_failure_is_told_in_fragment_and_query() {
        let error = Error::forbidden(code::OTP_EXPIRED, "too old");
        let told = "error=access_denied&error_code=otp_expired&error_description=too+old";
        assert_eq!(failed("http://a", &error, false), format!("http://a#{told}&sb="));
        assert_eq!(failed("http://a", &error, true), format!("http://a?{told}#{told}&sb="));
    }
}
