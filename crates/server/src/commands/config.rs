//! `plinth config`

use anyhow::Context;
use toml::{Table, Value};

use crate::cli::{ConfigArgs, ConfigFormat, GlobalArgs, ListenArgs, Output};
use crate::config::{Config, KEYS, RawConfig, auth_sources};

/// Prints the effective configuration, after checking that it makes sense.
pub(super) fn run(global: &GlobalArgs, args: &ConfigArgs, output: Output) -> anyhow::Result<()> {
    let raw = global.raw_config(&ListenArgs::default())?;
    let config = Config::try_from(raw.clone())?;
    for note in config.auth.notes.iter().filter(|note| note.is_warning()) {
        output.warn(note);
    }
    let table = printable(&raw)?;
    match args.output {
        ConfigFormat::Toml => output.text(&toml::to_string(&table)?),
        ConfigFormat::Json => output.line(serde_json::to_string_pretty(&table)?),
        ConfigFormat::Keys => {
            for key in KEYS {
                let value = find(&table, key.path).map(ToString::to_string).unwrap_or_default();
                output.line(format!("{:<26} {value}", output.paint.bold(key.path)));
                output.line(output.paint.dim(format!("    {}  ({})", key.about, key.variable())));
            }
            for row in plinth_auth::config::settings() {
                let path = format!("auth.{}", row.key);
                let value = find(&table, &path).map(ToString::to_string).unwrap_or_default();
                output.line(format!("{:<26} {value}", output.paint.bold(&path)));
                let variables: Vec<_> = row.variables().map(|variable| variable.name).collect();
                let about = format!("    {}  ({})", row.about, variables.join(", "));
                output.line(output.paint.dim(about.trim_end_matches("  ()")));
            }
        }
    }
    Ok(())
}

/// The configuration as a table without secrets.
fn printable(raw: &RawConfig) -> anyhow::Result<Table> {
    let mut safe = raw.clone();
    safe.database_url = raw.database_url.as_deref().map(hide_password);
    let mut table = Table::try_from(&safe).context("cannot print the configuration")?;
    table.insert("auth".to_owned(), auth_sources(raw, None)?.printable().into());
    let mut projects = Table::new();
    for name in raw.project.keys() {
        let auth = auth_sources(raw, Some(name))?.printable();
        projects.insert(
            name.clone(),
            Table::from_iter([("auth".to_owned(), Value::Table(auth))]).into(),
        );
    }
    if !projects.is_empty() {
        table.insert("project".to_owned(), projects.into());
    }
    Ok(table)
}

/// The URL with `***` for its password; `***` altogether when it is no URL.
fn hide_password(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return "***".to_owned() };
    let has_password_parameter = url.query_pairs().any(|(name, _)| name == "password");
    if has_password_parameter
        || (url.password().is_some() && url.set_password(Some("***")).is_err())
    {
        return "***".to_owned();
    }
    url.to_string()
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_url_shows_its_password() {
        for text in [
            "postgres://me:hunter2@db/x",
            "postgres://me@db/x?password=hunter2",
            "host=db password=hunter2",
            "postgresql://me:hunter2@%2Ftmp/x",
        ] {
            let raw = RawConfig { database_url: Some(text.to_owned()), ..RawConfig::default() };
            let printed = toml::to_string(&printable(&raw).unwrap()).unwrap();
            assert!(!printed.contains("hunter2"), "{printed}");
        }
        assert_eq!(hide_password("postgres://me@db/x"), "postgres://me@db/x");
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same_configuration() {
        let raw = RawConfig::default();
        let printed = toml::to_string(&printable(&raw).unwrap()).unwrap();
        let read: RawConfig = toml::from_str(&printed).unwrap();
        assert_eq!(Table::try_from(&read).unwrap(), printable(&raw).unwrap());
    }

    #[test]
    fn settings_of_sign_in_are_printed_without_secrets() {
        let text = "auth.external.google = { client_id = 'a', secret = 'hunter2' }\n\
                    [project.own.auth]\njwt_expiry = 60\nemail.smtp.pass = 'hunter2'";
        let printed = printable(&toml::from_str(text).unwrap()).unwrap();
        assert!(!printed.to_string().contains("hunter2"), "{printed}");
        let find = |path| find(&printed, path).and_then(Value::as_str);
        assert_eq!(find("auth.jwt_expiry"), Some("3600"));
        assert_eq!(find("project.own.auth.jwt_expiry"), Some("60"));
        assert_eq!(find("project.own.auth.external.google.secret"), Some("***"));
    }
}
