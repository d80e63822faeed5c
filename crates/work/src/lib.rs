#![doc = include_str!("../README.md")]

pub mod action;
mod counters;
pub mod engine;
pub mod hook;
pub mod inspect;
pub mod install;
pub mod journal;
pub mod manifest;
pub mod message;
mod meter;
mod patience;
pub mod rule;
pub mod schedule;
mod sealed;
mod store;
mod value;

pub use counters::{BindingCounters, Counters, Histogram, Seen};
pub use meter::{MAX_UNWRITTEN, Meter};
pub use sealed::{Opener, Opening, Unopened};
pub use store::{Depth, Glance, Rules, Store};
