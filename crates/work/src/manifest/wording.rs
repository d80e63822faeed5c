//! Which texts are names, and what is wrong with those that are none.

use super::bounds::{MAX_NAME, MAX_TEXT};
use super::spec::ENV;

/// The longest identifier of PostgreSQL, in bytes.
const MAX_IDENTIFIER: usize = 63;

/// What is wrong with a name of one's own.
pub(super) fn name_problem(text: &str) -> Option<String> {
    let sound = text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        })
        && text.len() <= MAX_NAME;
    (!sound).then(|| {
        format!("must begin with a small letter and have only a–z, 0–9, `-` and `_`, at most {MAX_NAME} in all")
    })
}

/// What is wrong with a name of the catalog.
pub(super) fn identifier_problem(text: &str) -> Option<String> {
    let sound = (1..=MAX_IDENTIFIER).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || matches!(c, '"' | '.') || c.is_whitespace());
    (!sound).then(|| {
        format!("must have from 1 to {MAX_IDENTIFIER} bytes, without quotes, dots and space")
    })
}

/// What is wrong with the name of an action.
pub(super) fn action_problem(text: &str) -> Option<String> {
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
            })
    };
    let sound = text.split('.').all(part) && text.len() <= MAX_NAME;
    (!sound).then(|| "must be like `noop` or `http.request`".to_owned())
}

/// What is wrong with the place of a secret.
pub(super) fn secret_problem(text: &str) -> Option<String> {
    let sound = text.strip_prefix(ENV).is_some_and(is_variable);
    (!sound).then(|| {
        "must be `env:` and the name of an environment variable: secrets are not written here"
            .to_owned()
    })
}

/// What is wrong with any other text.
pub(super) fn text_problem(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        Some("must not be empty".to_owned())
    } else if text.len() > MAX_TEXT {
        Some(format!("must have at most {MAX_TEXT} bytes"))
    } else if text.contains('\0') {
        Some("must have no NUL character".to_owned())
    } else {
        None
    }
}

/// Whether this is the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether this is an action or a pattern of actions.
pub(super) fn is_action_pattern(text: &str) -> bool {
    text == "*" || action_problem(text.strip_suffix(".*").unwrap_or(text)).is_none()
}
