//! What must hold of any text that is taken for a setting, a name, a path or a plan.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::canonical::Json;
use crate::catalogue::ObjectType;
use crate::id::{ContentId, DomainId, DomainName, PackId, SnapshotId};
use crate::plan::{RestorePlan, path};
use crate::retention::{self, Retention};
use crate::schedule::{self, Schedule};
use crate::store::SnapshotInfo;

fn parsed<T: FromStr>(data: &[u8]) -> Option<T> {
    std::str::from_utf8(data).ok()?.parse().ok()
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap_or_default()
}

/// A schedule that is taken reads back as itself; it is due after now unless it is off, at one moment and then at a later one.
pub(super) fn schedule(data: &[u8]) -> bool {
    let Some(schedule) = parsed::<Schedule>(data) else {
        return false;
    };
    assert_eq!(schedule.to_string().parse().as_ref(), Ok(&schedule));
    let vienna = schedule::time_zone("Europe/Vienna").unwrap_or(TimeZone::UTC);
    for zone in [TimeZone::UTC, vienna] {
        let next = schedule.next_after(now(), &zone, 7);
        assert_eq!(next.is_none(), schedule.is_off(), "{schedule}");
        let Some(next) = next else { continue };
        assert!(next > now(), "{schedule}");
        let then = schedule.next_after(next, &zone, 7);
        assert!(then.is_none_or(|then| then > next), "{schedule}");
        assert_eq!(
            schedule.due(now(), next, &zone, 7),
            Some(next),
            "{schedule}"
        );
    }
    true
}

/// A policy that is taken reads back as itself, and keeps what no policy may remove.
pub(super) fn retention(data: &[u8]) -> bool {
    let Some(policy) = parsed::<Retention>(data) else {
        return false;
    };
    assert_eq!(policy.to_string().parse().as_ref(), Ok(&policy));
    let snapshots: Vec<SnapshotInfo> = (0..40u8)
        .map(|place| SnapshotInfo {
            id: SnapshotId::from_bytes([place; 8]),
            domain: DomainId::from_bytes([1; 8]),
            as_of: now(),
            parent: None,
            objects: 0,
            changes: 0,
            bytes_new: 0,
            coverage: BTreeMap::new(),
            counts: BTreeMap::new(),
            created_at: now() - SignedDuration::from_hours(i64::from(place) * 37),
            complete: place % 3 == 1,
            pinned: place % 11 == 5,
        })
        .collect();
    let plan = retention::plan(&snapshots, &policy, &TimeZone::UTC, now());
    let removed: BTreeSet<SnapshotId> = plan.remove.iter().copied().collect();
    assert_eq!(removed.len(), plan.remove.len());
    let newest_complete = snapshots.iter().find(|snapshot| snapshot.complete);
    let pinned = snapshots.iter().filter(|snapshot| snapshot.pinned);
    for kept in pinned.chain(newest_complete) {
        assert!(!removed.contains(&kept.id), "{policy}");
    }
    true
}

/// An identifier, a name or a type that is taken is written as it was read.
pub(super) fn names(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let written = [
        text.parse::<DomainName>().map(|name| name.to_string()).ok(),
        text.parse::<SnapshotId>().map(|id| id.to_string()).ok(),
        text.parse::<PackId>().map(|id| id.to_string()).ok(),
        text.parse::<DomainId>().map(|id| id.to_string()).ok(),
        text.parse::<ContentId>().map(|id| id.to_string()).ok(),
        text.parse::<ObjectType>()
            .map(|of_type| of_type.to_string())
            .ok(),
    ];
    assert!(written.iter().flatten().all(|written| written == text));
    // A zone is found or not; its name comes from the caller.
    schedule::time_zone(text).is_ok() || written.iter().any(Option::is_some)
}

/// A path on the first line is walked in the JSON after it: what is taken away is gone, and nothing else is.
pub(super) fn attribute(data: &[u8]) -> bool {
    let end = data
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    let (Ok(text), Ok(json)) = (std::str::from_utf8(text), Json::parse(rest)) else {
        return false;
    };
    let steps = path::steps(text);
    let mut seen = 0usize;
    path::visit(&json, &steps, &mut |_| seen += 1);
    let mut changed = json.clone();
    path::visit_mut(&mut changed, &steps, &mut |_| {});
    assert_eq!(changed, json);
    path::remove(&mut changed, &steps);
    if matches!(steps.last(), Some(path::Step::Key(_))) {
        let mut left = 0usize;
        path::visit(&changed, &steps, &mut |_| left += 1);
        assert_eq!(left, 0);
        assert_eq!(seen == 0, changed == json);
    } else {
        assert_eq!(changed, json);
    }
    seen > 0
}

/// A plan as it was sealed is read or refused, and written as it was read.
pub(super) fn plan(data: &[u8]) -> bool {
    let Ok(plan) = serde_json::from_slice::<RestorePlan>(data) else {
        return false;
    };
    let Ok(bytes) = serde_json::to_vec(&plan) else {
        return false;
    };
    let again = serde_json::from_slice::<RestorePlan>(&bytes);
    let again = again.ok().and_then(|again| serde_json::to_vec(&again).ok());
    assert_eq!(again.as_ref(), Some(&bytes));
    true
}
