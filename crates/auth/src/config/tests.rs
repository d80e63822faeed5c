//! That the rows, the reader and the layers agree.

use std::collections::BTreeSet;

use super::*;
use toml::{Table, Value};

fn sources(text: &str, variables: &[(&str, &str)]) -> Sources {
    let environment: Environment =
        variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Sources::new(environment)
        .table("plinth.toml", std::path::Path::new(""), toml::from_str(text).unwrap())
        .variables()
}

fn config(text: &str) -> AuthConfig {
    sources(text, &[]).config().unwrap()
}

fn environment(variables: &[(&str, &str)]) -> AuthConfig {
    sources("", variables).config().unwrap()
}

fn problem(text: &str) -> String {
    sources(text, &[]).config().unwrap_err().to_string()
}

#[test]
fn the_defaults_have_no_problem() {
    let environment = Environment::default();
    let reader = Reader::new(&[], &environment);
    AuthConfig::read(&reader);
    assert_eq!(reader.problems(), []);
    assert_eq!(AuthConfig::default(), config(""));
}

#[test]
fn every_row_is_read_and_nothing_else() {
    // A provider is read when there is one.
    let mut table = Table::new();
    table.insert("external".to_owned(), toml::from_str::<Value>("google = {}").unwrap());
    let sources = Sources::default().table("t", std::path::Path::new(""), table);
    let read = sources.rows_read();
    let rows: BTreeSet<&str> = settings().map(|row| row.key).collect();
    let missing: Vec<_> = rows.difference(&read).collect();
    assert!(missing.is_empty(), "no code reads {missing:?}");
    assert_eq!(rows.len(), settings().count(), "two rows have the same key");
}

#[test]
fn names_of_the_command_line_tool_are_understood() {
    let config = config(
        r#"
        site_url = "https://example.org/"
        jwt_expiry = 7200
        enable_signup = false
        minimum_password_length = 10
        password_requirements = "letters_digits"
        [email]
        enable_confirmations = true
        max_frequency = "1m30s"
        otp_length = 8
        [sms.test_otp]
        4152127777 = "123456"
        [mfa.web_authn]
        enroll_enabled = true
        [hook.custom_access_token]
        enabled = true
        uri = "pg-functions://postgres/public/add_claims"
        [external.github]
        enabled = true
        client_id = "one,two"
        secret = "hidden-a"
        "#,
    );
    assert_eq!(config.site_url(), "https://example.org/", "as it was written");
    assert_eq!(config.token.lifetime, Duration::from_secs(7200));
    assert!(!config.signup && config.email.confirmations);
    assert_eq!(config.password.minimum_length, 10);
    assert_eq!(config.password.required_characters.len(), 2);
    assert_eq!(config.email.max_frequency, Duration::from_secs(90));
    assert_eq!(config.email.otp_length, 8);
    assert_eq!(config.sms.test_otp["4152127777"].expose(), "123456");
    assert!(config.mfa.web_authn.enroll);
    let target =
        HookTarget::Function { schema: "public".to_owned(), name: "add_claims".to_owned() };
    assert_eq!(config.hooks["custom_access_token"].target, target);
    assert_eq!(config.external["github"].client_ids, ["one", "two"]);
    assert_eq!(config.passkey.rp_id, "example.org");
    assert_eq!(config.passkey.rp_origins, ["https://example.org"]);
}

#[test]
fn what_is_out_of_bounds_is_named_with_its_bounds() {
    for (text, parts) in [
        ("minimum_password_length = 5", ["auth.minimum_password_length", "from 6 to 72"]),
        ("jwt_expiry = 700000", ["auth.jwt_expiry", "from 1s to 168h"]),
        ("email.otp_length = 4", ["auth.email.otp_length", "from 6 to 10"]),
        ("email.max_frequency = 'soon'", ["auth.email.max_frequency", "length of time"]),
        ("site_url = 'example.org'", ["auth.site_url", "https://example.org"]),
        ("additional_redirect_urls = ['{a']", ["auth.additional_redirect_urls", "`{a`"]),
        ("password_requirements = 'hard'", ["auth.password_requirements", "letters_digits"]),
        ("enable_signup = 'perhaps'", ["auth.enable_signup", "true or false"]),
        ("rate_limit.email_sent = -1", ["auth.rate_limit.email_sent", "30/1h"]),
        ("email = { smtp = { host = 'm' } }", ["auth.email.smtp.admin_email", "needed"]),
    ] {
        let message = problem(text);
        assert!(message.starts_with("plinth.toml: "), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

#[test]
fn the_environment_wins_and_may_say_the_opposite() {
    let written = environment(&[
        ("GOTRUE_SITE_URL", "https://site.example"),
        ("GOTRUE_DISABLE_SIGNUP", "true"),
        ("GOTRUE_MAILER_AUTOCONFIRM", "false"),
    ]);
    assert_eq!(written.site_url(), "https://site.example");
    assert!(!written.signup && written.email.confirmations);
}
