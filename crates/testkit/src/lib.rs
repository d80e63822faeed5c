#![doc = include_str!("../README.md")]

pub mod blueprint;
mod clone;
mod error;
mod session;

pub use clone::{clone_database, drop_database};
pub use error::KitError;
