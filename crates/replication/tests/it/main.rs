//! The stream of changes against a real PostgreSQL, and its decoder against what no PostgreSQL sends.

mod access;
mod assembling;
mod changes;
mod decoding;
mod encode;
mod failures;
mod large;
mod listeners;
mod speed;
mod support;
