//! What the store gives out.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::catalogue::ObjectType;
use crate::id::{ContentId, DomainId, SnapshotId};
use crate::object::Coverage;

/// A snapshot, without its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Names it, over all domains.
    pub id: SnapshotId,
    /// Whose state it is.
    pub domain: DomainId,
    /// When it was begun, in whole milliseconds; strictly increasing within the domain.
    pub created_at: Timestamp,
    /// The moment whose state it is, by the org's clock.
    pub as_of: Timestamp,
    /// The snapshot it was made after; it may have been lost since.
    pub parent: Option<SnapshotId>,
    /// Whether no type is `missing_scope` or `incomplete`.
    pub complete: bool,
    /// Whether retention leaves it alone.
    pub pinned: bool,
    /// How many objects and relations it holds.
    pub objects: u64,
    /// How many were added, changed or removed since its parent.
    pub changes: u64,
    /// How many bytes it added to the store's blobs, without a checkpoint.
    pub bytes_new: u64,
    /// How completely each type was read that was to be read.
    pub coverage: BTreeMap<ObjectType, Coverage>,
    /// How many objects it holds of each type that was ever read.
    pub counts: BTreeMap<ObjectType, u64>,
}

/// An object as a snapshot holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its type.
    pub object_type: ObjectType,
    /// Its id, as the interface writes it.
    pub id: String,
    /// The parent's own Okta id, for a type with a parent.
    pub parent: Option<String>,
    /// Canonical JSON; empty for a relation that says nothing beyond its two ends.
    pub body: Vec<u8>,
    /// The latest of what moves by itself, or empty. Kept only once, whatever the snapshot.
    pub observed: Vec<u8>,
    /// Names the body's content.
    pub content_id: ContentId,
    /// The `as_of` of the first snapshot with this version that is not removed.
    pub changed_at: Timestamp,
}

/// One version of an object, over the snapshots that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionInfo {
    /// The first snapshot with it.
    pub first_snapshot: SnapshotId,
    /// The last snapshot with it; `None` while the newest one has it.
    pub last_snapshot: Option<SnapshotId>,
    /// Names its content; `None` where that is lost.
    pub content_id: Option<ContentId>,
    /// The `as_of` of the first snapshot with it that is not removed.
    pub changed_at: Timestamp,
    /// The snapshots within its time in which the type could not be read, so that it was carried forward.
    pub unobserved: Vec<SnapshotId>,
}

/// How an object differs between two snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChangeKind {
    /// It is only in the later one.
    Added,
    /// It is only in the earlier one.
    Removed,
    /// It is in both, with other content.
    Changed,
}

/// One object that differs between two snapshots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// How it differs.
    pub kind: ChangeKind,
    /// Its type.
    pub object_type: ObjectType,
    /// Its id, as the interface writes it.
    pub id: String,
}

/// How a live object stands to a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The snapshot has it with the same content.
    Same,
    /// The snapshot has it with other content.
    Differs,
    /// The snapshot does not have it.
    Absent,
}

/// How many objects of a type a snapshot lost against its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The type.
    pub object_type: ObjectType,
    /// How many the parent had.
    pub before: u64,
    /// How many of those are gone.
    pub gone: u64,
}

/// What the store weighs, for one domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DomainStats {
    /// Snapshots that are not removed.
    pub snapshots: u64,
    /// Snapshots that are removed and not pruned yet.
    pub removed_snapshots: u64,
    /// About how many bytes of packs only those need.
    pub reclaimable_bytes: u64,
    /// Packs of the domain, and their bytes.
    pub packs: u64,
    /// Bytes of the packs.
    pub pack_bytes: u64,
    /// Bytes of the snapshot records, merged or not, of the checkpoints and of the moves.
    pub record_bytes: u64,
    /// Packs that no record names: what an interrupted backup left, or a running one has written so far. Garbage for prune.
    pub orphan_packs: u64,
    /// Bytes of those packs.
    pub orphan_bytes: u64,
}

/// What the store weighs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Blobs of all kinds, and of all domains.
    pub blobs: u64,
    /// Bytes of all blobs.
    pub blob_bytes: u64,
    /// Bytes among them of damaged blobs that a repair moved aside.
    pub damaged_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the index's write-ahead log.
    pub wal_bytes: u64,
    /// By domain.
    pub domains: BTreeMap<DomainId, DomainStats>,
}
