//! From a manifest to a database that does what it says.

mod check;

pub use check::{CheckError, Checker};
