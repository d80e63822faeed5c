//! One Plinth per data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use super::ClusterError;

/// Held while a Plinth manages the cluster of a data folder. The operating system gives it back however the process ends.
#[derive(Debug)]
pub(crate) struct DataLock {
    file: File,
}

impl Drop for DataLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started at this moment has it too, until it is its own.
        let _ = self.file.unlock();
    }
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
        Ok(Self { file })
    }
}

fn in_use(data_dir: PathBuf, file: &mut File) -> ClusterError {
    let mut holder = String::new();
    // The number is only for the message; an empty file is one that is being written this moment.
    let _ = file.read_to_string(&mut holder);
    ClusterError::InUse { data_dir, holder: holder.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_given_back_though_somebody_else_has_the_file_open() {
        let folder = std::env::temp_dir().join(format!("plinth-lock-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let lock = DataLock::take(&folder).unwrap();
        let of_a_child = lock.file.try_clone().unwrap();
        assert!(matches!(DataLock::take(&folder), Err(ClusterError::InUse { .. })));
        drop(lock);
        drop(DataLock::take(&folder).unwrap());
        drop(of_a_child);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
