#![doc = include_str!("../README.md")]

mod caller;
mod cluster;
mod connection;
mod digest;
mod external;
mod keys;
mod managed;
pub mod migrate;
mod numbered;
mod platform;
mod project;
pub mod quote;
mod registry;
pub mod seal;
mod sealing;
mod signing_key;
pub mod sqlstate;
mod tls;

pub use caller::{Caller, PRINTING, RequestContext, enter};
pub use cluster::Cluster;
pub use connection::{ConnectError, Connection, Endpoint, Listener, Login};
pub use external::Finding;
pub use keys::{KeyError, Keys, OpaqueKind, opaque_kind};
pub use managed::{
    Binaries, BinariesError, ClusterError, DEFAULT_PORT, ManagedCluster, ManagedOptions,
    ManagedReport, OLDEST_MAJOR,
};
pub use numbered::PlatformError;
pub use plinth_wire::{Host, Secret};
pub use project::{MAX_NAME, NameError, Project, validate_name};
pub use registry::{
    CHANNEL, CONTROL_DATABASE, Changes, CreateProject, Listing, Registry, RegistryError,
};
pub use sealing::{PublicSealingKey, SEALED, SealingError, SealingKey, sealing_key_name};
pub use signing_key::{MAX_SIGNING_KEYS, NewSigningKey, SigningKey, SigningKeyState};
