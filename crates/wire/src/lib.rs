#![doc = include_str!("../README.md")]

mod batch;
mod cache;
mod config;
mod connection;
mod error;
mod lane;
mod outgoing;
mod pool;
mod rows;
mod socket;

pub use batch::{Batch, Lane, Statement};
pub use config::{ConnectConfig, Host, Secret};
pub use connection::Connection;
pub use error::{DatabaseError, WireError};
pub use pool::{Budget, Pool, PoolOptions, PoolStatus};
pub use rows::{BinaryRows, Column, Format, Row, Rows};
