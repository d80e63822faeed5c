//! `GET /settings`: what a sign-in page may offer.

use serde_json::{Map, Value, json};

use crate::config::{AuthConfig, PROVIDERS};

/// The second name of a provider, which clients do not know.
const SECOND_NAME: &str = "x";

/// The body of `GET /settings`. Nothing in it is secret; the endpoint answers anybody.
pub fn settings_json(config: &AuthConfig) -> Value {
    json!({
        "external": external(config),
        "disable_signup": !config.signup,
        "mailer_autoconfirm": !config.email.confirmations,
        "phone_autoconfirm": !config.sms.confirmations,
        "sms_provider": config.sms.provider.as_ref().map_or("", |provider| provider.name()),
        "saml_enabled": false,
        "saml_private_key_next_configured": false,
        "passkeys_enabled": config.passkey.enabled,
    })
}

/// Ways to sign in, with whether they are on. Providers of one's own are named when they are.
fn external(config: &AuthConfig) -> Map<String, Value> {
    let named = PROVIDERS.iter().filter(|name| **name != SECOND_NAME);
    let named = named.map(|name| ((*name).to_owned(), false));
    let ways = [
        ("anonymous_users", config.anonymous_sign_ins),
        ("email", config.email.enabled),
        ("phone", config.sms.enabled),
    ];
    let ways = ways.into_iter().map(|(name, on)| (name.to_owned(), on));
    let enabled = config.external.keys().map(|name| (name.clone(), true));
    named.chain(enabled).chain(ways).map(|(name, on)| (name, Value::Bool(on))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn settings(text: &str) -> Value {
        let table = toml::from_str(text).unwrap();
        let sources = Sources::default().table("test", std::path::Path::new(""), table);
        settings_json(&sources.config().unwrap())
    }

    #[test]
    fn without_settings_people_sign_in_by_email() {
        let answer = settings("");
        let external = answer["external"].as_object().unwrap();
        assert_eq!(external.len(), PROVIDERS.len() - 1 + 3);
        let on: Vec<_> =
            external.iter().filter(|(_, on)| **on == true).map(|(name, _)| name).collect();
        assert_eq!(on, ["email"]);
        assert_eq!(answer["disable_signup"], false);
        assert_eq!(answer["mailer_autoconfirm"], true);
        assert_eq!(answer["phone_autoconfirm"], true);
        assert_eq!(answer["sms_provider"], "");
        assert_eq!(answer["saml_enabled"], false);
        assert_eq!(answer["saml_private_key_next_configured"], false);
        assert_eq!(answer["passkeys_enabled"], false);
    }

    #[test]
    fn what_is_switched_on_is_told_and_no_secret_is() {
        let answer = settings(
            r#"
            enable_signup = false
            enable_anonymous_sign_ins = true
            email.enable_confirmations = true
            email.enable_signup = false
            passkey.enabled = true
            sms.enable_signup = true
            sms.enable_confirmations = true
            sms.vonage = { enabled = true, from = "us", api_key = "hunter2", api_secret = "hunter2" }
            external.google = { enabled = true, client_id = "hunter2", secret = "hunter2" }
            external.github = { enabled = false, client_id = "a", secret = "b" }
            external.ours = { enabled = true, client_id = "a", secret = "b", issuer = "https://id.example" }
            "#,
        );
        let external = &answer["external"];
        for (name, on) in [
            ("google", true),
            ("github", false),
            ("ours", true),
            ("anonymous_users", true),
            ("phone", true),
            ("email", false),
        ] {
            assert_eq!(external[name], on, "{name}");
        }
        assert_eq!(answer["disable_signup"], true);
        assert_eq!(answer["mailer_autoconfirm"], false);
        assert_eq!(answer["phone_autoconfirm"], false);
        assert_eq!(answer["sms_provider"], "vonage");
        assert_eq!(answer["passkeys_enabled"], true);
        assert!(!answer.to_string().contains("hunter2"));
    }
}
