//! Passwords: hashing them on threads of their own, what a good one is, and whether it has leaked.
//!
//! New hashes are argon2id. Hashes that came with imported users (bcrypt, argon2, Firebase's scrypt) are
//! verified, and [`Verdict::Match`] says when a hash should be replaced by one of our own.

mod firebase;
mod hasher;
mod leaked;
mod policy;
mod stored;

pub use hasher::{Hasher, HasherError, HasherSettings};
pub use leaked::{DEFAULT_BASE as LEAKED_BASE, LeakError, LeakedPasswords, LeakedSettings};
pub use policy::{
    MAX_PASSWORD_BYTES, PasswordProblem, PasswordRules, WeakReason, parse_required_characters,
    required_characters_of,
};
pub use stored::{Cost, Verdict, is_supported};
