//! The matrix: every table × caller × operation, each in a transaction of its own.

use std::fmt;

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::KitError;
use crate::blueprint::rules::qualified;
use crate::blueprint::{Access, Report, TableAccess};
use crate::error::describe;
use crate::session::{Identity, attempt};

/// What an attempt came to. No rows and SQLSTATE 42501 are both a refusal: policies that filter hide the
/// row, policies that check and grants raise.
enum Outcome {
    Rows(u64),
    Denied,
    Failed(String),
}

impl Outcome {
    fn is_refusal(&self) -> bool {
        matches!(self, Self::Rows(0) | Self::Denied)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(1) => f.write_str("1 row"),
            Self::Rows(count) => write!(f, "{count} rows"),
            Self::Denied => f.write_str("permission denied (42501)"),
            Self::Failed(message) => write!(f, "error {message}"),
        }
    }
}

/// One statement that every caller tries, and who of them may.
struct Question<'a> {
    /// Table, operation and what is special, for the report.
    title: String,
    sql: String,
    allowed: &'a [String],
    /// The statement that shows that there is something to refuse when nobody is allowed.
    proof: Proof,
}

/// How it is made sure that a statement would do something if it were allowed.
#[derive(Clone, Copy)]
enum Proof {
    /// The owner role, which no policy binds, must get rows.
    Rows,
    /// As `Rows`, but a trigger may refuse the owner as well.
    RowsOrDenied,
    /// Nothing to prove: the row's existence was proved by the read, and a foreign key or a trigger may keep
    /// even the owner from deleting it.
    None,
}

/// Compares what each caller can do with what `access` says.
///
/// # Errors
///
/// [`KitError`] when the connection is lost or a caller's role does not exist.
pub async fn check_access(
    client: &Client,
    owner: &str,
    access: &Access,
) -> Result<Report, KitError> {
    let mut report = Report::default();
    for question in questions(access) {
        check_proof(client, owner, &question, &mut report).await?;
        for (name, caller) in &access.callers {
            let outcome = ask(client, &caller.identity(), &question.sql).await?;
            let title = &question.title;
            if question.allowed.contains(name) {
                report.check(matches!(outcome, Outcome::Rows(1..)), || {
                    format!("{title} × {name}: expected allowed, got {outcome}")
                });
            } else {
                report.check(outcome.is_refusal(), || {
                    format!("{title} × {name}: expected refused, got {outcome}")
                });
            }
        }
    }
    Ok(report)
}

fn questions(access: &Access) -> Vec<Question<'_>> {
    let mut questions: Vec<Question<'_>> = access.tables.iter().flat_map(table_questions).collect();
    questions.extend(access.views.iter().map(|view| Question {
        title: title(&view.name, view.about.as_deref(), "select"),
        sql: format!("select 1 from {} where ({})", quoted(&view.name), view.row),
        allowed: &view.select,
        proof: Proof::None, // what a view shows may depend on who looks
    }));
    questions
}

fn table_questions(table: &TableAccess) -> Vec<Question<'_>> {
    let name = quoted(&table.name);
    let row = &table.row;
    let question = |operation, sql, allowed, proof| Question {
        title: title(&table.name, table.about.as_deref(), operation),
        sql,
        allowed,
        proof,
    };
    let select = format!("select 1 from {name} where ({row})");
    let mut questions = vec![question("select", select, &table.select, Proof::Rows)];
    if let Some(insert) = &table.insert {
        questions.push(question(
            "insert",
            insert.clone(),
            &table.allow_insert,
            Proof::RowsOrDenied,
        ));
    }
    if let Some(update) = &table.update {
        let sql = format!("update {name} set {update} where ({row})");
        questions.push(question("update", sql, &table.allow_update, Proof::RowsOrDenied));
    }
    let delete = format!("delete from {name} where ({row})");
    questions.push(question("delete", delete, &table.allow_delete, Proof::None));
    questions
}

/// A statement with a mistake in it, or a condition that no row meets, is "refused" to everyone. So a
/// statement that nobody may run is shown to work for the owner role, and a row that is read must exist.
async fn check_proof(
    client: &Client,
    owner: &str,
    question: &Question<'_>,
    report: &mut Report,
) -> Result<(), KitError> {
    let denied_is_fine = match question.proof {
        Proof::None => return Ok(()),
        Proof::RowsOrDenied if !question.allowed.is_empty() => return Ok(()),
        Proof::RowsOrDenied => true,
        Proof::Rows => false,
    };
    let outcome = ask(client, &Identity::bare(owner), &question.sql).await?;
    let proved = match outcome {
        Outcome::Rows(count) => count > 0,
        Outcome::Denied => denied_is_fine,
        Outcome::Failed(_) => false,
    };
    report.check(proved, || {
        format!("{}: proves nothing, even the owner role gets {outcome}", question.title)
    });
    Ok(())
}

async fn ask(client: &Client, who: &Identity, sql: &str) -> Result<Outcome, KitError> {
    Ok(match attempt(client, who, sql).await? {
        Ok(rows) => Outcome::Rows(rows),
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Outcome::Denied,
        Err(error) => Outcome::Failed(describe(&error)),
    })
}

fn title(name: &str, about: Option<&str>, operation: &str) -> String {
    match about {
        Some(about) => format!("{name} ({about}) × {operation}"),
        None => format!("{name} × {operation}"),
    }
}

/// The relation's name as SQL; a name without a schema is in `public`.
fn quoted(name: &str) -> String {
    qualified(name).split('.').map(escape_identifier).collect::<Vec<_>>().join(".")
}
