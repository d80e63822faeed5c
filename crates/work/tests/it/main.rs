//! The work plane on a real PostgreSQL.

mod apply;
mod called;
mod cancel;
mod check;
mod engine;
mod flow;
mod hook;
mod inspect;
mod limited;
mod look;
mod lost;
mod message_dead;
mod message_limits;
mod message_run;
mod message_send;
mod message_steps;
mod message_support;
mod meter;
mod request;
mod schedule;
mod sealed;
mod support;
mod trigger;
mod walkthrough;
