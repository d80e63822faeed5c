//! Checks of the repository's blueprints and of the platform schema, and of the checks themselves.

mod blueprints;
mod catalog_rules;
mod helpers;
mod kit;
mod matrix;
mod platform;
mod sample;
