//! Codes of authenticator apps: TOTP (RFC 6238) with SHA-1, six digits, steps of 30 seconds.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use plinth_wire::Secret;
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use totp_rs::Builder;

use crate::random::{self, NoRandomness};

/// Bytes of a new secret: 160 bits, as RFC 4226 §4 recommends.
const SECRET_BYTES: usize = 20;
/// Fewest bytes of a secret that is accepted, new or imported (RFC 4226 §4 R6: 128 bits).
const SHORTEST_SECRET: usize = 16;
const STEP_S: u64 = 30;
const DIGITS: usize = 6;

/// What is left as it is in names and addresses. A plus sign is not: some apps read it as a space.
const KEPT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// Why there is no factor, or why it cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum TotpError {
    /// No secret can be drawn.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The names are too long for a QR code.
    #[error("the name of the factor is too long")]
    TooLong,
    /// The stored secret is not base32, or too short.
    #[error("the secret of the factor cannot be used")]
    Secret,
}

/// A new factor, as people get it into their apps.
#[derive(Debug)]
pub struct Enrolment {
    /// The secret in base32 without padding. To be sealed before it is stored.
    pub secret: Secret,
    /// `otpauth://totp/{issuer}:{account}?…` with the secret in it.
    pub uri: Secret,
    /// The same as a picture: an SVG element that begins with `<svg`, and has no `#` or `%` in it, because
    /// clients put `data:image/svg+xml;utf-8,` before it.
    pub qr_code: Secret,
}

/// Draws the secret of a new factor.
///
/// # Errors
///
/// [`TotpError::Randomness`]; [`TotpError::TooLong`] when the names do not fit into a QR code.
pub fn enrol(issuer: &str, account: &str) -> Result<Enrolment, TotpError> {
    let secret = totp_rs::Secret::from(random::bytes::<SECRET_BYTES>()?.to_vec()).to_base32();
    let uri = uri(issuer, account, &secret);
    let qr_code = picture(&uri)?;
    Ok(Enrolment { secret: secret.into(), uri: uri.into(), qr_code: qr_code.into() })
}

/// Compares `code` with those of the step at the Unix time `now` (seconds), the one before and the one after,
/// and tells which it was.
///
/// A code must not be accepted twice (RFC 6238 §5.2): the caller keeps the step of the last success and
/// refuses this one unless it is later.
///
/// # Errors
///
/// [`TotpError::Secret`].
pub fn verify(secret: &Secret, code: &str, now: u64) -> Result<Option<u64>, TotpError> {
    let secret =
        totp_rs::Secret::try_from_base32(secret.expose()).map_err(|_| TotpError::Secret)?;
    if secret.len() < SHORTEST_SECRET {
        return Err(TotpError::Secret);
    }
    if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let totp = Builder::new()
        .with_secret(secret)
        .with_skew(1)
        .with_step_duration(STEP_S)
        .build()
        .map_err(|_| TotpError::Secret)?;
    Ok(totp.check(code, now))
}

fn uri(issuer: &str, account: &str, secret: &str) -> String {
    let issuer = utf8_percent_encode(issuer, KEPT);
    let account = utf8_percent_encode(account, KEPT);
    format!(
        "otpauth://totp/{issuer}:{account}\
         ?algorithm=SHA1&digits={DIGITS}&issuer={issuer}&period={STEP_S}&secret={secret}"
    )
}

fn picture(uri: &str) -> Result<String, TotpError> {
    let code =
        QrCode::with_error_correction_level(uri, EcLevel::M).map_err(|_| TotpError::TooLong)?;
    let file = code
        .render()
        .module_dimensions(4, 4)
        .dark_color(svg::Color("black"))
        .light_color(svg::Color("white"))
        .build();
    // The XML declaration before the element has no place in a page.
    Ok(file.find("<svg").map_or(file.clone(), |start| file[start..].to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The secret of RFC 6238 appendix B, `12345678901234567890`.
    const RFC: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn step(code: &str, now: u64) -> Option<u64> {
        verify(&Secret::new(RFC), code, now).unwrap()
    }

    /// The appendix has eight digits; six are the last six of them.
    #[test]
    fn the_codes_of_the_rfc_are_accepted_at_their_times() {
        for (now, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(step(&code[2..], now), Some(now / 30), "{now}");
        }
    }

    #[test]
    fn a_code_is_good_for_one_step_before_and_after() {
        let (code, its_step) = ("005924", 1_234_567_890 / 30);
        let begin = its_step * 30;
        assert_eq!(step(code, begin - 31), None);
        for now in [begin - 30, begin, begin + 29, begin + 59] {
            assert_eq!(step(code, now), Some(its_step), "the step is the code's own at {now}");
        }
        assert_eq!(step(code, begin + 60), None);
    }

    #[test]
    fn only_six_plain_digits_are_a_code() {
        for code in ["", "05924", "0005924", " 005924", "005 924", "00592a", "٠٠٥٩٢٤", "+05924"]
        {
            assert_eq!(step(code, 1_234_567_890), None, "{code}");
        }
    }

    #[test]
    fn a_new_factor_works_in_an_app() {
        let made = enrol("Acme & Co", "ann+test@example.com").unwrap();
        let secret = made.secret.expose();
        assert_eq!(secret.len(), 32);
        assert_eq!(
            made.uri.expose(),
            format!(
                "otpauth://totp/Acme%20%26%20Co:ann%2Btest@example.com\
                 ?algorithm=SHA1&digits=6&issuer=Acme%20%26%20Co&period=30&secret={secret}"
            )
        );
        // The app's view: another implementation's reading of the address.
        let app = totp_rs::Totp::from_url(made.uri.expose()).unwrap();
        let code = app.generate(1_000_000_000).to_string();
        assert!(verify(&made.secret, &code, 1_000_000_000).unwrap().is_some());
    }

    #[test]
    fn secrets_differ_and_do_not_show() {
        let (one, other) = (enrol("a", "b").unwrap(), enrol("a", "b").unwrap());
        assert_ne!(one.secret, other.secret);
        assert!(!format!("{one:?}").contains(one.secret.expose()));
    }

    #[test]
    fn the_picture_fits_into_a_data_address() {
        let made = enrol("Acme", "ann@example.com").unwrap();
        let svg = made.qr_code.expose();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>"));
        assert!(!svg.contains(['#', '%']));
    }

    #[test]
    fn names_that_are_too_long_are_refused() {
        assert!(matches!(enrol("Acme", &"x".repeat(5_000)), Err(TotpError::TooLong)));
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_an_error() {
        for secret in ["", "GEZDGNBV", "no base32!", "GEZDGNBVGY3TQOJQGEZDGNBV1"] {
            let refused = verify(&Secret::new(secret), "123456", 0);
            assert!(matches!(refused, Err(TotpError::Secret)), "{secret}");
        }
    }

    proptest! {
        #[test]
        fn any_code_is_answered(code in "\\PC*", now in any::<u32>()) {
            verify(&Secret::new(RFC), &code, u64::from(now)).unwrap();
        }

        #[test]
        fn any_names_make_an_address_that_reads_back(
            issuer in "[^:\\p{C}]{1,20}", account in "[^:\\p{C}]{1,20}",
        ) {
            let app = totp_rs::Totp::from_url(uri(&issuer, &account, RFC)).unwrap();
            prop_assert_eq!(app.issuer(), Some(issuer.as_str()));
            prop_assert_eq!(app.account_name(), account.as_str());
        }
    }
}
