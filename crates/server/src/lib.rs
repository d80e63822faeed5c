#![doc = include_str!("../README.md")]

pub mod blueprints;
pub mod cli;
pub mod commands;
pub mod config;
pub mod gateway;
pub mod import;
pub mod pgrst;
pub mod runtime;
pub mod types;
