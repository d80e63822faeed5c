//! Assertions that are refused.

use super::*;

#[test]
fn an_assertion_of_another_page_frame_or_domain_is_refused() {
    let quirks = Quirks { origin: Some("https://evil.example".to_owned()), ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::OriginMismatch));
    let quirks = Quirks { cross_origin: true, ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::CrossOrigin));
    let quirks = Quirks { rp_id: Some("evil.example".to_owned()), ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::RpIdHashMismatch));
}

#[test]
fn an_assertion_of_another_challenge_is_refused() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    let first = site().passkey_authentication_options().unwrap();
    let answer = device.get(&first.options).unwrap();
    finish(&first, &answer, &credential).unwrap();
    let second = site().passkey_authentication_options().unwrap();
    assert!(matches!(
        reason(finish(&second, &answer, &credential)),
        AuthCeremonyErr::ChallengeMismatch
    ));
}

#[test]
fn a_replayed_assertion_is_refused_by_its_counter() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    let begun = site().passkey_authentication_options().unwrap();
    let answer = device.get(&begun.options).unwrap();
    let now = finish(&begun, &answer, &credential).unwrap();
    let replayed = finish(&begun, &answer, &now).unwrap_err();
    assert!(matches!(replayed, WebAuthnError::CounterRegressed));
}

#[test]
fn a_cloned_authenticator_is_refused_once_the_other_was_used() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    let mut copy = device.clone();
    let credential = sign_in(&mut device, &credential).unwrap();
    let credential = sign_in(&mut device, &credential).unwrap();
    assert!(matches!(
        sign_in(&mut copy, &credential).unwrap_err(),
        WebAuthnError::CounterRegressed
    ));
    device.quirks.no_counter = true;
    assert!(matches!(
        sign_in(&mut device, &credential).unwrap_err(),
        WebAuthnError::CounterRegressed
    ));
}

#[test]
fn a_sign_in_without_a_verified_or_present_user_is_refused() {
    let quirks = Quirks { user_unverified: true, ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::UserNotVerified));
    let quirks = Quirks { user_absent: true, ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::AuthenticatorData(_)));
}

#[test]
fn a_bad_signature_is_refused() {
    let quirks = Quirks { bad_signature: true, ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::AssertionSignature));
}

#[test]
fn another_key_under_the_same_name_is_refused() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    let mut impostor = self::device();
    impostor.claim(ADA.to_string().as_bytes());
    impostor.rename(credential.id[..].try_into().unwrap());
    assert!(matches!(
        reason(sign_in(&mut impostor, &credential)),
        AuthCeremonyErr::AssertionSignature
    ));
}

#[test]
fn another_credential_of_the_same_user_is_refused() {
    let (mut one, mut other) = (device(), device());
    let credential = add_passkey(&mut one).unwrap();
    add_passkey(&mut other).unwrap();
    assert!(matches!(
        reason(sign_in(&mut other, &credential)),
        AuthCeremonyErr::CredentialIdMismatch
    ));
}

#[test]
fn a_credential_that_claims_another_user_is_refused() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    device.claim(BEN.to_string().as_bytes());
    assert!(matches!(
        reason(sign_in(&mut device, &credential)),
        AuthCeremonyErr::UserHandleMismatch
    ));
}

#[test]
fn a_credential_that_lost_or_gained_its_eligibility_for_backup_is_refused() {
    let mut eligible = device();
    eligible.quirks.backup = Some(true);
    let credential = add_passkey(&mut eligible).unwrap();
    eligible.quirks.backup = None;
    assert!(matches!(
        reason(sign_in(&mut eligible, &credential)),
        AuthCeremonyErr::BackupNotEligible
    ));
    let quirks = Quirks { backup: Some(false), ..Quirks::default() };
    assert!(matches!(refused_sign_in(quirks), AuthCeremonyErr::BackupEligible));
}

#[test]
fn an_assertion_without_a_user_handle_of_ours_is_no_passkey() {
    let mut device = device();
    add_passkey(&mut device).unwrap();
    let options = site().passkey_authentication_options().unwrap().options;
    device.claim(&[b'x'; 36]);
    assert!(matches!(
        PasskeyAssertion::parse(&device.get(&options).unwrap()).unwrap_err(),
        WebAuthnError::OtherUser
    ));
    device.claim(b"short");
    assert!(matches!(
        PasskeyAssertion::parse(&device.get(&options).unwrap()).unwrap_err(),
        WebAuthnError::Malformed(_)
    ));
    device.quirks.no_user_handle = true;
    assert!(matches!(
        PasskeyAssertion::parse(&device.get(&options).unwrap()).unwrap_err(),
        WebAuthnError::Malformed(_)
    ));
}

#[test]
fn a_factor_takes_only_its_own_credential_and_user() {
    let (mut one, mut other) = (device(), device());
    let credential = add_passkey(&mut one).unwrap();
    let foreign = add_passkey(&mut other).unwrap();
    let begun = site().factor_authentication_options(std::slice::from_ref(&credential)).unwrap();
    let finish = |answer: &Value, user, stored_credential: &Credential| {
        reason(site().finish_factor_authentication(
            &stored(&begun),
            user,
            answer,
            stored_credential,
        ))
    };
    let answer = other.get(&begun.options).unwrap();
    assert!(matches!(
        finish(&answer, ADA, &credential),
        AuthCeremonyErr::NoMatchingAllowedCredential
    ));
    assert!(matches!(finish(&answer, ADA, &foreign), AuthCeremonyErr::NoMatchingAllowedCredential));
    let answer = one.get(&begun.options).unwrap();
    assert!(matches!(finish(&answer, BEN, &credential), AuthCeremonyErr::UserHandleMismatch));
    one.quirks.bad_signature = true;
    let answer = one.get(&begun.options).unwrap();
    assert!(matches!(finish(&answer, ADA, &credential), AuthCeremonyErr::AssertionSignature));
}

#[test]
fn a_factor_needs_a_credential() {
    assert!(matches!(
        site().factor_authentication_options(&[]).unwrap_err(),
        WebAuthnError::Begin(_)
    ));
}
