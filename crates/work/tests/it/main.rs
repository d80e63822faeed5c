//! The work plane on a real PostgreSQL.

mod apply;
mod check;
mod engine;
mod flow;
mod hook;
mod request;
mod schedule;
mod support;
mod trigger;
