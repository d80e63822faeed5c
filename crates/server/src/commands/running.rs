//! The note that a running Plinth leaves in its data folder, for commands beside it: where its
//! PostgreSQL and its HTTP are. It holds no secret; the password is in a file of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use plinth_postgres::{Endpoint, Host, Login, Secret};
use serde::{Deserialize, Serialize};

/// The note, in the data folder.
const FILE: &str = "running.json";

/// Where the managed cluster keeps its superuser's password, in the data folder.
const PASSWORD_FILE: &str = "postgres.password";

/// What a running Plinth says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// Its process id.
    pub(super) pid: u32,
    /// Folder of PostgreSQL's unix socket.
    pub(super) socket_dir: PathBuf,
    /// PostgreSQL's port.
    pub(super) postgres_port: u16,
    /// The superuser.
    pub(super) role: String,
    /// Where HTTP is served.
    pub(super) http: Option<SocketAddr>,
}

/// A note that goes when the process ends in good order.
#[derive(Debug)]
pub(super) struct Note(PathBuf);

impl Running {
    /// The note of this process about its cluster at `endpoint`; `None` if that is not on a socket.
    pub(super) fn here(endpoint: &Endpoint, http: Option<SocketAddr>) -> Option<Self> {
        let Host::Unix(socket_dir) = &endpoint.host else { return None };
        Some(Self {
            pid: std::process::id(),
            socket_dir: socket_dir.clone(),
            postgres_port: endpoint.port,
            role: endpoint.admin.role.clone(),
            http,
        })
    }

    /// Leaves the note. Renamed into place, so that nobody reads half of it.
    pub(super) fn leave(&self, data_dir: &Path) -> anyhow::Result<Note> {
        let path = data_dir.join(FILE);
        let aside = path.with_extension("new");
        let text = serde_json::to_string(self)?;
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Note(path))
    }

    /// The note in `data_dir`, if there is one and its writer still lives. Whether it is that one,
    /// and not another process of the same number, only connecting tells.
    pub(super) fn read(data_dir: &Path) -> Option<Self> {
        let note: Self =
            serde_json::from_str(&fs::read_to_string(data_dir.join(FILE)).ok()?).ok()?;
        is_alive(note.pid).then_some(note)
    }

    /// How to connect to that cluster as its administrator.
    pub(super) fn endpoint(&self, data_dir: &Path) -> anyhow::Result<Endpoint> {
        let path = data_dir.join(PASSWORD_FILE);
        let password = fs::read_to_string(&path).with_context(|| {
            format!("cannot read the administrator's password in {}", path.display())
        })?;
        let login = Login { role: self.role.clone(), password: Some(Secret::new(password.trim())) };
        let host = Host::Unix(self.socket_dir.clone());
        Ok(Endpoint::of_this_machine(host, self.postgres_port, login))
    }
}

/// Whether there is a process of that number. One that is not ours to signal lives too.
fn is_alive(pid: u32) -> bool {
    let Ok(pid) = i32::try_from(pid) else { return false };
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_and_goes_with_its_owner() {
        let folder = std::env::temp_dir().join(format!("plinth-note-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        assert_eq!(Running::read(&folder), None);
        let login = Login { role: "admin".to_owned(), password: Some(Secret::new("hunter2")) };
        let endpoint = Endpoint::of_this_machine(Host::Unix("/tmp/x".into()), 5000, login);
        let running = Running::here(&endpoint, Some("127.0.0.1:5400".parse().unwrap())).unwrap();
        let note = running.leave(&folder).unwrap();
        assert_eq!(Running::read(&folder), Some(running.clone()));
        assert!(!fs::read_to_string(folder.join(FILE)).unwrap().contains("hunter2"));
        let dead = Running { pid: 0x3fff_fff0, ..running.clone() };
        fs::write(folder.join(FILE), serde_json::to_string(&dead).unwrap()).unwrap();
        assert_eq!(Running::read(&folder), None, "nobody of that number lives");
        assert!(running.endpoint(&folder).is_err(), "there is no password file");
        fs::write(folder.join(PASSWORD_FILE), "hunter2\n").unwrap();
        assert_eq!(running.endpoint(&folder).unwrap(), endpoint);
        drop(note);
        assert_eq!(Running::read(&folder), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
