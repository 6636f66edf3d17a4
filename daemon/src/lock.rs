//! One daemon per data directory: a locked file that says whose it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Why the data directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another daemon (pid {pid}) has the data directory {}", path.display())]
    Held { path: PathBuf, pid: String },
    #[error("could not use the data directory {}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// The lock; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct DataDirLock {
    _file: Flock<File>,
}

/// Makes the data directory if it is missing, closes it to others, and locks it.
///
/// # Errors
///
/// When another daemon has it (the error names its pid), or it cannot be used.
pub(crate) fn lock(data_dir: &Path) -> Result<DataDirLock, LockError> {
    let failed = |source| LockError::Io {
        path: data_dir.to_owned(),
        source,
    };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(failed)?;
    let mode = std::fs::metadata(data_dir)
        .map_err(failed)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700))
            .map_err(failed)?;
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(data_dir.join("lock"))
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            if let Err(error) = write_pid(&mut file) {
                tracing::warn!(%error, "The lock file could not be written; the lock holds all the same");
            }
            Ok(DataDirLock { _file: file })
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid);
            let pid = read
                .ok()
                .map(|_| pid.trim().to_owned())
                .filter(|pid| !pid.is_empty());
            Err(LockError::Held {
                path: data_dir.to_owned(),
                pid: pid.unwrap_or_else(|| "unknown".to_owned()),
            })
        }
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_daemon_is_told_the_pid_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("a").join("data");
        let held = lock(&data).unwrap();
        assert_eq!(
            std::fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let error = lock(&data).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        lock(&data).unwrap();
    }

    #[test]
    fn an_open_data_directory_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let _held = lock(directory.path()).unwrap();
        assert_eq!(
            std::fs::metadata(directory.path())
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
    }
}
