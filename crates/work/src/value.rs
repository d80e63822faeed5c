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
    let quoted = |value: &str| format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
    let values: Vec<String> = values.into_iter().map(quoted).collect();
    text(format!("{{{}}}", values.join(",")))
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
    }
}
