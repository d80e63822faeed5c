//! Rows of a dump in SQL: `COPY … FROM stdin` blocks and `INSERT`s of constants. Everything else is passed over.

use std::io::BufRead;

use super::source::Source;
use super::{Event, MAX_ROW, ReadError, Record, Sink, Table};

/// Reads a whole dump.
pub(super) fn read(file: impl BufRead, sink: &mut Sink<'_>) -> Result<(), ReadError> {
    let mut dump = Dump { source: Source::new(file), sink };
    while dump.statement()? {}
    Ok(())
}

struct Dump<'a, 'b, R> {
    source: Source<R>,
    sink: &'a mut Sink<'b>,
}

/// The columns of a statement and the table whose rows it has.
struct Target {
    name: String,
    table: Option<Table>,
    columns: Vec<String>,
}

impl<R: BufRead> Dump<'_, '_, R> {
    /// Reads one statement; false at the end of the file.
    fn statement(&mut self) -> Result<bool, ReadError> {
        self.space()?;
        match self.source.peek()? {
            None => return Ok(false),
            Some(b'\\') => {
                // A command of psql, such as \restrict.
                self.source.line()?;
                return Ok(true);
            }
            Some(b';') => {
                self.source.next()?;
                return Ok(true);
            }
            Some(byte) if !is_word(byte) => {
                self.pass()?;
                return Ok(true);
            }
            Some(_) => {}
        }
        match self.word()?.as_str() {
            "copy" => self.copy()?,
            "insert" => self.insert()?,
            _ => self.pass()?,
        }
        Ok(true)
    }

    /// Passes over space and comments.
    fn space(&mut self) -> Result<(), ReadError> {
        loop {
            match self.source.peek()? {
                Some(byte) if byte.is_ascii_whitespace() || !byte.is_ascii() && byte >= 0xbb => {
                    self.source.next()?;
                }
                Some(b'-') => {
                    self.source.next()?;
                    if self.source.peek()? == Some(b'-') {
                        self.source.line()?;
                    }
                }
                Some(b'/') => {
                    self.source.next()?;
                    if self.source.peek()? == Some(b'*') {
                        self.comment()?;
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), ReadError> {
        let (mut depth, mut before) = (0, b'/');
        while let Some(byte) = self.source.next()? {
            match (before, byte) {
                (b'/', b'*') => (depth, before) = (depth + 1, 0),
                (b'*', b'/') => (depth, before) = (depth - 1, 0),
                _ => before = byte,
            }
            if depth == 0 {
                return Ok(());
            }
        }
        Err(self.source.error("a comment has no end"))
    }

    /// A word in lower case; empty when there is none.
    fn word(&mut self) -> Result<String, ReadError> {
        let mut word = Vec::new();
        while let Some(byte) = self.source.peek()?.filter(|byte| is_word(*byte)) {
            self.source.next()?;
            self.source.push(&mut word, byte.to_ascii_lowercase())?;
        }
        self.source.text(word)
    }

    fn expect(&mut self, byte: u8) -> Result<(), ReadError> {
        self.space()?;
        match self.source.next()? {
            Some(found) if found == byte => Ok(()),
            _ => Err(self.source.error(format!("{:?} is missing", char::from(byte)))),
        }
    }

    fn peek_is(&mut self, byte: u8) -> Result<bool, ReadError> {
        self.space()?;
        Ok(self.source.peek()? == Some(byte))
    }

    /// A name, with or without quotes.
    fn name(&mut self) -> Result<String, ReadError> {
        self.space()?;
        if self.source.peek()? == Some(b'"') {
            let quoted = self.quoted(b'"', false)?;
            return self.source.text(quoted);
        }
        let name = self.word()?;
        if name.is_empty() { Err(self.source.error("a name is missing")) } else { Ok(name) }
    }

    /// What stands between quotes; a doubled quote is one. With `escapes` as in `E'…'`.
    fn quoted(&mut self, quote: u8, escapes: bool) -> Result<Vec<u8>, ReadError> {
        self.source.next()?;
        let mut value = Vec::new();
        while let Some(byte) = self.source.next()? {
            if byte == quote {
                if self.source.peek()? != Some(quote) {
                    return Ok(value);
                }
                self.source.next()?;
            } else if escapes && byte == b'\\' {
                let escaped = self.escaped()?;
                self.source.push(&mut value, escaped)?;
                continue;
            }
            self.source.push(&mut value, byte)?;
        }
        Err(self.source.error("a quoted text has no end"))
    }

    /// The byte that the rest of an escape stands for.
    fn escaped(&mut self) -> Result<u8, ReadError> {
        match self.source.next()? {
            Some(byte @ (b'u' | b'U' | b'x' | b'0'..=b'7')) => {
                let what = format!("the escape \\{} is not understood", char::from(byte));
                Err(self.source.error(what))
            }
            Some(byte) => Ok(unescaped(byte)),
            None => Err(self.source.error("a quoted text has no end")),
        }
    }

    /// `schema.table (columns)`, of which the columns may be missing.
    fn target(&mut self) -> Result<Target, ReadError> {
        let mut name = self.name()?;
        if self.peek_is(b'.')? {
            self.source.next()?;
            name = format!("{name}.{}", self.name()?);
        }
        let mut columns = Vec::new();
        if self.peek_is(b'(')? {
            self.source.next()?;
            loop {
                columns.push(self.name()?);
                if !self.peek_is(b',')? {
                    break;
                }
                self.source.next()?;
            }
            self.expect(b')')?;
        }
        let table = Table::named(&name);
        if table.is_some() && columns.is_empty() {
            return Err(self.source.error(format!("the rows of {name} do not name their columns")));
        }
        Ok(Target { name, table, columns })
    }

    /// `copy auth.users (…) from stdin;` and its lines.
    fn copy(&mut self) -> Result<(), ReadError> {
        let target = self.target()?;
        let mut words = Vec::new();
        while !self.peek_is(b';')? {
            let word = self.word()?;
            if word.is_empty() {
                return Err(self.source.error("this COPY is not understood"));
            }
            words.push(word);
        }
        self.source.next()?;
        if words != ["from", "stdin"] {
            return Err(self.source.error("only COPY … FROM stdin without options is understood"));
        }
        self.source.line()?;
        loop {
            let at = self.source.line;
            let Some(line) = self.source.line()? else {
                return Err(self.source.error("the dump ends within a block of rows"));
            };
            if line == b"\\." {
                return Ok(());
            }
            let event = match target.table {
                None => Event::Other(target.name.clone()),
                Some(table) => Event::Row(self.copied(table, &target.columns, at, &line)?),
            };
            (self.sink)(event)?;
        }
    }

    fn copied(
        &self,
        table: Table,
        columns: &[String],
        line: u64,
        text: &[u8],
    ) -> Result<Record, ReadError> {
        let fields: Vec<&[u8]> = text.split(|byte| *byte == b'\t').collect();
        if fields.len() != columns.len() {
            let what = format!("{} values for {} columns", fields.len(), columns.len());
            return Err(ReadError::syntax(line, what));
        }
        let mut values = Vec::with_capacity(fields.len());
        for field in fields {
            values.push(copy_value(field).map_err(|what| ReadError::syntax(line, what))?);
        }
        let texts = columns.iter().map(String::as_str).zip(values);
        Record::of_texts(table, line, texts).map_err(|what| ReadError::syntax(line, what))
    }

    /// `insert into auth.users (…) values (…), (…);`
    fn insert(&mut self) -> Result<(), ReadError> {
        self.space()?;
        if self.word()? != "into" {
            return self.pass();
        }
        let target = self.target()?;
        let Some(table) = target.table else {
            (self.sink)(Event::Other(target.name))?;
            return self.pass();
        };
        loop {
            self.space()?;
            match self.word()?.as_str() {
                "values" => break,
                "overriding" | "system" | "user" | "value" => {}
                _ => return Err(self.source.error("only INSERTs of constants are understood")),
            }
        }
        loop {
            self.space()?;
            let line = self.source.line;
            let values = self.tuple()?;
            if values.len() != target.columns.len() {
                let what = format!("{} values for {} columns", values.len(), target.columns.len());
                return Err(ReadError::syntax(line, what));
            }
            let texts = target.columns.iter().map(String::as_str).zip(values);
            let record = Record::of_texts(table, line, texts)
                .map_err(|what| ReadError::syntax(line, what))?;
            (self.sink)(Event::Row(record))?;
            if !self.peek_is(b',')? {
                return self.pass();
            }
            self.source.next()?;
        }
    }

    /// `(constant, constant)`
    fn tuple(&mut self) -> Result<Vec<Option<String>>, ReadError> {
        self.expect(b'(')?;
        let (mut values, mut bytes) = (Vec::new(), 0);
        loop {
            let value = self.constant()?;
            bytes += value.as_ref().map_or(0, String::len);
            if bytes > MAX_ROW {
                return Err(self.source.error(format!("a row has more than {MAX_ROW} bytes")));
            }
            values.push(value);
            if !self.peek_is(b',')? {
                break;
            }
            self.source.next()?;
        }
        self.expect(b')')?;
        Ok(values)
    }

    fn constant(&mut self) -> Result<Option<String>, ReadError> {
        self.space()?;
        let value = match self.source.peek()? {
            Some(b'\'') => Some(self.quoted(b'\'', false)?),
            Some(byte) if is_word(byte) || matches!(byte, b'+' | b'.') => {
                self.source.next()?;
                let mut text = vec![byte];
                while let Some(byte) =
                    self.source.peek()?.filter(|byte| is_word(*byte) || *byte == b'.')
                {
                    self.source.next()?;
                    self.source.push(&mut text, byte)?;
                }
                match (text.to_ascii_lowercase().as_slice(), self.source.peek()?) {
                    (b"e", Some(b'\'')) => Some(self.quoted(b'\'', true)?),
                    (b"null" | b"default", _) => None,
                    (b"true" | b"false", _) => Some(text),
                    _ if byte.is_ascii_digit() || byte == b'.' => Some(text),
                    _ => return Err(self.source.error("only constants are understood")),
                }
            }
            _ => return Err(self.source.error("only constants are understood")),
        };
        // A cast says what the column says anyway.
        while self.peek_is(b':')? {
            self.source.next()?;
            self.expect(b':')?;
            self.target()?;
        }
        value.map(|value| self.source.text(value)).transpose()
    }

    /// Passes over the rest of a statement.
    fn pass(&mut self) -> Result<(), ReadError> {
        loop {
            self.space()?;
            match self.source.peek()? {
                None => return Ok(()),
                Some(b';') => {
                    self.source.next()?;
                    return Ok(());
                }
                Some(quote @ (b'\'' | b'"')) => drop(self.quoted(quote, false)?),
                Some(b'$') => self.dollar_quoted()?,
                Some(byte) if is_word(byte) => {
                    let word = self.word()?;
                    if word == "e" && self.source.peek()? == Some(b'\'') {
                        self.quoted(b'\'', true)?;
                    }
                }
                Some(_) => {
                    self.source.next()?;
                }
            }
        }
    }

    /// Passes over `$tag$ … $tag$`, or over a dollar sign that is no quote.
    fn dollar_quoted(&mut self) -> Result<(), ReadError> {
        self.source.next()?;
        let mut tag = vec![b'$'];
        while let Some(byte) = self.source.peek()?.filter(|byte| is_word(*byte) && *byte != b'$') {
            self.source.next()?;
            self.source.push(&mut tag, byte)?;
        }
        if self.source.peek()? != Some(b'$') {
            return Ok(());
        }
        self.source.next()?;
        tag.push(b'$');
        let mut end = Vec::with_capacity(tag.len());
        while end != tag {
            let Some(byte) = self.source.next()? else {
                return Err(self.source.error("a dollar-quoted text has no end"));
            };
            if end.len() == tag.len() {
                end.remove(0);
            }
            end.push(byte);
        }
        Ok(())
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What a letter behind a backslash stands for, in `COPY` and in `E'…'`.
fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        other => other,
    }
}

/// A value of COPY's text format.
fn copy_value(field: &[u8]) -> Result<Option<String>, String> {
    if field == b"\\N" {
        return Ok(None);
    }
    let mut value = Vec::with_capacity(field.len());
    let mut bytes = field.iter().copied();
    while let Some(byte) = bytes.next() {
        value.push(match byte {
            b'\\' => unescaped(bytes.next().ok_or("a value ends in a backslash")?),
            byte => byte,
        });
    }
    String::from_utf8(value).map(Some).map_err(|_not_utf8| "the text is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const A: &str = "6f1e9b2a-0d3c-4f6a-9c55-0a1b2c3d4e5f";

    fn events(dump: &str) -> Result<Vec<Event>, ReadError> {
        let mut events = Vec::new();
        let mut sink = |event| {
            events.push(event);
            Ok(())
        };
        read(dump.as_bytes(), &mut sink)?;
        Ok(events)
    }

    fn users(dump: &str) -> Vec<serde_json::Value> {
        let events = events(dump).unwrap();
        let rows = events.into_iter().filter_map(|event| match event {
            Event::Row(row) => Some(serde_json::Value::Object(row.columns)),
            Event::Other(_) => None,
        });
        rows.collect()
    }

    #[test]
    fn blocks_of_copy_are_read_with_their_escapes() {
        let dump = format!(
            "\\restrict x\n-- a dump\nSET x = 'a;b';\nselect pg_catalog.set_config('search_path', '', false);\n\n\
             COPY auth.users (id, email, phone, raw_user_meta_data) FROM stdin;\n\
             {A}\ta@x.org\t\\N\t{{\"n\": \"a\\\\nb\\tc\"}}\n\\.\n\n\
             COPY \"public\".\"things\" (\"id\") FROM stdin;\n1\n2\n\\.\n"
        );
        let dump = dump.replace("\\tc", "\\\\tc");
        let found = events(&dump).unwrap();
        assert_eq!(
            users(&dump),
            [json!({"id": A, "email": "a@x.org", "raw_user_meta_data": {"n": "a\nb\tc"}})]
        );
        let other = Event::Other("public.things".to_owned());
        assert_eq!(found[1..], [other.clone(), other]);
        let Event::Row(row) = &found[0] else { panic!() };
        assert_eq!(row.line, 7);
    }

    #[test]
    fn inserts_of_many_rows_are_read_one_by_one() {
        let dump = format!(
            "INSERT INTO \"auth\".\"users\" (\"id\", \"email\", \"is_sso_user\", \"phone\", \"encrypted_password\") VALUES\n\
             \t('{A}', 'o''neil@x.org', false, NULL, E'a\\'\\\\b'),\n\
             \t('{A}'::uuid, 'b@x.org'::character varying, true, default, '$2a$10$x') on conflict do nothing;\n\
             INSERT INTO public.x VALUES (1, ';', $q$ ;'( $q$), (now());\n\
             /* not /* this */ one */ insert into auth.users (email) values ('c@x.org');"
        );
        let dump = dump.replace("character varying", "varchar");
        let found = users(&dump);
        assert_eq!(
            found[0],
            json!({"id": A, "email": "o'neil@x.org", "is_sso_user": "false", "encrypted_password": "a'\\b"})
        );
        assert_eq!(found[1]["encrypted_password"], "$2a$10$x");
        assert_eq!(found[2], json!({"email": "c@x.org"}));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn functions_and_triggers_of_a_full_dump_are_passed_over() {
        let dump = "create function x() returns trigger as $$ begin insert into auth.users (id) values (1); end $$;\n\
                    create table a (b text default 'it''s; so', \"c;\" int); $1; select E'\\'; insert';\n\
                    insert into auth.users (email) values ('a@x.org')";
        assert_eq!(users(dump), [json!({"email": "a@x.org"})]);
    }

    #[test]
    fn what_is_not_understood_is_refused_with_its_line() {
        for (dump, line) in [
            ("\ninsert into auth.users values ('a')", 2),
            ("insert into auth.users (id) values (gen_random_uuid());", 1),
            ("insert into auth.users (id)\nselect 1;", 2),
            ("insert into auth.users (id, email) values\n('a');", 2),
            ("insert into auth.users (email) values ('a", 1),
            ("copy auth.users (email) from stdin with csv;\na\n", 1),
            ("copy auth.users (id, email) from stdin;\na\n", 2),
            ("copy auth.users (id) from stdin;\nnonsense\n", 2),
            ("/* ", 1),
        ] {
            match events(dump) {
                Err(ReadError::Syntax { line: found, .. }) => assert_eq!(found, line, "{dump}"),
                other => panic!("{dump}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_dump_that_is_cut_off_is_refused() {
        let dump = "copy auth.users (email) from stdin;\na@x.org\nb@x.org";
        assert!(matches!(events(dump), Err(ReadError::Syntax { .. })));
    }
}
