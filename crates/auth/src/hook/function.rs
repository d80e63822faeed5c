//! Hooks that are functions of the project's database.

use std::time::Duration;

use plinth_wire::WireError;

use super::HookError;
use super::uri::UriError;

/// How long a function may run. To be set as `statement_timeout` of its transaction.
pub const FUNCTION_TIMEOUT: Duration = Duration::from_secs(2);

/// SQLSTATE of a statement that took too long.
const QUERY_CANCELED: &str = "57014";

/// Characters of a name (PostgreSQL's `NAMEDATALEN` less one).
const MAX_NAME: usize = 63;

/// A function `(jsonb) returns jsonb` (or `json`, or `void`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionHook {
    schema: String,
    function: String,
    /// The statement that calls it: one parameter, the payload as `jsonb`; one row with one nullable
    /// text, the answer for [`interpret`](super::interpret). Run it as the role that owns the auth
    /// schema, with [`FUNCTION_TIMEOUT`].
    pub sql: String,
}

impl FunctionHook {
    /// # Errors
    ///
    /// [`UriError::Name`] unless both are plain names: letters, digits and `_`, not beginning with a
    /// digit, 63 at most.
    pub(super) fn new(schema: &str, function: &str) -> Result<Self, UriError> {
        for name in [schema, function] {
            if !is_plain(name) {
                return Err(UriError::Name(name.to_owned()));
            }
        }
        // A plain name has no quote in it; quoting keeps its case and frees it from being a keyword.
        let sql = format!(r#"select "{schema}"."{function}"($1::jsonb)::text"#);
        Ok(Self { schema: schema.to_owned(), function: function.to_owned(), sql })
    }

    /// What it means that [`FunctionHook::sql`] failed.
    ///
    /// # Errors
    ///
    /// `source` again, when the database is at fault and not the function.
    pub fn failed(&self, source: WireError) -> Result<HookError, WireError> {
        match source {
            WireError::Database(error) if error.code == QUERY_CANCELED => {
                Ok(HookError::FunctionTimeout)
            }
            WireError::Database(_) => {
                let (schema, function) = (self.schema.clone(), self.function.clone());
                Ok(HookError::Function { schema, function, source })
            }
            other => Err(other),
        }
    }

    /// `schema.function`, for logs.
    pub fn name(&self) -> String {
        format!("{}.{}", self.schema, self.function)
    }
}

fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    begins
        && name.len() <= MAX_NAME
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_called_by_its_quoted_name() {
        let hook = FunctionHook::new("public", "Add_claims").unwrap();
        insta::assert_snapshot!(hook.sql, @r#"select "public"."Add_claims"($1::jsonb)::text"#);
        assert_eq!(hook.name(), "public.Add_claims");
    }

    #[test]
    fn a_name_with_anything_else_is_refused() {
        let long = "x".repeat(64);
        for name in ["", "1a", "a b", "a\"b", "a;b", "a.b", "a-b", "é", "a\0", long.as_str()] {
            assert_eq!(FunctionHook::new("public", name), Err(UriError::Name(name.to_owned())));
            assert_eq!(FunctionHook::new(name, "hook"), Err(UriError::Name(name.to_owned())));
        }
        assert!(FunctionHook::new("_s", &"x".repeat(63)).is_ok());
    }
}
