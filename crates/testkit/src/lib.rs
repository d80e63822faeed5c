#![doc = include_str!("../README.md")]

pub mod api;
pub mod authenticator;
pub mod blueprint;
mod clone;
mod cluster;
mod database;
mod error;
mod session;
pub mod token;

pub use clone::{clone_database, drop_database};
pub use cluster::{MASTER_KEY, TestCluster, master_key, test_cluster};
pub use database::{Data, Template, TestDatabase, with_database};
pub use error::KitError;
