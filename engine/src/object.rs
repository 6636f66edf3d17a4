//! One Okta object or relation as the engine passes it on: type, id and canonical JSON.

use crate::catalogue::ObjectType;

/// An object of an org, read and brought into canonical form.
///
/// `body` is what is hashed, stored and compared: canonical JSON without what moves by itself.
/// A relation that says nothing beyond its two ends (`group_member`) has an empty `body`.
/// `observed` is canonical JSON of what moves by itself (`lastLogin` …), or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// The type of the object.
    pub object_type: ObjectType,
    /// Its id, as the interface writes it: `00u…`, or `PARENT/KEY` where it is unique only under its parent.
    pub id: String,
    /// For a type with a parent: the parent's own Okta id. Always given for such types, also where `id` does not hold it.
    pub parent: Option<String>,
    /// Canonical JSON that is hashed and stored, or empty.
    pub body: Vec<u8>,
    /// Canonical JSON of the volatile rest, or empty.
    pub observed: Vec<u8>,
}

/// The keys of relations under one parent that say nothing beyond their two ends: some 30 bytes each, and no allocation,
/// where as many [`Canonical`]s take 200.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    text: String,
    ends: Vec<usize>,
}

impl Keys {
    /// Adds a key behind the others.
    pub fn push(&mut self, key: &str) {
        self.text.push_str(key);
        self.ends.push(self.text.len());
    }

    /// Adds the keys of another list behind these.
    pub fn append(&mut self, more: &Self) {
        let start = self.text.len();
        self.text.push_str(&more.text);
        self.ends.extend(more.ends.iter().map(|end| start + end));
    }

    /// The keys in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let key = self.text.get(start..end);
            start = end;
            key.unwrap_or_default()
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The memory they take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of::<usize>() * self.ends.len()
    }

    /// The same keys sorted, each once.
    #[must_use]
    pub fn sorted(&self) -> Self {
        let mut keys: Vec<&str> = self.iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let mut sorted = Self {
            text: String::with_capacity(self.text.len()),
            ends: Vec::with_capacity(keys.len()),
        };
        for key in keys {
            sorted.push(key);
        }
        sorted
    }

    /// The relation of `parent` with one of the keys, as an object.
    #[must_use]
    pub fn relation(object_type: ObjectType, parent: &str, key: &str) -> Canonical {
        Canonical {
            object_type,
            id: [parent, "/", key].concat(),
            parent: Some(parent.to_owned()),
            body: Vec::new(),
            observed: Vec::new(),
        }
    }
}

/// How completely a type was read for a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Coverage {
    /// Everything was listed: what is absent was deleted.
    Complete,
    /// The org does not have the feature; not an error.
    NotAvailable,
    /// The scope was not granted; the parent's versions are carried forward.
    MissingScope {
        /// The scope to grant.
        scope: String,
    },
    /// The listing failed or stopped; what was not read is carried forward.
    Incomplete {
        /// Why, in words that hold no profile value.
        reason: String,
    },
}

/// Who takes the objects of an org as they are collected: a snapshot being written, or a comparison.
///
/// Calls come from one thread. An object may be given again (it was re-read): the last one counts.
pub trait Sink {
    /// What may go wrong on the taking side. Stops the collection.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Takes one object of a type that is listed as a whole.
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn object(&mut self, object: Canonical) -> Result<(), Self::Error>;

    /// Takes the complete list of `parent`'s children of one type: what it does not hold is gone.
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn children(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), Self::Error>;

    /// Takes the complete list of `parent`'s relations of a type that says nothing beyond the two ends, as
    /// [`Sink::children`] does: the keys are given once each, in order.
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn related(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        keys: &Keys,
    ) -> Result<(), Self::Error> {
        let relation = |key| Keys::relation(object_type, parent, key);
        self.children(object_type, parent, keys.iter().map(relation).collect())
    }

    /// The object was read by id and is not there (404 with Okta's error code).
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn gone(&mut self, object_type: ObjectType, id: &str) -> Result<(), Self::Error>;

    /// The type has been read as far as it could be. With [`Coverage::Complete`], what was neither
    /// given nor listed under a given parent is gone; otherwise what was not given is carried forward.
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn end_type(&mut self, object_type: ObjectType, coverage: Coverage) -> Result<(), Self::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_out_as_they_went_in_and_sorted_once_each() {
        let of = |keys: &[&str]| {
            let mut list = Keys::default();
            keys.iter().for_each(|key| list.push(key));
            list
        };
        let mut keys = of(&["b", "", "abc"]);
        keys.append(&of(&["b", "a"]));
        assert_eq!(keys.iter().collect::<Vec<_>>(), ["b", "", "abc", "b", "a"]);
        assert_eq!(keys.sorted(), of(&["", "a", "abc", "b"]));
        assert_eq!(keys.len(), 5);
        assert!(Keys::default().is_empty());
    }
}
