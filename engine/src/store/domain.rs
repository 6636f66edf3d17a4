//! One domain of the store, with its keys.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use jiff::Timestamp;

use super::moves::{MoveMap, Resolved};
use super::names::{Interned, NameMap};
use super::reader::SnapshotReader;
use super::readin::{ReadIn, Seen};
use super::reindex::StoreProblem;
use super::tombstone::Tombstone;
use super::types::{Change, ChangeKind, SnapshotInfo, VersionInfo};
use super::usage::Reading;
use super::writer::SnapshotWriter;
use super::{Inner, StoreError, from_millis, number_of};
use crate::blobs::{BlobError, SealedBlob};
use crate::catalogue::{IdRule, ObjectType};
use crate::chunk::{ChunkView, Cursor, Key, Names};
use crate::codec::DecodeError;
use crate::id::{ContentId, DomainId, PackId, SnapshotId};
use crate::index::{self, AppliedType, NameText, NewVersion, PackRow, SnapshotRow, Version};
use crate::keys::{DomainKeys, KeyError, open, seal};
use crate::monitor::Monitor;
use crate::object::Coverage;
use crate::pack::{PackError, open_chunk, read_directory};
use crate::record::{NewId, Record, RecordError, TypeDelta};

/// Opened chunks that are kept for the next read, in bytes: some thirty full ones.
pub(super) const CACHE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How many ids are read from the index at once.
const NAMES_AT_ONCE: usize = 4096;

const MARKER_MAGIC: &[u8; 8] = b"ORGKMRK\x01";

/// What is sealed for the index is one of these.
pub(super) const NAME_SEAL: &str = "orgkeep object id";
pub(super) const WATERMARK_SEAL: &str = "orgkeep watermark";

pub(super) struct Shared {
    pub(super) inner: Arc<Inner>,
    pub(super) domain: DomainId,
    pub(super) keys: DomainKeys,
    names: RwLock<NameMap>,
    cache: Mutex<Cache>,
    /// The moves as they were last read.
    pub(super) moves: Mutex<Arc<MoveMap>>,
}

#[derive(Debug, Default)]
struct Cache {
    chunks: VecDeque<((PackId, usize), Arc<ChunkView>)>,
    bytes: usize,
}

/// A chunk that was opened, and the pack it is from.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pack: PackId,
    view: Arc<ChunkView>,
}

impl Opened {
    pub(super) fn pack(&self) -> PackId {
        self.pack
    }

    pub(super) fn view(&self) -> &ChunkView {
        &self.view
    }
}

/// One domain of the store, with its keys: snapshots are written and read through it.
#[derive(Clone)]
pub struct DomainStore {
    pub(super) shared: Arc<Shared>,
}

impl fmt::Debug for DomainStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainStore({})", self.shared.domain)
    }
}

impl DomainStore {
    pub(super) fn open(
        inner: Arc<Inner>,
        domain: DomainId,
        keys: DomainKeys,
    ) -> Result<Self, StoreError> {
        let shared = Shared {
            inner,
            domain,
            keys,
            names: RwLock::default(),
            cache: Mutex::default(),
            moves: Mutex::default(),
        };
        let store = Self {
            shared: Arc::new(shared),
        };
        store.shared.load_names()?;
        for problem in store.catch_up()? {
            tracing::warn!(%domain, blob = problem.blob, what = problem.what, "part of the store could not be read");
        }
        // Somebody else may have read records in between.
        store.shared.load_names()?;
        Ok(store)
    }

    /// The domain.
    #[must_use]
    pub fn domain(&self) -> DomainId {
        self.shared.domain
    }

    /// The packs that the index knows and that are missing, or have another length. Opens none.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails.
    pub fn packs_missing(&self) -> Result<u64, StoreError> {
        let shared = &self.shared;
        let prefix = format!("{}/packs/", shared.domain);
        let blobs = shared.inner.blobs.list(&prefix)?;
        let there: BTreeMap<&str, u64> = blobs
            .iter()
            .filter_map(|blob| Some((blob.name.strip_prefix(&prefix)?, blob.bytes)))
            .collect();
        let mut suspects = self.pack_bytes()?;
        suspects.retain(|pack, bytes| there.get(pack.to_string().as_str()) != Some(bytes));
        // One can be new since the list was made.
        suspects.retain(|pack, bytes| {
            let found = shared.inner.blobs.size(&shared.pack_name(*pack));
            !found.is_ok_and(|found| found == *bytes)
        });
        // And prune lets the index forget a pack before it deletes it.
        let known = self.pack_bytes()?;
        Ok(suspects
            .keys()
            .filter(|pack| known.contains_key(pack))
            .count() as u64)
    }

    /// The packs that the index knows and nobody is about to delete, with their lengths.
    fn pack_bytes(&self) -> Result<BTreeMap<PackId, u64>, StoreError> {
        let shared = &self.shared;
        let states = index::prune::pack_states(&shared.inner.index.read(), shared.domain)?;
        let kept = states.iter().filter(|state| !state.doomed);
        Ok(kept.map(|state| (state.id, state.bytes)).collect())
    }

    /// Begins to write a snapshot. `created_at` is moved on if it is not later than the newest snapshot's.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] while another is being written; else when the storage or the index fails.
    pub fn begin<'m>(
        &self,
        monitor: &'m dyn Monitor,
        created_at: Timestamp,
    ) -> Result<SnapshotWriter<'m>, StoreError> {
        SnapshotWriter::begin(self.clone(), monitor, created_at)
    }

    /// The newest snapshot that is not removed, if there is one.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn newest(&self) -> Result<Option<SnapshotId>, StoreError> {
        let snapshots = index::snapshots(&self.shared.inner.index.read(), self.shared.domain)?;
        Ok(snapshots
            .iter()
            .rev()
            .find(|row| !row.removed)
            .map(|row| row.id))
    }

    /// Opens a snapshot for reading. It stays readable while others are written.
    ///
    /// # Errors
    ///
    /// [`StoreError::UnknownSnapshot`] when this domain has none of this id.
    pub fn reader(&self, snapshot: SnapshotId) -> Result<SnapshotReader, StoreError> {
        SnapshotReader::open(self.clone(), snapshot)
    }

    /// The content id of a canonical body.
    #[must_use]
    pub fn content_id(&self, body: &[u8]) -> ContentId {
        self.shared.keys.content_id(body)
    }

    /// The watermark that the newest snapshot was finished with.
    ///
    /// # Errors
    ///
    /// When the index fails.
    pub fn log_position(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let newest = index::newest_snapshot(&self.shared.inner.index.read(), self.shared.domain)?;
        let Some(newest) = newest else {
            return Ok(None);
        };
        Ok(Some(
            self.shared
                .keys
                .open_for_index(WATERMARK_SEAL, &newest.watermark)?
                .to_vec(),
        ))
    }

    /// The versions of one object, oldest first, over the snapshots that are not removed.
    ///
    /// # Errors
    ///
    /// When the storage or the index fails.
    pub fn history(
        &self,
        object_type: ObjectType,
        id: &str,
    ) -> Result<Vec<VersionInfo>, StoreError> {
        let shared = &self.shared;
        let _reading = shared.reading();
        shared.load_names()?;
        let (versions, snapshots) = {
            let read = shared.inner.index.read();
            let Some(space) = index::space(&read, shared.domain, object_type.code())? else {
                return Ok(Vec::new());
            };
            let mut versions = Vec::new();
            for key in shared.locate(&read, space, object_type, id)? {
                versions.extend(index::versions_of(&read, space, key)?);
            }
            versions.sort_by_key(|version| version.first);
            (versions, index::snapshots(&read, shared.domain)?)
        };
        let mut history = Vec::new();
        let mut last = LastChunk::default();
        for version in versions {
            let within: Vec<&SnapshotRow> = snapshots
                .iter()
                .filter(|row| !row.removed && row.sequence >= version.first)
                .filter(|row| version.last.is_none_or(|last| row.sequence < last))
                .collect();
            let Some(first) = within.first() else {
                continue;
            };
            let unobserved = within.iter().filter(|row| {
                row.coverage
                    .get(&object_type.code())
                    .is_none_or(|coverage| *coverage != Coverage::Complete)
            });
            history.push(VersionInfo {
                first_snapshot: first.id,
                last_snapshot: version.last.and(within.last()).map(|row| row.id),
                content_id: match shared.body(&version, &mut last) {
                    Ok((_, content)) => Some(content),
                    Err(StoreError::Lost) => None,
                    Err(error) => return Err(error),
                },
                changed_at: from_millis(first.as_of),
                unobserved: unobserved.map(|row| row.id).collect(),
            });
        }
        Ok(history)
    }

    /// Calls `see` with each object that differs between two snapshots, type by type.
    ///
    /// The work is proportional to what changed between them.
    ///
    /// # Errors
    ///
    /// When a snapshot is unknown, the index fails, or `see` does.
    pub fn changes(
        &self,
        from: SnapshotId,
        to: SnapshotId,
        see: &mut dyn FnMut(Change) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.changed_sides(from, to, &mut |change, _| see(change))
    }

    /// As [`changes`](Self::changes), with the versions on both sides.
    pub(crate) fn changed_sides(
        &self,
        from: SnapshotId,
        to: SnapshotId,
        see: &mut dyn FnMut(Change, Sides) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let from = self.sequence_of(from)?;
        let to = self.sequence_of(to)?;
        self.shared.load_names()?;
        let spaces = index::spaces(&self.shared.inner.index.read(), self.shared.domain)?;
        for (code, space) in spaces {
            let Some(object_type) = ObjectType::from_code(code) else {
                continue;
            };
            let touched = index::versions_between(
                &self.shared.inner.index.read(),
                space,
                from.min(to),
                from.max(to),
            )?;
            for (key, sides) in Sides::by_key(touched, from, to) {
                let Some(kind) = sides.kind() else {
                    continue;
                };
                let change = Change {
                    kind,
                    object_type,
                    id: self.shared.id_text(object_type, key)?,
                };
                see(change, sides)?;
            }
        }
        Ok(())
    }

    /// The bodies of objects before and after their changes, neither if one is lost; without `both` only the later one that there is.
    ///
    /// They are read in the order in which they lie: in the order of their keys most of the time goes into finding rows in chunks.
    pub(crate) fn sides(
        &self,
        changes: &[(Change, Sides)],
        both: bool,
    ) -> Result<Vec<[Option<Vec<u8>>; 2]>, StoreError> {
        let mut wanted = Vec::new();
        for (at, (_, Sides { before, after })) in changes.iter().enumerate() {
            wanted.extend(after.map(|version| (version, at, 1)));
            let before = before.filter(|_| both || after.is_none());
            wanted.extend(before.map(|version| (version, at, 0)));
        }
        wanted.sort_unstable_by_key(|(version, ..)| version.body.map(|(place, _)| place));
        let mut bodies = vec![[None, None]; changes.len()];
        let mut lost = Vec::new();
        let mut last = LastChunk::default();
        for (version, at, side) in wanted {
            let body = match self.shared.body(&version, &mut last) {
                Err(StoreError::Lost) => {
                    lost.push(at);
                    continue;
                }
                body => body?.0,
            };
            if let Some(place) = bodies.get_mut(at).and_then(|sides| sides.get_mut(side)) {
                *place = Some(body);
            }
        }
        for at in lost {
            if let Some(sides) = bodies.get_mut(at) {
                *sides = [None, None];
            }
        }
        Ok(bodies)
    }

    fn sequence_of(&self, snapshot: SnapshotId) -> Result<u32, StoreError> {
        let row = index::snapshot(&self.shared.inner.index.read(), snapshot)?;
        let row = row
            .filter(|row| !row.removed)
            .ok_or(StoreError::UnknownSnapshot { snapshot })?;
        if row.domain == self.shared.domain {
            Ok(row.sequence)
        } else {
            Err(StoreError::DifferentDomains)
        }
    }

    /// Protects a snapshot from retention, or no longer.
    ///
    /// # Errors
    ///
    /// When there is none, or the storage or the index fails.
    pub fn set_pinned(&self, snapshot: SnapshotId, pinned: bool) -> Result<(), StoreError> {
        self.sequence_of(snapshot)?;
        self.put_marker(snapshot, pinned, false)
    }

    /// Lets a snapshot go: it is no longer listed or read. What no other snapshot holds becomes garbage for prune.
    ///
    /// # Errors
    ///
    /// When there is none, or the storage or the index fails.
    pub fn remove_snapshot(&self, snapshot: SnapshotId) -> Result<(), StoreError> {
        self.sequence_of(snapshot)?;
        self.put_marker(snapshot, false, true)
    }

    pub(super) fn put_marker(
        &self,
        snapshot: SnapshotId,
        pinned: bool,
        removed: bool,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        let epoch = shared.keys.newest().ok_or(KeyError::NotSealed)?;
        let mut bytes = MARKER_MAGIC.to_vec();
        bytes.extend_from_slice(&epoch.number.to_le_bytes());
        let aad = marker_aad(shared.domain, snapshot);
        bytes.extend_from_slice(&seal(
            &epoch.record,
            &aad,
            &[u8::from(pinned), u8::from(removed)],
        )?);
        let prefix = format!("{}/markers/{snapshot}/", shared.domain);
        shared.inner.put_numbered(&prefix, SealedBlob::new(bytes))?;
        Ok(shared
            .inner
            .index
            .transact(|transaction| index::mark(transaction, snapshot, pinned, removed))?)
    }

    /// Reads into the index what it has not seen of the domain's records and markers; gives what could not be read.
    ///
    /// Where a record is lost, it goes on from the next checkpoint.
    pub(crate) fn catch_up(&self) -> Result<Vec<StoreProblem>, StoreError> {
        let _recording = self.shared.inner.recording();
        self.catch_up_recording()
    }

    /// The same for who holds the right to record.
    pub(super) fn catch_up_recording(&self) -> Result<Vec<StoreProblem>, StoreError> {
        let shared = &self.shared;
        let mut problems = Vec::new();
        let mut reading = ReadIn::new(shared.moves(&mut problems)?);
        problems.extend(shared.follow_moves(&reading.moves)?);
        shared.forget_merged(&mut problems)?;
        let (markers, unread) = shared.markers()?;
        problems.extend(unread);
        let removed = |id: &SnapshotId| markers.get(id).is_some_and(|(_, removed)| *removed);
        let known = shared.known_snapshots()?;
        let (mut unseen, there) = shared.unseen(&known, &mut problems)?;
        let found_any = !unseen.is_empty();
        let mut checkpoints = None;
        let mut missing = BTreeSet::new();
        let mut told = None;
        loop {
            let newest = index::newest_snapshot(&shared.inner.index.read(), shared.domain)?;
            let parent = newest.as_ref().map(|row| row.id);
            // A merged record comes before the records that it stands for.
            let next = unseen.iter().position(|seen| seen.base == parent);
            if let Some(next) = next {
                let mut next = unseen.remove(next);
                unseen.retain(|other| other.snapshot != next.snapshot);
                // What was not read of the parent may be missing here, or be older than this: nobody can tell which objects. Where the parent's own record
                // says so, this one was written after the loss, and has it all.
                let doubtful = match &newest {
                    Some(row) => self.doubtful_types(row, told.as_ref())?,
                    None => Vec::new(),
                };
                told = Some((next.snapshot, next.record.coverage.clone()));
                for code in doubtful {
                    next.record.coverage.insert(code, damaged());
                }
                problems.extend(shared.read_in(next, &mut reading)?);
                continue;
            }
            let after = newest.map_or(0, |row| row.sequence);
            let checkpoints = match &mut checkpoints {
                Some(checkpoints) => checkpoints,
                none => none.insert(shared.unseen_checkpoints(&mut problems)?),
            };
            let next = checkpoints
                .iter()
                .copied()
                .find(|(sequence, _)| *sequence > after);
            let Some((_, snapshot)) = next else {
                break;
            };
            let checkpoint = shared.read_checkpoint(snapshot)?;
            told = Some((snapshot, checkpoint.state.coverage.clone()));
            missing.extend(checkpoint.before.iter().map(|(_, lost)| *lost));
            missing.insert(snapshot);
            unseen.retain(|found| found.snapshot != snapshot);
            problems.extend(shared.read_in_checkpoint(snapshot, checkpoint, &mut reading)?);
        }
        // A record that was merged into a later one is no longer needed.
        for seen in unseen.iter().filter(|seen| !removed(&seen.snapshot)) {
            missing.extend(seen.base);
            problems.push(StoreProblem::new(
                &seen.name,
                "the record of the snapshot before it is missing or damaged, so that it cannot be read",
            ));
        }
        for lost in missing.iter().filter(|lost| !there.contains(lost)) {
            if !known.contains(lost) && !removed(lost) {
                problems.push(StoreProblem::new(
                    &format!("{}/records/{lost}", shared.domain),
                    "it is missing",
                ));
            }
        }
        for (snapshot, (pinned, removed)) in markers {
            let row = index::snapshot(&shared.inner.index.read(), snapshot)?;
            if row.is_some_and(|row| (row.pinned, row.removed) != (pinned, removed)) {
                shared
                    .inner
                    .index
                    .transact(|transaction| index::mark(transaction, snapshot, pinned, removed))?;
            }
        }
        if found_any {
            shared.close_gaps()?;
        }
        if reading.damaged {
            shared.recount()?;
        }
        Ok(problems)
    }

    /// The types of a snapshot that could not be read in as its record tells of them. `told`: a snapshot whose record was read, and the coverage it tells.
    fn doubtful_types(
        &self,
        row: &SnapshotRow,
        told: Option<&(SnapshotId, BTreeMap<u16, Coverage>)>,
    ) -> Result<Vec<u16>, StoreError> {
        let damaged = damaged();
        let codes = row.coverage.iter();
        let mut codes: Vec<u16> = codes
            .filter(|(_, coverage)| **coverage == damaged)
            .map(|(code, _)| *code)
            .collect();
        if codes.is_empty() {
            return Ok(codes);
        }
        let read;
        let told = match told {
            Some((snapshot, coverage)) if *snapshot == row.id => Some(coverage),
            _ => {
                read = self.intact_record(row.id)?;
                read.as_ref().map(|record| &record.coverage)
            }
        };
        if let Some(told) = told {
            codes.retain(|code| told.get(code) != Some(&damaged));
        }
        Ok(codes)
    }

    /// Reads what another index has not seen of the domain into it, with the same keys; gives what could not be read, and how many snapshots could.
    pub(super) fn rebuilt_in(
        &self,
        other: &super::Store,
    ) -> Result<(Vec<StoreProblem>, u64), StoreError> {
        let domain = self.shared.domain;
        let rebuilt = Self {
            shared: Arc::new(Shared {
                inner: Arc::clone(&other.inner),
                domain,
                keys: self.shared.keys.copy(),
                names: RwLock::default(),
                cache: Mutex::default(),
                moves: Mutex::default(),
            }),
        };
        // What is being read keeps all it has in the other index too.
        let read = self.shared.inner.usage.snapshots_read().into_iter();
        let _reading: Vec<Reading> = read
            .map(|snapshot| Reading::begin(&other.inner, Some(snapshot)))
            .collect();
        rebuilt.shared.load_names()?;
        let problems = rebuilt.catch_up()?;
        let snapshots = index::timeline(&other.inner.index.read(), domain)?.len() as u64;
        Ok((problems, snapshots))
    }

    /// The snapshots that the index of one store knows, and that of the other does not; without those that were removed.
    pub(super) fn known_only_to(
        &self,
        one: &super::Store,
        other: &super::Store,
    ) -> Result<Vec<SnapshotId>, StoreError> {
        let domain = self.shared.domain;
        let found = index::timeline(&other.inner.index.read(), domain)?;
        let found: BTreeSet<SnapshotId> = found.into_iter().map(|moment| moment.id).collect();
        let known = index::snapshots(&one.inner.index.read(), domain)?;
        let known = known.into_iter().filter(|row| !row.removed);
        Ok(known
            .map(|row| row.id)
            .filter(|id| !found.contains(id))
            .collect())
    }
}

/// The coverage of a type of which something could not be read from the store.
pub(super) fn damaged() -> Coverage {
    Coverage::Incomplete {
        reason: "some of its data in the store are damaged".to_owned(),
    }
}

pub(super) fn marker_aad(domain: DomainId, snapshot: SnapshotId) -> Vec<u8> {
    let mut aad = b"orgkeep marker 1".to_vec();
    aad.extend_from_slice(domain.as_bytes());
    aad.extend_from_slice(snapshot.as_bytes());
    aad
}

/// An error and its sources as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

fn fingerprint(version: &Version) -> Option<i64> {
    version.body.map(|(_, fingerprint)| fingerprint)
}

/// Whether the type's ids hold their parent, `PARENT/KEY`.
pub(super) fn ids_hold_parent(object_type: ObjectType) -> bool {
    matches!(object_type.entry().id, IdRule::UnderParent(_))
}

/// The versions of an object as of two snapshots.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sides {
    before: Option<Version>,
    after: Option<Version>,
}

impl Sides {
    /// Sorts the versions that began or ended between two snapshots by their keys.
    ///
    /// What differs between the two has on the earlier side a version that ended between them, and on the later side one
    /// that began between them: no other has to be looked for.
    fn by_key(touched: Vec<Version>, from: u32, to: u32) -> BTreeMap<Key, Self> {
        let is_there = |version: &Version, at: u32| {
            version.first <= at && version.last.is_none_or(|last| last > at)
        };
        let mut by_key: BTreeMap<Key, Self> = BTreeMap::new();
        for version in touched {
            let sides = by_key.entry(version.key).or_default();
            if is_there(&version, from) {
                sides.before = Some(version);
            }
            if is_there(&version, to) {
                sides.after = Some(version);
            }
        }
        by_key
    }

    fn kind(&self) -> Option<ChangeKind> {
        match (&self.before, &self.after) {
            (None, Some(_)) => Some(ChangeKind::Added),
            (Some(_), None) => Some(ChangeKind::Removed),
            (Some(before), Some(after)) if fingerprint(before) != fingerprint(after) => {
                Some(ChangeKind::Changed)
            }
            _ => None,
        }
    }
}

impl Shared {
    pub(super) fn names(&self) -> RwLockReadGuard<'_, NameMap> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the ids that the index has and this does not, some thousand at a time.
    pub(super) fn load_names(&self) -> Result<(), StoreError> {
        loop {
            let from = self.names().next();
            let mut failed = None;
            let mut found = Vec::new();
            index::names(
                &self.inner.index.read(),
                self.domain,
                from,
                NAMES_AT_ONCE,
                &mut |number, text| match text {
                    NameText::Clear(text) => found.push((number, text)),
                    NameText::Sealed(sealed) => {
                        match self.keys.open_for_index(NAME_SEAL, &sealed) {
                            Ok(text) => {
                                found.push((number, String::from_utf8_lossy(&text).into_owned()));
                            }
                            Err(error) => failed = Some(error),
                        }
                    }
                },
            )?;
            if let Some(error) = failed {
                return Err(error.into());
            }
            if found.is_empty() {
                return Ok(());
            }
            self.add_names(found.iter().map(|(number, text)| (*number, text.as_str())));
        }
    }

    pub(super) fn knows(&self, key: Key) -> bool {
        let names = self.names();
        names.name(key.key).is_some() && (key.parent == 0 || names.name(key.parent).is_some())
    }

    pub(super) fn add_names<'a>(&self, found: impl Iterator<Item = (u32, &'a str)>) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        for (number, text) in found {
            if number >= names.next() {
                names.push(number, text);
            }
        }
    }

    /// Takes ids that are new, the first of which has the number `first`.
    pub(super) fn append_names(&self, first: u32, found: Interned) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        names.append(first, found);
    }

    pub(super) fn add_ids(&self, first: u32, ids: &[NewId]) {
        let numbered = (first..).zip(ids).filter(|(_, id)| !id.text.is_empty());
        self.add_names(numbered.map(|(number, id)| (number, id.text.as_str())));
    }

    /// The keys that an object with this id may stand under, in the order of their parents.
    pub(super) fn locate(
        &self,
        read: &rusqlite::Connection,
        space: i64,
        object_type: ObjectType,
        id: &str,
    ) -> Result<Vec<Key>, StoreError> {
        let names = self.names();
        if ids_hold_parent(object_type) {
            let numbers = id
                .split_once('/')
                .and_then(|(parent, key)| Some((names.number(parent)?, names.number(key)?)));
            return Ok(numbers
                .map(|(parent, key)| Key { parent, key })
                .into_iter()
                .collect());
        }
        let Some(key) = names.number(id) else {
            return Ok(Vec::new());
        };
        if object_type.has_parent() {
            let parents = index::parents_of(read, space, key)?;
            return Ok(parents
                .into_iter()
                .map(|parent| Key { parent, key })
                .collect());
        }
        Ok(vec![Key { parent: 0, key }])
    }

    /// The id of an object as the interface writes it.
    pub(super) fn id_text(&self, object_type: ObjectType, key: Key) -> Result<String, StoreError> {
        let mut id = String::with_capacity(48);
        self.put_id(object_type, key, &mut id, 0)?;
        Ok(id)
    }

    /// The id of an object as the interface writes it, in place of what `id` holds but for the first `kept` bytes: the parent's
    /// part, as this gave its length for another object under the same parent. Gives that length.
    pub(super) fn put_id(
        &self,
        object_type: ObjectType,
        key: Key,
        id: &mut String,
        kept: usize,
    ) -> Result<usize, StoreError> {
        id.truncate(kept);
        let names = self.names();
        let name = |number| {
            names.name(number).ok_or_else(|| StoreError::Mismatch {
                what: "an id whose number is unknown".to_owned(),
            })
        };
        if kept == 0 && ids_hold_parent(object_type) {
            id.push_str(name(key.parent)?);
            id.push('/');
        }
        let parent_bytes = id.len();
        id.push_str(name(key.key)?);
        Ok(parent_bytes)
    }

    /// The parent's id of an object of a type with parents.
    pub(super) fn parent_text(&self, key: Key) -> Option<String> {
        self.names().name(key.parent).map(str::to_owned)
    }

    pub(super) fn read_record(
        &self,
        snapshot: SnapshotId,
        name: &str,
    ) -> Result<Record, StoreError> {
        let blob = self.inner.blobs.get(name)?;
        Record::open(&self.keys, self.domain, snapshot, &blob).map_err(|source: RecordError| {
            StoreError::Record {
                record: name.to_owned(),
                source,
            }
        })
    }

    /// What the markers say of each snapshot that has any, pinned and removed, and what cannot be read of them.
    pub(super) fn markers(&self) -> Result<(Markers, Vec<StoreProblem>), StoreError> {
        let mut problems = Vec::new();
        let prefix = format!("{}/markers/", self.domain);
        let mut newest: BTreeMap<SnapshotId, (u64, String)> = BTreeMap::new();
        for blob in self.inner.blobs.list(&prefix)? {
            let parts = blob
                .name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.split_once('/'));
            let parsed = parts.and_then(|(id, number)| {
                Some((id.parse::<SnapshotId>().ok()?, number_of(number)?))
            });
            match parsed {
                Some((snapshot, number)) => {
                    let found = newest
                        .entry(snapshot)
                        .or_insert((number, blob.name.clone()));
                    if number >= found.0 {
                        *found = (number, blob.name);
                    }
                }
                None => problems.push(StoreProblem::new(&blob.name, "it has no business here")),
            }
        }
        let mut markers = Markers::new();
        for (snapshot, (_, name)) in newest {
            let sealed = match self.inner.blobs.get(&name) {
                // A newer one took its place just now, or it went with its snapshot.
                Err(BlobError::NotFound { .. }) => continue,
                sealed => sealed?,
            };
            match self.open_marker(snapshot, &sealed) {
                Some(found) => {
                    markers.insert(snapshot, found);
                }
                None => problems.push(StoreProblem::new(&name, "the marker does not open")),
            }
        }
        Ok((markers, problems))
    }

    /// The records of snapshots that the index does not know, merged ones first, then by their sequence numbers; and the snapshots of which there is a record.
    fn unseen(
        &self,
        known: &BTreeSet<SnapshotId>,
        problems: &mut Vec<StoreProblem>,
    ) -> Result<(Vec<Seen>, BTreeSet<SnapshotId>), StoreError> {
        let mut there = BTreeSet::new();
        let mut unseen: Vec<Seen> = Vec::new();
        for blob in self.merged_blobs(problems)? {
            there.insert(blob.snapshot);
            let is_read = unseen.iter().any(|seen| seen.snapshot == blob.snapshot);
            if known.contains(&blob.snapshot) || is_read {
                continue;
            }
            match self.read_merged(&blob) {
                Ok(merged) => unseen.push(Seen {
                    name: blob.name,
                    snapshot: blob.snapshot,
                    base: merged.base,
                    told: Some((merged.changes, merged.record_bytes)),
                    bytes: blob.bytes,
                    record: merged.record,
                }),
                // Prune deletes what it has put a later one in place of.
                Err(StoreError::Blob(BlobError::NotFound { .. })) => {}
                Err(StoreError::Record { source, .. }) => {
                    problems.push(StoreProblem::new(&blob.name, chain(&source)));
                }
                Err(error) => return Err(error),
            }
        }
        let merged = unseen.len();
        let prefix = format!("{}/records/", self.domain);
        for blob in self.inner.blobs.list(&prefix)? {
            let Some(snapshot) = blob
                .name
                .strip_prefix(&prefix)
                .and_then(|id| id.parse::<SnapshotId>().ok())
            else {
                problems.push(StoreProblem::new(&blob.name, "it has no business here"));
                continue;
            };
            there.insert(snapshot);
            if known.contains(&snapshot) {
                continue;
            }
            match self.read_record(snapshot, &blob.name) {
                Ok(record) => unseen.push(Seen {
                    name: blob.name,
                    snapshot,
                    base: record.parent,
                    told: None,
                    bytes: blob.bytes,
                    record,
                }),
                Err(StoreError::Blob(BlobError::NotFound { .. })) => {}
                Err(StoreError::Record { source, .. }) => {
                    problems.push(StoreProblem::new(&blob.name, chain(&source)));
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(plain) = unseen.get_mut(merged..) {
            plain.sort_by_key(|seen| (seen.record.sequence, seen.snapshot));
        }
        Ok((unseen, there))
    }

    fn open_marker(&self, snapshot: SnapshotId, blob: &[u8]) -> Option<(bool, bool)> {
        let (epoch, sealed) = blob.strip_prefix(MARKER_MAGIC)?.split_first_chunk::<4>()?;
        let keys = self.keys.epoch(u32::from_le_bytes(*epoch))?;
        match open(&keys.record, &marker_aad(self.domain, snapshot), sealed)
            .ok()?
            .as_slice()
        {
            [pinned, removed] => Some((*pinned != 0, *removed != 0)),
            _ => None,
        }
    }

    /// Opens a chunk that the index names, from memory where it was opened lately.
    pub(super) fn chunk(&self, no: i64) -> Result<Opened, StoreError> {
        let row =
            index::chunk(&self.inner.index.read(), no)?.ok_or_else(|| StoreError::Mismatch {
                what: "a chunk that it does not name".to_owned(),
            })?;
        let name = (row.pack, row.place);
        {
            let mut cache = self.cache();
            let found = cache.chunks.iter().position(|(known, _)| *known == name);
            if let Some((known, view)) = found.and_then(|at| cache.chunks.remove(at)) {
                cache.chunks.push_back((known, Arc::clone(&view)));
                return Ok(Opened {
                    pack: row.pack,
                    view,
                });
            }
        }
        let view = Arc::new(self.open_view(&row)?);
        let mut cache = self.cache();
        cache.bytes += view.bytes();
        cache.chunks.push_back((name, Arc::clone(&view)));
        while cache.bytes > CACHE_BYTES_MAX && cache.chunks.len() > 1 {
            let Some((_, oldest)) = cache.chunks.pop_front() else {
                break;
            };
            cache.bytes -= oldest.bytes();
        }
        Ok(Opened {
            pack: row.pack,
            view,
        })
    }

    fn undecodable(&self, pack: PackId, source: DecodeError) -> StoreError {
        StoreError::Pack {
            pack: self.pack_name(pack),
            source: PackError::Decode(source),
        }
    }

    /// A row of an opened chunk; its body is appended to `body`.
    fn row(
        &self,
        chunk: &Opened,
        ordinal: usize,
        cursor: &mut Cursor,
        body: &mut Vec<u8>,
    ) -> Result<Option<Key>, StoreError> {
        let row = chunk.view.get(ordinal, cursor, &*self.names(), body);
        row.map_err(|source| self.undecodable(chunk.pack, source))
    }

    pub(super) fn open_view(&self, row: &index::ChunkRow) -> Result<ChunkView, StoreError> {
        let plain = self.open_plain(row)?;
        ChunkView::decode(&plain).map_err(|source| self.undecodable(row.pack, source))
    }

    /// A chunk's bytes, decrypted and still compressed.
    fn open_plain(&self, row: &index::ChunkRow) -> Result<Vec<u8>, StoreError> {
        let pack = self.pack_name(row.pack);
        let sealed = self
            .inner
            .blobs
            .get_range(&pack, row.entry.offset, row.entry.bytes)?;
        open_chunk(
            &self.keys,
            row.epoch,
            self.domain,
            row.pack,
            row.place,
            &row.entry,
            &sealed,
        )
        .map_err(|source| StoreError::Pack { pack, source })
    }

    pub(super) fn pack_name(&self, pack: PackId) -> String {
        format!("{}/packs/{pack}", self.domain)
    }

    /// The body of a version and its content id, checked against what the index says of it.
    ///
    /// [`StoreError::Lost`] where there is a tombstone instead.
    pub(super) fn body(
        &self,
        version: &Version,
        last: &mut LastChunk,
    ) -> Result<(Vec<u8>, ContentId), StoreError> {
        let (body, content) = self.content(version, last)?;
        match Tombstone::read(&body) {
            Some(_) => Err(StoreError::Lost),
            None => Ok((body, content)),
        }
    }

    /// The same, also where it is a tombstone.
    pub(super) fn content(
        &self,
        version: &Version,
        last: &mut LastChunk,
    ) -> Result<(Vec<u8>, ContentId), StoreError> {
        // Neighbours are about as long as each other.
        let mut body = Vec::with_capacity(match version.body {
            Some(_) => last.bytes + last.bytes / 8,
            None => 0,
        });
        let content = self.put_content(version, last, &mut body)?;
        last.bytes = body.len().max(last.bytes / 2);
        Ok((body, content))
    }

    /// Appends the body of a version to `out`, checked as by [`body`](Self::body).
    pub(super) fn put_body(
        &self,
        version: &Version,
        last: &mut LastChunk,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let start = out.len();
        self.put_content(version, last, out)?;
        if Tombstone::read(out.get(start..).unwrap_or_default()).is_some() {
            out.truncate(start);
            return Err(StoreError::Lost);
        }
        Ok(())
    }

    fn put_content(
        &self,
        version: &Version,
        last: &mut LastChunk,
        out: &mut Vec<u8>,
    ) -> Result<ContentId, StoreError> {
        let Some((place, fingerprint)) = version.body else {
            let empty = last.empty.get_or_insert_with(|| self.keys.content_id(b""));
            return Ok(*empty);
        };
        let start = out.len();
        let known = last.at(self, place.chunk())?;
        let key = self.row(
            &known.opened,
            place.ordinal().into(),
            &mut known.cursor,
            out,
        )?;
        let content = self.keys.content_id(out.get(start..).unwrap_or_default());
        if key == Some(version.key) && content.fingerprint() == fingerprint {
            Ok(content)
        } else {
            Err(not_in_its_place())
        }
    }

    /// How long the body of a version is, for less than the body costs; its content is not looked at. [`StoreError::Lost`] where there is a tombstone instead.
    pub(super) fn body_length(
        &self,
        version: &Version,
        last: &mut LastChunk,
    ) -> Result<usize, StoreError> {
        let Some((place, _)) = version.body else {
            return Ok(0);
        };
        let known = last.at(self, place.chunk())?;
        let Opened { pack, view } = &known.opened;
        let lengths = match &mut known.lengths {
            Some(lengths) => lengths,
            none => {
                let lengths = view.lengths(&*self.names());
                none.insert(lengths.map_err(|source| self.undecodable(*pack, source))?)
            }
        };
        let ordinal = usize::from(place.ordinal());
        match view.rows().get(ordinal).zip(lengths.get(ordinal)) {
            // Long enough, and not too long, for a tombstone.
            Some((key, length)) if *key == version.key && Tombstone::BYTES.contains(length) => {
                self.body(version, last).map(|(body, _)| body.len())
            }
            Some((key, length)) if *key == version.key => Ok(*length),
            _ => Err(not_in_its_place()),
        }
    }

    /// Reads a record that the index has not seen, and the packs it names, into the index.
    ///
    /// A pack or a chunk that cannot be read makes its type incomplete in this snapshot; the problem is given back.
    fn read_in(&self, seen: Seen, reading: &mut ReadIn) -> Result<Vec<StoreProblem>, StoreError> {
        let mut record = seen.record;
        let mut problems = Vec::new();
        self.add_ids(record.ids_first, &record.ids);
        let mut types = Vec::new();
        let mut changes = 0;
        for delta in std::mem::take(&mut record.types) {
            changes += delta.runs.iter().map(|run| run.rows).sum::<usize>();
            changes += delta.removed.len() + delta.related.len();
            let found = self.read_in_type(&delta, &record.packs, reading, &mut types)?;
            if !found.is_empty() {
                record.coverage.insert(delta.type_code, damaged());
            }
            problems.extend(found);
        }
        let (changes, bytes) = seen.told.unwrap_or((changes as u64, seen.bytes));
        let row = self.snapshot_row(seen.snapshot, &record, bytes, changes)?;
        // A pack can hold nothing but what came and went within its backup: it is known all the same, for prune to find.
        reading.all_of(self, &record.packs, &mut problems)?;
        let packs = reading.take_packs();
        // What a record without a base holds begins with 1, as everything of a first snapshot does.
        let since = seen.base.map_or(1, |_| row.sequence);
        self.apply_since(&row, since, record.ids_first, &record.ids, &packs, types)?;
        Ok(problems)
    }

    /// The snapshots that the index knows.
    pub(super) fn known_snapshots(&self) -> Result<BTreeSet<SnapshotId>, StoreError> {
        let timeline = index::timeline(&self.inner.index.read(), self.domain)?;
        Ok(timeline.into_iter().map(|moment| moment.id).collect())
    }

    pub(super) fn read_pack(&self, pack: PackId) -> Result<PackRow, StoreError> {
        let name = self.pack_name(pack);
        let bytes = self.inner.blobs.get(&name)?;
        let (epoch, entries) = read_directory(&self.keys, self.domain, pack, &bytes)
            .map_err(|source| StoreError::Pack { pack: name, source })?;
        Ok(PackRow {
            id: pack,
            epoch,
            bytes: bytes.len() as u64,
            entries,
        })
    }

    /// Where the versions of a type lie that a record names, and what keeps some from being found.
    pub(super) fn read_in_type(
        &self,
        delta: &TypeDelta,
        named: &[(PackId, u64)],
        reading: &mut ReadIn,
        types: &mut Vec<AppliedType>,
    ) -> Result<Vec<StoreProblem>, StoreError> {
        let mut problems = Vec::new();
        let mut applied = AppliedType::of(delta.type_code);
        let mut chunks: BTreeMap<(PackId, usize), Vec<(usize, usize)>> = BTreeMap::new();
        for run in &delta.runs {
            let Some((pack, _)) = named.get(run.pack) else {
                problems.push(StoreProblem::new(
                    "",
                    "a record names a pack that it does not list",
                ));
                continue;
            };
            let moves = Arc::clone(&reading.moves);
            for (found, rows) in moves.resolve_run(*pack, run.chunk, run.first, run.rows) {
                match found {
                    Resolved::At(pack, chunk, first) => {
                        chunks.entry((pack, chunk)).or_default().push((first, rows));
                    }
                    Resolved::Dropped => {}
                    Resolved::Lost(key, fingerprint) => applied.lost.push((key, fingerprint)),
                }
            }
        }
        for ((pack, place), ranges) in chunks {
            let chunk = match reading.chunk(self, pack, place, &mut problems)? {
                Some(chunk) => chunk,
                None => continue,
            };
            let mut cursor = Cursor::default();
            let mut body = Vec::new();
            let mut is_unknown = false;
            for ordinal in ranges
                .into_iter()
                .flat_map(|(first, rows)| first..first.saturating_add(rows))
            {
                body.clear();
                let row = chunk.get(ordinal, &mut cursor, &*self.names(), &mut body);
                let (Ok(Some(key)), Ok(short)) = (row, u16::try_from(ordinal)) else {
                    problems.push(StoreProblem::new(
                        &self.pack_name(pack),
                        "a row that a record names cannot be read from a chunk of it",
                    ));
                    break;
                };
                if !self.knows(key) {
                    if !std::mem::replace(&mut is_unknown, true) {
                        problems.push(StoreProblem::new(
                            &self.pack_name(pack),
                            "an id in a chunk of it stands in no record that could be read",
                        ));
                    }
                    continue;
                }
                applied.put.push(NewVersion {
                    key,
                    pack,
                    chunk: place,
                    ordinal: short,
                    fingerprint: self.keys.content_id(&body).fingerprint(),
                });
            }
        }
        applied.removed.clone_from(&delta.removed);
        applied.related.clone_from(&delta.related);
        for found in &delta.observations {
            let Some((pack, _)) = named.get(found.pack) else {
                continue;
            };
            let Resolved::At(pack, chunk, _) = reading.moves.resolve(*pack, found.chunk, 0) else {
                continue;
            };
            if let Some(row) = reading.pack(self, pack, &mut problems)?
                && chunk < row.entries.len()
            {
                applied
                    .observations
                    .push((found.bucket, pack, chunk, found.digest));
            }
        }
        reading.damaged |= !problems.is_empty();
        types.push(applied);
        Ok(problems)
    }

    pub(super) fn snapshot_row(
        &self,
        snapshot: SnapshotId,
        record: &Record,
        record_bytes: u64,
        changes: u64,
    ) -> Result<SnapshotRow, StoreError> {
        Ok(SnapshotRow {
            domain: self.domain,
            sequence: record.sequence,
            id: snapshot,
            parent: record.parent,
            created_at: record.created_at,
            as_of: record.as_of,
            pinned: false,
            removed: false,
            changes,
            bytes_new: record.bytes_new,
            record_bytes,
            coverage: record.coverage.clone(),
            counts: record.counts.clone(),
            watermark: self
                .keys
                .seal_for_index(WATERMARK_SEAL, &record.watermark)?,
        })
    }

    /// Writes a snapshot, whose record is durable, into the index: one transaction.
    pub(super) fn apply(
        &self,
        row: &SnapshotRow,
        ids_first: u32,
        ids: &[NewId],
        packs: &[PackRow],
        types: Vec<AppliedType>,
    ) -> Result<SnapshotInfo, StoreError> {
        self.apply_since(row, row.sequence, ids_first, ids, packs, types)
    }

    /// The same for versions that begin with `since`.
    pub(super) fn apply_since(
        &self,
        row: &SnapshotRow,
        since: u32,
        ids_first: u32,
        ids: &[NewId],
        packs: &[PackRow],
        types: Vec<AppliedType>,
    ) -> Result<SnapshotInfo, StoreError> {
        let mut names = Vec::with_capacity(ids.len());
        for id in ids {
            names.push(if id.is_name {
                NameText::Sealed(self.keys.seal_for_index(NAME_SEAL, id.text.as_bytes())?)
            } else {
                NameText::Clear(id.text.clone())
            });
        }
        self.inner.index.transact(|transaction| {
            index::apply_head(transaction, row, ids_first, &names, packs)?;
            for mut applied in types {
                index::apply_type(transaction, self.domain, since, &mut applied)?;
            }
            Ok(())
        })?;
        self.add_ids(ids_first, ids);
        Ok(SnapshotInfo::from(row.clone()))
    }

    /// The latest observations of a bucket by their keys; empty if there are none, or if they cannot be read.
    ///
    /// They are never needed to read an object.
    pub(super) fn observations(&self, space: i64, bucket: u32) -> Result<Observed, StoreError> {
        Ok(Observed {
            recent: match recent(bucket) {
                Some(recent) => self.observed_layer(space, recent)?,
                None => None,
            },
            base: self.observed_layer(space, bucket)?,
        })
    }

    /// The rows of a bucket that were written when it was last written as a whole; empty if they cannot be read.
    pub(super) fn observed_base(
        &self,
        space: i64,
        bucket: u32,
    ) -> Result<BTreeMap<Key, Vec<u8>>, StoreError> {
        let mut rows = BTreeMap::new();
        if let Some(mut base) = self.observed_layer(space, bucket)? {
            base.all(self, &mut rows);
        }
        Ok(rows)
    }

    fn observed_layer(&self, space: i64, bucket: u32) -> Result<Option<Layer>, StoreError> {
        let _reading = self.reading();
        let Some((no, _)) = index::observation(&self.inner.index.read(), space, bucket)? else {
            return Ok(None);
        };
        match self.chunk(no) {
            Ok(chunk) => Ok(Some(Layer {
                in_order: chunk.view.rows().is_sorted(),
                chunk,
                cursor: Cursor::default(),
            })),
            Err(StoreError::Pack { .. } | StoreError::Blob(_) | StoreError::Mismatch { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// The chunk that was read last and how far, so that reading one row after another looks for it once.
#[derive(Debug, Default)]
pub(super) struct LastChunk {
    known: Option<KnownChunk>,
    /// The bytes of the last body.
    bytes: usize,
    /// The content id of no body.
    empty: Option<ContentId>,
}

impl LastChunk {
    fn at(&mut self, shared: &Shared, no: i64) -> Result<&mut KnownChunk, StoreError> {
        if self.known.as_ref().is_none_or(|known| known.no != no) {
            self.known = None;
        }
        Ok(match &mut self.known {
            Some(known) => known,
            none => none.insert(KnownChunk {
                no,
                opened: shared.chunk(no)?,
                cursor: Cursor::default(),
                lengths: None,
            }),
        })
    }
}

#[derive(Debug)]
struct KnownChunk {
    no: i64,
    opened: Opened,
    cursor: Cursor,
    /// The bytes of all its bodies, once one was asked for.
    lengths: Option<Vec<usize>>,
}

fn not_in_its_place() -> StoreError {
    StoreError::Mismatch {
        what: "a version that is not in its place".to_owned(),
    }
}

/// The latest observations of a bucket of objects.
#[derive(Debug, Default)]
pub(super) struct Observed {
    /// What is otherwise since the bucket was written as a whole; a row without bytes says that nothing is observed any more.
    recent: Option<Layer>,
    base: Option<Layer>,
}

/// One chunk of observations.
#[derive(Debug)]
struct Layer {
    chunk: Opened,
    /// Whether the rows are in the order of their keys, as the writer gives them.
    in_order: bool,
    cursor: Cursor,
}

impl Observed {
    /// What was observed of an object; empty if nothing was, or if it cannot be read.
    pub(super) fn get(&mut self, shared: &Shared, key: Key) -> Vec<u8> {
        [&mut self.recent, &mut self.base]
            .into_iter()
            .flatten()
            .find_map(|layer| layer.get(shared, key))
            .unwrap_or_default()
    }

    /// All that was observed and can be read.
    pub(super) fn all(&mut self, shared: &Shared) -> BTreeMap<Key, Vec<u8>> {
        let mut rows = BTreeMap::new();
        for layer in [&mut self.base, &mut self.recent].into_iter().flatten() {
            layer.all(shared, &mut rows);
        }
        rows.retain(|_, observed| !observed.is_empty());
        rows
    }
}

impl Layer {
    fn get(&mut self, shared: &Shared, key: Key) -> Option<Vec<u8>> {
        let rows = self.chunk.view.rows();
        let ordinal = if self.in_order {
            rows.binary_search(&key).ok()
        } else {
            rows.iter().position(|known| *known == key)
        };
        let mut body = Vec::new();
        shared
            .row(&self.chunk, ordinal?, &mut self.cursor, &mut body)
            .ok()??;
        Some(body)
    }

    fn all(&mut self, shared: &Shared, rows: &mut BTreeMap<Key, Vec<u8>>) {
        for ordinal in 0..self.chunk.view.rows().len() {
            let mut body = Vec::new();
            if let Ok(Some(key)) = shared.row(&self.chunk, ordinal, &mut self.cursor, &mut body) {
                rows.insert(key, body);
            }
        }
    }
}

/// The bucket in which an object's observations are kept: its parent's, or one of 4,096 numbers.
pub(super) fn bucket(object_type: ObjectType, key: Key) -> u32 {
    if ids_hold_parent(object_type) {
        key.parent
    } else {
        key.key >> 12
    }
}

/// The bucket beside a bucket that holds what is otherwise since that was written as a whole: its number with the highest bit.
///
/// Every app has an assignment that changes each day: at 10,000 users whole buckets cost 72 KB a day, and what changed in them some 10.
pub(super) fn recent(bucket: u32) -> Option<u32> {
    const RECENT: u32 = 1 << 31;
    (bucket < RECENT).then_some(bucket | RECENT)
}

impl AppliedType {
    pub(super) fn of(type_code: u16) -> Self {
        let own_ids_under_parents = ObjectType::from_code(type_code)
            .is_some_and(|known| known.has_parent() && !ids_hold_parent(known));
        Self {
            type_code,
            own_ids_under_parents,
            put: Vec::new(),
            removed: Vec::new(),
            related: Vec::new(),
            lost: Vec::new(),
            observations: Vec::new(),
        }
    }
}

/// What the markers say of snapshots: pinned, removed.
pub(super) type Markers = BTreeMap<SnapshotId, (bool, bool)>;
