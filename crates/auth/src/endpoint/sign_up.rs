//! `POST /signup`: new users, and anonymous ones.

use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::{self, NewUser};
use crate::audit::{self, Action};
use crate::contact::{Contact, Given};
use crate::db::Work;
use crate::endpoint::otp::{channel, first_proof};
use crate::error::{Error, Result, code};
use crate::flow::{self, Challenge};
use crate::limits;
use crate::one_time::Kind;
use crate::post::Letter;
use crate::request::Response;
use crate::service::Call;
use crate::session::SignIn;
use crate::sms::Channel;
use crate::user::{Identity, Object, User, provider_metadata};

#[derive(Deserialize)]
struct Body {
    #[serde(flatten)]
    given: Given,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    data: Option<Object>,
    #[serde(default)]
    channel: Option<String>,
    #[serde(flatten)]
    pkce: flow::Given,
}

/// Makes a user; signs it in when nothing has to be confirmed first.
pub(super) async fn answer(call: &Call<'_>) -> Result<Response> {
    let config = call.auth.config();
    let body: Body = call.request.json()?;
    let data = body.data.clone().unwrap_or_default();
    if body.given.is_empty() && body.password.as_deref().unwrap_or_default().is_empty() {
        return anonymous(call, data).await;
    }
    if !config.signup {
        let message = "Signups not allowed for this instance";
        return Err(Error::unprocessable(code::SIGNUP_DISABLED, message));
    }
    let one = "Only an email address or phone number should be provided on signup.";
    let none = "To signup, please provide your email";
    let contact = body.given.contact(none, one)?;
    let challenge = body.pkce.challenge()?;
    if challenge.is_some() && contact.phone().is_some() {
        return Err(Error::validation("PKCE not supported for phone signups"));
    }
    let channel = channel(body.channel.as_deref())?;
    let asked = Asked { contact, challenge, channel };
    let contact = &asked.contact;
    contact.enabled(config, "signups")?;
    call.limit(limits::Kind::SignUp, Some(contact.text()))?;
    let password = body.password.clone().filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| Error::validation("Signup requires a valid password"))?;
    let password = Secret::new(password);
    call.check_password(&password).await?;
    if !contact.autoconfirms(config) {
        call.pace(limits::Kind::SignUp, contact.text(), contact.text())?;
    }
    // One hash is computed in any case, so that the time does not tell whether there is such a user.
    match contact.find(call.auth.db()).await? {
        Some(user) if contact.is_confirmed(&user) => {
            call.hash(&password).await?;
            repeated(call, contact, &user, data).await
        }
        Some(user) => {
            let work = contested(call, &user, &password).await?;
            let user = again(call, &asked, &user, work).await?;
            Ok(Response::ok(&retold(user, contact, data).view()))
        }
        None => {
            let hash = call.hash(&password).await?;
            create(call, &asked, hash, data).await
        }
    }
}

/// Forgets the password of somebody who has never been there when another one is given now: one of the two may be that of
/// a stranger, who waits for whoever has the address to confirm it. Which of them nobody can tell, so neither is good.
async fn contested(call: &Call<'_>, user: &User, password: &Secret) -> Result<Work> {
    let mut work = Work::new();
    let Some(stored) = user.password_hash().filter(|_| user.confirmed_at.is_none()) else {
        call.hash(password).await?;
        return Ok(work);
    };
    if !call.password_is(password, stored).await? {
        account::forget_password(&mut work, user.id, stored);
    }
    Ok(work)
}

/// Who signs up, and how the confirmation is to come.
struct Asked {
    contact: Contact,
    challenge: Option<Challenge>,
    channel: Channel,
}

async fn create(call: &Call<'_>, asked: &Asked, hash: String, data: Object) -> Result<Response> {
    let contact = &asked.contact;
    let new = NewUser {
        email: contact.email(),
        phone: contact.phone(),
        password_hash: Some(hash),
        app_metadata: provider_metadata([contact.provider()]),
        user_metadata: data,
        ..NewUser::default()
    };
    let provider = contact.provider();
    let confirmed = contact.autoconfirms(call.auth.config());
    let made = call.new_user(&new, |work| {
        let identity = account::identity_data(new.id, provider, contact.text(), &new.user_metadata);
        account::insert_identity(work, new.id, provider, &new.id.to_string(), identity);
        match contact {
            Contact::Email(_) if confirmed => account::confirm_email(work, new.id),
            Contact::Phone(_) if confirmed => account::confirm_phone(work, new.id),
            _ => {}
        }
    });
    let user = made.await.map_err(|error| match error.code {
        // Somebody else was quicker by a moment.
        code::EMAIL_EXISTS | code::PHONE_EXISTS => already(),
        _ => error,
    })?;
    if confirmed {
        let mut work = Work::new();
        audit::add(
            &mut work,
            call.request,
            &user,
            Action("user_signedup"),
            json!({"provider": provider}),
        );
        let session = call.sign_in(work, &user, SignIn::by("password", provider)).await?;
        return Ok(Response::ok(&session));
    }
    Ok(Response::ok(&again(call, asked, &user, Work::new()).await?.view()))
}

/// Sends the confirmation, for the first time or once more, and does `work` in the same transaction.
async fn again(call: &Call<'_>, asked: &Asked, user: &User, work: Work) -> Result<User> {
    let contact = &asked.contact;
    match contact {
        Contact::Email(_) => {
            let challenge = asked.challenge.as_ref();
            let kind = first_proof(user);
            call.send_link_with(work, user, kind, Letter::Confirmation, challenge).await?;
        }
        Contact::Phone(phone) => {
            call.send_code_with(work, user, Kind::Confirmation, phone, asked.channel).await?;
        }
    }
    let user = account::find(call.auth.db(), user.id).await?;
    user.ok_or_else(|| Error::internal("Database error finding user"))
}

/// Somebody who is not there yet, as whoever signs up with the same address may see it: with what was said now, and not
/// with what others have said before.
fn retold(user: User, contact: &Contact, data: Object) -> User {
    let provider = contact.provider();
    let said = account::identity_data(user.id, provider, contact.text(), &data);
    let own = user.identity(provider);
    let own = own.map(|own| Identity { identity_data: said, ..own.clone() });
    User {
        identities: own.into_iter().collect(),
        raw_app_meta_data: Some(provider_metadata([provider])),
        raw_user_meta_data: Some(data),
        ..user
    }
}

/// Somebody signs up who is there already: that is said only where signing up would sign in.
async fn repeated(
    call: &Call<'_>,
    contact: &Contact,
    user: &User,
    data: Object,
) -> Result<Response> {
    let mut work = Work::new();
    let action = Action("user_repeated_signup");
    audit::add(&mut work, call.request, user, action, json!({"provider": contact.provider()}));
    call.auth.db().run(work).await?;
    if contact.autoconfirms(call.auth.config()) {
        return Err(already());
    }
    let (email, phone) = (contact.email().unwrap_or_default(), contact.phone().unwrap_or_default());
    Ok(Response::ok(&user.disguised(email, phone, data, call.now)))
}

fn already() -> Error {
    Error::unprocessable(code::USER_ALREADY_EXISTS, "User already registered")
}

async fn anonymous(call: &Call<'_>, data: Object) -> Result<Response> {
    let config = call.auth.config();
    if !config.signup {
        let message = "Signups not allowed for this instance";
        return Err(Error::unprocessable(code::SIGNUP_DISABLED, message));
    }
    if !config.anonymous_sign_ins {
        let message = "Anonymous sign-ins are disabled";
        return Err(Error::unprocessable(code::ANONYMOUS_PROVIDER_DISABLED, message));
    }
    call.limit(limits::Kind::Anonymous, None)?;
    let new = NewUser { user_metadata: data, is_anonymous: true, ..NewUser::default() };
    let user = call.new_user(&new, |_| {}).await?;
    let mut work = Work::new();
    audit::add(&mut work, call.request, &user, Action("user_signedup"), Value::Null);
    let session = call.sign_in(work, &user, SignIn::by("anonymous", "anonymous")).await?;
    Ok(Response::ok(&session))
}
