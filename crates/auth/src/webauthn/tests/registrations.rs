//! Registrations that are refused.

use super::*;

#[test]
fn a_registration_on_another_page_is_refused() {
    for origin in [
        "http://localhost:5174",
        "http://localhost",
        "https://localhost:5173",
        "http://localhost:5173.example.com",
    ] {
        let quirks = Quirks { origin: Some(origin.to_owned()), ..Quirks::default() };
        assert!(matches!(refused_registration(quirks), RegCeremonyErr::OriginMismatch), "{origin}");
    }
}

#[test]
fn a_registration_in_a_frame_of_another_page_is_refused() {
    let quirks = Quirks { cross_origin: true, ..Quirks::default() };
    assert!(matches!(refused_registration(quirks), RegCeremonyErr::CrossOrigin));
}

#[test]
fn a_registration_for_another_domain_is_refused() {
    let quirks = Quirks { rp_id: Some("example.com".to_owned()), ..Quirks::default() };
    assert!(matches!(refused_registration(quirks), RegCeremonyErr::RpIdHashMismatch));
}

#[test]
fn a_registration_with_another_challenge_is_refused() {
    let other = site().passkey_registration_options(&ada(), &[]).unwrap().options["challenge"]
        .as_str()
        .unwrap()
        .to_owned();
    let quirks = Quirks { challenge: Some(other), ..Quirks::default() };
    assert!(matches!(refused_registration(quirks), RegCeremonyErr::ChallengeMismatch));
}

#[test]
fn a_passkey_that_verifies_nobody_is_refused() {
    let quirks = Quirks { user_unverified: true, ..Quirks::default() };
    assert!(matches!(refused_registration(quirks), RegCeremonyErr::UserNotVerified));
}

#[test]
fn a_registration_that_nobody_was_present_at_is_refused() {
    let quirks = Quirks { user_absent: true, ..Quirks::default() };
    assert!(matches!(refused_registration(quirks), RegCeremonyErr::UserNotPresent));
}

#[test]
fn an_assertion_is_no_registration() {
    let quirks = Quirks { other_ceremony: true, ..Quirks::default() };
    assert!(matches!(refused_registration(quirks), RegCeremonyErr::CollectedClientDataRelaxed(_)));
}

#[test]
fn a_registration_begun_by_somebody_else_is_refused() {
    let begun = site().passkey_registration_options(&ada(), &[]).unwrap();
    let answer = device().create(&begun.options);
    let refused = site().finish_registration(&stored(&begun), BEN, &answer).unwrap_err();
    assert!(matches!(refused, WebAuthnError::OtherUser));
}

#[test]
fn what_is_no_registration_is_malformed() {
    let begun = site().passkey_registration_options(&ada(), &[]).unwrap();
    let good = device().create(&begun.options);
    let mut without_object = good.clone();
    without_object["response"].as_object_mut().unwrap().remove("attestationObject");
    let mut other_type = good.clone();
    other_type["type"] = json!("password");
    let mut other_id = good.clone();
    other_id["id"] = json!("AAAAAAAAAAAAAAAAAAAAAA");
    for answer in
        [json!(null), json!([]), json!({}), json!("x"), without_object, other_type, other_id]
    {
        let refused = site().finish_registration(&stored(&begun), ADA, &answer).unwrap_err();
        assert!(matches!(refused, WebAuthnError::Malformed(_)), "{answer}: {refused:?}");
    }
    site().finish_registration(&stored(&begun), ADA, &good).unwrap();
}

#[test]
fn no_cut_attestation_gets_through() {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    let begun = site().passkey_registration_options(&ada(), &[]).unwrap();
    let mut answer = device().create(&begun.options);
    let object = BASE64_URL_SAFE_NO_PAD
        .decode(answer["response"]["attestationObject"].as_str().unwrap())
        .unwrap();
    for length in 0..object.len() {
        answer["response"]["attestationObject"] =
            json!(BASE64_URL_SAFE_NO_PAD.encode(&object[..length]));
        let refused = site().finish_registration(&stored(&begun), ADA, &answer).unwrap_err();
        assert!(!refused.is_internal(), "{length}: {refused:?}");
    }
}
