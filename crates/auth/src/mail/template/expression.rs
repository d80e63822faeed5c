//! What stands between the braces: pipelines of fields, constants and the known functions.

use super::go::Problem;

/// Values that a template can name.
pub(super) const KNOWN: [&str; 14] = [
    "SiteURL",
    "ConfirmationURL",
    "RedirectTo",
    "Token",
    "TokenHash",
    "Email",
    "NewEmail",
    "OldEmail",
    "SendingTo",
    "Phone",
    "OldPhone",
    "Provider",
    "FactorType",
    "Data",
];

/// Parentheses within parentheses.
const DEPTH: usize = 16;

#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// `.a.b`, or a lone dot when empty.
    Field(Vec<String>),
    /// `$.a.b`
    Root(Vec<String>),
    Word(String),
    Text(String),
    Number(String),
    Open,
    Close,
    Pipe,
}

/// An expression of the target language.
#[derive(Debug)]
pub(super) struct Expression {
    pub(super) code: String,
    /// It comes from `.Data` or an element of it, which the user writes.
    pub(super) foreign: bool,
    /// The last function was `urlquery`.
    pub(super) encoded: bool,
}

/// Translates a pipeline. `dot` is what a lone dot means here; `None` at the top.
pub(super) fn translate(text: &str, dot: Option<&str>) -> Result<Expression, Problem> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, at: 0, dot, foreign: false, depth: 0 };
    let (code, encoded) = parser.pipeline()?;
    match parser.peek() {
        None => Ok(Expression { code, foreign: parser.foreign, encoded }),
        Some(_) => Err(Problem::new("a parenthesis is closed that was not opened")),
    }
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    dot: Option<&'a str>,
    foreign: bool,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn pipeline(&mut self) -> Result<(String, bool), Problem> {
        let (mut value, mut encoded) = self.command(None)?;
        while self.peek() == Some(&Token::Pipe) {
            self.at += 1;
            (value, encoded) = self.command(Some(value))?;
        }
        Ok((value, encoded))
    }

    /// A function with its arguments, of which a piped value is the last, or a single value.
    fn command(&mut self, piped: Option<String>) -> Result<(String, bool), Problem> {
        let function = match self.peek() {
            Some(Token::Word(word)) if constant(word).is_none() => Some(word.clone()),
            _ => None,
        };
        if function.is_some() {
            self.at += 1;
        }
        let mut values = Vec::new();
        while self.peek().is_some_and(|token| !matches!(token, Token::Pipe | Token::Close)) {
            values.push(self.value()?);
        }
        values.extend(piped);
        let encoded = function.as_deref() == Some("urlquery");
        match (function, values.as_slice()) {
            (Some(function), _) => Ok((call(&function, values)?, encoded)),
            (None, [value]) => Ok((value.clone(), false)),
            (None, []) => Err(Problem::new("a value is missing")),
            (None, _) => Err(Problem::new("two values stand side by side without a function")),
        }
    }

    fn value(&mut self) -> Result<String, Problem> {
        let token = self.peek().cloned();
        self.at += 1;
        match token {
            Some(Token::Text(text)) => Ok(quote(&text)),
            Some(Token::Number(number)) => Ok(number),
            Some(Token::Root(path)) => self.known(&path),
            Some(Token::Field(path)) => match self.dot {
                None => self.known(&path),
                Some(dot) => {
                    self.foreign = true;
                    Ok(indexed(dot, &path))
                }
            },
            Some(Token::Word(word)) => constant(&word).map(str::to_owned).ok_or_else(|| {
                Problem(format!("the function `{word}` must stand first or in parentheses"))
            }),
            Some(Token::Open) => self.parenthesis(),
            _ => Err(Problem::new("a value is missing")),
        }
    }

    fn parenthesis(&mut self) -> Result<String, Problem> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(Problem::new("too many parentheses within each other"));
        }
        let (inner, _) = self.pipeline()?;
        if self.peek() != Some(&Token::Close) {
            return Err(Problem::new("a parenthesis is not closed"));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(format!("({inner})"))
    }

    fn known(&mut self, path: &[String]) -> Result<String, Problem> {
        let Some(first) = path.first() else {
            return Err(Problem::new("`.` alone is only supported inside `with` and `range`"));
        };
        if !KNOWN.contains(&first.as_str()) {
            let known = KNOWN.map(|name| format!(".{name}")).join(", ");
            return Err(Problem(format!("the value `.{first}` is not known; there are {known}")));
        }
        self.foreign |= first == "Data";
        Ok(indexed("v", path))
    }
}

fn constant(word: &str) -> Option<&'static str> {
    match word {
        "true" => Some("true"),
        "false" => Some("false"),
        "nil" => Some("none"),
        _ => None,
    }
}

fn call(function: &str, values: Vec<String>) -> Result<String, Problem> {
    let pair = |operator: &str| match values.as_slice() {
        [one, other] => Ok(format!("({one} {operator} {other})")),
        _ => Err(Problem(format!("`{function}` takes two values"))),
    };
    let single = |code: &dyn Fn(&str) -> String| match values.as_slice() {
        [value] => Ok(code(value)),
        _ => Err(Problem(format!("`{function}` takes one value"))),
    };
    let joined = |operator: &str| match values.as_slice() {
        [] => Err(Problem(format!("`{function}` takes values"))),
        values => Ok(format!("({})", values.join(operator))),
    };
    match function {
        "eq" => equal(&values),
        "ne" => pair("!="),
        "lt" => pair("<"),
        "le" => pair("<="),
        "gt" => pair(">"),
        "ge" => pair(">="),
        "and" => joined(" and "),
        "or" => joined(" or "),
        "not" => single(&|value| format!("(not {value})")),
        "len" => single(&|value| format!("({value}|len)")),
        "print" | "html" => single(&str::to_owned),
        "urlquery" => single(&|value| format!("({value}|query)")),
        "index" => match values.split_first() {
            Some((of, keys)) => Ok(keys.iter().fold(of.clone(), |of, key| format!("{of}[{key}]"))),
            None => Err(Problem::new("`index` takes values")),
        },
        other => Err(Problem(format!(
            "the function `{other}` is not supported; there are eq, ne, lt, le, gt, ge, and, or, not, len, index, print, html, urlquery"
        ))),
    }
}

/// `eq a b c`: whether `a` equals one of the others.
fn equal(values: &[String]) -> Result<String, Problem> {
    match values.split_first() {
        Some((first, others)) if !others.is_empty() => {
            let tests: Vec<_> = others.iter().map(|other| format!("{first} == {other}")).collect();
            Ok(format!("({})", tests.join(" or ")))
        }
        _ => Err(Problem::new("`eq` takes at least two values")),
    }
}

fn indexed(of: &str, path: &[String]) -> String {
    path.iter().fold(of.to_owned(), |of, name| format!("{of}[{}]", quote(name)))
}

pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

fn tokens(text: &str) -> Result<Vec<Token>, Problem> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, used) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '|' => (Token::Pipe, 1),
            '"' | '`' => text_token(rest, first)?,
            '.' => {
                let (path, used) = path(rest);
                (Token::Field(path), used)
            }
            '$' => root(rest)?,
            '-' | '0'..='9' => number(rest)?,
            letter if letter.is_alphabetic() || letter == '_' => {
                let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
                let used = word.len();
                (Token::Word(word), used)
            }
            other => return Err(Problem(format!("`{other}` is not supported here"))),
        };
        if matches!(token, Token::Close)
            && rest.get(used..).is_some_and(|rest| rest.starts_with('.'))
        {
            return Err(Problem::new("a field of a parenthesis is not supported"));
        }
        tokens.push(token);
        rest = rest.get(used..).unwrap_or_default().trim_start();
    }
    Ok(tokens)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// `.a.b` and how many bytes it takes.
fn path(text: &str) -> (Vec<String>, usize) {
    let mut path = Vec::new();
    let mut used = 0;
    while let Some(rest) = text.get(used..).and_then(|rest| rest.strip_prefix('.')) {
        let name: String = rest.chars().take_while(|c| is_word(*c)).collect();
        used += 1 + name.len();
        if name.is_empty() {
            break;
        }
        path.push(name);
    }
    (path, used)
}

fn root(text: &str) -> Result<(Token, usize), Problem> {
    let rest = text.get(1..).unwrap_or_default();
    if !rest.starts_with('.') {
        return Err(Problem::new("variables are not supported"));
    }
    let (path, used) = path(rest);
    Ok((Token::Root(path), used + 1))
}

fn number(text: &str) -> Result<(Token, usize), Problem> {
    let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    let number: String = text.chars().take_while(|c| digits(*c)).collect();
    let used = number.len();
    if number.parse::<f64>().is_err() {
        return Err(Problem(format!("`{number}` is not a number")));
    }
    Ok((Token::Number(number), used))
}

/// A text in quotation marks, with Go's common escapes, or in back-quotes, without.
fn text_token(text: &str, mark: char) -> Result<(Token, usize), Problem> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            end if end == mark => return Ok((Token::Text(value), index + 1)),
            '\\' if mark == '"' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(same @ ('"' | '\\' | '\'')) => value.push(same),
                _ => return Err(Problem::new("this escape in a text is not supported")),
            },
            other => value.push(other),
        }
    }
    Err(Problem::new("a text is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        translate(text, None).unwrap().code
    }

    fn problem(text: &str) -> String {
        translate(text, None).unwrap_err().0
    }

    #[test]
    fn fields_and_functions_become_expressions() {
        assert_eq!(code(".Data.first_name"), r#"v["Data"]["first_name"]"#);
        assert_eq!(
            code(r#"eq .Data.lang "de" "at""#),
            r#"(v["Data"]["lang"] == "de" or v["Data"]["lang"] == "at")"#
        );
        assert_eq!(code(r#"index .Data "a-b""#), r#"v["Data"]["a-b"]"#);
        assert_eq!(code("and .Email (not .NewEmail)"), r#"(v["Email"] and ((not v["NewEmail"])))"#);
        assert_eq!(code(".Data.n | eq 3"), r#"(3 == v["Data"]["n"])"#);
        assert_eq!(code(r#"`a"\b`"#), r#""a\"\\b""#);
        assert_eq!(translate(".x", Some("d1")).unwrap().code, r#"d1["x"]"#);
        assert_eq!(translate("$.Email", Some("d1")).unwrap().code, r#"v["Email"]"#);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert!(problem(".ConfirmationUrl").contains("`.ConfirmationUrl` is not known"));
        assert!(problem("printf \"%s\" .Email").contains("`printf` is not supported"));
        assert!(problem("$x").contains("variables"));
        assert!(problem("eq .Email").contains("at least two"));
        assert!(problem(".Email .Token").contains("side by side"));
        assert!(problem("\"abc").contains("not closed"));
        assert!(problem("(.Email").contains("not closed"));
        assert!(problem(".Email)").contains("not opened"));
        assert!(problem(".").contains("alone"));
        assert!(problem("").contains("missing"));
        assert!(problem("(index .Data \"a\").b").contains("field of a parenthesis"));
        assert!(problem(&"(".repeat(10_000)).contains("too many"));
    }
}
