//! A file of which no more is read for one row than a row may have.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::{MAX_ROW, PEEK, ReadError};

/// Counts what is read of the present row.
#[derive(Clone, Default)]
pub(super) struct Meter(Rc<Cell<usize>>);

impl Meter {
    /// The row has ended.
    pub(super) fn reset(&self) {
        self.0.set(0);
    }

    /// The refusal of the row, if it is too long.
    pub(super) fn refusal(&self, line: u64) -> Option<ReadError> {
        let what = || ReadError::syntax(line, format!("a row has more than {MAX_ROW} bytes"));
        self.is_over().then(what)
    }

    /// Readers that read ahead may have some of the next rows.
    fn is_over(&self) -> bool {
        self.0.get() > MAX_ROW + PEEK
    }
}

/// Fails when a row is too long; [`Meter::refusal`] says so.
pub(super) struct Bounded<R> {
    file: R,
    meter: Meter,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(file: R, meter: &Meter) -> Self {
        Self { file, meter: meter.clone() }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.meter.is_over() {
            return Err(io::Error::other("a row is too long"));
        }
        let most = buffer.len().min(PEEK);
        let read = self.file.read(&mut buffer[..most])?;
        self.meter.0.set(self.meter.0.get() + read);
        Ok(read)
    }
}
