//! From messages to the changes of committed transactions.

mod spool;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use self::spool::{Entry, Spools};
use crate::decode::{Message, Raw, RelationMessage};
use crate::{
    Change, ChangeKind, Column, DecodeError, LogicalMessage, Lsn, PgTime, Relation, Transaction,
    TypeName,
};

/// Most tables of one stream. PostgreSQL describes each once, so that none can be forgotten.
const MAX_RELATIONS: usize = 65_536;

/// Makes the change of a message. Who does not want it does not call this, and it is not decoded.
pub type Decode<'a> = &'a mut dyn FnMut() -> Result<Change, DecodeError>;

/// Where the changes of committed transactions go, in the order of their commits.
pub trait Sink {
    /// A row of `relation` changed.
    ///
    /// # Errors
    ///
    /// Those of `decode`.
    fn change(&mut self, relation: &Arc<Relation>, decode: Decode<'_>) -> Result<(), DecodeError>;

    /// Somebody wrote a message into the log.
    fn message(&mut self, message: LogicalMessage);

    /// All of a transaction has come; the log up to `end` is done with.
    fn committed(&mut self, end: Lsn);
}

/// Puts the messages of one stream together.
///
/// Changes of a transaction that PostgreSQL sends before its commit (it only does when asked to) wait here until then; when
/// those of all such transactions hold more than the bound, the stream is over.
#[derive(Debug)]
pub struct Assembler {
    relations: HashMap<u32, Arc<Relation>>,
    types: HashMap<u32, Arc<TypeName>>,
    /// The committed transaction whose changes are coming.
    transaction: Option<Arc<Transaction>>,
    /// The transaction of which a part is coming.
    part: Option<u32>,
    spools: Spools,
}

impl Assembler {
    /// At the beginning of a stream. `spool_bytes` bounds what transactions under way may hold.
    pub fn new(spool_bytes: usize) -> Self {
        Self {
            relations: HashMap::new(),
            types: HashMap::new(),
            transaction: None,
            part: None,
            spools: Spools::new(spool_bytes),
        }
    }

    /// Whether no transaction is being given out at the moment.
    pub fn is_between(&self) -> bool {
        self.transaction.is_none()
    }

    /// Bytes that transactions under way hold.
    pub fn spooled_bytes(&self) -> usize {
        self.spools.bytes()
    }

    /// Takes the next message of the stream, found at `lsn` of the log.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]; the stream is of no use after it.
    pub fn take(
        &mut self,
        lsn: Lsn,
        message: Bytes,
        sink: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let raw = Raw::split(message, self.part.is_some())?;
        match (self.part, raw.xid()) {
            (Some(part), Some(subxid)) => self.spools.push(part, Entry { subxid, lsn, raw }),
            _ => self.act(lsn, raw, sink),
        }
    }

    /// Does what a message says.
    fn act(&mut self, lsn: Lsn, raw: Raw, sink: &mut impl Sink) -> Result<(), DecodeError> {
        if let Some(oid) = raw.changed_relation() {
            return self.change(lsn, oid, raw, sink);
        }
        match raw.decode()? {
            Message::Begin { final_lsn, commit_time, xid } => {
                self.begin(xid, final_lsn, commit_time)
            }
            Message::Commit { end_lsn, .. } => self.commit(end_lsn, sink),
            Message::Origin { name, .. } => {
                self.origin(name);
                Ok(())
            }
            Message::Relation(relation) => self.describe(relation),
            Message::Type { oid, schema, name } => {
                self.types.insert(oid, Arc::new(TypeName { schema, name }));
                self.bound(self.types.len())
            }
            Message::Truncate { relations, cascade, restart_identity } => {
                let kind = ChangeKind::Truncate { cascade, restart_identity };
                relations.iter().try_for_each(|oid| self.truncate(lsn, *oid, &kind, sink))
            }
            Message::Logical { transactional, lsn, prefix, content } => {
                let transaction = if transactional { Some(self.current()?.clone()) } else { None };
                sink.message(LogicalMessage { transaction, lsn, prefix, content });
                Ok(())
            }
            Message::StreamStart { xid, first } => self.start_part(xid, first),
            Message::StreamStop => {
                self.part.take().map(drop).ok_or(DecodeError::OutOfPlace("the end of a part"))
            }
            Message::StreamCommit { xid, commit_lsn, end_lsn, commit_time } => {
                self.replay(xid, commit_lsn, commit_time, sink)?;
                self.commit(end_lsn, sink)
            }
            Message::StreamAbort { xid, subxid } => self.spools.abort(xid, subxid),
            // Has a table, and so never comes here.
            Message::Insert { .. } | Message::Update { .. } | Message::Delete { .. } => {
                Err(DecodeError::Short)
            }
        }
    }

    fn begin(&mut self, xid: u32, lsn: Lsn, time: PgTime) -> Result<(), DecodeError> {
        if self.transaction.is_some() || self.part.is_some() {
            return Err(DecodeError::OutOfPlace("the beginning of a transaction"));
        }
        let transaction = Transaction { xid, commit_lsn: lsn, commit_time: time, origin: None };
        self.transaction = Some(Arc::new(transaction));
        Ok(())
    }

    fn commit(&mut self, end: Lsn, sink: &mut impl Sink) -> Result<(), DecodeError> {
        self.transaction.take().ok_or(DecodeError::OutOfPlace("a commit"))?;
        sink.committed(end);
        Ok(())
    }

    /// Comes after the beginning and before the changes. That of a transaction in parts stays unknown.
    fn origin(&mut self, name: Arc<str>) {
        if let Some(transaction) = &mut self.transaction {
            Arc::make_mut(transaction).origin = Some(name);
        }
    }

    fn current(&self) -> Result<&Arc<Transaction>, DecodeError> {
        self.transaction.as_ref().ok_or(DecodeError::OutOfPlace("a change"))
    }

    fn describe(&mut self, message: RelationMessage) -> Result<(), DecodeError> {
        let columns = message.columns.into_iter().map(|column| Column {
            name: column.name,
            type_oid: column.type_oid,
            type_modifier: column.type_modifier,
            key: column.key,
            type_name: self.types.get(&column.type_oid).cloned(),
        });
        let relation = Relation {
            oid: message.oid,
            schema: message.schema,
            name: message.name,
            identity: message.identity,
            columns: columns.collect(),
        };
        self.relations.insert(message.oid, Arc::new(relation));
        self.bound(self.relations.len())
    }

    fn bound(&self, described: usize) -> Result<(), DecodeError> {
        match described > MAX_RELATIONS {
            true => Err(DecodeError::TooManyRelations(MAX_RELATIONS)),
            false => Ok(()),
        }
    }

    fn relation(&self, oid: u32) -> Result<&Arc<Relation>, DecodeError> {
        self.relations.get(&oid).ok_or(DecodeError::UnknownRelation(oid))
    }

    fn change(
        &self,
        lsn: Lsn,
        oid: u32,
        raw: Raw,
        sink: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let (relation, transaction) = (self.relation(oid)?, self.current()?);
        let mut raw = Some(raw);
        sink.change(relation, &mut || {
            let raw = raw.take().ok_or(DecodeError::OutOfPlace("a second look"))?;
            let kind = row_change(raw, relation.columns.len())?;
            Ok(Change { relation: relation.clone(), transaction: transaction.clone(), lsn, kind })
        })
    }

    fn truncate(
        &self,
        lsn: Lsn,
        oid: u32,
        kind: &ChangeKind,
        sink: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let (relation, transaction) = (self.relation(oid)?, self.current()?);
        let (transaction, kind) = (transaction.clone(), kind.clone());
        let mut change = Some(Change { relation: relation.clone(), transaction, lsn, kind });
        sink.change(relation, &mut || change.take().ok_or(DecodeError::OutOfPlace("a second look")))
    }

    fn start_part(&mut self, xid: u32, first: bool) -> Result<(), DecodeError> {
        if self.part.is_some() || self.transaction.is_some() {
            return Err(DecodeError::OutOfPlace("the beginning of a part"));
        }
        self.spools.open(xid, first)?;
        self.part = Some(xid);
        Ok(())
    }

    /// Does, as those of one committed transaction, what its messages said that came before.
    fn replay(
        &mut self,
        xid: u32,
        lsn: Lsn,
        time: PgTime,
        sink: &mut impl Sink,
    ) -> Result<(), DecodeError> {
        let entries = self.spools.take(xid)?;
        self.begin(xid, lsn, time)?;
        entries.into_iter().try_for_each(|entry| self.act(entry.lsn, entry.raw, sink))
    }
}

/// What happened to a row of a table of so many columns.
fn row_change(raw: Raw, columns: usize) -> Result<ChangeKind, DecodeError> {
    let kind = match raw.decode()? {
        Message::Insert { new, .. } => ChangeKind::Insert { new },
        Message::Update { old, new, .. } => ChangeKind::Update { old, new },
        Message::Delete { old, .. } => ChangeKind::Delete { old },
        _ => return Err(DecodeError::OutOfPlace("something else than a row")),
    };
    let (old, new) = match &kind {
        ChangeKind::Insert { new } => (None, Some(new)),
        ChangeKind::Update { old, new } => (old.as_ref(), Some(new)),
        ChangeKind::Delete { old } => (Some(old), None),
        ChangeKind::Truncate { .. } => (None, None),
    };
    for found in old.map(|old| old.tuple().len()).into_iter().chain(new.map(|new| new.len())) {
        if found != columns {
            return Err(DecodeError::Columns { expected: columns, found });
        }
    }
    Ok(kind)
}
