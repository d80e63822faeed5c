//! What a refusal looks like on the wire.

use std::borrow::Cow;

use http::StatusCode;
use plinth_wire::WireError;
use serde_json::{Map, Value, json};

use crate::password::WeakReason;
use crate::request::ApiVersion;

/// The names by which clients know refusals. They are public: stable, and never used for something else.
pub mod code {
    macro_rules! codes {
        ($($name:ident = $text:literal),* $(,)?) => {
            $(#[doc = concat!("`", $text, "`")] pub const $name: &str = $text;)*
        };
    }
    codes! {
        ANONYMOUS_PROVIDER_DISABLED = "anonymous_provider_disabled",
        BAD_CODE_VERIFIER = "bad_code_verifier",
        BAD_JSON = "bad_json",
        BAD_JWT = "bad_jwt",
        BAD_OAUTH_CALLBACK = "bad_oauth_callback",
        BAD_OAUTH_STATE = "bad_oauth_state",
        CAPTCHA_FAILED = "captcha_failed",
        CONFLICT = "conflict",
        CURRENT_PASSWORD_INVALID = "current_password_invalid",
        CURRENT_PASSWORD_REQUIRED = "current_password_required",
        CUSTOM_PROVIDER_NOT_FOUND = "custom_provider_not_found",
        EMAIL_ADDRESS_NOT_AUTHORIZED = "email_address_not_authorized",
        EMAIL_ADDRESS_INVALID = "email_address_invalid",
        EMAIL_ADDRESS_NOT_PROVIDED = "email_address_not_provided",
        EMAIL_CONFLICT_IDENTITY_NOT_DELETABLE = "email_conflict_identity_not_deletable",
        EMAIL_EXISTS = "email_exists",
        EMAIL_NOT_CONFIRMED = "email_not_confirmed",
        EMAIL_PROVIDER_DISABLED = "email_provider_disabled",
        FEATURE_DISABLED = "feature_disabled",
        FLOW_STATE_EXPIRED = "flow_state_expired",
        FLOW_STATE_NOT_FOUND = "flow_state_not_found",
        HOOK_PAYLOAD_INVALID_CONTENT_TYPE = "hook_payload_invalid_content_type",
        HOOK_PAYLOAD_OVER_SIZE_LIMIT = "hook_payload_over_size_limit",
        HOOK_TIMEOUT = "hook_timeout",
        HOOK_TIMEOUT_AFTER_RETRY = "hook_timeout_after_retry",
        IDENTITY_ALREADY_EXISTS = "identity_already_exists",
        IDENTITY_NOT_FOUND = "identity_not_found",
        INSUFFICIENT_AAL = "insufficient_aal",
        INVALID_CREDENTIALS = "invalid_credentials",
        INVITE_NOT_FOUND = "invite_not_found",
        MANUAL_LINKING_DISABLED = "manual_linking_disabled",
        MFA_CHALLENGE_EXPIRED = "mfa_challenge_expired",
        MFA_FACTOR_NAME_CONFLICT = "mfa_factor_name_conflict",
        MFA_FACTOR_NOT_FOUND = "mfa_factor_not_found",
        MFA_IP_ADDRESS_MISMATCH = "mfa_ip_address_mismatch",
        MFA_PHONE_ENROLL_NOT_ENABLED = "mfa_phone_enroll_not_enabled",
        MFA_PHONE_VERIFY_NOT_ENABLED = "mfa_phone_verify_not_enabled",
        MFA_TOTP_ENROLL_NOT_ENABLED = "mfa_totp_enroll_not_enabled",
        MFA_TOTP_VERIFY_NOT_ENABLED = "mfa_totp_verify_not_enabled",
        MFA_VERIFICATION_FAILED = "mfa_verification_failed",
        MFA_VERIFICATION_REJECTED = "mfa_verification_rejected",
        MFA_VERIFIED_FACTOR_EXISTS = "mfa_verified_factor_exists",
        MFA_WEBAUTHN_ENROLL_NOT_ENABLED = "mfa_webauthn_enroll_not_enabled",
        MFA_WEBAUTHN_VERIFY_NOT_ENABLED = "mfa_webauthn_verify_not_enabled",
        NO_AUTHORIZATION = "no_authorization",
        NOT_ADMIN = "not_admin",
        OAUTH_AUTHORIZATION_NOT_FOUND = "oauth_authorization_not_found",
        OAUTH_CLIENT_NOT_FOUND = "oauth_client_not_found",
        OAUTH_CONSENT_NOT_FOUND = "oauth_consent_not_found",
        OAUTH_DYNAMIC_CLIENT_REGISTRATION_DISABLED = "oauth_dynamic_client_registration_disabled",
        OAUTH_PROVIDER_NOT_SUPPORTED = "oauth_provider_not_supported",
        OTP_DISABLED = "otp_disabled",
        OTP_EXPIRED = "otp_expired",
        OVER_EMAIL_SEND_RATE_LIMIT = "over_email_send_rate_limit",
        OVER_QUOTA = "over_quota",
        OVER_REQUEST_RATE_LIMIT = "over_request_rate_limit",
        OVER_SMS_SEND_RATE_LIMIT = "over_sms_send_rate_limit",
        PASSKEY_DISABLED = "passkey_disabled",
        PHONE_EXISTS = "phone_exists",
        PHONE_NOT_CONFIRMED = "phone_not_confirmed",
        PHONE_PROVIDER_DISABLED = "phone_provider_disabled",
        PROVIDER_DISABLED = "provider_disabled",
        PROVIDER_EMAIL_NEEDS_VERIFICATION = "provider_email_needs_verification",
        REAUTHENTICATION_NEEDED = "reauthentication_needed",
        REAUTHENTICATION_NOT_VALID = "reauthentication_not_valid",
        REFRESH_TOKEN_ALREADY_USED = "refresh_token_already_used",
        REFRESH_TOKEN_NOT_FOUND = "refresh_token_not_found",
        REQUEST_ENTITY_TOO_LARGE = "request_entity_too_large",
        REQUEST_TIMEOUT = "request_timeout",
        SAME_PASSWORD = "same_password",
        SAML_PROVIDER_DISABLED = "saml_provider_disabled",
        SESSION_EXPIRED = "session_expired",
        SESSION_NOT_FOUND = "session_not_found",
        SIGNUP_DISABLED = "signup_disabled",
        SINGLE_IDENTITY_NOT_DELETABLE = "single_identity_not_deletable",
        SMS_SEND_FAILED = "sms_send_failed",
        SSO_PROVIDER_NOT_FOUND = "sso_provider_not_found",
        TOO_MANY_ENROLLED_MFA_FACTORS = "too_many_enrolled_mfa_factors",
        TOO_MANY_PASSKEYS = "too_many_passkeys",
        UNEXPECTED_AUDIENCE = "unexpected_audience",
        UNEXPECTED_FAILURE = "unexpected_failure",
        USER_ALREADY_EXISTS = "user_already_exists",
        USER_BANNED = "user_banned",
        USER_NOT_FOUND = "user_not_found",
        USER_SSO_MANAGED = "user_sso_managed",
        VALIDATION_FAILED = "validation_failed",
        WEAK_PASSWORD = "weak_password",
        WEB3_PROVIDER_DISABLED = "web3_provider_disabled",
        WEBAUTHN_CHALLENGE_EXPIRED = "webauthn_challenge_expired",
        WEBAUTHN_CHALLENGE_NOT_FOUND = "webauthn_challenge_not_found",
        WEBAUTHN_CREDENTIAL_EXISTS = "webauthn_credential_exists",
        WEBAUTHN_CREDENTIAL_NOT_FOUND = "webauthn_credential_not_found",
        WEBAUTHN_VERIFICATION_FAILED = "webauthn_verification_failed",
    }
}

/// Why a request is refused, as its client learns it.
#[derive(Debug, Clone, PartialEq)]
pub struct Error {
    /// HTTP status.
    pub status: StatusCode,
    /// One of [`code`].
    pub code: &'static str,
    /// For people.
    pub message: Cow<'static, str>,
    /// What is weak about a password.
    pub weak_password: Vec<WeakReason>,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u64>,
    /// Answered as RFC 6749 §5.2 does: `error` is this.
    pub oauth: Option<&'static str>,
}

/// What endpoints give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal with `status`, one of [`code`], and a text for people.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self { status, code, message, weak_password: Vec::new(), retry_after: None, oauth: None }
    }

    /// 400.
    pub fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 403.
    pub fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404.
    pub fn not_found(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, message)
    }

    /// 422.
    pub fn unprocessable(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message)
    }

    /// 429, to be tried again after some seconds.
    pub fn too_many(
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
        retry_after: u64,
    ) -> Self {
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, code, message);
        Self { retry_after: Some(retry_after), ..error }
    }

    /// 400: what was sent does not make sense.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Self {
        Self::bad_request(code::VALIDATION_FAILED, message)
    }

    /// 500: nobody's fault but ours. The cause belongs into the log.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::UNEXPECTED_FAILURE, message)
    }

    /// RFC 6749 §5.2: `{"error", "error_description"}`.
    pub fn oauth(
        status: StatusCode,
        error: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { oauth: Some(error), ..Self::new(status, code::VALIDATION_FAILED, description) }
    }

    /// The JSON body. Clients that named a version of the interface read the code from `code`, those
    /// that did not from `error_code`.
    pub fn body(&self, version: ApiVersion) -> Value {
        if let Some(error) = self.oauth {
            return json!({"error": error, "error_description": self.message});
        }
        let mut body = Map::new();
        match version {
            ApiVersion::Dated => {
                body.insert("code".to_owned(), self.code.into());
                body.insert("message".to_owned(), self.message.as_ref().into());
            }
            ApiVersion::Initial => {
                body.insert("code".to_owned(), self.status.as_u16().into());
                body.insert("error_code".to_owned(), self.code.into());
                body.insert("msg".to_owned(), self.message.as_ref().into());
            }
        }
        if !self.weak_password.is_empty() {
            let reasons = json!({"reasons": self.weak_password});
            body.insert("weak_password".to_owned(), reasons);
        }
        Value::Object(body)
    }
}

/// A failure of the database is ours, except for those of the moment. Endpoints look at what their own
/// statements may raise before they come here.
impl From<WireError> for Error {
    fn from(error: WireError) -> Self {
        match &error {
            WireError::PoolTimeout(_) | WireError::Overloaded(_) => {
                let message = "Too many sign-ins are under way, try again in a moment";
                Self::too_many(code::OVER_REQUEST_RATE_LIMIT, message, 1)
            }
            WireError::AnswerTimeout(_) => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                code::REQUEST_TIMEOUT,
                "Processing this request timed out, please retry after a moment",
            ),
            // 55P03: somebody else holds the session or the user for longer than we wait.
            WireError::Database(database)
                if matches!(database.code.as_str(), "55P03" | "40P01" | "40001") =>
            {
                let message = "Too many requests for the same user at the same time";
                Self::new(StatusCode::CONFLICT, code::CONFLICT, message)
            }
            WireError::Connect(_)
            | WireError::Refused(_)
            | WireError::Lost(_)
            | WireError::Terminated(_)
            | WireError::Closed => {
                tracing::warn!(error = %error, "sign-in has no database");
                let message = "The database cannot be reached, try again in a moment";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, code::UNEXPECTED_FAILURE, message)
            }
            WireError::Database(_) | WireError::Protocol(_) | WireError::TooLarge(_) => {
                tracing::error!(error = %error, "a statement of sign-in failed");
                Self::internal("Unexpected failure, please check server logs for more information")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_depends_on_the_version_that_the_client_named() {
        let error = Error::validation("no");
        let dated = json!({"code": "validation_failed", "message": "no"});
        assert_eq!(error.body(ApiVersion::Dated), dated);
        let initial = json!({"code": 400, "error_code": "validation_failed", "msg": "no"});
        assert_eq!(error.body(ApiVersion::Initial), initial);
    }

    #[test]
    fn a_weak_password_says_why() {
        let mut error = Error::unprocessable(code::WEAK_PASSWORD, "weak");
        error.weak_password = vec![WeakReason::Length];
        for version in [ApiVersion::Dated, ApiVersion::Initial] {
            assert_eq!(error.body(version)["weak_password"], json!({"reasons": ["length"]}));
        }
    }

    #[test]
    fn oauth_errors_have_their_own_shape() {
        let error = Error::oauth(StatusCode::BAD_REQUEST, "invalid_grant", "gone");
        let body = json!({"error": "invalid_grant", "error_description": "gone"});
        assert_eq!(error.body(ApiVersion::Dated), body);
    }
}
