//! The wire against a real PostgreSQL.

mod pool;
mod reads;
mod session;
mod support;
