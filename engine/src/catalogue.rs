//! The table of Okta object types, as data.
//!
//! One [`Entry`] says everything the engine knows about a type: where it is listed, read, created,
//! changed and deleted, which scopes that needs, what moves by itself, what cannot be written, what it
//! refers to, and how its objects are found again in another org. Adding a type is adding an entry
//! to `catalogue/table.rs`; no other module names a type's endpoints.
//!
//! Paths into JSON are written with dots; `[]` steps into each element of an array and `*` into each
//! value of an object: `conditions.people.groups.include[]`, `definitions.custom.properties.*`.

use std::fmt;
use std::str::FromStr;

mod table;

/// One type of Okta object or relation, by its place in the table. Text form: the catalogue's id (`group_member`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectType(u16);

/// How a type can be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreClass {
    /// Can be created again, with a new id (or a chosen key), and updated.
    Create,
    /// Exists by itself; its values are written.
    UpdateOnly,
    /// A link between two objects: put, or delete, the pair.
    Relation,
}

/// How the objects of a type are found and read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Paged lists, one after another; each path includes its query with the largest page size.
    /// (Users need two: the plain list omits deprovisioned users.)
    Pages(&'static [&'static str]),
    /// Like `Pages` with one path, but items lack fields: each is read again by `Entry::get`.
    PagesThenGet(&'static str),
    /// One paged list under each object of the parent types; `{parent}` stands for its id, and
    /// `{grandparent}` for the id of the parent's own parent, here and in every other path of the entry.
    UnderParent(&'static str),
    /// One document for each object of the parent types; `{parent}` stands for its id, or for the
    /// last path segment of the parent's link where `via_link` names one (`_links.schema.href`).
    OnePerParent {
        /// The path of the document.
        path: &'static str,
        /// The link of the parent that ends in the document's id.
        via_link: Option<&'static str>,
    },
    /// One document in the whole org.
    Single(&'static str),
}

/// Where an object's id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdRule {
    /// A top-level string field, as it is.
    Field(&'static str),
    /// `PARENT/` and a top-level string field: unique only under its parent.
    UnderParent(&'static str),
    /// A nested string field (`primary.name`).
    Nested(&'static str),
    /// The last segment of the URL in a top-level field (schemas: `id`).
    UrlTail(&'static str),
    /// `PARENT/` and the last segment of the URL in a top-level field (app user schemas, all of which end in `default`).
    UrlTailUnderParent(&'static str),
    /// The org's own id (singletons).
    Org,
}

/// One reference from a type's objects to other objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Where the reference stands.
    pub path: &'static str,
    /// The types it may point to, by name.
    pub to: &'static [&'static str],
    /// How it is written.
    pub form: ReferenceForm,
}

/// How a reference is written in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceForm {
    /// The string is the id. A string that is no id of the org (`ALL_ZONES`) passes through.
    Id,
    /// Ids stand as string literals inside an expression.
    Expression,
    /// The last segment of a URL; written back by `Write::Link`-like calls, not in the body.
    /// Kept in the canonical body although `_links` is otherwise left out.
    Link {
        /// The path that sets the link, with `{id}` and `{target}`: `PUT /api/v1/apps/{id}/policies/{target}`.
        put: &'static str,
    },
    /// The string is a key rather than an id (an authenticator's `key`); it passes through unchanged.
    Key,
}

/// How an object is found in an org where its id is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NaturalKey {
    /// The values of these fields, with the parent's identity where there is a parent (`["profile.login"]`, `["type", "name"]`).
    Fields(&'static [&'static str]),
    /// There is exactly one, in the org or under its parent.
    Only,
    /// The two ends of a relation.
    Ends,
    /// There is none; such objects are matched by id alone.
    None,
}

/// Marks objects that the org makes itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemMark {
    /// Where the mark stands.
    pub path: &'static str,
    /// The JSON texts that make it a system object (`true`, `"BUILT_IN"`).
    pub values: &'static [&'static str],
    /// Whether its values can be updated at all.
    pub updatable: bool,
}

/// The states an object can be put in, and the calls that do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    /// Where the state stands (`status`).
    pub path: &'static str,
    /// `POST` path that activates, with `{id}` (and `{parent}`).
    pub activate: &'static str,
    /// `POST` path that deactivates.
    pub deactivate: &'static str,
    /// The state of a freshly created object, where creation cannot choose it.
    pub created_as: Option<&'static str>,
    /// Whether an update is accepted only while the object is inactive (group rules).
    pub update_only_inactive: bool,
    /// Whether deletion is accepted only while the object is inactive.
    pub delete_only_inactive: bool,
}

/// How an update is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateStyle {
    /// `PUT` of the whole object: what is not sent is lost.
    Replace(&'static str),
    /// `POST` that merges property by property.
    Merge(&'static str),
    /// There is no update: the object must be deleted and created again.
    Never,
}

/// What an object's own document leaves out and a second list tells.
///
/// The labels of the list are kept in the object's body as a sorted array of strings under `property`
/// (the form in which creation takes them). Where an item has conditions (anything but null or absent),
/// they are kept under `conditions_property`, an object by label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// The property of the body that takes the labels.
    pub property: &'static str,
    /// The property of the body that takes the conditions, absent where no item has any.
    pub conditions_property: &'static str,
    /// The path of the list, with `{id}`.
    pub path: &'static str,
    /// The property of the list answer that holds the items.
    pub items_property: &'static str,
    /// The string field of an item that is kept.
    pub label: &'static str,
    /// The field of an item that holds its conditions.
    pub conditions: &'static str,
}

/// Everything the engine knows about one type.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The type's id in the interface, `group_member`.
    pub name: &'static str,
    /// A number that stands for the type in stored formats. Never changed, never used again.
    pub code: u16,
    /// How it can be put back.
    pub class: RestoreClass,
    /// Objects of lower order are restored first.
    pub restore_order: u16,
    /// The types of its parents, by name; empty where it has none.
    pub parents: &'static [&'static str],
    /// The scope that reads it.
    pub read_scope: &'static str,
    /// The scope that writes it.
    pub manage_scope: &'static str,
    /// How its objects are read.
    pub listing: Listing,
    /// The property of a list answer that holds the items; `None` for a bare array.
    pub items_property: Option<&'static str>,
    /// Path that reads one object, with `{id}` and `{parent}`. Where the id is `PARENT/KEY`, `{id}` is the key alone.
    pub get: Option<&'static str>,
    /// Path that creates one with `POST` (a relation: see `put`).
    pub create: Option<&'static str>,
    /// For relations: `METHOD path` that makes the pair, with `{parent}` and `{id}` (the key under the parent).
    pub relate: Option<&'static str>,
    /// How it is changed.
    pub update: UpdateStyle,
    /// Path that deletes one, with `{id}` and `{parent}`.
    pub delete: Option<&'static str>,
    /// Its states, where it has them.
    pub lifecycle: Option<Lifecycle>,
    /// Where the id comes from.
    pub id: IdRule,
    /// Whether the relation says nothing beyond its two ends, so that no body is kept.
    pub bare_relation: bool,
    /// Where the name for people stands; the first that is present counts.
    pub name_paths: &'static [&'static str],
    /// How it is found in another org, or after it was deleted and made again.
    pub natural_key: NaturalKey,
    /// What moves without anyone changing anything: kept apart, never hashed.
    pub observed: &'static [&'static str],
    /// What cannot be written: left out of requests.
    pub read_only: &'static [&'static str],
    /// What Okta never returns: an object restored needs it from the admin again.
    pub secrets: &'static [&'static str],
    /// What it refers to.
    pub references: &'static [Reference],
    /// Which of its objects the org makes itself.
    pub system: &'static [SystemMark],
    /// The parents whose children are not read, because the org fills them by itself (`Everyone`): those that bear
    /// all of these marks; none where there are no marks.
    pub skip_parents: &'static [SystemMark],
    /// What a second list adds to each object.
    pub attachment: Option<Attachment>,
    /// Beginnings of the event types in the System Log that tell of a change to objects of this type; empty where
    /// the log tells nothing about the type.
    pub log_events: &'static [&'static str],
    /// Target types of the System Log (`target[].type`) whose id is that of an object of this type, or of its
    /// parent for a relation. Where an event names none of them, the type is listed again.
    pub log_targets: &'static [&'static str],
}

/// Why a text names no type of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a type of the catalogue")]
pub struct UnknownType(pub String);

/// Every type, in restore order.
pub fn all() -> impl Iterator<Item = ObjectType> {
    (0u16..)
        .zip(table::TABLE)
        .map(|(place, _)| ObjectType(place))
}

impl ObjectType {
    /// What the table says about the type.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "the place was taken from the table itself"
    )]
    pub fn entry(self) -> &'static Entry {
        &table::TABLE[usize::from(self.0)]
    }

    /// The type's id in the interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// The number that stands for the type in stored formats.
    #[must_use]
    pub fn code(self) -> u16 {
        self.entry().code
    }

    /// The type with this number, if the program knows it.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        all().find(|object_type| object_type.code() == code)
    }

    /// Whether its objects live under objects of another type.
    #[must_use]
    pub fn has_parent(self) -> bool {
        !self.entry().parents.is_empty()
    }

    /// The types of its parents; none where it has no parent.
    pub fn parents(self) -> impl Iterator<Item = ObjectType> {
        self.entry()
            .parents
            .iter()
            .filter_map(|name| name.parse().ok())
    }

    /// The types whose objects live under objects of this type.
    pub fn children(self) -> impl Iterator<Item = ObjectType> {
        all().filter(move |child| child.entry().parents.contains(&self.name()))
    }
}

impl FromStr for ObjectType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        all()
            .find(|object_type| object_type.name() == text)
            .ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
