//! Reads an org as of one moment: a full sweep, then what the System Log names meanwhile.
//!
//! **The sweep.** Every type by its cheapest list at its largest page; relations and children by one list for
//! each parent. Worker threads fetch, divide pages and canonicalise; the calling thread alone gives what they
//! read to the [`Sink`], in a bounded amount at a time. A parent is always given before its children.
//!
//! **As of.** `as_of` is the server's `Date` of the very first answer, so nothing that was read is older. What
//! changes while the sweep runs may be skipped or read twice by a paged list. Therefore the position in the System Log
//! is taken before the sweep, and after it everything the log names since is read again. The log lags behind
//! by seconds without a promise: it is followed until a page is empty and [`CollectOptions::log_settle`] has
//! passed since the sweep ended. Where the log tells of created or deleted objects of a type whose list has
//! several pages, that list is read again too, because the others may have moved between its pages; so is any list
//! that showed an object twice, until one reading shows none twice. Without the
//! log (no scope, no permission), users and groups are listed once more, and so is every other type that has
//! several pages. A list of one page is a single answer of the server and cannot lose anything.
//!
//! **Honest.** A type that could not be read completely says so in its [`Coverage`], and the others go on. A parent
//! that vanished meanwhile is confirmed by reading it, and is then simply gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::catalogue::{ObjectType, all};
use crate::clock::Clock;
use crate::monitor::{Monitor, Progress};
use crate::object::{Canonical, Coverage, Sink};
use crate::okta::{Call, ORGANIZATION_PATH, OktaApi, OktaError};

mod failure;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod ids;
mod log;
mod paths;
mod read;
mod replay;
mod sweep;

use failure::Outcomes;
use read::Reader;

pub use paths::expand;

/// The scope that reads the System Log. Its absence costs requests, not completeness.
pub const LOG_SCOPE: &str = "okta.logs.read";

/// How long the log is followed after the sweep unless told otherwise: Okta's log lags by seconds.
const LOG_SETTLE: Duration = Duration::from_secs(3);

const PARALLEL_DEFAULT: usize = 4;

/// What to read, and how.
#[derive(Debug, Clone)]
pub struct CollectOptions {
    /// The types to read; what they need besides (the parents of relations) is read but not given to the sink.
    pub types: Vec<ObjectType>,
    /// How many requests may be under way at once.
    pub parallel: usize,
    /// How long after the sweep the log is still followed.
    pub log_settle: Duration,
}

impl Default for CollectOptions {
    fn default() -> Self {
        Self {
            types: all().collect(),
            parallel: PARALLEL_DEFAULT,
            log_settle: LOG_SETTLE,
        }
    }
}

/// What a collection found out, besides the objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The moment the collection stands for, by the server's clock.
    pub as_of: Timestamp,
    /// The position in the System Log from which a later run goes on; opaque (see [`Watermark`]).
    pub watermark: Vec<u8>,
    /// The fewest requests that could have read the same, at the largest page sizes.
    pub requests_minimum: u64,
    /// How completely each type was read.
    pub coverage: BTreeMap<ObjectType, Coverage>,
}

/// The position in the System Log, as it is kept with a snapshot: JSON, so that later versions can add to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// The version of this form: 1.
    pub version: u32,
    /// The moment of the collection.
    pub as_of: Timestamp,
    /// Path and query that polls the log from here; `None` where the log could not be read.
    pub log_next: Option<String>,
}

impl Watermark {
    /// The bytes that are kept.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Numbers and strings always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what [`Watermark::to_bytes`] wrote; `None` if it is something else or of an unknown version.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes)
            .ok()
            .filter(|watermark: &Self| watermark.version == 1)
    }
}

/// Why a collection stopped.
#[derive(Debug, thiserror::Error)]
pub enum CollectError<E> {
    /// The org cannot be read at all.
    #[error("the org cannot be read")]
    Okta(#[from] OktaError),
    /// The taking side failed.
    #[error("what was read could not be taken")]
    Sink(#[source] E),
    /// It was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl<E> CollectError<E> {
    /// Okta's part of the error, if it is one.
    #[must_use]
    pub fn okta(&self) -> Option<&OktaError> {
        match self {
            Self::Okta(error) => Some(error),
            Self::Sink(_) | Self::Cancelled => None,
        }
    }
}

/// Reads the org and gives everything to `sink`.
///
/// # Errors
///
/// [`CollectError::Okta`] when the credentials are refused or nothing at all could be read; a type that could not be
/// read among others is no error but its coverage.
pub fn collect<S: Sink>(
    api: &dyn OktaApi,
    options: &CollectOptions,
    sink: &mut S,
    clock: &dyn Clock,
    monitor: &dyn Monitor,
) -> Result<Collected, CollectError<S::Error>> {
    monitor.report(Progress::Phase {
        name: "collecting",
        total: None,
    });
    let wanted: BTreeSet<ObjectType> = options.types.iter().copied().collect();
    // The very first answer: its date is what the collection stands for.
    let before = clock.now();
    let first = api.send(&Call::get(ORGANIZATION_PATH))?;
    let as_of = first.date.unwrap_or(before);
    let granted = api.granted_scopes()?;
    let reader = Reader::new(api, granted, wanted, monitor);
    let mut outcomes = Outcomes::default();

    let mut tail = log::Tail::open(&reader, as_of)?;
    let known = sweep::run(&reader, options.parallel, sink, &mut outcomes)?;
    let swept_at = clock.now();
    replay::run(
        replay::Replay {
            reader: &reader,
            known,
            sink,
            outcomes: &mut outcomes,
        },
        &mut tail,
        &log::Settle {
            since: swept_at,
            wait: options.log_settle,
            clock,
        },
    )?;

    if let Some(error) = outcomes.nothing_read(&reader) {
        return Err(error.into());
    }
    let coverage = outcomes.coverage(&reader);
    for (object_type, coverage) in &coverage {
        sink.end_type(*object_type, coverage.clone())
            .map_err(CollectError::Sink)?;
    }
    let watermark = Watermark {
        version: 1,
        as_of,
        log_next: tail.position(),
    };
    Ok(Collected {
        as_of,
        watermark: watermark.to_bytes(),
        requests_minimum: outcomes.requests_minimum + 1 + tail.pages_minimum(),
        coverage,
    })
}

/// Reads one object by its id: as the interface writes it (`PARENT/KEY` where it is unique only under its parent).
///
/// `parent` is needed for types with a parent whose id does not hold it, `grandparent` where the entry's paths name it.
/// `Ok(None)`: Okta says that it does not exist.
///
/// # Errors
///
/// [`OktaError`] when that could not be found out.
pub fn collect_one(
    api: &dyn OktaApi,
    object_type: ObjectType,
    id: &str,
    parent: Option<&str>,
    grandparent: Option<&str>,
) -> Result<Option<Canonical>, OktaError> {
    read::one(api, object_type, id, parent, grandparent)
}

#[cfg(test)]
mod tests;
