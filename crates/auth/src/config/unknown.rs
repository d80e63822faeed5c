//! Names that are no settings, and the ones that may have been meant.

use toml::{Table, Value};

use super::email::{NOTIFICATIONS, TEMPLATES};
use super::error::Note;
use super::outside::{HOOKS, PROVIDERS};
use super::sources::{Environment, Layer};
use super::{elsewhere, find, settings};

/// The names that may stand in the place of the key's `*`; `None` when any may, or there is none.
pub(super) fn names(key: &str) -> Option<&'static [&'static str]> {
    match key.split_once(".*")?.0 {
        "email.notification" => Some(NOTIFICATIONS),
        "email.template" => Some(TEMPLATES),
        "hook" => Some(HOOKS),
        _ => None,
    }
}

/// What is worth saying about a table's keys.
pub(super) fn notes(layer: &Layer, environment: &Environment) -> Vec<Note> {
    let leaves = leaves("", &layer.table);
    leaves.into_iter().filter_map(|(key, value)| note(layer, environment, key, value)).collect()
}

fn note(layer: &Layer, environment: &Environment, key: String, value: &Value) -> Option<Note> {
    let origin = layer.origin.clone();
    if let Some(why) = elsewhere::key(&key) {
        return Some(elsewhere::note(&origin, &format!("auth.{key}"), &value.to_string(), why));
    }
    let variable = value.as_str().and_then(|text| environment.unset(text)).map(str::to_owned);
    let wrong = |near: Option<String>| Note::Unknown {
        origin: origin.clone(),
        key: format!("auth.{key}"),
        near: near.map(|near| format!("auth.{near}")),
    };
    match (find(&key), variable) {
        (None, _) => Some(wrong(nearest(&key, settings().map(|row| filled(row.key, &key))))),
        (Some(row), _) if !is_known_name(layer, row.key, &key) => {
            let (before, after) = row.key.split_once('*')?;
            let known = names(row.key).unwrap_or(PROVIDERS).iter();
            Some(wrong(nearest(&key, known.map(|name| format!("{before}{name}{after}")))))
        }
        (Some(_), Some(variable)) => {
            Some(Note::UnsetVariable { origin, key: format!("auth.{key}"), variable })
        }
        (Some(_), None) => None,
    }
}

/// Whether the name in the place of `*` is one of those that there are; a provider of one's own has an
/// issuer.
fn is_known_name(layer: &Layer, row: &str, key: &str) -> bool {
    let Some(name) = row.split('.').zip(key.split('.')).find(|(own, _)| *own == "*") else {
        return true;
    };
    match names(row) {
        Some(known) => known.contains(&name.1),
        None => {
            PROVIDERS.contains(&name.1)
                || layer.at(&format!("external.{}.issuer", name.1)).is_some()
                || row == "external.*.enabled"
        }
    }
}

/// A note about a variable that begins like a setting and is none.
pub(super) fn variable(name: &str) -> Note {
    let known = settings().flat_map(|row| row.variables().map(|variable| variable.name.to_owned()));
    let near = nearest(name, known.filter(|known| !known.contains('*')));
    Note::Unknown { origin: "environment".to_owned(), key: name.to_owned(), near }
}

/// Values with their paths; a table that is one setting is a value.
fn leaves<'t>(prefix: &str, table: &'t Table) -> Vec<(String, &'t Value)> {
    let mut all = Vec::new();
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Table(inner) if find(&path).is_none() => all.extend(leaves(&path, inner)),
            value => all.push((path, value)),
        }
    }
    all
}

/// A row's key with the part of `key` in the place of its `*`.
fn filled(row: &str, key: &str) -> String {
    let parts: Vec<&str> = key.split('.').collect();
    let filled = row.split('.').enumerate().map(|(index, own)| match own {
        "*" => parts.get(index).copied().unwrap_or("*"),
        own => own,
    });
    filled.collect::<Vec<_>>().join(".")
}

/// The candidate that takes the fewest changes, when they are few for the name's length.
fn nearest(name: &str, candidates: impl Iterator<Item = String>) -> Option<String> {
    let most = (name.len() / 4).clamp(1, 4);
    candidates
        .map(|candidate| (changes(name, &candidate), candidate))
        .filter(|(count, _)| *count <= most)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove or replace to make one text of the other (Levenshtein).
fn changes(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_counted() {
        for (one, other, count) in
            [("", "", 0), ("abc", "", 3), ("kitten", "sitting", 3), ("site_ulr", "site_url", 2)]
        {
            assert_eq!(changes(one, other), count);
            assert_eq!(changes(other, one), count);
        }
    }

    fn near(key: &str) -> Option<String> {
        nearest(key, settings().map(|row| filled(row.key, key)))
    }

    #[test]
    fn the_name_that_was_meant_is_found() {
        assert_eq!(near("site_ulr").as_deref(), Some("site_url"));
        assert_eq!(near("email.otp_lenght").as_deref(), Some("email.otp_length"));
        assert_eq!(
            near("external.google.client_idd").as_deref(),
            Some("external.google.client_id")
        );
        assert_eq!(near("nothing_like_it_at_all"), None);
    }
}
