//! What settings come to.

mod documentation;
mod rows;

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
        ("rate_limit.header = 'X Real IP'", ["auth.rate_limit.header", "X-Real-IP"]),
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

#[test]
fn what_is_printed_is_the_same_settings() {
    let text = "site_url = 'myapp://home'\nsessions.timebox = '24h'\nadmin_roles = ['a', 'b']\n\
                [external.github]\nenabled = true\nclient_id = 'a'\nsecret = 'b'";
    let first = sources(text, &[("GOTRUE_JWT_EXP", "60")]);
    let printed = first.printable();
    let again = Sources::default().table("again", std::path::Path::new(""), printed.clone());
    let mut expected = first.config().unwrap();
    if let Some(github) = expected.external.get_mut("github") {
        github.secret = Some(plinth_wire::Secret::new("***"));
    }
    assert_eq!(again.config().unwrap(), expected);
    assert_eq!(again.printable(), printed);
}

#[test]
fn later_layers_win_key_by_key() {
    let folder = std::path::Path::new("");
    let layer = |text: &str| toml::from_str::<Table>(text).unwrap();
    let environment = Environment::from_iter([("GOTRUE_JWT_EXP".to_owned(), "300".to_owned())]);
    let sources = Sources::new(environment)
        .table("low", folder, layer("jwt_expiry = 100\nsite_url = 'https://low'\nemail.otp_length = 7\nsms.test_otp = { 1 = 'a' }"))
        .table("high", folder, layer("jwt_expiry = 200\nsite_url = 'https://high'\nadditional_redirect_urls = []\nsms.test_otp = { 2 = 'b' }"))
        .variables();
    let config = sources.config().unwrap();
    assert_eq!(config.token.lifetime, Duration::from_secs(300));
    assert_eq!(config.site_url(), "https://high");
    assert_eq!(config.email.otp_length, 7);
    assert_eq!(config.sms.test_otp.len(), 2, "tables are laid over each other");
    assert!(!config.redirects.allows("https://127.0.0.1.example"));
}

#[test]
fn variables_stand_where_a_value_names_them() {
    let text = "jwt_expiry = 'env(EXPIRY)'\n[external.apple]\nsecret = 'env(APPLE)'\nclient_id = 'a'\nenabled = true";
    let written = sources(text, &[("EXPIRY", "77"), ("APPLE", "hidden")]);
    let config = written.config().unwrap();
    assert_eq!(config.token.lifetime, Duration::from_secs(77));
    assert_eq!(config.external["apple"].secret.as_ref().unwrap().expose(), "hidden");
    let unset = sources(text, &[]);
    let config = unset.config().unwrap();
    assert_eq!(config.token.lifetime, Duration::from_secs(3600));
    assert_eq!(config.external["apple"].secret, None);
    assert_eq!(unset.notes().len(), 2);
    assert!(unset.notes().iter().all(|note| !note.is_warning()));
    assert!(unset.notes()[0].to_string().contains("is not set"), "{}", unset.notes()[0]);
}

#[test]
fn an_unknown_name_is_a_warning_with_the_nearest_known_one() {
    for (text, near) in [
        ("site_ulr = 'x'", Some("auth.site_url")),
        ("email.otp_lenght = 6", Some("auth.email.otp_length")),
        ("email.template.recover.subject = 'x'", Some("auth.email.template.recovery.subject")),
        ("hook.send_mail.uri = ''", Some("auth.hook.send_email.uri")),
        ("external.gogle.client_id = 'a'", Some("auth.external.google.client_id")),
        ("quite_another_thing = 1", None),
    ] {
        let sources = sources(text, &[]);
        let [Note::Unknown { near: found, .. }] = sources.notes() else {
            panic!("{text}: {:?}", sources.notes())
        };
        assert_eq!(found.as_deref(), near, "{text}");
        assert!(sources.notes()[0].is_warning());
        sources.config().unwrap();
    }
    let sources = sources("", &[("GOTRUE_SITE_ULR", "x"), ("OTHER", "y")]);
    let [Note::Unknown { near, .. }] = sources.notes() else { panic!("{:?}", sources.notes()) };
    assert_eq!(near.as_deref(), Some("GOTRUE_SITE_URL"));
}

#[test]
fn what_has_no_effect_is_told_quietly() {
    let sources = sources(
        "jwt_secret = 'hunter2'\nthird_party.clerk.enabled = false",
        &[("GOTRUE_DB_DRIVER", "postgres"), ("GOTRUE_MAILER_URLPATHS_INVITE", "/auth/v1/verify")],
    );
    assert_eq!(sources.notes().len(), 4);
    for note in sources.notes() {
        assert!(!note.is_warning() && !note.to_string().contains("hunter2"), "{note}");
    }
}

#[test]
fn variables_that_begin_alike_are_told_apart() {
    let config = environment(&[
        ("GOTRUE_EXTERNAL_GITLAB_ENABLED", "true"),
        ("GOTRUE_EXTERNAL_GITLAB_CLIENT_ID", "one,two"),
        ("GOTRUE_EXTERNAL_GITLAB_SECRET", "x"),
        ("GOTRUE_EXTERNAL_GITLAB_URL", "https://git.example"),
        ("GOTRUE_EXTERNAL_PHONE_ENABLED", "true"),
        ("GOTRUE_MAILER_SUBJECTS_INVITE", "Come"),
        ("GOTRUE_MAILER_SUBJECTS_EMAIL_CHANGED_NOTIFICATION", "Changed"),
        ("GOTRUE_MAILER_NOTIFICATIONS_EMAIL_CHANGED_ENABLED", "true"),
        ("API_EXTERNAL_URL", "http://localhost:8000"),
        ("GOTRUE_PASSWORD_REQUIRED_CHARACTERS", r"abc:01\::"),
    ]);
    assert_eq!(config.external.keys().collect::<Vec<_>>(), ["gitlab"]);
    let gitlab = &config.external["gitlab"];
    assert_eq!(gitlab.url.as_deref(), Some("https://git.example"));
    assert!(config.sms.enabled);
    assert_eq!(config.email.templates["invite"].subject.as_deref(), Some("Come"));
    let changed = &config.email.notifications["email_changed"];
    assert_eq!(changed.subject.as_deref(), Some("Changed"));
    assert_eq!(config.external_url.as_deref(), Some("http://localhost:8000/auth/v1"));
    assert_eq!(config.password.required_characters, ["abc", "01:"]);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let text = "jwt_expiry = 0\nemail.otp_length = 99\n[external.github]\nenabled = true";
    let environment = [("GOTRUE_PASSWORD_MIN_LENGTH", "3")];
    let message = sources(text, &environment).config().unwrap_err().to_string();
    for part in [
        "plinth.toml: `auth.jwt_expiry`",
        "plinth.toml: `auth.email.otp_length`",
        "plinth.toml: `auth.external.github.client_id`",
        "plinth.toml: `auth.external.github.secret`",
        "GOTRUE_PASSWORD_MIN_LENGTH: `auth.minimum_password_length`",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(message.lines().count(), 5, "{message}");
}

#[test]
fn hooks_leave_the_machine_by_https_and_signed() {
    let secret = "v1,whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (uri, secrets, part) in [
        ("https://a.example/x", "", "signed"),
        ("https://a.example/x", "v1,whsec_short", "base64"),
        ("https://a.example/x", "plain", "base64"),
        ("http://a.example/x", secret, "https://"),
        ("https://user:pass@a.example/x", secret, "pg-functions"),
        ("pg-functions://postgres/public", "", "pg-functions"),
        ("pg-functions://postgres/public/drop table", "", "pg-functions"),
        ("ftp://a.example", secret, "pg-functions"),
        ("", secret, "pg-functions"),
    ] {
        let text =
            format!("hook.send_sms = {{ enabled = true, uri = '{uri}', secrets = '{secrets}' }}");
        let message = problem(&text);
        assert!(message.contains("auth.hook.send_sms") && message.contains(part), "{message}");
    }
    for uri in ["https://a.example/x", "http://localhost:1/x", "http://127.0.0.1/x"] {
        let text = format!(
            "hook.send_sms = {{ enabled = true, uri = '{uri}', secrets = '{secret}|{secret}' }}"
        );
        assert_eq!(config(&text).hooks["send_sms"].secrets.len(), 2);
    }
}

#[test]
fn a_template_is_read_from_beside_its_file_or_from_above() {
    let root = std::env::temp_dir().join(format!("plinth-auth-config-{}", uuid::Uuid::new_v4()));
    let folder = root.join("supabase");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("templates/a.html"), "<a>").unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "project_id = 'x'\n[auth.email.template.invite]\ncontent_path = './supabase/templates/a.html'\n\
         [auth.email.template.recovery]\ncontent_path = './templates/a.html'\n\
         [auth.email.template.confirmation]\ncontent_path = './none.html'",
    )
    .unwrap();
    let sources = Sources::default().file(&folder.join("config.toml")).unwrap();
    let message = sources.config().unwrap_err().to_string();
    assert!(message.contains("auth.email.template.confirmation.content_path"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    let fixed = Table::from_iter([(
        "email".to_owned(),
        toml::from_str::<Value>("template.confirmation.content_path = ''").unwrap(),
    )]);
    let config = sources.table("plinth.toml", &root, fixed).config().unwrap();
    for name in ["invite", "recovery"] {
        assert_eq!(config.email.templates[name].content.as_deref(), Some("<a>"));
    }
    assert_eq!(config.email.templates.len(), 2);
    std::fs::remove_dir_all(root).unwrap();
}

#[test]
fn a_file_that_is_no_toml_is_told_without_its_text() {
    let path = std::env::temp_dir().join(format!("plinth-auth-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(&path, "[auth]\nsecret_key = hunter2\n").unwrap();
    let error = Sources::default().file(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    assert!(matches!(Sources::default().file(&path), Err(AuthConfigError::Read { .. })));
}

#[test]
fn signing_keys_are_one_projects() {
    for key in ["signing_keys", "signing_keys_path"] {
        let error = sources(&format!("{key} = 'hunter2'"), &[]).shared().unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("[project.NAME.auth]"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    assert!(sources("signing_keys = ''", &[]).shared().is_ok());
    let error = sources("signing_keys = '[{\"kty\": \"oct\", \"k\": \"hunter2\"}]'", &[]).config();
    let error = error.unwrap_err().to_string();
    assert!(error.contains("signing_keys") && !error.contains("hunter2"), "{error}");
    let keys = sources("", &[("GOTRUE_JWT_KEYS", "[]")]);
    assert!(keys.notes()[0].is_warning(), "{:?}", keys.notes());
}
