//! Unpacks an exported tar into a new directory, with the caller's own rights.
//!
//! Only plain files right in the directory are taken: whatever else the stream may hold is refused
//! before anything of it is written. A file appears under its name when it is whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use tar::{Archive, EntryType};

/// Why files could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("{} is not empty", directory.display())]
    NotEmpty { directory: PathBuf },
    #[error("{} could not be made", directory.display())]
    NotMade {
        directory: PathBuf,
        source: io::Error,
    },
    #[error("{} could not be written", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("the stream of files broke off")]
    BrokenOff { source: io::Error },
    #[error("the stream holds something that is not a plain file of the export")]
    Foreign,
}

impl UnpackError {
    /// Whether the directory was ill chosen.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::NotEmpty { .. } | Self::NotMade { .. })
    }

    /// What the operator can do about it, if anything.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::NotEmpty { .. } => {
                Some("Name a directory that is empty or does not exist yet.".to_owned())
            }
            Self::BrokenOff { .. } => {
                Some("Nothing was kept; `orgkeepctl jobs` shows how the job ended.".to_owned())
            }
            _ => None,
        }
    }
}

/// An empty directory to unpack into.
#[derive(Debug)]
pub(crate) struct Target {
    directory: PathBuf,
    made: bool,
}

impl Target {
    /// Refuses `directory` if there is something in it.
    pub(crate) fn look(directory: &Path) -> Result<(), UnpackError> {
        // What cannot be looked at is told by making it.
        if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(UnpackError::NotEmpty {
                directory: directory.to_owned(),
            });
        }
        Ok(())
    }

    /// Makes `directory`, for the caller's eyes only, or takes it if it is there and empty.
    pub(crate) fn prepare(directory: &Path) -> Result<Self, UnpackError> {
        Self::look(directory)?;
        let failed = |source| UnpackError::NotMade {
            directory: directory.to_owned(),
            source,
        };
        let made = match fs::read_dir(directory) {
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(directory)
                    .map_err(failed)?;
                true
            }
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            directory: directory.to_owned(),
            made,
        })
    }

    /// Unpacks everything, or leaves nothing behind.
    pub(crate) fn unpack(&self, stream: impl Read) -> Result<(), UnpackError> {
        let mut written = Vec::new();
        let outcome = self.unpack_into(stream, &mut written);
        if outcome.is_err() {
            for path in &written {
                // What cannot be removed stays; the error that is reported matters more.
                let _removed = fs::remove_file(path);
            }
            self.abandon();
        }
        outcome
    }

    /// Removes the directory again, if it was made for this.
    pub(crate) fn abandon(&self) {
        if self.made {
            // As above.
            let _removed = fs::remove_dir(&self.directory);
        }
    }

    fn unpack_into(
        &self,
        stream: impl Read,
        written: &mut Vec<PathBuf>,
    ) -> Result<(), UnpackError> {
        let mut archive = Archive::new(stream);
        let entries = archive
            .entries()
            .map_err(|source| UnpackError::BrokenOff { source })?;
        for entry in entries {
            let mut entry = entry.map_err(|source| UnpackError::BrokenOff { source })?;
            let name = plain_name(&entry)?;
            let (path, part) = (
                self.directory.join(&name),
                self.directory.join(format!("{name}.part")),
            );
            let unwritable = |source| UnpackError::Unwritable {
                path: path.clone(),
                source,
            };
            let mut file = create(&part).map_err(unwritable)?;
            written.push(part.clone());
            copy(&mut entry, &mut file, &path)?;
            file.sync_all().map_err(unwritable)?;
            fs::rename(&part, &path).map_err(unwritable)?;
            written.push(path);
        }
        Ok(())
    }
}

/// Creates a file that is not there yet, for the caller's eyes only.
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Copies one entry, telling a stream that breaks off from a disk that refuses.
fn copy(entry: &mut impl Read, file: &mut File, path: &Path) -> Result<(), UnpackError> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = entry
            .read(&mut buffer)
            .map_err(|source| UnpackError::BrokenOff { source })?;
        if count == 0 {
            return Ok(());
        }
        io::Write::write_all(file, buffer.get(..count).unwrap_or_default()).map_err(|source| {
            UnpackError::Unwritable {
                path: path.to_owned(),
                source,
            }
        })?;
    }
}

/// The name of an entry that is a plain file right in the directory.
fn plain_name<R: Read>(entry: &tar::Entry<'_, R>) -> Result<String, UnpackError> {
    let path = entry.path().map_err(|_| UnpackError::Foreign)?;
    let mut components = path.components();
    match (
        entry.header().entry_type(),
        components.next(),
        components.next(),
    ) {
        (EntryType::Regular, Some(Component::Normal(name)), None) => {
            name.to_str().map(str::to_owned).ok_or(UnpackError::Foreign)
        }
        _ => Err(UnpackError::Foreign),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&[u8], EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_ustar();
            let field = &mut header.as_mut_bytes()[..name.len()];
            field.copy_from_slice(name);
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o777);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn plain_files_are_unpacked_for_the_caller_alone() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("new/out");
        let tar = archive(&[
            (b"user.ndjson", EntryType::Regular, b"{}\n"),
            (b"group.ndjson", EntryType::Regular, b""),
        ]);
        Target::prepare(&target)
            .unwrap()
            .unpack(tar.as_slice())
            .unwrap();
        assert_eq!(names(&target), ["group.ndjson", "user.ndjson"]);
        assert_eq!(fs::read(target.join("user.ndjson")).unwrap(), b"{}\n");
        let mode = |path: &Path| {
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions())
                & 0o777
        };
        assert_eq!(
            (mode(&target), mode(&target.join("user.ndjson"))),
            (0o700, 0o600)
        );
    }

    #[test]
    fn whatever_could_leave_the_directory_is_refused_and_nothing_is_kept() {
        for (name, kind) in [
            (b"../evil".as_slice(), EntryType::Regular),
            (b"/evil", EntryType::Regular),
            (b"sub/evil", EntryType::Regular),
            (b"..", EntryType::Regular),
            (b"evil", EntryType::Symlink),
            (b"evil", EntryType::Link),
            (b"evil", EntryType::Directory),
            (b"evil", EntryType::Char),
            (b"ev\xffil", EntryType::Regular),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let target = directory.path().join("out");
            let tar = archive(&[
                (b"user.ndjson", EntryType::Regular, b"{}\n"),
                (name, kind, b""),
            ]);
            let error = Target::prepare(&target)
                .unwrap()
                .unpack(tar.as_slice())
                .unwrap_err();
            assert!(matches!(error, UnpackError::Foreign), "{error:?}");
            assert!(names(directory.path()).is_empty());
        }
    }

    #[test]
    fn a_name_given_twice_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let tar = archive(&[
            (b"a.part", EntryType::Regular, b"1"),
            (b"a", EntryType::Regular, b"2"),
        ]);
        let target = Target::prepare(directory.path()).unwrap();
        assert!(target.unpack(tar.as_slice()).is_err());
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn a_stream_cut_anywhere_leaves_nothing_behind() {
        let tar = archive(&[
            (b"a.ndjson", EntryType::Regular, b"1234"),
            (b"b.ndjson", EntryType::Regular, b"5678"),
        ]);
        for length in [100, 512, 514, 1200, 1536 + 2] {
            let directory = tempfile::tempdir().unwrap();
            let target = Target::prepare(directory.path()).unwrap();
            let outcome = target.unpack(&tar[..length]);
            assert!(outcome.is_err(), "{length}");
            assert!(names(directory.path()).is_empty(), "{length}");
        }
    }

    #[test]
    fn no_changed_header_writes_beside_the_directory() {
        let tar = archive(&[(b"sub.ndjson", EntryType::Regular, b"{}")]);
        // Name, size, kind and link, format, prefix.
        let places = (0..16)
            .chain(124..136)
            .chain(156..170)
            .chain(257..265)
            .chain(345..350);
        for place in places {
            for value in *b"\0./5xLgK1\xff" {
                let mut changed = tar.clone();
                changed[place] = value;
                changed[148..156].fill(b' ');
                let sum: u32 = changed[..512].iter().map(|byte| u32::from(*byte)).sum();
                changed[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                let directory = tempfile::tempdir().unwrap();
                let out = directory.path().join("out");
                let outcome = Target::prepare(&out).unwrap().unpack(changed.as_slice());
                let beside: &[&str] = if outcome.is_ok() { &["out"] } else { &[] };
                assert_eq!(names(directory.path()), beside, "{place} {value}");
            }
        }
    }

    #[test]
    fn a_directory_that_is_not_empty_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        File::create(directory.path().join("mine")).unwrap();
        let error = Target::prepare(directory.path()).unwrap_err();
        assert!(matches!(error, UnpackError::NotEmpty { .. }));
        assert!(error.is_usage());
        assert_eq!(names(directory.path()), ["mine"]);
    }
}
