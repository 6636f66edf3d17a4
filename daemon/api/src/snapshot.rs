//! Snapshots, objects, history and differences.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

words! {
    /// How completely a type was read.
    CoverageState {
        /// Everything was listed.
        Complete = "complete",
        /// The org does not have the feature.
        NotAvailable = "not_available",
        /// The scope was not granted; earlier versions are carried forward.
        MissingScope = "missing_scope",
        /// The listing failed or stopped; earlier versions are carried forward.
        Incomplete = "incomplete",
    }
}

words! {
    /// What happened to an object between two snapshots.
    ChangeKind {
        /// It is only in the later one.
        Added = "added",
        /// It is only in the earlier one.
        Removed = "removed",
        /// It is in both and differs.
        Changed = "changed",
    }
}

/// The state of a domain as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Snapshot {
    /// Its id, unique over all domains.
    pub id: String,
    /// The domain's name.
    pub domain: String,
    /// When it was made; strictly increasing within a domain.
    pub created_at: String,
    /// The moment it shows.
    pub as_of: String,
    /// The snapshot before it, or null.
    pub parent: Option<String>,
    /// Whether no type is `missing_scope` or `incomplete`.
    pub complete: bool,
    /// Whether it is protected from retention.
    pub pinned: bool,
    /// Objects and relations in it.
    pub objects: u64,
    /// Objects and relations that differ from its parent.
    pub changes: u64,
    /// Bytes it added to the store.
    pub bytes_new: u64,
    /// How completely each type was read.
    pub coverage: BTreeMap<String, TypeCoverage>,
}

/// How completely one type was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TypeCoverage {
    /// The verdict.
    pub state: CoverageState,
    /// Why it is not complete, or null.
    pub reason: Option<String>,
}

/// `PATCH /v1/snapshots/{s}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotPatch {
    /// Whether to protect it from retention.
    pub pinned: bool,
}

/// One object of a snapshot, in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectLine {
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its id.
    pub id: String,
    /// Its name for people, or null.
    pub name: Option<String>,
    /// Names its content; null for relations that say nothing beyond their two ends.
    pub content_id: Option<String>,
    /// The `as_of` of the first snapshot with this content.
    pub changed_at: String,
}

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    /// The first snapshot that holds it.
    pub first_snapshot: String,
    /// The last snapshot that holds it.
    pub last_snapshot: Option<String>,
    /// Names its content, or null.
    pub content_id: Option<String>,
    /// The `as_of` of the first snapshot with this content.
    pub changed_at: String,
    /// Who changed it, where known.
    pub actor: Option<String>,
    /// The System Log event that changed it, where known.
    pub event: Option<String>,
}

/// One line of a difference.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DiffLine {
    /// What happened.
    pub change: ChangeKind,
    /// The object's type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// The object's id.
    pub id: String,
    /// Its name for people, or null.
    pub name: Option<String>,
    /// Attribute by attribute, where asked for; else null.
    pub attributes: Option<Vec<AttributeChange>>,
    /// Who changed it, where known.
    pub actor: Option<String>,
    /// When, where known.
    pub at: Option<String>,
}

/// One attribute that differs.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AttributeChange {
    /// Where it stands: `profile.login`.
    pub path: String,
    /// The earlier (in a plan: the live) value, or null where it was absent.
    #[schema(value_type = Option<Object>)]
    pub from: Option<Box<RawValue>>,
    /// The later (in a plan: the restored) value, or null where it is absent.
    #[schema(value_type = Option<Object>)]
    pub to: Option<Box<RawValue>>,
}

/// `POST /v1/domains/{d}/exports`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartExport {
    /// A snapshot's id, prefix, `latest` or `@TIME`.
    pub snapshot: String,
    /// The types to write; empty is all of them.
    #[serde(default)]
    pub types: Vec<String>,
    /// The format of the files.
    #[serde(default = "ndjson")]
    pub format: ExportFormat,
}

words! {
    /// The format of exported files.
    ExportFormat {
        /// One `{id, object}` a line, one file per type.
        Ndjson = "ndjson",
    }
}

fn ndjson() -> ExportFormat {
    ExportFormat::Ndjson
}
