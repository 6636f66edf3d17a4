//! Files that survive a crash, whole or not at all.
//!
//! Every change to a file or directory that must survive goes through one of the steps in `durable/disk.rs`, so that tests can
//! make each of them fail in turn, and take away what had not been synced.

use std::io;
use std::path::{Path, PathBuf};

use crate::id::hex;

mod disk;
#[cfg(test)]
pub(crate) mod faults;

#[cfg(not(test))]
use disk as steps;
#[cfg(test)]
use faults as steps;

/// What the names of unfinished files begin with.
pub(crate) const TEMPORARY_PREFIX: &str = ".tmp-";

/// Makes a directory that only its owner can enter, and those above it where they are missing, each durably.
///
/// # Errors
///
/// When a directory cannot be made or synced.
pub fn create_private_dir(dir: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = dir
        .ancestors()
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .collect();
    for dir in missing.into_iter().rev() {
        match steps::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        if let Err(error) = sync_dir(parent_of(dir)) {
            // It must not be taken for durable by who tries again.
            steps::remove_dir(dir).ok();
            return Err(error);
        }
    }
    if dir.is_dir() {
        Ok(())
    } else {
        Err(io::ErrorKind::NotADirectory.into())
    }
}

/// Writes a file that only its owner can read: temporary file, sync, rename, sync of the directory.
///
/// When this returns, the file is there with these bytes, also after a loss of power. An existing file is replaced.
///
/// # Errors
///
/// When a step fails; then the file is as it was before, and the temporary file is removed where that is possible. Only if the last step
/// fails on a file that is replaced, it may be the old or the new one after a loss of power.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent_of(path);
    let is_new = !path.exists();
    let temporary = temporary_in(dir)?;
    let written = write_synced(&temporary, bytes).and_then(|()| steps::rename(&temporary, path));
    if let Err(error) = written {
        // The first failure is what matters; what is left over is removed at the next start.
        steps::remove_file(&temporary).ok();
        return Err(error);
    }
    if let Err(error) = sync_dir(dir) {
        if is_new {
            // Nor must this be taken for durable by who tries again and finds it.
            steps::remove_file(path).ok();
        }
        return Err(error);
    }
    Ok(())
}

/// Puts a file, whose content is synced, in the place of another in the same directory.
///
/// # Errors
///
/// When a step fails; then one of the two is in the place, whole.
pub(crate) fn replace_durably(from: &Path, to: &Path) -> io::Result<()> {
    steps::rename(from, to)?;
    sync_dir(parent_of(to))
}

/// Removes a file, if it is there, without making that durable.
///
/// # Errors
///
/// When it is there and cannot be removed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match steps::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Makes the entries of a directory durable.
///
/// # Errors
///
/// When the directory cannot be opened or synced.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    steps::sync_dir(dir)
}

/// Makes durable that a file or directory is there that this process has not made, and so are the `levels - 1` directories that hold it.
///
/// Who made it may have been killed before that. Directories that this user cannot open are left out: it has made nothing there.
///
/// # Errors
///
/// When a directory cannot be synced.
pub(crate) fn sync_entries(path: &Path, levels: usize) -> io::Result<()> {
    let mut entry = path;
    for _ in 0..levels {
        let dir = parent_of(entry);
        match sync_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
        entry = dir;
    }
    Ok(())
}

fn parent_of(path: &Path) -> &Path {
    path.parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn temporary_in(dir: &Path) -> io::Result<PathBuf> {
    let mut random = [0u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(dir.join(format!("{TEMPORARY_PREFIX}{}", hex(&random))))
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = steps::write_new(path, bytes)?;
    steps::sync_file(&file, path)
}
