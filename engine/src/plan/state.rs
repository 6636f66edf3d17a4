//! The two sides a plan is made from: the snapshot, and the org as it is now.

use crate::catalogue::ObjectType;

/// One object as a state holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its id, as the interface writes it.
    pub id: String,
    /// Its parent's id, for types with a parent.
    pub parent: Option<String>,
    /// Its canonical JSON; empty for a relation that says nothing beyond its two ends.
    pub body: Vec<u8>,
}

/// Why a state could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the state could not be read")]
pub struct StateError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// What is to be restored: a snapshot.
pub trait State {
    /// Whether it holds the object.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    fn contains(&self, object_type: ObjectType, id: &str) -> Result<bool, StateError>;

    /// The object, if it holds it.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    fn get(&self, object_type: ObjectType, id: &str) -> Result<Option<Held>, StateError>;

    /// Gives every object of a type.
    ///
    /// # Errors
    ///
    /// When the state cannot be read, or `take` fails.
    fn for_each(
        &self,
        object_type: ObjectType,
        take: &mut dyn FnMut(Held) -> Result<(), StateError>,
    ) -> Result<(), StateError>;

    /// Gives the id and the parent of every object of a type, without reading bodies.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    fn ids(
        &self,
        object_type: ObjectType,
        take: &mut dyn FnMut(&str, Option<&str>),
    ) -> Result<(), StateError>;

    /// The objects of a type under one parent.
    ///
    /// # Errors
    ///
    /// When the state cannot be read.
    fn children(&self, object_type: ObjectType, parent: &str) -> Result<Vec<Held>, StateError>;
}

/// Whether an object is in the org now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// It is, and looks like this.
    Here(Held),
    /// It is not.
    Gone,
    /// It could not be found out: absence must not be concluded.
    Unknown,
}

/// How well the org's present state of a type is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Knowledge {
    /// The type was listed as a whole.
    Complete,
    /// Single objects are looked up where a plan needs them; the lists hold what was looked up.
    Looked,
    /// The type could not be read, for this reason.
    Unreadable(String),
}

/// The org as it is now, compared with the snapshot.
pub trait Live {
    /// How well the type is known.
    fn knowledge(&self, object_type: ObjectType) -> Knowledge;

    /// Whether the object is in the org, and how it looks.
    ///
    /// # Errors
    ///
    /// When the snapshot or the org cannot be read.
    fn presence(&self, object_type: ObjectType, id: &str) -> Result<Presence, StateError>;

    /// Whether the object is in the org; `None` if that could not be found out.
    ///
    /// # Errors
    ///
    /// When the snapshot or the org cannot be read.
    fn is_there(&self, object_type: ObjectType, id: &str) -> Result<Option<bool>, StateError> {
        Ok(match self.presence(object_type, id)? {
            Presence::Here(_) => Some(true),
            Presence::Gone => Some(false),
            Presence::Unknown => None,
        })
    }

    /// The ids of the snapshot that the org no longer has.
    ///
    /// # Errors
    ///
    /// When the snapshot or the org cannot be read.
    fn gone(&self, object_type: ObjectType) -> Result<Vec<String>, StateError>;

    /// The objects the org has and the snapshot does not.
    ///
    /// # Errors
    ///
    /// When the snapshot or the org cannot be read.
    fn added(&self, object_type: ObjectType) -> Result<Vec<Held>, StateError>;

    /// The objects both have, with other values in the org.
    ///
    /// # Errors
    ///
    /// When the snapshot or the org cannot be read.
    fn changed(&self, object_type: ObjectType) -> Result<Vec<Held>, StateError>;
}
