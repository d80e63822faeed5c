//! What an app may know of its user.

/// Scopes that there are.
pub(super) const SUPPORTED: [&str; 4] = ["openid", "profile", "email", "phone"];

/// The scopes of `text` (RFC 6749 §3.3), each once, in its order.
///
/// # Errors
///
/// The first that there is not.
pub(super) fn parse(text: &str) -> Result<Vec<&str>, &str> {
    let mut scopes = Vec::new();
    for scope in text.split(' ').filter(|scope| !scope.is_empty()) {
        if !SUPPORTED.contains(&scope) {
            return Err(scope);
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

/// Whether `scope` is one of `scopes`, which are separated by spaces.
pub(super) fn has(scopes: &str, scope: &str) -> bool {
    scopes.split(' ').any(|one| one == scope)
}

/// Whether all of `wanted` are among `granted`.
pub(super) fn covers(granted: &str, wanted: &str) -> bool {
    wanted.split(' ').filter(|scope| !scope.is_empty()).all(|scope| has(granted, scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_count_once_and_must_be_known() {
        assert_eq!(parse("openid  email openid"), Ok(vec!["openid", "email"]));
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("email admin"), Err("admin"));
        assert_eq!(parse("Email"), Err("Email"));
    }

    #[test]
    fn covering_is_about_every_one() {
        assert!(covers("openid email", "email"));
        assert!(covers("openid email", "email openid"));
        assert!(!covers("openid email", "email phone"));
        assert!(!covers("", "email"));
    }
}
