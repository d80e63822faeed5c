//! PostgREST's settings: their names, where they come from, and what they mean.
//!
//! [`Source`] is what was given at start (file, environment, flags); together with the settings that
//! the database holds it gives [`Settings`]. Later ones win: file < environment < flags < database.

mod connection;
mod dump;
mod file;
mod keys;
mod layers;
mod settings;
mod source;

pub use connection::endpoint;
pub use dump::example;
pub use file::{FileError, parse_file};
pub use keys::{KEYS, Key, Kind};
pub use settings::{Jwt, LogLevel, Place, Settings, SettingsError};
pub use source::{Source, SourceError};
