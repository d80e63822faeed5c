//! A project as a value: its name, its database, its logins, its keys.

use std::time::SystemTime;

use plinth_wire::Secret;

use crate::connection::Login;
use crate::keys::Keys;
use crate::signing_key::SigningKey;

/// Longest name of a project, in characters. Role names put up to 14 characters before it and PostgreSQL keeps 63.
pub const MAX_NAME: usize = 40;

/// Names that mean something else already, to PostgreSQL or in a URL.
const RESERVED: [&str; 5] = ["postgres", "plinth", "template0", "template1", "localhost"];

/// Why a text cannot be the name of a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too short to have a first and a last character.
    #[error("a project's name has at least two characters")]
    TooShort,
    /// Longer than [`MAX_NAME`].
    #[error("a project's name has at most {MAX_NAME} characters, this one has {0}")]
    TooLong(usize),
    /// The first character is not a letter.
    #[error("a project's name starts with a lower-case letter, not with `{0}`")]
    Start(char),
    /// The last character is a hyphen.
    #[error("a project's name does not end with `-`")]
    End,
    /// A character that is not allowed.
    #[error("a project's name has only lower-case letters, digits and `-`, not `{0}`")]
    Character(char),
    /// A name with another meaning.
    #[error("`{0}` is a reserved name")]
    Reserved(String),
}

/// Checks that `name` can be a project's name: `^[a-z][a-z0-9-]{0,38}[a-z0-9]$` and not reserved.
///
/// Such a name is a database name, a path segment and a host label without any quoting or encoding.
///
/// # Errors
///
/// [`NameError`] with the reason.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    if let Some(wrong) = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        return Err(NameError::Character(wrong));
    }
    match name.chars().next() {
        None => return Err(NameError::TooShort),
        Some(first) if !first.is_ascii_lowercase() => return Err(NameError::Start(first)),
        Some(_) => {}
    }
    if name.len() < 2 {
        return Err(NameError::TooShort);
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong(name.len()));
    }
    if name.ends_with('-') {
        return Err(NameError::End);
    }
    if RESERVED.contains(&name) {
        return Err(NameError::Reserved(name.to_owned()));
    }
    Ok(())
}

/// One project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its name, valid by [`validate_name`].
    pub name: String,
    /// Its database, of the same name.
    pub database: String,
    /// Grows when the database is replaced by another one (a reset): connections and catalogs of before are worthless.
    pub generation: i64,
    /// Role that owns the project's objects and runs its migrations.
    pub owner_role: String,
    /// Login for people and migrations, `postgres.{name}`: acts as the owner role.
    pub owner_login: Login,
    /// Login of the data API, `authenticator.{name}`: may become `anon`, `authenticated` or `service_role`.
    pub authenticator_login: Login,
    /// Login of sign-in, `auth.{name}`: works as `supabase_auth_admin`. Without a password until the registry was
    /// opened by a Plinth that knows of this login.
    pub auth_login: Login,
    /// JWT secret and API keys.
    pub keys: Keys,
    /// The key pair of its sealed columns, as [`SealingKey::read`](crate::SealingKey::read) takes it; `None` until a manifest
    /// wanted one.
    pub sealing_key: Option<Secret>,
    /// Key pairs that sign its users' tokens, or did, the oldest first.
    pub signing_keys: Vec<SigningKey>,
    /// The blueprint it was made from.
    pub blueprint: Option<String>,
    /// Digest of the manifest that was applied last.
    pub manifest: Option<String>,
    /// Whether it has bindings, hooks or schedules.
    pub has_work: bool,
    /// Grows when these change.
    pub work_revision: i64,
    /// When it was created.
    pub created_at: SystemTime,
}

/// Name of the owner's login of the project `name`.
pub(crate) fn owner_login(name: &str) -> String {
    format!("postgres.{name}")
}

/// Name of the data API's login of the project `name`.
pub(crate) fn authenticator_login(name: &str) -> String {
    format!("authenticator.{name}")
}

/// Name of sign-in's login of the project `name`.
pub(crate) fn auth_login(name: &str) -> String {
    format!("auth.{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_work_everywhere_are_accepted() {
        for name in ["a1", "echelon", "my-app-2", &"a".repeat(MAX_NAME)] {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        for (name, why) in [
            ("", NameError::TooShort),
            ("a", NameError::TooShort),
            ("1a", NameError::Start('1')),
            ("-a", NameError::Start('-')),
            ("a-", NameError::End),
            ("My-app", NameError::Character('M')),
            ("my_app", NameError::Character('_')),
            ("a/../b", NameError::Character('/')),
            ("naïve", NameError::Character('ï')),
            ("plinth", NameError::Reserved("plinth".to_owned())),
            ("postgres", NameError::Reserved("postgres".to_owned())),
        ] {
            assert_eq!(validate_name(name), Err(why), "{name}");
        }
        assert_eq!(validate_name(&"a".repeat(41)), Err(NameError::TooLong(41)));
    }

    #[test]
    fn role_names_of_the_longest_name_are_not_cut_by_postgresql() {
        assert!(authenticator_login(&"a".repeat(MAX_NAME)).len() < 64);
    }
}
