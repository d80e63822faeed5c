//! `[auth.mfa]`, `[auth.passkey]` and `[auth.webauthn]`: second factors and passkeys.

use std::time::Duration;

use url::Url;

use super::reader::Reader;
use super::setting::Kind::{List, Number, Span, Switch, Text};
use super::setting::{Setting, setting};

const DAY: u64 = 86_400;

/// `[auth.mfa]`
pub(super) const MFA: &[Setting] = &[
    setting(
        "mfa.max_enrolled_factors",
        Number(0, 100),
        "10",
        "GOTRUE_MFA_MAX_ENROLLED_FACTORS",
        "factors that a user may enrol",
    ),
    setting(
        "mfa.max_verified_factors",
        Number(0, 100),
        "10",
        "GOTRUE_MFA_MAX_VERIFIED_FACTORS",
        "verified factors that a user may have",
    ),
    setting(
        "mfa.challenge_expiry",
        Span(300, DAY),
        "300",
        "GOTRUE_MFA_CHALLENGE_EXPIRY_DURATION",
        "how long a challenge is valid",
    ),
    setting(
        "mfa.factor_expiry",
        Span(300, DAY),
        "300s",
        "GOTRUE_MFA_FACTOR_EXPIRY_DURATION",
        "how long a factor may stay unverified",
    ),
    setting(
        "mfa.totp.enroll_enabled",
        Switch,
        "true",
        "GOTRUE_MFA_TOTP_ENROLL_ENABLED",
        "whether authenticator apps may be enrolled",
    ),
    setting(
        "mfa.totp.verify_enabled",
        Switch,
        "true",
        "GOTRUE_MFA_TOTP_VERIFY_ENABLED",
        "whether they may be verified",
    ),
    setting(
        "mfa.phone.enroll_enabled",
        Switch,
        "false",
        "GOTRUE_MFA_PHONE_ENROLL_ENABLED",
        "whether phones may be enrolled",
    ),
    setting(
        "mfa.phone.verify_enabled",
        Switch,
        "false",
        "GOTRUE_MFA_PHONE_VERIFY_ENABLED",
        "whether they may be verified",
    ),
    setting(
        "mfa.phone.otp_length",
        Number(6, 10),
        "6",
        "GOTRUE_MFA_PHONE_OTP_LENGTH",
        "digits of a code",
    ),
    setting(
        "mfa.phone.template",
        Text,
        "Your code is {{ .Code }}",
        "GOTRUE_MFA_PHONE_TEMPLATE",
        "text of a message",
    ),
    setting(
        "mfa.phone.max_frequency",
        Span(0, DAY),
        "5s",
        "GOTRUE_MFA_PHONE_MAX_FREQUENCY",
        "time between two messages to one user",
    ),
    setting(
        "mfa.web_authn.enroll_enabled",
        Switch,
        "false",
        "GOTRUE_MFA_WEB_AUTHN_ENROLL_ENABLED GOTRUE_MFA_WEBAUTHN_ENROLL_ENABLED",
        "whether security keys may be enrolled",
    ),
    setting(
        "mfa.web_authn.verify_enabled",
        Switch,
        "false",
        "GOTRUE_MFA_WEB_AUTHN_VERIFY_ENABLED GOTRUE_MFA_WEBAUTHN_VERIFY_ENABLED",
        "whether they may be verified",
    ),
];

/// `[auth.passkey]` and `[auth.webauthn]`
pub(super) const PASSKEYS: &[Setting] = &[
    setting(
        "passkey.enabled",
        Switch,
        "false",
        "GOTRUE_PASSKEY_ENABLED",
        "whether people may sign in with a passkey",
    ),
    setting(
        "passkey.max_passkeys_per_user",
        Number(0, 100),
        "10",
        "GOTRUE_PASSKEY_MAX_PASSKEYS_PER_USER",
        "passkeys that a user may have",
    ),
    setting(
        "webauthn.rp_id",
        Text,
        "",
        "GOTRUE_WEBAUTHN_RP_ID",
        "domain that passkeys are for; without it, the site's host",
    ),
    setting(
        "webauthn.rp_display_name",
        Text,
        "",
        "GOTRUE_WEBAUTHN_RP_DISPLAY_NAME",
        "name that people see; without it, the domain",
    ),
    setting(
        "webauthn.rp_origins",
        List,
        "",
        "GOTRUE_WEBAUTHN_RP_ORIGINS",
        "origins that passkeys may be used from; without them, the site's",
    ),
    setting(
        "webauthn.challenge_expiry_duration",
        Span(1, 3600),
        "5m",
        "GOTRUE_WEBAUTHN_CHALLENGE_EXPIRY_DURATION",
        "how long a ceremony may take",
    ),
];

/// Second factors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MfaConfig {
    /// Factors that a user may enrol.
    pub max_enrolled_factors: u32,
    /// Verified factors that a user may have.
    pub max_verified_factors: u32,
    /// How long a challenge is valid.
    pub challenge_expiry: Duration,
    /// How long a factor may stay unverified.
    pub factor_expiry: Duration,
    /// Authenticator apps.
    pub totp: FactorConfig,
    /// Codes by text message.
    pub phone: PhoneFactorConfig,
    /// Security keys.
    pub web_authn: FactorConfig,
}

/// Whether factors of a kind may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactorConfig {
    /// Whether they may be enrolled.
    pub enroll: bool,
    /// Whether they may be challenged and verified.
    pub verify: bool,
}

/// Codes by text message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneFactorConfig {
    /// Whether they may be used.
    pub factor: FactorConfig,
    /// Digits of a code, 6 to 10.
    pub otp_length: u32,
    /// Text of a message, with `{{ .Code }}`.
    pub template: String,
    /// Time between two messages to one user.
    pub max_frequency: Duration,
}

impl FactorConfig {
    fn read(reader: &Reader<'_>, kind: &str) -> Self {
        Self {
            enroll: reader.switch(&format!("mfa.{kind}.enroll_enabled")),
            verify: reader.switch(&format!("mfa.{kind}.verify_enabled")),
        }
    }
}

impl MfaConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        Self {
            max_enrolled_factors: reader.number("mfa.max_enrolled_factors"),
            max_verified_factors: reader.number("mfa.max_verified_factors"),
            challenge_expiry: reader.span("mfa.challenge_expiry"),
            factor_expiry: reader.span("mfa.factor_expiry"),
            totp: FactorConfig::read(reader, "totp"),
            phone: PhoneFactorConfig {
                factor: FactorConfig::read(reader, "phone"),
                otp_length: reader.number("mfa.phone.otp_length"),
                template: reader.text("mfa.phone.template"),
                max_frequency: reader.span("mfa.phone.max_frequency"),
            },
            web_authn: FactorConfig::read(reader, "web_authn"),
        }
    }
}

/// Passkeys, and the relying party of all WebAuthn ceremonies (WebAuthn Level 3 §5.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasskeyConfig {
    /// Whether people may sign in with a passkey.
    pub enabled: bool,
    /// Passkeys that a user may have.
    pub max_per_user: u32,
    /// Domain that credentials are for.
    pub rp_id: String,
    /// Name that people see.
    pub rp_display_name: String,
    /// Origins that credentials may be used from, such as `https://example.org`, without a slash.
    pub rp_origins: Vec<String>,
    /// How long a ceremony may take.
    pub challenge_expiry: Duration,
}

impl PasskeyConfig {
    /// What is not given follows from the site's address.
    pub(super) fn read(reader: &Reader<'_>, site_url: &str) -> Self {
        let site = Url::parse(site_url).ok();
        let host = site.as_ref().and_then(Url::host_str).unwrap_or_default();
        let rp_id = reader.optional_text("webauthn.rp_id").unwrap_or_else(|| host.to_owned());
        if rp_id.contains(['/', ':']) {
            reader.problem("webauthn.rp_id", "must be a domain, without scheme and port");
        }
        let written = reader.list("webauthn.rp_origins");
        let mut rp_origins: Vec<String> = written.iter().filter_map(|text| origin(text)).collect();
        if rp_origins.len() < written.len() {
            let message = "must be origins such as https://example.org";
            reader.problem("webauthn.rp_origins", message);
        }
        if written.is_empty() {
            rp_origins.extend(site.map(|site| site.origin().ascii_serialization()));
        }
        Self {
            enabled: reader.switch("passkey.enabled"),
            max_per_user: reader.number("passkey.max_passkeys_per_user"),
            rp_display_name: reader
                .optional_text("webauthn.rp_display_name")
                .unwrap_or_else(|| rp_id.clone()),
            rp_id,
            rp_origins,
            challenge_expiry: reader.span("webauthn.challenge_expiry_duration"),
        }
    }
}

/// The origin as browsers write it; Android's (`android:apk-key-hash:…`) stays as it is.
fn origin(text: &str) -> Option<String> {
    if text.starts_with("android:apk-key-hash:") {
        return Some(text.to_owned());
    }
    let url = Url::parse(text).ok()?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let origin = url.origin();
    (bare && origin.is_tuple()).then(|| origin.ascii_serialization())
}
