//! SQL text that cannot hold anything a client wrote, except through quoting.

use bytes::Bytes;
use plinth_catalog::QualifiedName;

use crate::Statement;

/// A name that quotes itself: `weird"name` becomes `"weird""name"`.
///
/// PostgreSQL has no name with a NUL in it, so the name ends there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ident<'a>(pub(crate) &'a str);

impl Ident<'_> {
    fn push_to(self, text: &mut String) {
        let name = self.0.split('\0').next().unwrap_or_default();
        text.push('"');
        if name.contains('"') {
            text.push_str(&name.replace('"', "\"\""));
        } else {
            text.push_str(name);
        }
        text.push('"');
    }
}

/// The target of a `::cast` in a request: a type's name.
///
/// Names that are grammar rather than types, such as `double precision`, mean nothing or something
/// else when quoted; they are known here. Every other name is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CastType<'a>(&'a str);

/// Types that SQL's grammar knows by words of its own.
const TYPE_KEYWORDS: [&str; 24] = [
    "bigint",
    "bit",
    "bit varying",
    "boolean",
    "char",
    "char varying",
    "character",
    "character varying",
    "dec",
    "decimal",
    "double precision",
    "float",
    "int",
    "integer",
    "interval",
    "nchar",
    "numeric",
    "real",
    "smallint",
    "time with time zone",
    "time without time zone",
    "timestamp with time zone",
    "timestamp without time zone",
    "varchar",
];

impl<'a> CastType<'a> {
    /// Takes any text that is not blank.
    pub(crate) fn new(text: &'a str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then_some(Self(text))
    }
}

/// A statement under construction.
///
/// Text comes in only as literals of this crate, as quoted names and as text that the catalog read from
/// PostgreSQL; everything else is a parameter.
#[derive(Debug, Default)]
pub(crate) struct Sql {
    text: String,
    params: Vec<Option<Bytes>>,
}

impl Sql {
    pub(crate) fn new() -> Self {
        Self { text: String::with_capacity(256), params: Vec::with_capacity(4) }
    }

    /// Appends text of our own.
    pub(crate) fn raw(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends a quoted name.
    pub(crate) fn ident(&mut self, name: &str) -> &mut Self {
        Ident(name).push_to(&mut self.text);
        self
    }

    /// Appends `"schema"."name"`.
    pub(crate) fn qualified(&mut self, name: &QualifiedName) -> &mut Self {
        self.ident(&name.schema).raw(".").ident(&name.name)
    }

    /// Appends SQL text that PostgreSQL itself wrote into the catalog: a type's name, a default.
    pub(crate) fn catalog_text(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Appends the target of a cast, in lower case as PostgreSQL would read it.
    pub(crate) fn cast_type(&mut self, cast: CastType<'_>) -> &mut Self {
        let words = cast.0.split_ascii_whitespace().map(str::to_lowercase);
        let name = words.collect::<Vec<_>>().join(" ");
        match TYPE_KEYWORDS.iter().find(|keyword| **keyword == name) {
            Some(keyword) => self.raw(keyword),
            None => self.ident(&name),
        }
    }

    /// Appends a number of our own configuration.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.text.push_str(&number.to_string());
        self
    }

    /// Appends the quoted literal of a name that the catalog knows.
    pub(crate) fn name_literal(&mut self, name: &str) -> &mut Self {
        let escape = if name.contains('\\') { "E" } else { "" };
        let quoted = name.replace('\\', "\\\\").replace('\'', "''");
        self.text.push_str(escape);
        self.text.push('\'');
        self.text.push_str(&quoted);
        self.text.push('\'');
        self
    }

    /// Appends `$n` and binds it.
    pub(crate) fn param(&mut self, value: impl Into<Bytes>) -> &mut Self {
        self.param_or_null(Some(value.into()))
    }

    /// Appends `$n` and binds a copy of the text.
    pub(crate) fn text_param(&mut self, value: &str) -> &mut Self {
        self.param(Bytes::copy_from_slice(value.as_bytes()))
    }

    /// Appends `$n` and binds it, NULL when there is no value.
    pub(crate) fn param_or_null(&mut self, value: Option<Bytes>) -> &mut Self {
        self.params.push(value);
        self.text.push('$');
        let number = self.params.len();
        if number < 10 {
            self.text.push(char::from(b'0' + number as u8));
        } else {
            self.text.push_str(&number.to_string());
        }
        self
    }

    /// Appends `items` with `separator` between them.
    pub(crate) fn list<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut push: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.raw(separator);
            }
            push(self, item);
        }
        self
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn finish(self) -> Statement {
        Statement { sql: self.text.into(), params: self.params }
    }
}

/// The text of a one-dimensional array whose elements are all quoted. No text of PostgreSQL has a NUL
/// in it, so an element ends there.
pub(crate) fn array_literal<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::from("{");
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push('"');
        for c in value.chars().take_while(|c| *c != '\0') {
            if matches!(c, '"' | '\\') {
                text.push('\\');
            }
            text.push(c);
        }
        text.push('"');
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(name: &str) -> String {
        let mut sql = Sql::new();
        sql.ident(name);
        sql.text
    }

    #[test]
    fn names_are_quoted_and_their_quotes_doubled() {
        assert_eq!(quoted("plain"), "\"plain\"");
        assert_eq!(quoted("a\"; drop table x; --"), "\"a\"\"; drop table x; --\"");
        assert_eq!(quoted("cut\0off"), "\"cut\"");
    }

    #[test]
    fn casts_are_known_words_or_quoted() {
        let cast = |text| {
            let mut sql = Sql::new();
            sql.cast_type(CastType::new(text).unwrap());
            sql.text
        };
        assert_eq!(cast("Double  Precision"), "double precision");
        assert_eq!(cast("TEXT"), "\"text\"");
        assert_eq!(cast("int) from secrets --"), "\"int) from secrets --\"");
        assert!(CastType::new("  ").is_none());
    }

    #[test]
    fn array_elements_are_quoted_and_escaped() {
        assert_eq!(array_literal(["a", "b,c", "d\"e", "f\\"]), r#"{"a","b,c","d\"e","f\\"}"#);
        assert_eq!(array_literal([]), "{}");
        assert_eq!(array_literal(["cut\0off", "\0"]), r#"{"cut",""}"#);
    }

    #[test]
    fn literals_of_names_escape_quotes_and_backslashes() {
        let mut sql = Sql::new();
        sql.name_literal("it's").raw(" ").name_literal("a\\b");
        assert_eq!(sql.text, r"'it''s' E'a\\b'");
    }
}
