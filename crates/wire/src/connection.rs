//! One session: start-up, and batches one after the other.

mod start_up;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{DataRowBody, Message, RowDescriptionBody};
use postgres_protocol::message::frontend;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use crate::cache::{Key, Prepared, StatementCache};
use crate::outgoing::{NotEncodable, Outgoing};
use crate::pieces::{self, Head, PIECE_BYTES, Passing};
use crate::rows::Description;
use crate::socket::Socket;
use crate::{
    Batch, BinaryRows, Column, ConnectConfig, DatabaseError, Format, RawStream, Row, Rows,
    Statement, WireError,
};

/// Above this many bytes a batch is written and its answer read at the same time, so that neither
/// side waits for the other with full socket buffers.
const DUPLEX_THRESHOLD_BYTES: usize = 32 * 1024;

/// Most bytes of one answer that is held in memory until the client has taken it.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A read buffer that grew beyond this is given back after the answer.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;

/// Tags of messages (PostgreSQL "Message Formats").
const BIND_COMPLETE: u8 = b'2';
const COMMAND_COMPLETE: u8 = b'C';
const READY: u8 = b'Z';

/// What [`Connection::take_bare`] found.
enum Bare {
    /// The server is ready again.
    Ready,
    /// A message that needs no more attention.
    Taken,
    /// A message of another kind, or not all of one yet.
    Other,
}

/// One PostgreSQL session.
///
/// Batches are answered in the order in which they were sent; each is a transaction of its own. When
/// the future of [`Connection::run`] is dropped in the middle, [`Connection::drain`] brings the
/// session back to where the next batch may start.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// What of the current batch is not yet written.
    outgoing: Outgoing,
    incoming: BytesMut,
    cache: StatementCache,
    /// Statements that batches under way prepare, in order, until the server confirms each.
    parsing: VecDeque<Parsing>,
    /// The columns of the statement that was prepared last, when the server describes it.
    described: Description,
    /// Statements of batches under way whose rows come in binary, in order.
    binary: VecDeque<Binary>,
    /// Statements of batches under way whose large rows are to be passed on, in order: the number of
    /// the batch, and the place there.
    in_pieces: VecDeque<(u64, usize)>,
    /// How many values may be passed on at the same time, by all connections that share this.
    passing_places: Option<Arc<Semaphore>>,
    /// The value that the oldest answer under way is passing on.
    passing: Option<Passing>,
    /// The part of the oldest answer under way that has come.
    partial: Answer,
    /// Batches whose answers are still under way.
    under_way: usize,
    /// Batches sent in the life of the session, and batches answered.
    sent: u64,
    answered: u64,
}

/// A statement that is being prepared.
#[derive(Debug)]
struct Parsing {
    key: Key,
    prepared: Prepared,
    /// Number of the batch that prepares it; when that batch fails before, it never will be.
    batch: u64,
}

/// A statement whose rows come in binary.
#[derive(Debug)]
struct Binary {
    /// Number of its batch, and its place there.
    batch: u64,
    index: usize,
    description: Description,
}

/// What an answer amounts to, once the server is ready again.
#[derive(Debug, Default)]
struct Answer {
    results: Vec<Rows>,
    /// Rows of the statement that is being answered: taken apart, or as they came.
    current: Vec<Row>,
    messages: Vec<Bytes>,
    error: Option<DatabaseError>,
    /// Bytes of all rows so far.
    size: usize,
    /// The session was left inside a transaction.
    in_transaction: bool,
}

impl Connection {
    /// Opens a session. `cached_statements` bounds its prepared statements; with 0, none outlives
    /// its batch, so that sessions may be shared behind a pooler of transactions.
    ///
    /// # Errors
    ///
    /// [`WireError::Connect`] when the server cannot be reached, [`WireError::Refused`] when it
    /// does not let us in, [`WireError::Protocol`] when it asks for what is not supported.
    pub async fn open(config: &ConnectConfig, cached_statements: usize) -> Result<Self, WireError> {
        let socket = Socket::connect(&config.host, config.port, &config.tls)
            .await
            .map_err(WireError::Connect)?;
        let mut connection = Self {
            socket,
            outgoing: Outgoing::new(),
            incoming: BytesMut::with_capacity(16 * 1024),
            cache: StatementCache::new(cached_statements),
            parsing: VecDeque::new(),
            described: Description::default(),
            binary: VecDeque::new(),
            in_pieces: VecDeque::new(),
            passing_places: None,
            passing: None,
            partial: Answer::default(),
            under_way: 0,
            sent: 0,
            answered: 0,
        };
        connection.start_up(config).await?;
        Ok(connection)
    }

    /// The same session, served by the runtime of this thread.
    pub(crate) fn move_here(self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.move_here()?, ..self })
    }

    /// Gives up batches for the bytes themselves: the stream, and what was read from it and not yet looked
    /// at. For protocols that begin like a session and go on otherwise, such as streaming replication
    /// (with the setting `replication` among those of the start-up).
    pub fn into_raw(self) -> (RawStream, BytesMut) {
        (RawStream::new(self.socket), self.incoming)
    }

    /// Whether answers are still under way.
    pub fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// Whether the session may take a batch: nothing is under way and the server has neither said
    /// anything nor hung up since the last answer.
    pub fn is_reusable(&self) -> bool {
        !self.is_busy() && self.outgoing.is_empty() && !self.socket.has_unread()
    }

    /// Sends a batch and reads its answer: the rows of each statement.
    ///
    /// # Errors
    ///
    /// [`WireError::Database`] when a statement or the commit failed; the session stays usable
    /// unless the error was fatal. [`WireError::Lost`] and [`WireError::Protocol`] end it.
    pub async fn run(&mut self, batch: &Batch) -> Result<Vec<Rows>, WireError> {
        self.send(batch)?;
        let results = self.receive().await?;
        if !batch.rollback {
            return results;
        }
        // The `begin` before and the `rollback` after the batch have results too.
        results.map(|all| all.into_iter().skip(1).take(batch.statements.len()).collect())
    }

    /// Puts a batch behind those that are under way. It travels with the next
    /// [`Connection::receive`], which gives the answers in the order of sending.
    ///
    /// # Errors
    ///
    /// [`WireError::Protocol`] when the batch cannot be encoded; the others are not affected.
    pub(crate) fn send(&mut self, batch: &Batch) -> Result<(), WireError> {
        let begin = self.outgoing.len();
        self.sent += 1;
        if let Err(error) = self.encode(batch) {
            self.outgoing.truncate(begin);
            self.parsing.retain(|parsing| parsing.batch < self.sent);
            self.binary.retain(|binary| binary.batch < self.sent);
            self.in_pieces.retain(|(batch, _)| *batch < self.sent);
            self.sent -= 1;
            return Err(error);
        }
        self.under_way += 1;
        Ok(())
    }

    /// Writes what was sent and reads the answer to the oldest batch under way. The outer error ends
    /// the session, the inner one is the batch's own. When the future is dropped in the middle, the
    /// next call goes on where it was.
    pub(crate) async fn receive(&mut self) -> Result<Result<Vec<Rows>, WireError>, WireError> {
        loop {
            if let Some(received) = self.receive_up_to(usize::MAX).await? {
                return Ok(received);
            }
        }
    }

    /// As [`Connection::receive`]; `None` as soon as more than `limit` bytes of rows have come, and the
    /// answer is still under way.
    pub(crate) async fn receive_up_to(
        &mut self,
        limit: usize,
    ) -> Result<Option<Result<Vec<Rows>, WireError>>, WireError> {
        if self.outgoing.len() > DUPLEX_THRESHOLD_BYTES {
            self.exchange_duplex().await?;
        } else {
            if !self.outgoing.is_empty() {
                self.outgoing.write_all(&mut self.socket).await.map_err(WireError::Lost)?;
            }
            while !self.advance()? {
                if self.partial.size > limit {
                    return Ok(None);
                }
                read_more(&mut self.socket, &mut self.incoming).await?;
            }
        }
        self.finish().await.map(Some)
    }

    /// The oldest answer, of which everything has come.
    async fn finish(&mut self) -> Result<Result<Vec<Rows>, WireError>, WireError> {
        if self.is_passing() {
            return Ok(Ok(std::mem::take(&mut self.partial.results)));
        }
        let answer = std::mem::take(&mut self.partial);
        self.under_way -= 1;
        self.answered += 1;
        while self.parsing.front().is_some_and(|parsing| parsing.batch <= self.answered) {
            self.parsing.pop_front();
        }
        while self.binary.front().is_some_and(|binary| binary.batch <= self.answered) {
            self.binary.pop_front();
        }
        while self.in_pieces.front().is_some_and(|(batch, _)| *batch <= self.answered) {
            self.in_pieces.pop_front();
        }
        if answer.in_transaction {
            self.roll_back().await?;
        }
        if self.under_way == 0 && self.incoming.capacity() > KEPT_BUFFER_BYTES {
            self.incoming = BytesMut::with_capacity(16 * 1024);
        }
        Ok(match answer.error {
            Some(error) => Err(WireError::database(error)),
            None => Ok(answer.results),
        })
    }

    /// Lets large values of statements of [`Format::Pieces`] be passed on, as long as there are places.
    pub(crate) fn share_places(&mut self, places: Arc<Semaphore>) {
        self.passing_places = Some(places);
    }

    /// Whether the oldest answer, which was given by [`Connection::receive`], ends with a value that is
    /// to be passed on.
    pub(crate) fn is_passing(&self) -> bool {
        self.passing.is_some()
    }

    /// Passes the value on until it is complete or nobody wants it any more. The next
    /// [`Connection::receive`] reads what is left of the answer, and gives it a second time, empty.
    ///
    /// `patience` is how long the server may take for the next bytes, and the client for a piece.
    pub(crate) async fn pass_on(&mut self, patience: Duration) -> Result<(), WireError> {
        while let Some(passing) = self.passing.as_mut().filter(|passing| !passing.is_over()) {
            if !self.incoming.is_empty() {
                if !passing.pass(&mut self.incoming, patience).await {
                    break;
                }
                continue;
            }
            if self.incoming.capacity() < PIECE_BYTES / 4 {
                self.incoming.reserve(PIECE_BYTES);
            }
            let read = read_more(&mut self.socket, &mut self.incoming);
            tokio::time::timeout(patience, read)
                .await
                .unwrap_or(Err(WireError::AnswerTimeout(patience)))?;
        }
        Ok(())
    }

    /// Reads what is left of answers that nobody waits for any more.
    ///
    /// # Errors
    ///
    /// [`WireError::Lost`] when the session is of no use any more.
    pub async fn drain(&mut self) -> Result<(), WireError> {
        while self.is_busy() {
            // What the batch itself came to has nobody to tell.
            let _ = self.receive().await?;
        }
        Ok(())
    }

    /// Forgets all prepared statements; the next batch closes them at the server.
    pub fn forget_statements(&mut self) {
        for name in self.cache.clear() {
            // Writing to memory cannot fail for a name this short.
            let _ = frontend::close(b'S', name.as_str(), self.outgoing.messages());
        }
    }

    fn encode(&mut self, batch: &Batch) -> Result<(), WireError> {
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

    async fn exchange_duplex(&mut self) -> Result<(), WireError> {
        loop {
            if self.advance()? {
                return Ok(());
            }
            if self.outgoing.is_empty() {
                read_more(&mut self.socket, &mut self.incoming).await?;
                continue;
            }
            let (mut reader, mut writer) = tokio::io::split(&mut self.socket);
            tokio::select! {
                read = read_more(&mut reader, &mut self.incoming) => read?,
                written = self.outgoing.write_some(&mut writer) => {
                    written.map_err(WireError::Lost)?;
                }
            }
        }
    }

    /// A statement left its own transaction open or failed inside it; the next batch must not
    /// inherit that. With further batches under way it is too late, and the session ends.
    async fn roll_back(&mut self) -> Result<(), WireError> {
        if self.is_busy() {
            return Err(WireError::Protocol("a shared batch left a transaction open".to_owned()));
        }
        frontend::query("rollback", self.outgoing.messages()).map_err(protocol_error)?;
        self.sent += 1;
        self.under_way += 1;
        Box::pin(self.receive()).await?.map(drop)
    }

    /// Takes what has come into the oldest answer; true when that is all of it, or all but a value that
    /// is to be passed on.
    fn advance(&mut self) -> Result<bool, WireError> {
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

async fn read_more(
    reader: &mut (impl AsyncReadExt + Unpin),
    incoming: &mut BytesMut,
) -> Result<(), WireError> {
    if incoming.len() > MAX_ANSWER_BYTES {
        return Err(WireError::TooLarge(MAX_ANSWER_BYTES));
    }
    if incoming.capacity() - incoming.len() < 1024 {
        incoming.reserve(16 * 1024);
    }
    match reader.read_buf(incoming).await {
        Ok(0) => Err(WireError::Lost(io::ErrorKind::UnexpectedEof.into())),
        Ok(_) => Ok(()),
        Err(error) => Err(WireError::Lost(error)),
    }
}

fn protocol_error(error: io::Error) -> WireError {
    WireError::Protocol(error.to_string())
}

/// The tag of a `DataRow` message.
const DATA_ROW: u8 = b'D';

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
