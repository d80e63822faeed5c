//! The work plane on a real PostgreSQL.

mod check;
mod engine;
mod support;
mod trigger;
