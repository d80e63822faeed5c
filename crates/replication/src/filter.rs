//! Which changes a subscription wants.

use std::fmt;
use std::sync::Arc;

use crate::Relation;

/// Which changes and messages a subscription wants. It is asked once per table and stream, not once per change.
#[derive(Clone, Default)]
pub struct Filter {
    tables: Tables,
    /// Prefix of messages.
    messages: Option<Arc<str>>,
}

/// Says, given schema and name, whether a table is wanted.
type Wanted = dyn Fn(&str, &str) -> bool + Send + Sync;

#[derive(Clone, Default)]
enum Tables {
    #[default]
    None,
    All,
    These(Arc<[(String, String)]>),
    Matching(Arc<Wanted>),
}

impl Filter {
    /// Every table that the publications publish.
    pub fn all() -> Self {
        Self { tables: Tables::All, messages: None }
    }

    /// These tables, each with its schema.
    pub fn tables<S: Into<String>>(tables: impl IntoIterator<Item = (S, S)>) -> Self {
        let tables = tables.into_iter().map(|(schema, name)| (schema.into(), name.into()));
        Self { tables: Tables::These(tables.collect()), messages: None }
    }

    /// The tables that `wanted` says yes to, given schema and name. It must be quick and always say the same.
    pub fn matching(wanted: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> Self {
        Self { tables: Tables::Matching(Arc::new(wanted)), messages: None }
    }

    /// Also the messages of `pg_logical_emit_message` with exactly this prefix.
    #[must_use]
    pub fn and_messages(self, prefix: &str) -> Self {
        Self { messages: Some(prefix.into()), ..self }
    }

    /// Only the messages with exactly this prefix.
    pub fn messages(prefix: &str) -> Self {
        Self::default().and_messages(prefix)
    }

    pub(crate) fn wants(&self, relation: &Relation) -> bool {
        match &self.tables {
            Tables::None => false,
            Tables::All => true,
            Tables::These(tables) => tables
                .iter()
                .any(|(schema, name)| **schema == *relation.schema && **name == *relation.name),
            Tables::Matching(wanted) => wanted(&relation.schema, &relation.name),
        }
    }

    pub(crate) fn wants_messages(&self, prefix: &str) -> bool {
        self.messages.as_deref() == Some(prefix)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: &dyn fmt::Debug = match &self.tables {
            Tables::None => &"none",
            Tables::All => &"all",
            Tables::These(tables) => tables,
            Tables::Matching(_) => &"matching",
        };
        f.debug_struct("Filter").field("tables", tables).field("messages", &self.messages).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplicaIdentity;

    fn relation(schema: &str, name: &str) -> Relation {
        let (schema, name, columns) = (schema.into(), name.into(), Arc::default());
        Relation { oid: 1, schema, name, identity: ReplicaIdentity::Default, columns }
    }

    #[test]
    fn a_filter_wants_what_it_names() {
        let jobs = Filter::tables([("plinth", "job")]);
        assert!(jobs.wants(&relation("plinth", "job")));
        assert!(!jobs.wants(&relation("public", "job")));
        assert!(!jobs.wants(&relation("plinth", "jobs")));
        let public = Filter::matching(|schema, _| schema == "public");
        assert!(public.wants(&relation("public", "job")));
        assert!(!public.wants(&relation("plinth", "job")));
        assert!(Filter::all().wants(&relation("a", "b")));
    }

    #[test]
    fn messages_are_wanted_by_their_whole_prefix() {
        let wakes = Filter::messages("plinth.wake");
        assert!(wakes.wants_messages("plinth.wake"));
        assert!(!wakes.wants_messages("plinth.wake.up"));
        assert!(!wakes.wants(&relation("a", "b")));
        assert!(!Filter::all().wants_messages(""));
    }
}
