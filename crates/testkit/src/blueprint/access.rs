//! `tests/access.toml`: who may do what with which row.

use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{KitError, read};
use crate::session::Identity;

/// The table of what every caller is allowed.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// The callers by name, `anon` and `service` included.
    pub callers: IndexMap<String, Caller>,
    /// One entry for each table, or several with different rows.
    pub tables: Vec<TableAccess>,
    /// One entry for each view, or several with different rows.
    pub views: Vec<ViewAccess>,
    /// `SECURITY DEFINER` functions that callers are meant to execute, as `name` or `schema.name`.
    pub definer: Vec<String>,
}

/// Who asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The user's id; none for `anon` and `service`.
    pub sub: Option<String>,
    /// The database role.
    #[serde(default = "authenticated")]
    pub role: String,
    /// The claim `email`.
    pub email: Option<String>,
    /// Further claims.
    #[serde(default)]
    pub claims: Map<String, Value>,
}

/// What callers may do with one row of a table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableAccess {
    /// `name` in schema `public`, or `schema.name`.
    pub name: String,
    /// What is special about the row, where a table has several entries.
    pub about: Option<String>,
    /// The condition that finds the row.
    pub row: String,
    /// A statement that inserts a row like it. At least one entry of each table has one.
    pub insert: Option<String>,
    /// The SET list tried on the row. At least one entry of each table has one.
    pub update: Option<String>,
    /// Who sees the row.
    #[serde(default)]
    pub select: Vec<String>,
    /// Who may run `insert`.
    #[serde(default)]
    pub allow_insert: Vec<String>,
    /// Who may run `update`.
    #[serde(default)]
    pub allow_update: Vec<String>,
    /// Who may delete the row.
    #[serde(default)]
    pub allow_delete: Vec<String>,
}

/// Who sees rows of a view.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewAccess {
    /// `name` in schema `public`, or `schema.name`.
    pub name: String,
    /// What is special about the row, where a view has several entries.
    pub about: Option<String>,
    /// The condition that finds the row; any row when it is not given.
    #[serde(default = "any_row")]
    pub row: String,
    /// Who sees it.
    #[serde(default)]
    pub select: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessFile {
    #[serde(default)]
    definer: Vec<String>,
    #[serde(default)]
    caller: IndexMap<String, Caller>,
    #[serde(default)]
    table: Vec<TableAccess>,
    #[serde(default)]
    view: Vec<ViewAccess>,
}

fn authenticated() -> String {
    "authenticated".to_owned()
}

fn any_row() -> String {
    "true".to_owned()
}

impl Access {
    /// Reads and validates the file.
    ///
    /// # Errors
    ///
    /// [`KitError::Read`] when it is missing, [`KitError::Malformed`] as for [`Access::parse`].
    pub fn load(path: &Path) -> Result<Self, KitError> {
        Self::parse(&read(path)?).map_err(|message| KitError::malformed(path, message))
    }

    /// Parses the text of an access table.
    ///
    /// # Errors
    ///
    /// A message when the TOML is broken, has an unknown key, names a caller that is not defined, lacks the
    /// callers `owner` and `other`, or never says how a table is inserted into or updated.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: AccessFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut callers = file.caller;
        for name in ["owner", "other"] {
            let caller = callers.get(name).ok_or_else(|| format!("[caller.{name}] is missing"))?;
            if caller.sub.is_none() {
                return Err(format!("[caller.{name}] has no sub"));
            }
        }
        for (name, role) in [("anon", "anon"), ("service", "service_role")] {
            callers.entry(name.to_owned()).or_insert_with(|| Caller::of_role(role));
        }
        let access = Self { callers, tables: file.table, views: file.view, definer: file.definer };
        access.validate()?;
        Ok(access)
    }

    fn validate(&self) -> Result<(), String> {
        for table in &self.tables {
            let lists = [
                ("select", &table.select),
                ("allow_insert", &table.allow_insert),
                ("allow_update", &table.allow_update),
                ("allow_delete", &table.allow_delete),
            ];
            for (key, list) in lists {
                self.require_callers(&table.name, key, list)?;
            }
            self.require_statement(table, "insert", |entry| (&entry.insert, &entry.allow_insert))?;
            self.require_statement(table, "update", |entry| (&entry.update, &entry.allow_update))?;
        }
        for view in &self.views {
            self.require_callers(&view.name, "select", &view.select)?;
        }
        Ok(())
    }

    fn require_callers(&self, name: &str, key: &str, list: &[String]) -> Result<(), String> {
        match list.iter().find(|caller| !self.callers.contains_key(*caller)) {
            Some(caller) => {
                Err(format!("{name}: {key} names the caller {caller:?}, who is not defined"))
            }
            None => Ok(()),
        }
    }

    /// A refusal that is never tried proves nothing, so every table says how it would be written.
    fn require_statement<'a>(
        &'a self,
        table: &'a TableAccess,
        key: &str,
        part: impl Fn(&'a TableAccess) -> (&'a Option<String>, &'a Vec<String>),
    ) -> Result<(), String> {
        let (statement, allowed) = part(table);
        if statement.is_none() && !allowed.is_empty() {
            return Err(format!("{}: allow_{key} without {key}", table.name));
        }
        let same = self.tables.iter().filter(|other| other.name == table.name);
        if same.clone().all(|entry| part(entry).0.is_none()) {
            return Err(format!(
                "{}: no {key} to try (it is needed even if nobody may)",
                table.name
            ));
        }
        Ok(())
    }
}

impl Caller {
    fn of_role(role: &str) -> Self {
        Self { sub: None, role: role.to_owned(), email: None, claims: Map::new() }
    }

    /// The role and the claims that a token of this caller carries.
    pub(crate) fn identity(&self) -> Identity {
        let mut claims = self.claims.clone();
        claims.insert("role".to_owned(), json!(self.role));
        if let Some(sub) = &self.sub {
            claims.insert("sub".to_owned(), json!(sub));
            claims.insert("aud".to_owned(), json!("authenticated"));
        }
        if let Some(email) = &self.email {
            claims.insert("email".to_owned(), json!(email));
        }
        Identity { role: self.role.clone(), claims: Some(Value::Object(claims)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLERS: &str = "
        [caller.owner]
        sub = '1'
        [caller.other]
        sub = '2'
    ";

    fn refusal(rest: &str) -> String {
        Access::parse(&format!("{CALLERS}{rest}")).unwrap_err()
    }

    #[test]
    fn anon_and_service_need_not_be_defined() {
        let access = Access::parse(CALLERS).unwrap();
        assert_eq!(access.callers["anon"].role, "anon");
        assert_eq!(access.callers["service"].role, "service_role");
        assert_eq!(access.callers["owner"].role, "authenticated");
    }

    #[test]
    fn owner_and_other_are_required() {
        assert_eq!(Access::parse("").unwrap_err(), "[caller.owner] is missing");
        assert_eq!(
            Access::parse("[caller.owner]\nsub='1'").unwrap_err(),
            "[caller.other] is missing"
        );
    }

    #[test]
    fn unknown_keys_are_errors() {
        let message = refusal("[[table]]\nname='a'\nrow='true'\nallow_selects=['owner']");
        assert!(message.contains("unknown field `allow_selects`"), "{message}");
    }

    #[test]
    fn callers_must_be_defined() {
        let message = refusal(
            "[[table]]\nname='a'\nrow='true'\ninsert='i'\nupdate='u'\nselect=['owner','editor']",
        );
        assert_eq!(message, r#"a: select names the caller "editor", who is not defined"#);
    }

    #[test]
    fn a_table_must_say_how_it_is_written_even_if_nobody_may() {
        let message = refusal("[[table]]\nname='a'\nrow='true'\ninsert='i'");
        assert_eq!(message, "a: no update to try (it is needed even if nobody may)");
        let second = "[[table]]\nname='a'\nrow='true'\ninsert='i'\nupdate='u'\n
                      [[table]]\nname='a'\nrow='false'\n";
        Access::parse(&format!("{CALLERS}{second}")).unwrap();
    }

    #[test]
    fn claims_of_a_caller_are_those_of_a_token() {
        let text = format!("{CALLERS}\nemail='b@c'\nclaims={{app_metadata={{plan='pro'}}}}");
        let identity = Access::parse(&text).unwrap().callers["other"].identity();
        assert_eq!(
            identity.claims.unwrap(),
            json!({"sub": "2", "role": "authenticated", "aud": "authenticated", "email": "b@c",
                   "app_metadata": {"plan": "pro"}})
        );
    }
}
