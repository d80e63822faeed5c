//! What an administrator changes about a user.

use serde_json::Value;
use uuid::Uuid;

use super::users::Body;
use crate::account;
use crate::db::Work;
use crate::error::{Error, Result};
use crate::user::{User, merged};

/// Until when somebody may not sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ban {
    /// For so many seconds from now.
    For(i64),
    /// Not any more.
    Lifted,
}

/// Reads a duration as Go writes it (`1h30m`), or `none`.
pub(super) fn ban(text: &str) -> Result<Ban> {
    if text == "none" {
        return Ok(Ban::Lifted);
    }
    crate::config::parse_duration(text)
        .and_then(|duration| i64::try_from(duration.as_secs()).ok())
        .map(Ban::For)
        .ok_or_else(|| {
            Error::validation(format!(
                "invalid format for ban duration: {:?}",
                text.chars().take(64).collect::<String>()
            ))
        })
}

impl Ban {
    pub(super) fn apply(self, work: &mut Work, user: Uuid) {
        match self {
            Self::Lifted => {
                work.add("update auth.users set banned_until = null where id = $1::uuid", &[&user]);
            }
            Self::For(seconds) => {
                let set = "update auth.users set banned_until = now() + make_interval(secs => $2::bigint) where id = $1::uuid";
                work.add(set, &[&user, &seconds]);
            }
        }
    }
}

/// Everything that a request changes.
pub(super) struct Change<'a> {
    pub(super) user: &'a User,
    pub(super) body: &'a Body,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) hash: Option<String>,
}

impl Change<'_> {
    /// # Errors
    ///
    /// 400 for a text that is too long, and for metadata that is too large.
    pub(super) fn apply(&self, work: &mut Work) -> Result<()> {
        let id = self.user.id;
        let mut set = |column: &str, cast: &str, value: &dyn crate::db::Param| {
            let sql = format!(
                "update auth.users set {column} = $2{cast}, updated_at = now() where id = $1::uuid"
            );
            work.add(&sql, &[&id, value]);
        };
        if let Some(hash) = &self.hash {
            set("encrypted_password", "", hash);
        }
        if let Some(role) = self.body.role()? {
            set("role", "", &role);
        }
        if let Some(aud) = self.body.aud()? {
            set("aud", "", &aud);
        }
        let (of_app, of_user) = (&self.body.app_metadata, &self.body.user_metadata);
        if of_app.is_some() || of_user.is_some() {
            let app = merged(self.user.app_metadata(), of_app.clone().unwrap_or_default());
            let user = merged(self.user.user_metadata(), of_user.clone().unwrap_or_default());
            account::check_metadata(&app, &user)?;
            if of_user.is_some() {
                set("raw_user_meta_data", "::jsonb", &Value::Object(user));
            }
            if of_app.is_some() {
                set("raw_app_meta_data", "::jsonb", &Value::Object(app));
            }
        }
        if let Some(email) = &self.email {
            account::set_own(work, self.user, "email", email);
        }
        if let Some(phone) = &self.phone {
            account::set_own(work, self.user, "phone", phone);
        }
        if self.body.email_confirm {
            account::confirm_email(work, id);
        }
        if self.body.phone_confirm {
            account::confirm_phone(work, id);
        }
        if self.hash.is_some() {
            // Whoever is signed in knows the old password, or found somebody's token.
            work.add("delete from auth.sessions where user_id = $1::uuid", &[&id]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_has_a_length_or_is_lifted() {
        assert_eq!(ban("24h").unwrap(), Ban::For(24 * 60 * 60));
        assert_eq!(ban("none").unwrap(), Ban::Lifted);
        assert!(ban("tomorrow").is_err());
    }
}
