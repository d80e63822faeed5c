//! All settings of the auth part of one project, as one value that does not change.
//!
//! The names are those of `[auth]` in `supabase/config.toml`, and of the `GOTRUE_*` environment. Each
//! setting is a row of [`settings`]: its name, form, default, variables and meaning. [`Sources`]
//! lays files, tables and the environment over each other, and [`Sources::config`] makes an
//! [`AuthConfig`] of them, or says everything that is wrong with them at once.

mod elsewhere;
mod email;
mod error;
mod factors;
mod files;
mod general;
mod limits;
mod outside;
mod reader;
mod setting;
mod sms;
mod sources;
#[cfg(test)]
mod tests;
mod unknown;
mod value;

use std::collections::BTreeMap;
use std::time::Duration;

pub use email::{EmailConfig, SmtpConfig, TemplateConfig};
pub use error::{AuthConfigError, Note, Problem};
pub use factors::{FactorConfig, MfaConfig, PasskeyConfig, PhoneFactorConfig};
pub use general::{PasswordConfig, SessionConfig, TokenConfig};
pub use limits::{CaptchaConfig, RateLimitConfig};
pub use outside::{HookConfig, HookTarget, OAuthServerConfig, PROVIDERS, ProviderConfig};
pub use setting::{Kind, Setting, Variable};
pub use sms::{SmsConfig, SmsProvider};
pub use sources::{Environment, Sources};
pub use value::Rate;

use reader::Reader;

use crate::redirect::RedirectRules;

/// All settings of the auth part of one project.
///
/// [`AuthConfig::default`] is what a project has that says nothing: sign-up by email without
/// confirmation, authenticator apps, no provider, no mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthConfig {
    /// The site, as it was written, and where people may be sent besides it.
    pub redirects: RedirectRules,
    /// Address of this API as others see it, without a slash at its end (`https://…/auth/v1`);
    /// `None`: it follows from the gateway's.
    pub external_url: Option<String>,
    /// Whether people may sign up at all.
    pub signup: bool,
    /// Whether people may sign in without an address.
    pub anonymous_sign_ins: bool,
    /// Whether a user may link and unlink identities.
    pub manual_linking: bool,
    /// How long a sign-in by PKCE or at a provider may take.
    pub flow_state_expiry: Duration,
    /// Whether rows are written to `auth.audit_log_entries`.
    pub audit_log: bool,
    /// How tokens are made.
    pub token: TokenConfig,
    /// What a password must be.
    pub password: PasswordConfig,
    /// How long sessions live.
    pub sessions: SessionConfig,
    /// How much is let through.
    pub rate_limit: RateLimitConfig,
    /// Who checks captchas; `None`: nobody.
    pub captcha: Option<CaptchaConfig>,
    /// Sign-in by email.
    pub email: EmailConfig,
    /// Sign-in by phone.
    pub sms: SmsConfig,
    /// Second factors.
    pub mfa: MfaConfig,
    /// Passkeys and the relying party.
    pub passkey: PasskeyConfig,
    /// Hooks that are enabled, by name: `custom_access_token`, `before_user_created`…
    pub hooks: BTreeMap<String, HookConfig>,
    /// Providers that are enabled, by name: `google`, `github`…
    pub external: BTreeMap<String, ProviderConfig>,
    /// Issuers of ID tokens that are accepted without a provider of that name.
    pub allowed_id_token_issuers: Vec<String>,
    /// Signing people in for other apps.
    pub oauth_server: OAuthServerConfig,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self::read(&Reader::new(&[], &Environment::default()))
    }
}

impl AuthConfig {
    /// Takes every setting; what is wrong stays with the reader.
    fn read(reader: &Reader<'_>) -> Self {
        let redirects = general::redirects(reader);
        Self {
            external_url: reader.url("external_url"),
            signup: reader.switch("enable_signup"),
            anonymous_sign_ins: reader.switch("enable_anonymous_sign_ins"),
            manual_linking: reader.switch("enable_manual_linking"),
            flow_state_expiry: reader.span("flow_state_expiry"),
            audit_log: !reader.switch("audit_log_disable_postgres"),
            token: TokenConfig::read(reader),
            password: PasswordConfig::read(reader),
            sessions: SessionConfig::read(reader),
            rate_limit: RateLimitConfig::read(reader),
            captcha: CaptchaConfig::read(reader),
            email: EmailConfig::read(reader),
            sms: SmsConfig::read(reader),
            mfa: MfaConfig::read(reader),
            passkey: PasskeyConfig::read(reader, redirects.site_url()),
            hooks: HookConfig::read_all(reader),
            external: ProviderConfig::read_all(reader),
            allowed_id_token_issuers: reader.list("allowed_id_token_issuers"),
            oauth_server: OAuthServerConfig::read(reader),
            redirects,
        }
    }

    /// Where people are sent after signing in, as it was written.
    pub fn site_url(&self) -> &str {
        self.redirects.site_url()
    }
}

/// The settings by section, in the order of the documentation.
const SECTIONS: &[(&str, &[Setting])] = &[
    ("[auth]", general::GENERAL),
    ("[auth.sessions]", general::SESSIONS),
    ("[auth.rate_limit]", limits::RATE_LIMIT),
    ("[auth.captcha]", limits::CAPTCHA),
    ("[auth.email]", email::EMAIL),
    ("[auth.sms]", sms::SMS),
    ("[auth.mfa]", factors::MFA),
    ("[auth.passkey], [auth.webauthn]", factors::PASSKEYS),
    ("[auth.hook.NAME]", outside::HOOK),
    ("[auth.external.NAME]", outside::EXTERNAL),
    ("[auth.oauth_server]", outside::OAUTH_SERVER),
];

/// A length of time as Go writes it (`1h30m`), or in seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    value::span(text)
}

/// Every setting there is, in the order of the documentation.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|(_, section)| section.iter())
}

/// The setting that `key` names.
fn find(key: &str) -> Option<&'static Setting> {
    settings().find(|setting| setting.is(key))
}
