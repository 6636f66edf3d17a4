//! Blobs as files below one directory.
//!
//! Directories are 0700 and files 0600. A file appears under its name only when it is whole and synced. What a crash
//! left of unfinished files is removed when the store is opened. Symbolic links are never followed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use nix::fcntl::OFlag;

use super::{BlobError, BlobInfo, BlobStore, SealedBlob, check_name, check_prefix};
use crate::durable::{self, TEMPORARY_PREFIX};

/// Blobs as files below one directory.
#[derive(Debug)]
pub struct Local {
    root: PathBuf,
    putting: Mutex<()>,
    /// Directories from which something was deleted, and which could not be synced since.
    unsynced: Mutex<BTreeSet<PathBuf>>,
}

impl Local {
    /// Opens the directory, which is made if it is missing, and removes what a crash left unfinished.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        let fail = |source| BlobError::io("open", &root.display().to_string(), source);
        durable::create_private_dir(root).map_err(fail)?;
        let store = Self {
            root: root.canonicalize().map_err(fail)?,
            putting: Mutex::default(),
            unsynced: Mutex::default(),
        };
        let mut dirs = vec![store.root.clone()];
        store.walk(&store.root, "", &mut |path, name| {
            if name.ends_with('/') {
                dirs.push(path.to_owned());
                return Ok(());
            }
            let leftover = path.file_name().is_some_and(|file| {
                file.as_encoded_bytes()
                    .starts_with(TEMPORARY_PREFIX.as_bytes())
            });
            if leftover {
                durable::remove(path).map_err(|source| BlobError::io("remove", name, source))?;
            }
            Ok(())
        })?;
        // A process that was killed may have left names that are there, but not durable.
        durable::sync_entries(&store.root, 2).map_err(fail)?;
        for dir in dirs {
            durable::sync_dir(&dir)
                .map_err(|source| BlobError::io("sync", &dir.display().to_string(), source))?;
        }
        Ok(store)
    }

    /// The path of a name, none of whose directories is a symbolic link.
    fn path(&self, name: &str) -> Result<PathBuf, BlobError> {
        check_name(name)?;
        let mut path = self.root.clone();
        let mut segments = name.split('/').peekable();
        while let Some(segment) = segments.next() {
            path.push(segment);
            let is_dir = segments.peek().is_some();
            if is_dir && fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
                let source = io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "a directory of the store is something else",
                );
                return Err(BlobError::Io {
                    what: "reach",
                    name: name.to_owned(),
                    source,
                });
            }
        }
        Ok(path)
    }

    fn open_file(&self, name: &str) -> Result<File, BlobError> {
        OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(self.path(name)?)
            .map_err(|source| BlobError::io("read", name, source))
    }

    /// Makes durable what was deleted: nobody may be told that a blob is gone before.
    fn sync_deleted(&self) -> Result<(), BlobError> {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(dir) = unsynced.first() {
            durable::sync_dir(dir)
                .map_err(|source| BlobError::io("sync", &dir.display().to_string(), source))?;
            unsynced.pop_first();
        }
        Ok(())
    }

    /// Calls `see` with each file and directory below `dir`, in no order; the name of a directory ends with `/`.
    fn walk(
        &self,
        dir: &Path,
        prefix: &str,
        see: &mut dyn FnMut(&Path, &str) -> Result<(), BlobError>,
    ) -> Result<(), BlobError> {
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(|source| BlobError::io("list", prefix, source))?,
        };
        for entry in entries {
            let fail = |source| BlobError::io("list", prefix, source);
            let entry = entry.map_err(fail)?;
            let Ok(file_name) = entry.file_name().into_string() else {
                continue;
            };
            let name = format!("{prefix}{file_name}");
            let kind = entry.file_type().map_err(fail)?;
            if kind.is_dir() {
                let name = format!("{name}/");
                see(&entry.path(), &name)?;
                self.walk(&entry.path(), &name, see)?;
            } else if kind.is_file() {
                see(&entry.path(), &name)?;
            }
        }
        Ok(())
    }
}

impl BlobStore for Local {
    fn put(&self, name: &str, blob: &SealedBlob) -> Result<(), BlobError> {
        let path = self.path(name)?;
        let fail = |source| BlobError::io("write", name, source);
        // Held from the look to the rename, so that of two writers of one name exactly one succeeds.
        let _putting = self.putting.lock().unwrap_or_else(PoisonError::into_inner);
        if fs::symlink_metadata(&path).is_ok() {
            return Err(BlobError::AlreadyExists {
                name: name.to_owned(),
            });
        }
        path.parent()
            .map_or(Ok(()), durable::create_private_dir)
            .map_err(fail)?;
        durable::write_durably(&path, blob.as_bytes()).map_err(fail)
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        let mut bytes = Vec::new();
        self.open_file(name)?
            .read_to_end(&mut bytes)
            .map_err(|source| BlobError::io("read", name, source))?;
        Ok(bytes)
    }

    fn get_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, BlobError> {
        let mut file = self.open_file(name)?;
        let fail = |source: io::Error| match source.kind() {
            io::ErrorKind::UnexpectedEof => BlobError::TooShort {
                name: name.to_owned(),
            },
            _ => BlobError::io("read", name, source),
        };
        let there = file.metadata().map_err(fail)?.len();
        let needed = offset.checked_add(length as u64);
        if needed.is_none_or(|needed| needed > there) {
            return Err(BlobError::TooShort {
                name: name.to_owned(),
            });
        }
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(fail)?;
        Ok(bytes)
    }

    fn list(&self, prefix: &str) -> Result<Vec<BlobInfo>, BlobError> {
        check_prefix(prefix)?;
        self.sync_deleted()?;
        let mut found = Vec::new();
        self.walk(&self.root.join(prefix), prefix, &mut |path, name| {
            if check_name(name).is_ok() {
                let bytes = match fs::symlink_metadata(path) {
                    // It was deleted just now.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                    found => found.map_err(|source| BlobError::io("list", name, source))?,
                }
                .len();
                found.push(BlobInfo {
                    name: name.to_owned(),
                    bytes,
                });
            }
            Ok(())
        })?;
        found.sort();
        Ok(found)
    }

    fn delete(&self, name: &str) -> Result<(), BlobError> {
        let path = self.path(name)?;
        let fail = |source| BlobError::io("delete", name, source);
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.sync_deleted(),
            found => found.map_err(fail)?,
        };
        durable::remove(&path).map_err(fail)?;
        if let Some(dir) = path.parent() {
            let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
            unsynced.insert(dir.to_owned());
        }
        self.sync_deleted()
    }

    fn size(&self, name: &str) -> Result<u64, BlobError> {
        let metadata = fs::symlink_metadata(self.path(name)?)
            .map_err(|source| BlobError::io("read", name, source))?;
        Ok(metadata.len())
    }

    fn put_at(&self, name: &str) -> Result<Option<Timestamp>, BlobError> {
        let fail = |source| BlobError::io("read", name, source);
        let metadata = fs::symlink_metadata(self.path(name)?).map_err(fail)?;
        let modified = metadata.modified().map_err(fail)?;
        Ok(Timestamp::try_from(modified).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn files_conform_to_the_seam() {
        let dir = tempfile::tempdir().unwrap();
        super::super::conformance::conforms(&Local::open(&dir.path().join("store")).unwrap());
    }

    #[test]
    fn only_the_owner_can_read_and_leftovers_go() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("store");
        let store = Local::open(&root).unwrap();
        store.put("a/b/1", &SealedBlob::new(b"x".to_vec())).unwrap();
        for (path, mode) in [("", 0o700), ("a", 0o700), ("a/b", 0o700), ("a/b/1", 0o600)] {
            assert_eq!(
                fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777,
                mode,
                "{path}"
            );
        }
        let leftover = root.join("a/b/.tmp-0011");
        File::create(&leftover).unwrap();
        assert_eq!(store.list("").unwrap().len(), 1);
        Local::open(&root).unwrap();
        assert!(!leftover.exists());
        assert_eq!(store.get("a/b/1").unwrap(), b"x");
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Local::open(&dir.path().join("store")).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        File::create(outside.join("1")).unwrap();
        symlink(&outside, dir.path().join("store/a")).unwrap();
        symlink(outside.join("1"), dir.path().join("store/1")).unwrap();
        assert!(store.get("a/1").is_err());
        assert!(store.get("1").is_err());
        assert!(store.put("a/2", &SealedBlob::new(b"x".to_vec())).is_err());
        assert!(store.delete("a/1").is_err());
        assert!(outside.join("1").exists());
        assert_eq!(store.list("").unwrap(), []);
    }
}
