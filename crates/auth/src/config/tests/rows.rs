//! That rows, reader and variables agree, row by row.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use toml::{Table, Value};

use crate::config::*;

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
fn what_is_given_as_its_default_changes_nothing() {
    let mut table = Table::new();
    for row in settings().filter(|row| !row.default.is_empty() && !row.key.contains('*')) {
        put(&mut table, row.key, Value::String(row.default.to_owned()));
    }
    let sources = Sources::default().table("t", std::path::Path::new(""), table);
    assert_eq!(sources.config().unwrap(), AuthConfig::default());
}

#[test]
fn every_setting_can_be_given_and_changes_something() {
    for row in settings() {
        let key = row.key.replace('*', star(row.key));
        let text = other_value(row);
        let mut below = toml::from_str::<Table>(&around(&key)).unwrap();
        let without = given(below.clone());
        put(&mut below, &key, Value::String(text.clone()));
        let with = given(below);
        assert!(with != without, "`{key} = {text}` changes nothing");
    }
}

#[test]
fn every_variable_sets_its_setting() {
    for row in settings() {
        let key = row.key.replace('*', star(row.key));
        for variable in row.variables() {
            let name = variable.name.replace('*', &star(row.key).to_ascii_uppercase());
            let mut text = other_value(row);
            if variable.inverted {
                text = (text == "false").to_string();
            }
            let environment = Environment::from_iter([(name.clone(), text)]);
            let base = toml::from_str::<Table>(&around(&key)).unwrap();
            let sources = |environment| {
                Sources::new(environment).table("t", std::path::Path::new(""), base.clone())
            };
            let with = sources(environment).variables();
            assert_eq!(with.notes(), [], "{name}");
            let without = sources(Environment::default()).config().unwrap();
            assert!(with.config().unwrap() != without, "{name} changes nothing");
        }
    }
}

fn given(table: Table) -> AuthConfig {
    let sources = Sources::default().table("t", std::path::Path::new(""), table);
    let config = sources.config();
    assert_eq!(sources.notes(), []);
    config.unwrap()
}

fn put(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            put(entry.as_table_mut().unwrap(), rest, value);
        }
    }
}

/// A name that may stand in the place of the key's `*`.
fn star(key: &str) -> &'static str {
    match key.split('.').next() {
        Some("hook") => "send_sms",
        Some("external") => "google",
        _ if key.contains(".template.") => "invite",
        _ => "password_changed",
    }
}

/// What has to be there for the key to matter.
fn around(key: &str) -> String {
    const SECRET: &str = "v1,whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let section = key.split('.').next().unwrap_or_default();
    match section {
        "captcha" if key.ends_with("enabled") => "captcha.secret = 'a'".to_owned(),
        "captcha" => "captcha = { enabled = true, secret = 'a' }".to_owned(),
        "hook" if !key.ends_with("enabled") => {
            format!("hook.send_sms = {{ enabled = true, uri = 'https://a', secrets = '{SECRET}' }}")
        }
        "hook" => "hook.send_sms.uri = 'pg-functions://postgres/public/f'".to_owned(),
        "external" if key.ends_with("enabled") => {
            "external.google = { client_id = 'a', secret = 'b' }".to_owned()
        }
        "external" => {
            "external.google = { enabled = true, client_id = 'a', secret = 'b' }".to_owned()
        }
        "email" if key.contains(".smtp.") => {
            "email.smtp = { host = 'm', admin_email = 'a@m' }".to_owned()
        }
        "email" if key.contains(".notification.") && !key.ends_with("enabled") => {
            "email.notification.password_changed.enabled = true".to_owned()
        }
        "email" if key.ends_with("allow_unverified_sign_ins") => {
            "email.enable_confirmations = true".to_owned()
        }
        "sms" => around_sms(key),
        _ => String::new(),
    }
}

fn around_sms(key: &str) -> String {
    let provider = key.split('.').nth(1).unwrap_or_default();
    let fields = "account_sid = 'a', message_service_sid = 'b', auth_token = 'c', \
                  originator = 'a', access_key = 'b', sender = 'a', api_key = 'b', from = 'a', api_secret = 'c'";
    let fields: Vec<_> = fields
        .split(", ")
        .filter(|field| {
            let name = field.split(' ').next().unwrap_or_default();
            find(&format!("sms.{provider}.{name}")).is_some()
        })
        .collect();
    match (provider, key.ends_with(".enabled")) {
        ("provider", _) => {
            "sms.vonage = { from = 'a', api_key = 'b', api_secret = 'c' }".to_owned()
        }
        _ if fields.is_empty() => String::new(),
        (_, true) => format!("sms.{provider} = {{ {} }}", fields.join(", ")),
        (_, false) => format!("sms.{provider} = {{ enabled = true, {} }}", fields.join(", ")),
    }
}

static KEY: LazyLock<String> = LazyLock::new(|| {
    let key = crate::token::generate(crate::token::Algorithm::Es256).unwrap();
    format!("[{}]", key.to_json().expose())
});

/// A file with the key beside the test's program, which every run writes anew.
fn key_file() -> String {
    static WRITTEN: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = std::env::current_exe().unwrap().with_file_name("auth-rows-key.json");
        std::fs::write(&path, KEY.as_str()).unwrap();
        path
    });
    WRITTEN.display().to_string()
}

/// A value of the row's kind that is not its default.
fn other_value(row: &Setting) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    match (row.key, row.kind) {
        ("site_url", _) => "https://other.example".to_owned(),
        ("signing_keys", _) => KEY.clone(),
        ("signing_keys_path", _) => key_file(),
        ("sms.test_otp_valid_until", _) => "2027-01-31T12:00:00Z".to_owned(),
        ("sms.provider", _) => "vonage".to_owned(),
        ("hook.*.uri", _) => "https://other.example/hook".to_owned(),
        ("hook.*.secrets", _) => format!("v1,whsec_{}", "B".repeat(40)),
        ("webauthn.rp_origins", _) => "https://other.example".to_owned(),
        (_, Kind::Switch) => (row.default == "false").to_string(),
        (_, Kind::Number(least, most)) => {
            if row.default == most.to_string() {
                least.to_string()
            } else {
                most.to_string()
            }
        }
        (_, Kind::Span(_, most) | Kind::OptionalSpan(_, most)) => most.to_string(),
        (_, Kind::Rate(_)) => "7/1m".to_owned(),
        (_, Kind::Url) => "https://other.example/path".to_owned(),
        (_, Kind::Choice(words)) => {
            words.iter().find(|word| **word != row.default).unwrap().to_string()
        }
        (_, Kind::Pairs) => "1555:123456".to_owned(),
        (_, Kind::Path) => file.to_owned(),
        _ => "other".to_owned(),
    }
}

#[test]
fn no_secret_is_ever_printed() {
    let secret = "hunter2";
    for row in settings().filter(|row| row.kind.is_secret() || row.kind == Kind::Pairs) {
        let key = row.key.replace('*', star(row.key));
        let mut table = toml::from_str::<Table>(&around(&key)).unwrap();
        let text = match row.kind {
            Kind::Secrets => format!("v1,whsec_{}", secret.repeat(6)),
            Kind::Pairs => format!("1555:{secret}"),
            _ => secret.to_owned(),
        };
        put(&mut table, &key, Value::String(text));
        let sources = Sources::default().table("t", std::path::Path::new(""), table);
        let shown = format!("{:?} {:?} {}", sources, sources.config(), sources.printable());
        assert!(!shown.contains(secret), "{key}: {shown}");
        assert!(sources.printable().to_string().contains("***"), "{key} is given and not shown");
    }
}
