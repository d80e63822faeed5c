//! `[auth.sms]`: sign-in by phone, and who sends.

use std::collections::BTreeMap;
use std::time::Duration;

use plinth_wire::Secret;

use super::reader::Reader;
use super::setting::Kind::{Choice, Number, Pairs, Secret as Hidden, Span, Switch, Text};
use super::setting::{Setting, setting};

const DAY: u64 = 86_400;

/// Providers of text messages.
const SMS_PROVIDERS: [&str; 5] = ["twilio", "twilio_verify", "messagebird", "textlocal", "vonage"];

/// `[auth.sms]`
pub(super) const SMS: &[Setting] = &[
    setting(
        "sms.enable_signup",
        Switch,
        "false",
        "GOTRUE_EXTERNAL_PHONE_ENABLED",
        "whether people may sign up and in by phone",
    ),
    setting(
        "sms.enable_confirmations",
        Switch,
        "false",
        "!GOTRUE_SMS_AUTOCONFIRM",
        "whether a number must be confirmed before its user can sign in",
    ),
    setting(
        "sms.template",
        Text,
        "Your code is {{ .Code }}",
        "GOTRUE_SMS_TEMPLATE",
        "text of a message",
    ),
    setting(
        "sms.max_frequency",
        Span(0, DAY),
        "5s",
        "GOTRUE_SMS_MAX_FREQUENCY",
        "time between two messages to one user",
    ),
    setting("sms.otp_length", Number(6, 10), "6", "GOTRUE_SMS_OTP_LENGTH", "digits of a code"),
    setting(
        "sms.otp_expiry",
        Span(1, 7 * DAY),
        "60",
        "GOTRUE_SMS_OTP_EXP",
        "how long a code is valid",
    ),
    setting(
        "sms.test_otp",
        Pairs,
        "",
        "GOTRUE_SMS_TEST_OTP",
        "numbers and their codes, to which nothing is sent; for tests",
    ),
    setting(
        "sms.test_otp_valid_until",
        Text,
        "",
        "GOTRUE_SMS_TEST_OTP_VALID_UNTIL",
        "when those codes end to be valid (RFC 3339)",
    ),
    setting(
        "sms.provider",
        Choice(&["", "twilio", "twilio_verify", "messagebird", "textlocal", "vonage"]),
        "",
        "GOTRUE_SMS_PROVIDER",
        "who sends; without it, the one whose table is enabled",
    ),
    setting("sms.twilio.enabled", Switch, "false", "", "whether Twilio sends"),
    setting("sms.twilio.account_sid", Text, "", "GOTRUE_SMS_TWILIO_ACCOUNT_SID", "account"),
    setting(
        "sms.twilio.message_service_sid",
        Text,
        "",
        "GOTRUE_SMS_TWILIO_MESSAGE_SERVICE_SID",
        "messaging service or sender's number",
    ),
    setting(
        "sms.twilio.content_sid",
        Text,
        "",
        "GOTRUE_SMS_TWILIO_CONTENT_SID",
        "content template for WhatsApp",
    ),
    setting("sms.twilio.auth_token", Hidden, "", "GOTRUE_SMS_TWILIO_AUTH_TOKEN", "its token"),
    setting(
        "sms.twilio_verify.enabled",
        Switch,
        "false",
        "",
        "whether Twilio Verify sends and checks",
    ),
    setting(
        "sms.twilio_verify.account_sid",
        Text,
        "",
        "GOTRUE_SMS_TWILIO_VERIFY_ACCOUNT_SID",
        "account",
    ),
    setting(
        "sms.twilio_verify.message_service_sid",
        Text,
        "",
        "GOTRUE_SMS_TWILIO_VERIFY_MESSAGE_SERVICE_SID",
        "verification service",
    ),
    setting(
        "sms.twilio_verify.auth_token",
        Hidden,
        "",
        "GOTRUE_SMS_TWILIO_VERIFY_AUTH_TOKEN",
        "its token",
    ),
    setting("sms.messagebird.enabled", Switch, "false", "", "whether MessageBird sends"),
    setting("sms.messagebird.originator", Text, "", "GOTRUE_SMS_MESSAGEBIRD_ORIGINATOR", "sender"),
    setting(
        "sms.messagebird.access_key",
        Hidden,
        "",
        "GOTRUE_SMS_MESSAGEBIRD_ACCESS_KEY",
        "its key",
    ),
    setting("sms.textlocal.enabled", Switch, "false", "", "whether Textlocal sends"),
    setting("sms.textlocal.sender", Text, "", "GOTRUE_SMS_TEXTLOCAL_SENDER", "sender"),
    setting("sms.textlocal.api_key", Hidden, "", "GOTRUE_SMS_TEXTLOCAL_API_KEY", "its key"),
    setting("sms.vonage.enabled", Switch, "false", "", "whether Vonage sends"),
    setting("sms.vonage.from", Text, "", "GOTRUE_SMS_VONAGE_FROM", "sender"),
    setting("sms.vonage.api_key", Hidden, "", "GOTRUE_SMS_VONAGE_API_KEY", "its key"),
    setting("sms.vonage.api_secret", Hidden, "", "GOTRUE_SMS_VONAGE_API_SECRET", "its secret"),
];

/// Sign-in by phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmsConfig {
    /// Whether people may sign up and in by phone.
    pub enabled: bool,
    /// Whether a number must be confirmed before its user can sign in.
    pub confirmations: bool,
    /// Text of a message, with `{{ .Code }}`.
    pub template: String,
    /// Time between two messages to one user.
    pub max_frequency: Duration,
    /// Digits of a code, 6 to 10.
    pub otp_length: u32,
    /// How long a code is valid.
    pub otp_expiry: Duration,
    /// Codes that are accepted for numbers (without `+` and spaces), to which nothing is sent.
    pub test_otp: BTreeMap<String, Secret>,
    /// When those codes end to be valid.
    pub test_otp_valid_until: Option<jiff::Timestamp>,
    /// Who sends; `None`: nobody.
    pub provider: Option<SmsProvider>,
}

/// Who sends text messages.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the providers' own words")]
pub enum SmsProvider {
    /// Twilio's Messaging API.
    Twilio {
        account_sid: String,
        message_service_sid: String,
        content_sid: Option<String>,
        auth_token: Secret,
    },
    /// Twilio Verify, which makes and checks the codes itself.
    TwilioVerify { account_sid: String, message_service_sid: String, auth_token: Secret },
    /// MessageBird.
    Messagebird { originator: String, access_key: Secret },
    /// Textlocal.
    Textlocal { sender: String, api_key: Secret },
    /// Vonage.
    Vonage { from: String, api_key: Secret, api_secret: Secret },
}

impl SmsProvider {
    /// Its name in the settings.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Twilio { .. } => "twilio",
            Self::TwilioVerify { .. } => "twilio_verify",
            Self::Messagebird { .. } => "messagebird",
            Self::Textlocal { .. } => "textlocal",
            Self::Vonage { .. } => "vonage",
        }
    }

    fn read(reader: &Reader<'_>) -> Option<Self> {
        let named = reader.choice("sms.provider");
        let mut enabled =
            SMS_PROVIDERS.map(|name| (name, reader.switch(&format!("sms.{name}.enabled"))));
        if !named.is_empty() {
            enabled = enabled.map(|(name, _)| (name, name == named));
        }
        let mut chosen = enabled.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
        let (first, second) = (chosen.next(), chosen.next());
        if let (Some(first), Some(second)) = (first, second) {
            let message = format!("cannot be enabled together with `auth.sms.{first}`");
            reader.problem(&format!("sms.{second}.enabled"), message);
        }
        let need = |key: &str, value: String| {
            let key = format!("sms.{key}");
            if value.is_empty()
                && first.is_some_and(|name| key.starts_with(&format!("sms.{name}.")))
            {
                reader.problem(&key, "is needed by the provider that is enabled");
            }
            value
        };
        let text = |key: &str| need(key, reader.text(&format!("sms.{key}")));
        let secret = |key: &str| {
            let secret = reader.secret(&format!("sms.{key}"));
            Secret::new(need(
                key,
                secret.map(|secret| secret.expose().to_owned()).unwrap_or_default(),
            ))
        };
        // All are read, so that a mistake in one that is not enabled is found as well.
        let all = [
            Self::Twilio {
                account_sid: text("twilio.account_sid"),
                message_service_sid: text("twilio.message_service_sid"),
                content_sid: reader.optional_text("sms.twilio.content_sid"),
                auth_token: secret("twilio.auth_token"),
            },
            Self::TwilioVerify {
                account_sid: text("twilio_verify.account_sid"),
                message_service_sid: text("twilio_verify.message_service_sid"),
                auth_token: secret("twilio_verify.auth_token"),
            },
            Self::Messagebird {
                originator: text("messagebird.originator"),
                access_key: secret("messagebird.access_key"),
            },
            Self::Textlocal {
                sender: text("textlocal.sender"),
                api_key: secret("textlocal.api_key"),
            },
            Self::Vonage {
                from: text("vonage.from"),
                api_key: secret("vonage.api_key"),
                api_secret: secret("vonage.api_secret"),
            },
        ];
        all.into_iter().find(|provider| Some(provider.name()) == first)
    }
}

impl SmsConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        Self {
            enabled: reader.switch("sms.enable_signup"),
            confirmations: reader.switch("sms.enable_confirmations"),
            template: reader.text("sms.template"),
            max_frequency: reader.span("sms.max_frequency"),
            otp_length: reader.number("sms.otp_length"),
            otp_expiry: reader.span("sms.otp_expiry"),
            test_otp: test_codes(reader),
            test_otp_valid_until: test_codes_end(reader),
            provider: SmsProvider::read(reader),
        }
    }
}

fn test_codes(reader: &Reader<'_>) -> BTreeMap<String, Secret> {
    let pairs = reader.pairs("sms.test_otp").into_iter();
    pairs
        .map(|(phone, code)| {
            let phone: String = phone.chars().filter(|c| !matches!(c, '+' | ' ')).collect();
            if phone.is_empty() || !phone.bytes().all(|b| b.is_ascii_digit()) {
                reader.problem("sms.test_otp", format!("`{phone}` is no phone number"));
            }
            (phone, Secret::new(code))
        })
        .collect()
}

fn test_codes_end(reader: &Reader<'_>) -> Option<jiff::Timestamp> {
    let text = reader.optional_text("sms.test_otp_valid_until")?;
    let end = text.trim().parse().ok();
    if end.is_none() {
        reader.problem("sms.test_otp_valid_until", "must be a time such as 2027-01-31T12:00:00Z");
    }
    end
}
