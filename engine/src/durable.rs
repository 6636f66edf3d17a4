//! Files that survive a crash, whole or not at all.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::id::hex;

/// What the names of unfinished files begin with.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// Makes a directory that only its owner can enter, and those above it where they are missing.
///
/// # Errors
///
/// When a directory cannot be made.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a file that only its owner can read: temporary file, sync, rename, sync of the directory.
///
/// When this returns, the file is there with these bytes, also after a loss of power. An existing file is replaced.
///
/// # Errors
///
/// When a step fails; then the file is as it was before, and the temporary file is removed where that is possible.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let temporary = temporary_in(dir)?;
    let written = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // The first failure is what matters; what is left over is removed at the next start.
        fs::remove_file(&temporary).ok();
        return Err(error);
    }
    sync_dir(dir)
}

/// Makes the entries of a directory durable.
///
/// # Errors
///
/// When the directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn temporary_in(dir: &Path) -> io::Result<PathBuf> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(dir.join(format!("{TEMPORARY_PREFIX}{}", hex(&random))))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
