#![doc = include_str!("../README.md")]

mod assemble;
mod backoff;
mod change;
mod counters;
pub mod decode;
mod error;
mod event;
mod filter;
mod frame;
mod hub;
mod lsn;
mod pace;
mod publication;
mod relation;
mod session;

pub use assemble::{Assembler, Decode, Sink};
pub use change::{Change, ChangeKind, LogicalMessage, Old, Transaction};
pub use counters::Counters;
pub use decode::{DecodeError, Tuple, Value};
pub use error::StreamError;
pub use event::{Ended, Event, GapReason};
pub use filter::Filter;
pub use hub::{ChangeHub, HubOptions, Overflow, QueueBounds, Subscription};
pub use lsn::{Lsn, PgTime};
pub use pace::{Pace, PaceOptions, Serve};
pub use publication::Publication;
pub use relation::{Column, Relation, ReplicaIdentity, TypeName};
