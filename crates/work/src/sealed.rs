//! Sealed values on their way to an action: opened in memory for it alone, and taken out of what comes back.

use std::pin::Pin;

use plinth_wire::Secret;
use serde_json::Value;

/// What stands where a secret stood.
const HIDDEN: &str = "[sealed]";

/// Shorter secrets are not looked for in what comes back: they are in too many words by chance.
const SHORTEST: usize = 6;

/// Why a value was not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unopened {
    /// It never will be.
    Never(String),
    /// The key is not here, now.
    NoKey(String),
}

/// An opened value, boxed like the work of actions.
pub type Opening<'a> = Pin<Box<dyn Future<Output = Result<Secret, Unopened>> + Send + 'a>>;

/// Who opens what sealed columns hold.
pub trait Opener: Send + Sync {
    /// Opens a text of a sealed column.
    fn open<'a>(&'a self, sealed: &'a str) -> Opening<'a>;
}

/// Opens the values at these paths, in place; gives the secrets that were in them. What is missing, null or empty is left.
pub(crate) async fn open_at(
    opener: Option<&dyn Opener>,
    value: &mut Value,
    paths: &[String],
) -> Result<Vec<Secret>, Unopened> {
    let mut secrets = Vec::new();
    for path in paths {
        let Some(found) = at(value, path) else { continue };
        let sealed = match found {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text.as_str(),
            _ => return Err(Unopened::Never(format!("`open`: `{path}` is no text"))),
        };
        let about = |why: &str| format!("`open`: `{path}`: {why}");
        let opener =
            opener.ok_or_else(|| Unopened::NoKey(about("nobody opens sealed values here")))?;
        let secret = opener.open(sealed).await.map_err(|error| match error {
            Unopened::Never(why) => Unopened::Never(about(&why)),
            Unopened::NoKey(why) => Unopened::NoKey(about(&why)),
        })?;
        *found = Value::String(secret.expose().to_owned());
        secrets.push(secret);
    }
    Ok(secrets)
}

/// The value at a path of keys, and of places in lists.
fn at<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Object(fields) => fields.get_mut(part),
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Takes secrets out of a value that came back, word for word as they are.
pub(crate) fn hide(value: &mut Value, secrets: &[Secret]) {
    match value {
        Value::String(text) => hide_in_text(text, secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, secrets)),
        Value::Object(fields) => {
            if fields.keys().any(|key| secrets.iter().any(|secret| is_in(key, secret))) {
                *fields = std::mem::take(fields)
                    .into_iter()
                    .map(|(mut key, value)| {
                        hide_in_text(&mut key, secrets);
                        (key, value)
                    })
                    .collect();
            }
            fields.values_mut().for_each(|value| hide(value, secrets));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The same in a text, whose end may have been cut off in the middle of one.
pub(crate) fn hide_in_text(text: &mut String, secrets: &[Secret]) {
    for secret in secrets {
        if is_in(text, secret) {
            *text = text.replace(secret.expose(), HIDDEN);
        }
        let secret = secret.expose();
        let begins =
            |length: &usize| secret.is_char_boundary(*length) && text.ends_with(&secret[..*length]);
        if let Some(length) = (SHORTEST..secret.len()).rev().find(begins) {
            text.truncate(text.len() - length);
            text.push_str(HIDDEN);
        }
    }
}

fn is_in(text: &str, secret: &Secret) -> bool {
    secret.expose().len() >= SHORTEST && text.contains(secret.expose())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Upper;

    impl Opener for Upper {
        fn open<'a>(&'a self, sealed: &'a str) -> Opening<'a> {
            Box::pin(async move {
                match sealed.strip_prefix("s:") {
                    Some(plain) => Ok(Secret::new(plain.to_uppercase())),
                    None => Err(Unopened::Never("it is not sealed".to_owned())),
                }
            })
        }
    }

    async fn opened(mut value: Value, paths: &[&str]) -> Result<(Value, usize), Unopened> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let secrets = open_at(Some(&Upper), &mut value, &paths).await?;
        Ok((value, secrets.len()))
    }

    #[tokio::test]
    async fn values_at_paths_are_opened_and_what_is_not_there_is_left() {
        let value = json!({"a": {"t": "s:x", "u": "s:y"}, "l": [{"t": "s:z"}], "n": null, "e": ""});
        let paths = ["a.t", "l.0.t", "l.1.t", "l.t", "a.t.v", "b.c", "n", "e"];
        let wanted = json!({"a": {"t": "X", "u": "s:y"}, "l": [{"t": "Z"}], "n": null, "e": ""});
        assert_eq!(opened(value, &paths).await.unwrap(), (wanted, 2));
        assert_eq!(opened(json!("text"), &["a"]).await.unwrap(), (json!("text"), 0));
    }

    #[tokio::test]
    async fn what_is_not_sealed_is_wrong_and_no_value_is_repeated() {
        let never = |text: &str| Err(Unopened::Never(format!("`open`: `a`{text}")));
        assert_eq!(opened(json!({"a": "plain"}), &["a"]).await, never(": it is not sealed"));
        assert_eq!(opened(json!({"a": 1}), &["a"]).await, never(" is no text"));
        let nobody = open_at(None, &mut json!({"a": "s:x"}), &["a".to_owned()]).await;
        assert!(matches!(nobody, Err(Unopened::NoKey(_))));
    }

    #[test]
    fn secrets_are_taken_out_of_what_comes_back() {
        let secrets = [Secret::new("hunter2-hunter2"), Secret::new("abc")];
        let mut value = json!({
            "echo": "Bearer hunter2-hunter2!", "hunter2-hunter2": [{"deep": "hunter2-hunter2"}], "n": 1, "abc": "abc",
        });
        hide(&mut value, &secrets);
        let wanted = json!({"echo": "Bearer [sealed]!", "[sealed]": [{"deep": "[sealed]"}], "n": 1, "abc": "abc"});
        assert_eq!(value, wanted);
        for (text, wanted) in [
            ("answered 500: hunter2-hunter2", "answered 500: [sealed]"),
            ("answered 500: hunter2-hun", "answered 500: [sealed]"),
            ("answered 500: hunt", "answered 500: hunt"),
        ] {
            let mut text = text.to_owned();
            hide_in_text(&mut text, &secrets);
            assert_eq!(text, wanted);
        }
    }
}
