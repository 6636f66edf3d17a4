//! Versions whose content is lost: where they are, and how they get it back.

use std::collections::{BTreeMap, BTreeSet};

use super::domain::LastChunk;
use super::tombstone::Tombstone;
use super::{DomainStore, StoreError};
use crate::catalogue::ObjectType;
use crate::id::SnapshotId;
use crate::index::{self, SnapshotRow, Space, Version};
use crate::monitor::Monitor;
use crate::object::Coverage;
use crate::repair::LostVersion;

/// Rows of the index that are read at once.
const ROWS_AT_ONCE: usize = 64 * 1024;

/// A version that has a tombstone in the place of its content.
pub(super) struct LostRow {
    pub(super) object_type: ObjectType,
    pub(super) space: Space,
    pub(super) version: Version,
    pub(super) tombstone: Tombstone,
}

impl DomainStore {
    /// Every version that has a tombstone. Opens every chunk.
    pub(super) fn lost_rows(&self, monitor: &dyn Monitor) -> Result<Vec<LostRow>, StoreError> {
        let shared = &self.shared;
        let mut lost = Vec::new();
        let spaces = index::spaces(&shared.inner.index.read(), shared.domain)?;
        for (code, space) in spaces {
            let Some(object_type) = ObjectType::from_code(code) else {
                continue;
            };
            let mut after = None;
            loop {
                if monitor.is_cancelled() {
                    return Err(StoreError::Cancelled);
                }
                let mut versions =
                    index::bodies(&shared.inner.index.read(), space, after, ROWS_AT_ONCE)?;
                let Some(last) = versions.last() else { break };
                after = Some((last.key, last.first));
                versions.sort_unstable_by_key(|version| version.body.map(|(place, _)| place));
                let mut last = LastChunk::default();
                for version in versions {
                    match shared.content(&version, &mut last) {
                        Ok((body, _)) => {
                            if let Some(tombstone) = Tombstone::read(&body) {
                                lost.push(LostRow {
                                    object_type,
                                    space,
                                    version,
                                    tombstone,
                                });
                            }
                        }
                        Err(
                            StoreError::Pack { .. }
                            | StoreError::Blob(_)
                            | StoreError::Mismatch { .. },
                        ) => {}
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(lost)
    }

    /// The versions of snapshots that are not removed which are lost, by type and id. One of `types` is pending until a later snapshot has the type completely.
    pub(crate) fn lost_versions(
        &self,
        types: &BTreeSet<ObjectType>,
        monitor: &dyn Monitor,
    ) -> Result<Vec<LostVersion>, StoreError> {
        let shared = &self.shared;
        let rows = self.lost_rows(monitor)?;
        let snapshots = index::snapshots(&shared.inner.index.read(), shared.domain)?;
        let mut seen: BTreeMap<ObjectType, u32> = BTreeMap::new();
        for snapshot in &snapshots {
            for (code, coverage) in &snapshot.coverage {
                if let Some(object_type) = ObjectType::from_code(*code)
                    && matches!(coverage, Coverage::Complete | Coverage::NotAvailable)
                {
                    seen.insert(object_type, snapshot.sequence);
                }
            }
        }
        let mut lost = Vec::with_capacity(rows.len());
        for row in rows {
            let version = row.version;
            let holds = |snapshot: &&SnapshotRow| {
                let at = snapshot.sequence;
                !snapshot.removed
                    && version.first <= at
                    && version.last.is_none_or(|last| at < last)
            };
            let snapshots: Vec<SnapshotId> =
                snapshots.iter().filter(holds).map(|row| row.id).collect();
            if snapshots.is_empty() {
                continue;
            }
            let seen_at = seen.get(&row.object_type).copied().unwrap_or(0);
            lost.push(LostVersion {
                object_type: row.object_type,
                id: shared.id_text(row.object_type, version.key)?,
                snapshots,
                pending: types.contains(&row.object_type) && seen_at <= row.tombstone.since,
            });
        }
        lost.sort();
        Ok(lost)
    }
}
