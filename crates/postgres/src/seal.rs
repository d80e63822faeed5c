//! Secrets at rest: sealed with an authenticated cipher before they go to the database.
//!
//! AES-256-GCM. Each purpose has a key of its own, derived by HKDF-SHA-256 (RFC 5869) from the master key, and
//! each sealed text is bound to its purpose and to its row: moved to another row it does not open. A sealed
//! text reads `v1.{key}.{base64url of nonce, ciphertext, tag}`, where `key` says which master key made it, so
//! that master keys can be replaced: the first one seals, all of them open.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use plinth_wire::Secret;

const VERSION: &str = "v1";
/// Bytes of a master key.
const KEY_BYTES: usize = 32;
/// Bytes of a master key's name.
const ID_BYTES: usize = 4;
/// Longest key file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// Why something was not sealed or not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text is no sealed text.
    #[error("this is no sealed text")]
    Malformed,
    /// None of our master keys made it.
    #[error("it was sealed with a master key that is not here")]
    UnknownKey,
    /// It was changed, or sealed for another purpose or row.
    #[error("the sealed text is not genuine")]
    Forged,
    /// The library would not seal.
    #[error("it could not be sealed")]
    Failed,
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// Not 32 bytes in hexadecimal or base64.
    #[error("a master key has 32 bytes, in hexadecimal or base64")]
    Malformed,
    /// There is none at all.
    #[error("there is no master key")]
    Missing,
    /// The file cannot be read or made.
    #[error("the master key's file {path} cannot be used")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: io::Error,
    },
}

/// Where master keys are.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// Here, as [`Sealer::parse`] reads them.
    Given(Secret),
    /// In this file, as [`Sealer::load`] reads them.
    File(PathBuf),
}

/// Seals and opens by one or several master keys.
pub struct Sealer {
    /// The first one seals. Never empty.
    keys: Vec<MasterKey>,
}

struct MasterKey {
    id: String,
    prk: Prk,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        f.debug_struct("Sealer").field("keys", &ids).finish()
    }
}

impl Sealer {
    /// Reads master keys, separated by white space or commas. The first one seals, all of them open.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Malformed`] and [`MasterKeyError::Missing`].
    pub fn parse(keys: &Secret) -> Result<Self, MasterKeyError> {
        let keys = keys
            .expose()
            .split(|separator: char| separator.is_whitespace() || separator == ',')
            .filter(|text| !text.is_empty())
            .map(MasterKey::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(MasterKeyError::Missing) } else { Ok(Self { keys }) }
    }

    /// Reads the master keys in the file `path`, one in a line. If there is no such file it is made, with a
    /// random key, for nobody but its owner (mode 0600). Two who do so at once agree on one key.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        if let Some(found) = Self::load(path)? {
            return Ok(found);
        }
        let failed = |source| MasterKeyError::File { path: path.to_owned(), source };
        Self::parse(&create(path).and_then(|()| read(path)).map_err(failed)?)
    }

    /// Reads the master keys in the file `path`, one in a line; `None` if there is no such file.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn load(path: &Path) -> Result<Option<Self>, MasterKeyError> {
        match read(path) {
            Ok(text) => Self::parse(&text).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MasterKeyError::File { path: path.to_owned(), source }),
        }
    }

    /// Seals `plain` for the row `row` (its id, say) under `purpose` (its table and column, say).
    ///
    /// # Errors
    ///
    /// [`SealError::Failed`].
    pub fn seal(&self, purpose: &str, row: &str, plain: &[u8]) -> Result<String, SealError> {
        let master = self.keys.first().ok_or(SealError::Failed)?;
        let nonce: [u8; NONCE_LEN] = random().map_err(|_| SealError::Failed)?;
        let mut text = plain.to_vec();
        master
            .cipher(purpose)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(binding(purpose, row)),
                &mut text,
            )
            .map_err(|_| SealError::Failed)?;
        let body = URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat());
        Ok(format!("{VERSION}.{}.{body}", master.id))
    }

    /// Opens what was sealed for the same purpose and row.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn open(&self, purpose: &str, row: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        let (id, body) = parts(sealed)?;
        let master = self.keys.iter().find(|key| key.id == id).ok_or(SealError::UnknownKey)?;
        let mut body = URL_SAFE_NO_PAD.decode(body).map_err(|_| SealError::Malformed)?;
        let (nonce, text) =
            body.split_first_chunk_mut::<NONCE_LEN>().ok_or(SealError::Malformed)?;
        let plain = master
            .cipher(purpose)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(binding(purpose, row)),
                text,
            )
            .map_err(|_| SealError::Forged)?;
        Ok(plain.to_vec())
    }

    /// [`open`](Self::open) for what was a text.
    ///
    /// # Errors
    ///
    /// [`SealError`].
    pub fn open_text(&self, purpose: &str, row: &str, sealed: &str) -> Result<Secret, SealError> {
        let plain = self.open(purpose, row, sealed)?;
        String::from_utf8(plain).map(Secret::from).map_err(|_| SealError::Malformed)
    }

    /// Whether `sealed` was made by another master key than the one that seals now, and should be sealed anew.
    pub fn is_outdated(&self, sealed: &str) -> bool {
        let current = self.keys.first().map(|key| key.id.as_str());
        parts(sealed).is_ok_and(|(id, _)| Some(id) != current)
    }

    /// The names of the master keys, the one that seals first. They give nothing of the keys away.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.id.as_str())
    }
}

/// The name of the master key that `sealed` was made by, if it is a sealed text.
pub fn master_key_name(sealed: &str) -> Option<&str> {
    parts(sealed).ok().map(|(id, _)| id)
}

impl KeyPlace {
    /// Reads the master keys; `None` if there is no file of them.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn load(&self) -> Result<Option<Sealer>, MasterKeyError> {
        match self {
            Self::Given(keys) => Sealer::parse(keys).map(Some),
            Self::File(path) => Sealer::load(path),
        }
    }

    /// Reads the master keys. A file that is not there is made with its folder, for nobody but their owner.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError`].
    pub fn load_or_create(&self) -> Result<Sealer, MasterKeyError> {
        match self {
            Self::Given(keys) => Sealer::parse(keys),
            Self::File(path) => {
                if let Some(folder) = path.parent() {
                    // That it cannot be made is seen below.
                    let _ = make_folder(folder);
                }
                Sealer::load_or_create(path)
            }
        }
    }
}

impl fmt::Display for KeyPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("the master key that was given"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

impl MasterKey {
    fn parse(text: &str) -> Result<Self, MasterKeyError> {
        let bytes = decode_hex(text).or_else(|| decode_base64(text));
        let bytes = bytes.filter(|bytes| bytes.len() == KEY_BYTES);
        Self::new(&bytes.ok_or(MasterKeyError::Malformed)?).ok_or(MasterKeyError::Malformed)
    }

    fn new(key: &[u8]) -> Option<Self> {
        let prk = Salt::new(HKDF_SHA256, b"plinth seal v1").extract(key);
        let mut id = [0; ID_BYTES];
        prk.expand(&[b"id"], IdLength).ok()?.fill(&mut id).ok()?;
        let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { id, prk })
    }

    fn cipher(&self, purpose: &str) -> Result<LessSafeKey, SealError> {
        let info = [b"purpose ", purpose.as_bytes()];
        let key = self.prk.expand(&info, &AES_256_GCM).map_err(|_| SealError::Failed)?;
        Ok(LessSafeKey::new(UnboundKey::from(key)))
    }
}

struct IdLength;

impl KeyType for IdLength {
    fn len(&self) -> usize {
        ID_BYTES
    }
}

/// What a sealed text is bound to. The length keeps `a` + `bc` apart from `ab` + `c`.
fn binding(purpose: &str, row: &str) -> Vec<u8> {
    let length = (purpose.len() as u64).to_be_bytes();
    [&length[..], purpose.as_bytes(), row.as_bytes()].concat()
}

/// The master key's name and the body of a sealed text.
fn parts(sealed: &str) -> Result<(&str, &str), SealError> {
    let (version, rest) = sealed.split_once('.').ok_or(SealError::Malformed)?;
    if version != VERSION {
        return Err(SealError::Malformed);
    }
    rest.split_once('.').ok_or(SealError::Malformed)
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| {
            let digit = |at: usize| char::from(pair[at]).to_digit(16);
            u8::try_from(digit(0)? * 16 + digit(1)?).ok()
        })
        .collect()
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()
}

fn read(path: &Path) -> io::Result<Secret> {
    let metadata = fs::metadata(path)?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is too long"));
    }
    warn_if_exposed(path, &metadata);
    fs::read_to_string(path).map(Secret::from)
}

/// Only a warning: secrets that an orchestrator mounts are often readable for all inside.
#[cfg(unix)]
fn warn_if_exposed(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read the master key's file");
    }
}

#[cfg(not(unix))]
fn warn_if_exposed(_path: &Path, _metadata: &fs::Metadata) {}

/// Writes a whole file under another name and then links it: whoever sees the file sees all of it, and a file
/// that is there already is left alone.
fn create(path: &Path) -> io::Result<()> {
    let unique = URL_SAFE_NO_PAD.encode(random::<8>().map_err(io::Error::other)?);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{unique}"));
    let draft = PathBuf::from(name);
    let made = write_key(&draft).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    // What is sealed soon is durable, and so must be the file's name.
    let made = made.and_then(|()| sync_folder(path));
    // What is left behind if the key could not be linked is of no use to anybody.
    let _ = fs::remove_file(&draft);
    made
}

/// So many random bytes.
fn random<const N: usize>() -> Result<[u8; N], aws_lc_rs::error::Unspecified> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)?;
    Ok(bytes)
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

fn write_key(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let key: [u8; KEY_BYTES] = random().map_err(io::Error::other)?;
    let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
