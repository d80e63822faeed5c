//! What browsers are given.

use super::*;

#[test]
fn options_of_a_new_passkey_are_what_browsers_parse() {
    let mut known = add_passkey(&mut device()).unwrap();
    known.transports = vec!["internal".to_owned(), "cable".to_owned()];
    let begun = site().passkey_registration_options(&ada(), std::slice::from_ref(&known)).unwrap();
    let mut options = begun.options;
    let challenge = options["challenge"].take();
    assert_eq!(challenge.as_str().unwrap().len(), 22, "16 bytes");
    let excluded = options["excludeCredentials"][0]["id"].take();
    assert_eq!(excluded.as_str().unwrap().len(), 43, "32 bytes");
    assert_eq!(
        options,
        json!({
            "rp": { "id": "localhost", "name": "Paradyze" },
            "user": {
                "id": "YTAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAx",
                "name": "ada@example.com",
                "displayName": "Ada Lovelace",
            },
            "challenge": null,
            "pubKeyCredParams": [
                { "type": "public-key", "alg": -8 },
                { "type": "public-key", "alg": -7 },
                { "type": "public-key", "alg": -35 },
                { "type": "public-key", "alg": -257 },
            ],
            "timeout": 300_000,
            "excludeCredentials": [{ "type": "public-key", "id": null, "transports": ["internal"] }],
            "authenticatorSelection": {
                "residentKey": "required",
                "requireResidentKey": true,
                "userVerification": "required",
            },
            "attestation": "none",
        })
    );
}

#[test]
fn options_of_a_new_factor_welcome_every_authenticator() {
    let options = site().factor_registration_options(&ada(), &[]).unwrap().options;
    assert_eq!(
        options["authenticatorSelection"],
        json!({ "residentKey": "discouraged", "requireResidentKey": false, "userVerification": "preferred" })
    );
    assert_eq!(options.get("excludeCredentials"), None);
}

#[test]
fn options_of_a_passkey_sign_in_name_nobody() {
    let mut options = site().passkey_authentication_options().unwrap().options;
    assert_eq!(options["challenge"].take().as_str().unwrap().len(), 22);
    assert_eq!(
        options,
        json!({ "challenge": null, "timeout": 300_000, "rpId": "localhost", "userVerification": "required" })
    );
}

#[test]
fn options_of_a_factor_name_its_credential() {
    let credential = add_passkey(&mut device()).unwrap();
    let options =
        site().factor_authentication_options(std::slice::from_ref(&credential)).unwrap().options;
    assert_eq!(options["userVerification"], "preferred");
    assert_eq!(options["allowCredentials"].as_array().unwrap().len(), 1);
    assert_eq!(options["allowCredentials"][0]["transports"], json!(["usb"]));
}

#[test]
fn every_challenge_is_another() {
    let challenges: std::collections::HashSet<String> = (0..100)
        .map(|_| site().passkey_authentication_options().unwrap().options["challenge"].to_string())
        .collect();
    assert_eq!(challenges.len(), 100);
}

#[test]
fn names_are_shown_as_they_are() {
    for name in ["", "+4915112345678", "a b\u{202e}c", &"x".repeat(2_000)] {
        let user = CeremonyUser { id: ADA, name, display_name: name };
        let options = site().passkey_registration_options(&user, &[]).unwrap().options;
        assert_eq!(options["user"]["name"], name);
        assert_eq!(options["user"]["displayName"], name);
    }
}
