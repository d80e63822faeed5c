//! What a password must be like.

use serde::Serialize;

use super::leaked::LeakedPasswords;

/// Longest new password in bytes. bcrypt looks no further, so it is what people's tools expect.
pub const MAX_PASSWORD_BYTES: usize = 72;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const SYMBOLS: &str = r#"!@#$%^&*()_+-=[]{};'\:"|<>?,./`~"#;

/// What is wrong with a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WeakReason {
    /// Too short.
    Length,
    /// It lacks a kind of characters.
    Characters,
    /// It is in a list of leaked passwords.
    Pwned,
}

/// Why a password is refused. The texts are the ones that clients show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordProblem {
    /// More than [`MAX_PASSWORD_BYTES`] (400 `validation_failed`).
    #[error("Password cannot be longer than {MAX_PASSWORD_BYTES} characters")]
    TooLong,
    /// Too easy to guess (422 `weak_password`).
    #[error("{message}")]
    Weak {
        /// A sentence for each reason.
        message: String,
        /// In the order length, characters, pwned.
        reasons: Vec<WeakReason>,
    },
    /// The list of leaked passwords cannot be asked, and the rules say not to go on without (500).
    #[error("Unable to perform password strength check with HaveIBeenPwned.org.")]
    Unavailable,
}

/// The rules of one project.
#[derive(Debug, Default)]
pub struct PasswordRules {
    /// Shortest password in bytes.
    pub min_length: usize,
    /// Sets of characters; a password has at least one of each.
    pub required_characters: Vec<String>,
    /// Where to look for leaked passwords.
    pub leaked: Option<LeakedPasswords>,
}

impl PasswordRules {
    /// Judges a new password.
    ///
    /// # Errors
    ///
    /// [`PasswordProblem`].
    pub async fn check(&self, password: &str) -> Result<(), PasswordProblem> {
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(PasswordProblem::TooLong);
        }
        let mut found = self.visible_weaknesses(password);
        if let Some(leaked) = &self.leaked {
            match leaked.contains(password).await {
                Ok(true) => found.push((WeakReason::Pwned, PWNED.to_owned())),
                Ok(false) => {}
                Err(error) if leaked.fails_closed() => {
                    tracing::error!(%error, "passwords are refused: the list of leaked ones is away");
                    return Err(PasswordProblem::Unavailable);
                }
                Err(error) => {
                    tracing::warn!(%error, "a password was not looked up among leaked ones");
                }
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let (reasons, messages): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Err(PasswordProblem::Weak { message: messages.join(" "), reasons })
    }

    fn visible_weaknesses(&self, password: &str) -> Vec<(WeakReason, String)> {
        let mut found = Vec::new();
        if password.len() < self.min_length {
            let message = format!("Password should be at least {} characters.", self.min_length);
            found.push((WeakReason::Length, message));
        }
        let lacks = |set: &String| !password.contains(|character| set.contains(character));
        if self.required_characters.iter().any(lacks) {
            let sets = self.required_characters.join(", ");
            let message =
                format!("Password should contain at least one character of each: {sets}.");
            found.push((WeakReason::Characters, message));
        }
        found
    }
}

const PWNED: &str =
    "Password is known to be weak and easy to guess, please choose a different one.";

/// The sets of characters behind a value of `password_requirements` in `config.toml`; none for an empty one.
/// `None` for an unknown one.
pub fn required_characters_of(requirements: &str) -> Option<Vec<String>> {
    let letters = format!("{LOWER}{UPPER}");
    let sets: &[&str] = match requirements {
        "" => &[],
        "letters_digits" => &[&letters, DIGITS],
        "lower_upper_letters_digits" => &[LOWER, UPPER, DIGITS],
        "lower_upper_letters_digits_symbols" => &[LOWER, UPPER, DIGITS, SYMBOLS],
        _ => return None,
    };
    Some(sets.iter().map(|set| (*set).to_owned()).collect())
}

/// Reads `GOTRUE_PASSWORD_REQUIRED_CHARACTERS`: sets separated by `:`; `\:` is a colon that belongs to a set.
pub fn parse_required_characters(text: &str) -> Vec<String> {
    let mut sets = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = character == '\\' && characters.peek() == Some(&':');
        match sets.last_mut() {
            Some(set) if escaped => set.extend(characters.next()),
            Some(set) if character != ':' => set.push(character),
            _ => sets.push(String::new()),
        }
    }
    sets.retain(|set| !set.is_empty());
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(min_length: usize, requirements: &str) -> PasswordRules {
        let required_characters = required_characters_of(requirements).unwrap();
        PasswordRules { min_length, required_characters, leaked: None }
    }

    #[tokio::test]
    async fn the_length_counts_in_bytes_on_both_ends() {
        let rules = rules(6, "");
        assert_eq!(rules.check("123456").await, Ok(()));
        assert_eq!(rules.check("ééé").await, Ok(()));
        assert_eq!(
            rules.check("12345").await,
            Err(PasswordProblem::Weak {
                message: "Password should be at least 6 characters.".to_owned(),
                reasons: vec![WeakReason::Length],
            })
        );
        assert_eq!(rules.check(&"x".repeat(72)).await, Ok(()));
        assert_eq!(rules.check(&"x".repeat(73)).await, Err(PasswordProblem::TooLong));
    }

    #[tokio::test]
    async fn a_password_has_a_character_of_each_set() {
        let all = rules(0, "lower_upper_letters_digits_symbols");
        assert_eq!(all.check("aB3:").await, Ok(()));
        assert_eq!(all.check(r"aB3\").await, Ok(()));
        for lacking in ["ab3!", "AB3!", "abC!", "aB33", "äÖ٣ß"] {
            assert!(all.check(lacking).await.is_err(), "{lacking}");
        }
        let letters = rules(0, "letters_digits");
        assert_eq!(letters.check("B3").await, Ok(()));
        assert_eq!(
            letters.check("33").await.unwrap_err().to_string(),
            "Password should contain at least one character of each: \
             abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ, 0123456789."
        );
    }

    #[tokio::test]
    async fn all_reasons_are_named() {
        let Err(PasswordProblem::Weak { message, reasons }) =
            rules(8, "letters_digits").check("abc").await
        else {
            panic!("it is weak");
        };
        assert_eq!(serde_json::to_string(&reasons).unwrap(), r#"["length","characters"]"#);
        assert!(message.starts_with("Password should be at least 8 characters. Password should "));
    }

    #[test]
    fn sets_are_separated_by_colons_that_are_not_escaped() {
        assert_eq!(parse_required_characters("abc:123"), ["abc", "123"]);
        assert_eq!(parse_required_characters(r"abc:\:;:"), ["abc", ":;"]);
        assert_eq!(parse_required_characters(""), Vec::<String>::new());
        let symbols = r#"abcdefghijklmnopqrstuvwxyz:ABCDEFGHIJKLMNOPQRSTUVWXYZ:0123456789:!@#$%^&*()_+-=[]{};'\\:"|<>?,./`~"#;
        let known = required_characters_of("lower_upper_letters_digits_symbols").unwrap();
        assert_eq!(parse_required_characters(symbols), known);
        assert_eq!(required_characters_of("emoji"), None);
    }
}
