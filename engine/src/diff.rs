//! What is different between two snapshots, or between a snapshot and the org as it is now.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalogue::{self, ObjectType};
use crate::clock::Clock;
use crate::collect::{CollectError, CollectOptions, collect};
use crate::compare::LiveView;
use crate::id::SnapshotId;
use crate::monitor::{Monitor, Progress};
use crate::object::Coverage;
use crate::okta::{OktaApi, OktaError};
use crate::plan::{AttributeChange, name_of, type_name, values};
use crate::store::{Change, ChangeKind, DomainStore, Sides, SnapshotReader, StoreError};

/// So many changes are read together; the bodies of as many objects are in memory at once, some kilobytes each.
const CHANGES_AT_ONCE: usize = 1024;

/// What happened to an object between the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiffKind {
    /// It is only on the later side.
    Added,
    /// It is only on the earlier side.
    Removed,
    /// It is on both sides, with other values.
    Changed,
}

/// One object that is different, as the interface shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffLine {
    /// What happened to it.
    pub change: DiffKind,
    /// The type of the object.
    #[serde(rename = "type", with = "type_name")]
    pub object_type: ObjectType,
    /// Its id.
    pub id: String,
    /// Its name for people, where it has one.
    pub name: Option<String>,
    /// Attribute by attribute, where that was asked for.
    pub attributes: Option<Vec<AttributeChange>>,
    /// Who did it, where known.
    pub actor: Option<String>,
    /// When, where known.
    pub at: Option<Timestamp>,
}

/// Why a difference could not be told to its end.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// The org cannot be read.
    #[error("the org cannot be read")]
    Okta(#[source] OktaError),
    /// The store cannot be read.
    #[error("the store cannot be read")]
    Store(#[source] StoreError),
    /// Whoever takes the lines wants no more of them.
    #[error("the reader of the differences has gone")]
    Stopped,
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl DiffError {
    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Okta(error) => error.code(),
            Self::Store(_) => "store_failed",
            Self::Stopped => "stopped",
            Self::Cancelled => "cancelled",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Okta(error) => error.hint(),
            Self::Store(_) | Self::Stopped | Self::Cancelled => None,
        }
    }
}

/// What of the differences is shown besides ids and kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shown {
    /// The names for people.
    pub names: bool,
    /// The differences attribute by attribute.
    pub attributes: bool,
}

/// Says that no more is wanted (the client has gone).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Takes the lines of a difference one by one.
pub type TakeLine<'a> = &'a mut dyn FnMut(DiffLine) -> Result<(), Stop>;

/// Tells what is different between two snapshots of a domain, type by type.
///
/// The work is proportional to what changed. Without `names` and `attributes` no chunk is opened, and names are `None`.
///
/// # Errors
///
/// When the store cannot be read, it was cancelled, or `take` wants no more.
pub fn between(
    domain: &DomainStore,
    from: SnapshotId,
    to: SnapshotId,
    Shown { names, attributes }: Shown,
    monitor: &dyn Monitor,
    take: TakeLine<'_>,
) -> Result<(), DiffError> {
    let mut ended = None;
    // Both snapshots stay readable meanwhile.
    let _held = [domain.reader(from), domain.reader(to)];
    let mut changes = Vec::new();
    let mut tell = |changes: &mut Vec<(Change, Sides)>| {
        if monitor.is_cancelled() {
            ended = Some(DiffError::Cancelled);
            return Err(StoreError::Cancelled);
        }
        let is_bare = |(change, _): &(Change, Sides)| change.object_type.entry().bare_relation;
        let bodies = if (names || attributes) && !changes.iter().all(is_bare) {
            domain.sides(changes, attributes)?
        } else {
            vec![[None, None]; changes.len()]
        };
        for ((change, _), [before, after]) in changes.drain(..).zip(bodies) {
            let kind = match change.kind {
                ChangeKind::Added => DiffKind::Added,
                ChangeKind::Removed => DiffKind::Removed,
                ChangeKind::Changed => DiffKind::Changed,
            };
            let sides = [before.as_deref(), after.as_deref()]
                .map(|body| body.filter(|_| !change.object_type.entry().bare_relation));
            let [before, after] = sides;
            let line = line(
                kind,
                change.object_type,
                change.id,
                before,
                after,
                attributes,
            );
            if take(line) == Err(Stop) {
                ended = Some(DiffError::Stopped);
                return Err(StoreError::Cancelled);
            }
        }
        Ok(())
    };
    let told = domain.changed_sides(from, to, &mut |change, sides| {
        changes.push((change, sides));
        if changes.len() < CHANGES_AT_ONCE {
            return Ok(());
        }
        tell(&mut changes)
    });
    let told = told.and_then(|()| tell(&mut changes));
    match ended {
        Some(ended) => Err(ended),
        None => told.map_err(DiffError::Store),
    }
}

/// Tells what is different between a snapshot and the org as it is now, reading the whole org once.
///
/// A type that could not be read completely has lines only for what was read; the monitor is warned.
///
/// # Errors
///
/// When the org or the store cannot be read, it was cancelled, or `take` wants no more.
pub fn with_live(
    api: &dyn OktaApi,
    reader: &SnapshotReader,
    attributes: bool,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
    take: TakeLine<'_>,
) -> Result<(), DiffError> {
    let mut view = LiveView::new(reader);
    let options = CollectOptions {
        types: reader.info().coverage.keys().copied().collect(),
        log_settle: Duration::ZERO,
        ..CollectOptions::default()
    };
    match collect(api, &options, &mut view, clock, monitor) {
        Ok(_) => {}
        Err(CollectError::Cancelled | CollectError::Okta(OktaError::Cancelled)) => {
            return Err(DiffError::Cancelled);
        }
        Err(CollectError::Okta(error)) => return Err(DiffError::Okta(error)),
        Err(CollectError::Sink(error)) => return Err(DiffError::Store(error)),
    }
    for (object_type, coverage) in view.coverage() {
        if !matches!(coverage, Coverage::Complete | Coverage::NotAvailable) {
            monitor.report(Progress::Warning(format!(
                "{object_type} could not be read completely: what it lacks is not shown as removed"
            )));
        }
    }
    let mut tell = |line| take(line).map_err(|Stop| DiffError::Stopped);
    for object_type in catalogue::all() {
        if monitor.is_cancelled() {
            return Err(DiffError::Cancelled);
        }
        for id in view.removed(object_type) {
            let before = stored_body(reader, object_type, id)?;
            tell(line(
                DiffKind::Removed,
                object_type,
                id.clone(),
                before.as_deref(),
                None,
                attributes,
            ))?;
        }
        for live in view.added(object_type) {
            tell(line(
                DiffKind::Added,
                object_type,
                live.id.clone(),
                None,
                Some(&live.body),
                attributes,
            ))?;
        }
        for live in view.changed(object_type) {
            let before = stored_body(reader, object_type, &live.id)?;
            let after = Some(live.body.as_slice());
            tell(line(
                DiffKind::Changed,
                object_type,
                live.id.clone(),
                before.as_deref(),
                after,
                attributes,
            ))?;
        }
    }
    Ok(())
}

fn stored_body(
    reader: &SnapshotReader,
    object_type: ObjectType,
    id: &str,
) -> Result<Option<Vec<u8>>, DiffError> {
    if object_type.entry().bare_relation {
        return Ok(None);
    }
    Ok(reader
        .get(object_type, id)
        .map_err(DiffError::Store)?
        .map(|stored| stored.body))
}

fn line(
    change: DiffKind,
    object_type: ObjectType,
    id: String,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    attributes: bool,
) -> DiffLine {
    let name = [after, before]
        .into_iter()
        .flatten()
        .find_map(|body| name_of(object_type, body));
    let attributes = attributes.then(|| {
        let side = |body: Option<&[u8]>| values::parse(body.unwrap_or_default());
        let found = values::differences(&side(before), &side(after));
        found.iter().map(values::Difference::change).collect()
    });
    DiffLine {
        change,
        object_type,
        id,
        name,
        attributes,
        actor: None,
        at: None,
    }
}
