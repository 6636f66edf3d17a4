//! The store: its check, prune, repair and rebuild.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/store`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreStatus {
    /// Where the blobs are.
    pub location: String,
    /// `local`, or the object store's region.
    pub region: String,
    /// Blobs of every kind.
    pub blobs: u64,
    /// Packs among them.
    pub packs: u64,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the index's write-ahead log.
    pub wal_bytes: u64,
    /// Snapshots of all domains.
    pub snapshots: u64,
    /// Packs that belong to no snapshot: what an interrupted backup left, or a running one has written so far.
    pub orphan_packs: u64,
    /// Bytes of those packs.
    pub orphan_bytes: u64,
    /// Snapshots that were removed and are not pruned yet.
    pub removed_snapshots: u64,
    /// About how many bytes of packs only removed snapshots need: what `store prune` may free.
    pub reclaimable_bytes: u64,
    /// Bytes of damaged blobs that a repair moved aside.
    pub damaged_bytes: u64,
    /// Each domain's part.
    pub domains: Vec<StoreDomain>,
}

/// One domain's part of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoreDomain {
    /// The domain's name; its internal id where it is not registered any more.
    pub domain: String,
    /// Its snapshots.
    pub snapshots: u64,
    /// Bytes of its blobs.
    pub bytes: u64,
    /// Packs that belong to no snapshot.
    pub orphan_packs: u64,
    /// Snapshots that were removed and are not pruned yet.
    pub removed_snapshots: u64,
    /// About how many bytes of packs only removed snapshots need.
    pub reclaimable_bytes: u64,
}

/// `POST /v1/store/check`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartCheck {
    /// Whether to open every byte, instead of checking that every name resolves.
    #[serde(default)]
    pub read_data: bool,
}

/// The result of a check, in its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    /// Packs looked at.
    pub packs: u64,
    /// Chunks looked at.
    pub chunks: u64,
    /// Snapshots whose records were read.
    pub snapshots: u64,
    /// Versions whose contents were compared with the index; 0 unless every byte was opened.
    pub versions: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Versions that an earlier repair found lost; 0 unless every byte was opened.
    pub lost: u64,
    /// Packs that belong to no snapshot.
    pub orphan_packs: u64,
    /// What is wrong.
    pub problems: Vec<CheckProblem>,
}

/// One thing that is wrong in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckProblem {
    /// What it is about: `record`, `checkpoint`, `marker`, `moves`, `pack`, `chunk`, `keys`, `registration`, `state_key`, `id_map`, `audit_head`, `index` or `foreign`.
    pub kind: String,
    /// The domain's name, or null.
    pub domain: Option<String>,
    /// The blob that is damaged, missing or foreign; empty for the index.
    pub blob: String,
    /// What is wrong with it.
    pub what: String,
    /// The types that are concerned.
    pub types: Vec<String>,
    /// The snapshots that are concerned, as far as the index can tell.
    pub snapshots: Vec<String>,
    /// The objects whose versions it holds.
    pub objects: Vec<ObjectName>,
}

/// The result of a prune, in its job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PruneResult {
    /// Removed snapshots of which nothing is left.
    pub snapshots_pruned: u64,
    /// Removed snapshots whose records later ones still need.
    pub snapshots_linked: u64,
    /// Versions that only removed snapshots had.
    pub versions_dropped: u64,
    /// Packs deleted, those included whose needed parts were moved before.
    pub packs_deleted: u64,
    /// Packs whose needed parts were moved to new packs.
    pub packs_rewritten: u64,
    /// Packs kept although something in them is garbage: too young, used by a running job, or because something is in doubt.
    pub packs_kept: u64,
    /// Bytes of the blobs that were deleted.
    pub bytes_freed: u64,
    /// Bytes of the blobs that were written.
    pub bytes_rewritten: u64,
    /// Why something was kept that could not be judged, or what could not be pruned.
    pub problems: Vec<CheckProblem>,
}

/// The result of a repair, in its job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RepairResult {
    /// Whether nothing was damaged, or everything came back.
    pub whole: bool,
    /// Problems found, foreign blobs included.
    pub problems_found: u64,
    /// Blobs written anew from what the index knows.
    pub rewritten: Vec<String>,
    /// Where damaged blobs were moved to.
    pub set_aside: Vec<String>,
    /// Whether the index was rebuilt.
    pub reindexed: bool,
    /// Chunks that were intact in damaged packs, and moved.
    pub chunks_salvaged: u64,
    /// Versions that were damaged and are whole again.
    pub versions_recovered: u64,
    /// Versions that are lost, those of `lost_unnamed` included.
    pub versions_lost: u64,
    /// Versions that are damaged until the org can be read.
    pub versions_pending: u64,
    /// The versions that are lost, or damaged until the org can be read.
    pub lost: Vec<LostVersion>,
    /// Versions that are lost and whose objects nobody can name, because the index was lost as well.
    pub lost_unnamed: Vec<UnnamedLoss>,
    /// Snapshots that are lost as a whole.
    pub snapshots_lost: Vec<String>,
    /// The new snapshots that hold the newest state.
    pub snapshots: Vec<String>,
    /// What a check still finds.
    pub problems: Vec<CheckProblem>,
}

/// One version of an object whose content could not be saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostVersion {
    /// The domain's name.
    pub domain: String,
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its id.
    pub id: String,
    /// The snapshots that hold it.
    pub snapshots: Vec<String>,
    /// Whether the org could not be asked yet, so that it may still come back.
    pub pending: bool,
}

/// Versions of objects that are lost, and whose ids were lost with them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnnamedLoss {
    /// The domain's name.
    pub domain: String,
    /// Their type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// The snapshot that they began with, or the first that still tells of them.
    pub since: String,
    /// How many there were.
    pub versions: u64,
}

/// An object by type and id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectName {
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Its id.
    pub id: String,
}
