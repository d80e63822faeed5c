//! SQL with named parameters: `update tweets set tweet_id = $out->>'id' where id = $row`.

use std::fmt;
use std::ops::Range;

use plinth_postgres::migrate::{Lexer, Token, split};
use serde::{Deserialize, Serialize};

use super::bounds::{MAX_SQL_BYTES, MAX_SQL_PROBLEMS};
use super::name::Name;
use super::spell::{did_you_mean, listed};

/// What a statement of a manifest may begin with. They run inside the transaction that finishes a job, where nothing
/// may begin, end or change a transaction or the session.
pub const STATEMENTS: [&str; 7] =
    ["select", "with", "insert", "update", "delete", "merge", "values"];

/// SQL of a manifest, with its parameters found.
///
/// Equal when the texts are. Serialised, it is its text. It may end in a comment: whoever writes something after it
/// begins a new line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Sql {
    text: String,
    /// Where the parameters stand in `text`, from front to back, with their `$`.
    uses: Vec<(Range<usize>, Name)>,
}

/// What is wrong with a text, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// Bytes from the front of the text.
    pub offset: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl SqlError {
    fn new(offset: usize, message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { offset, message: message.into(), hint: hint.into() }
    }
}

/// SQL with positional parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The statement.
    pub text: String,
    /// The value of `$1`, of `$2`, and so on. No name comes twice.
    pub names: Vec<Name>,
    /// Where each parameter stands: in the source, and here.
    uses: Vec<(Range<usize>, Range<usize>)>,
}

impl Sql {
    /// Reads a text in which the `allowed` names may stand.
    ///
    /// # Errors
    ///
    /// What is wrong, up to [`MAX_SQL_PROBLEMS`]: a name that may not stand there, `$1`, quotes and parentheses without an end, a NUL,
    /// an empty text.
    pub fn parse(text: &str, allowed: &[Name]) -> Result<Self, Vec<SqlError>> {
        let mut errors = Vec::new();
        if text.len() > MAX_SQL_BYTES {
            errors.push(SqlError::new(0, format!("is longer than {MAX_SQL_BYTES} bytes"), None));
            return Err(errors);
        }
        if let Some(at) = text.find('\0') {
            errors.push(SqlError::new(at, "has a NUL character, which SQL cannot have", None));
        }
        if Lexer::new(text).all(|(token, _)| matches!(token, Token::Space | Token::Comment)) {
            errors.push(SqlError::new(0, "has no SQL in it", None));
        }
        errors.extend(unclosed(text));
        let mut uses = Vec::new();
        for (range, word) in parameters(text) {
            match word.parse::<Name>() {
                Ok(name) if allowed.contains(&name) => uses.push((range, name)),
                _ => errors.push(unknown(&range, word, allowed)),
            }
        }
        errors.sort_by_key(|error| error.offset);
        errors.truncate(MAX_SQL_PROBLEMS);
        if errors.is_empty() { Ok(Self { text: text.to_owned(), uses }) } else { Err(errors) }
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names that stand in it, each once, in the order of the text.
    pub fn names(&self) -> Vec<Name> {
        self.numbered().0
    }

    /// That this is one statement of a kind that may run inside a job's transaction.
    ///
    /// # Errors
    ///
    /// [`SqlError`] at what begins another statement, or at the first word.
    pub fn check_statement(&self) -> Result<(), SqlError> {
        let statements = split(&self.text);
        if let Some(second) = statements.get(1) {
            return Err(SqlError::new(second.code, "is more than one statement", None));
        }
        let Some(first) = statements.first() else { return Ok(()) };
        let code = &self.text[first.code..];
        let word = Lexer::new(code)
            .find(|(token, _)| !matches!(token, Token::Open | Token::Space | Token::Comment));
        let word = word.map_or("", |(_, range)| &code[range]);
        if STATEMENTS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
            return Ok(());
        }
        let hint = format!("a statement begins with one of {}", listed(STATEMENTS));
        Err(SqlError::new(first.code, format!("a statement cannot begin with `{word}`"), hint))
    }

    /// That this is an expression: nothing in it ends a statement.
    ///
    /// # Errors
    ///
    /// [`SqlError`] at a semicolon.
    pub fn check_expression(&self) -> Result<(), SqlError> {
        let semicolon = Lexer::new(&self.text).find(|(token, _)| *token == Token::Semicolon);
        semicolon.map_or(Ok(()), |(_, range)| {
            Err(SqlError::new(range.start, "an expression has no `;`", None))
        })
    }

    /// The text with `$1`, `$2`… for the names. `row_type` is the type of the row's key as PostgreSQL writes it
    /// (`format_type`), which goes into the text as it is.
    pub fn render(&self, row_type: &str) -> Rendered {
        self.render_as(row_type, |number| format!("${number}"))
    }

    /// The same with a null for every value: for plans that are made without values.
    pub fn render_nulls(&self, row_type: &str) -> String {
        self.render_as(row_type, |_| "null".to_owned()).text
    }

    fn render_as(&self, row_type: &str, value: impl Fn(usize) -> String) -> Rendered {
        let (names, numbers) = self.numbered();
        let mut text = String::with_capacity(self.text.len() + 16 * self.uses.len());
        let mut uses = Vec::with_capacity(self.uses.len());
        let mut end = 0;
        for ((range, name), number) in self.uses.iter().zip(numbers) {
            text.push_str(&self.text[end..range.start]);
            let start = text.len();
            let sql_type = name.sql_type().unwrap_or(row_type);
            text.push_str(&format!("({}::{sql_type})", value(number)));
            uses.push((range.clone(), start..text.len()));
            end = range.end;
        }
        text.push_str(&self.text[end..]);
        Rendered { text, names, uses }
    }

    /// The names without repetition, and for each use the number of its name, from 1.
    fn numbered(&self) -> (Vec<Name>, Vec<usize>) {
        let mut names = Vec::new();
        let mut numbers = Vec::with_capacity(self.uses.len());
        for (_, name) in &self.uses {
            let index = names.iter().position(|known| known == name).unwrap_or_else(|| {
                names.push(*name);
                names.len() - 1
            });
            numbers.push(index + 1);
        }
        (names, numbers)
    }
}

impl Rendered {
    /// Where in the source a byte of the rendered text comes from.
    pub fn source_offset(&self, offset: usize) -> usize {
        let before = self.uses.iter().rev().find(|(_, made)| made.start <= offset);
        match before {
            None => offset,
            Some((source, made)) if offset < made.end => source.start,
            Some((source, made)) => source.end + (offset - made.end),
        }
    }
}

impl PartialEq for Sql {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Sql {}

impl fmt::Display for Sql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Sql> for String {
    fn from(sql: Sql) -> Self {
        sql.text
    }
}

impl TryFrom<String> for Sql {
    type Error = SqlError;

    /// Reads a text that was checked when it was stored: any name may stand in it.
    fn try_from(text: String) -> Result<Self, SqlError> {
        let all: Vec<Name> = Name::all().collect();
        Self::parse(&text, &all).map_err(|mut errors| errors.remove(0))
    }
}

/// Every `$word` and `$1` outside of quotes and comments: its place with the `$`, and what follows it.
fn parameters(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut dollar = None;
    for (token, range) in Lexer::new(text) {
        let piece = &text[range.clone()];
        let is_word = token == Token::Word
            || (token == Token::Other && piece.starts_with(|first: char| first.is_ascii_digit()));
        match dollar.take() {
            Some(start) if is_word => found.push((start..range.end, piece)),
            Some(start) => found.push((start..start + 1, "")),
            None => {}
        }
        if token == Token::Other && piece == "$" {
            dollar = Some(range.start);
        }
    }
    found.extend(dollar.map(|start| (start..start + 1, "")));
    found
}

fn unknown(range: &Range<usize>, word: &str, allowed: &[Name]) -> SqlError {
    let written = format!("${word}");
    let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let may = match names.as_slice() {
        [] => "no parameter can stand here: the columns of the row can be named as they are"
            .to_owned(),
        names => format!("here may stand {}", listed(names)),
    };
    let message = match word.chars().next() {
        None => "a `$` without a name".to_owned(),
        Some(first) if first.is_ascii_digit() => {
            format!("`{written}` is a positional parameter; parameters have names")
        }
        Some(_) if word.parse::<Name>().is_ok() => format!("`{written}` has no value here"),
        Some(_) => format!(
            "`{written}` is no parameter{}",
            did_you_mean(&written, names.iter().map(String::as_str))
        ),
    };
    SqlError::new(range.start, message, may)
}

/// A quote, a comment or a parenthesis that does not end, or one that was never begun.
fn unclosed(text: &str) -> Vec<SqlError> {
    let mut errors = Vec::new();
    let mut open = Vec::new();
    for (token, range) in Lexer::new(text) {
        match token {
            Token::Open => open.push(range.start),
            Token::Close if open.pop().is_none() => {
                errors.push(SqlError::new(range.start, "a `)` that closes nothing", None));
            }
            Token::Quoted if !is_closed(&text[range.clone()]) => {
                errors.push(SqlError::new(range.start, "a quote that does not end", None));
            }
            Token::Comment
                if text[range.clone()].starts_with("/*") && !is_closed(&text[range.clone()]) =>
            {
                errors.push(SqlError::new(range.start, "a comment that does not end", None));
            }
            _ => {}
        }
    }
    errors.extend(open.pop().map(|at| SqlError::new(at, "a `(` that is not closed", None)));
    errors
}

/// Whether a quoted text or a comment has its end. The lexer lets one without reach to the end of the text.
fn is_closed(token: &str) -> bool {
    let longer = format!("{token} ");
    Lexer::new(&longer).next().is_some_and(|(_, range)| range.end == token.len())
}

#[cfg(test)]
mod tests;
