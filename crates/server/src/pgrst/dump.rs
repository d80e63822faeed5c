//! Settings as a file: an example for people, and what is in force.

use std::fmt::Write;

use super::keys::{KEYS, Kind};
use super::layers::{Layers, list};

/// What takes the place of a secret.
const HIDDEN: &str = "(hidden)";

/// Settings whose values are lists.
const LISTS: [&str; 4] =
    ["db-extra-search-path", "db-hoisted-tx-settings", "db-schemas", "server-cors-allowed-origins"];

/// A file with every setting, its meaning and its default.
pub fn example() -> String {
    let mut text = String::from(
        "## Settings of `plinth rest`, in PostgREST's format. Each may also be a variable (db-uri is PGRST_DB_URI);\n\
         ## those marked `also in the database` may be set there (alter role … set pgrst.db_schemas = '…').\n",
    );
    for key in KEYS {
        let place = if key.in_database { " Also in the database." } else { "" };
        // Writing into a string cannot fail.
        let _ = writeln!(text, "\n## {}{place}", key.doc);
        let value = if key.kind == Kind::Text || key.default.is_empty() {
            quoted(key.default)
        } else {
            key.default.to_owned()
        };
        let _ = writeln!(text, "# {} = {value}", key.name);
    }
    text.push_str("\n## Any others for SQL: current_setting('app.settings.name').\n# app.settings.name = \"value\"\n");
    text
}

/// The settings in force, one per line, secrets hidden.
pub(super) fn dump(layers: &Layers<'_>) -> String {
    let mut lines: Vec<String> = KEYS
        .iter()
        .map(|key| {
            let text = layers.effective(key);
            let value = match key.kind {
                _ if key.name == "jwt-secret" && !text.is_empty() => quoted(HIDDEN),
                _ if key.name == "db-uri" => quoted(&without_password(&text)),
                _ if LISTS.contains(&key.name) => quoted(&list(&text).join(",")),
                Kind::Number | Kind::Switch if !text.is_empty() => text,
                _ => quoted(&text),
            };
            format!("{} = {value}\n", key.name)
        })
        .collect();
    // These are there to hold secrets.
    lines.extend(
        layers.app_settings().iter().map(|(name, _)| format!("{name} = {}\n", quoted(HIDDEN))),
    );
    lines.sort();
    lines.concat()
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    format!("\"{}\"", escaped.replace('\n', "\\n"))
}

/// The URL with its password hidden; a `key=value` string is hidden whole when it has one.
fn without_password(uri: &str) -> String {
    if !uri.contains("://") {
        return if uri.contains("password") { HIDDEN.to_owned() } else { uri.to_owned() };
    }
    if uri.contains("password=") {
        return HIDDEN.to_owned();
    }
    let (scheme, rest) = uri.split_once("://").unwrap_or(("", uri));
    match rest.rsplit_once('@') {
        Some((login, host)) if login.contains(':') => {
            let user = login.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}:***@{host}")
        }
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::parse_file;
    use super::super::layers::Layer;
    use super::*;

    fn dumped(file: &Layer) -> String {
        let none = Layer::new();
        dump(&Layers { database: &none, flags: &none, environment: &none, file })
    }

    #[test]
    fn the_example_is_a_file_that_changes_nothing() {
        let text = example().replace("\n# ", "\n");
        let uncommented: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let values = parse_file(&uncommented, &|_| None).unwrap();
        assert_eq!(values.len(), KEYS.len() + 1);
        let mut plain = values.clone();
        plain.remove("app.settings.name");
        assert_eq!(dumped(&plain), dumped(&Layer::new()));
    }

    #[test]
    fn what_is_in_force_reads_back_as_the_same() {
        let text = "db-schemas = \"a, b\"\ndb-pool=5\nmax-rows = 7\njwt-role-claim-key = \"$$.r['x']\"\ndb-config = 0\n";
        let first = dumped(&parse_file(text, &|_| None).unwrap());
        assert!(
            first.contains("db-schemas = \"a,b\"\n") && first.contains("db-max-rows = 7\n"),
            "{first}"
        );
        assert!(first.contains("db-config = false\n"), "{first}");
        assert_eq!(dumped(&parse_file(&first, &|_| None).unwrap()), first);
    }

    #[test]
    fn secrets_are_hidden() {
        for uri in [
            "postgres://me:hunter2@db/app",
            "postgres://db/app?user=me&password=hunter2",
            "host=db user=me password=hunter2",
            "postgres://me:a@hunter2@db/app",
        ] {
            let file: Layer = [
                ("db-uri".to_owned(), uri.to_owned()),
                ("jwt-secret".to_owned(), "hunter2".repeat(5)),
                ("app.settings.key".to_owned(), "hunter2".to_owned()),
            ]
            .into();
            let text = dumped(&file);
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
