//! The seam to storage: named bytes that are put once and never modified.
//!
//! A name is segments of `[a-z0-9][a-z0-9._-]*` joined by `/`. Only sealed bytes can be put, so that plaintext cannot
//! leave by mistake: [`SealedBlob`] is made by sealing alone.

use std::fmt;
use std::io;

use jiff::Timestamp;

use crate::keys::looks_sealed;

mod local;
mod memory;

pub use local::Local;
pub use memory::{Fault, Memory};

/// Why a blob could not be put, read or deleted.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is no blob of this name.
    #[error("there is no blob {name}")]
    NotFound {
        /// The name.
        name: String,
    },
    /// There is one already.
    #[error("there is already a blob {name}")]
    AlreadyExists {
        /// The name.
        name: String,
    },
    /// The disk is full.
    #[error("there is no space left to write {name}")]
    NoSpace {
        /// The name.
        name: String,
    },
    /// The text cannot name a blob.
    #[error("`{name}` cannot name a blob")]
    BadName {
        /// The text.
        name: String,
    },
    /// The bytes were not sealed.
    #[error("the bytes are not sealed")]
    NotSealed,
    /// The blob ends before the range that was asked for.
    #[error("the blob {name} is shorter than it should be")]
    TooShort {
        /// The name.
        name: String,
    },
    /// The storage failed.
    #[error("could not {what} {name}")]
    Io {
        /// What was tried: `write`, `read` …
        what: &'static str,
        /// The name.
        name: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl BlobError {
    /// What the operator can do about it, as one sentence; `None` if nothing is known to help.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSpace { .. } => Some(
                "Free some space on the disk that holds the store, then run it again.".to_owned(),
            ),
            Self::Io { .. } => {
                Some("Check the disk that holds the store and its permissions.".to_owned())
            }
            Self::NotFound { .. } | Self::TooShort { .. } => {
                Some("Run `orgkeepctl store check` to see what is concerned.".to_owned())
            }
            Self::AlreadyExists { .. } | Self::BadName { .. } | Self::NotSealed => None,
        }
    }

    fn io(what: &'static str, name: &str, source: io::Error) -> Self {
        let name = name.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { name },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace { name },
            _ => Self::Io { what, name, source },
        }
    }
}

/// Bytes that were sealed, ready to be put.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedBlob(Vec<u8>);

impl SealedBlob {
    /// What this crate sealed.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Takes what [`seal_envelope`](crate::keys::seal_envelope) or a [`StateKey`](crate::keys::StateKey) sealed.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotSealed`] when the bytes are anything else.
    pub fn from_sealed(bytes: Vec<u8>) -> Result<Self, BlobError> {
        if looks_sealed(&bytes) {
            Ok(Self(bytes))
        } else {
            Err(BlobError::NotSealed)
        }
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SealedBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedBlob({} bytes)", self.0.len())
    }
}

/// A blob that is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobInfo {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Where blobs are kept. When a method returns, what it did is durable.
pub trait BlobStore: Send + Sync + fmt::Debug {
    /// Puts a blob under a name that is not taken.
    ///
    /// # Errors
    ///
    /// [`BlobError::AlreadyExists`] when the name is taken; the blob there is left as it is.
    fn put(&self, name: &str, blob: &SealedBlob) -> Result<(), BlobError>;

    /// Reads a whole blob.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when there is none.
    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError>;

    /// Reads exactly `length` bytes of a blob from `offset`.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when there is none, [`BlobError::TooShort`] when it ends before.
    fn get_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, BlobError>;

    /// Lists the blobs whose names begin with `prefix` (whole segments, ended by `/`; empty: all), in order of their names.
    ///
    /// # Errors
    ///
    /// When the storage fails. That there are none is no error.
    fn list(&self, prefix: &str) -> Result<Vec<BlobInfo>, BlobError>;

    /// Deletes a blob; that there is none is no error.
    ///
    /// # Errors
    ///
    /// When the storage fails.
    fn delete(&self, name: &str) -> Result<(), BlobError>;

    /// The length of a blob in bytes.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when there is none.
    fn size(&self, name: &str) -> Result<u64, BlobError>;

    /// When a blob was put, by the storage's clock; `None` where it does not say. What is not known to be old counts as young.
    ///
    /// # Errors
    ///
    /// [`BlobError::NotFound`] when there is none.
    fn put_at(&self, name: &str) -> Result<Option<Timestamp>, BlobError> {
        self.size(name).map(|_| None)
    }
}

/// Refuses a text that cannot name a blob.
fn check_name(name: &str) -> Result<(), BlobError> {
    let good = |segment: &str| {
        let mut bytes = segment.bytes();
        bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            && bytes.all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'.' | b'_' | b'-')
            })
    };
    if name.split('/').all(good) {
        Ok(())
    } else {
        Err(BlobError::BadName {
            name: name.to_owned(),
        })
    }
}

/// Refuses a text that no listing can begin with.
fn check_prefix(prefix: &str) -> Result<(), BlobError> {
    match prefix.strip_suffix('/') {
        Some(dir) => check_name(dir),
        None if prefix.is_empty() => Ok(()),
        None => Err(BlobError::BadName {
            name: prefix.to_owned(),
        }),
    }
}

#[cfg(test)]
mod conformance {
    //! What every implementation of the seam must do.

    use super::*;

    fn blob(bytes: &[u8]) -> SealedBlob {
        SealedBlob::new(bytes.to_vec())
    }

    fn names(store: &dyn BlobStore, prefix: &str) -> Vec<String> {
        store
            .list(prefix)
            .unwrap()
            .into_iter()
            .map(|info| info.name)
            .collect()
    }

    pub(super) fn conforms(store: &dyn BlobStore) {
        assert_eq!(names(store, ""), Vec::<String>::new());
        assert_eq!(names(store, "a/b/"), Vec::<String>::new());
        store.put("a/b/2", &blob(b"two")).unwrap();
        store.put("a/b/1", &blob(b"one!")).unwrap();
        store.put("a/bc/1", &blob(b"")).unwrap();
        store.put("z-1._x", &blob(b"z")).unwrap();
        assert!(matches!(
            store.put("a/b/2", &blob(b"other")),
            Err(BlobError::AlreadyExists { .. })
        ));
        assert_eq!(store.get("a/b/2").unwrap(), b"two");
        assert_eq!(store.size("a/b/1").unwrap(), 4);
        assert!(store.put_at("a/b/1").unwrap().is_some());
        assert_eq!(store.get_range("a/b/1", 1, 2).unwrap(), b"ne");
        assert_eq!(store.get_range("a/b/1", 4, 0).unwrap(), b"");
        assert!(matches!(
            store.get_range("a/b/1", 3, 2),
            Err(BlobError::TooShort { .. })
        ));
        assert!(matches!(
            store.get_range("a/b/1", 9, 1),
            Err(BlobError::TooShort { .. })
        ));
        assert_eq!(names(store, "a/b/"), ["a/b/1", "a/b/2"]);
        assert_eq!(names(store, "a/"), ["a/b/1", "a/b/2", "a/bc/1"]);
        assert_eq!(names(store, ""), ["a/b/1", "a/b/2", "a/bc/1", "z-1._x"]);
        assert_eq!(store.list("a/b/").unwrap()[0].bytes, 4);
        for missing in ["a/b/3", "none/at/all"] {
            assert!(matches!(
                store.get(missing),
                Err(BlobError::NotFound { .. })
            ));
            assert!(matches!(
                store.get_range(missing, 0, 1),
                Err(BlobError::NotFound { .. })
            ));
            assert!(matches!(
                store.put_at(missing),
                Err(BlobError::NotFound { .. })
            ));
            assert!(matches!(
                store.size(missing),
                Err(BlobError::NotFound { .. })
            ));
            store.delete(missing).unwrap();
        }
        store.delete("a/b/2").unwrap();
        assert!(store.get("a/b/2").is_err());
        store.put("a/b/2", &blob(b"again")).unwrap();
        assert_eq!(store.get("a/b/2").unwrap(), b"again");
        for bad in [
            "", "/a", "a/", "../a", "a/../b", "a//b", ".tmp-1", "A", "a b", "a/.b",
        ] {
            assert!(
                matches!(store.put(bad, &blob(b"x")), Err(BlobError::BadName { .. })),
                "{bad}"
            );
            assert!(
                matches!(store.get(bad), Err(BlobError::BadName { .. })),
                "{bad}"
            );
            assert!(
                matches!(store.delete(bad), Err(BlobError::BadName { .. })),
                "{bad}"
            );
        }
        assert!(matches!(store.list("a/b"), Err(BlobError::BadName { .. })));
    }

    #[test]
    fn only_what_was_sealed_can_be_put() {
        assert!(SealedBlob::from_sealed(b"{\"login\":\"x\"}".to_vec()).is_err());
        assert!(SealedBlob::from_sealed(b"ORGKENV\x01...".to_vec()).is_ok());
    }
}
