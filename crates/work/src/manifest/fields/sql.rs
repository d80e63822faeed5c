//! SQL among the values of a table.

use std::ops::Range;

use plinth_postgres::migrate::split;

use super::Fields;
use crate::manifest::bounds::{MAX_SQL_BYTES, MAX_STATEMENTS};
use crate::manifest::shape::Form;
use crate::manifest::source::TextPlace;
use crate::manifest::sql::{Sql, SqlError};

impl Fields<'_> {
    /// One statement.
    pub(in crate::manifest) fn statement(&self, name: &str) -> Option<Sql> {
        self.sql(name)
            .filter(|(sql, at)| self.is_fine(name, at, sql.check_statement()))
            .map(|(sql, _)| sql)
    }

    /// An expression.
    pub(in crate::manifest) fn expression(&self, name: &str) -> Option<Sql> {
        self.sql(name)
            .filter(|(sql, at)| self.is_fine(name, at, sql.check_expression()))
            .map(|(sql, _)| sql)
    }

    /// Statements, one after the other: a list of texts, or a text with semicolons between them.
    pub(in crate::manifest) fn statements(&self, name: &str) -> Vec<Sql> {
        let Some((key, value)) = self.value(name) else { return Vec::new() };
        let Form::Statements(names) = key.form else { return Vec::new() };
        let mut all = Vec::new();
        for item in self.items(key, &value, MAX_STATEMENTS) {
            let Some(text) = self.one_text(key, &item) else { continue };
            let at = item.span().start;
            if text.len() > MAX_SQL_BYTES {
                let message = format!("`{name}` is longer than {MAX_SQL_BYTES} bytes");
                self.reader.problem(at, message, None);
                continue;
            }
            let parts = split(&text);
            if parts.is_empty() {
                self.reader.problem(at, format!("`{name}` has no SQL in it"), None);
            }
            if all.len() + parts.len() > MAX_STATEMENTS {
                let message = format!("`{name}` has more than {MAX_STATEMENTS} statements");
                self.reader.problem(at, message, None);
                return all;
            }
            for part in parts {
                let path = format!("{}{name}[{}]", self.path, all.len());
                let place = self.reader.place(path, item.span(), part.start);
                let sql = Sql::parse(part.text, names);
                let sql = sql.map_err(|errors| {
                    errors
                        .into_iter()
                        .for_each(|error| self.reader.sql_problem(name, &place, error));
                });
                let Ok(sql) = sql else { continue };
                match sql.check_statement() {
                    Ok(()) => all.push(sql),
                    Err(error) => self.reader.sql_problem(name, &place, error),
                }
            }
        }
        all
    }

    fn sql(&self, name: &str) -> Option<(Sql, Range<usize>)> {
        let (key, value) = self.value(name)?;
        let names = match key.form {
            Form::Statement(names)
            | Form::Expression(names)
            | Form::Either(_, &Form::Expression(names)) => names,
            _ => return None,
        };
        let text = self.one_text(key, &value)?;
        let place = self.reader.place(format!("{}{name}", self.path), value.span(), 0);
        match Sql::parse(&text, names) {
            Ok(sql) => Some((sql, value.span())),
            Err(errors) => {
                errors
                    .into_iter()
                    .for_each(|error| self.reader.sql_problem(&self.shown(name), &place, error));
                None
            }
        }
    }

    /// What messages call the key: that of a limit is `limit.key`, since a binding has a `key` as well.
    fn shown(&self, name: &str) -> String {
        let table = self.path.trim_end_matches('.').rsplit('.').next();
        match table.filter(|table| name == "key" && !table.ends_with(']')) {
            Some(table) => format!("{table}.{name}"),
            None => name.to_owned(),
        }
    }

    fn is_fine(&self, name: &str, at: &Range<usize>, checked: Result<(), SqlError>) -> bool {
        let place = TextPlace { raw: at.clone(), skipped: 0 };
        checked.map_err(|error| self.reader.sql_problem(&self.shown(name), &place, error)).is_ok()
    }
}
