//! Lists of values: the operand of `in`.

use super::cursor::{Cursor, Expected};
use super::field::{self, Text};

/// `(a,"b,c",d)`
pub(super) fn list<'a>(cursor: &mut Cursor<'a>) -> Option<Vec<Text<'a>>> {
    cursor.blanks();
    if !cursor.token("(") {
        return None;
    }
    cursor.blanks();
    let mut items = Vec::new();
    loop {
        items.push(element(cursor));
        if cursor.peek() == Some(',') {
            cursor.advance(1);
            continue;
        }
        cursor.miss(Expected::Token(","));
        cursor.blanks();
        return if cursor.token(")") { Some(items) } else { None };
    }
}

/// A quoted value that is followed by `,` or `)`, else everything up to one of these.
pub(super) fn element<'a>(cursor: &mut Cursor<'a>) -> Text<'a> {
    if cursor.peek() == Some('"') {
        let mark = cursor.mark();
        if let Some(text) = field::quoted(cursor)
            && matches!(cursor.peek(), None | Some(',' | ')'))
        {
            return text;
        }
        cursor.forget(mark);
    }
    let rest = cursor.rest();
    let length = rest.find([',', ')']).unwrap_or(rest.len());
    if length == 0 {
        cursor.miss(Expected::Token("\""));
    }
    cursor.advance(length);
    Text::Borrowed(&rest[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Vec<Text<'_>> {
        list(&mut Cursor::new(text)).unwrap()
    }

    fn failure(text: &str) -> String {
        let mut cursor = Cursor::new(text);
        assert!(list(&mut cursor).is_none(), "{text}");
        let error = cursor.error("s", 0);
        format!("{} {}", error.message, error.details.as_str().unwrap())
    }

    #[test]
    fn lists_hold_quoted_and_bare_values() {
        let items = parse(r#"(a,"b,(c)","d\"e", f g,"h"i,)"#);
        assert_eq!(items, ["a", "b,(c)", "d\"e", " f g", "\"h\"i", ""]);
        assert_eq!(parse("()"), [""]);
        assert_eq!(parse("  ( a )"), ["a "]);
    }

    #[test]
    fn an_open_list_says_what_it_lacks() {
        let end =
            |column| format!("\"s\" (line 1, column {column}) unexpected end of input expecting");
        assert_eq!(failure("(1,2"), format!("{} \",\" or \")\"", end(5)));
        assert_eq!(failure("("), format!(r#"{} "\"", "," or ")""#, end(2)));
        assert_eq!(failure("(1,"), format!(r#"{} "\"", "," or ")""#, end(4)));
    }
}
