//! A replication connection: commands first, then a stream in both directions (PostgreSQL "Streaming Replication Protocol").

use std::io;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use plinth_wire::{ConnectConfig, Connection, DatabaseError, RawStream};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::frame::{Frame, put_status};
use crate::{Lsn, PgTime, StreamError};

/// How long opening a session may take, and a command that does not wait for anybody.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the server may take to hang up after it was asked to.
const GOODBYE: Duration = Duration::from_secs(5);
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// A smaller message is copied out of the chunk that it came in: one change that waits somewhere must not keep all of the
/// chunk in memory. A larger one is cut out of it.
const COPIED_BYTES: usize = 16 * 1024;

/// Settings of the session. Nothing of ours resolves a name of the project's, and the search for its tables is bounded by
/// nothing that somebody set for the role or the database.
const SETTINGS: [(&str, &str); 4] = [
    ("replication", "database"),
    ("search_path", "pg_catalog"),
    ("statement_timeout", "0"),
    ("lock_timeout", "0"),
];

/// A session with a server that sends its log.
#[derive(Debug)]
pub(crate) struct Session {
    stream: RawStream,
    incoming: BytesMut,
    /// Most bytes of one message.
    message_bytes: usize,
    /// Bytes that came.
    received: u64,
}

impl Session {
    /// Opens a session whose messages may have `message_bytes` each.
    pub(crate) async fn open(
        config: &ConnectConfig,
        message_bytes: usize,
    ) -> Result<Self, StreamError> {
        let mut config = config.clone();
        config.settings.extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let opened = timeout(PATIENCE, Connection::open(&config, 0)).await;
        let late = |_| StreamError::Lost(io::ErrorKind::TimedOut.into());
        let (stream, incoming) = opened.map_err(late)?.map_err(StreamError::Open)?.into_raw();
        let mut session = Self { stream, incoming, message_bytes, received: 0 };
        // Else a session of ours that is gone would wait on for the end of old transactions, and hold log all that time.
        // Where the operating system cannot tell, PostgreSQL refuses, and that is all right.
        let check = "set client_connection_check_interval = '2s'";
        match session.query("prepare the session", check).await {
            Ok(_) | Err(StreamError::Database { .. }) => Ok(session),
            Err(error) => Err(error),
        }
    }

    /// Runs a command that does not wait for anybody; returns its rows.
    pub(crate) async fn query(
        &mut self,
        doing: &'static str,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, StreamError> {
        let answered = timeout(PATIENCE, self.command(doing, sql)).await;
        answered.unwrap_or(Err(StreamError::Silent(PATIENCE)))
    }

    /// Runs a command, however long it takes; returns its rows.
    pub(crate) async fn command(
        &mut self,
        doing: &'static str,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, StreamError> {
        self.send_query(sql).await?;
        let (mut rows, mut failed) = (Vec::new(), None);
        loop {
            match self.next_message().await? {
                (b'D', body) => rows.push(row(body)?),
                (b'E', body) => failed = Some(failure(doing, body)?),
                (b'Z', _) => return failed.map_or(Ok(rows), Err),
                _ => {}
            }
        }
    }

    /// Sends the command that makes a stream of the session.
    pub(crate) async fn start(&mut self, sql: &str) -> Result<(), StreamError> {
        let doing = "start the stream";
        self.send_query(sql).await?;
        let started = timeout(PATIENCE, async {
            loop {
                match self.next_message().await? {
                    (b'W', _) => return Ok(()),
                    (b'E', body) => return Err(failure(doing, body)?),
                    (b'Z', _) => return Err(StreamError::Protocol("no stream began".to_owned())),
                    _ => {}
                }
            }
        });
        started.await.unwrap_or(Err(StreamError::Silent(PATIENCE)))
    }

    /// The next frame of the stream, if all of it has come.
    pub(crate) fn take_frame(&mut self) -> Result<Option<Frame>, StreamError> {
        while let Some((tag, body)) = self.take_message()? {
            match tag {
                b'd' => return Ok(Some(Frame::read(body)?)),
                b'E' => return Err(failure("read the stream", body)?),
                // The server ends the stream when it shuts down.
                b'c' | b'C' | b'Z' => {
                    return Err(StreamError::Lost(io::ErrorKind::UnexpectedEof.into()));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Waits for more bytes. Nothing is lost when the future is dropped.
    pub(crate) async fn read_more(&mut self) -> Result<(), StreamError> {
        if self.incoming.capacity() - self.incoming.len() < CHUNK_BYTES / 4 {
            self.incoming.reserve(CHUNK_BYTES);
        }
        match self.stream.read_buf(&mut self.incoming).await {
            Ok(0) => Err(StreamError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => {
                self.received += read as u64;
                Ok(())
            }
            Err(error) => Err(StreamError::Lost(error)),
        }
    }

    /// Bytes that came since the last call.
    pub(crate) fn take_received(&mut self) -> usize {
        usize::try_from(std::mem::take(&mut self.received)).unwrap_or(usize::MAX)
    }

    /// Tells the server that everything before `position` was taken.
    pub(crate) async fn confirm(
        &mut self,
        position: Lsn,
        reply_wanted: bool,
    ) -> Result<(), StreamError> {
        let mut message = BytesMut::with_capacity(64);
        put_status(position, PgTime::now(), reply_wanted, &mut message);
        self.write(&message).await
    }

    /// Ends the session and waits until the server has hung up, so that its slot is gone.
    pub(crate) async fn close(mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        if self.write(&message).await.is_err() {
            return;
        }
        let rest = async {
            loop {
                self.incoming.clear();
                if self.read_more().await.is_err() {
                    return;
                }
            }
        };
        // One that does not hang up is left alone with its slot, which ends with its next attempt to write.
        let _ = timeout(GOODBYE, rest).await;
    }

    async fn send_query(&mut self, sql: &str) -> Result<(), StreamError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message).map_err(protocol)?;
        self.write(&message).await
    }

    async fn write(&mut self, message: &[u8]) -> Result<(), StreamError> {
        let written = timeout(PATIENCE, async {
            self.stream.write_all(message).await?;
            self.stream.flush().await
        });
        written.await.map_err(|_| StreamError::Silent(PATIENCE))?.map_err(StreamError::Lost)
    }

    async fn next_message(&mut self) -> Result<(u8, Bytes), StreamError> {
        loop {
            if let Some(message) = self.take_message()? {
                return Ok(message);
            }
            self.read_more().await?;
        }
    }

    /// The next message, if all of it has come: its tag and what follows the length.
    fn take_message(&mut self) -> Result<Option<(u8, Bytes)>, StreamError> {
        let Some(&[tag, l0, l1, l2, l3]) = self.incoming.first_chunk() else { return Ok(None) };
        // The length counts itself but not the tag.
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let body = length.checked_sub(4).ok_or_else(|| protocol("a length below 4"))?;
        if body > self.message_bytes {
            return Err(StreamError::TooLarge(body));
        }
        if self.incoming.len() < 5 + body {
            self.incoming.reserve(5 + body - self.incoming.len());
            return Ok(None);
        }
        self.incoming.advance(5);
        if body < COPIED_BYTES {
            let copied = self.incoming.get(..body).map(Bytes::copy_from_slice).unwrap_or_default();
            self.incoming.advance(body);
            return Ok(Some((tag, copied)));
        }
        Ok(Some((tag, self.incoming.split_to(body).freeze())))
    }
}

fn protocol(error: impl ToString) -> StreamError {
    StreamError::Protocol(error.to_string())
}

/// What an ErrorResponse says. The outer error is that it cannot be read.
fn failure(doing: &'static str, body: Bytes) -> Result<StreamError, StreamError> {
    let mut whole = BytesMut::with_capacity(5 + body.len());
    whole.extend_from_slice(b"E");
    whole.extend_from_slice(&u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes());
    whole.extend_from_slice(&body);
    match Message::parse(&mut whole).map_err(protocol)? {
        Some(Message::ErrorResponse(body)) => {
            let error = DatabaseError::parse(body.fields()).map_err(protocol)?;
            Ok(StreamError::database(doing, error))
        }
        _ => Err(protocol("an unreadable error")),
    }
}

/// The values of a DataRow.
fn row(mut body: Bytes) -> Result<Vec<Option<String>>, StreamError> {
    let short = |_| protocol("a short row");
    let count = body.try_get_u16().map_err(short)?;
    let mut values = Vec::new();
    for _ in 0..count {
        let value = match usize::try_from(body.try_get_i32().map_err(short)?) {
            Err(_) => None,
            Ok(length) if length > body.len() => return Err(protocol("a short value")),
            Ok(length) => Some(String::from_utf8_lossy(&body.split_to(length)).into_owned()),
        };
        values.push(value);
    }
    Ok(values)
}
