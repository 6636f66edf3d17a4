//! Restore plans and their actions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::snapshot::AttributeChange;

words! {
    /// How far a restore goes.
    RestoreMode {
        /// Creates what is absent and repoints what had named it; changes nothing else.
        Missing = "missing",
        /// Also updates what differs; never removes.
        Additive = "additive",
    }
}

words! {
    /// What one step of a plan does.
    ActionKind {
        /// Creates an object, with a new id.
        Create = "create",
        /// Changes an object's values.
        Update = "update",
        /// Changes an object's status.
        Lifecycle = "lifecycle",
        /// Links two objects.
        Relate = "relate",
        /// Unlinks two objects.
        Unrelate = "unrelate",
        /// Deletes an object.
        Delete = "delete",
    }
}

words! {
    /// Where one step of a plan stands.
    ActionState {
        /// Not begun.
        Planned = "planned",
        /// Sent, or about to be.
        Running = "running",
        /// Done, and read back.
        Done = "done",
        /// Nothing to do any more.
        Skipped = "skipped",
        /// Not done: the org moved, or what it depends on did not come about.
        HeldBack = "held_back",
        /// Refused by Okta.
        Failed = "failed",
    }
}

/// `POST /v1/domains/{d}/restore-plans`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartPlan {
    /// A snapshot's id, prefix, `latest` or `@TIME`.
    pub snapshot: String,
    /// The types to restore; with `ids` empty too, the whole snapshot.
    #[serde(default)]
    pub types: Vec<String>,
    /// Single objects to restore, each `TYPE/ID`.
    #[serde(default)]
    pub ids: Vec<String>,
    /// How far the restore goes.
    #[serde(default = "missing")]
    pub mode: RestoreMode,
    /// Whether what the selection refers to is restored too.
    #[serde(default)]
    pub with_dependencies: bool,
}

fn missing() -> RestoreMode {
    RestoreMode::Missing
}

/// `POST /v1/restore-plans/{p}/apply`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyPlan {
    /// Allows the plan to remove what was added since.
    #[serde(default)]
    pub allow_removals: bool,
}

/// A saved restore plan; nothing of it has been done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestorePlan {
    /// Its id.
    pub id: String,
    /// The domain whose snapshot is restored.
    pub domain: String,
    /// The snapshot.
    pub snapshot: String,
    /// How far the restore goes.
    pub mode: RestoreMode,
    /// The domain that is written to.
    pub target: String,
    /// When it was computed.
    pub created_at: String,
    /// After this moment it is out of date.
    pub expires_at: String,
    /// How many actions of each kind.
    pub actions: ActionCounts,
    /// Objects that the plan leaves alone although they were asked for, and why.
    pub held_back: Vec<HeldBack>,
    /// What Okta's API cannot put back, and what to do instead.
    pub cannot_restore: Vec<CannotRestore>,
    /// What to know before applying it.
    pub warnings: Vec<String>,
    /// About how many requests applying it takes.
    pub requests_estimated: u64,
}

/// How many actions of each kind a plan has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionCounts {
    /// Objects to create.
    pub create: u64,
    /// Objects to change.
    pub update: u64,
    /// Status changes.
    pub lifecycle: u64,
    /// Pairs to link.
    pub relate: u64,
    /// Pairs to unlink.
    pub unrelate: u64,
    /// Objects to delete.
    pub delete: u64,
}

/// An object that a plan leaves alone although it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldBack {
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its id.
    pub id: String,
    /// Its name for people, or null.
    pub name: Option<String>,
    /// Why.
    pub reason: String,
}

/// Something of an object that Okta's API cannot put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CannotRestore {
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its id.
    pub id: String,
    /// Its name for people, or null.
    pub name: Option<String>,
    /// What is lost: a password, a secret, the object itself …
    pub what: String,
    /// What the admin must do instead.
    pub instead: String,
}

/// One step of a plan.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Action {
    /// Its place, from 1.
    pub seq: u64,
    /// What it does.
    pub action: ActionKind,
    /// The object's type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// The object's id in the snapshot.
    pub id: String,
    /// Its name for people, or null.
    pub name: Option<String>,
    /// The attributes it changes.
    pub changes: Vec<AttributeChange>,
    /// Why it is in the plan: `absent`, `differs`, `repoint` …
    pub reason: String,
    /// The steps that must be done before it.
    pub depends_on: Vec<u64>,
    /// Where it stands.
    pub state: ActionState,
}
