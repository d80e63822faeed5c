//! Fields that are null: clients write them for what they have not got, so they count as absent.

use serde::{Deserialize, Deserializer};

/// Reads a field whose null stands for the default: `#[serde(default, deserialize_with = "or_default")]`.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Body {
        #[serde(default, deserialize_with = "or_default")]
        text: String,
    }

    #[test]
    fn null_is_nothing() {
        let text = |json| serde_json::from_str::<Body>(json).map(|body| body.text).ok();
        assert_eq!(text(r#"{"text": null}"#).as_deref(), Some(""));
        assert_eq!(text("{}").as_deref(), Some(""));
        assert_eq!(text(r#"{"text": "a"}"#).as_deref(), Some("a"));
        assert_eq!(text(r#"{"text": 1}"#), None);
    }
}
