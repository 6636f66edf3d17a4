//! Blobs in memory, for tests: fails where it is told to, as a disk would.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::{BlobError, BlobInfo, BlobStore, SealedBlob, check_name, check_prefix};

/// How a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the caller is told so.
    Before,
    /// It is done, but the caller is told that it failed (a lost answer, a crash after the rename).
    After,
    /// The disk is full.
    Full,
}

#[derive(Debug, Default)]
struct State {
    blobs: BTreeMap<String, (Vec<u8>, Timestamp)>,
    now: Timestamp,
    steps: u64,
    fault: Option<(u64, Fault)>,
}

/// Blobs in memory. Every put and delete is a step; a planned fault makes its step and all later ones fail.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

impl Memory {
    /// No blobs, no faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the `step`-th put or delete from now on fail (the first is 1), and every later one, until [`heal`](Self::heal).
    pub fn fail_at(&self, step: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.steps + step, fault));
    }

    /// Ends the faults. Gives whether one has struck.
    pub fn heal(&self) -> bool {
        let mut state = self.state();
        state
            .fault
            .take()
            .is_some_and(|(step, _)| state.steps >= step)
    }

    /// Changes the bytes of a blob, as a failing disk would; without effect if there is none.
    pub fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some((bytes, _)) = self.state().blobs.get_mut(name) {
            change(bytes);
        }
    }

    /// Puts these bytes under a name, or takes the blob away, behind everyone's back: no step, and nothing is refused.
    pub fn replace(&self, name: &str, bytes: Option<Vec<u8>>) {
        let mut state = self.state();
        let now = state.now;
        match bytes {
            Some(bytes) => state.blobs.insert(name.to_owned(), (bytes, now)),
            None => state.blobs.remove(name),
        };
    }

    /// Sets the moment at which blobs are put from now on; 1970 at first.
    pub fn set_now(&self, now: Timestamp) {
        self.state().now = now;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts a step, does it unless a fault prevents it, and tells what the caller is to be told.
fn step(state: &mut State, name: &str, act: impl FnOnce(&mut State)) -> Result<(), BlobError> {
    state.steps += 1;
    let fault = state.fault.filter(|(at, _)| state.steps >= *at);
    let first = fault.is_some_and(|(at, _)| state.steps == at);
    match fault.map(|(_, fault)| fault) {
        None => {
            act(state);
            return Ok(());
        }
        Some(Fault::Full) => {
            return Err(BlobError::NoSpace {
                name: name.to_owned(),
            });
        }
        Some(Fault::After) if first => act(state),
        Some(Fault::After | Fault::Before) => {}
    }
    Err(BlobError::Io {
        what: "write",
        name: name.to_owned(),
        source: io::Error::other("a planned fault"),
    })
}

impl BlobStore for Memory {
    fn put(&self, name: &str, blob: &SealedBlob) -> Result<(), BlobError> {
        check_name(name)?;
        let mut state = self.state();
        if state.blobs.contains_key(name) {
            return Err(BlobError::AlreadyExists {
                name: name.to_owned(),
            });
        }
        step(&mut state, name, |state| {
            let now = state.now;
            state
                .blobs
                .insert(name.to_owned(), (blob.as_bytes().to_vec(), now));
        })
    }

    fn get(&self, name: &str) -> Result<Vec<u8>, BlobError> {
        check_name(name)?;
        self.state()
            .blobs
            .get(name)
            .map(|(bytes, _)| bytes.clone())
            .ok_or_else(|| BlobError::NotFound {
                name: name.to_owned(),
            })
    }

    fn get_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, BlobError> {
        let bytes = self.get(name)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        bytes
            .get(start..start.saturating_add(length))
            .map(<[u8]>::to_vec)
            .ok_or_else(|| BlobError::TooShort {
                name: name.to_owned(),
            })
    }

    fn list(&self, prefix: &str) -> Result<Vec<BlobInfo>, BlobError> {
        check_prefix(prefix)?;
        let state = self.state();
        let found = state
            .blobs
            .iter()
            .filter(|(name, _)| name.starts_with(prefix));
        Ok(found
            .map(|(name, (bytes, _))| BlobInfo {
                name: name.clone(),
                bytes: bytes.len() as u64,
            })
            .collect())
    }

    fn delete(&self, name: &str) -> Result<(), BlobError> {
        check_name(name)?;
        let mut state = self.state();
        if !state.blobs.contains_key(name) {
            return Ok(());
        }
        step(&mut state, name, |state| {
            state.blobs.remove(name);
        })
    }

    fn size(&self, name: &str) -> Result<u64, BlobError> {
        self.get(name).map(|bytes| bytes.len() as u64)
    }

    fn put_at(&self, name: &str) -> Result<Option<Timestamp>, BlobError> {
        self.size(name)?;
        Ok(self.state().blobs.get(name).map(|(_, at)| *at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_conforms_to_the_seam() {
        super::super::conformance::conforms(&Memory::new());
    }

    #[test]
    fn faults_strike_where_they_are_planned() {
        let store = Memory::new();
        let blob = SealedBlob::new(b"x".to_vec());
        store.fail_at(2, Fault::After);
        store.put("1", &blob).unwrap();
        assert!(store.put("2", &blob).is_err());
        assert!(store.put("3", &blob).is_err());
        assert!(store.heal());
        assert_eq!(store.list("").unwrap().len(), 2);
        store.fail_at(1, Fault::Full);
        assert!(matches!(
            store.put("4", &blob),
            Err(BlobError::NoSpace { .. })
        ));
        store.heal();
        store.put("4", &blob).unwrap();
    }
}
