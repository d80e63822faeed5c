//! What people see of a run.

use std::io::Write;

/// A line on standard output, which the usual harness does not keep from anybody here.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stdout(), "chaos: {line}").unwrap();
}
