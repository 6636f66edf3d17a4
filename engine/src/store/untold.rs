//! Versions of which the index knows nothing, although intact records name them: what they lie in could not be read when the index was rebuilt, and
//! only there stands whose they are.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::domain::damaged;
use super::moves::Resolved;
use super::{DomainStore, StoreError};
use crate::catalogue::ObjectType;
use crate::id::{PackId, SnapshotId};
use crate::index;
use crate::record::Record;

/// Versions of the index that are read at once.
const ROWS_AT_ONCE: usize = 64 * 1024;

/// How many versions, by the snapshot that they began with and their type.
pub(crate) type Untold = BTreeMap<(SnapshotId, ObjectType), u64>;

/// The rows of each chunk of a type in which the index has a version.
type Known = HashMap<(PackId, usize), BTreeSet<usize>>;

impl DomainStore {
    /// Counts the versions that intact records and checkpoints name and the index does not know.
    ///
    /// Where a list of moves is damaged, versions can be among them that nothing needed any more.
    pub(crate) fn untold(&self) -> Result<Untold, StoreError> {
        let shared = &self.shared;
        let rows = index::snapshots(&shared.inner.index.read(), shared.domain)?;
        let coverages = rows.iter().flat_map(|row| &row.coverage);
        let doubtful: BTreeSet<u16> = coverages
            .filter(|(_, coverage)| **coverage == damaged())
            .map(|(code, _)| *code)
            .collect();
        let mut untold = Untold::new();
        if doubtful.is_empty() {
            return Ok(untold);
        }
        let mut told = Vec::new();
        for row in &rows {
            told.extend(self.told_of(row.id)?.map(|record| (row.id, record)));
        }
        let moves = shared.moves(&mut Vec::new())?;
        for code in doubtful {
            let Some(object_type) = ObjectType::from_code(code) else {
                continue;
            };
            let mut known = self.known_rows(code)?;
            for (snapshot, record) in &told {
                let mut count = 0;
                let deltas = record.types.iter().filter(|delta| delta.type_code == code);
                for run in deltas.flat_map(|delta| &delta.runs) {
                    let Some((pack, _)) = record.packs.get(run.pack) else {
                        continue;
                    };
                    for (found, rows) in moves.resolve_run(*pack, run.chunk, run.first, run.rows) {
                        let Resolved::At(pack, chunk, first) = found else {
                            continue;
                        };
                        let known = known.entry((pack, chunk)).or_default();
                        // Counted once, where it is named first.
                        let unknown = first..first.saturating_add(rows);
                        count += unknown.filter(|row| known.insert(*row)).count() as u64;
                    }
                }
                if count > 0 {
                    untold.insert((*snapshot, object_type), count);
                }
            }
        }
        Ok(untold)
    }

    /// What tells of a snapshot, or the checkpoint of it, if one of them opens.
    fn told_of(&self, snapshot: SnapshotId) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.intact_record(snapshot)? {
            return Ok(Some(record));
        }
        match self.shared.read_checkpoint(snapshot) {
            Ok(checkpoint) => Ok(Some(checkpoint.state)),
            Err(StoreError::Record { .. } | StoreError::Blob(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn known_rows(&self, code: u16) -> Result<Known, StoreError> {
        let domain = self.shared.domain;
        let read = self.shared.inner.index.read();
        let mut known = Known::new();
        let Some(space) = index::space(&read, domain, code)? else {
            return Ok(known);
        };
        let places = index::chunk_places(&read, domain)?;
        let mut after = None;
        loop {
            let versions = index::bodies(&read, space, after, ROWS_AT_ONCE)?;
            let Some(last) = versions.last() else { break };
            after = Some((last.key, last.first));
            for (place, _) in versions.iter().filter_map(|version| version.body) {
                if let Some(chunk) = places.get(&place.chunk()) {
                    let rows = known.entry(*chunk).or_default();
                    rows.insert(place.ordinal().into());
                }
            }
        }
        Ok(known)
    }
}
