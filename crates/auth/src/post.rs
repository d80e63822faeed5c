//! What users are sent: by mail, by message, or by the project's own hook.

use std::sync::Arc;

use plinth_wire::Secret;
use serde_json::Value;

use crate::error::{Error, Result, code};
use crate::hook::payload::{EmailData, SmsData};
use crate::mail::{LinkType, Mail, MailKind, MailValues, confirmation_url};
use crate::one_time::Issued;
use crate::service::Call;
use crate::sms::{Channel, Sms, SmsSender, render};
use crate::user::User;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    /// A new user proves an address.
    Confirmation,
    /// Somebody is asked to join.
    Invite,
    /// A sign-in without a password.
    MagicLink,
    /// A password was forgotten.
    Recovery,
    /// An address is to be changed.
    EmailChange,
    /// A nonce before a sensitive change.
    Reauthentication,
}

impl Letter {
    /// The entry in the log.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::Confirmation => "user_confirmation_requested",
            Self::Invite => "user_invited",
            Self::MagicLink | Self::Recovery => "user_recovery_requested",
            Self::EmailChange => "user_modified",
            Self::Reauthentication => "user_reauthenticate_requested",
        }
    }

    /// How a sign-in that begins with this mail is named in access tokens.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Confirmation => "email/signup",
            Self::Invite => "invite",
            Self::MagicLink | Self::Reauthentication => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
        }
    }

    /// What a hook is told about the mail.
    fn action_type(self) -> &'static str {
        match self {
            Self::Confirmation => "signup",
            Self::Invite => "invite",
            Self::MagicLink => "magiclink",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
            Self::Reauthentication => "reauthentication",
        }
    }

    fn kind(self) -> MailKind {
        match self {
            Self::Confirmation => MailKind::Confirmation,
            Self::Invite => MailKind::Invite,
            Self::MagicLink => MailKind::MagicLink,
            Self::Recovery => MailKind::Recovery,
            Self::EmailChange => MailKind::EmailChange,
            Self::Reauthentication => MailKind::Reauthentication,
        }
    }

    /// `type` in the link.
    fn link(self) -> LinkType {
        match self {
            Self::Confirmation => LinkType::Signup,
            Self::Invite => LinkType::Invite,
            Self::MagicLink | Self::Reauthentication => LinkType::MagicLink,
            Self::Recovery => LinkType::Recovery,
            Self::EmailChange => LinkType::EmailChange,
        }
    }
}

/// Something that has happened to an account, which its user is told where the project wants that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice<'a> {
    /// There is a new password.
    PasswordChanged,
    /// There is a new address; the old one is told.
    EmailChanged {
        /// The address until now.
        old: &'a str,
    },
    /// There is a new phone number.
    PhoneChanged {
        /// The number until now, empty when there was none.
        old: &'a str,
    },
    /// An outside identity was linked.
    IdentityLinked {
        /// Of whom.
        provider: &'a str,
    },
    /// An outside identity was unlinked.
    IdentityUnlinked {
        /// Of whom.
        provider: &'a str,
    },
    /// A second factor was added.
    FactorEnrolled {
        /// `totp`, `phone` or `webauthn`.
        kind: &'a str,
    },
    /// A second factor was removed.
    FactorUnenrolled {
        /// `totp`, `phone` or `webauthn`.
        kind: &'a str,
    },
}

impl<'a> Notice<'a> {
    /// What a hook is told.
    fn data(self, action_type: &'a str) -> EmailData<'a> {
        let none = EmailData { email_action_type: action_type, ..EmailData::default() };
        match self {
            Self::PasswordChanged => none,
            Self::EmailChanged { old } => EmailData { old_email: old, ..none },
            Self::PhoneChanged { old } => EmailData { old_phone: old, ..none },
            Self::IdentityLinked { provider } | Self::IdentityUnlinked { provider } => {
                EmailData { provider, ..none }
            }
            Self::FactorEnrolled { kind } | Self::FactorUnenrolled { kind } => {
                EmailData { factor_type: kind, ..none }
            }
        }
    }

    fn kind(self) -> MailKind {
        match self {
            Self::PasswordChanged => MailKind::PasswordChanged,
            Self::EmailChanged { .. } => MailKind::EmailChanged,
            Self::PhoneChanged { .. } => MailKind::PhoneChanged,
            Self::IdentityLinked { .. } => MailKind::IdentityLinked,
            Self::IdentityUnlinked { .. } => MailKind::IdentityUnlinked,
            Self::FactorEnrolled { .. } => MailKind::MfaFactorEnrolled,
            Self::FactorUnenrolled { .. } => MailKind::MfaFactorUnenrolled,
        }
    }

    fn values(self) -> MailValues {
        let none = MailValues::default();
        match self {
            Self::PasswordChanged => none,
            Self::EmailChanged { old } => MailValues { old_email: old.to_owned(), ..none },
            Self::PhoneChanged { old } => MailValues { old_phone: old.to_owned(), ..none },
            Self::IdentityLinked { provider } | Self::IdentityUnlinked { provider } => {
                MailValues { provider: provider.to_owned(), ..none }
            }
            Self::FactorEnrolled { kind } | Self::FactorUnenrolled { kind } => {
                MailValues { factor_type: kind.to_owned(), ..none }
            }
        }
    }
}

impl Call<'_> {
    /// Tells `user`, as it is after the change, what has happened, where the project has switched that on
    /// (`[auth.email.notification.*]`) and the address is proved. To be called once the change is committed. What goes wrong
    /// is logged and does not undo the change; such mails are not counted, or a flood could keep them from coming.
    pub(crate) fn notify(&self, user: &User, notice: Notice<'_>) {
        let to = match notice {
            Notice::EmailChanged { old } => old,
            _ => user.email(),
        };
        let kind = notice.kind();
        let wanted = self.auth.config().email.notifications.contains_key(kind.name());
        if !wanted || to.is_empty() || !user.email_is_confirmed() {
            return;
        }
        if self.notice_hook(user, &notice.data(&format!("{}_notification", kind.name()))) {
            return;
        }
        let Some(mailer) = self.auth.mailer() else {
            tracing::error!(
                mail.kind = kind.name(),
                "a notice cannot be sent: no mail server is configured"
            );
            return;
        };
        let values = MailValues {
            site_url: self.auth.config().site_url().to_owned(),
            email: user.email().to_owned(),
            phone: user.phone().to_owned(),
            data: Value::Object(user.user_metadata()),
            ..notice.values()
        };
        // A full queue is logged by the mailer.
        let _ = mailer.send(Mail { kind, to: to.to_owned(), values });
    }

    /// Mails a token to `to`. The mail is on its way when this returns, not there.
    ///
    /// # Errors
    ///
    /// 500 when the project cannot send mails, or, where only users and admins may ask, too many wait.
    pub(crate) async fn mail(
        &self,
        letter: Letter,
        user: &User,
        to: &str,
        issued: &Issued,
    ) -> Result<()> {
        let redirect_to = self.redirect_to();
        let data = EmailData {
            token: &issued.code,
            token_hash: &issued.hash,
            redirect_to: &redirect_to,
            email_action_type: letter.action_type(),
            site_url: self.auth.external_url(),
            ..EmailData::default()
        };
        if self.send_email_hook(user, &data).await? {
            return Ok(());
        }
        let path = "/verify";
        let url = confirmation_url(
            self.auth.external_url(),
            path,
            &issued.hash,
            letter.link(),
            &redirect_to,
        );
        let values = MailValues {
            site_url: self.auth.config().site_url().to_owned(),
            confirmation_url: Secret::new(url),
            redirect_to,
            token: Secret::new(issued.code.clone()),
            token_hash: Secret::new(issued.hash.clone()),
            email: user.email().to_owned(),
            new_email: user.email_change.clone().unwrap_or_default(),
            data: Value::Object(user.user_metadata()),
            ..MailValues::default()
        };
        let Some(mailer) = self.auth.mailer() else {
            tracing::error!("a mail cannot be sent: no mail server is configured");
            return Err(Error::internal("Error sending email"));
        };
        let mail = Mail { kind: letter.kind(), to: to.to_owned(), values };
        match mailer.send(mail) {
            // Where anybody may ask, a refusal would tell that somebody is there. The mailer has logged it.
            Err(_refused) if self.caller().is_ok() => Err(Error::internal("Error sending email")),
            _ => Ok(()),
        }
    }

    /// Mails the tokens of a change of address: to the new one, and, where both have to agree, to the
    /// present one. A hook is told of both at once.
    ///
    /// # Errors
    ///
    /// As [`Call::mail`].
    pub(crate) async fn mail_change(
        &self,
        user: &User,
        to_new: &Issued,
        to_current: Option<&Issued>,
    ) -> Result<()> {
        let new = user.email_change.as_deref().unwrap_or_default();
        let Some(to_current) = to_current else {
            return self.mail(Letter::EmailChange, user, new, to_new).await;
        };
        let redirect_to = self.redirect_to();
        // As GoTrue has it: the digest beside a code belongs to the other address.
        let data = EmailData {
            token: &to_current.code,
            token_hash: &to_new.hash,
            token_new: &to_new.code,
            token_hash_new: &to_current.hash,
            redirect_to: &redirect_to,
            email_action_type: Letter::EmailChange.action_type(),
            site_url: self.auth.external_url(),
            ..EmailData::default()
        };
        if self.send_email_hook(user, &data).await? {
            return Ok(());
        }
        self.mail(Letter::EmailChange, user, new, to_new).await?;
        self.mail(Letter::EmailChange, user, user.email(), to_current).await
    }

    /// Sends a code to `phone`; `about` is what a hook is told about why. Returns the carrier's name of the message. Numbers whose codes are set
    /// are sent nothing.
    ///
    /// # Errors
    ///
    /// 422 when it cannot be sent.
    pub(crate) async fn text(
        &self,
        user: &User,
        about: &str,
        phone: &str,
        issued: &Issued,
        channel: &str,
    ) -> Result<Option<String>> {
        let failed = |why: &str| {
            let message = format!("Error sending confirmation OTP to provider: {why}");
            Error::unprocessable(code::SMS_SEND_FAILED, message)
        };
        if self.test_code(phone).is_some() {
            return Ok(None);
        }
        let data = SmsData { otp: &issued.code, sms_type: about, phone };
        if self.send_sms_hook(user, &data).await? {
            return Ok(None);
        }
        let sender = self.auth.carrier().ok_or_else(|| failed("no provider is configured"))?;
        let channel = Channel::of_name(channel).unwrap_or_default();
        let text = render(&self.auth.config().sms.template, &issued.code);
        if self.is_unheard() {
            self.text_in_background(sender, phone, text, &issued.code, channel);
            return Ok(None);
        }
        let sms = Sms { phone, text: &text, code: &issued.code, channel };
        let sent = sender.send(sms).await.map_err(|error| failed(&error.to_string()))?;
        Ok(Some(sent.0))
    }

    /// Has the carrier send a message, and waits for nothing: neither what it says nor how long it takes tells whether somebody
    /// is there. At most as many are under way as calls of hooks may be.
    fn text_in_background(
        &self,
        sender: Arc<dyn SmsSender>,
        phone: &str,
        text: String,
        code: &str,
        channel: Channel,
    ) {
        let Ok(place) = self.auth.hooks().background.clone().try_acquire_owned() else {
            tracing::error!("too many messages are under way, one was not sent");
            return;
        };
        let (phone, code) = (phone.to_owned(), code.to_owned());
        tokio::spawn(async move {
            let sms = Sms { phone: &phone, text: &text, code: &code, channel };
            if let Err(error) = sender.send(sms).await {
                tracing::warn!(error = %error, "a code cannot be sent once more");
            }
            drop(place);
        });
    }
}
