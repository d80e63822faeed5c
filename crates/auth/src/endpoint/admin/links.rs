//! `POST /invite` and `POST /admin/generate_link`: links that a server asks for.

use plinth_wire::Secret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::unknown;
use crate::absent::or_default;
use crate::account::{self, NewUser};
use crate::audit::{self, Action};
use crate::contact::{Contact, email_contact};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::mail::{LinkType, confirmation_url};
use crate::one_time::{Issued, Kind};
use crate::post::Letter;
use crate::request::Response;
use crate::service::Call;
use crate::session::saving_user;
use crate::user::{Object, User, merged, provider_metadata};

const INVITED: &str = "update auth.users set invited_at = now() where id = $1::uuid";

const FORGET_CHANGE: &str = "\
delete from auth.one_time_tokens where user_id = $1::uuid \
and token_type in ('email_change_token_new', 'email_change_token_current')";

#[derive(Deserialize)]
struct Body {
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    email: String,
    #[serde(default, deserialize_with = "or_default")]
    new_email: String,
    #[serde(default, deserialize_with = "or_default")]
    password: String,
    #[serde(default, deserialize_with = "or_default")]
    data: Object,
    #[serde(default, deserialize_with = "or_default")]
    redirect_to: String,
}

/// What a link is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Signup,
    Invite,
    MagicLink,
    Recovery,
    ChangeCurrent,
    ChangeNew,
}

impl Purpose {
    const ALL: [Self; 6] = [
        Self::Signup,
        Self::Invite,
        Self::MagicLink,
        Self::Recovery,
        Self::ChangeCurrent,
        Self::ChangeNew,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Signup => "signup",
            Self::Invite => "invite",
            Self::MagicLink => "magiclink",
            Self::Recovery => "recovery",
            Self::ChangeCurrent => "email_change_current",
            Self::ChangeNew => "email_change_new",
        }
    }

    fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.name() == name).ok_or_else(|| {
            let name: String = name.chars().take(64).collect();
            Error::validation(format!("Invalid email action link type requested: {name}"))
        })
    }

    fn token(self) -> Kind {
        match self {
            Self::Signup | Self::Invite => Kind::Confirmation,
            Self::MagicLink | Self::Recovery => Kind::Recovery,
            Self::ChangeCurrent => Kind::EmailChangeCurrent,
            Self::ChangeNew => Kind::EmailChangeNew,
        }
    }

    /// The mail that would have the link.
    fn letter(self) -> Letter {
        match self {
            Self::Signup => Letter::Confirmation,
            Self::Invite => Letter::Invite,
            Self::MagicLink => Letter::MagicLink,
            Self::Recovery => Letter::Recovery,
            Self::ChangeCurrent | Self::ChangeNew => Letter::EmailChange,
        }
    }

    fn link(self) -> LinkType {
        match self {
            Self::Signup => LinkType::Signup,
            Self::Invite => LinkType::Invite,
            Self::MagicLink => LinkType::MagicLink,
            Self::Recovery => LinkType::Recovery,
            Self::ChangeCurrent | Self::ChangeNew => LinkType::EmailChange,
        }
    }
}

/// `POST /invite`: mails somebody that an account is waiting.
pub(crate) async fn invite(call: &Call<'_>) -> Result<Response> {
    let body: Body = call.request.json()?;
    let contact = email_contact(&body.email)?;
    call.deliverable(contact.text())?;
    call.count_mail()?;
    let found = contact.find(call.auth.db()).await?;
    let user = newcomer(call, &contact, found, None, &body.data).await?;
    let (user, issued) = issue(call, Purpose::Invite, &user, None).await?;
    call.mail(Letter::Invite, &user, user.email(), &issued).await?;
    Ok(Response::ok(&user.view()))
}

/// `POST /admin/generate_link`: a link and its code, for a server that sends mails itself. Nothing is sent.
pub(crate) async fn generate(call: &Call<'_>) -> Result<Response> {
    let body: Body = call.request.json()?;
    let mut purpose = Purpose::named(&body.kind)?;
    let contact = email_contact(&body.email)?;
    let found = contact.find(call.auth.db()).await?;
    let mut password = Some(body.password.as_str()).filter(|_| purpose == Purpose::Signup);
    if purpose == Purpose::MagicLink && found.is_none() {
        purpose = Purpose::Signup;
        password = None;
    }
    let mut new_email = None;
    let user = match (purpose, found) {
        (Purpose::Signup, found) => newcomer(call, &contact, found, password, &body.data).await?,
        (Purpose::Invite, found) => newcomer(call, &contact, found, None, &body.data).await?,
        (_, None) => {
            let message = "User with this email not found";
            return Err(Error::not_found(code::USER_NOT_FOUND, message));
        }
        (Purpose::MagicLink | Purpose::Recovery, Some(user)) => user,
        (Purpose::ChangeCurrent | Purpose::ChangeNew, Some(user)) => {
            new_email = Some(wanted(call, purpose, &user, &body.new_email).await?);
            user
        }
    };
    let (user, issued) = issue(call, purpose, &user, new_email.as_deref()).await?;
    let asked = Some(body.redirect_to).filter(|url| call.auth.config().redirects.allows(url));
    let redirect_to = asked.unwrap_or_else(|| call.redirect_to());
    let action_link = confirmation_url(
        call.auth.external_url(),
        "/verify",
        &issued.hash,
        purpose.link(),
        &redirect_to,
    );
    let link = json!({
        "action_link": action_link,
        "email_otp": issued.code,
        "hashed_token": issued.hash,
        "verification_type": purpose.name(),
        "redirect_to": redirect_to,
    });
    let mut answer = serde_json::to_value(user.view()).unwrap_or_default();
    if let (Value::Object(answer), Value::Object(link)) = (&mut answer, link) {
        answer.extend(link);
    }
    Ok(Response::ok(&answer))
}

/// Somebody whose address is not confirmed: who is there already, or is made now. A sign-up (`password`) has to have a
/// password when it is new, and its metadata are merged when it is not.
async fn newcomer(
    call: &Call<'_>,
    contact: &Contact,
    found: Option<User>,
    password: Option<&str>,
    data: &Object,
) -> Result<User> {
    let Some(user) = found else { return create(call, contact, password, data).await };
    if contact.is_confirmed(&user) {
        let message = "A user with this email address has already been registered";
        return Err(Error::unprocessable(code::EMAIL_EXISTS, message));
    }
    if password.is_some() && !data.is_empty() {
        let metadata = merged(user.user_metadata(), data.clone());
        account::check_metadata(&user.app_metadata(), &metadata)?;
        let metadata = Value::Object(metadata);
        let set = "update auth.users set raw_user_meta_data = $2::jsonb where id = $1::uuid";
        call.auth.db().try_run(Work::of(set, &[&user.id, &metadata])).await.map_err(saving_user)?;
    }
    Ok(user)
}

async fn create(
    call: &Call<'_>,
    contact: &Contact,
    password: Option<&str>,
    data: &Object,
) -> Result<User> {
    let password_hash = match password {
        None => None,
        Some("") => return Err(Error::validation("Signup requires a valid password")),
        Some(password) => {
            let password = Secret::new(password.to_owned());
            call.check_password(&password).await?;
            Some(call.hash(&password).await?)
        }
    };
    let new = NewUser {
        email: contact.email(),
        password_hash,
        app_metadata: provider_metadata(["email"]),
        user_metadata: data.clone(),
        ..NewUser::default()
    };
    let identity = account::identity_data(new.id, "email", contact.text(), &Object::new());
    let id = new.id.to_string();
    call.new_user(&new, |work| account::insert_identity(work, new.id, "email", &id, identity)).await
}

/// The address that a user is to change to.
async fn wanted(call: &Call<'_>, purpose: Purpose, user: &User, new: &str) -> Result<String> {
    if purpose == Purpose::ChangeCurrent && !call.auth.config().email.double_confirm_changes {
        let message = "Enable secure email change to generate link for current email";
        return Err(Error::validation(message));
    }
    let new = email_contact(new)?;
    match new.find(call.auth.db()).await? {
        Some(other) if other.id != user.id => {
            let message = "A user with this email address has already been registered";
            Err(Error::unprocessable(code::EMAIL_EXISTS, message))
        }
        _ => Ok(new.text().to_owned()),
    }
}

/// Makes the token; returns the user as it is then.
async fn issue(
    call: &Call<'_>,
    purpose: Purpose,
    user: &User,
    new_email: Option<&str>,
) -> Result<(User, Issued)> {
    let mut work = Work::new();
    let address = match (purpose, new_email) {
        (Purpose::ChangeNew, Some(new)) => new,
        _ => user.email(),
    };
    if let Some(new) = new_email
        && user.email_change.as_deref() != Some(new)
    {
        // Who has been asked about another address has not been asked about this one.
        work.add(FORGET_CHANGE, &[&user.id]);
    }
    let issued = call.issue(&mut work, user.id, purpose.token(), address, false)?;
    if let Some(new) = new_email {
        // Who agreed to another address has not agreed to this one.
        let wish = "update auth.users set email_change = $2, email_change_confirm_status = 0 where id = $1::uuid";
        work.add(wish, &[&user.id, &new]);
    }
    let traits = json!({"user_id": user.id, "user_email": user.email()});
    if purpose == Purpose::Invite {
        if user.confirmed_at.is_none() {
            // Whoever signed up with the address is not who is invited, unless the mail proves it.
            account::forget_strangers(&mut work, user.id, "email");
        }
        work.add(INVITED, &[&user.id]);
    }
    audit::add_by_admin(&mut work, call.request, Action(purpose.letter().action()), traits);
    let place = account::read(&mut work, user.id);
    let answers = call.auth.db().try_run(work).await.map_err(saving_user)?;
    call.renewed(address);
    Ok((answers.json(place)?.ok_or_else(unknown)?, issued))
}
