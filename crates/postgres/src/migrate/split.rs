//! Where one SQL statement ends and the next begins, by PostgreSQL's lexical rules.
//!
//! The rules are those of `psql`: a semicolon ends a statement unless it is quoted, in parentheses, or inside the
//! `begin atomic … end` body of a function. What the server would refuse is passed on for the server to refuse.

use std::ops::Range;

/// One statement of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// The text without the semicolon and the space around; comments before the first word belong to it.
    pub text: &'a str,
    /// Where `text` begins in the file, in bytes.
    pub start: usize,
    /// Where the first word begins in the file, in bytes: past the comments.
    pub code: usize,
}

/// What a stretch of SQL text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// Spaces and line breaks.
    Space,
    /// A comment with what begins and ends it, but without the line break after it.
    Comment,
    /// Any quoted text: strings, quoted identifiers, dollar quotes.
    Quoted,
    /// A keyword or an identifier without quotes.
    Word,
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// Numbers, one sign of an operator, and the rest.
    Other,
}

/// Splits `sql` into its statements. Stretches of nothing but space and comments are no statements.
pub fn split(sql: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut nesting = Nesting::default();
    let mut start = 0;
    let mut code = None;
    for (token, range) in Lexer::new(sql) {
        match token {
            Token::Semicolon if nesting.is_flat() => {
                push(&mut statements, sql, start..range.start, code);
                start = range.end;
                code = None;
                nesting = Nesting::default();
                continue;
            }
            Token::Space | Token::Comment => {}
            Token::Open => nesting.parens += 1,
            Token::Close => nesting.parens = nesting.parens.saturating_sub(1),
            Token::Word => nesting.word(&sql[range.clone()]),
            Token::Quoted | Token::Semicolon | Token::Other => {}
        }
        if !matches!(token, Token::Space | Token::Comment) {
            code.get_or_insert(range.start);
        }
    }
    push(&mut statements, sql, start..sql.len(), code);
    statements
}

/// The words, quoted texts and signs of `sql` without comments, one space between them: equal for texts that mean the
/// same to the server.
pub(crate) fn normalised(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len());
    for (token, range) in Lexer::new(sql) {
        if !matches!(token, Token::Space | Token::Comment | Token::Semicolon) {
            text.push_str(&sql[range]);
            text.push(' ');
        }
    }
    text
}

/// The first words of a statement in lower case, up to `most`; words in parentheses do not count.
pub(crate) fn words(sql: &str, most: usize) -> Vec<String> {
    let mut depth = 0_usize;
    let mut words = Vec::new();
    for (token, range) in Lexer::new(sql) {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth = depth.saturating_sub(1),
            Token::Word if depth == 0 => words.push(sql[range].to_ascii_lowercase()),
            _ => {}
        }
        if words.len() == most {
            break;
        }
    }
    words
}

fn push<'a>(
    statements: &mut Vec<Statement<'a>>,
    sql: &'a str,
    range: Range<usize>,
    code: Option<usize>,
) {
    let Some(code) = code else { return };
    let text = &sql[range.clone()];
    let start = range.start + (text.len() - text.trim_start_matches(is_space).len());
    statements.push(Statement { text: text.trim_matches(is_space), start, code });
}

/// How deep inside a statement the scan is.
#[derive(Default)]
struct Nesting {
    parens: usize,
    /// Open `begin` and `case` of a function's body in standard SQL.
    blocks: usize,
    seen: usize,
    creates_routine: bool,
    after_create: bool,
}

impl Nesting {
    fn is_flat(&self) -> bool {
        self.parens == 0 && self.blocks == 0
    }

    fn word(&mut self, word: &str) {
        let is = |keyword| word.eq_ignore_ascii_case(keyword);
        match self.seen {
            0 => self.after_create = is("create"),
            // `create [or replace] function`
            1..=3 if self.after_create => self.creates_routine |= is("function") || is("procedure"),
            _ => {}
        }
        self.seen += 1;
        if !self.creates_routine || self.parens > 0 {
            return;
        }
        if is("begin") || (is("case") && self.blocks > 0) {
            self.blocks += 1;
        } else if is("end") {
            self.blocks = self.blocks.saturating_sub(1);
        }
    }
}

/// Cuts SQL text into tokens, with their place in bytes, that together are the whole text. Quotes that never end reach
/// to its end.
pub struct Lexer<'a> {
    sql: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Begins at the front of `sql`.
    pub fn new(sql: &'a str) -> Self {
        Self { sql, at: 0 }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.sql.as_bytes().get(self.at + ahead).copied()
    }

    fn skip_while(&mut self, accept: impl Fn(u8) -> bool) {
        while self.byte(0).is_some_and(&accept) {
            self.at += 1;
        }
    }

    /// Moves past `needle`, or to the end.
    fn skip_past(&mut self, needle: &str) {
        self.at = self.sql[self.at..]
            .find(needle)
            .map_or(self.sql.len(), |found| self.at + found + needle.len());
    }

    fn token(&mut self, first: u8) -> Token {
        match (first, self.byte(1)) {
            (b'-', Some(b'-')) => {
                self.skip_while(|byte| byte != b'\n');
                Token::Comment
            }
            (b'/', Some(b'*')) => self.block_comment(),
            (b'\'' | b'"', _) => self.quoted(first, false),
            (b'e' | b'E', Some(b'\'')) => self.escape_string(),
            (b'$', _) => self.dollar(),
            (b';', _) => self.single(Token::Semicolon),
            (b'(', _) => self.single(Token::Open),
            (b')', _) => self.single(Token::Close),
            _ if is_space(char::from(first)) => {
                self.skip_while(|byte| is_space(char::from(byte)));
                Token::Space
            }
            _ if is_word_start(first) => {
                self.skip_while(is_word_part);
                Token::Word
            }
            _ if first.is_ascii_digit() => {
                self.skip_while(|byte| {
                    byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_'
                });
                Token::Other
            }
            _ => self.single(Token::Other),
        }
    }

    fn single(&mut self, token: Token) -> Token {
        self.at += 1;
        token
    }

    fn block_comment(&mut self) -> Token {
        let mut depth = 0_usize;
        loop {
            match (self.byte(0), self.byte(1)) {
                (Some(b'/'), Some(b'*')) => (depth, self.at) = (depth + 1, self.at + 2),
                (Some(b'*'), Some(b'/')) => (depth, self.at) = (depth - 1, self.at + 2),
                (Some(_), _) => self.at += 1,
                (None, _) => return Token::Comment,
            }
            if depth == 0 {
                return Token::Comment;
            }
        }
    }

    /// A text in `quote`s, where a doubled quote stands for one; with `escapes`, a backslash takes the next byte along.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Token {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at += 1;
            } else if byte == quote && self.byte(0) != Some(quote) {
                break;
            } else if byte == quote {
                self.at += 1;
            }
        }
        self.at = self.at.min(self.sql.len());
        Token::Quoted
    }

    /// `E'…'` and its continuations: strings that follow after a line break belong to it and keep its escapes.
    fn escape_string(&mut self) -> Token {
        self.at += 1;
        loop {
            self.quoted(b'\'', true);
            let rest = &self.sql[self.at..];
            let gap = rest.len() - rest.trim_start_matches(is_space).len();
            if !rest[..gap].contains('\n') || !rest[gap..].starts_with('\'') {
                return Token::Quoted;
            }
            self.at += gap;
        }
    }

    /// `$tag$ … $tag$`, or a lone `$` as in `$1`.
    fn dollar(&mut self) -> Token {
        let rest = &self.sql[self.at..];
        let tag = rest[1..].bytes().take_while(|byte| is_word_part(*byte) && *byte != b'$').count();
        let starts_well =
            tag == 0 || rest.as_bytes().get(1).is_some_and(|byte| is_word_start(*byte));
        if !starts_well || rest.as_bytes().get(1 + tag) != Some(&b'$') {
            return self.single(Token::Other);
        }
        let delimiter = &rest[..tag + 2];
        self.at += delimiter.len();
        self.skip_past(delimiter);
        Token::Quoted
    }
}

impl Iterator for Lexer<'_> {
    type Item = (Token, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let token = self.token(self.byte(0)?);
        Some((token, start..self.at))
    }
}

/// PostgreSQL's notion of space, which is narrower than Unicode's.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        split(sql).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn semicolons_end_statements() {
        assert_eq!(
            texts("select 1; select 2 ;\n\n select 3"),
            ["select 1", "select 2", "select 3"]
        );
        assert_eq!(texts(" ;;  ; "), Vec::<&str>::new());
    }

    #[test]
    fn quoted_semicolons_do_not() {
        for sql in [
            "select 'a;b'",
            "select 'it''s; fine'",
            "select \"a;\"\";b\"",
            "select E'a\\';b'",
            "select e'a\\\\' || ';'",
            "select E'a'\n  '\\';b'",
            "select $$a;b$$",
            "select $tag$a;$$;$ta$;b$tag$",
            "select $é$;$é$",
            "select 1 -- a;b",
            "select /* a; /* b; */ c; */ 1",
            "create rule r as on insert to t do also (select 1; select 2)",
            "select U&'\\;'",
        ] {
            assert_eq!(texts(&format!("{sql}\n; select 2")), [sql, "select 2"], "{sql}");
        }
    }

    #[test]
    fn a_backslash_escapes_only_in_escape_strings() {
        assert_eq!(texts("select 'a\\'; select 2"), ["select 'a\\'", "select 2"]);
    }

    #[test]
    fn parameters_and_identifiers_with_dollars_open_no_quote() {
        assert_eq!(
            texts("select $1; select a$b$c; select $2"),
            ["select $1", "select a$b$c", "select $2"]
        );
    }

    #[test]
    fn a_function_body_in_standard_sql_is_one_statement() {
        let body = "create or replace function f(a int) returns int language sql\nbegin atomic\n  \
            select case when a > 0 then 1 else 2 end;\n  select 3;\nend";
        assert_eq!(texts(&format!("{body}; select 1;")), [body, "select 1"]);
        assert_eq!(
            texts("begin; select 1; end; select 2"),
            ["begin", "select 1", "end", "select 2"]
        );
    }

    #[test]
    fn comments_belong_to_the_statement_after_them() {
        let sql = "-- first\nselect 1;\n-- second\n  select 2; -- the end";
        let statements = split(sql);
        assert_eq!(statements[1].text, "-- second\n  select 2");
        assert_eq!(&sql[statements[1].start..][..9], "-- second");
        assert_eq!(&sql[statements[1].code..][..8], "select 2");
        assert_eq!(statements.len(), 2);
    }

    #[test]
    fn texts_that_mean_the_same_are_equal_when_normalised() {
        let one = "create table t (id int); -- why";
        let two = "/* new */ create  table t\n(id int)\n;";
        assert_eq!(normalised(one), normalised(two));
        assert_ne!(normalised(one), normalised("create table t (id bigint)"));
        assert_ne!(normalised("select 'a  b'"), normalised("select 'a b'"));
    }

    #[test]
    fn first_words_leave_out_parentheses_and_case() {
        assert_eq!(
            words("REINDEX (verbose) table Concurrently t", 3),
            ["reindex", "table", "concurrently"]
        );
    }

    /// Pieces that hide a semicolon, or have none.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-df-z_é][a-z0-9_]{0,6}",
            "'([a-z; ]|'')*'",
            "\"([a-z; ]|\"\")+\"",
            "E'([a-z; ]|''|\\\\.)*'",
            Just("$$ ; ' \" -- $$".to_owned()),
            "\\$q\\$([a-z;' ]|\\$ )*\\$q\\$",
            "/\\*[a-z;' ]*\\*/",
            "--[a-z;' ]*\n",
            "\\([a-z; ]*\\)",
            "[0-9]{1,3}",
            "[=<>+]",
        ]
    }

    proptest! {
        #[test]
        fn statements_come_back_as_they_were_joined(
            statements in prop::collection::vec(prop::collection::vec(piece(), 1..6), 1..6),
        ) {
            let wanted: Vec<String> =
                statements.iter().map(|pieces| format!("x {} y", pieces.join(" "))).collect();
            let joined = wanted.join(" ;\n");
            prop_assert_eq!(texts(&joined), wanted);
        }

        #[test]
        fn any_text_is_cut_into_tokens_that_are_the_whole(sql in "([;'\"$()/*\\\\eE-]|begin|end|case|create function|\\PC|\n){0,40}") {
            let mut end = 0;
            for (_, range) in Lexer::new(&sql) {
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start);
                prop_assert!(sql.is_char_boundary(range.end));
                end = range.end;
            }
            prop_assert_eq!(end, sql.len());
            for statement in split(&sql) {
                prop_assert_eq!(&sql[statement.start..][..statement.text.len()], statement.text);
                prop_assert!(statement.code >= statement.start);
            }
        }
    }
}
