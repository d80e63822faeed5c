//! What can be wrong with settings, and what is only worth saying.

use std::fmt;
use std::path::PathBuf;

/// One value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or the variable that it is from.
    pub origin: String,
    /// Path below `[auth]`.
    pub key: String,
    /// What is wrong with it; never the value of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `auth.{}` {}", self.origin, self.key, self.message)
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthConfigError {
    /// A file of settings cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file of settings is no TOML.
    #[error("{path}: {message}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What is wrong, with line and column; no text of the file.
        message: String,
    },
    /// Values that cannot be used: all of them, in the order in which they were read.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Values(Vec<Problem>),
}

/// Something about the settings that an operator should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// No setting has that name.
    Unknown {
        /// The file or the environment.
        origin: String,
        /// What was written.
        key: String,
        /// The known name that is nearest, when one is near.
        near: Option<String>,
    },
    /// The setting asks for something that Plinth does not do.
    Unsupported {
        /// The file or the environment.
        origin: String,
        /// What was written.
        key: String,
        /// What stands in its place.
        why: &'static str,
    },
    /// The setting is known and means nothing here.
    NotApplicable {
        /// The file or the environment.
        origin: String,
        /// What was written.
        key: String,
        /// What stands in its place.
        why: &'static str,
    },
    /// A value names an environment variable that is not set, and is taken as not given.
    UnsetVariable {
        /// The file.
        origin: String,
        /// What was written.
        key: String,
        /// The variable.
        variable: String,
    },
}

impl Note {
    /// Whether it is probably a mistake, as opposed to worth knowing when something is sought.
    pub fn is_warning(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Unsupported { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { origin, key, near: Some(near) } => {
                write!(f, "{origin}: `{key}` is no setting; did you mean `{near}`?")
            }
            Self::Unknown { origin, key, near: None } => {
                write!(f, "{origin}: `{key}` is no setting")
            }
            Self::Unsupported { origin, key, why } | Self::NotApplicable { origin, key, why } => {
                write!(f, "{origin}: `{key}` has no effect: {why}")
            }
            Self::UnsetVariable { origin, key, variable } => {
                write!(f, "{origin}: `{key}` is left out because {variable} is not set")
            }
        }
    }
}
