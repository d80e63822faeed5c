//! `plinth keys …`

use clap::{Args, Subcommand, ValueEnum};
use plinth_auth::token::Algorithm;

use super::Format;

/// Which project's keys.
#[derive(Debug, Clone, Args)]
pub struct KeysTarget {
    /// The project [default: the default project].
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// How to print the keys.
    #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
    pub output: Format,
}

/// `plinth keys …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  plinth keys add --project shop              a key pair on standby: published, signs nothing yet
  plinth keys rotate --project shop           it signs from now on; older tokens stay valid
  plinth keys list --project shop -o json
  plinth keys revoke KID --project shop       tokens of that key are refused from now on

Private keys are sealed with the master key: name the data folder, or set PLINTH_MASTER_KEY, as the server does.")]
pub enum KeysCommand {
    /// List the keys that sign, or have signed, a project's tokens.
    List {
        /// Whose.
        #[command(flatten)]
        target: KeysTarget,
    },
    /// Add a new key pair, on standby.
    #[command(after_help = "Examples:
  plinth keys add --project shop
  plinth keys add --project shop --algorithm rs256 -o json | jq -r .kid")]
    Add {
        /// What it signs with.
        #[arg(long, value_enum, default_value_t = KeyAlgorithm::Es256)]
        algorithm: KeyAlgorithm,
        /// Whose.
        #[command(flatten)]
        target: KeysTarget,
    },
    /// Let a key on standby sign; the one before it is used to verify only.
    #[command(after_help = "Examples:
  plinth keys rotate --project shop           the newest key on standby
  plinth keys rotate KID --project shop")]
    Rotate {
        /// The key [default: the newest on standby].
        kid: Option<String>,
        /// Whose.
        #[command(flatten)]
        target: KeysTarget,
    },
    /// Refuse the tokens of a key that is not in use.
    #[command(after_help = "Example:
  plinth keys revoke KID --project shop")]
    Revoke {
        /// The key.
        kid: String,
        /// Whose.
        #[command(flatten)]
        target: KeysTarget,
    },
}

impl KeysCommand {
    /// Whose keys it is about, and how to print them.
    pub fn target(&self) -> &KeysTarget {
        match self {
            Self::List { target }
            | Self::Add { target, .. }
            | Self::Rotate { target, .. }
            | Self::Revoke { target, .. } => target,
        }
    }
}

/// What a key pair signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyAlgorithm {
    /// ECDSA on P-256 with SHA-256: what all client libraries verify.
    Es256,
    /// RSA with SHA-256.
    Rs256,
    /// Ed25519.
    Eddsa,
}

impl From<KeyAlgorithm> for Algorithm {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::Es256 => Self::Es256,
            KeyAlgorithm::Rs256 => Self::Rs256,
            KeyAlgorithm::Eddsa => Self::EdDsa,
        }
    }
}
