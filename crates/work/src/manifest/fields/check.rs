//! What is wrong with a table, and with values of another form than the declared one.

use toml::Spanned;
use toml::de::DeValue;

use super::Fields;
use crate::manifest::shape::{Key, Need};
use crate::manifest::spell::{did_you_mean, listed};

impl Fields<'_> {
    pub(super) fn wrong_form(&self, key: &Key, value: &Spanned<DeValue<'_>>) {
        let is = match value.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` must be {}, and has {is}", key.name, key.form.describe());
        self.reader.problem(value.span().start, message, None);
    }

    pub(super) fn check_keys(&self) {
        let names = || self.shape.keys().map(|key| key.name);
        for (name, _) in self.table.into_iter().flatten() {
            if self.shape.key(name.get_ref()).is_none() {
                let known: Vec<&str> = names().collect();
                let near = did_you_mean(name.get_ref(), known.iter().copied());
                let hint = match known.as_slice() {
                    [] => "it has no keys".to_owned(),
                    known => format!("it has the keys {}", listed(known)),
                };
                let message = format!(
                    "{} has no key `{}`{near}",
                    self.shape.title,
                    name.get_ref().escape_debug()
                );
                self.reader.problem(name.span().start, message, hint);
            }
        }
        let missing =
            self.shape.keys().filter(|key| key.need == Need::Required && !self.has(key.name));
        for key in missing {
            self.reader.problem(
                self.at.start,
                format!("{} has no `{}`", self.shape.title, key.name),
                key.about.to_owned(),
            );
        }
    }

    pub(super) fn check_choices(&self) {
        for choice in self.shape.choices {
            let given: Vec<&str> =
                choice.keys.iter().copied().filter(|name| self.has(name)).collect();
            if let [first, second, ..] = given.as_slice() {
                let message = format!("and `{first}` exclude each other");
                self.problem(second, message, None);
            } else if given.is_empty() && choice.required {
                let message = format!("{} needs one of {}", self.shape.title, listed(choice.keys));
                self.reader.problem(self.at.start, message, None);
            }
        }
        for (name, other) in self.shape.needs {
            if self.has(name) && !self.has(other) {
                self.problem(name, format!("means nothing without `{other}`"), None);
            }
        }
    }
}
