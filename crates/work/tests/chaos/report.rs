//! What people see of a run.

use std::io::Write;

/// A line on standard output, which the usual harness does not keep from anybody here.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "chaos: {line}").unwrap();
}
