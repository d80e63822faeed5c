//! What hooks are told.
//!
//! Users and claims are given as JSON values, in the shape in which clients see them.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::HookKind;

/// The circumstances of a call, in every payload as `metadata`.
#[derive(Debug, Clone)]
pub struct Metadata {
    /// Identifies the call.
    pub uuid: Uuid,
    /// When it was made.
    pub time: Timestamp,
    /// Where the request that caused it came from, if known.
    pub ip_address: Option<IpAddr>,
}

impl Metadata {
    /// Those of a call at `time` because of a request from `ip_address`.
    pub fn new(time: Timestamp, ip_address: Option<IpAddr>) -> Self {
        Self { uuid: Uuid::new_v4(), time, ip_address }
    }

    fn to_json(&self, kind: HookKind) -> Value {
        let mut metadata = json!({
            "uuid": self.uuid.to_string(),
            "time": self.time.to_string(),
            "name": kind.name(),
        });
        if let Some(ip) = self.ip_address {
            metadata["ip_address"] = json!(ip.to_string());
        }
        metadata
    }
}

/// What a send-SMS hook is to send, as `sms`.
#[derive(Debug, Clone, Serialize)]
pub struct SmsData<'a> {
    /// The code.
    pub otp: &'a str,
    /// Why: `sms`, `phone_change`, `reauthentication`, `mfa` (of a factor).
    #[serde(skip_serializing_if = "str::is_empty")]
    pub sms_type: &'a str,
    /// To where, digits only.
    pub phone: &'a str,
}

/// What a send-email hook is to send, as `email_data`. Absent texts are empty.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EmailData<'a> {
    /// The code.
    pub token: &'a str,
    /// Its hash, for the link.
    pub token_hash: &'a str,
    /// Where the link leads afterwards.
    pub redirect_to: &'a str,
    /// `signup`, `invite`, `magiclink`, `recovery`, `email_change`, `email`, `reauthentication`, or the
    /// name of a notification.
    pub email_action_type: &'a str,
    /// The project's site.
    pub site_url: &'a str,
    /// The code for the new address, in a change of address that both confirm.
    pub token_new: &'a str,
    /// Its hash.
    pub token_hash_new: &'a str,
    /// The address before the change, in a notification.
    pub old_email: &'a str,
    /// The phone number before the change, in a notification.
    pub old_phone: &'a str,
    /// The provider of the identity that a notification is about.
    pub provider: &'a str,
    /// The type of the factor that a notification is about.
    pub factor_type: &'a str,
}

/// Before an account is made: the user as it would be.
pub fn before_user_created(metadata: &Metadata, user: Value) -> Value {
    with(metadata, HookKind::BeforeUserCreated, [("user", user)])
}

/// Once an account is there: its user.
pub fn after_user_created(metadata: &Metadata, user: Value) -> Value {
    with(metadata, HookKind::AfterUserCreated, [("user", user)])
}

/// Before an access token is signed: its claims, and how the user signed in (an AMR method).
pub fn custom_access_token(
    metadata: &Metadata,
    user_id: Uuid,
    claims: Map<String, Value>,
    authentication_method: &str,
) -> Value {
    with(
        metadata,
        HookKind::CustomAccessToken,
        [
            ("user_id", json!(user_id.to_string())),
            ("claims", Value::Object(claims)),
            ("authentication_method", json!(authentication_method)),
        ],
    )
}

/// Instead of a text message.
pub fn send_sms(metadata: &Metadata, user: Value, sms: &SmsData<'_>) -> Value {
    with(metadata, HookKind::SendSms, [("user", user), ("sms", json!(sms))])
}

/// Instead of an e-mail.
pub fn send_email(metadata: &Metadata, user: Value, email: &EmailData<'_>) -> Value {
    with(metadata, HookKind::SendEmail, [("user", user), ("email_data", json!(email))])
}

/// After a factor's code was compared.
pub fn mfa_verification_attempt(
    metadata: &Metadata,
    user_id: Uuid,
    factor_id: Uuid,
    factor_type: &str,
    valid: bool,
) -> Value {
    with(
        metadata,
        HookKind::MfaVerificationAttempt,
        [
            ("user_id", json!(user_id.to_string())),
            ("factor_id", json!(factor_id.to_string())),
            ("factor_type", json!(factor_type)),
            ("valid", json!(valid)),
        ],
    )
}

/// After a password was compared.
pub fn password_verification_attempt(metadata: &Metadata, user_id: Uuid, valid: bool) -> Value {
    with(
        metadata,
        HookKind::PasswordVerificationAttempt,
        [("user_id", json!(user_id.to_string())), ("valid", json!(valid))],
    )
}

fn with<const N: usize>(metadata: &Metadata, kind: HookKind, fields: [(&str, Value); N]) -> Value {
    let mut payload = Map::new();
    payload.insert("metadata".to_owned(), metadata.to_json(kind));
    payload.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    Value::Object(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Uuid = Uuid::from_u128(1);

    fn metadata() -> Metadata {
        Metadata {
            uuid: Uuid::from_u128(7),
            time: "2026-01-02T03:04:05.678Z".parse().unwrap(),
            ip_address: Some("192.0.2.1".parse().unwrap()),
        }
    }

    fn metadata_json(name: &str) -> Value {
        json!({
            "uuid": "00000000-0000-0000-0000-000000000007",
            "time": "2026-01-02T03:04:05.678Z",
            "name": name,
            "ip_address": "192.0.2.1",
        })
    }

    #[test]
    fn a_new_user_is_shown() {
        let payload = before_user_created(&metadata(), json!({"email": "a@b.example"}));
        assert_eq!(
            payload,
            json!({
                "metadata": metadata_json("before-user-created"),
                "user": {"email": "a@b.example"},
            })
        );
    }

    #[test]
    fn claims_are_shown_with_the_method() {
        let claims = Map::from_iter([("aal".to_owned(), json!("aal1"))]);
        assert_eq!(
            custom_access_token(&metadata(), USER, claims, "password"),
            json!({
                "metadata": metadata_json("customize-access-token"),
                "user_id": "00000000-0000-0000-0000-000000000001",
                "claims": {"aal": "aal1"},
                "authentication_method": "password",
            })
        );
    }

    #[test]
    fn messages_are_shown_with_their_codes() {
        let sms = SmsData { otp: "123456", sms_type: "", phone: "15551234567" };
        assert_eq!(
            send_sms(&metadata(), json!({}), &sms),
            json!({
                "metadata": metadata_json("send-sms"),
                "user": {},
                "sms": {"otp": "123456", "phone": "15551234567"},
            })
        );
        let email = EmailData { token: "123456", ..EmailData::default() };
        let payload = send_email(&metadata(), json!({}), &email);
        assert_eq!(payload["email_data"]["token"], "123456");
        assert_eq!(payload["email_data"]["token_hash_new"], "");
        assert_eq!(payload["metadata"], metadata_json("send-email"));
    }

    #[test]
    fn attempts_are_shown_with_their_result() {
        assert_eq!(
            password_verification_attempt(&metadata(), USER, false),
            json!({
                "metadata": metadata_json("password-verification"),
                "user_id": "00000000-0000-0000-0000-000000000001",
                "valid": false,
            })
        );
        assert_eq!(
            mfa_verification_attempt(&metadata(), USER, Uuid::from_u128(2), "totp", true),
            json!({
                "metadata": metadata_json("mfa-verification"),
                "user_id": "00000000-0000-0000-0000-000000000001",
                "factor_id": "00000000-0000-0000-0000-000000000002",
                "factor_type": "totp",
                "valid": true,
            })
        );
    }

    #[test]
    fn an_unknown_address_is_left_out() {
        let unknown = Metadata::new(Timestamp::UNIX_EPOCH, None);
        let payload = before_user_created(&unknown, json!({}));
        assert!(payload["metadata"].get("ip_address").is_none());
        assert_ne!(unknown.uuid, Metadata::new(Timestamp::UNIX_EPOCH, None).uuid);
    }
}
