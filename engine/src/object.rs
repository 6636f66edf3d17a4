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
