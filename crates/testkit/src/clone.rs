//! Copies of databases.

use postgres_protocol::escape::{escape_identifier, escape_literal};
use tokio_postgres::Client;

use crate::KitError;

/// Makes database `name` as a copy of `template`, its settings included.
///
/// `admin` belongs to a superuser and is connected to another database. Nobody may be connected to
/// `template` meanwhile.
///
/// # Errors
///
/// [`KitError::Database`] when the server refuses: the name is taken, the template is in use.
pub async fn clone_database(admin: &Client, template: &str, name: &str) -> Result<(), KitError> {
    let (from, to) = (escape_identifier(template), escape_identifier(name));
    admin.batch_execute(&format!("create database {to} template {from}")).await?;
    // `create database` copies neither `alter database … set` nor the grants on the database.
    for statement in settings(admin, template, &to).await? {
        admin.batch_execute(&statement).await?;
    }
    let sql = "update pg_database to_db set datacl = from_db.datacl
               from pg_database from_db where from_db.datname = $1 and to_db.datname = $2";
    admin.execute(sql, &[&template, &name]).await?;
    Ok(())
}

/// Drops the database with whatever is still connected to it.
///
/// # Errors
///
/// [`KitError::Database`] when a replication slot still uses it.
pub async fn drop_database(admin: &Client, name: &str) -> Result<(), KitError> {
    let name = escape_identifier(name);
    Ok(admin.batch_execute(&format!("drop database if exists {name} with (force)")).await?)
}

/// `alter … set` statements that repeat the settings of `template` for the (quoted) database `to`.
async fn settings(admin: &Client, template: &str, to: &str) -> Result<Vec<String>, KitError> {
    let sql = "select r.rolname::text, split_part(c, '=', 1), substr(c, strpos(c, '=') + 1)
               from pg_db_role_setting s
               join pg_database d on d.oid = s.setdatabase
               left join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) c
               where d.datname = $1";
    let rows = admin.query(sql, &[&template]).await?;
    Ok(rows
        .iter()
        .map(|row| {
            let (role, name, value): (Option<&str>, &str, &str) =
                (row.get(0), row.get(1), row.get(2));
            let target = match role {
                Some(role) => format!("role {} in database {to}", escape_identifier(role)),
                None => format!("database {to}"),
            };
            format!("alter {target} set {name} = {}", setting_value(name, value))
        })
        .collect())
}

/// Settings that are lists are stored as they are written, each element quoted where it must be; quoted
/// again as a whole they would become a list of one.
fn setting_value(name: &str, value: &str) -> String {
    const LISTS: &[&str] = &[
        "search_path",
        "session_preload_libraries",
        "local_preload_libraries",
        "temp_tablespaces",
    ];
    if LISTS.contains(&name) && !value.is_empty() {
        value.to_owned()
    } else {
        escape_literal(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stay_lists() {
        assert_eq!(
            setting_value("search_path", r#""$user", public, extensions"#),
            r#""$user", public, extensions"#
        );
        assert_eq!(setting_value("statement_timeout", "3s"), "'3s'");
        assert_eq!(setting_value("app.it", "it's"), "'it''s'");
    }
}
