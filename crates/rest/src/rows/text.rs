//! Strings as `escape_json` writes them.

/// Appends `text` as a JSON string. It must be UTF-8, which PostgreSQL has seen to.
pub(super) fn string(json: &mut Vec<u8>, text: &[u8]) {
    json.push(b'"');
    let mut rest = text;
    loop {
        let plain = plain_prefix(rest);
        json.extend_from_slice(&rest[..plain]);
        let Some((&special, after)) = rest[plain..].split_first() else { break };
        escape(json, special);
        rest = after;
    }
    json.push(b'"');
}

/// Appends bytes that need no escape as a JSON string.
pub(super) fn quoted(json: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    json.push(b'"');
    write(json);
    json.push(b'"');
}

/// How many bytes stand for themselves before the first that does not.
fn plain_prefix(text: &[u8]) -> usize {
    let (words, tail) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return index * 8 + special.trailing_zeros() as usize / 8;
        }
    }
    let special = tail.iter().position(|&byte| byte < b' ' || byte == b'"' || byte == b'\\');
    words.len() * 8 + special.unwrap_or(tail.len())
}

/// The top bit of the lowest byte that must be escaped, and possibly of higher ones.
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    // A borrow can only reach bytes above one that was found, so the lowest is right.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | equal(b'"') | equal(b'\\')) & TOPS
}

fn escape(json: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' => b'"',
        b'\\' => b'\\',
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            json.extend_from_slice(b"\\u00");
            return hex(json, &[byte]);
        }
    };
    json.extend_from_slice(&[b'\\', short]);
}

/// Appends two lower-case digits per byte.
pub(super) fn hex(json: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        json.extend_from_slice(&digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place_is_escaped_or_left_alone() {
        for byte in 0..=127_u8 {
            let expected = match byte {
                b'"' => "\\\"".to_owned(),
                b'\\' => "\\\\".to_owned(),
                0x08 => "\\b".to_owned(),
                0x0c => "\\f".to_owned(),
                b'\n' => "\\n".to_owned(),
                b'\r' => "\\r".to_owned(),
                b'\t' => "\\t".to_owned(),
                0..0x20 => format!("\\u{byte:04x}"),
                _ => char::from(byte).to_string(),
            };
            for place in 0..20 {
                for filler in ["!", "ä", "\u{7f}"] {
                    let before = filler.repeat(place);
                    let text = format!("{before}{}{before}", char::from(byte));
                    let mut json = Vec::new();
                    string(&mut json, text.as_bytes());
                    let json = String::from_utf8(json).unwrap();
                    assert_eq!(json, format!("\"{before}{expected}{before}\""));
                }
            }
        }
    }
}
