//! One Plinth per data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::ClusterError;

/// Held while a Plinth manages the cluster of a data folder. The operating system gives it back however the process ends.
#[derive(Debug)]
pub(crate) struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes the lock of `data_dir`.
    ///
    /// # Errors
    ///
    /// [`ClusterError::InUse`] if another process has it.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, ClusterError> {
        let path = data_dir.join("plinth.lock");
        let io = |source| ClusterError::File { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(data_dir.to_owned(), &mut file)),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

fn in_use(data_dir: PathBuf, file: &mut File) -> ClusterError {
    let mut holder = String::new();
    // The number is only for the message; an empty file is one that is being written this moment.
    let _ = file.read_to_string(&mut holder);
    ClusterError::InUse { data_dir, holder: holder.trim().to_owned() }
}
