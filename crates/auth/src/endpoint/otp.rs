//! `/otp`, `/magiclink`, `/recover`, `/resend`, `/reauthenticate`: everything that asks for a mail or a message.
//!
//! Where anybody may ask, the answer is the same whether there is such a user or not.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::absent::or_default;
use crate::account::{self, NewUser};
use crate::audit::{self, Action};
use crate::contact::{Contact, Given, email_contact, phone_contact};
use crate::db::Work;
use crate::error::{Error, Result, code};
use crate::flow::{self, Challenge, NewFlow};
use crate::limits;
use crate::one_time::{Issued, Kind};
use crate::post::Letter;
use crate::request::Response;
use crate::service::Call;
use crate::session::saving_user;
use crate::sms::Channel;
use crate::steady::steadily;
use crate::user::{Object, User, provider_metadata};

#[derive(Deserialize)]
struct OtpBody {
    #[serde(flatten)]
    given: Given,
    #[serde(flatten)]
    pkce: flow::Given,
    #[serde(default)]
    create_user: Option<bool>,
    #[serde(default)]
    data: Option<Object>,
    #[serde(default)]
    channel: Option<String>,
}

/// `POST /otp`: a link or a code to sign in with.
pub(super) async fn otp(call: &Call<'_>) -> Result<Response> {
    let body: OtpBody = call.request.json()?;
    let one = "Only an email address or phone number should be provided";
    let contact = body.given.contact("One of email or phone must be set", one)?;
    send_otp(call, contact, body).await
}

/// `POST /magiclink`: as [`otp`], by mail.
pub(super) async fn magic_link(call: &Call<'_>) -> Result<Response> {
    let body: OtpBody = call.request.json()?;
    let email = body.given.email.as_deref().filter(|email| !email.is_empty());
    let email = email.ok_or_else(|| Error::validation("Password recovery requires an email"))?;
    send_otp(call, email_contact(email)?, body).await
}

async fn send_otp(call: &Call<'_>, contact: Contact, body: OtpBody) -> Result<Response> {
    let config = call.auth.config();
    if contact.phone().is_some() && !config.sms.enabled {
        let message = "Unsupported phone provider";
        return Err(Error::bad_request(code::PHONE_PROVIDER_DISABLED, message));
    }
    contact.enabled(config, "logins")?;
    if contact.email().is_some() && !config.email.magic_link {
        let message = "Login with magic link is disabled";
        return Err(Error::unprocessable(code::EMAIL_PROVIDER_DISABLED, message));
    }
    let channel = channel(body.channel.as_deref())?;
    let challenge = body.pkce.challenge()?;
    call.limit_message(limits::Kind::Otp, contact.text())?;
    steadily(sent_otp(call, &contact, body, channel, challenge.as_ref())).await
}

async fn sent_otp(
    call: &Call<'_>,
    contact: &Contact,
    body: OtpBody,
    channel: Channel,
    challenge: Option<&Challenge>,
) -> Result<Response> {
    let config = call.auth.config();
    let found = contact.find(call.auth.db()).await?;
    let user = match found {
        Some(user) => user,
        None if body.create_user == Some(false) => {
            let message = "Signups not allowed for otp";
            return Err(Error::unprocessable(code::OTP_DISABLED, message));
        }
        None if !config.signup => {
            let message = "Signups not allowed for this instance";
            return Err(Error::unprocessable(code::SIGNUP_DISABLED, message));
        }
        None => create(call, contact, body.data.unwrap_or_default()).await?,
    };
    match contact {
        Contact::Email(_) => {
            let (kind, letter) = match contact.is_confirmed(&user) {
                true => (Kind::Recovery, Letter::MagicLink),
                false => (proof(&user), Letter::Confirmation),
            };
            call.send_link(&user, kind, letter, challenge).await?;
            Ok(Response::done())
        }
        Contact::Phone(phone) => {
            let message = call.send_code(&user, proof(&user), phone, channel).await?;
            Ok(sent(message))
        }
    }
}

/// What proves that somebody who signs in without a password is there. Of a user who has never been, anybody may have set
/// the password, in the hope that the address is confirmed one day: the proof forgets it.
fn proof(user: &User) -> Kind {
    match user.confirmed_at.is_none() && user.password_hash().is_some() {
        true => Kind::Recovery,
        false => first_proof(user),
    }
}

/// What proves the address of somebody who signs up. When a provider has brought it there, which has not verified it, the
/// account there may be somebody else's: the proof forgets it.
pub(super) fn first_proof(user: &User) -> Kind {
    let own = |provider: &str| ["email", "phone"].contains(&provider);
    let foreign = user.identities.iter().any(|identity| !own(&identity.provider));
    match user.confirmed_at.is_none() && foreign {
        true => Kind::Recovery,
        false => Kind::Confirmation,
    }
}

/// A proof that forgets the password is not to be got round by one that came before.
fn supersede(work: &mut Work, user: &User, kind: Kind) {
    if kind == Kind::Recovery && user.confirmed_at.is_none() {
        account::drop_confirmation(work, user.id);
    }
}

/// By what a code is to go.
///
/// # Errors
///
/// 400 when we know no such way.
pub(super) fn channel(name: Option<&str>) -> Result<Channel> {
    Channel::of_name(name.unwrap_or_default()).ok_or_else(|| {
        Error::validation("Invalid channel, supported values are 'sms' or 'whatsapp'")
    })
}

/// The answer to who was sent a code, with the carrier's name of the message if it gave one.
fn sent(message: Option<String>) -> Response {
    match message {
        Some(id) => Response::ok(&json!({"message_id": id})),
        None => Response::done(),
    }
}

/// A user who has no password that anybody knows.
async fn create(call: &Call<'_>, contact: &Contact, data: Object) -> Result<User> {
    let provider = contact.provider();
    let new = NewUser {
        email: contact.email(),
        phone: contact.phone(),
        password_hash: None,
        app_metadata: provider_metadata([provider]),
        user_metadata: data,
        ..NewUser::default()
    };
    let confirmed = contact.autoconfirms(call.auth.config()) && contact.email().is_some();
    call.new_user(&new, |work| {
        let identity = account::identity_data(new.id, provider, contact.text(), &new.user_metadata);
        account::insert_identity(work, new.id, provider, &new.id.to_string(), identity);
        if confirmed {
            account::confirm_email(work, new.id);
        }
    })
    .await
}

#[derive(Deserialize)]
struct RecoverBody {
    #[serde(default, deserialize_with = "or_default")]
    email: String,
    #[serde(flatten)]
    pkce: flow::Given,
}

/// `POST /recover`: a link by which to set a new password.
pub(super) async fn recover(call: &Call<'_>) -> Result<Response> {
    let body: RecoverBody = call.request.json()?;
    if body.email.is_empty() {
        return Err(Error::validation("Password recovery requires an email"));
    }
    let contact = email_contact(&body.email)?;
    let challenge = body.pkce.challenge()?;
    call.limit_message(limits::Kind::Recover, contact.text())?;
    steadily(async {
        if let Some(user) = contact.find(call.auth.db()).await? {
            call.send_link(&user, Kind::Recovery, Letter::Recovery, challenge.as_ref()).await?;
        }
        Ok(Response::done())
    })
    .await
}

#[derive(Deserialize)]
struct ResendBody {
    #[serde(default, rename = "type", deserialize_with = "or_default")]
    kind: String,
    #[serde(flatten)]
    given: Given,
    #[serde(flatten)]
    pkce: flow::Given,
}

/// `POST /resend`: once more what was sent already and not used.
pub(super) async fn resend(call: &Call<'_>) -> Result<Response> {
    let body: ResendBody = call.request.json()?;
    let challenge = body.pkce.challenge()?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let contact = match (body.kind.as_str(), given(&body.given.email), given(&body.given.phone)) {
        ("signup" | "email_change", Some(email), None) => email_contact(&email)?,
        ("sms" | "phone_change", None, Some(phone)) => phone_contact(&phone)?,
        (_, Some(_), Some(_)) => {
            let message = "Only an email address or phone number should be provided.";
            return Err(Error::validation(message));
        }
        ("signup" | "email_change", _, _) => {
            return Err(Error::validation("Type provided requires an email address"));
        }
        ("sms" | "phone_change", _, _) => {
            return Err(Error::validation("Type provided requires a phone number"));
        }
        _ => {
            return Err(Error::validation(
                "Missing one of these types: signup, email_change, sms, phone_change",
            ));
        }
    };
    contact.enabled(call.auth.config(), "logins")?;
    call.limit_message(limits::Kind::Resend, contact.text())?;
    steadily(sent_again(call, &contact, &body.kind, challenge.as_ref())).await?;
    Ok(Response::done())
}

/// Sends what somebody waits for who can be reached at `contact`, if there is somebody.
async fn sent_again(
    call: &Call<'_>,
    contact: &Contact,
    kind: &str,
    challenge: Option<&Challenge>,
) -> Result<()> {
    let Some(user) = contact.find(call.auth.db()).await? else { return Ok(()) };
    match (kind, contact) {
        ("signup", _) if !contact.is_confirmed(&user) => {
            let kind = first_proof(&user);
            call.send_link(&user, kind, Letter::Confirmation, challenge).await?;
        }
        ("email_change", _) if user.email_change.as_deref().is_some_and(|new| !new.is_empty()) => {
            call.send_email_change(&user, challenge).await?;
        }
        ("sms", Contact::Phone(phone)) if !contact.is_confirmed(&user) => {
            call.send_code(&user, Kind::Confirmation, phone, Channel::Sms).await?;
        }
        ("phone_change", _) => {
            if let Some(new) = user.phone_change.clone().filter(|new| !new.is_empty()) {
                call.send_code(&user, Kind::PhoneChange, &new, Channel::Sms).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// `GET /reauthenticate`: a nonce that a sensitive change asks for.
pub(super) async fn reauthenticate(call: &Call<'_>) -> Result<Response> {
    let user = call.user()?;
    let (email, phone) = (user.email(), user.phone());
    if email.is_empty() && phone.is_empty() {
        let message = "Reauthentication requires the user to have an email or a phone number";
        return Err(Error::unprocessable(code::VALIDATION_FAILED, message));
    }
    if !email.is_empty() {
        if user.email_confirmed_at.is_none() {
            let message = "Please verify your email first.";
            return Err(Error::unprocessable(code::EMAIL_NOT_CONFIRMED, message));
        }
        call.limit_message(limits::Kind::UserUpdate, email)?;
        call.send_link(user, Kind::Reauthentication, Letter::Reauthentication, None).await?;
        return Ok(Response::done());
    }
    if user.phone_confirmed_at.is_none() {
        let message = "Please verify your phone first.";
        return Err(Error::unprocessable(code::PHONE_NOT_CONFIRMED, message));
    }
    call.limit_message(limits::Kind::UserUpdate, phone)?;
    let message = call.send_code(user, Kind::Reauthentication, phone, Channel::Sms).await?;
    Ok(sent(message))
}

/// The tokens of a change of address.
pub(crate) struct ChangeTokens {
    to_new: Issued,
    to_current: Option<Issued>,
}

impl Call<'_> {
    /// Makes a token and mails it to the user's address.
    pub(crate) async fn send_link(
        &self,
        user: &User,
        kind: Kind,
        letter: Letter,
        challenge: Option<&Challenge>,
    ) -> Result<()> {
        self.send_link_with(Work::new(), user, kind, letter, challenge).await
    }

    /// As [`Call::send_link`], in one transaction with `work`.
    pub(crate) async fn send_link_with(
        &self,
        mut work: Work,
        user: &User,
        kind: Kind,
        letter: Letter,
        challenge: Option<&Challenge>,
    ) -> Result<()> {
        supersede(&mut work, user, kind);
        let issued = self.issue(&mut work, user.id, kind, user.email(), challenge.is_some())?;
        self.begin_flow(&mut work, user, letter, challenge);
        audit::add(&mut work, self.request, user, Action(letter.action()), Value::Null);
        self.auth.db().try_run(work).await.map_err(saving_user)?;
        self.renewed(user.email());
        self.mail(letter, user, user.email(), &issued).await
    }

    /// Makes the tokens of a change of address anew and mails them.
    pub(crate) async fn send_email_change(
        &self,
        user: &User,
        challenge: Option<&Challenge>,
    ) -> Result<()> {
        let mut work = Work::new();
        let tokens = self.begin_email_change(&mut work, user, challenge)?;
        self.auth.db().try_run(work).await.map_err(saving_user)?;
        self.mail_email_change(user, &tokens).await
    }

    /// Makes the tokens of a change to `user.email_change`: for the new address, and, unless that was switched off, for the
    /// present one.
    pub(crate) fn begin_email_change(
        &self,
        work: &mut Work,
        user: &User,
        challenge: Option<&Challenge>,
    ) -> Result<ChangeTokens> {
        let pkce = challenge.is_some();
        let new = user.email_change.as_deref().unwrap_or_default();
        let to_new = self.issue(work, user.id, Kind::EmailChangeNew, new, pkce)?;
        let both = self.auth.config().email.double_confirm_changes && !user.email().is_empty();
        let to_current = match both {
            true => {
                Some(self.issue(work, user.id, Kind::EmailChangeCurrent, user.email(), pkce)?)
            }
            false => None,
        };
        // Whoever agreed before has to agree again: the tokens of before are worth nothing.
        let nobody_agreed =
            "update auth.users set email_change_confirm_status = 0 where id = $1::uuid";
        work.add(nobody_agreed, &[&user.id]);
        self.begin_flow(work, user, Letter::EmailChange, challenge);
        Ok(ChangeTokens { to_new, to_current })
    }

    /// Mails the tokens of a change of address.
    pub(crate) async fn mail_email_change(&self, user: &User, tokens: &ChangeTokens) -> Result<()> {
        let new = user.email_change.clone().unwrap_or_default();
        self.renewed(&new);
        if tokens.to_current.is_some() {
            self.renewed(user.email());
        }
        self.mail_change(user, &tokens.to_new, tokens.to_current.as_ref()).await
    }

    /// Makes a code and sends it to `phone`; returns the provider's name of the message.
    pub(crate) async fn send_code(
        &self,
        user: &User,
        kind: Kind,
        phone: &str,
        channel: Channel,
    ) -> Result<Option<String>> {
        self.send_code_with(Work::new(), user, kind, phone, channel).await
    }

    /// As [`Call::send_code`], in one transaction with `work`.
    pub(crate) async fn send_code_with(
        &self,
        mut work: Work,
        user: &User,
        kind: Kind,
        phone: &str,
        channel: Channel,
    ) -> Result<Option<String>> {
        supersede(&mut work, user, kind);
        let issued = self.issue(&mut work, user.id, kind, phone, false)?;
        self.auth.db().try_run(work).await.map_err(saving_user)?;
        self.renewed(phone);
        self.text(user, kind.message(), phone, &issued, channel.name()).await
    }

    /// The code that was set for a number, so that it can be tried without messages.
    pub(crate) fn test_code(&self, phone: &str) -> Option<&str> {
        let sms = &self.auth.config().sms;
        let over = sms.test_otp_valid_until.is_some_and(|until| until <= self.now);
        if over { None } else { sms.test_otp.get(phone).map(plinth_wire::Secret::expose) }
    }

    fn begin_flow(
        &self,
        work: &mut Work,
        user: &User,
        letter: Letter,
        challenge: Option<&Challenge>,
    ) {
        if challenge.is_some() {
            let new = NewFlow {
                challenge,
                user: Some(user.id),
                provider: "email",
                method: letter.method(),
                ..NewFlow::default()
            };
            flow::begin(work, &new);
        }
    }
}

/// 429 of whoever asks for too many mails.
pub(crate) fn too_many_mails(seconds: u64) -> Error {
    let message = "email rate limit exceeded";
    Error::too_many(code::OVER_EMAIL_SEND_RATE_LIMIT, message, seconds)
}

/// 429 of whoever asks for too many messages.
pub(crate) fn too_many_messages(seconds: u64) -> Error {
    let message = "sms rate limit exceeded";
    Error::too_many(code::OVER_SMS_SEND_RATE_LIMIT, message, seconds)
}
