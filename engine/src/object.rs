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

impl Canonical {
    /// The same object, borrowed.
    #[must_use]
    pub fn as_object(&self) -> Object<'_> {
        Object {
            object_type: self.object_type,
            id: &self.id,
            parent: self.parent.as_deref(),
            body: &self.body,
            observed: &self.observed,
        }
    }
}

/// A [`Canonical`] object, borrowed from where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// The type of the object.
    pub object_type: ObjectType,
    /// Its id, as in [`Canonical::id`].
    pub id: &'a str,
    /// The parent's own Okta id, as in [`Canonical::parent`].
    pub parent: Option<&'a str>,
    /// Canonical JSON that is hashed and stored, or empty.
    pub body: &'a [u8],
    /// Canonical JSON of the volatile rest, or empty.
    pub observed: &'a [u8],
}

impl Object<'_> {
    /// The same object with memory of its own.
    #[must_use]
    pub fn to_canonical(self) -> Canonical {
        Canonical {
            object_type: self.object_type,
            id: self.id.to_owned(),
            parent: self.parent.map(str::to_owned),
            body: self.body.to_vec(),
            observed: self.observed.to_vec(),
        }
    }
}

/// Objects of one type under one parent, or under none: a page of them, or a whole list. All that they say lies in one block of
/// memory, where as many [`Canonical`]s take four each, which are allocated by one thread and freed by another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    object_type: ObjectType,
    parent: Option<String>,
    text: Vec<u8>,
    places: Vec<Places>,
}

/// Where an object of a batch lies in its text: id, body and observations follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Places {
    start: usize,
    id_end: usize,
    body_end: usize,
    end: usize,
}

/// What is behind an id in a [`Batch`]: how many bytes of it are the body.
pub type BodyBytes = usize;

impl Batch {
    /// An empty one, for objects of this type under this parent.
    #[must_use]
    pub fn new(object_type: ObjectType, parent: Option<&str>) -> Self {
        Self {
            object_type,
            parent: parent.map(str::to_owned),
            text: Vec::new(),
            places: Vec::new(),
        }
    }

    /// Makes room for so many objects in all, the first of which is there.
    pub(crate) fn reserve_like_first(&mut self, count: usize) {
        if let [first] = self.places.as_slice() {
            let bytes = first.end - first.start;
            let more = count.saturating_sub(1);
            self.places.reserve(more);
            self.text.reserve(more.saturating_mul(bytes + bytes / 8));
        }
    }

    /// Adds an object; `write` appends its body and what was observed of it, and tells how long the body is.
    ///
    /// # Errors
    ///
    /// When `write` fails; the object is then left out.
    pub fn push<E>(
        &mut self,
        id: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<BodyBytes, E>,
    ) -> Result<(), E> {
        let start = self.text.len();
        self.text.extend_from_slice(id.as_bytes());
        let id_end = self.text.len();
        match write(&mut self.text) {
            Ok(body_bytes) => {
                self.places.push(Places {
                    start,
                    id_end,
                    body_end: id_end + body_bytes,
                    end: self.text.len(),
                });
                Ok(())
            }
            Err(error) => {
                self.text.truncate(start);
                Err(error)
            }
        }
    }

    /// Adds the objects of another batch of the same type and parent behind these.
    pub(crate) fn append(&mut self, more: Self) {
        if self.places.is_empty() {
            self.text = more.text;
            self.places = more.places;
            return;
        }
        let by = self.text.len();
        self.text.extend_from_slice(&more.text);
        self.places.extend(more.places.iter().map(|place| Places {
            start: place.start + by,
            id_end: place.id_end + by,
            body_end: place.body_end + by,
            end: place.end + by,
        }));
    }

    /// The objects, which are no longer here then.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self {
            object_type: self.object_type,
            parent: self.parent.clone(),
            text: Vec::new(),
            places: Vec::new(),
        };
        std::mem::replace(self, empty)
    }

    /// Puts the objects in order of their ids; of equal ids the last one stays. Gives how many were left out.
    pub(crate) fn keep_last(&mut self) -> usize {
        let count = self.places.len();
        let text = &self.text;
        let id = |place: &Places| text.get(place.start..place.id_end).unwrap_or_default();
        if self.places.is_sorted_by(|one, next| id(one) < id(next)) {
            return 0;
        }
        // The parent's id stands in front of those of relations: what is behind it tells them apart.
        let common = self.parent.as_ref().map_or(0, |parent| parent.len() + 1);
        let is_common = self.places.iter().all(|place| {
            let parent = self.parent.as_deref().unwrap_or_default();
            id(place).starts_with(parent.as_bytes())
        });
        let skipped = if is_common { common } else { 0 };
        let prefix = |place: &Places| first_bytes(id(place).get(skipped..).unwrap_or_default());
        let prefixes = self.places.iter().map(prefix);
        let mut order: Vec<(u128, usize)> = prefixes.zip(0..).collect();
        let id_at = |at: usize| self.places.get(at).map(id).unwrap_or_default();
        order.sort_unstable_by(|(a, at), (b, bt)| {
            let by_prefix = a.cmp(b);
            by_prefix
                .then_with(|| id_at(*at).cmp(id_at(*bt)))
                .then_with(|| bt.cmp(at))
        });
        order.dedup_by(|(_, later), (_, kept)| id_at(*later) == id_at(*kept));
        let places = order.iter().filter_map(|(_, at)| self.places.get(*at));
        self.places = places.copied().collect();
        count - self.places.len()
    }

    /// The type of the objects.
    #[must_use]
    pub fn object_type(&self) -> ObjectType {
        self.object_type
    }

    /// The parent of the objects.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.parent.as_deref()
    }

    /// The objects in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Object<'_>> + ExactSizeIterator {
        let bytes = |from: usize, to: usize| self.text.get(from..to).unwrap_or_default();
        self.places.iter().map(move |place| Object {
            object_type: self.object_type,
            id: std::str::from_utf8(bytes(place.start, place.id_end)).unwrap_or_default(),
            parent: self.parent.as_deref(),
            body: bytes(place.id_end, place.body_end),
            observed: bytes(place.body_end, place.end),
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The memory they take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len() + size_of::<Places>() * self.places.len()
    }
}

/// The first bytes of a text as a number that orders as they do; a shorter one is filled up with zeros.
fn first_bytes(text: &[u8]) -> u128 {
    let mut first = [0; 16];
    for (to, from) in first.iter_mut().zip(text) {
        *to = *from;
    }
    u128::from_be_bytes(first)
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
        // Comparing numbers takes a third of the time that comparing texts takes.
        let mut keys: Vec<(u128, &str)> = self
            .iter()
            .map(|key| (first_bytes(key.as_bytes()), key))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        let mut sorted = Self {
            text: String::with_capacity(self.text.len()),
            ends: Vec::with_capacity(keys.len()),
        };
        for (_, key) in keys {
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

    /// Takes objects as [`Sink::object`] does.
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn objects(&mut self, batch: &Batch) -> Result<(), Self::Error> {
        batch
            .iter()
            .try_for_each(|object| self.object(object.to_canonical()))
    }

    /// Takes the complete list of `parent`'s children of one type as [`Sink::children`] does.
    ///
    /// # Errors
    ///
    /// When the taking side fails.
    fn list(&mut self, parent: &str, batch: &Batch) -> Result<(), Self::Error> {
        let children = batch.iter().map(Object::to_canonical).collect();
        self.children(batch.object_type(), parent, children)
    }

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
