//! Values on their way to PostgreSQL, in text format.

use bytes::Bytes;

/// A parameter's value; `None` is NULL.
pub(crate) type Value = Option<Bytes>;

/// A number, or anything else whose text is its value.
pub(crate) fn text(value: impl ToString) -> Value {
    Some(Bytes::from(value.to_string()))
}

/// An array of numbers.
pub(crate) fn numbers<N: ToString>(values: impl IntoIterator<Item = N>) -> Value {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    text(format!("{{{}}}", values.join(",")))
}

/// An array of texts.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> Value {
    let values: Vec<String> = values.into_iter().map(quoted).collect();
    text(format!("{{{}}}", values.join(",")))
}

/// An array of texts and NULLs.
pub(crate) fn nullable_texts(values: &[Value]) -> Value {
    let written = values.iter().map(|value| match value {
        None => "NULL".to_owned(),
        Some(value) => quoted(&String::from_utf8_lossy(value)),
    });
    text(format!("{{{}}}", written.collect::<Vec<_>>().join(",")))
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: Value) -> String {
        String::from_utf8(value.unwrap().to_vec()).unwrap()
    }

    #[test]
    fn arrays_are_written_as_postgresql_reads_them() {
        assert_eq!(shown(numbers([1_i64, -2])), "{1,-2}");
        assert_eq!(shown(numbers::<i64>([])), "{}");
        assert_eq!(
            shown(texts(["a", "b \"c\" \\ {,}", "null"])),
            r#"{"a","b \"c\" \\ {,}","null"}"#
        );
        let mixed = [text("a,\"b"), None, text("NULL")];
        assert_eq!(shown(nullable_texts(&mixed)), r#"{"a,\"b",NULL,"NULL"}"#);
    }
}
