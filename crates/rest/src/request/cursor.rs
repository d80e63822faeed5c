//! A cursor over one piece of a query string that remembers why parsing stopped.
//!
//! Clients and their test suites compare the text of parse errors, so the cursor keeps what a parser
//! combinator library would: at the furthest place reached, what was there and what was expected.

use crate::Error;

/// What was found at a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// A character (or the end) where a token was expected.
    Token(Option<char>),
    /// Another text than this one; where they part is found out when somebody asks.
    Instead(&'static str),
    /// A character where the end was expected.
    NotTheEnd(char),
}

/// What would have been accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// Exactly this text; shown in quotes.
    Token(&'static str),
    /// Something described by a phrase.
    Label(&'static str),
    /// Nothing to add to the message.
    Unnamed,
}

#[derive(Debug, Clone, Copy)]
struct Failure {
    at: usize,
    found: Found,
    expected: Expected,
}

/// A position in `text` and the failures met so far.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    failures: Vec<Failure>,
}

/// A place to return to; see [`Cursor::mark`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    at: usize,
    failures: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0, failures: Vec::new() }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Moves over `bytes` bytes, which must end at a character boundary of what [`rest`](Self::rest) gave.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.at += bytes;
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { at: self.at, failures: self.failures.len() }
    }

    /// Goes back to `mark`, keeping what failed since.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.at = mark.at;
    }

    /// Goes back to `mark` and forgets what failed since.
    pub(crate) fn forget(&mut self, mark: Mark) {
        self.at = mark.at;
        self.failures.truncate(mark.failures);
    }

    /// Forgets every failure: whatever comes next fails further on.
    pub(crate) fn commit(&mut self) {
        self.failures.clear();
    }

    /// Notes that `expected` is not what is here.
    pub(crate) fn miss(&mut self, expected: Expected) {
        let found = Found::Token(self.peek());
        self.failures.push(Failure { at: self.at, found, expected });
    }

    /// Accepts exactly `token`.
    pub(crate) fn token(&mut self, token: &'static str) -> bool {
        if self.rest().starts_with(token) {
            self.at += token.len();
            return true;
        }
        self.miss_token(token);
        false
    }

    fn miss_token(&mut self, token: &'static str) {
        let found = Found::Instead(token);
        self.failures.push(Failure { at: self.at, found, expected: Expected::Token(token) });
    }

    /// Whether `token` is next; notes the failure, never moves.
    pub(crate) fn ahead(&mut self, token: &'static str) -> bool {
        let found = self.rest().starts_with(token);
        if !found {
            self.miss_token(token);
        }
        found
    }

    /// Accepts the end of the text.
    pub(crate) fn end(&mut self) -> bool {
        let Some(c) = self.peek() else { return true };
        let expected = Expected::Label("end of input");
        self.failures.push(Failure { at: self.at, found: Found::NotTheEnd(c), expected });
        false
    }

    /// Skips blanks.
    pub(crate) fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    /// Runs `parse`; when it fails without moving, everything it expected is described as `label`.
    pub(crate) fn labelled<T>(
        &mut self,
        label: &'static str,
        parse: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let mark = self.mark();
        let result = parse(self);
        if result.is_none() && self.at == mark.at {
            self.relabel(mark, label);
        }
        result
    }

    fn relabel(&mut self, mark: Mark, label: &'static str) {
        let since = &self.failures[mark.failures.min(self.failures.len())..];
        let Some(furthest) = since.iter().map(|f| f.at).max() else { return };
        let Some(first) = since.iter().find(|f| f.at == furthest).copied() else { return };
        self.failures.truncate(mark.failures);
        self.failures.push(Failure { expected: Expected::Label(label), ..first });
    }

    /// The error of the furthest failure; `shift` columns of `source` came before this text.
    pub(crate) fn error(&self, source: &str, shift: usize) -> Error {
        let furthest = self.failures.iter().map(|f| f.at).max().unwrap_or(self.at);
        let here = || self.failures.iter().filter(|f| f.at == furthest);
        let (line, column) = place(&self.text[..furthest], shift);
        let message = format!("\"{source}\" (line {line}, column {column})");
        let mut words: Vec<String> = Vec::new();
        let not_the_end = here().find(|f| matches!(f.found, Found::NotTheEnd(_)));
        if let Some(failure) = not_the_end.or_else(|| here().next()) {
            words.push(failure.found.describe(&self.text[furthest..]));
        }
        let mut expected: Vec<String> = Vec::new();
        for text in here().filter_map(|f| f.expected.describe()) {
            if !expected.contains(&text) {
                expected.push(text);
            }
        }
        if let Some(list) = one_of(&expected) {
            words.push(format!("expecting {list}"));
        }
        Error::parse(message, words.join(" "))
    }
}

impl Found {
    fn describe(self, rest: &str) -> String {
        match self {
            Self::Instead(token) => {
                let same = token.chars().zip(rest.chars()).take_while(|(a, b)| a == b).count();
                Self::Token(rest.chars().nth(same)).describe(rest)
            }
            Self::Token(None) => "unexpected end of input".to_owned(),
            Self::Token(Some(c)) => format!("unexpected \"{}\"", escaped(c, '"')),
            Self::NotTheEnd(c) => format!("unexpected '{}'", escaped(c, '\'')),
        }
    }
}

impl Expected {
    fn describe(self) -> Option<String> {
        match self {
            Self::Token(token) => Some(format!("{token:?}")),
            Self::Label(label) => Some(label.to_owned()),
            Self::Unnamed => None,
        }
    }
}

fn escaped(c: char, quote: char) -> String {
    match c {
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        '\\' => "\\\\".to_owned(),
        c if c == quote => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        c => format!("\\{}", u32::from(c)),
    }
}

fn one_of(items: &[String]) -> Option<String> {
    let (last, others) = items.split_last()?;
    Some(if others.is_empty() { last.clone() } else { format!("{} or {last}", others.join(", ")) })
}

fn place(before: &str, shift: usize) -> (usize, usize) {
    let line = before.matches('\n').count() + 1;
    let last = before.rsplit('\n').next().unwrap_or_default();
    let shift = if line == 1 { shift } else { 0 };
    (line, last.chars().count() + shift + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(error: &Error) -> &str {
        error.details.as_str().unwrap_or_default()
    }

    #[test]
    fn the_furthest_failure_is_told() {
        let mut cursor = Cursor::new("ab?");
        assert!(!cursor.token("x"));
        assert!(cursor.token("ab"));
        assert!(!cursor.token("c"));
        assert!(!cursor.end());
        let error = cursor.error("failed to parse it", 0);
        assert_eq!(error.message, "\"failed to parse it\" (line 1, column 3)");
        assert_eq!(details(&error), "unexpected '?' expecting \"c\" or end of input");
    }

    #[test]
    fn a_token_that_starts_right_is_told_at_its_start() {
        let mut cursor = Cursor::new("noop");
        assert!(!cursor.token("not"));
        let error = cursor.error("s", 0);
        assert_eq!(error.message, "\"s\" (line 1, column 1)");
        assert_eq!(details(&error), "unexpected \"o\" expecting \"not\"");
    }

    #[test]
    fn a_label_replaces_what_was_expected_inside() {
        let mut cursor = Cursor::new("z");
        let parsed = cursor.labelled("a letter", |c| (c.token("a") || c.token("b")).then_some(()));
        assert!(parsed.is_none());
        assert_eq!(details(&cursor.error("s", 0)), "unexpected \"z\" expecting a letter");
    }

    #[test]
    fn odd_characters_are_escaped() {
        let mut cursor = Cursor::new("é\n");
        assert!(!cursor.token("a"));
        assert_eq!(details(&cursor.error("s", 0)), "unexpected \"\\233\" expecting \"a\"");
    }
}
