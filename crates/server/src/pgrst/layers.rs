//! The layers that a setting's value may come from, and how values are written.

use std::collections::BTreeMap;

use super::keys::{APP_SETTINGS, Key, Kind, find};

/// Texts by the names of their settings.
pub(super) type Layer = BTreeMap<String, String>;

/// The layers of settings, the strongest first.
pub(super) struct Layers<'l> {
    /// By the names in the database.
    pub database: &'l Layer,
    /// By the names in a file.
    pub flags: &'l Layer,
    /// By the names of variables.
    pub environment: &'l Layer,
    /// By the names in a file.
    pub file: &'l Layer,
}

impl Layers<'_> {
    /// The value of the strongest layer that has one, even an empty one.
    fn raw(&self, name: &str, in_database: bool) -> Option<&str> {
        let database = || self.database.get(&name.replace('-', "_"));
        let found = in_database.then(database).flatten();
        let found = found.or_else(|| self.flags.get(name));
        let found = found.or_else(|| self.environment.get(&Key::variable(name)));
        found.or_else(|| self.file.get(name)).map(String::as_str)
    }

    /// A text that may be empty, by its name only.
    pub(super) fn emptyable(&self, name: &str) -> Option<&str> {
        self.raw(name, find(name).is_some_and(|key| key.in_database))
    }

    /// An empty value is none: then the alias counts, then the default.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let key = find(name)?;
        let given = |name| self.raw(name, key.in_database).filter(|text| !text.is_empty());
        given(key.name)
            .or_else(|| given(key.alias?))
            .or(Some(key.default).filter(|text| !text.is_empty()))
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    fn default_of(name: &str) -> &'static str {
        find(name).map_or("", |key| key.default)
    }

    /// What is no number is ignored, with a warning.
    pub(super) fn number<N: std::str::FromStr>(
        &self,
        name: &str,
        warnings: &mut Vec<String>,
    ) -> Option<N> {
        let text = self.text(name)?;
        // A file may write a number as 5e3 or 10.0.
        let whole =
            || text.parse::<f64>().ok().filter(|n| n.fract() == 0.0).map(|n| format!("{n:.0}"));
        let parsed = text.parse().ok().or_else(|| whole()?.parse().ok());
        if parsed.is_none() {
            warnings.push(format!("{name} is no number and is ignored"));
            return Self::default_of(name).parse().ok();
        }
        parsed
    }

    /// Any spelling of true and false, or a number above zero; anything else is ignored.
    pub(super) fn switch(&self, name: &str, warnings: &mut Vec<String>) -> bool {
        let text = self.text(name).unwrap_or_default();
        let letters: String = text.chars().filter(|c| c.is_alphabetic()).collect();
        match (letters.to_lowercase().as_str(), text.trim().parse::<i64>()) {
            ("true", _) => true,
            ("false", _) => false,
            (_, Ok(number)) => number > 0,
            _ => {
                warnings.push(format!("{name} is neither true nor false and is ignored"));
                Self::default_of(name) == "true"
            }
        }
    }

    /// What counts for `key`, written as its kind is.
    pub(super) fn effective(&self, key: &Key) -> String {
        let ignored = &mut Vec::new();
        match key.kind {
            Kind::Switch => self.switch(key.name, ignored).to_string(),
            Kind::Number => {
                let number: Option<u64> = self.number(key.name, ignored);
                number.map(|number| number.to_string()).unwrap_or_default()
            }
            Kind::Text if key.name == "db-extra-search-path" => {
                self.emptyable(key.name).unwrap_or(key.default).to_owned()
            }
            Kind::Text => self.owned(key.name).unwrap_or_default(),
        }
    }

    pub(super) fn app_settings(&self) -> Vec<(String, String)> {
        let in_file = self.file.iter().filter(|(name, _)| name.starts_with(APP_SETTINGS));
        let mut found: Layer = in_file.map(|(name, value)| (name.clone(), value.clone())).collect();
        for (name, value) in self.environment {
            if let Some(rest) = name.strip_prefix("PGRST_APP_SETTINGS_") {
                found.insert(format!("{APP_SETTINGS}{rest}"), value.clone());
            }
        }
        found.into_iter().collect()
    }
}

/// The names of a list; what is between two commas is a name, even nothing.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}
