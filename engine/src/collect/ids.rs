//! Sets of ids, small enough to hold those of a large org.

use std::collections::BTreeSet;

/// The length of the ids that Okta gives.
const OKTA_ID_BYTES: usize = 20;

/// An id; one as long as Okta's own needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Id {
    Okta([u8; OKTA_ID_BYTES]),
    Other(Box<str>),
}

impl Id {
    fn new(text: &str) -> Self {
        match text.as_bytes().try_into() {
            Ok(bytes) => Self::Okta(bytes),
            Err(_) => Self::Other(text.into()),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // The bytes are those of a text.
            Self::Okta(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            Self::Other(text) => text,
        }
    }
}

/// A set of ids: some 35 bytes each, where as many strings take 85.
#[derive(Debug, Clone, Default)]
pub(super) struct IdSet(BTreeSet<Id>);

impl IdSet {
    /// Adds an id; `false` if it is there already.
    pub(super) fn insert(&mut self, id: &str) -> bool {
        self.0.insert(Id::new(id))
    }

    pub(super) fn remove(&mut self, id: &str) {
        self.0.remove(&Id::new(id));
    }

    /// Adds the ids of another set.
    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The ids that another set does not have.
    pub(super) fn missing_in(&self, other: &Self) -> Vec<String> {
        let missing = self.0.difference(&other.0);
        missing.map(|id| id.as_str().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_every_length_are_kept() {
        let mut ids = IdSet::default();
        let long = "00u1234567890abcdefg";
        for id in [long, "", "a", "00u1234567890abcdef\u{e9}"] {
            assert!(ids.insert(id));
            assert!(!ids.insert(id));
        }
        let mut fewer = ids.clone();
        fewer.remove(long);
        fewer.remove("a");
        assert_eq!(ids.missing_in(&fewer), [long, "a"]);
        fewer.extend(ids.clone());
        assert!(ids.missing_in(&fewer).is_empty());
    }
}
