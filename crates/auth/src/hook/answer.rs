//! What a hook's answer means.

use serde_json::{Map, Value};

use super::claims::complaints;
use super::{HookError, HookKind};

/// Said when a hook rejects without a word.
const MFA_REJECTED: &str = "Further MFA verification attempts will be rejected.";
const PASSWORD_REJECTED: &str = "Further password verification attempts will be rejected.";
/// Said when a hook fails without a word.
const FAILED: &str = "Hook returned an error";

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Go on.
    Proceed,
    /// Sign these claims.
    Claims(Map<String, Value>),
    /// Refuse the attempt: 403 `mfa_verification_rejected` for a factor, 400 `invalid_credentials` for
    /// a password.
    Reject {
        /// For the client.
        message: String,
        /// Whether all sessions of the user end.
        log_out: bool,
    },
}

/// Reads the answer of a hook of `kind`: an HTTP body, or the text of a function's result. `None` is no
/// answer at all (204, SQL null).
///
/// An answer that cannot be understood is an error, never consent.
///
/// # Errors
///
/// [`HookError`] if the hook refuses, or the answer is not what its kind is to give.
pub fn interpret(kind: HookKind, answer: Option<&[u8]>) -> Result<Outcome, HookError> {
    let answer = object(answer)?;
    if let Some(error) = answer.get("error").and_then(refusal) {
        return Err(error);
    }
    match kind {
        HookKind::CustomAccessToken => claims(answer),
        HookKind::MfaVerificationAttempt => verdict(&answer, MFA_REJECTED, true),
        HookKind::PasswordVerificationAttempt => {
            let log_out = answer.get("should_logout_user") == Some(&Value::Bool(true));
            verdict(&answer, PASSWORD_REJECTED, log_out)
        }
        HookKind::BeforeUserCreated => match verdict(&answer, FAILED, false)? {
            Outcome::Reject { message, .. } => Err(HookError::Refused { status: 400, message }),
            outcome => Ok(outcome),
        },
        HookKind::AfterUserCreated | HookKind::SendSms | HookKind::SendEmail => {
            Ok(Outcome::Proceed)
        }
    }
}

fn object(answer: Option<&[u8]>) -> Result<Map<String, Value>, HookError> {
    let text = answer.unwrap_or_default().trim_ascii();
    if text.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(Value::Null) => Ok(Map::new()),
        _ => Err(HookError::NotJson),
    }
}

/// `{"http_code": 403, "message": "…"}`. An object that names neither is no error: some languages write
/// the empty one with every answer.
fn refusal(error: &Value) -> Option<HookError> {
    let (status, message) = match error {
        Value::Null => return None,
        Value::Object(error) => (error.get("http_code").and_then(status), error.get("message")),
        message => (None, Some(message)),
    };
    let message = match message {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if message.is_empty() && status.is_none() {
        return None;
    }
    let message = if message.is_empty() { FAILED.to_owned() } else { message };
    Some(HookError::Refused { status: status.unwrap_or(500), message })
}

/// A status that says no. Any other is none: an error is not answered with 200.
fn status(code: &Value) -> Option<u16> {
    let number = code.as_u64().or_else(|| code.as_str()?.parse().ok())?;
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

fn claims(mut answer: Map<String, Value>) -> Result<Outcome, HookError> {
    match answer.remove("claims") {
        None => Err(HookError::ClaimsMissing),
        Some(Value::Object(claims)) => match complaints(&claims) {
            complaints if complaints.is_empty() => Ok(Outcome::Claims(claims)),
            complaints => Err(HookError::Claims(complaints)),
        },
        Some(_) => Err(HookError::NotJson),
    }
}

fn verdict(
    answer: &Map<String, Value>,
    default: &str,
    log_out: bool,
) -> Result<Outcome, HookError> {
    match answer.get("decision") {
        None | Some(Value::Null) => Ok(Outcome::Proceed),
        Some(Value::String(text)) if text.is_empty() || text == "continue" => Ok(Outcome::Proceed),
        Some(Value::String(text)) if text == "reject" => {
            let message = answer.get("message").and_then(Value::as_str).unwrap_or_default();
            let message = if message.is_empty() { default } else { message };
            Ok(Outcome::Reject { message: message.to_owned(), log_out })
        }
        Some(Value::String(other)) => Err(HookError::Decision(other.clone())),
        Some(other) => Err(HookError::Decision(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(kind: HookKind, answer: &Value) -> Result<Outcome, HookError> {
        interpret(kind, Some(answer.to_string().as_bytes()))
    }

    fn token() -> Value {
        json!({
            "aud": "authenticated", "exp": 1_715_690_221, "iat": 1_715_686_621,
            "sub": "8ccaa7af-909f-44e7-84cb-67cdccb56be6", "email": "", "phone": "",
            "app_metadata": {}, "user_metadata": {}, "role": "authenticated", "aal": "aal1",
            "amr": [{"method": "anonymous", "timestamp": 1_715_686_621}, "password"],
            "session_id": "4b938a09-5372-4177-a314-cfa292099ea2", "is_anonymous": true
        })
    }

    #[test]
    fn an_empty_answer_proceeds_where_nothing_is_expected() {
        for kind in HookKind::ALL {
            for answer in [None, Some(&b""[..]), Some(b" \n"), Some(b"null"), Some(b"{}")] {
                match (kind, interpret(kind, answer)) {
                    (HookKind::CustomAccessToken, Err(HookError::ClaimsMissing)) => (),
                    (_, Ok(Outcome::Proceed)) => (),
                    (_, other) => panic!("{kind:?} {answer:?} {other:?}"),
                }
            }
        }
    }

    #[test]
    fn an_error_object_refuses_with_its_status_and_words() {
        for kind in HookKind::ALL {
            let answer = json!({"error": {"http_code": 403, "message": "Not from here."}});
            let error = read(kind, &answer).unwrap_err();
            assert_eq!((error.status(), error.code()), (403, "unknown"));
            assert_eq!(error.to_string(), "Not from here.");
        }
    }

    #[test]
    fn an_error_is_never_answered_as_success() {
        let told = |error: Value| match read(HookKind::SendSms, &json!({"error": error})) {
            Err(HookError::Refused { status, message }) => Some((status, message)),
            Ok(Outcome::Proceed) => None,
            other => panic!("{other:?}"),
        };
        let failed = |status, message: &str| Some((status, message.to_owned()));
        assert_eq!(told(json!({"message": "no"})), failed(500, "no"));
        assert_eq!(told(json!({"message": "no", "http_code": 200})), failed(500, "no"));
        assert_eq!(told(json!({"message": "no", "http_code": 9999})), failed(500, "no"));
        assert_eq!(told(json!({"message": "no", "http_code": "429"})), failed(429, "no"));
        assert_eq!(told(json!({"http_code": 403})), failed(403, FAILED));
        assert_eq!(told(json!({"message": {"de": "nein"}})), failed(500, r#"{"de":"nein"}"#));
        assert_eq!(told(json!("broken")), failed(500, "broken"));
        assert_eq!(told(json!(true)), failed(500, "true"));
        assert_eq!(told(json!({"message": "", "http_code": 0})), None);
        assert_eq!(told(json!({})), None);
        assert_eq!(told(Value::Null), None);
    }

    #[test]
    fn what_is_no_object_is_no_consent() {
        for kind in HookKind::ALL {
            for answer in ["[]", "true", "\"continue\"", "1", "{", "<html>", "{} {}"] {
                let error = interpret(kind, Some(answer.as_bytes())).unwrap_err();
                assert!(matches!(error, HookError::NotJson), "{answer}");
            }
        }
    }

    #[test]
    fn attempts_are_rejected_with_a_message() {
        let reject = |message: &str, log_out| Outcome::Reject { message: message.into(), log_out };
        let (mfa, password) =
            (HookKind::MfaVerificationAttempt, HookKind::PasswordVerificationAttempt);
        let silent = json!({"decision": "reject"});
        assert_eq!(read(mfa, &silent).unwrap(), reject(MFA_REJECTED, true));
        assert_eq!(read(password, &silent).unwrap(), reject(PASSWORD_REJECTED, false));
        let spoken = json!({"decision": "reject", "message": "Stop.", "should_logout_user": true});
        assert_eq!(read(password, &spoken).unwrap(), reject("Stop.", true));
        assert_eq!(read(mfa, &json!({"decision": "continue"})).unwrap(), Outcome::Proceed);
    }

    #[test]
    fn a_new_user_is_refused_by_decision_too() {
        let answer = json!({"decision": "reject", "message": "Invited people only."});
        let error = read(HookKind::BeforeUserCreated, &answer).unwrap_err();
        assert_eq!((error.status(), error.to_string()), (400, "Invited people only.".to_owned()));
    }

    #[test]
    fn an_unknown_decision_is_no_consent() {
        for decision in [json!("deny"), json!("REJECT"), json!(false), json!({})] {
            let answer = json!({"decision": decision});
            let error = read(HookKind::PasswordVerificationAttempt, &answer).unwrap_err();
            assert!(matches!(error, HookError::Decision(_)));
        }
    }

    #[test]
    fn claims_may_be_added_and_changed() {
        let mut claims = token();
        claims["team"] = json!("red");
        claims["role"] = json!("editor");
        claims["aud"] = json!(["authenticated", "other"]);
        claims["exp"] = json!(1_715_690_221.0);
        let outcome = read(HookKind::CustomAccessToken, &json!({"claims": claims})).unwrap();
        assert_eq!(outcome, Outcome::Claims(claims.as_object().unwrap().clone()));
    }

    #[test]
    fn a_required_claim_must_survive() {
        let required = [
            "aud",
            "exp",
            "iat",
            "sub",
            "email",
            "phone",
            "role",
            "aal",
            "session_id",
            "is_anonymous",
        ];
        for name in required {
            let mut claims = token();
            claims.as_object_mut().unwrap().remove(name);
            let error = read(HookKind::CustomAccessToken, &json!({"claims": claims})).unwrap_err();
            assert_eq!(error.status(), 500);
            assert_eq!(
                error.to_string(),
                format!(
                    "output claims do not conform to the expected schema: \n\
                     - (root): {name} is required\n"
                )
            );
        }
        for optional in ["amr", "app_metadata", "user_metadata"] {
            let mut claims = token();
            claims.as_object_mut().unwrap().remove(optional);
            assert!(read(HookKind::CustomAccessToken, &json!({"claims": claims})).is_ok());
        }
    }

    #[test]
    fn a_claim_keeps_its_type() {
        let wrong = [
            ("aud", json!(1)),
            ("exp", json!("soon")),
            ("exp", json!(1.5)),
            ("iat", Value::Null),
            ("sub", Value::Null),
            ("email", Value::Null),
            ("role", json!(["admin"])),
            ("aal", json!(2)),
            ("session_id", json!({})),
            ("is_anonymous", json!("false")),
            ("app_metadata", json!([])),
            ("user_metadata", Value::Null),
            ("amr", json!([1])),
            ("amr", json!("password")),
            ("nbf", json!("now")),
        ];
        for (name, value) in wrong {
            let mut claims = token();
            claims[name] = value;
            let error = read(HookKind::CustomAccessToken, &json!({"claims": claims})).unwrap_err();
            let HookError::Claims(complaints) = error else { panic!("{error:?}") };
            assert_eq!(complaints.len(), 1);
            assert!(complaints[0].starts_with(&format!("{name}: Invalid type.")), "{complaints:?}");
        }
    }

    #[test]
    fn claims_that_are_no_object_are_refused() {
        for claims in [json!([]), json!("x"), Value::Null] {
            let error = read(HookKind::CustomAccessToken, &json!({"claims": claims})).unwrap_err();
            assert!(matches!(error, HookError::NotJson));
        }
    }

    proptest! {
        #[test]
        fn no_answer_panics(answer in prop::collection::vec(any::<u8>(), 0..200)) {
            for kind in HookKind::ALL {
                let _ = interpret(kind, Some(&answer));
            }
        }
    }
}
