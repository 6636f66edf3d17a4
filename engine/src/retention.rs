//! Which snapshots a retention policy keeps: a pure decision, from facts and the present moment.
//!
//! A policy is written `within=48h,last=5,daily=30,weekly=12,monthly=12,yearly=7`; each rule keeps some snapshots, and what no
//! rule keeps may be removed. The newest complete snapshot and pinned ones are always kept.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::id::SnapshotId;
use crate::store::SnapshotInfo;

/// What INTERFACE calls the default.
pub const DEFAULT: &str = "within=48h,last=5,daily=30,weekly=12,monthly=12";

/// The largest count that a rule takes: more than a snapshot a minute for a hundred years.
const COUNT_MAX: u32 = 100_000_000;

/// Why a text is no retention policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetentionError {
    /// A rule is not `name=value`, or has a name that is none.
    #[error(
        "`{rule}` is not a retention rule (within=48h, last=5, daily=30, weekly=12, monthly=12 or yearly=7)"
    )]
    UnknownRule {
        /// The rule as it was written.
        rule: String,
    },
    /// A rule has a value that is none.
    #[error(
        "`{rule}` has no usable value (a whole number, or for within a duration such as 30m, 48h or 7d)"
    )]
    BadValue {
        /// The rule as it was written.
        rule: String,
    },
    /// A rule is given twice.
    #[error("`{name}` is given twice")]
    Twice {
        /// The rule's name.
        name: String,
    },
    /// Nothing would be kept but the newest complete snapshot.
    #[error("a retention policy needs at least one rule")]
    Empty,
}

/// A retention policy. Text form: its rules in a fixed order, joined by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Keep everything that is at most so old, in seconds.
    pub within_seconds: Option<u64>,
    /// Keep so many of the newest.
    pub last: Option<u32>,
    /// Keep the newest of each of so many days that have any.
    pub daily: Option<u32>,
    /// Keep the newest of each of so many weeks that have any.
    pub weekly: Option<u32>,
    /// Keep the newest of each of so many months that have any.
    pub monthly: Option<u32>,
    /// Keep the newest of each of so many years that have any.
    pub yearly: Option<u32>,
}

/// What a policy removes, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemovalPlan {
    /// The snapshots that no rule keeps.
    pub remove: Vec<SnapshotId>,
}

impl FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let mut retention = Self::default();
        for rule in text
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
        {
            let (name, value) =
                rule.split_once('=')
                    .ok_or_else(|| RetentionError::UnknownRule {
                        rule: rule.to_owned(),
                    })?;
            let bad = || RetentionError::BadValue {
                rule: rule.to_owned(),
            };
            if name == "within" {
                let seconds = duration_seconds(value).ok_or_else(bad)?;
                set(&mut retention.within_seconds, seconds, name)?;
                continue;
            }
            let digits = value.bytes().all(|byte| byte.is_ascii_digit());
            let count = value
                .parse::<u32>()
                .ok()
                .filter(|count| digits && (1..=COUNT_MAX).contains(count));
            let field = match name {
                "last" => &mut retention.last,
                "daily" => &mut retention.daily,
                "weekly" => &mut retention.weekly,
                "monthly" => &mut retention.monthly,
                "yearly" => &mut retention.yearly,
                _ => {
                    return Err(RetentionError::UnknownRule {
                        rule: rule.to_owned(),
                    });
                }
            };
            set(field, count.ok_or_else(bad)?, name)?;
        }
        if retention == Self::default() {
            Err(RetentionError::Empty)
        } else {
            Ok(retention)
        }
    }
}

fn set<T>(field: &mut Option<T>, value: T, name: &str) -> Result<(), RetentionError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(RetentionError::Twice {
            name: name.to_owned(),
        }),
    }
}

/// `30m`, `12h`, `7d` in seconds.
fn duration_seconds(text: &str) -> Option<u64> {
    let unit = match text.chars().next_back()? {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let count: u32 = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())??;
    (count > 0).then(|| u64::from(count) * unit)
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rules = Vec::new();
        if let Some(seconds) = self.within_seconds {
            rules.push(if seconds % 3600 == 0 {
                format!("within={}h", seconds / 3600)
            } else {
                format!("within={}m", seconds / 60)
            });
        }
        let counts = [
            ("last", self.last),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        rules.extend(
            counts
                .iter()
                .filter_map(|(name, count)| count.map(|count| format!("{name}={count}"))),
        );
        f.write_str(&rules.join(","))
    }
}

/// Says in which period a date lies: its year, and a number within it.
type PeriodOf = fn(Date) -> (i16, i16);

/// Plans what to remove at `now`: each snapshot that no rule keeps. Days, weeks (from Monday), months and years are those of `timezone`.
///
/// Pinned snapshots and the newest complete one are always kept. Snapshots from the future (a clock that was set back) are kept too.
#[must_use]
pub fn plan(
    snapshots: &[SnapshotInfo],
    policy: &Retention,
    timezone: &TimeZone,
    now: Timestamp,
) -> RemovalPlan {
    let mut newest_first: Vec<&SnapshotInfo> = snapshots.iter().collect();
    newest_first.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.created_at));

    let mut kept: BTreeSet<SnapshotId> = newest_first
        .iter()
        .filter(|snapshot| snapshot.pinned || snapshot.created_at > now)
        .map(|snapshot| snapshot.id)
        .collect();
    kept.extend(
        newest_first
            .iter()
            .find(|snapshot| snapshot.complete)
            .map(|snapshot| snapshot.id),
    );
    kept.extend(
        newest_first
            .iter()
            .take(amount(policy.last))
            .map(|snapshot| snapshot.id),
    );
    if let Some(seconds) = policy.within_seconds {
        let within = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        let young = newest_first
            .iter()
            .filter(|snapshot| now.duration_since(snapshot.created_at) <= within);
        kept.extend(young.map(|snapshot| snapshot.id));
    }
    let periods: [(Option<u32>, PeriodOf); 4] = [
        (policy.daily, |date| (date.year(), date.day_of_year())),
        (policy.weekly, |date| {
            (
                date.iso_week_date().year(),
                i16::from(date.iso_week_date().week()),
            )
        }),
        (policy.monthly, |date| {
            (date.year(), i16::from(date.month()))
        }),
        (policy.yearly, |date| (date.year(), 0)),
    ];
    for (count, period_of) in periods {
        let mut periods = BTreeSet::new();
        for snapshot in &newest_first {
            let date = snapshot.created_at.to_zoned(timezone.clone()).date();
            if periods.len() < amount(count) && periods.insert(period_of(date)) {
                kept.insert(snapshot.id);
            }
        }
    }

    let remove = newest_first
        .iter()
        .rev()
        .map(|snapshot| snapshot.id)
        .filter(|id| !kept.contains(id))
        .collect();
    RemovalPlan { remove }
}

fn amount(count: Option<u32>) -> usize {
    count.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::id::DomainId;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn snapshot(number: u8, created_at: Timestamp) -> SnapshotInfo {
        SnapshotInfo {
            id: SnapshotId::from_bytes([number; 8]),
            domain: DomainId::from_bytes([0; 8]),
            created_at,
            as_of: created_at,
            parent: None,
            complete: true,
            pinned: false,
            objects: 0,
            changes: 0,
            bytes_new: 0,
            coverage: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    fn removed(
        snapshots: &[SnapshotInfo],
        policy: &str,
        timezone: &TimeZone,
        now: &str,
    ) -> Vec<u8> {
        let plan = plan(snapshots, &policy.parse().unwrap(), timezone, at(now));
        plan.remove.iter().map(|id| id.as_bytes()[0]).collect()
    }

    #[test]
    fn policies_are_read_and_written() {
        for text in [
            DEFAULT,
            "last=1",
            "within=90m,yearly=7",
            "within=168h,last=5,daily=30,weekly=12,monthly=12,yearly=7",
        ] {
            assert_eq!(text.parse::<Retention>().unwrap().to_string(), text);
        }
        assert_eq!(
            "last=5, within=7d"
                .parse::<Retention>()
                .unwrap()
                .to_string(),
            "within=168h,last=5"
        );
        for bad in [
            "",
            "last",
            "last=0",
            "last=-1",
            "last=+1",
            "hourly=3",
            "within=5",
            "within=5s",
            "within=0h",
            "last=1,last=2",
            "daily=x",
        ] {
            assert!(bad.parse::<Retention>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_newest_of_each_period_is_kept() {
        let snapshots: Vec<_> = [
            "2026-03-01T10:00:00Z",
            "2026-03-02T10:00:00Z",
            "2026-03-02T20:00:00Z",
            "2026-03-08T10:00:00Z",
            "2026-03-09T10:00:00Z",
            "2026-04-01T10:00:00Z",
        ]
        .iter()
        .zip(1u8..)
        .map(|(text, number)| snapshot(number, at(text)))
        .collect();
        let now = "2026-04-02T00:00:00Z";
        assert_eq!(
            removed(&snapshots, "last=2", &TimeZone::UTC, now),
            [1, 2, 3, 4]
        );
        assert_eq!(removed(&snapshots, "daily=100", &TimeZone::UTC, now), [2]);
        assert_eq!(
            removed(&snapshots, "daily=3", &TimeZone::UTC, now),
            [1, 2, 3]
        );
        assert_eq!(removed(&snapshots, "weekly=9", &TimeZone::UTC, now), [2, 3]);
        assert_eq!(
            removed(&snapshots, "monthly=9", &TimeZone::UTC, now),
            [1, 2, 3, 4]
        );
        assert_eq!(
            removed(&snapshots, "yearly=1", &TimeZone::UTC, now),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(
            removed(&snapshots, "within=14h", &TimeZone::UTC, now),
            [1, 2, 3, 4, 5]
        );
        assert_eq!(
            removed(&snapshots, "within=24h,monthly=9", &TimeZone::UTC, now),
            [1, 2, 3, 4]
        );
    }

    #[test]
    fn days_are_those_of_the_time_zone() {
        let snapshots = [
            snapshot(1, at("2026-03-01T23:00:00Z")),
            snapshot(2, at("2026-03-02T01:00:00Z")),
        ];
        let now = "2026-03-09T00:00:00Z";
        assert_eq!(
            removed(&snapshots, "daily=9", &TimeZone::UTC, now),
            Vec::<u8>::new()
        );
        assert_eq!(
            removed(
                &snapshots,
                "daily=9",
                &TimeZone::fixed(jiff::tz::offset(2)),
                now
            ),
            [1]
        );
    }

    #[test]
    fn the_newest_complete_and_pinned_ones_stay_whatever_the_policy() {
        let mut snapshots: Vec<_> = (1..=5u8)
            .map(|day| snapshot(day, at(&format!("2026-03-0{day}T00:00:00Z"))))
            .collect();
        snapshots[4].complete = false;
        snapshots[3].complete = false;
        snapshots[0].pinned = true;
        assert_eq!(
            removed(&snapshots, "last=1", &TimeZone::UTC, "2026-03-09T00:00:00Z"),
            [2, 4]
        );
        assert_eq!(
            removed(&snapshots, "last=1", &TimeZone::UTC, "2026-03-01T12:00:00Z"),
            Vec::<u8>::new()
        );
    }
}
