//! A project's own SQL: reading it from disk, comparing it with what the database has had, applying what is new.
//!
//! Folders, file names, history and seeds are those of Supabase's CLI, so that a project's folder works as it is. Files
//! run as the project's owner role, each in one transaction.

mod error;
mod folder;
mod glob;
mod history;
mod run;
mod setting;
mod split;

pub use error::{MigrateError, StatementError};
pub use folder::{MigrationFile, MigrationFolder, SeedFile, new_file};
pub use history::{MigrationState, Status};
pub use run::{Migrator, Report, UpOptions};
pub use split::{Lexer, Statement, Token, split};
