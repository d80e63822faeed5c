//! Names and JSON paths, the smallest words of the language.

use std::borrow::Cow;

use super::cursor::{Cursor, Expected};

/// Text of the request: borrowed, unless unquoting changed it.
pub(crate) type Text<'a> = Cow<'a, str>;

/// What follows an arrow in a JSON path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonKey<'a> {
    /// Member of an object.
    Name(Text<'a>),
    /// Element of an array; digits with an optional minus sign.
    Index(&'a str),
}

/// One step of a JSON path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JsonStep<'a> {
    /// `->>` rather than `->`.
    pub(crate) as_text: bool,
    pub(crate) key: JsonKey<'a>,
}

/// A column, possibly with a path into its JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) path: Vec<JsonStep<'a>>,
}

impl<'a> Field<'a> {
    pub(crate) fn star() -> Self {
        Self { name: Cow::Borrowed("*"), path: Vec::new() }
    }
}

/// How messages describe a name.
pub(crate) const NAME: &str = "field name (* or [a..z0..9_$])";

/// `name` or `"quoted name"`; not an empty one, nor one with a NUL in it, because SQL has no such names.
pub(crate) fn name<'a>(cursor: &mut Cursor<'a>) -> Option<Text<'a>> {
    let name = cursor.labelled(NAME, |cursor| match cursor.peek() {
        Some('"') => quoted(cursor),
        _ => identifier_with_dashes(cursor).map(Cow::Borrowed),
    })?;
    if name.is_empty() || name.contains('\0') {
        cursor.miss(Expected::Label(NAME));
        return None;
    }
    Some(name)
}

/// Whether what is next can begin a name.
pub(crate) fn starts_name(cursor: &Cursor<'_>) -> bool {
    cursor.peek().is_some_and(|c| c == '"' || is_identifier(c))
}

/// `"…"` where a backslash takes the next character as it is.
pub(crate) fn quoted<'a>(cursor: &mut Cursor<'a>) -> Option<Text<'a>> {
    if !cursor.token("\"") {
        return None;
    }
    let rest = cursor.rest();
    let mut unescaped: Option<String> = None;
    let mut chars = rest.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => {
                cursor.advance(index + 1);
                return Some(unescaped.map_or(Cow::Borrowed(&rest[..index]), Cow::Owned));
            }
            '\\' => {
                let text = unescaped.get_or_insert_with(|| rest[..index].to_owned());
                match chars.next() {
                    Some((_, next)) => text.push(next),
                    None => break,
                }
            }
            c => {
                if let Some(text) = &mut unescaped {
                    text.push(c);
                }
            }
        }
    }
    cursor.advance(rest.len());
    cursor.miss(Expected::Token("\\"));
    cursor.miss(Expected::Token("\""));
    None
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ' ' | '$')
}

/// Letters, digits, `_`, `$` and blanks; blanks around it are dropped.
pub(crate) fn identifier<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let rest = cursor.rest();
    let length = rest.find(|c| !is_identifier(c)).unwrap_or(rest.len());
    cursor.advance(length);
    cursor.miss(Expected::Label("letter"));
    cursor.miss(Expected::Label("digit"));
    (length > 0).then(|| rest[..length].trim())
}

/// As [`identifier`], with single dashes inside; a dash that starts an arrow ends it.
fn identifier_with_dashes<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    with_dashes(cursor, is_identifier, true)
}

fn with_dashes<'a>(
    cursor: &mut Cursor<'a>,
    fits: fn(char) -> bool,
    named: bool,
) -> Option<&'a str> {
    let rest = cursor.rest();
    let mut length = 0;
    loop {
        let part = rest[length..].find(|c| !fits(c)).unwrap_or(rest.len() - length);
        length += part;
        if part == 0 {
            break;
        }
        let after = &rest[length..];
        if !after.starts_with('-') || after.starts_with("->") {
            break;
        }
        length += 1;
    }
    cursor.advance(length);
    if named {
        cursor.miss(Expected::Label("letter"));
        cursor.miss(Expected::Label("digit"));
    }
    if length == 0 {
        cursor.miss(Expected::Unnamed);
        return None;
    }
    if rest[..length].ends_with('-') {
        return None;
    }
    cursor.miss(Expected::Token("-"));
    Some(rest[..length].trim())
}

/// JSON paths of more steps than this are refused: PostgreSQL nests an expression for each.
const MAX_STEPS: usize = 256;

/// Zero or more `->key`, `->>key`, `->0`.
pub(crate) fn json_path<'a>(cursor: &mut Cursor<'a>) -> Option<Vec<JsonStep<'a>>> {
    let mut steps = Vec::new();
    loop {
        if steps.len() == MAX_STEPS {
            cursor.miss(Expected::Label("a shorter JSON path"));
            return None;
        }
        let as_text = if cursor.token("->>") {
            true
        } else if cursor.token("->") {
            false
        } else {
            return Some(steps);
        };
        steps.push(JsonStep { as_text, key: json_key(cursor)? });
    }
}

fn json_key<'a>(cursor: &mut Cursor<'a>) -> Option<JsonKey<'a>> {
    let mark = cursor.mark();
    if let Some(index) = json_index(cursor) {
        return Some(JsonKey::Index(index));
    }
    cursor.rewind(mark);
    let label = "any non reserved character different from: .,>()";
    let key = cursor.labelled(label, |cursor| match cursor.peek() {
        Some('"') => quoted(cursor),
        _ => {
            let fits = |c| !matches!(c, '(' | '-' | ':' | '.' | ',' | '>' | ')');
            with_dashes(cursor, fits, false).map(Cow::Borrowed)
        }
    });
    key.map(JsonKey::Name)
}

fn json_index<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let rest = cursor.rest();
    let sign = usize::from(rest.starts_with('-'));
    if sign == 0 {
        cursor.miss(Expected::Token("-"));
    }
    let digits = rest[sign..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - sign);
    cursor.advance(sign + digits);
    cursor.miss(Expected::Label("digit"));
    if digits == 0 {
        return None;
    }
    let ends = ["->", "::", ".", ","].into_iter().any(|token| cursor.ahead(token));
    // A closing parenthesis ends an index too: `rel(data->0)`.
    let ends = ends || cursor.peek() == Some(')') || cursor.end();
    ends.then(|| &rest[..sign + digits])
}

/// A column with an optional JSON path; blanks around it are skipped.
pub(crate) fn field<'a>(cursor: &mut Cursor<'a>) -> Option<Field<'a>> {
    cursor.blanks();
    let name = name(cursor)?;
    let path = json_path(cursor)?;
    cursor.blanks();
    Some(Field { name, path })
}

/// `.`
pub(crate) fn delimiter(cursor: &mut Cursor<'_>) -> bool {
    let found = cursor.peek() == Some('.');
    if found {
        cursor.advance(1);
    } else {
        cursor.miss(Expected::Label("delimiter (.)"));
    }
    found
}

/// `a.b.column->path`: the embeds that lead to a field, and the field.
pub(crate) fn tree_path<'a>(cursor: &mut Cursor<'a>) -> Option<(Vec<Text<'a>>, Field<'a>)> {
    let mut names = vec![name(cursor)?];
    while delimiter(cursor) {
        names.push(name(cursor)?);
    }
    let last = names.pop()?;
    let path = json_path(cursor)?;
    Some((names, Field { name: last, path }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Field<'_>> {
        field(&mut Cursor::new(text))
    }

    fn failure(text: &str) -> (String, String) {
        let mut cursor = Cursor::new(text);
        assert!(json_path(&mut cursor).is_none(), "{text}");
        let error = cursor.error("s", 0);
        (error.message.clone(), error.details.as_str().unwrap_or_default().to_owned())
    }

    #[test]
    fn names_may_have_blanks_dashes_and_quotes() {
        assert_eq!(parse(" with spaces ").unwrap().name, "with spaces");
        assert_eq!(parse("with-dashes").unwrap().name, "with-dashes");
        assert_eq!(parse(r#""a\"b.c""#).unwrap().name, "a\"b.c");
        assert_eq!(parse("ünïcode").unwrap().name, "ünïcode");
        assert_eq!(parse("$").unwrap().name, "$");
        assert!(parse(":").is_none());
        assert!(parse("\"open").is_none());
        for nameless in ["", " ", "\"\"", "\"\0\"", "->x"] {
            assert!(parse(nameless).is_none(), "{nameless:?}");
        }
        assert_eq!(parse("d->\"\"").unwrap().path[0].key, JsonKey::Name(Cow::Borrowed("")));
    }

    #[test]
    fn json_paths_have_keys_and_indexes() {
        let field = parse("data->a-b->>0").unwrap();
        assert_eq!(field.name, "data");
        assert_eq!(
            field.path,
            [
                JsonStep { as_text: false, key: JsonKey::Name(Cow::Borrowed("a-b")) },
                JsonStep { as_text: true, key: JsonKey::Index("0") },
            ]
        );
        let odd = parse("d->!@#$%^&*_a").unwrap();
        assert_eq!(odd.path[0].key, JsonKey::Name(Cow::Borrowed("!@#$%^&*_a")));
        assert_eq!(parse("d->>-1").unwrap().path[0].key, JsonKey::Index("-1"));
    }

    #[test]
    fn a_broken_path_says_where() {
        let (message, details) = failure("->>-78xy");
        assert_eq!(message, "\"s\" (line 1, column 7)");
        assert_eq!(
            details,
            "unexpected 'x' expecting digit, \"->\", \"::\", \".\", \",\" or end of input"
        );
        assert_eq!(failure("->>--34").1, "unexpected \"-\" expecting digit");
        assert_eq!(failure("->>-xy-4").1, "unexpected \"x\" expecting digit");
        let expected = "expecting \"-\", digit or any non reserved character different from: .,>()";
        assert_eq!(failure("->(x").1, format!("unexpected \"(\" {expected}"));
        assert_eq!(failure("->").1, format!("unexpected end of input {expected}"));
    }

    #[test]
    fn a_tree_path_splits_at_dots_outside_quotes() {
        let mut cursor = Cursor::new("a.\"b.c\".d->>e");
        let (path, field) = tree_path(&mut cursor).unwrap();
        assert_eq!(path, ["a", "b.c"]);
        assert_eq!((field.name.as_ref(), field.path.len()), ("d", 1));
    }
}
