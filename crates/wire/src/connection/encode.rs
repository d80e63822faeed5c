//! What is sent: batches become messages of the protocol.

use std::sync::Arc;

use postgres_protocol::message::frontend;

use super::{Connection, protocol_error};
use crate::cache::{Key, Prepared};
use crate::outgoing::NotEncodable;
use crate::rows::Description;
use crate::{Batch, Format, Statement, WireError};

/// A statement that is being prepared.
#[derive(Debug)]
pub(super) struct Parsing {
    pub(super) key: Key,
    pub(super) prepared: Prepared,
    /// Number of the batch that prepares it; when that batch fails before, it never will be.
    pub(super) batch: u64,
}

/// A statement whose rows come in binary.
#[derive(Debug)]
pub(super) struct Binary {
    /// Number of its batch, and its place there.
    pub(super) batch: u64,
    pub(super) index: usize,
    pub(super) description: Description,
}

impl Connection {
    pub(super) fn encode(&mut self, batch: &Batch) -> Result<(), WireError> {
        for name in self.cache.evict() {
            frontend::close(b'S', name.as_str(), self.outgoing.messages())
                .map_err(protocol_error)?;
        }
        let extra =
            |sql: &str| Statement { sql: sql.into(), params: Vec::new(), format: Format::Text };
        let before = usize::from(batch.rollback);
        if batch.rollback {
            self.encode_statement(batch, &extra("begin"), 0)?;
        }
        for (index, statement) in batch.statements.iter().enumerate() {
            self.encode_statement(batch, statement, before + index)?;
        }
        if batch.rollback {
            self.encode_statement(batch, &extra("rollback"), before + batch.statements.len())?;
        }
        frontend::sync(self.outgoing.messages());
        Ok(())
    }

    fn encode_statement(
        &mut self,
        batch: &Batch,
        statement: &Statement,
        index: usize,
    ) -> Result<(), WireError> {
        let prepared = match self.known(&batch.role, &statement.sql) {
            Some(prepared) => prepared,
            None => {
                let key = Key { role: batch.role.clone(), sql: statement.sql.clone() };
                self.encode_parse(key)?
            }
        };
        let binary = statement.format == Format::Binary;
        let name = prepared.name.as_str();
        self.outgoing.bind(name, &statement.params, binary).map_err(|NotEncodable| {
            WireError::Protocol("a batch is too large to be encoded".to_owned())
        })?;
        if binary {
            let description = prepared.description;
            self.binary.push_back(Binary { batch: self.sent, index, description });
        }
        if statement.format == Format::Pieces && self.passing_places.is_some() {
            self.in_pieces.push_back((self.sent, index));
        }
        frontend::execute("", 0, self.outgoing.messages()).map_err(protocol_error)
    }

    /// The statement, if the session has it by name or is being told.
    fn known(&mut self, role: &Arc<str>, sql: &Arc<str>) -> Option<Prepared> {
        if !self.cache.keeps() {
            return None;
        }
        let is_it = |parsing: &&Parsing| parsing.key.role == *role && parsing.key.sql == *sql;
        let being_prepared = || self.parsing.iter().find(is_it);
        let cached = self.cache.get(role, sql);
        cached.or_else(|| being_prepared().map(|parsing| parsing.prepared.clone()))
    }

    /// Prepares a statement and has the server describe it.
    fn encode_parse(&mut self, key: Key) -> Result<Prepared, WireError> {
        let prepared =
            Prepared { name: self.cache.fresh_name(), description: Description::default() };
        let name = prepared.name.as_str();
        frontend::parse(name, &key.sql, [], self.outgoing.messages()).map_err(protocol_error)?;
        frontend::describe(b'S', name, self.outgoing.messages()).map_err(protocol_error)?;
        self.parsing.push_back(Parsing { key, prepared: prepared.clone(), batch: self.sent });
        Ok(prepared)
    }
}
