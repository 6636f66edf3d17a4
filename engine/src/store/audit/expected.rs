//! What the index expects to find in each chunk.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::domain::{Shared, chain};
use super::super::tombstone::Tombstone;
use super::super::{DomainStore, StoreError};
use super::stop;
use crate::catalogue::ObjectType;
use crate::check::{CheckReport, Problem, ProblemKind};
use crate::chunk::{ChunkView, Cursor, Key};
use crate::index::{self, Place};
use crate::monitor::Monitor;

/// Rows of the index that are read at once.
const ROWS_AT_ONCE: usize = 64 * 1024;

/// One version that the index names: 32 bytes of memory for each that the domain has.
struct Expectation {
    place: Place,
    key: Key,
    fingerprint: i64,
    type_code: u16,
}

/// The versions of a domain in order of their places, so that each chunk has to be opened once.
#[derive(Default)]
pub(super) struct Expected {
    versions: Vec<Expectation>,
    /// The chunks that were compared.
    seen: BTreeSet<i64>,
}

impl Expected {
    pub(super) fn read(shared: &Shared, monitor: &dyn Monitor) -> Result<Self, StoreError> {
        let mut versions = Vec::new();
        let spaces = index::spaces(&shared.inner.index.read(), shared.domain)?;
        for (type_code, space) in spaces {
            let mut after = None;
            loop {
                stop(monitor)?;
                let read = shared.inner.index.read();
                let found = index::bodies(&read, space, after, ROWS_AT_ONCE)?;
                let Some(last) = found.last() else { break };
                after = Some((last.key, last.first));
                versions.extend(found.iter().filter_map(|version| {
                    let (place, fingerprint) = version.body?;
                    Some(Expectation {
                        place,
                        key: version.key,
                        fingerprint,
                        type_code,
                    })
                }));
            }
        }
        versions.sort_unstable_by_key(|version| version.place);
        Ok(Self {
            versions,
            seen: BTreeSet::new(),
        })
    }

    /// The versions in a chunk, by their places in the list.
    fn range_in(&self, chunk: i64) -> Range<usize> {
        let start = self.versions.partition_point(|at| at.place.chunk() < chunk);
        let end = self
            .versions
            .partition_point(|at| at.place.chunk() <= chunk);
        start..end
    }
}

impl DomainStore {
    /// Compares each version that the index expects in a chunk with what lies in its place.
    ///
    /// What is wrong with it in its own form is given back; versions that are not in their places are reported.
    pub(super) fn compare(
        &self,
        chunk: i64,
        view: &ChunkView,
        expected: &mut Expected,
        report: &mut CheckReport,
    ) -> Result<Option<String>, StoreError> {
        let shared = &self.shared;
        expected.seen.insert(chunk);
        let range = expected.range_in(chunk);
        let mut cursor = Cursor::default();
        let mut body = Vec::new();
        for version in expected.versions.get(range).unwrap_or_default() {
            body.clear();
            let ordinal = version.place.ordinal().into();
            let found = match view.get(ordinal, &mut cursor, &*shared.names(), &mut body) {
                Ok(found) => found,
                Err(error) => return Ok(Some(chain(&error))),
            };
            let fingerprint = shared.keys.content_id(&body).fingerprint();
            if found != Some(version.key) || fingerprint != version.fingerprint {
                self.report_expected(version, "a version that is not in its place", report)?;
            } else if Tombstone::read(&body).is_some() {
                report.lost += 1;
            } else {
                report.versions += 1;
            }
        }
        Ok(None)
    }

    /// Looks for what the index expects in chunks that were in no pack that was read.
    pub(super) fn compare_rest(
        &self,
        mut expected: Expected,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let named: BTreeSet<i64> = expected
            .versions
            .iter()
            .map(|at| at.place.chunk())
            .collect();
        let rest: Vec<i64> = named.difference(&expected.seen).copied().collect();
        for chunk in rest {
            let opened = match self.shared.chunk(chunk) {
                Ok(opened) => opened,
                // It has been reported with its pack.
                Err(StoreError::Pack { .. } | StoreError::Blob(_)) => continue,
                Err(StoreError::Mismatch { what }) => {
                    let range = expected.range_in(chunk);
                    for version in expected.versions.get(range).unwrap_or_default() {
                        self.report_expected(version, &what, report)?;
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(what) = self.compare(chunk, opened.view(), &mut expected, report)? {
                report.problems.push(Problem {
                    kind: ProblemKind::Chunk,
                    ..self.problem(&self.shared.pack_name(opened.pack()), what)
                });
            }
        }
        Ok(())
    }

    fn report_expected(
        &self,
        version: &Expectation,
        what: &str,
        report: &mut CheckReport,
    ) -> Result<(), StoreError> {
        let object_type = ObjectType::from_code(version.type_code);
        let objects = match object_type {
            Some(known) => vec![(known, self.shared.id_text(known, version.key)?)],
            None => Vec::new(),
        };
        report.problems.push(Problem {
            kind: ProblemKind::Index,
            types: object_type.into_iter().collect(),
            objects,
            ..self.problem("", format!("the index expects {what}"))
        });
        Ok(())
    }
}
