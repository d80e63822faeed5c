//! Mail to users: templates, messages, and a queue that delivers them by SMTP without anybody waiting.

mod configured;
mod delivery;
mod link;
mod mailer;
mod message;
mod plain;
mod settings;
mod template;
mod words;

use std::fmt;

use plinth_wire::Secret;
use serde_json::Value;

pub use link::{LinkType, confirmation_url};
pub use mailer::{MailCounts, Mailer, SendError};
pub use settings::{RetryPolicy, SettingsError, SmtpSettings, TlsMode};
pub use template::{Content, MailTemplates, Rendered, TemplateError, TemplateSource};

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailKind {
    /// Confirm the address of a new account.
    Confirmation,
    /// An administrator invites somebody.
    Invite,
    /// A link, or a code, to sign in with.
    MagicLink,
    /// Choose a new password.
    Recovery,
    /// Confirm a change of address, to the old one and the new one.
    EmailChange,
    /// A code that proves that the user is there.
    Reauthentication,
    /// Notice: the password was changed.
    PasswordChanged,
    /// Notice, to the old address: the address was changed.
    EmailChanged,
    /// Notice: the phone number was changed.
    PhoneChanged,
    /// Notice: an outside identity was linked.
    IdentityLinked,
    /// Notice: an outside identity was unlinked.
    IdentityUnlinked,
    /// Notice: a second factor was added.
    MfaFactorEnrolled,
    /// Notice: a second factor was removed.
    MfaFactorUnenrolled,
}

impl MailKind {
    /// All kinds.
    pub const ALL: [Self; 13] = [
        Self::Confirmation,
        Self::Invite,
        Self::MagicLink,
        Self::Recovery,
        Self::EmailChange,
        Self::Reauthentication,
        Self::PasswordChanged,
        Self::EmailChanged,
        Self::PhoneChanged,
        Self::IdentityLinked,
        Self::IdentityUnlinked,
        Self::MfaFactorEnrolled,
        Self::MfaFactorUnenrolled,
    ];

    /// Its name under `[auth.email.template]` or, of a notice, `[auth.email.notification]`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Invite => "invite",
            Self::MagicLink => "magic_link",
            Self::Recovery => "recovery",
            Self::EmailChange => "email_change",
            Self::Reauthentication => "reauthentication",
            Self::PasswordChanged => "password_changed",
            Self::EmailChanged => "email_changed",
            Self::PhoneChanged => "phone_changed",
            Self::IdentityLinked => "identity_linked",
            Self::IdentityUnlinked => "identity_unlinked",
            Self::MfaFactorEnrolled => "mfa_factor_enrolled",
            Self::MfaFactorUnenrolled => "mfa_factor_unenrolled",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it only tells what has happened; such mails are sent only where they are switched on.
    pub const fn is_notice(self) -> bool {
        !matches!(
            self,
            Self::Confirmation
                | Self::Invite
                | Self::MagicLink
                | Self::Recovery
                | Self::EmailChange
                | Self::Reauthentication
        )
    }

    /// What stands for `$messageType` in a configured header; the names are the known ones.
    pub(crate) fn message_type(self) -> String {
        match self {
            Self::Reauthentication => "reauthenticate".to_owned(),
            notice if notice.is_notice() => format!("{}_notification", notice.name()),
            other => other.name().to_owned(),
        }
    }
}

/// What a template may show. A value that a kind of mail does not have stays empty.
#[derive(Clone)]
pub struct MailValues {
    /// `.SiteURL`
    pub site_url: String,
    /// `.ConfirmationURL`, as [`confirmation_url`] makes it
    pub confirmation_url: Secret,
    /// `.RedirectTo`
    pub redirect_to: String,
    /// `.Token`, the code of digits
    pub token: Secret,
    /// `.TokenHash`
    pub token_hash: Secret,
    /// `.Email`, the address of the account
    pub email: String,
    /// `.NewEmail`
    pub new_email: String,
    /// `.OldEmail`
    pub old_email: String,
    /// `.Phone`
    pub phone: String,
    /// `.OldPhone`
    pub old_phone: String,
    /// `.Provider`, of a linked identity
    pub provider: String,
    /// `.FactorType`, of a second factor
    pub factor_type: String,
    /// `.Data`, the user's metadata: an object
    pub data: Value,
}

impl Default for MailValues {
    fn default() -> Self {
        let empty = || Secret::new("");
        Self {
            site_url: String::new(),
            confirmation_url: empty(),
            redirect_to: String::new(),
            token: empty(),
            token_hash: empty(),
            email: String::new(),
            new_email: String::new(),
            old_email: String::new(),
            phone: String::new(),
            old_phone: String::new(),
            provider: String::new(),
            factor_type: String::new(),
            data: Value::Null,
        }
    }
}

/// One mail to send. `Debug` shows neither whom it goes to nor what it says.
#[derive(Clone)]
pub struct Mail {
    /// What it is about.
    pub kind: MailKind,
    /// The recipient's address.
    pub to: String,
    /// What the template may show.
    pub values: MailValues,
}

impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_found_by_its_name() {
        for kind in MailKind::ALL {
            assert_eq!(MailKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(MailKind::from_name("newsletter"), None);
    }

    #[test]
    fn a_mail_does_not_print_its_secrets() {
        let values = MailValues { token: Secret::new("123456"), ..MailValues::default() };
        let mail = Mail { kind: MailKind::Recovery, to: "ada@example.com".into(), values };
        assert_eq!(format!("{mail:?}"), "Mail { kind: Recovery, .. }");
    }
}
