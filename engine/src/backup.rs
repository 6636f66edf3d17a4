//! One backup of one domain: collects the org into a new snapshot.
//!
//! A snapshot exists only if the whole run got to its end: a refused token, an unreachable org or a cancelled
//! job leaves none. Absence is not taken for deletion lightly: an object that the newest snapshot has and
//! the list did not show is asked for by its id before it counts as gone, and a type that loses more than a
//! fifth of its objects at once is reported, with the previous snapshot pinned.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::catalogue::ObjectType;
use crate::clock::Clock;
use crate::collect::{CollectError, CollectOptions, collect, collect_one};
use crate::monitor::{Monitor, Progress};
use crate::object::{Batch, Canonical, Coverage, Keys, Sink};
use crate::okta::{Call, OktaApi, OktaError, Reply};
use crate::store::{DomainStore, Loss, SnapshotInfo, SnapshotReader, SnapshotWriter, StoreError};

/// How many missing objects of a type are looked up by id, one request each, before they count as gone.
const CONFIRM_MAX: usize = 200;

/// The guard against mass loss looks at types with at least so many objects.
const GUARD_OBJECTS_MIN: u64 = 50;

/// The share of a type that may be gone at once without a warning, in percent.
const GUARD_SHARE_PCT: u64 = 20;

/// What to back up, and how.
#[derive(Debug, Clone, Default)]
pub struct BackupOptions {
    /// What to read.
    pub collect: CollectOptions,
}

/// How a backup ended that made a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that the org has was read.
    Succeeded,
    /// Some types were not read completely, or too much was gone at once.
    CompletedWithErrors,
}

/// What a backup did.
#[derive(Debug, Clone)]
pub struct BackupReport {
    /// The snapshot it made.
    pub snapshot: SnapshotInfo,
    /// How it ended.
    pub outcome: Outcome,
    /// What is to be known about it; ids and numbers, no profile values.
    pub warnings: Vec<String>,
    /// The types of which too much was gone at once; the previous snapshot is pinned if there are any.
    pub losses: Vec<Loss>,
    /// The calls that were made; repetitions and token requests are not counted.
    pub requests: u64,
    /// The fewest requests that could have read the same, at the largest page sizes.
    pub requests_minimum: u64,
}

/// Why a backup made no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The org cannot be read.
    #[error("the org cannot be read")]
    Okta(#[source] OktaError),
    /// The snapshot cannot be written.
    #[error("the snapshot cannot be written")]
    Store(#[from] StoreError),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl BackupError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Okta(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Cancelled => None,
        }
    }
}

impl From<CollectError<StoreError>> for BackupError {
    fn from(error: CollectError<StoreError>) -> Self {
        match error {
            CollectError::Okta(OktaError::Cancelled) | CollectError::Cancelled => Self::Cancelled,
            CollectError::Okta(error) => Self::Okta(error),
            CollectError::Sink(error) => Self::Store(error),
        }
    }
}

/// Backs the org up into a new snapshot of `store`.
///
/// # Errors
///
/// [`BackupError`]; then there is no new snapshot, and what was written so far is named by none.
pub fn backup(
    api: &dyn OktaApi,
    store: &DomainStore,
    options: &BackupOptions,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<BackupReport, BackupError> {
    let api = Counted {
        api,
        calls: AtomicU64::new(0),
    };
    let writer = store.begin(monitor, clock.now())?;
    let before = store
        .newest()?
        .map(|newest| store.reader(newest))
        .transpose()?;
    let mut sink = Confirming {
        api: &api,
        monitor,
        writer,
        before,
        doubtful: BTreeSet::new(),
    };
    let collected = collect(&api, &options.collect, &mut sink, clock, monitor)?;
    if monitor.is_cancelled() {
        return Err(BackupError::Cancelled);
    }
    monitor.report(Progress::Phase {
        name: "writing",
        total: None,
    });
    let losses: Vec<Loss> = sink
        .writer
        .losses()?
        .into_iter()
        .filter(is_mass_loss)
        .collect();
    if let Some(before) = sink.before.as_ref().filter(|_| !losses.is_empty()) {
        // Before the new snapshot exists, so that a crash in between cannot leave it unprotected.
        store.set_pinned(before.info().id, true)?;
    }
    let snapshot = sink.writer.finish(collected.as_of, collected.watermark)?;
    let warnings = warnings(&snapshot, &losses);
    for warning in &warnings {
        monitor.report(Progress::Warning(warning.clone()));
    }
    let whole = snapshot.complete && losses.is_empty();
    Ok(BackupReport {
        snapshot,
        outcome: if whole {
            Outcome::Succeeded
        } else {
            Outcome::CompletedWithErrors
        },
        warnings,
        losses,
        requests: api.calls.load(Ordering::Relaxed),
        requests_minimum: collected.requests_minimum,
    })
}

fn is_mass_loss(loss: &Loss) -> bool {
    loss.before >= GUARD_OBJECTS_MIN
        && loss.gone.saturating_mul(100) > loss.before.saturating_mul(GUARD_SHARE_PCT)
}

fn warnings(snapshot: &SnapshotInfo, losses: &[Loss]) -> Vec<String> {
    let coverage = snapshot
        .coverage
        .iter()
        .filter_map(|(object_type, coverage)| match coverage {
            Coverage::Complete | Coverage::NotAvailable => None,
            Coverage::MissingScope { scope } => Some(format!(
                "{object_type} was not read: {scope} is not granted"
            )),
            Coverage::Incomplete { reason } => {
                Some(format!("{object_type} was not read completely: {reason}"))
            }
        });
    let losses = losses.iter().map(|loss| {
        format!(
            "{} of {} {} objects are gone since the previous snapshot, which is pinned now",
            loss.gone, loss.before, loss.object_type
        )
    });
    coverage.chain(losses).collect()
}

/// Counts the calls that go through it.
struct Counted<'a> {
    api: &'a dyn OktaApi,
    calls: AtomicU64,
}

impl OktaApi for Counted<'_> {
    fn send(&self, call: &Call) -> Result<Reply, OktaError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.api.send(call)
    }

    fn take_back(&self, body: Vec<u8>) {
        self.api.take_back(body);
    }

    fn base_url(&self) -> &str {
        self.api.base_url()
    }

    fn granted_scopes(&self) -> Result<Option<Vec<String>>, OktaError> {
        self.api.granted_scopes()
    }
}

/// Writes the snapshot, and confirms by id what a complete list did not show any more.
struct Confirming<'a> {
    api: &'a dyn OktaApi,
    monitor: &'a dyn Monitor,
    writer: SnapshotWriter<'a>,
    before: Option<SnapshotReader>,
    /// Types under parents that a list left out: their children were not read.
    doubtful: BTreeSet<ObjectType>,
}

/// What asking for the missing objects of a type by id showed.
#[derive(Debug, Default)]
struct Confirmation {
    /// Objects that exist although no list showed them.
    found: Vec<Canonical>,
    /// Whether some could not be asked for, because there are too many.
    sampled: bool,
}

impl Confirming<'_> {
    /// Asks for missing objects by id; of very many, for some that are spread evenly.
    fn confirm(
        &self,
        object_type: ObjectType,
        missing: &[String],
    ) -> Result<Confirmation, OktaError> {
        let step = missing.len().div_ceil(CONFIRM_MAX).max(1);
        let mut confirmation = Confirmation {
            found: Vec::new(),
            sampled: step > 1,
        };
        for id in missing.iter().step_by(step) {
            if self.monitor.is_cancelled() {
                return Err(OktaError::Cancelled);
            }
            confirmation
                .found
                .extend(collect_one(self.api, object_type, id, None, None)?);
        }
        Ok(confirmation)
    }

    /// The coverage of a type whose lists were complete, once what they did not show has been asked for.
    fn confirmed(&mut self, object_type: ObjectType) -> Result<Coverage, StoreError> {
        let missing = self.writer.missing(object_type)?;
        let confirmation = match self.confirm(object_type, &missing) {
            Ok(confirmation) => confirmation,
            Err(error) => {
                let reason = format!(
                    "whether {} objects are gone could not be confirmed: {error}",
                    missing.len()
                );
                return Ok(Coverage::Incomplete { reason });
            }
        };
        if confirmation.found.is_empty() {
            return Ok(Coverage::Complete);
        }
        // The children of what was left out have not been read.
        let mut under = vec![object_type];
        while let Some(parent) = under.pop() {
            under.extend(
                parent
                    .children()
                    .filter(|child| self.doubtful.insert(*child)),
            );
        }
        let found = confirmation.found.len();
        self.monitor.report(Progress::Warning(format!(
            "{found} {object_type} objects were left out by lists and read by id"
        )));
        for object in confirmation.found {
            self.writer.object(object)?;
        }
        Ok(if confirmation.sampled {
            Coverage::Incomplete {
                reason: "lists left out objects that exist".to_owned(),
            }
        } else {
            Coverage::Complete
        })
    }
}

impl Sink for Confirming<'_> {
    type Error = StoreError;

    fn object(&mut self, object: Canonical) -> Result<(), StoreError> {
        self.writer.object(object)
    }

    fn objects(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.writer.objects(batch)
    }

    fn list(&mut self, parent: &str, batch: &Batch) -> Result<(), StoreError> {
        self.writer.list(parent, batch)
    }

    fn children(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        children: Vec<Canonical>,
    ) -> Result<(), StoreError> {
        self.writer.children(object_type, parent, children)
    }

    fn related(
        &mut self,
        object_type: ObjectType,
        parent: &str,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        self.writer.related(object_type, parent, keys)
    }

    fn gone(&mut self, object_type: ObjectType, id: &str) -> Result<(), StoreError> {
        self.writer.gone(object_type, id)
    }

    fn end_type(&mut self, object_type: ObjectType, coverage: Coverage) -> Result<(), StoreError> {
        let coverage = match coverage {
            Coverage::Complete if self.doubtful.contains(&object_type) => Coverage::Incomplete {
                reason: "a list left out objects under which these live".to_owned(),
            },
            Coverage::Complete if !object_type.has_parent() => self.confirmed(object_type)?,
            coverage => coverage,
        };
        self.writer.end_type(object_type, coverage)
    }
}
