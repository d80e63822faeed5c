//! Places in the text of a manifest.

use std::ops::Range;

/// A text and where its lines begin.
#[derive(Debug, Clone)]
pub(super) struct Source {
    text: String,
    lines: Vec<usize>,
}

/// Where a text of the manifest stands in the file, and where in it a part begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextPlace {
    /// The value with its quotes, in bytes of the file.
    pub raw: Range<usize>,
    /// Bytes of the value before the part.
    pub skipped: usize,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { text: text.to_owned(), lines }
    }

    /// Line and column of a byte, both from 1; columns are characters.
    pub(super) fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        (line, self.text[start..offset].chars().count() + 1)
    }

    /// The byte of the file that is `offset` bytes into the part of a value.
    pub(super) fn in_text(&self, place: &TextPlace, offset: usize) -> usize {
        let raw = self.text.get(place.raw.clone()).unwrap_or_default();
        place.raw.start + raw_offset(raw, place.skipped + offset)
    }
}

/// Where the byte `wanted` of a TOML string's value stands in the string as it is written, quotes included.
fn raw_offset(raw: &str, wanted: usize) -> usize {
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| raw.starts_with(quote));
    let Some(quote) = quote else { return 0 };
    let mut at = quote.len();
    if quote.len() == 3 {
        // A line break right after the quotes belongs to them.
        let rest = &raw[at..];
        at += if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with('\n')) };
    }
    let end = raw.len().saturating_sub(quote.len()).max(at);
    if quote.starts_with('\'') {
        return (at + wanted).min(end);
    }
    let mut value = 0;
    while value < wanted && at < end {
        let (written, meant) = element(&raw[at..end]);
        at += written;
        value += meant;
    }
    at.min(end)
}

/// Bytes of the first character or escape of a basic string, as it is written and as it is meant.
fn element(rest: &str) -> (usize, usize) {
    let mut characters = rest.chars();
    let first = characters.next().map_or(1, char::len_utf8);
    if !rest.starts_with('\\') {
        return (first, first);
    }
    let digits = match characters.next() {
        Some('x') => 2,
        Some('u') => 4,
        Some('U') => 8,
        Some(' ' | '\t' | '\r' | '\n') => {
            // A backslash at the end of a line takes all space after it away.
            let gap = rest[1..].len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len();
            return (1 + gap, 0);
        }
        _ => return (2.min(rest.len()), 1),
    };
    let code = rest.get(2..2 + digits).and_then(|code| u32::from_str_radix(code, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_lines_and_characters() {
        let source = Source::new("a = 1\n\u{e4} = 2\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(4), (1, 5));
        assert_eq!(source.position(6), (2, 1));
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(9), (2, 3));
        assert_eq!(source.position(99), (3, 1));
        assert_eq!(Source::new("").position(0), (1, 1));
    }

    #[test]
    fn places_in_values_are_found_in_strings_of_every_kind() {
        for written in [
            "\"say \\\"hi\\\" \\u00e4 \\x41 mark\"",
            "'plain mark'",
            "'''\nfirst\n mark'''",
            "\"\"\"\r\nfirst \\\n    joined mark\"\"\"",
            "\"\"\"direct \u{e4} mark\"\"\"",
        ] {
            let value: String =
                toml::from_str::<toml::Table>(&format!("a = {written}")).unwrap()["a"]
                    .as_str()
                    .unwrap()
                    .to_owned();
            let found = raw_offset(written, value.find("mark").unwrap());
            assert_eq!(&written[found..][..4], "mark", "{written}");
        }
        assert_eq!(raw_offset("'ab'", 99), 3);
        assert_eq!(raw_offset("17", 1), 0);
    }
}
