//! Time, session data, stored credentials, settings.

use super::*;

#[test]
fn a_challenge_expires() {
    let hasty = RelyingParty::new(&RelyingPartySettings {
        timeout: Duration::from_millis(1),
        ..settings()
    })
    .unwrap();
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();

    let begun = hasty.passkey_registration_options(&ada(), &[]).unwrap();
    assert_eq!(begun.options["timeout"], 1);
    let answer = device.create(&begun.options);
    past(begun.expires_at);
    assert!(matches!(
        hasty.finish_registration(&stored(&begun), ADA, &answer).unwrap_err(),
        WebAuthnError::Expired
    ));

    let begun = hasty.passkey_authentication_options().unwrap();
    let answer = device.get(&begun.options).unwrap();
    past(begun.expires_at);
    assert!(matches!(finish(&begun, &answer, &credential).unwrap_err(), WebAuthnError::Expired));

    let begun = hasty.factor_authentication_options(std::slice::from_ref(&credential)).unwrap();
    let answer = device.get(&begun.options).unwrap();
    past(begun.expires_at);
    let late = hasty.finish_factor_authentication(&stored(&begun), ADA, &answer, &credential);
    assert!(matches!(late.unwrap_err(), WebAuthnError::Expired));
}

/// Waits until `moment` is past beyond doubt. It is a millisecond away.
fn past(moment: SystemTime) {
    while SystemTime::now() <= moment + Duration::from_millis(5) {
        std::thread::yield_now();
    }
}

#[test]
fn a_challenge_of_one_ceremony_is_not_spent_in_another() {
    let mut device = device();
    let credential = add_passkey(&mut device).unwrap();
    let registration = site().passkey_registration_options(&ada(), &[]).unwrap();
    let factor = site().factor_authentication_options(std::slice::from_ref(&credential)).unwrap();
    let passkey = site().passkey_authentication_options().unwrap();
    for other in [&registration, &factor] {
        let answer = device.get(&other.options).unwrap();
        assert!(matches!(
            finish(other, &answer, &credential).unwrap_err(),
            WebAuthnError::SessionData
        ));
    }
    let answer = device.get(&passkey.options).unwrap();
    let refused = site().finish_factor_authentication(&stored(&passkey), ADA, &answer, &credential);
    assert!(matches!(refused.unwrap_err(), WebAuthnError::SessionData));
    let answer = device.create(&registration.options);
    let refused = site().finish_registration(&stored(&factor), ADA, &answer);
    assert!(matches!(refused.unwrap_err(), WebAuthnError::SessionData));
}

#[test]
fn damaged_session_data_are_an_internal_fault() {
    let answer =
        device().create(&site().passkey_registration_options(&ada(), &[]).unwrap().options);
    for damaged in [
        json!(null),
        json!({}),
        json!({ "ceremony": "registration" }),
        json!({ "ceremony": "registration", "state": "AAAA" }),
        json!({ "ceremony": "registration", "state": "not base64!" }),
        json!({ "ceremony": "other", "state": "AAAA" }),
    ] {
        let refused = site().finish_registration(&damaged, ADA, &answer).unwrap_err();
        assert!(
            matches!(refused, WebAuthnError::SessionData) && refused.is_internal(),
            "{damaged}"
        );
    }
}

#[test]
fn credentials_stored_by_other_servers_are_read() {
    let record = json!({
        "id": "AAECAwQFBgcICQoLDA0ODw==",
        "publicKey": "pQECAyYgASFYIA==",
        "attestationType": "none",
        "transport": null,
        "flags": { "userPresent": true, "userVerified": false, "backupEligible": true, "backupState": true },
        "authenticator": { "AAGUID": "+/wwBxVOTsyMC24CBVfXvQ==", "signCount": 7, "cloneWarning": false, "attachment": "platform" },
        "attestation": { "clientDataJSON": "e30=", "publicKeyAlgorithm": -7 },
    });
    let credential = Credential::from_json(&record).unwrap();
    assert_eq!(credential.id, (0..16).collect::<Vec<u8>>());
    assert_eq!(authenticator_name(credential.aaguid), "Apple Passwords");
    assert_eq!((credential.sign_count, credential.user_verified), (7, false));
    assert_eq!((credential.backup_eligible, credential.backed_up), (true, true));
    assert_eq!(credential.transports, Vec::<String>::new());
    assert_eq!(Credential::from_json(&credential.to_json()).unwrap(), credential);
    for damaged in [json!(null), json!({ "id": "AA==" }), json!({ "id": "!", "publicKey": "" })] {
        assert!(matches!(
            Credential::from_json(&damaged).unwrap_err(),
            WebAuthnError::StoredCredential
        ));
    }
}

#[test]
fn a_stored_key_that_cannot_be_read_is_an_internal_fault() {
    let mut device = device();
    let mut credential = add_passkey(&mut device).unwrap();
    credential.public_key.pop();
    let refused = sign_in(&mut device, &credential).unwrap_err();
    assert!(matches!(refused, WebAuthnError::StoredCredential) && refused.is_internal());
}

fn with(id: &str, origins: &[&str]) -> Result<RelyingParty, RelyingPartyError> {
    let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
    RelyingParty::new(&RelyingPartySettings { id: id.to_owned(), origins, ..settings() })
}

#[test]
fn settings_that_no_browser_would_accept_are_refused() {
    with(
        "example.com",
        &[
            "https://example.com/",
            "https://app.example.com:8443",
            "https://example.de",
            "android:apk-key-hash:abc",
        ],
    )
    .unwrap();
    with("Example.COM", &["https://EXAMPLE.com"]).unwrap();
    for id in ["", ".", "127.0.0.1", "::1", "https://example.com", "exa mple.com", "example.com:80"]
    {
        assert_eq!(
            with(id, &["https://example.com"]).unwrap_err(),
            RelyingPartyError::Id(id.to_owned())
        );
    }
    for origin in [
        "example.com",
        "example.com:443",
        "https://example.com?",
        "https://:secret@example.com",
        "https://example.com/path",
        "https://user@example.com",
        "ftp://example.com",
        "*",
        "null",
        "",
    ] {
        assert_eq!(
            with("example.com", &[origin]).unwrap_err(),
            RelyingPartyError::Origin(origin.to_owned())
        );
    }
    assert_eq!(with("example.com", &[]).unwrap_err(), RelyingPartyError::NoOrigin);
    for timeout in [Duration::ZERO, Duration::from_secs(60 * 60 * 24 * 50)] {
        let refused =
            RelyingParty::new(&RelyingPartySettings { timeout, ..settings() }).unwrap_err();
        assert_eq!(refused, RelyingPartyError::Timeout(timeout));
    }
}
