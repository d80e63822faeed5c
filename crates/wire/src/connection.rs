//! One session: start-up, and batches one after the other.

mod answer;
mod encode;
mod start_up;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use answer::Answer;
use encode::{Binary, Parsing};

use crate::cache::StatementCache;
use crate::cancel::CancelKey;
use crate::outgoing::Outgoing;
use crate::pieces::{PIECE_BYTES, Passing};
use crate::rows::Description;
use crate::socket::Socket;
use crate::{Batch, ConnectConfig, RawStream, Rows, WireError};

/// Above this many bytes a batch is written and its answer read at the same time, so that neither
/// side waits for the other with full socket buffers.
const DUPLEX_THRESHOLD_BYTES: usize = 32 * 1024;

/// Most bytes of one answer that is held in memory until the client has taken it.
pub(crate) const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// A read buffer that grew beyond this is given back after the answer.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;

/// One PostgreSQL session.
///
/// Batches are answered in the order in which they were sent; each is a transaction of its own. When
/// the future of [`Connection::run`] is dropped in the middle, [`Connection::drain`] brings the
/// session back to where the next batch may start.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    /// What ends its statements from outside, where the server has given it.
    cancel_key: Option<CancelKey>,
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
            cancel_key: None,
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

    /// Has the server end the statement that is under way, wherever `config` leads. The session is of no use afterwards.
    pub(crate) async fn cancel(&self, config: &ConnectConfig) {
        if let Some(key) = self.cancel_key {
            key.cancel(config).await;
        }
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

    /// Lets large values of statements of [`Format::Pieces`](crate::Format::Pieces) be passed on, as long as there are places.
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
