//! The hashes that are in the database: making ours, and verifying everybody's.

use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::firebase::{self, FirebaseHash};

/// Longest text of a hash that is looked at, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Most memory that an argon2 hash may ask for, in KiB.
const MAX_MEMORY_KIB: u32 = 256 * 1024;
/// Most memory that an argon2 hash may go through in all its passes, in KiB: about a second.
const MAX_WORK_KIB: u64 = 1024 * 1024;
/// Most lanes of an argon2 hash.
const MAX_LANES: u32 = 16;
/// Highest cost of a bcrypt hash: about a second. Every step doubles it; 10 and 12 are usual.
const MAX_BCRYPT_COST: u32 = 14;

/// Bytes of the salt and of the result of our own hashes.
const SALT_BYTES: usize = 16;
const OUTPUT_BYTES: usize = 32;

/// What came of comparing a password with a stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Match {
        /// Whether the hash is of another kind, or cheaper, than new ones: hash again and store that.
        rehash: bool,
    },
    /// It is another password.
    Mismatch,
    /// The stored text is no hash that can be verified, or one that asks for too much.
    Unsupported,
}

/// What a new hash costs (argon2id, RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB, at least 8 for each lane.
    pub memory_kib: u32,
    /// Passes over it, at least 1.
    pub passes: u32,
    /// Lanes, at least 1. They do not make it faster, for an attacker neither.
    pub lanes: u32,
}

impl Default for Cost {
    /// 19 MiB, two passes, one lane: the first choice of OWASP's "Password Storage Cheat Sheet".
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

impl Cost {
    /// Its parameters, if argon2 allows them and they are within our bounds.
    pub(super) fn params(self) -> Option<Params> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(OUTPUT_BYTES))
            .ok()
            .filter(affordable)
    }
}

/// Whether `text` is a hash that can be verified. What an administrator hands in must be.
pub fn is_supported(text: &str) -> bool {
    Stored::parse(text).is_some()
}

/// The memory that argon2 works in, kept between hashes: with fresh pages a hash takes 27 ms instead of 22.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    fn blocks(&mut self, count: usize) -> &mut [Block] {
        if self.0.len() < count {
            self.0.resize(count, Block::default());
        }
        &mut self.0[..count]
    }

    /// Gives back all beyond what our own hashes need.
    pub(super) fn trim(&mut self, params: &Params) {
        if self.0.len() > params.block_count() {
            self.0.truncate(params.block_count());
            self.0.shrink_to_fit();
        }
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

/// Hashes `password` with a new salt, as a PHC string.
pub(super) fn hash(params: &Params, password: &[u8], memory: &mut Memory) -> Option<String> {
    let mut salt = [0; SALT_BYTES];
    aws_lc_rs::rand::fill(&mut salt).ok()?;
    let mut output = [0; OUTPUT_BYTES];
    derive(&argon2id(params), password, &salt, &mut output, memory)?;
    let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
    let (salt, output) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(output));
    Some(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}"))
}

/// Compares `password` with the stored `text`. What cannot be compared takes as long as a hash of ours.
pub(super) fn verify(params: &Params, password: &[u8], text: &str, memory: &mut Memory) -> Verdict {
    let Some(stored) = Stored::parse(text) else {
        verify_nothing(params, password, memory);
        return Verdict::Unsupported;
    };
    let rehash = stored.is_weaker_than(params);
    if stored.matches(password, memory) { Verdict::Match { rehash } } else { Verdict::Mismatch }
}

/// Does the work of comparing with a hash of ours, for nothing.
pub(super) fn verify_nothing(params: &Params, password: &[u8], memory: &mut Memory) {
    let mut output = [0; OUTPUT_BYTES];
    let done = derive(&argon2id(params), password, &[0; SALT_BYTES], &mut output, memory);
    std::hint::black_box((done, output));
}

fn argon2id(params: &Params) -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
}

fn derive(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Memory,
) -> Option<()> {
    let blocks = memory.blocks(argon2.params().block_count());
    argon2.hash_password_into_with_memory(password, salt, output, blocks).ok()
}

fn affordable(params: &Params) -> bool {
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    params.m_cost() <= MAX_MEMORY_KIB && work <= MAX_WORK_KIB && params.p_cost() <= MAX_LANES
}

enum Stored<'a> {
    Argon2(Box<Argon2Hash>),
    Bcrypt(&'a str),
    Firebase(FirebaseHash),
}

struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl<'a> Stored<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if text.len() > MAX_TEXT_BYTES {
            None
        } else if text.starts_with("$argon2") {
            Argon2Hash::parse(text).map(Box::new).map(Self::Argon2)
        } else if text.starts_with(firebase::PREFIX) {
            FirebaseHash::parse(text).map(Self::Firebase)
        } else {
            is_bcrypt(text).then_some(Self::Bcrypt(text))
        }
    }

    fn matches(&self, password: &[u8], memory: &mut Memory) -> bool {
        match self {
            Self::Argon2(hash) => hash.matches(password, memory),
            // Looks at the first 72 bytes only, as bcrypt does everywhere.
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Firebase(hash) => hash.matches(password),
        }
    }

    fn is_weaker_than(&self, ours: &Params) -> bool {
        match self {
            Self::Argon2(hash) => hash.is_weaker_than(ours),
            Self::Bcrypt(_) | Self::Firebase(_) => true,
        }
    }
}

impl Argon2Hash {
    fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let params = Params::try_from(&hash).ok().filter(affordable)?;
        if !params.keyid().is_empty() || !params.data().is_empty() {
            return None;
        }
        Some(Self {
            algorithm: Algorithm::try_from(hash.algorithm.as_str()).ok()?,
            version: Version::try_from(hash.version?).ok()?,
            params,
            salt: hash.salt?.as_ref().to_vec(),
            output: hash.hash?.as_bytes().to_vec(),
        })
    }

    fn matches(&self, password: &[u8], memory: &mut Memory) -> bool {
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        let mut output = vec![0; self.output.len()];
        derive(&argon2, password, &self.salt, &mut output, memory).is_some()
            && verify_slices_are_equal(&output, &self.output).is_ok()
    }

    fn is_weaker_than(&self, ours: &Params) -> bool {
        self.algorithm != Algorithm::Argon2id
            || self.version != Version::V0x13
            || self.params.m_cost() < ours.m_cost()
            || self.params.t_cost() < ours.t_cost()
    }
}

/// `$2a$`, `$2b$` or `$2y$`, a cost within bounds, 22 characters of salt and 31 of hash. `$2x$` is made by a
/// broken implementation and is not verified.
fn is_bcrypt(text: &str) -> bool {
    let known = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix));
    known
        && text
            .parse::<bcrypt::HashParts>()
            .is_ok_and(|parts| (4..=MAX_BCRYPT_COST).contains(&parts.get_cost()))
}

#[cfg(test)]
mod tests;
