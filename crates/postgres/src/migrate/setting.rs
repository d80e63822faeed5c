//! Settings of roles and databases, confined to the project.
//!
//! `alter role authenticated set statement_timeout = '15s'` is common in Supabase projects, whose cluster has one database.
//! Here the role is shared by all projects, so the owner role may not; the same for this project alone is
//! `plinth.set_setting(…)`, which also says which settings and roles are possible.

use super::split::{Lexer, Token};
use crate::quote::literal;

/// Roles that people give settings to and all projects share.
const SHARED_ROLES: [&str; 4] = ["anon", "authenticated", "service_role", "authenticator"];
/// What the one database of a Supabase project is called.
const USUAL_DATABASE: &str = "postgres";

/// The statement to run instead of `sql` in the project `project`, if `sql` sets or resets one setting of a shared role or
/// of the database.
pub(super) fn for_one_project(sql: &str, project: &str) -> Option<String> {
    let mut words = Words::new(sql);
    words.take("alter")?;
    let role = match words.identifier()?.as_str() {
        "role" | "user" => {
            let role = words.identifier().filter(|role| SHARED_ROLES.contains(&role.as_str()))?;
            if words.take("in").is_some() {
                words.take("database")?;
                words.database(project)?;
            }
            Some(role)
        }
        "database" => {
            words.database(project)?;
            None
        }
        _ => return None,
    };
    let (name, value) = match words.identifier()?.as_str() {
        "set" => {
            let name = words.setting()?;
            words.take("to").or_else(|| words.take("="))?;
            (name, words.value()?)
        }
        "reset" => (words.setting()?, None),
        _ => return None,
    };
    let or_null = |text: Option<String>| text.unwrap_or_else(|| "null".to_owned());
    let role = or_null(role.as_deref().map(literal));
    words.is_at_end().then(|| {
        format!("select plinth.set_setting({}, {}, {role})", literal(&name), or_null(value))
    })
}

/// The tokens of a statement that mean something, read from the front.
struct Words<'a> {
    tokens: Vec<(Token, &'a str)>,
    at: usize,
}

impl<'a> Words<'a> {
    fn new(sql: &'a str) -> Self {
        let tokens = Lexer::new(sql)
            .filter(|(token, _)| !matches!(token, Token::Space | Token::Comment))
            .map(|(token, range)| (token, &sql[range]))
            .collect();
        Self { tokens, at: 0 }
    }

    fn peek(&self) -> Option<(Token, &'a str)> {
        self.tokens.get(self.at).copied()
    }

    fn is_at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    /// Moves past `expected`, in any case.
    fn take(&mut self, expected: &str) -> Option<()> {
        let (token, text) = self.peek()?;
        let is_it = token != Token::Quoted && text.eq_ignore_ascii_case(expected);
        is_it.then(|| self.at += 1)
    }

    /// A name, as PostgreSQL understands it.
    fn identifier(&mut self) -> Option<String> {
        let name = match self.peek()? {
            (Token::Word, word) => word.to_ascii_lowercase(),
            (Token::Quoted, quoted) => {
                quoted.strip_prefix('"')?.strip_suffix('"')?.replace("\"\"", "\"")
            }
            _ => return None,
        };
        self.at += 1;
        Some(name)
    }

    fn database(&mut self, project: &str) -> Option<()> {
        let name = self.identifier()?;
        (name == USUAL_DATABASE || name == project).then_some(())
    }

    /// The name of a setting, with its dots.
    fn setting(&mut self) -> Option<String> {
        let mut name = self.identifier()?;
        while self.take(".").is_some() {
            name = format!("{name}.{}", self.identifier()?);
        }
        Some(name)
    }

    /// One value as an SQL literal; none for `default`.
    fn value(&mut self) -> Option<Option<String>> {
        let sign = if self.take("-").is_some() { "-" } else { "" };
        let (token, text) = self.peek()?;
        self.at += 1;
        match token {
            Token::Quoted if text.starts_with('"') => Some(Some(literal(text.trim_matches('"')))),
            Token::Quoted => Some(Some(text.to_owned())),
            Token::Word if text.eq_ignore_ascii_case("default") => Some(None),
            Token::Word | Token::Other => Some(Some(literal(&format!("{sign}{text}")))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_shared_roles_and_of_the_database_are_the_projects() {
        for (sql, arguments) in [
            (
                "alter role authenticated set statement_timeout = '15s'",
                "'statement_timeout', '15s', 'authenticated'",
            ),
            (
                "-- why\nALTER ROLE anon SET statement_timeout TO 1000",
                "'statement_timeout', '1000', 'anon'",
            ),
            (
                "alter role authenticator set pgrst.db_schemas = 'public, api'",
                "'pgrst.db_schemas', 'public, api', 'authenticator'",
            ),
            (
                "alter user anon in database postgres set lock_timeout to default",
                "'lock_timeout', null, 'anon'",
            ),
            (
                "alter role \"service_role\" reset statement_timeout",
                "'statement_timeout', null, 'service_role'",
            ),
            ("alter database postgres set \"app.a_b\" to 'it''s'", "'app.a_b', 'it''s', null"),
            ("alter database \"my-app\" set app.on = true", "'app.on', 'true', null"),
            (
                "alter database postgres set statement_timeout = -1",
                "'statement_timeout', '-1', null",
            ),
        ] {
            assert_eq!(
                for_one_project(sql, "my-app").as_deref(),
                Some(format!("select plinth.set_setting({arguments})").as_str()),
                "{sql}"
            );
        }
    }

    #[test]
    fn everything_else_is_left_to_postgresql() {
        for sql in [
            "alter role mine set statement_timeout = '1s'",
            "alter role anon superuser",
            "alter role anon in database other set app.x = '1'",
            "alter role anon set search_path = a, b",
            "alter role anon set app.x from current",
            "alter role anon reset",
            "alter database other set app.x = '1'",
            "alter table t set schema app",
            "select 'alter role anon set app.x = 1'",
            "alter role",
        ] {
            assert_eq!(for_one_project(sql, "my-app"), None, "{sql}");
        }
    }
}
