//! The language against a real server.
//!
//! `PLINTH_TEST_DATABASE_URL` names a database to use; without it a throw-away cluster is started.

mod calls;
mod catalog;
mod domains;
mod embeds;
mod errors;
mod harness;
mod hostile;
mod media;
mod reads;
mod rows;
mod sentences;
mod shapes;
mod sql;
mod words;
mod writes;
