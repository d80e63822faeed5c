//! What comes back: messages of the server become the answers to batches.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};

use super::{Connection, MAX_ANSWER_BYTES, protocol_error};
use crate::pieces::{self, Head};
use crate::{BinaryRows, Column, DatabaseError, Row, Rows, WireError};

/// Tags of messages (PostgreSQL "Message Formats").
const BIND_COMPLETE: u8 = b'2';
const COMMAND_COMPLETE: u8 = b'C';
const READY: u8 = b'Z';
const DATA_ROW: u8 = b'D';

/// What an answer amounts to, once the server is ready again.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) results: Vec<Rows>,
    /// Rows of the statement that is being answered: taken apart, or as they came.
    current: Vec<Row>,
    messages: Vec<Bytes>,
    pub(super) error: Option<DatabaseError>,
    /// Bytes of all rows so far.
    pub(super) size: usize,
    /// The session was left inside a transaction.
    pub(super) in_transaction: bool,
}

/// What [`Connection::take_bare`] found.
enum Bare {
    /// The server is ready again.
    Ready,
    /// A message that needs no more attention.
    Taken,
    /// A message of another kind, or not all of one yet.
    Other,
}

impl Connection {
    /// Takes what has come into the oldest answer; true when that is all of it, or all but a value that
    /// is to be passed on.
    pub(super) fn advance(&mut self) -> Result<bool, WireError> {
        let mut answer = std::mem::take(&mut self.partial);
        let complete = self.digest(&mut answer);
        self.partial = answer;
        complete
    }

    /// Takes complete messages out of the read buffer; true when the server is ready again, or a value
    /// is to be passed on.
    fn digest(&mut self, answer: &mut Answer) -> Result<bool, WireError> {
        // Who wanted it has had the chance.
        if let Some(passing) = &mut self.passing {
            passing.discard(&mut self.incoming);
            if !passing.is_over() {
                return Ok(false);
            }
            self.passing = None;
        }
        loop {
            if self.answers_in_binary(answer) && self.incoming.first() == Some(&DATA_ROW) {
                match take_rows(&mut self.incoming) {
                    Some(rows) => {
                        answer.grow(rows.len())?;
                        answer.messages.push(rows);
                    }
                    None => return Ok(false),
                }
                continue;
            }
            match self.take_bare(answer)? {
                Bare::Ready => return Ok(true),
                Bare::Taken => continue,
                Bare::Other => {}
            }
            match self.open_row(answer) {
                Head::Other => {}
                Head::Incomplete => return Ok(false),
                Head::Opened(row, value, passing) => {
                    answer.results.push(Rows::Large(row, value));
                    self.passing = Some(passing);
                    return Ok(true);
                }
            }
            let message = Message::parse(&mut self.incoming).map_err(protocol_error)?;
            let Some(message) = message else { return Ok(false) };
            match message {
                Message::DataRow(body) => {
                    answer.grow(body.buffer().len())?;
                    answer.current.push(row(&body)?);
                }
                Message::EmptyQueryResponse => {
                    let rows = self.rows(answer)?;
                    answer.results.push(rows);
                }
                Message::ParseComplete => {
                    if let Some(parsing) = self.parsing.pop_front() {
                        self.described = parsing.prepared.description.clone();
                        self.cache.insert(parsing.key, parsing.prepared);
                    }
                }
                Message::RowDescription(body) => {
                    let _ = self.described.set(columns(&body)?);
                }
                Message::NoData => {
                    let _ = self.described.set(Arc::default());
                }
                Message::ErrorResponse(body) => {
                    let error = DatabaseError::parse(body.fields()).map_err(protocol_error)?;
                    if error.is_fatal() {
                        return Err(WireError::Terminated(Box::new(error)));
                    }
                    answer.error.get_or_insert(error);
                }
                Message::CopyInResponse(_) | Message::CopyOutResponse(_) => {
                    return Err(WireError::Protocol("copy is not possible here".to_owned()));
                }
                _ => {}
            }
        }
    }

    /// Takes a message of which hardly more matters than that it came. Every answer has some of each
    /// kind, and cutting them out of the shared buffer would cost more than all else about them.
    fn take_bare(&mut self, answer: &mut Answer) -> Result<Bare, WireError> {
        let Some(&[tag, l0, l1, l2, l3]) = self.incoming.first_chunk() else {
            return Ok(Bare::Other);
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize + 1;
        if !matches!(tag, BIND_COMPLETE | COMMAND_COMPLETE | READY) || self.incoming.len() < length
        {
            return Ok(Bare::Other);
        }
        if tag == COMMAND_COMPLETE {
            let rows = self.rows(answer)?;
            answer.results.push(rows);
        }
        if tag == READY {
            answer.in_transaction = self.incoming.get(5) != Some(&b'I');
        }
        self.incoming.advance(length);
        Ok(if tag == READY { Bare::Ready } else { Bare::Taken })
    }

    /// The large row that comes next, when the statement that is being answered wants it in pieces.
    fn open_row(&mut self, answer: &Answer) -> Head {
        let wanted = (self.answered + 1, answer.results.len());
        match &self.passing_places {
            Some(places)
                if self.in_pieces.front() == Some(&wanted) && answer.current.is_empty() =>
            {
                pieces::open(&mut self.incoming, places)
            }
            _ => Head::Other,
        }
    }

    /// Whether the statement that is being answered answers in binary.
    fn answers_in_binary(&self, answer: &Answer) -> bool {
        self.binary.front().is_some_and(|binary| {
            binary.batch == self.answered + 1 && binary.index == answer.results.len()
        })
    }

    /// The rows of the statement whose answer is complete.
    fn rows(&mut self, answer: &mut Answer) -> Result<Rows, WireError> {
        if !self.answers_in_binary(answer) {
            return Ok(Rows::Text(std::mem::take(&mut answer.current)));
        }
        let binary = self.binary.pop_front();
        let columns = binary.and_then(|binary| binary.description.get().cloned());
        let columns = columns
            .ok_or_else(|| WireError::Protocol("rows of a statement not described".to_owned()))?;
        Ok(Rows::Binary(BinaryRows { columns, messages: std::mem::take(&mut answer.messages) }))
    }
}

impl Answer {
    /// Counts bytes of rows.
    fn grow(&mut self, bytes: usize) -> Result<(), WireError> {
        self.size += bytes;
        if self.size > MAX_ANSWER_BYTES {
            return Err(WireError::TooLarge(MAX_ANSWER_BYTES));
        }
        Ok(())
    }
}

/// Cuts the complete `DataRow` messages that the read buffer begins with off in one piece; `None`
/// when not even the first is complete.
fn take_rows(incoming: &mut BytesMut) -> Option<Bytes> {
    let mut end = 0;
    while let Some([DATA_ROW, length @ ..]) =
        incoming.get(end..).and_then(|it| it.first_chunk::<5>())
    {
        // The length counts itself but not the tag.
        let next = end.saturating_add(u32::from_be_bytes(*length) as usize).saturating_add(1);
        if next > incoming.len() {
            break;
        }
        end = next;
    }
    (end > 0).then(|| incoming.split_to(end).freeze())
}

fn columns(body: &RowDescriptionBody) -> Result<Arc<[Column]>, WireError> {
    let columns = body
        .fields()
        .map(|field| Ok(Column { name: field.name().into(), type_oid: field.type_oid() }));
    columns.collect::<Vec<_>>().map(Arc::from).map_err(protocol_error)
}

/// Cuts a row's values out of the shared read buffer, without copying them.
fn row(body: &DataRowBody) -> Result<Row, WireError> {
    let buffer: &Bytes = body.buffer_bytes();
    body.ranges()
        .map(|range| Ok(range.map(|range| buffer.slice(range))))
        .collect()
        .map_err(protocol_error)
}
