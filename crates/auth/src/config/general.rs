//! `[auth]`: addresses, tokens, sign-up, passwords and sessions.

use std::time::Duration;

use plinth_wire::Secret;

use super::reader::Reader;
use super::setting::Kind::{
    Choice, List, Number, OptionalSpan, Path, Secret as Hidden, Sets, Span, Switch, Text,
    Url as Address,
};
use super::setting::{Setting, setting};
use crate::redirect::RedirectRules;
use crate::token::{KeyError, SigningKey, SigningKeys};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 366 * DAY;

/// The settings that stand directly in `[auth]`.
pub(super) const GENERAL: &[Setting] = &[
    setting(
        "site_url",
        Text,
        "http://127.0.0.1:3000",
        "GOTRUE_SITE_URL",
        "where people are sent after signing in; links in mails lead there",
    ),
    setting(
        "additional_redirect_urls",
        List,
        "https://127.0.0.1:3000",
        "GOTRUE_URI_ALLOW_LIST",
        "other addresses that people may be sent to: globs with `*`, `**`, `?`, `[a-z]`, `{a,b}`, where `.` and `/` separate",
    ),
    setting(
        "external_url",
        Address,
        "",
        "GOTRUE_API_EXTERNAL_URL API_EXTERNAL_URL",
        "address of this API as others see it; without it, the project's own below `/auth/v1`",
    ),
    setting(
        "jwt_expiry",
        Span(1, 7 * DAY),
        "3600",
        "GOTRUE_JWT_EXP",
        "how long an access token is valid",
    ),
    setting(
        "jwt_issuer",
        Text,
        "",
        "GOTRUE_JWT_ISSUER",
        "`iss` of access tokens; without it, `external_url`",
    ),
    setting(
        "jwt_audience",
        Text,
        "authenticated",
        "GOTRUE_JWT_AUD",
        "`aud` of access tokens and of new users",
    ),
    setting(
        "jwt_default_role",
        Text,
        "authenticated",
        "GOTRUE_JWT_DEFAULT_GROUP_NAME",
        "`role` of new users, which is the database role of their requests",
    ),
    setting(
        "admin_roles",
        List,
        "service_role,supabase_admin",
        "GOTRUE_JWT_ADMIN_ROLES",
        "roles whose tokens may use the endpoints for administrators",
    ),
    setting(
        "signing_keys_path",
        Path,
        "",
        "",
        "JSON file with the keys that sign access tokens (JWKs); without it, the project's secret signs with HS256",
    ),
    setting(
        "signing_keys",
        Hidden,
        "",
        "",
        "the same keys as a text; wins over the file. Both only in `[project.NAME.auth]`",
    ),
    setting(
        "enable_refresh_token_rotation",
        Switch,
        "true",
        "GOTRUE_SECURITY_REFRESH_TOKEN_ROTATION_ENABLED",
        "whether the reuse of a replaced refresh token ends its session",
    ),
    setting(
        "refresh_token_reuse_interval",
        Span(0, HOUR),
        "10",
        "GOTRUE_SECURITY_REFRESH_TOKEN_REUSE_INTERVAL",
        "how long a replaced refresh token may still be used, for tabs that refresh at once",
    ),
    setting(
        "enable_signup",
        Switch,
        "true",
        "!GOTRUE_DISABLE_SIGNUP",
        "whether people may sign up at all",
    ),
    setting(
        "enable_anonymous_sign_ins",
        Switch,
        "false",
        "GOTRUE_EXTERNAL_ANONYMOUS_USERS_ENABLED",
        "whether people may sign in without an address",
    ),
    setting(
        "enable_manual_linking",
        Switch,
        "false",
        "GOTRUE_SECURITY_MANUAL_LINKING_ENABLED",
        "whether a user may link and unlink identities",
    ),
    setting(
        "minimum_password_length",
        Number(6, 72),
        "6",
        "GOTRUE_PASSWORD_MIN_LENGTH",
        "shorter passwords are refused, in characters",
    ),
    setting(
        "password_requirements",
        Choice(&[
            "",
            "letters_digits",
            "lower_upper_letters_digits",
            "lower_upper_letters_digits_symbols",
        ]),
        "",
        "",
        "characters that a password must have",
    ),
    setting(
        "password_required_characters",
        Sets,
        "",
        "GOTRUE_PASSWORD_REQUIRED_CHARACTERS",
        "sets of characters of which a password must have one each; wins over `password_requirements`",
    ),
    setting(
        "password_hibp.enabled",
        Switch,
        "false",
        "GOTRUE_PASSWORD_HIBP_ENABLED",
        "whether passwords known from leaks are refused (haveibeenpwned.com, five digits of the hash leave the server)",
    ),
    setting(
        "password_hibp.fail_closed",
        Switch,
        "false",
        "GOTRUE_PASSWORD_HIBP_FAIL_CLOSED",
        "whether a password is refused when it cannot be looked up",
    ),
    setting(
        "update_password_require_current_password",
        Switch,
        "false",
        "GOTRUE_SECURITY_UPDATE_PASSWORD_REQUIRE_CURRENT_PASSWORD",
        "whether a new password needs the old one",
    ),
    setting(
        "flow_state_expiry",
        Span(300, DAY),
        "5m",
        "GOTRUE_EXTERNAL_FLOW_STATE_EXPIRY_DURATION",
        "how long a sign-in by PKCE or at a provider may take",
    ),
    setting(
        "audit_log_disable_postgres",
        Switch,
        "false",
        "GOTRUE_AUDIT_LOG_DISABLE_POSTGRES",
        "whether to write no rows to `auth.audit_log_entries`",
    ),
];

/// `[auth.sessions]`
pub(super) const SESSIONS: &[Setting] = &[
    setting(
        "sessions.timebox",
        OptionalSpan(1, 10 * YEAR),
        "",
        "GOTRUE_SESSIONS_TIMEBOX",
        "how long a session lives at most",
    ),
    setting(
        "sessions.inactivity_timeout",
        OptionalSpan(1, 10 * YEAR),
        "",
        "GOTRUE_SESSIONS_INACTIVITY_TIMEOUT",
        "how long a session may go without a refresh",
    ),
    setting(
        "sessions.allow_low_aal",
        OptionalSpan(1, 10 * YEAR),
        "",
        "GOTRUE_SESSIONS_ALLOW_LOW_AAL",
        "how long the session of a user with a second factor may stay without it",
    ),
    setting(
        "sessions.single_per_user",
        Switch,
        "false",
        "GOTRUE_SESSIONS_SINGLE_PER_USER",
        "whether a new session ends the user's other ones",
    ),
    setting(
        "sessions.tags",
        List,
        "",
        "GOTRUE_SESSIONS_TAGS",
        "sessions of different tags do not end each other",
    ),
];

/// What a password must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordConfig {
    /// Shorter ones are refused, in characters; 6 to 72.
    pub minimum_length: u32,
    /// A password must have one character of each set.
    pub required_characters: Vec<String>,
    /// Whether those known from leaks are refused.
    pub leaked_refused: bool,
    /// Whether one is refused when it cannot be looked up among the leaked.
    pub leaked_fail_closed: bool,
    /// Whether a new password needs the old one.
    pub current_required: bool,
}

impl PasswordConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        let named = required_characters(&reader.choice("password_requirements"));
        let written = reader.sets("password_required_characters");
        Self {
            minimum_length: reader.number("minimum_password_length"),
            required_characters: if written.is_empty() { named } else { written },
            leaked_refused: reader.switch("password_hibp.enabled"),
            leaked_fail_closed: reader.switch("password_hibp.fail_closed"),
            current_required: reader.switch("update_password_require_current_password"),
        }
    }
}

fn required_characters(name: &str) -> Vec<String> {
    const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
    const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const DIGITS: &str = "0123456789";
    const SYMBOLS: &str = r##"!@#$%^&*()_+-=[]{};'\:"|<>?,./`~"##;
    let letters = format!("{LOWER}{UPPER}");
    let sets: &[&str] = match name {
        "letters_digits" => &[&letters, DIGITS],
        "lower_upper_letters_digits" => &[LOWER, UPPER, DIGITS],
        "lower_upper_letters_digits_symbols" => &[LOWER, UPPER, DIGITS, SYMBOLS],
        _ => &[],
    };
    sets.iter().map(|set| (*set).to_owned()).collect()
}

/// How access tokens are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// How long an access token is valid; up to a week.
    pub lifetime: Duration,
    /// `iss`; `None`: the address of this API.
    pub issuer: Option<String>,
    /// `aud`.
    pub audience: String,
    /// `role` of new users.
    pub default_role: String,
    /// Roles that are administrators'.
    pub admin_roles: Vec<String>,
    /// JSON text with the keys that sign (a list of JWKs, or an object with such a list as `keys`).
    /// `None`: the project's secret, with HS256.
    pub signing_keys: Option<Secret>,
    /// Whether the reuse of a replaced refresh token ends its session.
    pub rotation: bool,
    /// How long a replaced refresh token may still be used.
    pub reuse_interval: Duration,
}

impl TokenConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        let file = reader.file("signing_keys_path").map(Secret::new);
        let text = reader.secret("signing_keys");
        let key = if text.is_some() { "signing_keys" } else { "signing_keys_path" };
        let signing_keys = text.or(file);
        if let Some(Err(error)) = signing_keys.as_ref().map(usable) {
            reader.problem(key, error.to_string());
        }
        Self {
            lifetime: reader.span("jwt_expiry"),
            issuer: reader.optional_text("jwt_issuer"),
            audience: reader.text("jwt_audience"),
            default_role: reader.text("jwt_default_role"),
            admin_roles: reader.list("admin_roles"),
            signing_keys,
            rotation: reader.switch("enable_refresh_token_rotation"),
            reuse_interval: reader.span("refresh_token_reuse_interval"),
        }
    }
}

/// Whether the keys can sign and verify, beside any secret.
fn usable(keys: &Secret) -> Result<(), KeyError> {
    let any = Secret::new("x".repeat(32));
    SigningKeys::with_keys(&any, &SigningKey::configured(keys.expose())?).map(drop)
}

/// How long sessions live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// How long a session lives at most.
    pub timebox: Option<Duration>,
    /// How long it may go without a refresh.
    pub inactivity_timeout: Option<Duration>,
    /// How long the session of a user with a second factor may stay without it.
    pub allow_low_aal: Option<Duration>,
    /// Whether a new session ends the user's other ones (of the same tag).
    pub single_per_user: bool,
    /// Tags that a session may have.
    pub tags: Vec<String>,
}

impl SessionConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        Self {
            timebox: reader.optional_span("sessions.timebox"),
            inactivity_timeout: reader.optional_span("sessions.inactivity_timeout"),
            allow_low_aal: reader.optional_span("sessions.allow_low_aal"),
            single_per_user: reader.switch("sessions.single_per_user"),
            tags: reader.list("sessions.tags"),
        }
    }
}

/// The site, and where people may be sent besides it.
pub(super) fn redirects(reader: &Reader<'_>) -> RedirectRules {
    let site_url = reader.text("site_url");
    if !RedirectRules::is_site_url(site_url.trim()) {
        let message = "must be an address such as https://example.org or myapp://home";
        reader.problem("site_url", message);
    }
    let mut rules = RedirectRules::of_site(site_url.trim());
    for pattern in reader.list("additional_redirect_urls") {
        if let Err(error) = rules.allow(&pattern) {
            let message = format!("has `{pattern}`, which is no pattern: {error}");
            reader.problem("additional_redirect_urls", message);
        }
    }
    rules
}
