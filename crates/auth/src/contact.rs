//! How a user can be reached: exactly one of an address and a number.

use serde::Deserialize;

use crate::account;
use crate::config::AuthConfig;
use crate::db::Db;
use crate::email;
use crate::error::{Error, Result, code};
use crate::sms;
use crate::user::User;

/// The two fields by which requests name a user.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Given {
    /// An address, as it was typed.
    #[serde(default)]
    pub email: Option<String>,
    /// A number, as it was typed.
    #[serde(default)]
    pub phone: Option<String>,
}

/// An address or a number in its one form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contact {
    /// In lower case.
    Email(String),
    /// Digits without `+`.
    Phone(String),
}

impl Given {
    /// Whether neither is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.email().is_none() && self.phone().is_none()
    }

    fn email(&self) -> Option<&str> {
        self.email.as_deref().filter(|text| !text.is_empty())
    }

    fn phone(&self) -> Option<&str> {
        self.phone.as_deref().filter(|text| !text.is_empty())
    }

    /// The one that was given. `none` and `both` are what to say when it is not one.
    ///
    /// # Errors
    ///
    /// 400 when it is none or both, or is not well formed.
    pub(crate) fn contact(&self, none: &'static str, both: &'static str) -> Result<Contact> {
        match (self.email(), self.phone()) {
            (Some(email), None) => email_contact(email),
            (None, Some(phone)) => phone_contact(phone),
            (None, None) => Err(Error::validation(none)),
            (Some(_), Some(_)) => Err(Error::validation(both)),
        }
    }
}

/// The one form of an address.
///
/// # Errors
///
/// 400 when it is none.
pub(crate) fn email_contact(email: &str) -> Result<Contact> {
    let email = email::normalize(email)
        .map_err(|_why| Error::validation("Unable to validate email address: invalid format"))?;
    Ok(Contact::Email(email))
}

/// The one form of a phone number.
///
/// # Errors
///
/// 400 when it is none.
pub(crate) fn phone_contact(phone: &str) -> Result<Contact> {
    let phone = sms::normalize(phone)
        .map_err(|_why| Error::validation("Invalid phone number format (E.164 required)"))?;
    Ok(Contact::Phone(phone))
}

impl Contact {
    /// `email` or `phone`: the provider of the identity, and the name of the field.
    pub(crate) fn provider(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
            Self::Phone(_) => "phone",
        }
    }

    /// The address or the number.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Email(text) | Self::Phone(text) => text,
        }
    }

    /// The address.
    pub(crate) fn email(&self) -> Option<&str> {
        match self {
            Self::Email(text) => Some(text),
            Self::Phone(_) => None,
        }
    }

    /// The number.
    pub(crate) fn phone(&self) -> Option<&str> {
        match self {
            Self::Phone(text) => Some(text),
            Self::Email(_) => None,
        }
    }

    /// Whether users of this kind may sign in and up.
    ///
    /// # Errors
    ///
    /// 400 when they may not.
    pub(crate) fn enabled(&self, config: &AuthConfig, what: &str) -> Result<()> {
        match self {
            Self::Email(_) if !config.email.enabled => {
                let message = format!("Email {what} are disabled");
                Err(Error::bad_request(code::EMAIL_PROVIDER_DISABLED, message))
            }
            Self::Phone(_) if !config.sms.enabled => {
                let message = format!("Phone {what} are disabled");
                Err(Error::bad_request(code::PHONE_PROVIDER_DISABLED, message))
            }
            Self::Email(_) | Self::Phone(_) => Ok(()),
        }
    }

    /// The user who can be reached here.
    ///
    /// # Errors
    ///
    /// Those of the database.
    pub(crate) async fn find(&self, db: &Db) -> Result<Option<User>> {
        match self {
            Self::Email(email) => account::find_by_email(db, email).await,
            Self::Phone(phone) => account::find_by_phone(db, phone).await,
        }
    }

    /// Whether `user` has proved to be reachable here.
    pub(crate) fn is_confirmed(&self, user: &User) -> bool {
        match self {
            Self::Email(_) => user.email_confirmed_at.is_some(),
            Self::Phone(_) => user.phone_confirmed_at.is_some(),
        }
    }

    /// Whether sign-ups need no confirmation.
    pub(crate) fn autoconfirms(&self, config: &AuthConfig) -> bool {
        match self {
            Self::Email(_) => !config.email.confirmations,
            Self::Phone(_) => !config.sms.confirmations,
        }
    }
}
