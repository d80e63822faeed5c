//! Which tables a stream tells of.

use std::collections::BTreeSet;

use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::StreamError;
use crate::session::Session;

/// A publication that a stream reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    name: String,
    /// Schema and name of the tables, when the publication is ours.
    tables: Option<Vec<(String, String)>>,
}

impl Publication {
    /// One that somebody else looks after. It is read if it is there when a stream begins.
    pub fn existing(name: impl Into<String>) -> Self {
        Self { name: name.into(), tables: None }
    }

    /// One that is made when it is missing and has exactly these tables, each with its schema; changes of partitions come
    /// under the name of the partitioned table. Without tables it is for messages only.
    ///
    /// PostgreSQL refuses updates and deletes of published tables that have no replica identity (a primary key, mostly).
    pub fn of_tables<S: Into<String>>(
        name: impl Into<String>,
        tables: impl IntoIterator<Item = (S, S)>,
    ) -> Self {
        let tables = tables.into_iter().map(|(schema, table)| (schema.into(), table.into()));
        Self { name: name.into(), tables: Some(tables.collect()) }
    }

    /// Makes or mends it, if it is ours. Whether it is there then.
    async fn prepare(&self, session: &mut Session) -> Result<bool, StreamError> {
        let found = format!(
            "select count(*) from pg_catalog.pg_publication where pubname = {}",
            escape_literal(&self.name)
        );
        let is_there = session.query("look for a publication", &found).await?;
        let is_there = is_there.first().and_then(|row| row.first()?.as_deref()) == Some("1");
        let Some(wanted) = &self.tables else { return Ok(is_there) };
        if !is_there {
            session.query("make a publication", &self.create(wanted)).await?;
        } else if !wanted.is_empty() && self.published(session).await? != as_set(wanted) {
            let alter = format!(
                "alter publication {} set table {}",
                escape_identifier(&self.name),
                list(wanted)
            );
            session.query("mend a publication", &alter).await?;
        }
        Ok(true)
    }

    async fn published(
        &self,
        session: &mut Session,
    ) -> Result<BTreeSet<(String, String)>, StreamError> {
        let sql = format!(
            "select schemaname, tablename from pg_catalog.pg_publication_tables where pubname = {}",
            escape_literal(&self.name)
        );
        let rows = session.query("read a publication", &sql).await?;
        let pair = |row: Vec<Option<String>>| {
            let mut values = row.into_iter().flatten();
            Some((values.next()?, values.next()?))
        };
        Ok(rows.into_iter().filter_map(pair).collect())
    }

    fn create(&self, tables: &[(String, String)]) -> String {
        let of = match tables {
            [] => String::new(),
            tables => format!(" for table {}", list(tables)),
        };
        let name = escape_identifier(&self.name);
        format!("create publication {name}{of} with (publish_via_partition_root = true)")
    }
}

/// Sees to it that the publications are as they should be; returns the names of those that are there.
///
/// This comes before the slot is made: a slot reads the catalogs of its own time, and would not find younger ones.
///
/// # Errors
///
/// [`StreamError::NoPublication`] when there is none.
pub(crate) async fn prepare(
    publications: &[Publication],
    session: &mut Session,
) -> Result<Vec<String>, StreamError> {
    let mut names = Vec::new();
    for publication in publications {
        let prepared = match publication.prepare(session).await {
            // Another instance was at it in the same moment.
            Err(StreamError::Database { error, .. })
                if matches!(error.code.as_str(), "23505" | "42710") =>
            {
                publication.prepare(session).await
            }
            prepared => prepared,
        };
        if prepared? {
            names.push(publication.name.clone());
        } else {
            tracing::warn!(
                replication.publication = publication.name,
                "there is no such publication"
            );
        }
    }
    if names.is_empty() {
        return Err(StreamError::NoPublication);
    }
    Ok(names)
}

fn as_set(tables: &[(String, String)]) -> BTreeSet<(String, String)> {
    tables.iter().cloned().collect()
}

fn list(tables: &[(String, String)]) -> String {
    let quoted = tables.iter().map(|(schema, table)| {
        format!("{}.{}", escape_identifier(schema), escape_identifier(table))
    });
    quoted.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted() {
        let publication = Publication::of_tables("p\"1", [("a b", "T\"")]);
        assert_eq!(
            publication.create(publication.tables.as_deref().unwrap()),
            "create publication \"p\"\"1\" for table \"a b\".\"T\"\"\" with (publish_via_partition_root = true)"
        );
        let none: [(&str, &str); 0] = [];
        let create = Publication::of_tables("wake", none).create(&[]);
        assert_eq!(create, "create publication \"wake\" with (publish_via_partition_root = true)");
    }
}
