//! What is wrong with a table, and with values of another form than the declared one.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::Fields;
use crate::manifest::shape::{Form, Key, Need};
use crate::manifest::spell::{did_you_mean, listed};
use crate::manifest::wording::{
    action_problem, identifier_problem, name_problem, secret_problem, text_problem,
};

impl Fields<'_> {
    pub(super) fn is_text_sound(&self, key: &Key, text: &str, at: Range<usize>) -> bool {
        let wrong = match key.form {
            Form::Name => name_problem(text),
            Form::Column => identifier_problem(text),
            Form::Action => action_problem(text),
            Form::Secret | Form::Secrets { .. } => secret_problem(text),
            _ => text_problem(text),
        };
        let Some(wrong) = wrong else { return true };
        // A secret that was written down is not written again.
        let shown = match key.form {
            Form::Secret | Form::Secrets { .. } => format!("`{}`", key.name),
            _ => format!("`{}`: `{}`", key.name, text.escape_debug()),
        };
        self.reader.problem(at.start, format!("{shown} {wrong}"), None);
        false
    }

    pub(super) fn out_of_bounds(
        &self,
        name: &str,
        least: impl std::fmt::Display,
        most: impl std::fmt::Display,
        is: impl std::fmt::Display,
    ) {
        self.problem(name, format!("must be from {least} to {most}, and is {is}"), None);
    }

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
            if self.shape.key(name.get_ref()).is_none() && !self.reader.is_full() {
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
