//! What a restore would do, decided before anything is done.
//!
//! A [`RestorePlan`] is the ordered list of actions that bring an org back towards a snapshot. It is
//! made by the pure function [`plan`] from two [`State`]s, shown to people, approved by its digest,
//! and only then applied (`restore`). A plan holds object bodies, so whoever keeps it seals it.
//!
//! | Mode | What it does |
//! | --- | --- |
//! | [`Mode::Missing`] | Creates what is absent, with its relations, and repoints what named the dead ids |
//! | [`Mode::Additive`] | Also updates, reactivates and re-suspends; never removes or deactivates |

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::catalogue::ObjectType;
use crate::id::{SnapshotId, hex, unhex};

pub(crate) mod body;
pub(crate) mod order;
pub(crate) mod path;
mod planner;
pub(crate) mod refs;
mod state;
pub(crate) mod values;

pub use planner::{PlanRequest, plan};
pub use state::{Held, Knowledge, Live, Presence, State, StateError};
pub use values::name_of;

/// The version of a serialised plan. A plan of another version is refused and made anew.
pub const PLAN_VERSION: u32 = 1;

/// How far a restore goes. Text form: `missing`, `additive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Creates absent objects and their relations and repoints references to them; nothing else changes.
    Missing,
    /// Also brings what exists back to the snapshot's values; never removes or deactivates.
    Additive,
}

/// Why a text names no restore mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a restore mode (missing, additive)")]
pub struct UnknownMode(pub String);

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        match text {
            "missing" => Ok(Self::Missing),
            "additive" => Ok(Self::Additive),
            other => Err(UnknownMode(other.to_owned())),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Additive => "additive",
        })
    }
}

/// Which objects of a snapshot a restore takes: everything when both lists are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Whole types.
    #[serde(with = "type_names")]
    pub types: Vec<ObjectType>,
    /// Single objects, by the snapshot's ids.
    pub objects: Vec<ObjectName>,
    /// Whether absent objects that the selected ones refer to are taken too, transitively.
    pub with_dependencies: bool,
}

impl Selection {
    /// Whether the whole snapshot is taken.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.types.is_empty() && self.objects.is_empty()
    }

    /// Whether the object was selected by its type or by its id (or everything was).
    #[must_use]
    pub fn takes(&self, object_type: ObjectType, id: &str) -> bool {
        self.is_everything()
            || self.types.contains(&object_type)
            || self
                .objects
                .iter()
                .any(|object| object.object_type == object_type && object.id == id)
    }

    /// Whether the type or the object was named, which everything-at-once does not do.
    #[must_use]
    pub fn names(&self, object_type: ObjectType, id: &str) -> bool {
        !self.is_everything() && self.takes(object_type, id)
    }
}

/// Names one object of an org by type and id, `TYPE/ID`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectName {
    /// The type.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// The id, as the interface writes it.
    pub id: String,
}

impl ObjectName {
    /// The name of this object.
    #[must_use]
    pub fn new(object_type: ObjectType, id: &str) -> Self {
        Self {
            object_type,
            id: id.to_owned(),
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.object_type, self.id)
    }
}

/// What became of ids: the old id of an object that was created again, and its new one.
///
/// Followed transitively, as an object may be lost and made again more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdMap {
    entries: BTreeMap<ObjectName, String>,
}

impl IdMap {
    /// Notes that `old` was made again as `new`.
    pub fn insert(&mut self, object_type: ObjectType, old: &str, new: &str) {
        self.entries
            .insert(ObjectName::new(object_type, old), new.to_owned());
    }

    /// Every id that `old` became, oldest first; ends where a circle would begin.
    #[must_use]
    pub fn follow(&self, object_type: ObjectType, old: &str) -> Vec<String> {
        let mut chain: Vec<String> = Vec::new();
        let mut name = ObjectName::new(object_type, old);
        while let Some(next) = self.entries.get(&name) {
            if next == old || chain.contains(next) {
                break;
            }
            chain.push(next.clone());
            name.id = next.clone();
        }
        chain
    }

    /// The entries, for whoever keeps them.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectName, &str)> {
        self.entries.iter().map(|(name, new)| (name, new.as_str()))
    }
}

/// One JSON value as text, kept to the letter (numbers are never rounded).
///
/// Serialised as the value itself, not as a string.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// Takes bytes that are known to be one JSON value; anything else becomes `null`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).unwrap_or("null");
        match serde_json::from_str::<&RawValue>(text) {
            Ok(_) => Self(text.to_owned()),
            Err(_) => Self("null".to_owned()),
        }
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonText({} bytes)", self.0.len())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self(raw.get().to_owned()))
    }
}

/// A restore plan, complete: what is shown, and what applying it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorePlan {
    /// [`PLAN_VERSION`].
    pub version: u32,
    /// The snapshot that is restored from.
    #[serde(with = "text_form")]
    pub snapshot: SnapshotId,
    /// How far the plan goes.
    pub mode: Mode,
    /// What was asked for.
    pub selection: Selection,
    /// What will be done, in this order.
    pub actions: Vec<Action>,
    /// What was asked for but is not done, and why.
    pub held_back: Vec<HeldBack>,
    /// What Okta's API cannot put back, and what the admin must do instead.
    pub cannot_restore: Vec<CannotRestore>,
    /// What else should be known before applying. Ids only.
    pub warnings: Vec<String>,
    /// About how many requests applying the plan takes, checks and verification included.
    pub requests_estimated: u64,
    /// The scopes that applying the plan needs, sorted (`okta.groups.manage` …).
    pub scopes: Vec<String>,
}

/// How many actions of each kind a plan has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionCounts {
    /// Objects created.
    pub create: u64,
    /// Objects whose values are written.
    pub update: u64,
    /// Changes of state.
    pub lifecycle: u64,
    /// Relations made.
    pub relate: u64,
    /// Relations taken away.
    pub unrelate: u64,
    /// Objects deleted.
    pub delete: u64,
}

impl RestorePlan {
    /// How many actions of each kind there are.
    #[must_use]
    pub fn counts(&self) -> ActionCounts {
        let mut counts = ActionCounts::default();
        for action in &self.actions {
            let count = match action.action {
                ActionKind::Create => &mut counts.create,
                ActionKind::Update => &mut counts.update,
                ActionKind::Lifecycle => &mut counts.lifecycle,
                ActionKind::Relate => &mut counts.relate,
                ActionKind::Unrelate => &mut counts.unrelate,
                ActionKind::Delete => &mut counts.delete,
            };
            *count += 1;
        }
        counts
    }

    /// The digest of the plan's serialised form, by which it is approved.
    ///
    /// # Errors
    ///
    /// When the plan cannot be serialised.
    pub fn digest(&self) -> Result<PlanDigest, ApproveError> {
        let bytes = serde_json::to_vec(self).map_err(|_| ApproveError::Unreadable)?;
        Ok(PlanDigest(*blake3::hash(&bytes).as_bytes()))
    }

    /// Turns the plan into one that may be applied, if `seen` is the digest of exactly this plan.
    ///
    /// # Errors
    ///
    /// When the plan is not the one that was shown, or was made by another version.
    pub fn approve(self, seen: PlanDigest) -> Result<ApprovedPlan, ApproveError> {
        if self.version != PLAN_VERSION {
            return Err(ApproveError::Version(self.version));
        }
        if self.digest()? != seen {
            return Err(ApproveError::NotTheOneShown);
        }
        Ok(ApprovedPlan(self))
    }
}

/// A plan that was shown and approved: the only thing that can be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedPlan(RestorePlan);

impl ApprovedPlan {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &RestorePlan {
        &self.0
    }
}

/// Why a plan cannot be approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApproveError {
    /// Its digest is another.
    #[error("the plan is not the one that was shown")]
    NotTheOneShown,
    /// It was written by another version of the program.
    #[error("the plan has version {0}, which this program does not apply")]
    Version(u32),
    /// It cannot be serialised.
    #[error("the plan cannot be read")]
    Unreadable,
}

impl ApproveError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some("Make the plan again with `orgkeepctl restore plan`.".to_owned())
    }
}

/// BLAKE3 of a plan's serialised form. Text form: 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanDigest([u8; 32]);

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlanDigest({self})")
    }
}

impl FromStr for PlanDigest {
    type Err = ApproveError;

    fn from_str(text: &str) -> Result<Self, ApproveError> {
        unhex(text).map(Self).ok_or(ApproveError::NotTheOneShown)
    }
}

/// The kinds of action, as the interface names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    /// An object is created.
    Create,
    /// An object's values are written.
    Update,
    /// An object's state is changed.
    Lifecycle,
    /// A relation is made.
    Relate,
    /// A relation is taken away.
    Unrelate,
    /// An object is deleted.
    Delete,
}

/// Why an action is in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The object is in the snapshot and not in the org.
    Missing,
    /// A surviving object named, or names, an object that is created again.
    Repoint,
    /// The object's values are not those of the snapshot.
    Differs,
    /// The object's state is not that of the snapshot.
    Lifecycle,
    /// The relation is in the snapshot and not in the org.
    Relation,
    /// Okta makes the object together with its parent; its values are written.
    MadeByParent,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its place in the plan, from 1.
    pub seq: u32,
    /// What kind of step it is.
    pub action: ActionKind,
    /// The type of the object.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// The object's id in the snapshot.
    pub id: String,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// What becomes different, attribute by attribute.
    pub changes: Vec<AttributeChange>,
    /// Why it is done.
    pub reason: Reason,
    /// The actions that must have succeeded before it.
    pub depends_on: Vec<u32>,
    /// How it is carried out. Not part of what is shown to people.
    pub work: Work,
}

/// One attribute that becomes different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// Where it stands, with dots (`profile.department`).
    pub path: String,
    /// Its value before; `None` where it is absent.
    pub from: Option<JsonText>,
    /// Its value after; `None` where it is absent.
    pub to: Option<JsonText>,
}

/// What carrying out an action needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Which requests are sent.
    pub operation: Operation,
    /// The object acted on where it already exists live; else it is what the create action of the same object makes.
    pub target: Option<String>,
    /// The live parent's id, or the snapshot's where the parent is created by the plan (see `references`).
    pub parent: Option<String>,
    /// The parent's own parent, for a type whose paths name it; as `parent` is.
    pub grandparent: Option<String>,
    /// What is sent, with the snapshot's ids in it and without what cannot be written.
    pub body: Option<JsonText>,
    /// What every id of the snapshot in `body`, `parent` and `target` stands for now; an id not listed stands for itself.
    pub references: Vec<ReferenceTo>,
    /// Fingerprint of the live object as the plan saw it (of a link: its end); the action is held back if it has moved.
    pub seen: Option<String>,
    /// Live objects with the same natural key that the plan saw; never mistaken for one just created.
    pub same_key: Vec<String>,
}

/// What an id of the snapshot stands for when the plan is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceTo {
    /// The type of the object referred to.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// The id in the snapshot.
    pub id: String,
    /// What it stands for.
    pub now: Now,
}

/// The present form of an id of the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Now {
    /// A live object with this id.
    Live(String),
    /// What the action with this number creates.
    Made(u32),
}

/// The requests of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST` a new object.
    Create,
    /// Write the whole object, or merge into it, as its type wants; state changes around it where the type needs them.
    Update {
        /// Whether the object must be active again afterwards (group rules).
        activate: bool,
    },
    /// Make the object anew under a passing name, delete the old one, give the new one its name: for what cannot be changed in place.
    Recreate {
        /// Whether the object must be active afterwards.
        activate: bool,
    },
    /// Find what Okta made together with the parent, and write the values into it.
    Adopt,
    /// Activate (never with an e-mail).
    Activate,
    /// Deactivate what this plan has just created.
    DeactivateCreated,
    /// Suspend a user.
    Suspend,
    /// Lift a user's suspension.
    Unsuspend,
    /// Make the relation of `parent` and the object.
    Relate,
    /// Point a link of the object elsewhere, by its own call.
    Link {
        /// `METHOD path` with `{id}` and `{target}`.
        call: String,
        /// The id of the new end, as the snapshot has it.
        end: String,
    },
}

/// Something that was asked for and is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBack {
    /// The type of the object.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// Its id in the snapshot.
    pub id: String,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// Why it is held back. Ids only.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Something that Okta's API cannot put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CannotRestore {
    /// The type of the object.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// Its id in the snapshot.
    pub id: String,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// What cannot be put back (`password`, `credentials.oauthClient.client_secret`, `object` for all of it).
    pub what: String,
    /// What the admin must do instead.
    pub instead: String,
}

/// Serialises a type by its name.
pub(crate) mod type_name {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::catalogue::ObjectType;

    pub(crate) fn serialize<S: Serializer>(
        object_type: &ObjectType,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(object_type.name())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ObjectType, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Serialises a list of types by their names.
pub(crate) mod type_names {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::catalogue::ObjectType;

    pub(crate) fn serialize<S: Serializer>(
        types: &[ObjectType],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(types.iter().map(|object_type| object_type.name()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ObjectType>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|name| name.parse().map_err(serde::de::Error::custom))
            .collect()
    }
}

/// Serialises an identifier by its text form.
pub(crate) mod text_form {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr,
        T::Err: Display,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
