//! The wire against a real PostgreSQL.

mod pool;
mod session;
mod support;
