//! A setting as a row: its name, its form, its default and what it means.
//!
//! The rows are the one place that knows names and defaults. The reader takes defaults and bounds
//! from them, the environment finds its variables in them, and the documentation is made from them.

/// One setting of the auth part.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Path below `[auth]`, such as `email.otp_length`. One part may be `*`, which is a name that the
    /// user chooses or one of a list, such as `external.*.client_id`.
    pub key: &'static str,
    /// How its value is written and what it may be.
    pub kind: Kind,
    /// The default as the environment would write it; empty means none.
    pub default: &'static str,
    /// Environment variables that set it, separated by spaces; a `!` before a name means that the
    /// variable says the opposite. Where the key has a `*`, so has the variable.
    pub variables: &'static str,
    /// What it means.
    pub about: &'static str,
}

/// The form of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Switch,
    /// A whole number within bounds, both included.
    Number(u32, u32),
    /// A length of time such as `1h30m` or `500ms`; a bare number is seconds. The bounds are in
    /// seconds, both included.
    Span(u64, u64),
    /// The same, or nothing, which means none.
    OptionalSpan(u64, u64),
    /// So many events per time, `30` or `30/1h`; the number of seconds is the time that a bare number
    /// is for.
    Rate(u64),
    /// Any text.
    Text,
    /// An absolute `http` or `https` URL.
    Url,
    /// One of these.
    Choice(&'static [&'static str]),
    /// Texts; commas separate them in the environment.
    List,
    /// Sets of characters; colons separate them in the environment, `\:` is a colon.
    Sets,
    /// Names and values; `name:value` separated by commas in the environment.
    Pairs,
    /// A text that is never shown.
    Secret,
    /// Texts that are never shown; `|` separates them.
    Secrets,
    /// A file, relative to the file that names it or to the folder above.
    Path,
}

impl Kind {
    /// Whether the value must never be shown.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets)
    }
}

/// A row.
pub(super) const fn setting(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    variables: &'static str,
    about: &'static str,
) -> Setting {
    Setting { key, kind, default, variables, about }
}

/// A variable of a [`Setting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// Its name, which may hold one `*`.
    pub name: &'static str,
    /// Whether it says the opposite of the setting.
    pub inverted: bool,
}

impl Setting {
    /// The variables that set it.
    pub fn variables(&self) -> impl Iterator<Item = Variable> {
        self.variables.split_whitespace().map(|name| match name.strip_prefix('!') {
            Some(name) => Variable { name, inverted: true },
            None => Variable { name, inverted: false },
        })
    }

    /// Whether `key` is this setting's, with any one part in the place of `*`.
    pub fn is(&self, key: &str) -> bool {
        let mut parts = key.split('.');
        self.key.split('.').all(|own| parts.next().is_some_and(|part| own == "*" || own == part))
            && parts.next().is_none()
    }
}

impl Variable {
    /// What stands in the place of `*` when `name` is this variable; an empty text when there is no
    /// `*`, `None` when it is another.
    pub fn placed(self, name: &str) -> Option<&str> {
        match self.name.split_once('*') {
            None => (name == self.name).then_some(""),
            Some((before, after)) => {
                name.strip_prefix(before)?.strip_suffix(after).filter(|part| !part.is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_may_be_any_name() {
        let row = setting("external.*.secret", Kind::Secret, "", "GOTRUE_EXTERNAL_*_SECRET", "");
        assert!(row.is("external.google.secret"));
        for other in ["external.google", "external.google.secret.x", "external.secret", ""] {
            assert!(!row.is(other), "{other}");
        }
        let variable = row.variables().next().unwrap();
        assert_eq!(variable.placed("GOTRUE_EXTERNAL_LINKEDIN_OIDC_SECRET"), Some("LINKEDIN_OIDC"));
        assert_eq!(variable.placed("GOTRUE_EXTERNAL_SECRET"), None);
        assert_eq!(variable.placed("GOTRUE_EXTERNAL__SECRET"), None);
    }

    #[test]
    fn a_variable_may_say_the_opposite() {
        let row = setting("enable_signup", Kind::Switch, "true", "!GOTRUE_DISABLE_SIGNUP", "");
        let variable = row.variables().next().unwrap();
        assert!(variable.inverted);
        assert_eq!(variable.placed("GOTRUE_DISABLE_SIGNUP"), Some(""));
    }
}
