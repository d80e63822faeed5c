//! The bytes of a dump, one after the other, with the number of the line.

use std::io::BufRead;

use super::{MAX_ROW, ReadError};

/// Reads a file byte by byte, looking one byte ahead.
pub(super) struct Source<R> {
    file: R,
    /// From 1.
    pub(super) line: u64,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(file: R) -> Self {
        Self { file, line: 1 }
    }

    /// The next byte, which stays.
    pub(super) fn peek(&mut self) -> Result<Option<u8>, ReadError> {
        Ok(self.file.fill_buf()?.first().copied())
    }

    /// Takes the next byte.
    pub(super) fn next(&mut self) -> Result<Option<u8>, ReadError> {
        let byte = self.peek()?;
        if let Some(byte) = byte {
            self.file.consume(1);
            self.line += u64::from(byte == b'\n');
        }
        Ok(byte)
    }

    /// Takes the rest of the line, without its end; `None` at the end of the file.
    pub(super) fn line(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let mut line = Vec::new();
        let most = MAX_ROW as u64 + 2;
        let read = std::io::Read::take(&mut self.file, most).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if line.pop_if(|last| *last == b'\n').is_some() {
            self.line += 1;
            line.pop_if(|last| *last == b'\r');
        } else if line.len() > MAX_ROW {
            return Err(self.too_long());
        }
        Ok(Some(line))
    }

    /// Adds a byte to a value.
    pub(super) fn push(&self, value: &mut Vec<u8>, byte: u8) -> Result<(), ReadError> {
        if value.len() >= MAX_ROW {
            return Err(self.too_long());
        }
        value.push(byte);
        Ok(())
    }

    /// The text that these bytes are.
    pub(super) fn text(&self, bytes: Vec<u8>) -> Result<String, ReadError> {
        String::from_utf8(bytes).map_err(|_not_utf8| self.error("the text is not UTF-8"))
    }

    /// A refusal of what stands here.
    pub(super) fn error(&self, what: impl Into<String>) -> ReadError {
        ReadError::syntax(self.line, what)
    }

    fn too_long(&self) -> ReadError {
        self.error(format!("a row has more than {MAX_ROW} bytes"))
    }
}
