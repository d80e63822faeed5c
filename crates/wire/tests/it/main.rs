//! The wire against a real PostgreSQL.

mod binary;
mod pool;
mod reads;
mod session;
mod support;
mod tls;
