//! The gateway and the binary over real HTTP and a real, throw-away PostgreSQL.

mod support;

mod abuse;
mod access;
mod auth_import;
mod beside;
mod catalog;
mod cli;
mod faults;
mod gateway;
mod hooks;
mod large;
mod master_key;
mod projects;
mod rest_alone;
mod rest_settings;
mod rows;
mod sign_in;
mod signing_keys;
mod work;
