#![doc = include_str!("../README.md")]

mod batch;
mod cache;
mod cancel;
mod config;
mod connection;
mod counters;
mod error;
mod lane;
mod outgoing;
mod pieces;
mod pool;
mod raw;
mod rows;
mod shard;
mod socket;
mod tls;

pub use batch::{Batch, Lane, Statement};
pub use config::{ConnectConfig, Host, Secret};
pub use connection::Connection;
pub use counters::Counters;
pub use error::{DatabaseError, WireError};
pub use pieces::{BrokenOff, Pieces};
pub use pool::{Budget, Pool, PoolOptions, PoolStatus};
pub use raw::RawStream;
pub use rows::{BinaryRows, Column, Format, Row, Rows};
pub use shard::pin_thread;
pub use tls::{Tls, TlsMode, encrypt};
pub use tokio_rustls::{TlsConnector, client::TlsStream};
