//! Threads that keep to themselves.

use std::cell::Cell;

thread_local! {
    static HOME: Cell<usize> = const { Cell::new(0) };
}

/// Says that this thread has a runtime of its own, which lives as long as the thread, and is the
/// `number`th of its kind, counted from 1.
///
/// Reads of such a thread share connections among themselves only, and a connection that it takes
/// moves to its runtime, so that a request and its answer never cross from one thread to another.
/// Threads that never say so are one together.
pub fn pin_thread(number: usize) {
    HOME.set(number);
}

/// The number of this thread, 0 for all those that have none.
pub(crate) fn home() -> usize {
    HOME.get()
}
