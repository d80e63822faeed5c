//! PostgREST's configuration files: `key = value` lines, `#` comments, groups in braces.
//!
//! `$(NAME)` inside quotes is another key of the file or a variable of the environment, `$$` a dollar.

use std::collections::BTreeMap;

/// A file that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct FileError {
    /// From 1.
    pub line: usize,
    /// What is wrong there.
    pub what: String,
}

/// Reads a file's text; `variable` looks a variable of the environment up. Names of groups are put
/// before their keys with a dot between.
///
/// # Errors
///
/// [`FileError`] with the line.
pub fn parse_file(
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, FileError> {
    let mut parser = Parser { rest: text, line: 1, values: BTreeMap::new(), variable };
    parser.group("")?;
    if parser.rest.is_empty() { Ok(parser.values) } else { Err(parser.wrong("a } without its {")) }
}

struct Parser<'t> {
    rest: &'t str,
    line: usize,
    values: BTreeMap<String, String>,
    variable: &'t dyn Fn(&str) -> Option<String>,
}

impl<'t> Parser<'t> {
    fn group(&mut self, prefix: &str) -> Result<(), FileError> {
        loop {
            self.space();
            if self.rest.is_empty() || self.rest.starts_with('}') {
                return Ok(());
            }
            let name = self.name()?;
            let key = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
            self.space();
            if self.eat('{') {
                self.group(&key)?;
                if !self.eat('}') {
                    return Err(self.wrong("a group has no end"));
                }
            } else if self.eat('=') {
                self.space();
                let value = self.value()?;
                self.values.insert(key, value);
            } else {
                return Err(self.wrong(format!("expected = after `{name}`")));
            }
        }
    }

    fn name(&mut self) -> Result<&'t str, FileError> {
        let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.wrong("expected the name of a setting"));
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name)
    }

    fn value(&mut self) -> Result<String, FileError> {
        if self.eat('"') {
            return self.text();
        }
        let end = self.rest.find(|c: char| c.is_whitespace() || matches!(c, '#' | '}'));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = match word {
            "true" | "on" => "true",
            "false" | "off" => "false",
            number if number.parse::<f64>().is_ok() => number,
            _ => return Err(self.wrong("expected a text in quotes, a number, true or false")),
        };
        self.rest = rest;
        Ok(value.to_owned())
    }

    /// What follows an opening quote, up to the closing one.
    fn text(&mut self) -> Result<String, FileError> {
        let mut text = String::new();
        loop {
            let Some(character) = self.next() else { return Err(self.wrong("a text has no end")) };
            match character {
                '"' => return Ok(text),
                '\\' => {
                    let escaped = self.escape()?;
                    text.push(escaped);
                }
                '$' if self.eat('$') => text.push('$'),
                '$' => {
                    let found = self.interpolation()?;
                    text.push_str(&found);
                }
                other => text.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, FileError> {
        match self.next() {
            Some('n') => Ok('\n'),
            Some('t') => Ok('\t'),
            Some('r') => Ok('\r'),
            Some('b') => Ok('\u{8}'),
            Some(same @ ('"' | '\\')) => Ok(same),
            Some('u') => {
                let digits = self.rest.get(..4).unwrap_or_default();
                let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
                let Some(character) = code else { return Err(self.wrong("expected \\uXXXX")) };
                self.rest = &self.rest[4..];
                Ok(character)
            }
            _ => Err(self.wrong("an unknown escape in a text")),
        }
    }

    fn interpolation(&mut self) -> Result<String, FileError> {
        let named = self.rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let Some((name, rest)) = named else {
            return Err(self.wrong("a lone $ in a text; write $$, or $(NAME)"));
        };
        let found = self.values.get(name).cloned().or_else(|| (self.variable)(name));
        let Some(value) = found else {
            return Err(self.wrong(format!("nothing is named `{name}`")));
        };
        self.rest = rest;
        Ok(value)
    }

    fn space(&mut self) {
        loop {
            if self.rest.starts_with(char::is_whitespace) {
                self.next();
            } else if self.rest.starts_with('#') {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else {
                return;
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        self.rest = &self.rest[character.len_utf8()..];
        self.line += usize::from(character == '\n');
        Some(character)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest.starts_with(wanted);
        if found {
            self.next();
        }
        found
    }

    fn wrong(&self, what: impl Into<String>) -> FileError {
        FileError { line: self.line, what: what.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<String, String>, FileError> {
        parse_file(text, &|name| (name == "HOME_TOWN").then(|| "Turin".to_owned()))
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let values = parse(
            "# a comment\ndb-uri = \"postgres://a\" # and another\nserver-port=3000\n\
             db-config = off db-plan-enabled = true\n\
             app.settings.town = \"in $(HOME_TOWN) for 5 $$\"\n\
             again = \"$(db-uri)/x\"\nodd = \"a \\\"b\\\" \\\\ \\u00e9\\n\"\n\
             app { settings { nested = \"yes\" } }\n",
        )
        .unwrap();
        for (name, value) in [
            ("db-uri", "postgres://a"),
            ("server-port", "3000"),
            ("db-config", "false"),
            ("db-plan-enabled", "true"),
            ("app.settings.town", "in Turin for 5 $"),
            ("again", "postgres://a/x"),
            ("odd", "a \"b\" \\ é\n"),
            ("app.settings.nested", "yes"),
        ] {
            assert_eq!(values[name], value, "{name}");
        }
        assert_eq!(values.len(), 8);
    }

    #[test]
    fn what_is_malformed_is_told_with_its_line() {
        for (text, line) in [
            ("a = 1\nb\n", 3),
            ("a = \"open\n", 2),
            ("a = yes", 1),
            ("\n\n= 1", 3),
            ("a = \"$b\"", 1),
            ("a = \"$(NOWHERE)\"", 1),
            ("a = \"\\q\"", 1),
            ("a = \"\\u12\"", 1),
            ("a { b = 1", 1),
            ("a = 1 }", 1),
            ("a = [1, 2]", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
