//! `POST /token?grant_type=password`.

use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::Value;

use crate::contact::Given;
use crate::db::{Work, condition_failed};
use crate::endpoint::token::fields;
use crate::error::{Error, Result, code};
use crate::limits;
use crate::password::Verdict;
use crate::request::Response;
use crate::service::Call;
use crate::session::{SignIn, saving_user};
use crate::user::User;

#[derive(Deserialize)]
struct Body {
    #[serde(flatten)]
    given: Given,
    #[serde(default)]
    password: Option<String>,
}

const SET_PASSWORD: &str = "update auth.users set encrypted_password = $2 where id = $1::uuid";

/// Fails when the password was changed while it was compared: who knows the old one must neither get a session that
/// outlives the change nor have the old one written back.
const UNCHANGED: &str = "\
with same as ( \
  select from auth.users where id = $1::uuid and encrypted_password = $2 and deleted_at is null for no key update) \
select 1 / count(*) from same";

/// Signs in by address or number and password. Whoever does not know the password learns nothing: not
/// whether the user exists, nor that it is banned or not confirmed.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    let body: Body = fields(call)?;
    let one = "Only an email address or phone number should be provided on login.";
    let contact = body.given.contact("missing email or phone", one)?;
    contact.enabled(call.auth.config(), "logins")?;
    call.limit(limits::Kind::Password, Some(contact.text()))?;
    let password = Secret::new(body.password.unwrap_or_default());
    let user = contact.find(call.auth.db()).await?;
    let (user, rehash) = proved(call, user, &password).await?;
    let mut work = Work::new();
    work.add(UNCHANGED, &[&user.id, &user.password_hash()]);
    if user.is_banned(call.now) {
        return Err(Error::bad_request(code::USER_BANNED, "User is banned"));
    }
    if !contact.is_confirmed(&user) {
        return Err(match contact.email() {
            Some(_) => Error::bad_request(code::EMAIL_NOT_CONFIRMED, "Email not confirmed"),
            None => Error::bad_request(code::PHONE_NOT_CONFIRMED, "Phone not confirmed"),
        });
    }
    if rehash {
        let hash = call.hash(&password).await?;
        work.add(SET_PASSWORD, &[&user.id, &hash]);
    }
    let weak = call.weakness(&password).await;
    let how = SignIn::by("password", contact.provider());
    let changed = |error| if condition_failed(&error) { wrong() } else { saving_user(error) };
    let mut session = call.sign_in_with(work, &user, how, changed).await?;
    session.weak_password = Some(weak.unwrap_or(Value::Null));
    Ok(Response::ok(&session))
}

/// The user whose password it is, and whether its hash should be made anew.
async fn proved(call: &Call<'_>, user: Option<User>, password: &Secret) -> Result<(User, bool)> {
    let hasher = call.auth.hasher();
    let found = user.and_then(|user| Some((user.password_hash()?.to_owned(), user)));
    let Some((hash, user)) = found else {
        hasher.verify_nothing(password.expose()).await.map_err(|_busy| busy())?;
        return Err(wrong());
    };
    let verdict = hasher.verify(password.expose(), &hash).await.map_err(|_busy| busy())?;
    call.password_hook(user.id, matches!(verdict, Verdict::Match { .. })).await?;
    match verdict {
        Verdict::Match { rehash } => Ok((user, rehash)),
        Verdict::Mismatch | Verdict::Unsupported => Err(wrong()),
    }
}

fn wrong() -> Error {
    Error::bad_request(code::INVALID_CREDENTIALS, "Invalid login credentials")
}

/// The queue of passwords to be hashed is full.
pub(crate) fn busy() -> Error {
    let message = "Too many sign-ins are under way, try again in a moment";
    Error::too_many(code::OVER_REQUEST_RATE_LIMIT, message, 1)
}
