//! What [`check`](crate::check) looks at in one domain.

mod expected;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::expected::Expected;
use super::domain::{Markers, chain};
use super::merged::Served;
use super::moves::MoveMap;
use super::reindex::StoreProblem;
use super::{DomainStore, StoreError};
use crate::catalogue::ObjectType;
use crate::check::{CheckReport, Problem, ProblemKind};
use crate::chunk::{ChunkView, Key};
use crate::id::{PackId, SnapshotId};
use crate::index::{self, ChunkRow, SnapshotRow, mend};
use crate::keys::{DomainKeys, KeyError, KeyProvider};
use crate::monitor::{Monitor, Progress};
use crate::pack::{Kind, PackError, open_chunk, read_directory};

/// A record, merged or not, and what it needs before it; or why it cannot be read.
struct Told {
    served: Served,
    base: Result<Option<SnapshotId>, String>,
}

impl Told {
    fn of(served: Served) -> Self {
        Self {
            served,
            base: Ok(None),
        }
    }
}

/// What the records of a domain name.
#[derive(Default)]
struct Named {
    packs: BTreeMap<PackId, u64>,
    /// The packs in which it lies now.
    lies_in: BTreeSet<PackId>,
    /// Where rows were moved.
    moves: Arc<MoveMap>,
    /// The snapshots that checkpoints name as being before them.
    before: BTreeMap<SnapshotId, Vec<SnapshotId>>,
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
        let mut expected = if read_data {
            Some(Expected::read(&self.shared, monitor)?)
        } else {
            None
        };
        self.check_packs(&named, expected.as_mut(), monitor, report)?;
        expected.map_or(Ok(()), |expected| self.compare_rest(expected, report))
    }

    /// A problem with one of the domain's blobs.
    fn problem(&self, blob: &str, what: impl Into<String>) -> Problem {
        Problem::of(Some(self.shared.domain), blob, what)
    }

    /// A problem with a blob that is about one snapshot.
    fn problem_of(&self, snapshot: SnapshotId, blob: &str, what: impl Into<String>) -> Problem {
        Problem {
            snapshots: vec![snapshot],
            ..self.problem(blob, what)
        }
    }

    /// Compares the keys that the store keeps with those that the domain was opened with.
    pub(crate) fn check_keys(
        &self,
        provider: &dyn KeyProvider,
    ) -> Result<Option<Problem>, StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/keys/", shared.domain);
        let Some((name, wrapped)) = shared.inner.newest_numbered_named(&prefix)? else {
            let what = "the domain's keys are missing: without them nothing can be read once the daemon ends";
            return Ok(Some(self.problem(&prefix, what)));
        };
        match DomainKeys::unwrap(shared.domain, provider, &wrapped) {
            Ok(found) if found.is_same(&shared.keys) => Ok(None),
            Ok(_) => Ok(Some(self.problem(
                &name,
                "it holds other keys than the domain was opened with",
            ))),
            Err(
                error @ (KeyError::DoesNotOpen
                | KeyError::NotSealed
                | KeyError::UnknownVersion { .. }),
            ) => Ok(Some(self.problem(&name, chain(&error)))),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens every record, merged or not, every checkpoint, list of moves and marker; and looks whether the index could be read in again from them.
    fn check_records(
        &self,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<Named, StoreError> {
        let shared = &self.shared;
        let mut found = Vec::new();
        shared.forget_moves();
        let moves = shared.moves(&mut found)?;
        let (markers, unread) = shared.markers()?;
        found.extend(unread);
        // Taken together: a backup that ends while records are being read has both a record and a row, or neither.
        let recording = shared.inner.recording();
        let merged = shared.merged_blobs(&mut found)?;
        let prefix = format!("{}/records/", shared.domain);
        let records = shared.inner.blobs.list(&prefix)?;
        let rows = index::snapshots(&shared.inner.index.read(), shared.domain)?;
        drop(recording);
        for found in found {
            self.report_found(&found, report);
        }
        let mut told: BTreeMap<SnapshotId, Vec<Told>> = BTreeMap::new();
        for blob in merged {
            let (snapshot, served) = (blob.snapshot, blob.served());
            told.entry(snapshot).or_default().push(Told::of(served));
        }
        for blob in records {
            let Some(snapshot) = blob
                .name
                .strip_prefix(&prefix)
                .and_then(|id| id.parse::<SnapshotId>().ok())
            else {
                report.problems.push(self.foreign(&blob.name));
                continue;
            };
            let served = Served {
                name: blob.name,
                bytes: blob.bytes,
                merged: None,
            };
            told.entry(snapshot).or_default().push(Told::of(served));
        }
        let mut named = Named {
            moves: Arc::clone(&moves),
            ..Named::default()
        };
        for (snapshot, told) in &mut told {
            for told in told {
                stop(monitor)?;
                report.bytes += told.served.bytes;
                match shared.read_served(*snapshot, &told.served) {
                    Ok((base, record)) => {
                        told.base = Ok(base);
                        named.lies_in.append(&mut moves.packs_of(&record));
                        named.packs.extend(record.packs);
                    }
                    Err(StoreError::Record { source, .. }) => told.base = Err(chain(&source)),
                    Err(StoreError::Blob(source)) => told.base = Err(chain(&source)),
                    Err(error) => return Err(error),
                }
            }
            report.snapshots += 1;
            monitor.report(Progress::Done {
                object_type: None,
                count: 1,
            });
        }
        self.check_checkpoints(&rows, &markers, &moves, &mut named, monitor, report)?;
        named.packs.retain(|pack, _| !moves.is_retired(*pack));
        // The snapshots that one may follow: the one before it, and earlier ones where those between are removed.
        let mut before = vec![None];
        let is_there = |id: &SnapshotId| {
            rows.iter().any(|row| row.id == *id)
                || markers.get(id).is_some_and(|(_, removed)| *removed)
        };
        for row in &rows {
            let told = told.remove(&row.id).unwrap_or_default();
            let mut lost = named.before.get(&row.id).cloned().unwrap_or_default();
            lost.retain(|id| !is_there(id));
            self.check_told(row, &told, &before, lost, report);
            if !row.removed {
                before.clear();
            }
            before.push(Some(row.id));
        }
        for (snapshot, told) in told {
            // What tells of a removed snapshot is garbage once prune has merged it.
            if markers.get(&snapshot).is_some_and(|(_, removed)| *removed) {
                continue;
            }
            for told in told {
                let name = &told.served.name;
                report.problems.push(match told.base {
                    Err(what) => self.problem_of(snapshot, name, what),
                    Ok(base) => {
                        let what = "the index does not know this snapshot";
                        let mut found = self.problem_of(snapshot, name, what);
                        found.kind = ProblemKind::Index;
                        found.snapshots.extend(base.filter(|id| !is_there(id)));
                        found
                    }
                });
            }
        }
        self.check_marked(report)?;
        Ok(named)
    }

    /// Looks whether a snapshot that the index knows could be read in again after the one before it. Where it could not, `lost` are those
    /// that its checkpoint names and of which nothing is there.
    fn check_told(
        &self,
        row: &SnapshotRow,
        told: &[Told],
        before: &[Option<SnapshotId>],
        lost: Vec<SnapshotId>,
        report: &mut CheckReport,
    ) {
        let mut found = Vec::new();
        for told in told {
            if let Err(what) = &told.base {
                found.push(self.problem_of(row.id, &told.served.name, what.clone()));
            }
        }
        let read = told.iter().find(|told| told.base.is_ok());
        let follows = told
            .iter()
            .find_map(|told| told.base.as_ref().ok())
            .is_some_and(|base| before.contains(base));
        if told.is_empty() {
            let name = format!("{}/records/{}", self.shared.domain, row.id);
            let what = "the record of a snapshot that the index knows is missing";
            found.push(self.problem_of(row.id, &name, what));
        } else if let Some(told) = read.filter(|_| !follows) {
            let what = "the record of the snapshot before it is gone";
            found.push(self.problem_of(row.id, &told.served.name, what));
        }
        if let Some(last) = found.last_mut().filter(|_| !follows) {
            last.snapshots.extend(lost);
        }
        report.problems.append(&mut found);
    }

    /// Reports what came up while names were read.
    fn report_found(&self, found: &StoreProblem, report: &mut CheckReport) {
        let snapshot = found.blob.split('/').nth(2);
        let snapshot = snapshot.and_then(|id| id.parse::<SnapshotId>().ok());
        report
            .problems
            .push(match (ProblemKind::of_blob(&found.blob), snapshot) {
                (ProblemKind::Moves, _) => self.problem(&found.blob, found.what.clone()),
                (_, Some(snapshot)) => self.problem_of(snapshot, &found.blob, found.what.clone()),
                (_, None) => self.foreign(&found.blob),
            });
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
                let found = self.problem_of(row.id, &marker, what);
                report.problems.push(found);
            }
        }
        Ok(())
    }

    /// Opens every checkpoint.
    fn check_checkpoints(
        &self,
        rows: &[SnapshotRow],
        markers: &Markers,
        moves: &MoveMap,
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
                report.problems.push(self.foreign(&blob.name));
                continue;
            };
            let known = rows.iter().any(|row| row.id == snapshot);
            let removed = markers.get(&snapshot).is_some_and(|(_, removed)| *removed);
            let found = match shared.read_checkpoint(snapshot) {
                Ok(checkpoint) => {
                    named.lies_in.append(&mut moves.packs_of(&checkpoint.state));
                    named.packs.extend(checkpoint.state.packs);
                    let before = checkpoint.before.iter().map(|(_, id)| *id);
                    named.before.insert(snapshot, before.collect());
                    (!known && !removed).then(|| "the index does not know its snapshot".to_owned())
                }
                Err(StoreError::Record { source, .. }) => Some(chain(&source)),
                Err(StoreError::Blob(source)) => Some(chain(&source)),
                Err(error) => return Err(error),
            };
            if let Some(what) = found {
                let found = self.problem_of(snapshot, &blob.name, what);
                report.problems.push(found);
            }
        }
        Ok(())
    }

    fn foreign(&self, name: &str) -> Problem {
        Problem {
            kind: ProblemKind::Foreign,
            ..self.problem(name, "it has no business here")
        }
    }

    fn check_packs(
        &self,
        named: &Named,
        mut expected: Option<&mut Expected>,
        monitor: &dyn Monitor,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/packs/", shared.domain);
        let states = index::prune::pack_states(&shared.inner.index.read(), shared.domain)?;
        // A doomed one is deleted as soon as nobody reads it any more.
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
                report.problems.push(self.foreign(&blob.name));
                continue;
            };
            there.insert(pack);
            if doomed.contains(&pack) {
                continue;
            }
            let known = named.packs.get(&pack).or_else(|| indexed.get(&pack));
            let Some(bytes) = known.copied() else {
                if named.lies_in.contains(&pack) && expected.is_some() {
                    let followed = named.moves.leads_to(pack, &indexed).is_none();
                    match self.unreadable(&blob.name, pack) {
                        Some(what) => self.report_moved_to(
                            &blob.name,
                            pack,
                            what,
                            &named.moves,
                            &indexed,
                            report,
                        )?,
                        None if followed => report.problems.push(Problem {
                            kind: ProblemKind::Index,
                            ..self.problem(
                                &blob.name,
                                "rows were moved to it, and the index does not know it",
                            )
                        }),
                        None => {}
                    }
                }
                report.orphans.insert(blob.name, blob.bytes);
                continue;
            };
            report.packs += 1;
            if bytes != blob.bytes {
                let what = format!("it has {} bytes and should have {bytes}", blob.bytes);
                self.report_pack(&blob.name, pack, what, report)?;
            } else if let Some(expected) = expected.as_deref_mut() {
                self.check_pack(&blob.name, pack, expected, report)?;
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
            .chain(&named.lies_in)
            .filter(|pack| !there.contains(*pack) && !doomed.contains(*pack))
            .copied()
            .collect();
        for pack in missing {
            let name = format!("{prefix}{pack}");
            let what = "it is missing".to_owned();
            if indexed.contains_key(&pack) || named.packs.contains_key(&pack) {
                self.report_pack(&name, pack, what, report)?;
            } else {
                self.report_moved_to(&name, pack, what, &named.moves, &indexed, report)?;
            }
        }
        Ok(())
    }

    /// Why a pack's directory cannot be read.
    fn unreadable(&self, name: &str, pack: PackId) -> Option<String> {
        let shared = &self.shared;
        let directory = match shared.inner.blobs.get(name) {
            Ok(bytes) => read_directory(&shared.keys, shared.domain, pack, &bytes),
            Err(error) => return Some(chain(&error)),
        };
        directory.err().map(|error| chain(&error))
    }

    /// Reports a damaged pack to which rows were moved, and which the index does not know. As long as the index has them where they were before, it
    /// is the list of moves that is wrong.
    fn report_moved_to(
        &self,
        name: &str,
        pack: PackId,
        what: String,
        moves: &MoveMap,
        indexed: &BTreeMap<PackId, u64>,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let Some(number) = moves.leads_to(pack, indexed) else {
            return self.report_pack(name, pack, what, report);
        };
        let list = format!("{}{number}", self.shared.moves_prefix());
        let what = format!("rows are moved by it to the pack {pack}, which cannot be read: {what}");
        report.problems.push(self.problem(&list, what));
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
        let mut found = self.problem(name, what);
        for (no, row) in &chunks {
            self.concerned(*no, row, &mut found)?;
        }
        report.problems.push(found);
        Ok(())
    }

    /// Adds to a problem what a chunk holds: objects, types, snapshots.
    fn concerned(&self, no: i64, row: &ChunkRow, found: &mut Problem) -> Result<(), StoreError> {
        let shared = &self.shared;
        let Some(object_type) = ObjectType::from_code(row.entry.type_code) else {
            return Ok(());
        };
        found.types.insert(object_type);
        if row.entry.kind == Kind::Observations {
            return Ok(());
        }
        let read = shared.inner.index.read();
        let Some(space) = index::space(&read, shared.domain, row.entry.type_code)? else {
            return Ok(());
        };
        let versions = mend::versions_in_chunk(&read, space, no)?;
        let snapshots = index::snapshots(&read, shared.domain)?;
        drop(read);
        let holds = |snapshot: &SnapshotRow| {
            let at = snapshot.sequence;
            versions
                .iter()
                .any(|version| version.first <= at && version.last.is_none_or(|last| at < last))
        };
        for snapshot in snapshots.iter().filter(|row| !row.removed) {
            if !found.snapshots.contains(&snapshot.id) && holds(snapshot) {
                found.snapshots.push(snapshot.id);
            }
        }
        let keys: BTreeSet<Key> = versions.iter().map(|version| version.key).collect();
        for key in keys {
            let name = (object_type, shared.id_text(object_type, key)?);
            found.objects.push(name);
        }
        Ok(())
    }

    /// Opens every chunk of a pack, and compares what the index says of it and expects in it.
    fn check_pack(
        &self,
        name: &str,
        pack: PackId,
        expected: &mut Expected,
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
                (Err(error), _) => Some((ProblemKind::Chunk, chain(error))),
                (Ok(_), None) => {
                    let what = "the index does not know a chunk of it";
                    Some((ProblemKind::Index, what.to_owned()))
                }
                (Ok(_), Some((_, known))) if known.entry != *entry => {
                    let what = "the index says otherwise where a chunk of it lies";
                    Some((ProblemKind::Index, what.to_owned()))
                }
                (Ok(view), Some((no, _))) => self
                    .compare(*no, view, expected, report)?
                    .map(|what| (ProblemKind::Chunk, what)),
            };
            if let Some((kind, mut what)) = found {
                if kind == ProblemKind::Chunk && entry.kind == Kind::Observations {
                    what.push_str(
                        "; it holds only what moves by itself, which the next backup reads again",
                    );
                }
                let mut problem = Problem {
                    kind,
                    ..self.problem(name, what)
                };
                if let Some((no, row)) = row {
                    self.concerned(*no, row, &mut problem)?;
                }
                report.problems.push(problem);
            }
        }
        Ok(())
    }
}

fn stop(monitor: &dyn Monitor) -> Result<(), StoreError> {
    if monitor.is_cancelled() {
        Err(StoreError::Cancelled)
    } else {
        Ok(())
    }
}
