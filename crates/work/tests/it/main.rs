//! The work plane on a real PostgreSQL.

mod engine;
mod support;
mod trigger;
