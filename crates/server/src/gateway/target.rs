//! Request targets as people type them.
//!
//! `"`, `<` and `>` may not stand in a URL, nor `#` in what is sent of one (RFC 3986 §2, §3.5), yet curl and others send them as they are, the data API's
//! language is full of them (`data->>name`, `in.("a","b")`, `data#>>{a}`), and PostgREST takes them. The HTTP
//! implementation refuses such a target, or cuts it off, before anybody sees it, so they are encoded on the way to it.

use std::io::{self, BufRead as _, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Of a header no more than this is looked at.
const HEADER_BYTES: usize = 64;

/// A stream whose reader gets the queries of request targets encoded, and everything else as it came.
pub(super) struct Encoded<S> {
    stream: S,
    requests: Requests,
    /// What was read and did not fit, from `given` on.
    rest: Vec<u8>,
    given: usize,
}

impl<S> Encoded<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, requests: Requests::default(), rest: Vec::new(), given: 0 }
    }

    /// Gives as much of the rest as there is room for.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = buffer.remaining().min(self.rest.len() - self.given);
        buffer.put_slice(&self.rest[self.given..self.given + count]);
        self.given += count;
        if self.given == self.rest.len() {
            self.rest = Vec::new();
            self.given = 0;
        }
    }
}

/// Where in its requests a connection is. A request line is one where it is certain that one begins: first of all, and
/// after the empty line of a head that announces no body. Whatever else a head says ends the search on its
/// connection, so that no byte of a body is ever taken for a target.
#[derive(Debug, Default)]
struct Requests {
    at: Place,
    /// Whether the query of the target has begun.
    in_query: bool,
    /// The beginning of a line that came in pieces, and whether that is all of it.
    line: Vec<u8>,
    cut: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    RequestLine,
    Headers,
    /// Nothing is encoded any more.
    Unknown,
}

impl Requests {
    /// Follows `bytes`; gives them back encoded when something in them has to be.
    fn follow(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut encoded = Vec::new();
        let (mut done, mut index) = (0, 0);
        while index < bytes.len() && self.at != Place::Unknown {
            let start = index;
            let mut rest = &bytes[start..];
            // Reading a slice cannot fail.
            index += rest.skip_until(b'\n').unwrap_or(rest.len());
            if self.at == Place::RequestLine {
                self.encode(&bytes[..index], start, &mut done, &mut encoded);
            }
            self.line_part(&bytes[start..index]);
        }
        (!encoded.is_empty()).then(|| {
            encoded.extend_from_slice(&bytes[done..]);
            encoded
        })
    }

    /// Encodes what of the request line stands in `bytes` from `start` on. `done` bytes are in `encoded` already.
    fn encode(&mut self, bytes: &[u8], start: usize, done: &mut usize, encoded: &mut Vec<u8>) {
        for (index, byte) in bytes.iter().enumerate().skip(start) {
            self.in_query |= *byte == b'?';
            let code: &[u8; 3] = match byte {
                b'"' => b"%22",
                b'#' => b"%23",
                b'<' => b"%3C",
                b'>' => b"%3E",
                _ => continue,
            };
            if self.in_query {
                encoded.extend_from_slice(&bytes[*done..index]);
                encoded.extend_from_slice(code);
                *done = index + 1;
            }
        }
    }

    /// Takes a line, or what of it has come.
    fn line_part(&mut self, part: &[u8]) {
        let ends = part.ends_with(b"\n");
        if ends && self.line.is_empty() {
            self.at = self.after(&part[..part.len().min(HEADER_BYTES)], part.len() > HEADER_BYTES);
            return;
        }
        let room = HEADER_BYTES - self.line.len();
        self.cut |= part.len() > room;
        self.line.extend_from_slice(&part[..part.len().min(room)]);
        if ends {
            let line = std::mem::take(&mut self.line);
            let cut = std::mem::take(&mut self.cut);
            self.at = self.after(&line, cut);
        }
    }

    /// Where the connection is after `line`, which is only its beginning when it was `cut`.
    fn after(&mut self, line: &[u8], cut: bool) -> Place {
        // White space alone is no empty line.
        let is_empty = matches!(line, b"\n" | b"\r\n");
        match self.at {
            Place::RequestLine if line.starts_with(b"CONNECT") => Place::Unknown,
            // Empty lines before a request are skipped, as HTTP says.
            Place::RequestLine if !is_empty => Place::Headers,
            Place::Headers if !is_empty => after_header(line, cut),
            Place::Unknown => Place::Unknown,
            Place::RequestLine | Place::Headers => {
                self.in_query = false;
                Place::RequestLine
            }
        }
    }
}

/// Whether the head goes on as one without a body does.
fn after_header(line: &[u8], cut: bool) -> Place {
    const ENDING: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"expect", b"upgrade"];
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Place::Unknown };
    let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    let kept = value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close");
    let ends =
        name.len() < colon || ENDING.into_iter().any(is) || is(b"connection") && (cut || !kept);
    if ends { Place::Unknown } else { Place::Headers }
}

impl<S: AsyncRead + Unpin> AsyncRead for Encoded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            let Some(encoded) = self.requests.follow(&buffer.filled()[before..]) else {
                return Poll::Ready(Ok(()));
            };
            buffer.set_filled(before);
            self.rest = encoded;
        }
        self.give(buffer);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Encoded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
