//! Users, sessions, tokens, factors, keys: the sign-in of a project.

pub mod captcha;
pub mod config;
pub mod email;
pub mod external;
pub mod hook;
pub mod limits;
pub mod mail;
pub mod outgoing;
pub mod password;
pub mod random;
pub mod redirect;
pub mod seal;
pub mod settings;
pub mod sms;
pub mod token;
pub mod totp;
pub mod webauthn;
