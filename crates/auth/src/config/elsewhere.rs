//! Settings that are known and have no effect here, with what stands in their place.

use super::error::Note;
use super::value;

const REGISTRY: &str =
    "a project's secret and keys are made with it; `plinth project show` prints them";
const PROCESS: &str = "it is a setting of the whole process, in `plinth.toml`";
const NO_SAML: &str = "SAML is not supported";
const NO_WEB3: &str = "sign-in with a wallet is not supported";
const NO_THIRD_PARTY: &str = "tokens of third parties are not accepted";
pub(super) const ONE_PROJECT: &str = "projects that sign with the same keys take each other's tokens; \
                                      it belongs in `[project.NAME.auth]`, as `signing_keys`";
const OWN_API: &str = "the address of a provider's API follows from its `url`";
const OWN_WAY: &str = "Plinth does this in a way of its own";

/// Keys below `[auth]`, whole or as the first part of a path.
const KEYS: &[(&str, &str)] = &[
    ("anon_key", REGISTRY),
    ("enabled", "auth is always on"),
    ("jwt_secret", REGISTRY),
    ("publishable_key", REGISTRY),
    ("secret_key", REGISTRY),
    ("service_role_key", REGISTRY),
    ("third_party", NO_THIRD_PARTY),
    ("web3", NO_WEB3),
];

/// Beginnings of variables' names.
const VARIABLES: &[(&str, &str)] = &[
    ("GOTRUE_API_HOST", PROCESS),
    ("GOTRUE_API_PORT", PROCESS),
    ("GOTRUE_API_ENDPOINT", PROCESS),
    ("GOTRUE_API_MAX_REQUEST_DURATION", PROCESS),
    ("GOTRUE_API_REQUEST_ID_HEADER", PROCESS),
    ("GOTRUE_COOKIE_", "no cookies are set"),
    ("GOTRUE_CORS_", "the gateway answers for the headers"),
    ("GOTRUE_CUSTOM_OAUTH_", "administrators may always add providers"),
    ("GOTRUE_DATABASE_URL", PROCESS),
    ("GOTRUE_DB_", PROCESS),
    ("GOTRUE_EXPERIMENTAL_", OWN_WAY),
    ("GOTRUE_EXTERNAL_IOS_BUNDLE_ID", "it is one more of `external.apple.client_id`"),
    ("GOTRUE_EXTERNAL_OIDC_PROVIDER_CACHE_TTL", OWN_WAY),
    ("GOTRUE_EXTERNAL_REDIRECT_URL", "each provider has its `redirect_uri`"),
    ("GOTRUE_EXTERNAL_WEB3_", NO_WEB3),
    ("GOTRUE_INDEX_WORKER_", OWN_WAY),
    ("GOTRUE_JWT_ADMIN_GROUP_NAME", "`admin_roles` says who is an administrator"),
    ("GOTRUE_JWT_KEY_ID", "each of the signing keys has its `kid`"),
    ("GOTRUE_JWT_KEYS", ONE_PROJECT),
    ("GOTRUE_JWT_SECRET", REGISTRY),
    ("GOTRUE_JWT_VALID_METHODS", "the keys say how they sign"),
    ("GOTRUE_LOG_", PROCESS),
    ("GOTRUE_MAILER_EMAIL_BACKGROUND_SENDING", OWN_WAY),
    ("GOTRUE_MAILER_EMAIL_VALIDATION_", OWN_WAY),
    ("GOTRUE_MAILER_EXTERNAL_HOSTS", "links lead to `external_url`"),
    ("GOTRUE_MAILER_TEMPLATE_", "templates are read at start"),
    ("GOTRUE_MAILER_URLPATHS_", "links lead to `/verify` below `external_url`"),
    ("GOTRUE_MAILER_URL_PATHS_", "links lead to `/verify` below `external_url`"),
    ("GOTRUE_METRICS_", PROCESS),
    ("GOTRUE_MFA_ENABLED", "each kind of factor has its own switch"),
    ("GOTRUE_MFA_RECOVERY_CODES_", "recovery codes are not supported"),
    ("GOTRUE_OPERATOR_TOKEN", "there is no operator"),
    ("GOTRUE_PASSWORD_HIBP_BLOOM_", OWN_WAY),
    ("GOTRUE_PASSWORD_HIBP_USER_AGENT", OWN_WAY),
    ("GOTRUE_PROFILER_", PROCESS),
    ("GOTRUE_RELOADING_", "settings are read at start"),
    ("GOTRUE_SAML_", NO_SAML),
    (
        "GOTRUE_SECURITY_DATABASE_ENCRYPTION_",
        "secrets are always sealed, with the key of the process",
    ),
    ("GOTRUE_SECURITY_DB_ENCRYPTION_", "secrets are always sealed, with the key of the process"),
    ("GOTRUE_SECURITY_REFRESH_TOKEN_ALGORITHM_VERSION", OWN_WAY),
    ("GOTRUE_SECURITY_REFRESH_TOKEN_ALLOW_REUSE", OWN_WAY),
    ("GOTRUE_SECURITY_REFRESH_TOKEN_UPGRADE_PERCENTAGE", OWN_WAY),
    ("GOTRUE_SECURITY_SB_FORWARDED_FOR_ENABLED", "`rate_limit.header` names the header"),
    ("GOTRUE_SMTP_HEADERS", OWN_WAY),
    ("GOTRUE_SMTP_LOGGING_ENABLED", OWN_WAY),
    ("GOTRUE_TRACING_", PROCESS),
    ("GOTRUE_WEBHOOK_", "hooks have taken its place"),
];

/// Why the key has no effect, when that is known.
pub(super) fn key(path: &str) -> Option<&'static str> {
    let first = path.split('.').next()?;
    let found = KEYS.iter().find(|(known, _)| *known == path || *known == first);
    let of_api = || (first == "external" && path.ends_with(".api_url")).then_some(OWN_API);
    found.map(|(_, why)| *why).or_else(of_api)
}

/// Why the variable has no effect, when that is known.
pub(super) fn variable(name: &str) -> Option<&'static str> {
    let fits = |known: &str| match known.ends_with('_') {
        true => name.starts_with(known),
        false => name == known,
    };
    let of_api =
        || (name.starts_with("GOTRUE_EXTERNAL_") && name.ends_with("_API_URL")).then_some(OWN_API);
    VARIABLES.iter().find(|(known, _)| fits(known)).map(|(_, why)| *why).or_else(of_api)
}

/// A note about a setting without effect: a warning when something is switched on that is not there.
pub(super) fn note(origin: &str, name: &str, text: &str, why: &'static str) -> Note {
    let (origin, key) = (origin.to_owned(), name.to_owned());
    let missing = matches!(why, NO_SAML | NO_WEB3 | NO_THIRD_PARTY);
    let enables =
        name.to_ascii_lowercase().ends_with("enabled") && value::switch(text) == Some(true);
    match (missing && enables) || why == ONE_PROJECT {
        true => Note::Unsupported { origin, key, why },
        false => Note::NotApplicable { origin, key, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings;

    #[test]
    fn nothing_is_both_a_setting_and_without_effect() {
        for setting in settings() {
            assert_eq!(key(setting.key), None, "{}", setting.key);
            for known in setting.variables() {
                let name = known.name.replace('*', "GOOGLE");
                assert_eq!(variable(&name), None, "{name}");
            }
        }
    }

    #[test]
    fn no_provider_has_an_api_elsewhere() {
        assert_eq!(variable("GOTRUE_EXTERNAL_GITLAB_API_URL"), Some(OWN_API));
        assert_eq!(key("external.gitlab.api_url"), Some(OWN_API));
        assert_eq!(variable("GOTRUE_EXTERNAL_GITLAB_URL"), None);
    }

    #[test]
    fn what_is_switched_on_and_missing_is_a_warning() {
        let why = variable("GOTRUE_SAML_ENABLED").unwrap();
        assert!(note("environment", "GOTRUE_SAML_ENABLED", "true", why).is_warning());
        assert!(!note("environment", "GOTRUE_SAML_ENABLED", "false", why).is_warning());
        let why = variable("GOTRUE_DB_DRIVER").unwrap();
        assert!(!note("environment", "GOTRUE_DB_DRIVER", "postgres", why).is_warning());
        assert!(
            note("f", "web3.solana.enabled", "true", key("web3.solana.enabled").unwrap())
                .is_warning()
        );
    }
}
