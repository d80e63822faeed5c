//! The server process: what its pid file says, whether it lives, how it ends.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Child;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What `postmaster.pid` says (PostgreSQL, `src/include/utils/pidfile.h`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    pub(crate) port: u16,
    pub(crate) socket_dir: PathBuf,
    /// The server takes connections.
    pub(crate) ready: bool,
}

impl PidFile {
    pub(crate) fn path(pgdata: &Path) -> PathBuf {
        pgdata.join("postmaster.pid")
    }

    /// Reads the file in `pgdata`; `None` when there is none or it is only half written.
    pub(crate) fn read(pgdata: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(Self::path(pgdata)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let port = lines.nth(2)?.trim().parse().ok()?;
        let socket_dir = PathBuf::from(lines.next()?.trim());
        let ready = lines.nth(2).is_some_and(|status| status.trim() == "ready");
        Some(Self { pid, port, socket_dir, ready })
    }
}

/// The server process, ours or found.
#[derive(Debug)]
pub(crate) struct Postmaster {
    pid: i32,
    origin: Origin,
}

#[derive(Debug)]
enum Origin {
    /// This process started it: a child must be waited for, or it stays as a zombie.
    Child(Child),
    /// It was found at work in this data folder.
    Found(PathBuf),
}

impl Postmaster {
    /// A server that this process started.
    pub(crate) fn started(child: Child) -> Self {
        Self { pid: i32::try_from(child.id()).unwrap_or(i32::MAX), origin: Origin::Child(child) }
    }

    /// A server of the data folder `pgdata` that an earlier Plinth started.
    pub(crate) fn adopted(pid: i32, pgdata: &Path) -> Self {
        Self { pid, origin: Origin::Found(pgdata.to_owned()) }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&mut self) -> bool {
        match &mut self.origin {
            Origin::Child(child) => matches!(child.try_wait(), Ok(None)),
            // Not the process id alone: it stays for as long as nobody waits for the dead process.
            Origin::Found(pgdata) => serves(self.pid, pgdata),
        }
    }

    /// Ends the server: connections are cut, open transactions rolled back, everything written (`SIGINT`).
    pub(crate) fn stop_fast(&self) -> io::Result<()> {
        self.signal(Signal::SIGINT)
    }

    /// Ends the server at once; the next start recovers from the log (`SIGQUIT`).
    pub(crate) fn stop_immediately(&self) -> io::Result<()> {
        self.signal(Signal::SIGQUIT)
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether `pid` is the server of the data folder `pgdata` (absolute, without links).
///
/// Process ids are reused, so a live process alone proves nothing: a server works in its data folder. Where that cannot
/// be seen (no `/proc`), a live process counts.
pub(crate) fn serves(pid: i32, pgdata: &Path) -> bool {
    if !process_exists(pid) {
        return false;
    }
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) => folder == pgdata,
        Err(error) => error.kind() != io::ErrorKind::NotFound || !Path::new("/proc/self").exists(),
    }
}

fn process_exists(pid: i32) -> bool {
    // EPERM: it is there but another user's.
    !matches!(kill(Pid::from_raw(pid), None), Err(Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_is_read_line_by_line() {
        let text = "4711\n/data\n1700000000\n54322\n/data/run\n127.0.0.1\n  1234  5678\nready   \n";
        let expected =
            PidFile { pid: 4711, port: 54322, socket_dir: "/data/run".into(), ready: true };
        assert_eq!(PidFile::parse(text), Some(expected));
        assert!(!PidFile::parse(&text.replace("ready   ", "starting")).unwrap().ready);
    }

    #[test]
    fn a_half_written_or_foreign_file_is_no_pid_file() {
        for text in [
            "",
            "4711\n",
            "4711\n/data\n1\n",
            "x\n/d\n1\n2\n/s\n",
            "-1\n/d\n1\n2\n/s\n",
            "4711\n/d\n1\n99999\n/s\n",
        ] {
            assert_eq!(PidFile::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_live_process_elsewhere_is_not_the_server() {
        let me = i32::try_from(std::process::id()).unwrap();
        let here = std::env::current_dir().unwrap().canonicalize().unwrap();
        assert!(serves(me, &here));
        if Path::new("/proc/self").exists() {
            assert!(!serves(me, Path::new("/nonexistent")));
        }
        assert!(!serves(i32::MAX, &here));
    }
}
