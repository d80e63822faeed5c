//! Takes settings out of their layers, with the defaults and bounds of their rows.
//!
//! Nothing here fails at once: what is wrong is remembered, so that one start shows all of it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use plinth_wire::Secret;
use toml::Value;
use url::Url;

use super::error::Problem;
use super::setting::{Kind, Setting};
use super::sources::{Environment, Layer};
use super::value::{self, Rate, span_text};
use super::{files, find};

/// Where a value came from when no layer has it.
const DEFAULTS: &str = "defaults";

/// Layers of settings, and what has been found wrong with them so far.
pub(super) struct Reader<'a> {
    /// The one that wins last.
    layers: &'a [Layer],
    environment: &'a Environment,
    problems: RefCell<Vec<Problem>>,
    /// Rows that have been read: the tests compare them with those that there are.
    read: RefCell<BTreeSet<&'static str>>,
}

/// A value before it is read by its kind.
enum Written {
    One(String),
    Many(Vec<String>),
    Named(BTreeMap<String, String>),
}

/// A value and the layer that it is from.
struct Found<'a> {
    written: Written,
    layer: Option<&'a Layer>,
}

impl Found<'_> {
    fn origin(&self) -> &str {
        self.layer.map_or(DEFAULTS, |layer| &layer.origin)
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a [Layer], environment: &'a Environment) -> Self {
        Self { layers, environment, problems: RefCell::default(), read: RefCell::default() }
    }

    /// Everything that was wrong, in the order in which it was read.
    pub(super) fn problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    #[cfg(test)]
    pub(super) fn rows_read(&self) -> BTreeSet<&'static str> {
        self.read.borrow().clone()
    }

    /// Remembers that the key's value cannot be used.
    pub(super) fn problem(&self, key: &str, message: impl Into<String>) {
        let origin = self.layer_of(key).map_or(DEFAULTS, |layer| &layer.origin);
        self.note(origin, key, message.into());
    }

    fn note(&self, origin: &str, key: &str, message: String) {
        let problem = Problem { origin: origin.to_owned(), key: key.to_owned(), message };
        self.problems.borrow_mut().push(problem);
    }

    /// `true` or `false`.
    pub(super) fn switch(&self, key: &str) -> bool {
        self.parsed(key, "true or false", value::switch).unwrap_or_default()
    }

    /// A whole number within the row's bounds.
    pub(super) fn number(&self, key: &str) -> u32 {
        let number: u32 =
            self.parsed(key, "a whole number", |text| text.trim().parse().ok()).unwrap_or_default();
        if let Some(Kind::Number(least, most)) = find(key).map(|row| row.kind)
            && !(least..=most).contains(&number)
        {
            self.problem(key, format!("must be from {least} to {most}, and is {number}"));
        }
        number
    }

    /// A length of time within the row's bounds.
    pub(super) fn span(&self, key: &str) -> Duration {
        self.optional_span(key).unwrap_or_default()
    }

    /// A length of time within the row's bounds, or none.
    pub(super) fn optional_span(&self, key: &str) -> Option<Duration> {
        let row = find(key)?;
        let what = "a length of time such as 30s or 1h30m";
        let none = matches!(row.kind, Kind::OptionalSpan(..));
        let span = self.parsed(key, what, |text| match text.is_empty() && none {
            true => Some(None),
            false => value::span(text).map(Some),
        })??;
        if let Kind::Span(least, most) | Kind::OptionalSpan(least, most) = row.kind {
            let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
            if !bounds.contains(&span) {
                let [least, most, is] = [*bounds.start(), *bounds.end(), span].map(span_text);
                self.problem(key, format!("must be from {least} to {most}, and is {is}"));
            }
        }
        Some(span)
    }

    /// So many per time.
    pub(super) fn rate(&self, key: &str) -> Rate {
        let usual = match find(key).map(|row| row.kind) {
            Some(Kind::Rate(seconds)) => Duration::from_secs(seconds),
            _ => Duration::ZERO,
        };
        self.parsed(key, "a number such as 30, or 30/1h", |text| value::rate(text, usual))
            .unwrap_or(Rate { count: 0, per: usual })
    }

    /// A text, which may be empty.
    pub(super) fn text(&self, key: &str) -> String {
        self.parsed(key, "a text", |text| Some(text.to_owned())).unwrap_or_default()
    }

    /// A text, or none when it is empty.
    pub(super) fn optional_text(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    /// One of the row's words.
    pub(super) fn choice(&self, key: &str) -> String {
        let text = self.text(key);
        if let Some(Kind::Choice(words)) = find(key).map(|row| row.kind)
            && !words.contains(&text.as_str())
        {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            self.problem(key, format!("must be one of {}, and is `{text}`", words.join(", ")));
        }
        text
    }

    /// An absolute `http` or `https` URL as it was written, without a slash at its end.
    pub(super) fn url(&self, key: &str) -> Option<String> {
        let text = self.optional_text(key)?;
        let text = text.trim().trim_end_matches('/');
        let sound = Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
        });
        if !sound {
            self.problem(key, "must be a URL that begins with http:// or https://");
        }
        sound.then(|| text.to_owned())
    }

    /// Texts.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        self.many(key, |text| value::list(text, ','))
    }

    /// Sets of characters.
    pub(super) fn sets(&self, key: &str) -> Vec<String> {
        self.many(key, value::sets)
    }

    /// A text that is not shown.
    pub(super) fn secret(&self, key: &str) -> Option<Secret> {
        self.optional_text(key).map(|text| Secret::new(text.trim()))
    }

    /// Texts that are not shown.
    pub(super) fn secrets(&self, key: &str) -> Vec<Secret> {
        self.many(key, |text| value::list(text, '|')).into_iter().map(Secret::new).collect()
    }

    /// Names and values, of all layers together.
    pub(super) fn pairs(&self, key: &str) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        for found in self.all(key) {
            match &found.written {
                Written::Named(named) => pairs.extend(named.clone()),
                Written::One(text) => match value::pairs(text) {
                    Some(named) => pairs.extend(named),
                    None => self.note(found.origin(), key, "must be name:value pairs".to_owned()),
                },
                Written::Many(_) => self.note(found.origin(), key, "must be a table".to_owned()),
            }
        }
        pairs
    }

    /// What the file holds that the key names.
    pub(super) fn file(&self, key: &str) -> Option<String> {
        let found = self.find(key)?;
        let Written::One(path) = &found.written else { return None };
        if path.is_empty() {
            return None;
        }
        let folder = found.layer.map(|layer| layer.folder.clone()).unwrap_or_default();
        match files::read(&folder, &PathBuf::from(path)) {
            Ok(text) => Some(text),
            Err(message) => {
                self.problem(key, message);
                None
            }
        }
    }

    /// Names of the tables directly below `section`, in any layer.
    pub(super) fn names(&self, section: &str) -> BTreeSet<String> {
        let tables = self.layers.iter().filter_map(|layer| layer.at(section)?.as_table());
        tables.flat_map(|table| table.keys().cloned()).collect()
    }

    /// The layer that says the key, or else the nearest section around it: what is missing is missing
    /// where its neighbours are.
    fn layer_of(&self, key: &str) -> Option<&'a Layer> {
        let layer = self.layers.iter().rev().find(|layer| layer.at(key).is_some());
        layer.or_else(|| self.layer_of(key.rsplit_once('.')?.0))
    }

    fn many(&self, key: &str, split: impl Fn(&str) -> Vec<String>) -> Vec<String> {
        match self.find(key).map(|found| found.written) {
            Some(Written::Many(texts)) => texts,
            Some(Written::One(text)) => split(&text),
            Some(Written::Named(_)) => {
                self.problem(key, "must be a list");
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn parsed<T>(&self, key: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.find(key)?;
        let value = match &found.written {
            Written::One(text) => parse(text),
            _ => None,
        };
        if value.is_none() {
            // The value is not repeated: one that stands at the wrong key may be a secret.
            self.note(found.origin(), key, format!("must be {what}"));
        }
        value
    }

    /// The value of the layer that wins, or the default.
    fn find(&self, key: &str) -> Option<Found<'a>> {
        self.all(key).pop()
    }

    /// The values of all layers that have one, the default first.
    fn all(&self, key: &str) -> Vec<Found<'a>> {
        let Some(row) = find(key) else {
            self.note(DEFAULTS, key, "is not a setting".to_owned());
            return Vec::new();
        };
        self.read.borrow_mut().insert(row.key);
        let mut found = vec![Found { written: Written::One(row.default.to_owned()), layer: None }];
        for layer in self.layers {
            let Some(value) = layer.at(key) else { continue };
            match self.written(row, value) {
                Ok(Some(written)) => found.push(Found { written, layer: Some(layer) }),
                Ok(None) => {}
                Err(message) => self.note(&layer.origin, key, message),
            }
        }
        found
    }

    /// The value as text, with variables in their places; `None` when its variable is not set.
    fn written(&self, row: &Setting, value: &Value) -> Result<Option<Written>, String> {
        Ok(match value {
            Value::Array(values) if matches!(row.kind, Kind::List | Kind::Sets | Kind::Secrets) => {
                let texts = values.iter().map(|value| self.scalar(value));
                let texts: Option<Vec<_>> = texts.collect::<Result<_, _>>()?;
                texts.map(Written::Many)
            }
            Value::Table(table) if row.kind == Kind::Pairs => {
                let pairs = table.iter().map(|(name, value)| {
                    self.scalar(value).map(|text| text.map(|text| (name.clone(), text)))
                });
                let pairs: Option<BTreeMap<_, _>> = pairs.collect::<Result<_, _>>()?;
                pairs.map(Written::Named)
            }
            value => self.scalar(value)?.map(Written::One),
        })
    }

    fn scalar(&self, value: &Value) -> Result<Option<String>, String> {
        Ok(match value {
            Value::String(text) => self.environment.substitute(text),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Boolean(on) => Some(on.to_string()),
            Value::Datetime(time) => Some(time.to_string()),
            Value::Array(_) => return Err("must not be a list".to_owned()),
            Value::Table(_) => return Err("must not be a table".to_owned()),
        })
    }
}
