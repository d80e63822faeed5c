//! Why a managed cluster cannot run, each reason with what to do about it.

use std::io;
use std::path::PathBuf;

use super::server::START_TIMEOUT;
use crate::connection::ConnectError;
use crate::keys::KeyError;

/// Why a managed cluster cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Another Plinth has the data folder.
    #[error("another Plinth (process {holder}) is using {}; stop it, or choose another --data-dir", .data_dir.display())]
    InUse {
        /// The data folder.
        data_dir: PathBuf,
        /// Process id of the other, as it wrote it down.
        holder: String,
    },
    /// No unprivileged user to run as.
    #[error(
        "PostgreSQL cannot run as root, and there is no unprivileged user `{0}`; name one with PLINTH_PG_USER"
    )]
    NoAccount(String),
    /// Another user is wanted but Plinth is not root.
    #[error("only root can run PostgreSQL as another user (`{0}`)")]
    NotRoot(String),
    /// A folder belongs to someone else.
    #[error("{} belongs to the user with id {uid}; run Plinth as that user or as root", .folder.display())]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// The cluster's user cannot reach its data.
    #[error("the user `{user}`, who runs PostgreSQL, cannot enter {}; let others pass (chmod o+x)", .folder.display())]
    Unreachable {
        /// The folder.
        folder: PathBuf,
        /// The user.
        user: String,
    },
    /// A file operation failed.
    #[error("{}", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// A setting is not the operator's to make, or not well formed.
    #[error("PostgreSQL setting `{name}`: {why}")]
    Setting {
        /// Its name.
        name: String,
        /// The reason.
        why: &'static str,
    },
    /// The password cannot be made.
    #[error("cannot make a password")]
    Key(#[source] KeyError),
    /// The cluster is there and its password is not.
    #[error(
        "{} is gone, and with it the password of the cluster in {}; put it back, or remove the cluster to begin anew",
        .path.display(), .pgdata.display()
    )]
    PasswordLost {
        /// The file with the password.
        path: PathBuf,
        /// The cluster.
        pgdata: PathBuf,
    },
    /// `initdb` failed.
    #[error("initdb failed:\n{output}")]
    Initdb {
        /// What it said.
        output: String,
    },
    /// The cluster was made by another major version.
    #[error(
        "the cluster in {} was made by PostgreSQL {found}, the programs are {programs}; \
         set PLINTH_PG_BIN to PostgreSQL {found}, or dump and restore",
        .pgdata.display()
    )]
    OtherMajor {
        /// The cluster.
        pgdata: PathBuf,
        /// Its major version.
        found: String,
        /// Version of the programs.
        programs: String,
    },
    /// No port is free.
    #[error("no free port from {0} to {1}")]
    NoPort(u16, u16),
    /// A program could not be started.
    #[error("cannot start `{program}`")]
    Spawn {
        /// The program.
        program: &'static str,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The server ended instead of starting.
    #[error("PostgreSQL did not start; {} ends with:\n{tail}", .log.display())]
    Start {
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server is not ready in time.
    #[error("PostgreSQL (process {pid}) was not ready after {} s; {} ends with:\n{tail}", START_TIMEOUT.as_secs(), .log.display())]
    NotReady {
        /// The server's process.
        pid: i32,
        /// The log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A server runs in the data folder but does not know our password.
    #[error("the PostgreSQL (process {pid}) that runs in {} refuses the password in {}", .pgdata.display(), .file.display())]
    Stranger {
        /// The server's process.
        pid: i32,
        /// The cluster.
        pgdata: PathBuf,
        /// The file with the password.
        file: PathBuf,
    },
    /// The server does not end.
    #[error("PostgreSQL (process {0}) does not end")]
    WontStop(i32),
    /// The server is ready and yet cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A question to the running server failed.
    #[error("the running PostgreSQL cannot be asked")]
    Query(#[source] tokio_postgres::Error),
    /// The start was cut short with the runtime.
    #[error("the start was interrupted")]
    Interrupted,
}
