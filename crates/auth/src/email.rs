//! Addresses that accounts are known by.
//!
//! An address is ASCII, or it is refused. Folding the case of other letters joins characters that mail
//! servers keep apart (U+212A KELVIN SIGN folds to `k`, `İ` to an `i` with a dot above, and `ı` has
//! the capital `I`), so that two people could come to share an account; and letters that look alike
//! would let one pass for another. Domains in other scripts are written in their ASCII form
//! (`xn--…`, RFC 5890). Mail goes to the folded address, which is the only one that is stored.

use std::net::Ipv4Addr;

use email_address::{EmailAddress, Options};

/// Characters an address may have, as in the column it is stored in.
pub const MAX_EMAIL_LENGTH: usize = 255;

/// Why a text is not an address. The messages are GoTrue's, with its code `validation_failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// There is no text.
    #[error("An email address is required")]
    Missing,
    /// The text is longer than [`MAX_EMAIL_LENGTH`].
    #[error("An email address is too long")]
    TooLong,
    /// The text is not an address that we accept.
    #[error("Unable to validate email address: invalid format")]
    Format,
}

/// The one form of `address` that is stored, compared and sent to: its lower case.
///
/// Accepted are `local@domain` with an unquoted local part (RFC 5321 §4.1.2, `Dot-string`) and a host
/// name. Quoted local parts, comments, display names, address literals (`[192.0.2.1]`), spaces,
/// control characters and anything beyond ASCII are refused.
///
/// # Errors
///
/// [`EmailError`] if it is empty, too long or of another form.
pub fn normalize(address: &str) -> Result<String, EmailError> {
    if address.is_empty() {
        return Err(EmailError::Missing);
    }
    if address.len() > MAX_EMAIL_LENGTH {
        return Err(EmailError::TooLong);
    }
    if !address.bytes().all(|byte| byte.is_ascii_graphic()) || address.contains('"') {
        return Err(EmailError::Format);
    }
    let options = Options::default().without_display_text().without_domain_literal();
    let parsed =
        EmailAddress::parse_with_options(address, options).map_err(|_| EmailError::Format)?;
    if !is_host(parsed.domain()) {
        return Err(EmailError::Format);
    }
    Ok(address.to_ascii_lowercase())
}

/// The labels' ends and lengths are checked already.
fn is_host(domain: &str) -> bool {
    let host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    domain.bytes().all(host) && domain.parse::<Ipv4Addr>().is_err()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_addresses_pass_in_lower_case() {
        for (typed, stored) in [
            ("user@example.com", "user@example.com"),
            ("First.Last+Tag@Example.COM", "first.last+tag@example.com"),
            ("o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk"),
            ("_@x--y.example", "_@x--y.example"),
            ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
            ("dev@localhost", "dev@localhost"),
        ] {
            assert_eq!(normalize(typed).as_deref(), Ok(stored));
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for address in [
            "user",
            "@example.com",
            "user@",
            "a@b@c.example",
            " a@b.example",
            "a@b.example ",
            "a b@c.example",
            "a@b.example\r\nBcc: c@d.example",
            "a\0@b.example",
            "\"a b\"@c.example",
            "\"a\"@c.example",
            "a@[192.0.2.1]",
            "a@[IPv6:2001:db8::1]",
            "a@192.0.2.1",
            "Name <a@b.example>",
            "<a@b.example>",
            "a@b.example,c@d.example",
            "a@-b.example",
            "a@b-.example",
            "a@b..example",
            "a@b.example.",
            ".a@b.example",
            "a.@b.example",
            "a..b@c.example",
            "a@b_c.example",
            "a@b/c.example",
            "a(comment)@b.example",
        ] {
            assert_eq!(normalize(address), Err(EmailError::Format), "{address:?}");
        }
        assert_eq!(normalize(""), Err(EmailError::Missing));
    }

    #[test]
    fn the_length_is_bounded() {
        let domain =
            format!("{}.example", ["d".repeat(60), "e".repeat(60), "f".repeat(60)].join("."));
        let longest = format!("{}@{domain}", "a".repeat(64));
        assert_eq!(normalize(&longest), Ok(longest.clone()));
        assert_eq!(normalize(&format!("a{longest}")), Err(EmailError::TooLong));
        let local = format!("{}@b.example", "a".repeat(65));
        assert_eq!(normalize(&local), Err(EmailError::Format));
    }

    #[test]
    fn letters_that_fold_to_ascii_cannot_reach_its_account() {
        // Each becomes, or comes from, an ASCII letter when the whole of Unicode is folded.
        for address in [
            "mi\u{212A}e@example.com",  // KELVIN SIGN, lower case k
            "mike@e\u{17F}ample.com",   // LATIN SMALL LETTER LONG S, upper case S
            "m\u{131}ke@example.com",   // dotless i, upper case I
            "M\u{130}KE@example.com",   // I with a dot above, lower case i and a dot
            "\u{FF4D}ike@example.com",  // fullwidth m, m under NFKC
            "mike@exam\u{FF0E}ple.com", // fullwidth full stop
            "mike\u{FF20}example.com",  // fullwidth commercial at
            "mik\u{435}@example.com",   // CYRILLIC SMALL LETTER IE, looks like e
            "mike\u{200B}@example.com", // ZERO WIDTH SPACE
            "mike@example\u{3002}com",  // IDEOGRAPHIC FULL STOP, a dot in IDNA
        ] {
            assert_eq!(normalize(address), Err(EmailError::Format), "{address:?}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_ascii_stable_and_of_the_same_letters(address in "\\PC{1,12}@\\PC{1,12}") {
            if let Ok(stored) = normalize(&address) {
                prop_assert!(stored.is_ascii());
                prop_assert!(stored.eq_ignore_ascii_case(&address));
                prop_assert_eq!(normalize(&stored), Ok(stored.clone()));
            }
        }
    }
}
