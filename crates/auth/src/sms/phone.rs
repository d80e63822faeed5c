//! Phone numbers, and those of tests.

use std::collections::BTreeMap;

use jiff::Timestamp;
use plinth_wire::Secret;

/// The text is no phone number. 400 `validation_failed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Invalid phone number format (E.164 required)")]
pub struct PhoneError;

/// The one form of `phone` that is stored, compared and sent to: 2 to 15 digits with the country
/// first (E.164), without `+`. One leading `+`, and spaces, may be written.
///
/// # Errors
///
/// [`PhoneError`] if it has another form; then nothing is guessed.
pub fn normalize(phone: &str) -> Result<String, PhoneError> {
    let digits = phone.strip_prefix('+').unwrap_or(phone).replace(' ', "");
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if plain && (2..=15).contains(&digits.len()) { Ok(digits) } else { Err(PhoneError) }
}

/// Numbers that are sent nothing, with the codes that are right for them: for reviewers of app stores
/// and for tests.
#[derive(Debug, Clone, Default)]
pub struct TestCodes {
    codes: BTreeMap<String, Secret>,
    until: Option<Timestamp>,
}

impl TestCodes {
    /// The numbers and their codes, until a time if one is given. Entries whose number is none are left
    /// out: nobody can type them.
    pub fn new(
        codes: impl IntoIterator<Item = (String, Secret)>,
        until: Option<Timestamp>,
    ) -> Self {
        let codes = codes
            .into_iter()
            .filter_map(|(phone, code)| Some((normalize(&phone).ok()?, code)))
            .filter(|(_, code)| !code.expose().is_empty())
            .collect();
        Self { codes, until }
    }

    /// The code of `phone` (normalised), if it is one of these at `now`.
    pub fn code(&self, phone: &str, now: Timestamp) -> Option<&Secret> {
        if self.until.is_some_and(|until| now >= until) {
            return None;
        }
        self.codes.get(phone)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_written_in_one_way() {
        for phone in ["15551234567", "+15551234567", "+1 555 123 4567", " 1555 1234567 "] {
            assert_eq!(normalize(phone).as_deref(), Ok("15551234567"));
        }
        assert_eq!(normalize("12").as_deref(), Ok("12"));
        assert_eq!(normalize("123456789012345").as_deref(), Ok("123456789012345"));
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for phone in [
            "",
            "+",
            "1",
            "1234567890123456",
            "05551234567",
            "++15551234567",
            "1+5551234567",
            "1-555-123-4567",
            "(1)5551234567",
            "1555\t1234567",
            "1555123456a",
            "１５５５１２３",
            "٣٤٥٦٧",
            "1\u{a0}555123456",
        ] {
            assert_eq!(normalize(phone), Err(PhoneError), "{phone:?}");
        }
    }

    #[test]
    fn test_numbers_have_their_codes_until_a_time() {
        let until = Timestamp::from_second(1000).unwrap();
        let codes = [
            ("+1 555 000 0001".to_owned(), Secret::new("123456")),
            ("nobody".to_owned(), Secret::new("123456")),
            ("15550000002".to_owned(), Secret::new("")),
        ];
        let codes = TestCodes::new(codes, Some(until));
        let code = |phone, second| {
            codes.code(phone, Timestamp::from_second(second).unwrap()).map(Secret::expose)
        };
        assert_eq!(code("15550000001", 999), Some("123456"));
        assert_eq!(code("15550000001", 1000), None);
        assert_eq!(code("15550000002", 0), None);
        assert_eq!(code("nobody", 0), None);
        assert!(!format!("{codes:?}").contains("123456"));
        assert!(TestCodes::default().code("15550000001", until).is_none());
    }

    proptest! {
        #[test]
        fn what_passes_is_digits_and_stable(phone in "[+ 0-9a-z\\PC]{0,20}") {
            if let Ok(stored) = normalize(&phone) {
                prop_assert!(stored.bytes().all(|byte| byte.is_ascii_digit()));
                prop_assert_eq!(normalize(&stored), Ok(stored.clone()));
            }
        }
    }
}
