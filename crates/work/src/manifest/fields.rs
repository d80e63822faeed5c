//! Takes the values of one table, by the forms that its shape declares.
//!
//! Nothing here fails: what is wrong is remembered by the [`Reader`], and what cannot be used is as if it were not there.

mod check;
mod sql;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::bounds::MAX_SETTINGS_BYTES;
use super::json::to_json;
use super::reader::Reader;
use super::shape::{Form, Key, Need, Shape};
use super::span;
use super::spec::{Relation, Role};
use super::spell::did_you_mean;
use super::wording::identifier_problem;

/// A table that is being read.
pub(super) struct Fields<'a> {
    reader: &'a Reader<'a>,
    shape: &'static Shape,
    /// `None`: the table is not there, and all its keys have their defaults.
    table: Option<&'a DeTable<'a>>,
    at: Range<usize>,
    /// What its paths begin with: `steps[2].`
    path: String,
}

/// A value, and where it is.
pub(super) struct At<T> {
    pub value: T,
    pub at: Range<usize>,
}

impl<'a> Fields<'a> {
    /// Begins to read a table. Keys that it may not have, and those that it lacks, are problems.
    pub(super) fn new(
        reader: &'a Reader<'a>,
        shape: &'static Shape,
        table: Option<&'a DeTable<'a>>,
        at: Range<usize>,
        path: String,
    ) -> Self {
        let fields = Self { reader, shape, table, at, path };
        fields.check_keys();
        fields.check_choices();
        fields
    }

    /// Where the table is.
    pub(super) fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    pub(super) fn reader(&self) -> &'a Reader<'a> {
        self.reader
    }

    /// Whether the key is there, and may be.
    pub(super) fn has(&self, name: &str) -> bool {
        self.shape.key(name).is_some() && self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Where the value of the key is, or else the table.
    pub(super) fn at_key(&self, name: &str) -> Range<usize> {
        let value = self.table.and_then(|table| table.get(name));
        value.map_or(self.at(), Spanned::span)
    }

    /// Where the values of all keys are that are there.
    pub(super) fn key_places(&self) -> BTreeMap<&'static str, Range<usize>> {
        let there = self.shape.keys().filter(|key| self.has(key.name));
        there.map(|key| (key.name, self.at_key(key.name))).collect()
    }

    /// Remembers where the value of the key is, for problems that only the whole manifest shows.
    pub(super) fn mark(&self, name: &str) {
        self.reader.place(format!("{}{name}", self.path), self.at_key(name), 0);
    }

    /// Remembers what is wrong with the key.
    pub(super) fn problem(
        &self,
        name: &str,
        message: impl AsRef<str>,
        hint: impl Into<Option<String>>,
    ) {
        let message = format!("`{name}` {}", message.as_ref());
        self.reader.problem(self.at_key(name).start, message, hint);
    }

    /// A text of any form that is one text and no SQL.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let (key, value) = self.value(name)?;
        let text = self.one_text(key, &value)?;
        self.is_text_sound(key, &text, value.span()).then_some(text)
    }

    /// Texts, or one of them.
    pub(super) fn texts(&self, name: &str) -> Vec<At<String>> {
        let Some((key, value)) = self.value(name) else { return Vec::new() };
        let most = match key.form {
            Form::Texts { most } | Form::Secrets { most } => most,
            _ => 1,
        };
        let mut texts = Vec::new();
        for item in self.items(key, &value, most) {
            if let Some(text) = self.one_text(key, &item)
                && self.is_text_sound(key, &text, item.span())
            {
                texts.push(At { value: text, at: item.span() });
            }
        }
        texts
    }

    /// One of the words of its form.
    pub(super) fn word(&self, name: &str) -> Option<String> {
        let (key, value) = self.value(name)?;
        let text = self.one_text(key, &value)?;
        let Form::Word(words) = key.form else { return Some(text) };
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        let message = format!("cannot be `{text}`{}", did_you_mean(&text, words.iter().copied()));
        self.problem(name, message, format!("it is {}", key.form.describe()));
        None
    }

    /// Whose rights SQL has.
    pub(super) fn role(&self) -> Option<Role> {
        let word = self.word("role")?;
        serde_json::from_value(Value::String(word)).ok()
    }

    /// `true` or `false`.
    pub(super) fn switch(&self, name: &str) -> bool {
        let Some((key, value)) = self.value(name) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong_form(key, &value);
            false
        })
    }

    /// A whole number within its bounds.
    pub(super) fn integer(&self, name: &str) -> Option<u32> {
        let (key, value) = self.value(name)?;
        let (Form::Integer { least, most } | Form::Either(&Form::Integer { least, most }, _)) =
            key.form
        else {
            return None;
        };
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_form(key, &value);
            return None;
        };
        let number = u32::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.out_of_bounds(name, least, most, integer);
        }
        number
    }

    /// A number within its bounds.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        let (key, value) = self.value(name)?;
        let Form::Number { least, most } = key.form else { return None };
        let text = match value.get_ref() {
            DeValue::Integer(integer) if integer.radix() == 10 => integer.as_str(),
            DeValue::Float(float) => float.as_str(),
            _ => {
                self.wrong_form(key, &value);
                return None;
            }
        };
        let number: Option<f64> = text.parse().ok();
        let number = number.filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.out_of_bounds(name, least, most, text);
        }
        number
    }

    /// Milliseconds of a length of time within its bounds.
    pub(super) fn span(&self, name: &str) -> Option<u64> {
        let (key, value) = self.value(name)?;
        let Form::Span { least, most } = key.form else { return None };
        let text = self.one_text(key, &value)?;
        let Some(millis) = span::parse_millis(&text) else {
            self.problem(name, format!("must be {}", key.form.describe()), None);
            return None;
        };
        if !(least..=most).contains(&millis) {
            self.out_of_bounds(name, span::written(least), span::written(most), text);
            return None;
        }
        Some(millis)
    }

    /// `table` or `schema.table`.
    pub(super) fn relation(&self, name: &str) -> Option<Relation> {
        let text = self.text(name)?;
        self.relation_from(&text, self.at_key(name))
    }

    /// A relation's name from somewhere else in the table.
    pub(super) fn relation_from(&self, text: &str, at: Range<usize>) -> Option<Relation> {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        for part in [schema, name] {
            if let Some(wrong) = identifier_problem(part) {
                let hint =
                    "a table is `tweets` or `app.tweets`, as the catalog has it, without quotes";
                self.reader.problem(at.start, format!("`{text}` {wrong}"), hint.to_owned());
                return None;
            }
        }
        Some(Relation { schema: schema.to_owned(), name: name.to_owned() })
    }

    /// Any table, as JSON.
    pub(super) fn settings(&self, name: &str) -> Map<String, Value> {
        let Some((key, value)) = self.value(name) else { return Map::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_form(key, &value);
            return Map::new();
        };
        let settings = to_json(self.reader, table);
        self.check_size(name, &settings);
        settings
    }

    /// Texts by name, as they are.
    pub(super) fn text_table(&self, name: &str) -> Vec<(String, At<String>)> {
        let Some((key, value)) = self.value(name) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_form(key, &value);
            return Vec::new();
        };
        let texts = table.iter().filter_map(|(own, value)| {
            let text = self.one_text(key, value)?;
            Some((own.get_ref().to_string(), At { value: text, at: value.span() }))
        });
        texts.collect()
    }

    /// The table of a key, if it is there and a table.
    pub(super) fn table(&self, name: &str) -> Option<Fields<'a>> {
        let key = self.key(name)?;
        let (Form::Table(shape) | Form::Either(_, &Form::Table(shape))) = key.form else {
            return None;
        };
        self.table_as(name, shape)
    }

    /// The table of a key, read by another shape than its own.
    pub(super) fn table_as(&self, name: &str, shape: &'static Shape) -> Option<Fields<'a>> {
        let key = self.key(name)?;
        let value = self.table?.get(name)?;
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_form(key, value);
            return None;
        };
        Some(self.below(name, shape, Some(table), value.span()))
    }

    /// The table of a key, or one without anything in it.
    pub(super) fn table_or_empty(&self, name: &str, shape: &'static Shape) -> Fields<'a> {
        let table = self.table_as(name, shape);
        table.unwrap_or_else(|| self.below(name, shape, None, self.at()))
    }

    /// The tables of a key.
    pub(super) fn tables(&self, name: &str) -> Vec<Fields<'a>> {
        let Some(key) = self.key(name) else { return Vec::new() };
        let Form::Tables { shape, most } = key.form else { return Vec::new() };
        let Some(value) = self.table.and_then(|table| table.get(name)) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_form(key, value);
            return Vec::new();
        };
        if items.len() > most {
            self.problem(
                name,
                format!("are {}, and at most {most} are possible", items.len()),
                None,
            );
            return Vec::new();
        }
        let mut tables = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.get_ref().as_table() {
                Some(table) => {
                    let name = format!("{name}[{index}]");
                    tables.push(self.below(&name, shape, Some(table), item.span()));
                }
                None => self.wrong_form(key, item),
            }
        }
        tables
    }

    /// The entries of a key that holds lists by name: the name with its place, and what it has.
    pub(super) fn lists(&self, name: &str) -> Vec<(At<String>, Vec<At<String>>)> {
        let Some((key, value)) = self.value(name) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong_form(key, &value);
            return Vec::new();
        };
        let mut lists = Vec::new();
        for (own, value) in table {
            let Some(items) = value.get_ref().as_array() else {
                self.wrong_form(key, value);
                continue;
            };
            let texts = items
                .iter()
                .filter_map(|item| Some(At { value: self.one_text(key, item)?, at: item.span() }));
            let own = At { value: own.get_ref().to_string(), at: own.span() };
            lists.push((own, texts.collect()));
        }
        lists
    }

    /// Whether the value of the key is a whole number, where it may be something else.
    pub(super) fn is_integer(&self, name: &str) -> bool {
        self.value(name).is_some_and(|(_, value)| value.get_ref().is_integer())
    }

    /// Whether the value of the key is a text, where it may be something else.
    pub(super) fn is_text(&self, name: &str) -> bool {
        self.value(name).is_some_and(|(_, value)| value.get_ref().is_str())
    }

    fn below(
        &self,
        name: &str,
        shape: &'static Shape,
        table: Option<&'a DeTable<'a>>,
        at: Range<usize>,
    ) -> Fields<'a> {
        Fields::new(self.reader, shape, table, at, format!("{}{name}.", self.path))
    }

    fn key(&self, name: &str) -> Option<&'static Key> {
        let key = self.shape.key(name)?;
        #[cfg(test)]
        self.reader.read.borrow_mut().insert((self.shape.id, key.name));
        Some(key)
    }

    /// What the key has, or its default.
    fn value(&self, name: &str) -> Option<(&'static Key, Spanned<DeValue<'a>>)> {
        let key = self.key(name)?;
        if let Some(value) = self.table.and_then(|table| table.get(name)) {
            return Some((key, value.clone()));
        }
        let Need::Default(default) = key.need else { return None };
        DeValue::parse(default).ok().map(|value| (key, value))
    }

    /// A list, or one value as a list of one.
    fn items(
        &self,
        key: &Key,
        value: &Spanned<DeValue<'a>>,
        most: usize,
    ) -> Vec<Spanned<DeValue<'a>>> {
        let Some(items) = value.get_ref().as_array() else { return vec![value.clone()] };
        if items.is_empty() || items.len() > most {
            self.problem(key.name, format!("must have from 1 to {most} entries"), None);
            return Vec::new();
        }
        items.iter().cloned().collect()
    }

    fn one_text(&self, key: &Key, value: &Spanned<DeValue<'_>>) -> Option<String> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_form(key, value);
        }
        text.map(str::to_owned)
    }

    fn check_size(&self, name: &str, settings: &Map<String, Value>) {
        let length = serde_json::to_vec(settings).map_or(usize::MAX, |json| json.len());
        if length > MAX_SETTINGS_BYTES {
            self.problem(name, format!("has more than {MAX_SETTINGS_BYTES} bytes"), None);
        }
    }
}
