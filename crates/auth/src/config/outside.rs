//! `[auth.hook]`, `[auth.external]` and `[auth.oauth_server]`: whom this API asks and who asks it.

use std::collections::BTreeMap;
use std::time::Duration;

use plinth_wire::Secret;
use url::Url;

use super::reader::Reader;
use super::setting::Kind::{
    Choice, List, Secret as Hidden, Secrets, Span, Switch, Text, Url as Address,
};
use super::setting::{Setting, setting};

/// Moments at which a hook may be called.
pub(super) const HOOKS: &[&str] = &[
    "after_user_created",
    "before_user_created",
    "custom_access_token",
    "mfa_verification_attempt",
    "password_verification_attempt",
    "send_email",
    "send_sms",
];

/// Providers that need no `issuer`: their addresses are known.
pub const PROVIDERS: &[&str] = &[
    "apple",
    "azure",
    "bitbucket",
    "discord",
    "facebook",
    "figma",
    "fly",
    "github",
    "gitlab",
    "google",
    "kakao",
    "keycloak",
    "linkedin",
    "linkedin_oidc",
    "notion",
    "slack",
    "slack_oidc",
    "snapchat",
    "spotify",
    "twitch",
    "twitter",
    "workos",
    "x",
    "zoom",
];

/// `[auth.hook]`
pub(super) const HOOK: &[Setting] = &[
    setting(
        "hook.*.enabled",
        Switch,
        "false",
        "GOTRUE_HOOK_*_ENABLED",
        "whether a hook is called: `custom_access_token`, `before_user_created`, `after_user_created`, `send_sms`, `send_email`, `mfa_verification_attempt`, `password_verification_attempt`",
    ),
    setting(
        "hook.*.uri",
        Text,
        "",
        "GOTRUE_HOOK_*_URI",
        "`pg-functions://postgres/<schema>/<function>` or an https URL (http on this machine only)",
    ),
    setting(
        "hook.*.secrets",
        Secrets,
        "",
        "GOTRUE_HOOK_*_SECRETS",
        "what signs the requests of an HTTP hook: `v1,whsec_<base64>`, several separated by `|`",
    ),
];

/// `[auth.external]`
pub(super) const EXTERNAL: &[Setting] = &[
    setting(
        "external.*.enabled",
        Switch,
        "false",
        "GOTRUE_EXTERNAL_*_ENABLED",
        "whether people may sign in there: `apple`, `azure`, `discord`, `facebook`, `github`, `gitlab`, `google`, `twitter`, `x`…, or a name of yours with an `issuer`",
    ),
    setting(
        "external.*.client_id",
        List,
        "",
        "GOTRUE_EXTERNAL_*_CLIENT_ID",
        "client that this project is there; further ones are accepted in ID tokens",
    ),
    setting("external.*.secret", Hidden, "", "GOTRUE_EXTERNAL_*_SECRET", "its secret"),
    setting(
        "external.*.redirect_uri",
        Address,
        "",
        "GOTRUE_EXTERNAL_*_REDIRECT_URI",
        "where the provider sends people back; without it, `external_url` with `/callback`",
    ),
    setting(
        "external.*.url",
        Address,
        "",
        "GOTRUE_EXTERNAL_*_URL",
        "the provider's address, for those that one can run oneself, and Azure's tenant",
    ),
    setting(
        "external.*.skip_nonce_check",
        Switch,
        "false",
        "GOTRUE_EXTERNAL_*_SKIP_NONCE_CHECK",
        "whether an ID token is accepted without the nonce that was asked for",
    ),
    setting(
        "external.*.email_optional",
        Switch,
        "false",
        "GOTRUE_EXTERNAL_*_EMAIL_OPTIONAL",
        "whether an account without an address may sign in",
    ),
    setting(
        "external.*.issuer",
        Address,
        "",
        "GOTRUE_EXTERNAL_*_ISSUER",
        "issuer of an OpenID provider, which is asked for its endpoints (OpenID Connect Discovery)",
    ),
    setting(
        "external.*.scopes",
        List,
        "",
        "GOTRUE_EXTERNAL_*_SCOPES",
        "scopes to ask for besides the usual ones",
    ),
    setting(
        "external.*.keep_tokens",
        Choice(&["", "true", "false"]),
        "",
        "",
        "whether the provider's tokens are kept, sealed, for acting on the user's behalf; without it, those of `twitter` and `x` are",
    ),
    setting(
        "allowed_id_token_issuers",
        List,
        "https://appleid.apple.com,https://accounts.google.com",
        "GOTRUE_EXTERNAL_ALLOWED_ID_TOKEN_ISSUERS",
        "issuers of ID tokens that are accepted without a provider of that name",
    ),
];

/// `[auth.oauth_server]`
pub(super) const OAUTH_SERVER: &[Setting] = &[
    setting(
        "oauth_server.enabled",
        Switch,
        "false",
        "GOTRUE_OAUTH_SERVER_ENABLED",
        "whether other apps may sign people in here",
    ),
    setting(
        "oauth_server.authorization_url_path",
        Text,
        "/oauth/consent",
        "GOTRUE_OAUTH_SERVER_AUTHORIZATION_PATH",
        "the site's page that asks for consent",
    ),
    setting(
        "oauth_server.allow_dynamic_registration",
        Switch,
        "false",
        "GOTRUE_OAUTH_SERVER_ALLOW_DYNAMIC_REGISTRATION",
        "whether apps may register themselves",
    ),
    setting(
        "oauth_server.authorization_ttl",
        Span(1, 86_400),
        "10m",
        "GOTRUE_OAUTH_SERVER_AUTHORIZATION_TTL",
        "how long a request for consent is valid",
    ),
    setting(
        "oauth_server.default_scope",
        Text,
        "email",
        "GOTRUE_OAUTH_SERVER_DEFAULT_SCOPE",
        "scopes when an app asks for none",
    ),
];

/// A hook that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookConfig {
    /// What is called.
    pub target: HookTarget,
    /// Secrets that sign the requests (Standard Webhooks), as written: `v1,whsec_…`. Never empty for
    /// HTTP.
    pub secrets: Vec<Secret>,
}

/// What a hook calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookTarget {
    /// A function of the project's database, which takes and gives `jsonb`.
    Function {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
    /// An HTTP endpoint: https, or http on this machine.
    Http(Url),
}

impl HookConfig {
    /// The hooks that are enabled, by name.
    pub(super) fn read_all(reader: &Reader<'_>) -> BTreeMap<String, Self> {
        let hooks =
            HOOKS.iter().filter_map(|name| Some(((*name).to_owned(), Self::read(reader, name)?)));
        hooks.collect()
    }

    fn read(reader: &Reader<'_>, name: &str) -> Option<Self> {
        let key = |part: &str| format!("hook.{name}.{part}");
        let enabled = reader.switch(&key("enabled"));
        let uri = reader.text(&key("uri"));
        let secrets = reader.secrets(&key("secrets"));
        if uri.is_empty() && !enabled {
            return None;
        }
        let target = hook_target(&uri).map_err(|why| reader.problem(&key("uri"), why)).ok()?;
        if secrets.iter().any(|secret| !is_hook_secret(secret.expose())) {
            let message =
                "must be `v1,whsec_` with 24 to 64 bytes in base64, or several with `|` between";
            reader.problem(&key("secrets"), message);
        }
        if enabled && secrets.is_empty() && matches!(target, HookTarget::Http(_)) {
            reader.problem(&key("secrets"), "is needed: requests to a URL are signed");
        }
        enabled.then_some(Self { target, secrets })
    }
}

fn hook_target(uri: &str) -> Result<HookTarget, &'static str> {
    let wrong = "must be pg-functions://postgres/<schema>/<function> or a URL";
    let url = Url::parse(uri).map_err(|_| wrong)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong);
    }
    match url.scheme() {
        "pg-functions" => {
            let mut parts = url.path().trim_start_matches('/').splitn(2, '/');
            let mut part = || parts.next().filter(|part| is_name(part)).map(str::to_owned);
            let (schema, name) = (part().ok_or(wrong)?, part().ok_or(wrong)?);
            Ok(HookTarget::Function { schema, name })
        }
        "https" if url.has_host() => Ok(HookTarget::Http(url)),
        "http" if is_this_machine(&url) => Ok(HookTarget::Http(url)),
        "http" => Err("must begin with https://, since it leaves this machine"),
        _ => Err(wrong),
    }
}

/// Whether it may name a schema or a function without further thought.
fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.as_bytes()[0].is_ascii_digit()
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => matches!(name, "localhost" | "host.docker.internal"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether it is a symmetric secret of Standard Webhooks.
fn is_hook_secret(text: &str) -> bool {
    use base64::Engine as _;
    let Some(encoded) = text.strip_prefix("v1,whsec_") else { return false };
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
    bytes.is_ok_and(|bytes| (24..=64).contains(&bytes.len()))
}

/// A provider of identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// The clients that this project is there; never empty. The first one signs people in, the others
    /// are accepted in ID tokens.
    pub client_ids: Vec<String>,
    /// The client's secret; Apple and Google do without when only ID tokens are used.
    pub secret: Option<Secret>,
    /// Where the provider sends people back; `None`: this API's `/callback`.
    pub redirect_uri: Option<String>,
    /// The provider's address, for those that one can run oneself.
    pub url: Option<String>,
    /// Whether an ID token is accepted without the nonce that was asked for.
    pub skip_nonce_check: bool,
    /// Whether an account without an address may sign in.
    pub email_optional: bool,
    /// Issuer of an OpenID provider; always there for those that are not in [`PROVIDERS`].
    pub issuer: Option<String>,
    /// Scopes to ask for besides the usual ones.
    pub scopes: Vec<String>,
    /// Whether the provider's tokens are kept for acting on the user's behalf.
    pub keep_tokens: bool,
}

impl ProviderConfig {
    /// The providers that are enabled, by name.
    pub(super) fn read_all(reader: &Reader<'_>) -> BTreeMap<String, Self> {
        let names = reader.names("external").into_iter();
        names.filter_map(|name| Some((name.clone(), Self::read(reader, &name)?))).collect()
    }

    fn read(reader: &Reader<'_>, name: &str) -> Option<Self> {
        let key = |part: &str| format!("external.{name}.{part}");
        let enabled = reader.switch(&key("enabled"));
        let provider = Self {
            client_ids: reader.list(&key("client_id")),
            secret: reader.secret(&key("secret")),
            redirect_uri: reader.url(&key("redirect_uri")),
            url: reader.url(&key("url")),
            skip_nonce_check: reader.switch(&key("skip_nonce_check")),
            email_optional: reader.switch(&key("email_optional")),
            issuer: reader.url(&key("issuer")),
            scopes: reader.list(&key("scopes")),
            keep_tokens: match reader.choice(&key("keep_tokens")).as_str() {
                "" => matches!(name, "twitter" | "x"),
                keep => keep == "true",
            },
        };
        if !enabled {
            return None;
        }
        if provider.client_ids.is_empty() {
            reader.problem(&key("client_id"), "is needed by a provider that is enabled");
        }
        if provider.secret.is_none() && !matches!(name, "apple" | "google") {
            reader.problem(&key("secret"), "is needed by a provider that is enabled");
        }
        if provider.issuer.is_none() && !PROVIDERS.contains(&name) {
            reader.problem(&key("issuer"), "is needed by a provider that Plinth does not know");
        }
        Some(provider)
    }
}

/// Signing people in for other apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthServerConfig {
    /// Whether it is on.
    pub enabled: bool,
    /// Path of the site's page that asks for consent.
    pub authorization_url_path: String,
    /// Whether apps may register themselves (RFC 7591).
    pub allow_dynamic_registration: bool,
    /// How long a request for consent is valid.
    pub authorization_ttl: Duration,
    /// Scopes when an app asks for none, separated by spaces.
    pub default_scope: String,
}

impl OAuthServerConfig {
    pub(super) fn read(reader: &Reader<'_>) -> Self {
        Self {
            enabled: reader.switch("oauth_server.enabled"),
            authorization_url_path: reader.text("oauth_server.authorization_url_path"),
            allow_dynamic_registration: reader.switch("oauth_server.allow_dynamic_registration"),
            authorization_ttl: reader.span("oauth_server.authorization_ttl"),
            default_scope: reader.text("oauth_server.default_scope"),
        }
    }
}
