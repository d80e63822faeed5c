//! `plinth config`

use anyhow::Context;
use toml::{Table, Value};

use crate::cli::{ConfigArgs, ConfigFormat, GlobalArgs, ListenArgs, Output};
use crate::config::{Config, KEYS, RawConfig};

/// Prints the effective configuration, after checking that it makes sense.
pub(super) fn run(global: &GlobalArgs, args: &ConfigArgs, output: Output) -> anyhow::Result<()> {
    let raw = global.raw_config(&ListenArgs::default())?;
    Config::try_from(raw.clone())?;
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
        }
    }
    Ok(())
}

/// The configuration as a table without secrets.
fn printable(raw: &RawConfig) -> anyhow::Result<Table> {
    let mut safe = raw.clone();
    safe.database_url = raw.database_url.as_deref().map(hide_password);
    Table::try_from(&safe).context("cannot print the configuration")
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
        Some((section, rest)) => table.get(section)?.as_table()?.get(rest),
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
}
