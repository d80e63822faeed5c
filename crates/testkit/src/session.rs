//! Running SQL as somebody, in a transaction that is undone.

use postgres_protocol::escape::escape_literal;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::KitError;

/// Who runs a statement: a database role and the claims of its token, as a request has them.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) role: String,
    /// `None` for a role that comes without a request, such as the owner of the objects.
    pub(crate) claims: Option<serde_json::Value>,
}

impl Identity {
    pub(crate) fn bare(role: &str) -> Self {
        Self { role: role.to_owned(), claims: None }
    }

    /// `set_config` rather than `set local`, so that a test may change the role again by the same means.
    fn enter(&self) -> String {
        let claims = self.claims.as_ref().map(ToString::to_string).unwrap_or_default();
        format!(
            "begin; \
             select set_config('statement_timeout', '20s', true), \
                    set_config('request.jwt.claims', {}, true), \
                    set_config('role', {}, true)",
            escape_literal(&claims),
            escape_literal(&self.role),
        )
    }
}

/// Runs `sql` as `who` in a transaction of its own and undoes it.
///
/// Gives how many rows the last statement returned or changed; deferred constraints count. The outer
/// error is the kit's (no connection, no such role), the inner one is what `sql` raised.
pub(crate) async fn attempt(
    client: &Client,
    who: &Identity,
    sql: &str,
) -> Result<Result<u64, tokio_postgres::Error>, KitError> {
    client.batch_execute(&who.enter()).await?;
    let outcome = match client.simple_query(sql).await {
        Ok(messages) => client
            .batch_execute("set constraints all immediate")
            .await
            .map(|()| last_row_count(&messages)),
        Err(error) => Err(error),
    };
    client.batch_execute("rollback").await?;
    if outcome.as_ref().is_err_and(|error| error.as_db_error().is_none()) {
        return Err(outcome.err().map_or_else(|| KitError::Sql(sql.to_owned()), KitError::from));
    }
    Ok(outcome)
}

/// Runs `sql` as `who` in one transaction and commits it.
pub(crate) async fn apply(
    client: &Client,
    who: &Identity,
    sql: &str,
) -> Result<Result<(), tokio_postgres::Error>, KitError> {
    client.batch_execute(&who.enter()).await?;
    let outcome = client.batch_execute(sql).await;
    let end = if outcome.is_ok() { "commit" } else { "rollback" };
    match client.batch_execute(end).await {
        Ok(()) => Ok(outcome),
        // A deferred constraint speaks at the commit.
        Err(error) if error.as_db_error().is_some() => Ok(outcome.and(Err(error))),
        Err(error) => Err(error.into()),
    }
}

fn last_row_count(messages: &[SimpleQueryMessage]) -> u64 {
    let counts = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
        _ => None,
    });
    counts.last().unwrap_or(0)
}
