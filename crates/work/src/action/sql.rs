//! A statement of the manifest, exactly once.

use serde::Deserialize;
use serde_json::Value;

use super::{Action, Call, Outcome, Work};
use crate::journal::Step;
use crate::manifest::{Role, Sql};

/// The name of its step where it is not one of a flow.
const STEP: &str = "sql";

/// `sql`: runs a statement, and journals its result in the same transaction.
///
/// Whatever breaks, the statement takes effect once: it is fenced by the job's attempt, and an attempt that finds its step
/// in the journal does not run it again. Its output is the value of its only column in its first row; of more columns, a
/// list of objects, one for each row; null without a row.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqlStatement;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    run: Sql,
    role: Option<Role>,
}

impl Action for SqlStatement {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn check(&self, with: &Value) -> Result<(), String> {
        let with = With::deserialize(with).map_err(|error| error.to_string())?;
        with.run.check_statement().map_err(|error| error.to_string())
    }

    fn run<'a>(&'a self, call: &'a Call) -> Work<'a> {
        Box::pin(run(call))
    }
}

async fn run(call: &Call) -> Outcome {
    let name = call.step.as_deref().unwrap_or(STEP);
    if let Some(Step::Done(out)) = call.journal.get(name) {
        return Outcome::Done(out);
    }
    let with = match With::deserialize(&call.with) {
        Ok(with) => with,
        Err(error) => return Outcome::Never(format!("`with`: {error}")),
    };
    let role = match with.role {
        Some(role) => role.database_role(),
        None => call.role.as_deref(),
    };
    match call.journal.run(name, (&with.run, role), &call.input).await {
        Ok(out) => Outcome::Done(out),
        Err(error) => error.into(),
    }
}
