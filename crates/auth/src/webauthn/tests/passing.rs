//! Ceremonies that pass.

use super::*;

#[test]
fn a_passkey_is_added_and_signs_in() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    assert_eq!(credential.id.len(), 32);
    assert_eq!(credential.public_key.len(), 77);
    assert_eq!(credential.attestation_type, "none");
    assert_eq!(credential.aaguid, Uuid::nil());
    assert_eq!(credential.transports, ["usb"]);
    assert_eq!((credential.sign_count, credential.user_verified), (0, true));
    assert_eq!((credential.backup_eligible, credential.backed_up), (false, false));

    let begun = site().passkey_authentication_options().unwrap();
    let answer = device.get(&begun.options).unwrap();
    let assertion = PasskeyAssertion::parse(&answer).unwrap();
    assert_eq!(assertion.user_id(), ADA);
    assert_eq!(assertion.credential_id(), credential.id);
    let now = site()
        .finish_passkey_authentication(&stored(&begun), &assertion, ADA, &credential)
        .unwrap();
    assert_eq!(now, Credential { sign_count: 1, ..credential });
}

#[test]
fn every_kind_of_key_that_is_offered_signs_in() {
    for (algorithm, length) in [
        (Algorithm::Es256, 77),
        (Algorithm::Es384, 110),
        (Algorithm::Ed25519, 42),
        (Algorithm::Rs256, 272),
    ] {
        let mut device = Authenticator::signing(algorithm, "localhost", ORIGIN).unwrap();
        let credential = add_passkey(&mut device).unwrap();
        assert_eq!(credential.public_key.len(), length, "{algorithm:?}");
        let credential = sign_in(&mut device, &credential).unwrap();
        device.quirks.bad_signature = true;
        assert!(matches!(
            reason(sign_in(&mut device, &credential)),
            AuthCeremonyErr::AssertionSignature
        ));
    }
}

#[test]
fn every_origin_of_the_site_is_good() {
    let mut device = device();
    device.quirks.origin = Some("http://app.localhost".to_owned());
    let credential = add_passkey(&mut device).unwrap();
    sign_in(&mut device, &credential).unwrap();
}

#[test]
fn a_passkey_without_a_counter_signs_in_again_and_again() {
    let mut device = device();
    device.quirks.no_counter = true;
    let credential = add_passkey(&mut device).unwrap();
    for _ in 0..3 {
        assert_eq!(sign_in(&mut device, &credential).unwrap(), credential);
    }
}

#[test]
fn a_backup_that_was_made_is_noticed() {
    let mut device = device();
    device.quirks.backup = Some(false);
    let credential = add_passkey(&mut device).unwrap();
    assert_eq!((credential.backup_eligible, credential.backed_up), (true, false));
    device.quirks.backup = Some(true);
    let now = sign_in(&mut device, &credential).unwrap();
    assert_eq!((now.backup_eligible, now.backed_up), (true, true));
}

#[test]
fn a_factor_is_enrolled_and_passed_without_a_pin() {
    let mut device = device();
    device.quirks = Quirks { user_unverified: true, no_user_handle: true, ..Quirks::default() };
    let begun = site().factor_registration_options(&ada(), &[]).unwrap();
    let answer = device.create(&begun.options);
    let credential = site().finish_registration(&stored(&begun), ADA, &answer).unwrap();
    assert!(!credential.user_verified);

    let credential = Credential::from_json(&credential.to_json()).unwrap();
    let begun = site().factor_authentication_options(std::slice::from_ref(&credential)).unwrap();
    let answer = device.get(&begun.options).unwrap();
    let now =
        site().finish_factor_authentication(&stored(&begun), ADA, &answer, &credential).unwrap();
    assert_eq!(now.sign_count, 1);
}

#[test]
fn what_older_clients_send_is_read() {
    let mut device = device();
    let begun = site().passkey_registration_options(&ada(), &[]).unwrap();
    let mut answer = device.create(&begun.options);
    answer["id"] = json!(format!("{}=", answer["id"].as_str().unwrap()));
    answer["response"]["transports"] = json!(["cable", "usb"]);
    answer["response"]["publicKeyAlgorithm"] = json!(-7);
    answer["friendlyName"] = json!("unknown to the standard");
    let members = answer.as_object_mut().unwrap();
    members.remove("clientExtensionResults");
    members.remove("authenticatorAttachment");
    let credential = site().finish_registration(&stored(&begun), ADA, &answer).unwrap();
    assert_eq!(credential.transports, ["usb"]);
}
