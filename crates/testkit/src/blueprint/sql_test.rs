//! `tests/*.sql`: tests that are written in SQL.
//!
//! A file is split by lines `-- test: sentence that it proves`. What stands before the first of them is a
//! comment on the file. Each test runs as the owner role in a transaction that is undone; an error fails it.

use std::path::PathBuf;

use tokio_postgres::Client;

use crate::blueprint::{Report, SqlFile};
use crate::error::{KitError, describe_at};
use crate::session::{Identity, attempt};

/// One section of a test file.
#[derive(Debug, Clone)]
pub struct SqlTest {
    /// The file it stands in.
    pub file: PathBuf,
    /// The line of its `-- test:`, from 1.
    pub line: usize,
    /// The sentence that it proves.
    pub name: String,
    /// Its statements, the `-- test:` line included.
    pub sql: String,
}

const MARK: &str = "-- test:";

/// Splits a file into its tests.
///
/// # Errors
///
/// [`KitError::Malformed`] when there is no test in it, SQL before the first one, a test without a name, or
/// one without a statement.
pub fn parse_sql_tests(file: &SqlFile) -> Result<Vec<SqlTest>, KitError> {
    let mut tests: Vec<SqlTest> = Vec::new();
    for (index, text) in file.text.lines().enumerate() {
        let refuse = |what: &str| {
            Err(KitError::malformed(&file.path, format!("line {}: {what}", index + 1)))
        };
        if let Some(name) = text.strip_prefix(MARK) {
            if name.trim().is_empty() {
                return refuse("a test needs a sentence that it proves");
            }
            let name = name.trim().to_owned();
            let line = index + 1;
            tests.push(SqlTest { file: file.path.clone(), line, name, sql: String::new() });
        }
        match tests.last_mut() {
            Some(test) => {
                test.sql.push_str(text);
                test.sql.push('\n');
            }
            None if is_blank(text) => {}
            None => return refuse(&format!("SQL before the first `{MARK}`")),
        }
    }
    if tests.is_empty() {
        return Err(KitError::malformed(&file.path, format!("no `{MARK} …` in it")));
    }
    match tests.iter().find(|test| test.sql.lines().all(is_blank)) {
        Some(empty) => Err(KitError::malformed(
            &file.path,
            format!("line {}: the test {:?} has no statement", empty.line, empty.name),
        )),
        None => Ok(tests),
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with("--")
}

/// Runs the tests one after the other as `owner`, on a database where [`install()`] was done.
///
/// # Errors
///
/// [`KitError`] when the connection is lost.
///
/// [`install()`]: crate::blueprint::install()
pub async fn run_sql_tests(
    client: &Client,
    owner: &str,
    tests: &[SqlTest],
) -> Result<Report, KitError> {
    let mut report = Report::default();
    for test in tests {
        match attempt(client, &Identity::bare(owner), &test.sql).await? {
            Ok(_) => report.passed += 1,
            Err(error) => report.fail(format!(
                "{}\n      ({})",
                describe_at(&test.file, test.line, &test.sql, &error),
                test.name
            )),
        }
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<SqlTest>, String> {
        let file = SqlFile { path: "t.sql".into(), text: text.to_owned() };
        parse_sql_tests(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn sections_keep_their_lines() {
        let tests =
            parse("-- About x.\n\n-- test: one\nselect 1;\n-- test: two\nselect 2;\n").unwrap();
        assert_eq!(tests.len(), 2);
        assert_eq!((tests[0].line, tests[0].name.as_str()), (3, "one"));
        assert_eq!(tests[1].sql, "-- test: two\nselect 2;\n");
    }

    #[test]
    fn files_that_prove_nothing_are_refused() {
        assert_eq!(
            parse("select 1;").unwrap_err(),
            "t.sql: line 1: SQL before the first `-- test:`"
        );
        assert_eq!(parse("-- nothing\n").unwrap_err(), "t.sql: no `-- test: …` in it");
        assert_eq!(
            parse("-- test: one\n-- later\n").unwrap_err(),
            r#"t.sql: line 1: the test "one" has no statement"#
        );
        assert_eq!(
            parse("-- test:\nselect 1;").unwrap_err(),
            "t.sql: line 1: a test needs a sentence that it proves"
        );
    }
}
