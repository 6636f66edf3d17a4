//! What [`check`](crate::check) looks at in one domain.

use std::collections::{BTreeMap, BTreeSet};

use super::domain::{LastChunk, chain};
use super::{DomainStore, StoreError};
use crate::catalogue::ObjectType;
use crate::check::{CheckReport, Problem};
use crate::chunk::ChunkView;
use crate::id::{PackId, SnapshotId};
use crate::index::{self, ChunkRow, Moment};
use crate::monitor::{Monitor, Progress};
use crate::pack::{Kind, PackError, open_chunk, read_directory};

/// Rows of the index that are read at once.
const ROWS_AT_ONCE: usize = 64 * 1024;

/// What the records of a domain name.
#[derive(Default)]
struct Named {
    packs: BTreeMap<PackId, u64>,
}

impl DomainStore {
    /// Checks one domain; adds to the report what was found.
    pub(crate) fn check(
        &self,
        read_data: bool,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let named = self.check_records(monitor, report)?;
        self.check_packs(&named, read_data, monitor, report)?;
        if read_data {
            self.check_versions(monitor, report)
        } else {
            Ok(())
        }
    }

    fn check_records(
        &self,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<Named, StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/records/", shared.domain);
        let timeline = index::timeline(&shared.inner.index.read(), shared.domain)?;
        let mut there = BTreeSet::new();
        let mut named = Named::default();
        let (markers, mut found) = shared.markers()?;
        let removed = |id: &SnapshotId| markers.get(id).is_some_and(|(_, removed)| *removed);
        for blob in shared.inner.blobs.list(&prefix)? {
            stop(monitor)?;
            report.bytes += blob.bytes;
            let Some(snapshot) = blob
                .name
                .strip_prefix(&prefix)
                .and_then(|id| id.parse::<SnapshotId>().ok())
            else {
                report
                    .problems
                    .push(problem(&blob.name, "it has no business here"));
                continue;
            };
            let known = timeline.iter().any(|moment| moment.id == snapshot);
            if !known && removed(&snapshot) {
                // Merged into a later one; the next prune deletes it.
                continue;
            }
            there.insert(snapshot);
            match shared.read_record(snapshot, &blob.name) {
                Ok(record) => {
                    report.snapshots += 1;
                    named.packs.extend(record.packs);
                    if !known {
                        report
                            .problems
                            .push(problem(&blob.name, "the index does not know this snapshot"));
                    }
                }
                Err(StoreError::Record { source, .. }) => {
                    report.problems.push(problem(&blob.name, &chain(&source)))
                }
                Err(StoreError::Blob(source)) => {
                    report.problems.push(problem(&blob.name, &chain(&source)))
                }
                Err(error) => return Err(error),
            }
            monitor.report(Progress::Done {
                object_type: None,
                count: 1,
            });
        }
        for blob in shared.merged_blobs(&mut found)? {
            stop(monitor)?;
            report.bytes += blob.bytes;
            match shared.read_merged(&blob) {
                Ok(merged) => {
                    report.snapshots += u64::from(there.insert(blob.snapshot));
                    named.packs.extend(merged.record.packs);
                }
                Err(StoreError::Record { source, .. }) => {
                    report.problems.push(problem(&blob.name, &chain(&source)))
                }
                Err(error) => return Err(error),
            }
        }
        for moment in timeline.iter().filter(|moment| !there.contains(&moment.id)) {
            let what = "the record of a snapshot that the index knows is missing";
            report
                .problems
                .push(problem(&format!("{prefix}{}", moment.id), what));
        }
        self.check_checkpoints(&timeline, &removed, &mut named, monitor, report)?;
        shared.forget_moves();
        let moves = shared.moves(&mut found)?;
        named.packs.retain(|pack, _| !moves.is_retired(*pack));
        for found in found {
            report.problems.push(problem(&found.blob, &found.what));
        }
        self.check_marked(report)?;
        Ok(named)
    }

    /// Looks for the markers of the snapshots that the index has marked.
    fn check_marked(&self, report: &mut CheckReport) -> Result<(), StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/markers/", shared.domain);
        let there = shared.inner.blobs.list(&prefix)?;
        for row in index::snapshots(&shared.inner.index.read(), shared.domain)? {
            let marker = format!("{prefix}{}/", row.id);
            let is_marked = there.iter().any(|blob| blob.name.starts_with(&marker));
            if (row.pinned || row.removed) && !is_marked {
                let what =
                    "the marker of a snapshot that the index has pinned or removed is missing";
                report.problems.push(problem(&marker, what));
            }
        }
        Ok(())
    }

    fn check_checkpoints(
        &self,
        timeline: &[Moment],
        removed: &dyn Fn(&SnapshotId) -> bool,
        named: &mut Named,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/checkpoints/", shared.domain);
        for blob in shared.inner.blobs.list(&prefix)? {
            stop(monitor)?;
            report.bytes += blob.bytes;
            let name = blob.name.strip_prefix(&prefix);
            let Some(snapshot) = name.and_then(|id| id.parse::<SnapshotId>().ok()) else {
                report
                    .problems
                    .push(problem(&blob.name, "it has no business here"));
                continue;
            };
            let found = match shared.read_checkpoint(snapshot) {
                Ok(checkpoint) => {
                    named.packs.extend(checkpoint.state.packs);
                    let known = timeline.iter().any(|moment| moment.id == snapshot);
                    (!known && !removed(&snapshot))
                        .then(|| "the index does not know its snapshot".to_owned())
                }
                Err(StoreError::Record { source, .. }) => Some(chain(&source)),
                Err(StoreError::Blob(source)) => Some(chain(&source)),
                Err(error) => return Err(error),
            };
            if let Some(what) = found {
                report.problems.push(problem(&blob.name, &what));
            }
        }
        Ok(())
    }

    fn check_packs(
        &self,
        named: &Named,
        read_data: bool,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/packs/", shared.domain);
        let states = index::prune::pack_states(&shared.inner.index.read(), shared.domain)?;
        let doomed: BTreeSet<PackId> = states
            .iter()
            .filter(|state| state.doomed)
            .map(|state| state.id)
            .collect();
        let indexed: BTreeMap<PackId, u64> = states
            .iter()
            .filter(|state| !state.doomed)
            .map(|state| (state.id, state.bytes))
            .collect();
        let mut there = BTreeSet::new();
        for blob in shared.inner.blobs.list(&prefix)? {
            stop(monitor)?;
            let Some(pack) = blob
                .name
                .strip_prefix(&prefix)
                .and_then(|id| id.parse::<PackId>().ok())
            else {
                report
                    .problems
                    .push(problem(&blob.name, "it has no business here"));
                continue;
            };
            there.insert(pack);
            if doomed.contains(&pack) {
                // Nothing of it is needed; the next prune deletes it.
                continue;
            }
            let Some(bytes) = named.packs.get(&pack).or_else(|| indexed.get(&pack)) else {
                report.orphans.insert(blob.name, blob.bytes);
                continue;
            };
            report.packs += 1;
            if *bytes != blob.bytes {
                let what = format!("it has {} bytes and should have {bytes}", blob.bytes);
                self.report_pack(&blob.name, pack, what, report)?;
            } else if read_data {
                self.check_pack(&blob.name, pack, report)?;
            }
            monitor.report(Progress::Done {
                object_type: None,
                count: 1,
            });
        }
        let missing: BTreeSet<PackId> = named
            .packs
            .keys()
            .chain(indexed.keys())
            .filter(|pack| !there.contains(pack))
            .copied()
            .collect();
        for pack in missing {
            self.report_pack(
                &format!("{prefix}{pack}"),
                pack,
                "it is missing".to_owned(),
                report,
            )?;
        }
        Ok(())
    }

    /// Reports a pack that is damaged as a whole.
    fn report_pack(
        &self,
        name: &str,
        pack: PackId,
        what: String,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let chunks = index::chunks_of(&self.shared.inner.index.read(), pack)?;
        let mut objects = Vec::new();
        for (no, row) in &chunks {
            objects.extend(self.objects_of(*no, row)?);
        }
        report.problems.push(Problem {
            blob: name.to_owned(),
            what,
            objects,
        });
        Ok(())
    }

    /// The objects of which a version lies in a chunk.
    fn objects_of(&self, no: i64, row: &ChunkRow) -> Result<Vec<(ObjectType, String)>, StoreError> {
        let shared = &self.shared;
        let Some(object_type) = ObjectType::from_code(row.entry.type_code) else {
            return Ok(Vec::new());
        };
        if row.entry.kind != Kind::Objects {
            return Ok(Vec::new());
        }
        let keys = {
            let read = shared.inner.index.read();
            match index::space(&read, shared.domain, row.entry.type_code)? {
                Some(space) => index::keys_in_chunk(&read, space, no)?,
                None => Vec::new(),
            }
        };
        keys.into_iter()
            .map(|key| Ok((object_type, shared.id_text(object_type, key)?)))
            .collect()
    }

    /// Opens every chunk of a pack, and compares what the index says of it.
    fn check_pack(
        &self,
        name: &str,
        pack: PackId,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let bytes = match shared.inner.blobs.get(name) {
            Ok(bytes) => bytes,
            Err(error) => return self.report_pack(name, pack, chain(&error), report),
        };
        report.bytes += bytes.len() as u64;
        let (epoch, entries) = match read_directory(&shared.keys, shared.domain, pack, &bytes) {
            Ok(directory) => directory,
            Err(error) => return self.report_pack(name, pack, chain(&error), report),
        };
        let rows = index::chunks_of(&shared.inner.index.read(), pack)?;
        for (place, entry) in entries.iter().enumerate() {
            report.chunks += 1;
            let row = rows.iter().find(|(_, row)| row.place == place);
            let start = usize::try_from(entry.offset).unwrap_or(usize::MAX);
            let sealed = bytes
                .get(start..start.saturating_add(entry.bytes))
                .unwrap_or_default();
            let chunk = open_chunk(
                &shared.keys,
                epoch,
                shared.domain,
                pack,
                place,
                entry,
                sealed,
            )
            .and_then(|plain| ChunkView::decode(&plain).map_err(PackError::Decode));
            let found = match (&chunk, row) {
                (Err(error), _) => Some(chain(error)),
                (Ok(_), None) => Some("the index does not know a chunk of it".to_owned()),
                (Ok(_), Some((_, known))) if known.entry != *entry => {
                    Some("the index says otherwise where a chunk of it lies".to_owned())
                }
                (Ok(_), Some(_)) => None,
            };
            if let Some(what) = found {
                let objects = match row {
                    Some((no, row)) => self.objects_of(*no, row)?,
                    None => Vec::new(),
                };
                report.problems.push(Problem {
                    blob: name.to_owned(),
                    what,
                    objects,
                });
            }
        }
        Ok(())
    }

    /// Compares each version that the index names with what lies in its place.
    ///
    /// Chunks that do not open have been reported with their packs.
    fn check_versions(
        &self,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let spaces = index::spaces(&shared.inner.index.read(), shared.domain)?;
        for (code, space) in spaces {
            let mut after = None;
            loop {
                stop(monitor)?;
                let mut versions =
                    index::bodies(&shared.inner.index.read(), space, after, ROWS_AT_ONCE)?;
                let Some(last) = versions.last() else { break };
                after = Some((last.key, last.first));
                versions.sort_unstable_by_key(|version| version.body.map(|(place, _)| place));
                let mut last = LastChunk::default();
                for version in &versions {
                    match shared.body(version, &mut last) {
                        Ok(_) => report.versions += 1,
                        Err(StoreError::Pack { .. } | StoreError::Blob(_)) => {}
                        Err(StoreError::Mismatch { what }) => {
                            let object_type = ObjectType::from_code(code);
                            let objects = match object_type {
                                Some(known) => vec![(known, shared.id_text(known, version.key)?)],
                                None => Vec::new(),
                            };
                            report.problems.push(Problem {
                                blob: String::new(),
                                what: format!("the index expects {what}"),
                                objects,
                            });
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(())
    }
}

fn problem(blob: &str, what: &str) -> Problem {
    Problem {
        blob: blob.to_owned(),
        what: what.to_owned(),
        objects: Vec::new(),
    }
}

fn stop(monitor: &dyn Monitor) -> Result<(), StoreError> {
    if monitor.is_cancelled() {
        Err(StoreError::Cancelled)
    } else {
        Ok(())
    }
}
