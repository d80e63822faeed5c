//! `plinth auth …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;
use crate::import::{self, Conflicts};

/// `plinth auth …`
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  supabase db dump --data-only --schema auth -f users.sql && plinth auth import users.sql --project shop
  plinth auth import users.csv --project shop --dry-run -o json")]
pub enum AuthCommand {
    /// Take users over from another system, with their passwords.
    #[command(after_help = "Reads rows of auth.users and auth.identities from
  a dump in SQL    pg_dump or supabase db dump, --data-only: COPY blocks and INSERTs of constants
  CSV              with the names of columns in its first line
  JSON             the list of the admin API, an array, or a row per line
and passes over other tables. Hashes by bcrypt, argon2 and Firebase's scrypt keep working. All of it
is one transaction. Triggers on auth.users do not run unless --run-triggers says so: the tables that they
fill come with your own data.

Examples:
  plinth auth import users.sql --project shop
  plinth auth import users.csv --on-conflict skip
  pg_dump --data-only -t auth.users -t auth.identities \"$URL\" | plinth auth import - --project shop")]
    Import(ImportArgs),
}

/// Flags of `plinth auth import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file; `-` for standard input.
    pub file: PathBuf,
    /// The project [default: the default project].
    #[arg(long, env = "PLINTH_PROJECT", value_name = "NAME")]
    pub project: Option<String>,
    /// What the file is written in [default: found out by its beginning].
    #[arg(long, value_enum)]
    pub format: Option<FileFormat>,
    /// What becomes of users who are there already, by id, address or number.
    #[arg(long, value_enum, default_value_t)]
    pub on_conflict: Conflicts,
    /// Do everything, say what came of it, and take it back.
    #[arg(long)]
    pub dry_run: bool,
    /// Run the triggers on auth.users, as sign-ups do.
    #[arg(long)]
    pub run_triggers: bool,
    /// How to print the result.
    #[arg(short, long, value_enum, default_value_t = Format::Pretty)]
    pub output: Format,
}

/// What users can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// COPY blocks and INSERTs.
    Sql,
    /// A line per user.
    Csv,
    /// Also a document per line.
    Json,
}

impl From<FileFormat> for import::Format {
    fn from(format: FileFormat) -> Self {
        match format {
            FileFormat::Sql => Self::Sql,
            FileFormat::Csv => Self::Csv,
            FileFormat::Json => Self::Json,
        }
    }
}
