//! `[auth.rate_limit]` and `[auth.captcha]`: how much is let through, and who is a person.

use std::time::Duration;

use http::HeaderName;
use plinth_wire::Secret;

use super::reader::Reader;
use super::setting::Kind::{Choice, Rate as PerTime, Secret as Hidden, Span, Switch, Text};
use super::setting::{Setting, setting};
use super::value::Rate;

const HOUR: u64 = 3600;

/// `[auth.rate_limit]`
pub(super) const RATE_LIMIT: &[Setting] = &[
    setting(
        "rate_limit.header",
        Text,
        "",
        "GOTRUE_RATE_LIMIT_HEADER",
        "request header in which a proxy says whom a request is from; its last address that is none of \
         `http.trusted_proxies` is the client's, for limits, sessions and the log",
    ),
    setting(
        "rate_limit.email_sent",
        PerTime(HOUR),
        "30",
        "GOTRUE_RATE_LIMIT_EMAIL_SENT",
        "mails sent per hour, in all",
    ),
    setting(
        "rate_limit.sms_sent",
        PerTime(HOUR),
        "30",
        "GOTRUE_RATE_LIMIT_SMS_SENT",
        "text messages sent per hour, in all",
    ),
    setting(
        "rate_limit.anonymous_users",
        PerTime(HOUR),
        "30",
        "GOTRUE_RATE_LIMIT_ANONYMOUS_USERS",
        "anonymous sign-ins per hour and address",
    ),
    setting(
        "rate_limit.token_refresh",
        PerTime(300),
        "150",
        "GOTRUE_RATE_LIMIT_TOKEN_REFRESH",
        "refreshes and sign-ins per 5 minutes and address",
    ),
    setting(
        "rate_limit.sign_in_sign_ups",
        PerTime(300),
        "30",
        "GOTRUE_RATE_LIMIT_OTP",
        "sign-ups, magic links, codes, recoveries and user updates per 5 minutes and address",
    ),
    setting(
        "rate_limit.token_verifications",
        PerTime(300),
        "30",
        "GOTRUE_RATE_LIMIT_VERIFY",
        "verified codes and links per 5 minutes and address",
    ),
    setting(
        "rate_limit.mfa_verifications",
        PerTime(60),
        "15",
        "GOTRUE_MFA_RATE_LIMIT_CHALLENGE_AND_VERIFY",
        "challenges and verifications of factors per minute and address",
    ),
    setting(
        "rate_limit.sso",
        PerTime(300),
        "30",
        "GOTRUE_RATE_LIMIT_SSO",
        "single sign-ons per 5 minutes and address",
    ),
    setting(
        "rate_limit.web3",
        PerTime(300),
        "30",
        "GOTRUE_RATE_LIMIT_WEB3",
        "sign-ins with a wallet per 5 minutes and address",
    ),
    setting(
        "rate_limit.passkey",
        PerTime(300),
        "30",
        "GOTRUE_RATE_LIMIT_PASSKEY",
        "passkey ceremonies per 5 minutes and address",
    ),
    setting(
        "rate_limit.oauth_client_registrations",
        PerTime(300),
        "10",
        "GOTRUE_RATE_LIMIT_O_AUTH_DYNAMIC_CLIENT_REGISTER",
        "clients that register themselves per 5 minutes and address",
    ),
];

/// `[auth.captcha]`
pub(super) const CAPTCHA: &[Setting] = &[
    setting(
        "captcha.enabled",
        Switch,
        "false",
        "GOTRUE_SECURITY_CAPTCHA_ENABLED",
        "whether sign-up and sign-in need a solved captcha",
    ),
    setting(
        "captcha.provider",
        Choice(&["hcaptcha", "turnstile"]),
        "hcaptcha",
        "GOTRUE_SECURITY_CAPTCHA_PROVIDER",
        "who checks it",
    ),
    setting(
        "captcha.secret",
        Hidden,
        "",
        "GOTRUE_SECURITY_CAPTCHA_SECRET",
        "the secret that the provider gave",
    ),
    setting(
        "captcha.timeout",
        Span(1, 60),
        "10s",
        "GOTRUE_SECURITY_CAPTCHA_TIMEOUT",
        "how long the provider may take",
    ),
];

/// How much is let through. All but the sent messages are counted by the client's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimitConfig {
    /// Request header in which a proxy says whom a request is from; `None`: the gateway's own way. It is the gateway that
    /// reads it.
    pub header: Option<HeaderName>,
    /// Mails, in all.
    pub email_sent: Rate,
    /// Text messages, in all.
    pub sms_sent: Rate,
    /// Anonymous sign-ins.
    pub anonymous_users: Rate,
    /// `POST /token`.
    pub token_refresh: Rate,
    /// Sign-up, codes, links, recovery, resending, updates of the user.
    pub sign_in_sign_ups: Rate,
    /// `/verify`.
    pub token_verifications: Rate,
    /// Challenges and verifications of factors.
    pub mfa_verifications: Rate,
    /// `/sso`.
    pub sso: Rate,
    /// Sign-in with a wallet.
    pub web3: Rate,
    /// Passkey ceremonies.
    pub passkey: Rate,
    /// Clients that register themselves.
    pub oauth_client_registrations: Rate,
}

impl RateLimitConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        Self {
            header: reader.optional_text("rate_limit.header").and_then(|name| {
                let header = HeaderName::try_from(name);
                if header.is_err() {
                    reader.problem(
                        "rate_limit.header",
                        "must be the name of a header, such as X-Real-IP",
                    );
                }
                header.ok()
            }),
            email_sent: reader.rate("rate_limit.email_sent"),
            sms_sent: reader.rate("rate_limit.sms_sent"),
            anonymous_users: reader.rate("rate_limit.anonymous_users"),
            token_refresh: reader.rate("rate_limit.token_refresh"),
            sign_in_sign_ups: reader.rate("rate_limit.sign_in_sign_ups"),
            token_verifications: reader.rate("rate_limit.token_verifications"),
            mfa_verifications: reader.rate("rate_limit.mfa_verifications"),
            sso: reader.rate("rate_limit.sso"),
            web3: reader.rate("rate_limit.web3"),
            passkey: reader.rate("rate_limit.passkey"),
            oauth_client_registrations: reader.rate("rate_limit.oauth_client_registrations"),
        }
    }
}

/// Who checks captchas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptchaConfig {
    /// `hcaptcha` or `turnstile`.
    pub provider: String,
    /// The secret that the provider gave.
    pub secret: Secret,
    /// How long the provider may take.
    pub timeout: Duration,
}

impl CaptchaConfig {
    /// `None` when captchas are off.
    pub(super) fn read(reader: &Reader<'_>) -> Option<Self> {
        let enabled = reader.switch("captcha.enabled");
        let (provider, secret) =
            (reader.choice("captcha.provider"), reader.secret("captcha.secret"));
        let timeout = reader.span("captcha.timeout");
        if enabled && secret.is_none() {
            reader.problem("captcha.secret", "is needed when captchas are enabled");
        }
        Some(Self { provider, secret: secret?, timeout }).filter(|_| enabled)
    }
}
