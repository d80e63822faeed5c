//! What browsers answer, brought into the one form that webauthn_rp reads.

use serde_json::Value;

use super::credential::TRANSPORTS;

/// What browsers take out of the attestation object for clients' convenience. What counts is the object; and webauthn_rp 0.3
/// looks for the credential's id in the wrong place when some of these are there and others are not.
const COPIES: [&str; 3] = ["authenticatorData", "publicKey", "publicKeyAlgorithm"];

/// The serialised credential, without what older clients add and the standard does not know.
///
/// Base64 padding is taken off, an empty user handle is left out, and transports that have no meaning here (`cable`, of old
/// Chromes) are dropped: a hint is no reason to refuse a key.
pub(super) fn standard_form(credential: &Value) -> Vec<u8> {
    let mut credential = credential.clone();
    for field in ["id", "rawId"] {
        unpad(credential.get_mut(field));
    }
    if let Some(Value::Object(response)) = credential.get_mut("response") {
        if response.contains_key("attestationObject") {
            for copy in COPIES {
                response.remove(copy);
            }
        }
        for value in response.values_mut() {
            unpad(Some(value));
        }
        if response.get("userHandle").is_some_and(|handle| handle == "") {
            response.remove("userHandle");
        }
        if let Some(Value::Array(transports)) = response.get_mut("transports") {
            transports.retain(|transport| TRANSPORTS.iter().any(|(name, _)| transport == name));
        }
    }
    credential.to_string().into_bytes()
}

/// Takes members out of `options` that say nothing: empty lists and objects, and the attestation formats, which `none` implies.
///
/// Clients fill in hints of their own only where the server has none.
pub(super) fn leave_out_empty(options: &mut Value) {
    if let Value::Object(members) = options {
        members.remove("attestationFormats");
        members.retain(|_, value| match value {
            Value::Array(items) => !items.is_empty(),
            Value::Object(items) => !items.is_empty(),
            _ => true,
        });
    }
}

fn unpad(value: Option<&mut Value>) {
    if let Some(Value::String(text)) = value {
        text.truncate(text.trim_end_matches('=').len());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn standard_form(credential: &Value) -> Value {
        serde_json::from_slice(&super::standard_form(credential)).unwrap()
    }

    #[test]
    fn padding_is_taken_off() {
        let given = json!({ "id": "AQ==", "rawId": "AQ==", "response": { "signature": "AAE=" } });
        assert_eq!(
            standard_form(&given),
            json!({ "id": "AQ", "rawId": "AQ", "response": { "signature": "AAE" } })
        );
    }

    #[test]
    fn an_attestation_object_speaks_for_itself() {
        let given = json!({ "response": { "attestationObject": "o2", "publicKeyAlgorithm": -7, "publicKey": "MF" } });
        assert_eq!(standard_form(&given), json!({ "response": { "attestationObject": "o2" } }));
        let assertion = json!({ "response": { "authenticatorData": "SZ", "signature": "ME" } });
        assert_eq!(standard_form(&assertion), assertion);
    }

    #[test]
    fn an_empty_user_handle_is_none() {
        let given = json!({ "response": { "userHandle": "" } });
        assert_eq!(standard_form(&given), json!({ "response": {} }));
    }

    #[test]
    fn unknown_transports_are_dropped() {
        let given = json!({ "response": { "transports": ["cable", "usb", 7] } });
        assert_eq!(standard_form(&given), json!({ "response": { "transports": ["usb"] } }));
    }

    #[test]
    fn what_is_no_credential_stays_as_it_is() {
        for given in [json!(null), json!([1]), json!("x"), json!({ "response": 1 })] {
            assert_eq!(standard_form(&given), given);
        }
    }
}
