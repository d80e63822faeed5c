//! The operating system's user that the cluster runs as. PostgreSQL refuses to run as root.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User, geteuid};

use super::ClusterError;

/// Users that are taken, in this order, when Plinth is root and none is named.
const CANDIDATES: [&str; 3] = ["plinth", "postgres", "nobody"];

/// An unprivileged user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// The user for the cluster: none when Plinth itself is unprivileged, else `wanted`, else the one that owns the
    /// data already, else the first of the usual ones.
    pub(crate) fn choose(
        wanted: Option<&str>,
        data_owner: Option<u32>,
    ) -> Result<Option<Self>, ClusterError> {
        let own = geteuid();
        if !own.is_root() {
            return Self::refuse_another(wanted, own).map(|()| None);
        }
        if let Some(name) = wanted {
            return Self::named(name)
                .ok_or_else(|| ClusterError::NoAccount(name.to_owned()))
                .map(Some);
        }
        let owner = data_owner.filter(|uid| *uid != 0).map(|uid| {
            let known = User::from_uid(Uid::from_raw(uid)).ok().flatten();
            known.map_or_else(|| Self { name: uid.to_string(), uid, gid: uid }, Self::from)
        });
        owner
            .or_else(|| CANDIDATES.into_iter().find_map(Self::named))
            .ok_or_else(|| ClusterError::NoAccount(CANDIDATES.join("`, `")))
            .map(Some)
    }

    /// Makes `command` run as this user, in a folder that every user can enter.
    pub(crate) fn apply(account: Option<&Self>, command: &mut Command) {
        command.current_dir("/");
        if let Some(account) = account {
            command.uid(account.uid).gid(account.gid);
        }
    }

    /// Whether this user can enter `folder`. Asked of the system rather than worked out from modes, so that access
    /// lists and mounts count.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "cd \"$0\""])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self::apply(Some(self), &mut command);
        command.status().is_ok_and(|status| status.success())
    }

    fn refuse_another(wanted: Option<&str>, own: Uid) -> Result<(), ClusterError> {
        match wanted.map(|name| (name, Self::named(name))) {
            Some((_, Some(account))) if account.uid == own.as_raw() => Ok(()),
            Some((name, _)) => Err(ClusterError::NotRoot(name.to_owned())),
            None => Ok(()),
        }
    }

    fn named(name: &str) -> Option<Self> {
        User::from_name(name).ok().flatten().filter(|user| !user.uid.is_root()).map(Self::from)
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() }
    }
}
