//! Users, sessions, tokens, factors, keys: the sign-in of a project.

pub mod config;
pub mod email;
pub mod limits;
pub mod password;
pub mod random;
pub mod token;
pub mod webauthn;
