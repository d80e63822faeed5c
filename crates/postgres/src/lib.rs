#![doc = include_str!("../README.md")]

mod caller;
mod connection;
mod keys;
mod project;
mod quote;
mod secret;
pub mod sqlstate;

pub use caller::{Caller, RequestContext, enter};
pub use connection::{ConnectError, Connection, Endpoint, Host, Login};
pub use keys::{KeyError, Keys, OpaqueKind, opaque_kind};
pub use project::{MAX_NAME, NameError, Project, validate_name};
pub use secret::Secret;
