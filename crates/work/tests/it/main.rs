//! The work plane on a real PostgreSQL.

mod apply;
mod check;
mod engine;
mod support;
mod trigger;
