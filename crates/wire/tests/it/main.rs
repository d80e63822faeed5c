//! The wire against a real PostgreSQL.

mod binary;
mod pieces;
mod pool;
mod raw;
mod reads;
mod session;
mod support;
mod tls;
