//! The tokens of a project: which keys sign them, which keys verify them, and what they say.
//!
//! JSON Web Tokens (RFC 7519) in compact form. A token never chooses how it is verified: the key that it
//! names has one algorithm, and a token that names none of the project's keys can only be one of HS256.
//! Keys are prepared once; a token costs one signature, and a few microseconds with HS256.

mod claims;
mod jwk;
mod keys;
mod signature;

pub use claims::{AccessToken, AmrEntry, AssuranceLevel, Claims, SubjectError};
pub use jwk::{Algorithm, Jwk, KeyError, generate};
pub use keys::{KeyState, MAX_LEEWAY_S, SigningKey, SigningKeys, TokenError};
