#![doc = include_str!("../README.md")]

mod batch;
mod cache;
mod config;
mod connection;
mod error;
mod lane;
mod pool;
mod socket;

pub use batch::{Batch, Lane, Row, Statement};
pub use config::{ConnectConfig, Host, Secret};
pub use connection::Connection;
pub use error::{DatabaseError, WireError};
pub use pool::{Budget, Pool, PoolOptions, PoolStatus};
