//! Sessions on a database of the test's own.

use std::sync::Arc;

use bytes::Bytes;
use plinth_postgres::Endpoint;
use plinth_testkit::{Template, with_database};
use plinth_wire::{Batch, ConnectConfig, Format, Host, Lane, Rows, Statement};

/// Runs `test` with the way to an empty database of its own.
pub(crate) fn on_server(test: impl AsyncFnOnce(ConnectConfig)) {
    with_database(&Template::Empty, async |database| {
        let cluster = database.cluster().cluster().endpoint().clone();
        let endpoint = Endpoint { host: Host::Tcp("127.0.0.1".to_owned()), ..cluster };
        test(endpoint.wire(&endpoint.admin, database.name(), "plinth")).await;
    });
}

/// A statement with text parameters.
pub(crate) fn statement(sql: &str, params: &[&str]) -> Statement {
    Statement {
        sql: sql.into(),
        params: params.iter().map(|p| Some(Bytes::copy_from_slice(p.as_bytes()))).collect(),
        format: Format::Text,
    }
}

/// A batch of statements under the cache key `role`.
pub(crate) fn batch_as(role: &str, statements: &[Statement]) -> Batch {
    Batch {
        role: Arc::from(role),
        statements: statements.to_vec(),
        lane: Lane::Write,
        rollback: false,
    }
}

/// A batch of statements without parameters.
pub(crate) fn batch(sql: &[&str]) -> Batch {
    let statements: Vec<Statement> = sql.iter().map(|sql| statement(sql, &[])).collect();
    batch_as("r", &statements)
}

/// The first value of the first row, as text.
pub(crate) fn first(rows: &Rows) -> String {
    String::from_utf8(rows.text()[0][0].as_ref().unwrap().to_vec()).unwrap()
}
