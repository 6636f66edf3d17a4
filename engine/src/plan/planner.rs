//! The decisions: two states in, a plan out. No side effects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::canonical::Json;
use crate::catalogue::{self, Entry, ObjectType};
use crate::id::SnapshotId;

use super::body::Loss;
use super::order;
use super::path::at;
use super::refs::Found;
use super::state::{Held, Knowledge, Live, State, StateError};
use super::values::{self, Difference};
use super::{
    ActionKind, CannotRestore, HeldBack, IdMap, JsonText, Mode, Now, ObjectName, PLAN_VERSION,
    Reason, ReferenceTo, RestorePlan, Selection, Work,
};

mod absent;
mod adoption;
mod creation;
mod relations;
mod repoint;
mod survivors;

/// What a plan is made from.
pub struct PlanRequest<'a> {
    /// The snapshot's id, for the record.
    pub snapshot: SnapshotId,
    /// What is to be restored.
    pub target: &'a dyn State,
    /// The org as it is now.
    pub live: &'a dyn Live,
    /// What earlier restores made of ids.
    pub id_map: &'a IdMap,
    /// Which objects are taken.
    pub selection: &'a Selection,
    /// How far the plan goes.
    pub mode: Mode,
}

impl std::fmt::Debug for PlanRequest<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlanRequest")
            .field("snapshot", &self.snapshot)
            .field("selection", self.selection)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Plans a restore.
///
/// Matching goes by Okta id, then by the id map, then by natural key; two candidates hold the object
/// back. What cannot be resolved holds back what needs it: nothing is ever widened silently.
///
/// # Errors
///
/// When one of the states cannot be read.
pub fn plan(request: &PlanRequest<'_>) -> Result<RestorePlan, StateError> {
    let mut planner = Planner::new(request);
    planner.find_absent()?;
    planner.add_descendants()?;
    if request.selection.with_dependencies {
        planner.add_dependencies()?;
    }
    planner.hold_back_the_unresolvable()?;
    planner.draft_creations()?;
    planner.draft_relations()?;
    planner.draft_adoptions()?;
    planner.draft_repointing()?;
    if request.mode == Mode::Additive {
        planner.draft_updates()?;
    }
    planner.note_unreadable();
    Ok(planner.finish())
}

/// What an object of the snapshot is now.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// A live object with this id.
    Live(String),
    /// This plan creates it, or finds it made by Okta with its parent.
    Made,
    /// It is not there, and this plan does not bring it back.
    Gone,
    /// It could not be found out.
    Unknown,
}

/// An action before it has its number.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: ActionKind,
    pub(crate) object: ObjectName,
    pub(crate) name: Option<String>,
    pub(crate) changes: Vec<Difference>,
    pub(crate) reason: Reason,
    pub(crate) work: Work,
    /// Whether other drafts may refer to what this one makes.
    pub(crate) makes: bool,
    /// What this draft refers to that other drafts make.
    pub(crate) needs: Vec<ObjectName>,
    /// Where it stands among those that need nothing of each other.
    pub(crate) order: order::Order,
}

/// The objects of a type that the org has and the snapshot does not, findable by natural key.
#[derive(Debug)]
struct Added {
    all: Vec<(Held, Json)>,
    by_key: HashMap<Vec<String>, Vec<usize>>,
}

/// Ids by natural key.
type Keys = HashMap<Vec<String>, Vec<String>>;

struct Planner<'a> {
    request: &'a PlanRequest<'a>,
    /// Absent objects that this plan creates, with their bodies in the snapshot.
    creating: BTreeMap<ObjectName, Held>,
    /// Objects that Okta makes with a created parent, and into which values are written.
    adopting: BTreeMap<ObjectName, Held>,
    /// Absent objects that live on under another id.
    renewed: BTreeMap<ObjectName, String>,
    drafts: Vec<Draft>,
    held_back: Vec<HeldBack>,
    cannot_restore: Vec<CannotRestore>,
    warnings: BTreeSet<String>,
    /// Live ids that are what some absent object became.
    taken: BTreeSet<ObjectName>,
    /// Whether an object is in the org, as far as it was asked.
    there: HashMap<ObjectName, Option<bool>>,
    /// Whether live users are deactivated, as far as it was asked.
    deactivated: HashMap<String, bool>,
    /// What the org has and the snapshot does not, by type.
    added: HashMap<ObjectType, Rc<Added>>,
    /// The snapshot's ids by natural key, by type.
    keys: HashMap<ObjectType, Rc<Keys>>,
}

impl<'a> Planner<'a> {
    fn new(request: &'a PlanRequest<'a>) -> Self {
        Self {
            request,
            creating: BTreeMap::new(),
            adopting: BTreeMap::new(),
            renewed: BTreeMap::new(),
            drafts: Vec::new(),
            held_back: Vec::new(),
            cannot_restore: Vec::new(),
            warnings: BTreeSet::new(),
            taken: BTreeSet::new(),
            there: HashMap::new(),
            deactivated: HashMap::new(),
            added: HashMap::new(),
            keys: HashMap::new(),
        }
    }

    fn note_unreadable(&mut self) {
        for object_type in catalogue::all() {
            if let Knowledge::Unreadable(reason) = self.request.live.knowledge(object_type) {
                self.warnings.insert(format!(
                    "{object_type} could not be read ({reason}): nothing of it counts as missing, and what refers to it is held back."
                ));
            }
        }
    }

    fn finish(self) -> RestorePlan {
        let (actions, circles) = order::number(self.drafts);
        let mut held_back = self.held_back;
        for (object, name) in circles {
            held_back.push(HeldBack {
                object_type: object.object_type,
                id: object.id,
                name,
                reason: "it and another object of the plan need each other".to_owned(),
                hint: Some("Restore one of them alone first.".to_owned()),
            });
        }
        let scopes: BTreeSet<&str> = actions
            .iter()
            .map(|action| action.object_type.entry().manage_scope)
            .collect();
        RestorePlan {
            version: PLAN_VERSION,
            snapshot: self.request.snapshot,
            mode: self.request.mode,
            selection: self.request.selection.clone(),
            requests_estimated: order::requests(&actions),
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            actions,
            held_back,
            cannot_restore: self.cannot_restore,
            warnings: self.warnings.into_iter().collect(),
        }
    }

    fn hold_back(&mut self, name: &ObjectName, json: &Json, reason: String, hint: Option<&str>) {
        let held = HeldBack {
            object_type: name.object_type,
            id: name.id.clone(),
            name: values::name_in(name.object_type.entry(), json),
            reason,
            hint: hint.map(str::to_owned),
        };
        if !self.held_back.contains(&held) {
            self.held_back.push(held);
        }
    }

    fn list_loss(&mut self, name: &ObjectName, json: &Json, loss: Loss) {
        self.cannot_restore.push(CannotRestore {
            object_type: name.object_type,
            id: name.id.clone(),
            name: values::name_in(name.object_type.entry(), json),
            what: loss.what.to_owned(),
            instead: loss.instead.to_owned(),
        });
    }
}

/// What a reference leads to.
enum Resolved {
    /// To nothing that could be missing.
    Nothing,
    /// To this object.
    To(ObjectType, String, Fate),
}

fn types(names: &'static [&'static str]) -> impl Iterator<Item = ObjectType> {
    names.iter().filter_map(|name| name.parse().ok())
}

/// The type of a relation's far end: the one its key names.
fn far_type(relation: ObjectType) -> Option<ObjectType> {
    relation
        .entry()
        .references
        .iter()
        .find(|reference| reference.path == "id")
        .and_then(|reference| types(reference.to).next())
}

/// References that are free text as well: they never hold anything back, and are filled in later.
fn is_soft(object_type: ObjectType, found: &Found) -> bool {
    object_type.name() == "user" && found.reference.path.starts_with("profile.")
}

/// References inside what is never written.
fn is_not_written(object_type: ObjectType, found: &Found) -> bool {
    is_read_only(object_type.entry(), found.reference.path)
}

fn is_read_only(entry: &Entry, path: &str) -> bool {
    entry.read_only.iter().any(|read_only| {
        path == *read_only
            || path
                .strip_prefix(read_only)
                .is_some_and(|rest| rest.starts_with(['.', '[']))
    })
}

/// The two ends of a mapping, by which it is found once Okta has made it.
fn mapping_ends(entry: &Entry, json: &Json) -> Vec<Difference> {
    let ends = if entry.name == "profile_mapping" {
        ["source.id", "target.id"].as_slice()
    } else {
        &[]
    };
    ends.iter()
        .map(|end| Difference {
            path: end.split('.').map(str::to_owned).collect(),
            from: at(json, end).cloned(),
            to: at(json, end).cloned(),
        })
        .collect()
}

fn reference(name: &ObjectName, now: Now) -> ReferenceTo {
    ReferenceTo {
        object_type: name.object_type,
        id: name.id.clone(),
        now,
    }
}

fn text(json: &Json) -> JsonText {
    JsonText::from_bytes(&json.to_bytes())
}
