//! Counts what the index holds: objects by type and snapshot, and the rows of each chunk that some snapshot needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rusqlite::Connection;

use super::StoreError;
use super::domain::Shared;
use crate::chunk::Key;
use crate::id::DomainId;
use crate::index::{self, Place, SnapshotRow, Version, prune as sql};

/// What one pass over the versions of a domain counts.
#[derive(Debug, Default)]
pub(super) struct Census {
    types: BTreeMap<u16, Tides>,
    /// The rows of each chunk, by its number, that lie in a version which some anchor has.
    live: HashMap<i64, usize>,
}

/// How many versions of a type begin and end with each snapshot.
#[derive(Debug, Default)]
struct Tides {
    first: BTreeMap<u32, u64>,
    last: BTreeMap<u32, u64>,
}

impl Census {
    /// Counts. `anchors` are the sequence numbers of the snapshots that need what they have.
    pub(super) fn take(
        read: &Connection,
        domain: DomainId,
        anchors: &BTreeSet<u32>,
    ) -> Result<Self, StoreError> {
        let mut census = Self::default();
        for (code, space) in index::spaces(read, domain)? {
            let tides = census.types.entry(code).or_default();
            let live = &mut census.live;
            // The places of one object's versions that were counted: one content may be there more than once.
            let mut counted: (Option<Key>, Vec<Place>) = (None, Vec::new());
            sql::each_version(read, space, &mut |version| {
                *tides.first.entry(version.first).or_default() += 1;
                if let Some(last) = version.last {
                    *tides.last.entry(last).or_default() += 1;
                }
                let Some((place, _)) = version.body.filter(|_| is_live(&version, anchors)) else {
                    return;
                };
                if counted.0 != Some(version.key) {
                    counted = (Some(version.key), Vec::new());
                }
                if !counted.1.contains(&place) {
                    counted.1.push(place);
                    *live.entry(place.chunk()).or_default() += 1;
                }
            })?;
        }
        Ok(census)
    }

    /// How many objects of a type a snapshot has.
    pub(super) fn count(&self, type_code: u16, sequence: u32) -> u64 {
        let Some(tides) = self.types.get(&type_code) else {
            return 0;
        };
        let began: u64 = tides.first.range(..=sequence).map(|(_, count)| count).sum();
        let ended: u64 = tides.last.range(..=sequence).map(|(_, count)| count).sum();
        began.saturating_sub(ended)
    }

    /// What a snapshot has of each type, where that is not what its row says.
    pub(super) fn corrected(&self, row: &SnapshotRow) -> Option<BTreeMap<u16, u64>> {
        let mut counts = row.counts.clone();
        for (code, count) in &mut counts {
            *count = self.count(*code, row.sequence);
        }
        for code in self.types.keys() {
            let count = self.count(*code, row.sequence);
            if count > 0 {
                counts.insert(*code, count);
            }
        }
        (counts != row.counts).then_some(counts)
    }

    /// How many rows of a chunk are needed.
    pub(super) fn live(&self, chunk: i64) -> usize {
        self.live.get(&chunk).copied().unwrap_or_default()
    }
}

fn is_live(version: &Version, anchors: &BTreeSet<u32>) -> bool {
    match version.last {
        None => true,
        Some(last) => anchors.range(version.first..last).next().is_some(),
    }
}

impl Shared {
    /// Counts again what each snapshot has: records carry counts on, and know nothing of what could not be read.
    pub(super) fn recount(&self) -> Result<(), StoreError> {
        let (snapshots, anchors) = self.anchors()?;
        let census = Census::take(&self.inner.index.read(), self.domain, &anchors)?;
        let mut wrong = Vec::new();
        for row in snapshots
            .iter()
            .filter(|row| anchors.contains(&row.sequence))
        {
            wrong.extend(census.corrected(row).map(|counts| (row.sequence, counts)));
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Ok(self.inner.index.transact(|transaction| {
            for (sequence, counts) in &wrong {
                sql::set_counts(transaction, self.domain, *sequence, counts)?;
            }
            Ok(())
        })?)
    }
}
