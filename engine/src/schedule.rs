//! When a domain's backups are due: a schedule and a moment in, the next run out; no I/O.
//!
//! Due times are civil times of the domain's time zone. Each civil minute that matches is due exactly once:
//! one that a daylight-saving change skips is due at the end of the gap (several such at once, once), one
//! that occurs twice is due the first time only. `every N(m|h)` is counted in elapsed time since 1970
//! instead, and knows no such changes; `every Nd` is due at local midnights.
//!
//! A run starts up to a tenth of the interval, but at most [`JITTER_SECONDS_MAX`], after its due time, always
//! by the same share for one domain, so that many domains do not start at one moment. It never starts early.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

mod cron;

pub use cron::{Cron, CronError};

/// The most that a run starts after its due time, in seconds.
pub const JITTER_SECONDS_MAX: i64 = 15 * 60;

/// The longest interval that `every` takes, in days.
const EVERY_DAYS_MAX: u32 = 366;

/// When backups are due. Text form: `@hourly | @daily | @weekly | every N(m|h|d) | 5-field cron | off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Off,
    /// So many seconds of elapsed time.
    EverySeconds(i64),
    /// So many days, at local midnight.
    EveryDays(i64),
    Cron(Cron),
}

/// Why a text is no schedule, or no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// It is none of the known forms.
    #[error(
        "`{0}` is no schedule: use `@hourly`, `@daily`, `@weekly`, `every 15m`, `every 6h`, `every 2d`, `off` or five cron fields"
    )]
    Unknown(String),
    /// The number of `every` is zero or too large.
    #[error("`{0}`: the interval must be between 1 minute and {EVERY_DAYS_MAX} days")]
    Interval(String),
    /// A cron field is not understood.
    #[error("`{text}`: {source}")]
    Cron {
        /// The whole schedule.
        text: String,
        /// Which field, and why.
        source: CronError,
    },
    /// The day and month never occur together.
    #[error("`{0}` is never due")]
    Never(String),
    /// The time zone is not known to this machine.
    #[error("`{0}` is no time zone that this machine knows (IANA names, such as `Europe/Vienna`)")]
    TimeZone(String),
}

/// Finds a time zone by its IANA name; `UTC` is always known.
///
/// # Errors
///
/// [`ScheduleError::TimeZone`] when the machine's database does not have it.
pub fn time_zone(name: &str) -> Result<TimeZone, ScheduleError> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| ScheduleError::TimeZone(name.to_owned()))
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::parse(text)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Schedule {
    /// Reads a schedule.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] says which part is not understood.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let rule = match words.as_slice() {
            ["off"] => Rule::Off,
            ["@hourly"] => cron_rule("0 * * * *", text)?,
            ["@daily"] => cron_rule("0 0 * * *", text)?,
            ["@weekly"] => cron_rule("0 0 * * 0", text)?,
            ["every", interval] => every(interval, text)?,
            [_, _, _, _, _] => cron_rule(text, text)?,
            _ => return Err(ScheduleError::Unknown(text.to_owned())),
        };
        let schedule = Self {
            text: words.join(" "),
            rule,
        };
        let never = schedule.rule != Rule::Off
            && schedule
                .due_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC)
                .is_none();
        if never {
            Err(ScheduleError::Never(text.to_owned()))
        } else {
            Ok(schedule)
        }
    }

    /// Whether backups are never due by themselves.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.rule == Rule::Off
    }

    /// The first run strictly after `after`, jitter included; `None` if the schedule is off.
    #[must_use]
    pub fn next_after(
        &self,
        after: Timestamp,
        tz: &TimeZone,
        jitter_seed: u64,
    ) -> Option<Timestamp> {
        // A due time before `after` may still have its run ahead.
        let mut due = self.due_after(before(after, JITTER_SECONDS_MAX + 60), tz)?;
        loop {
            let following = self.due_after(due, tz);
            let run = with_jitter(due, following, jitter_seed);
            if run > after {
                return Some(run);
            }
            due = following?;
        }
    }

    /// The newest run in `(handled, now]`, if one is due: it stands for all that were missed meanwhile.
    ///
    /// `handled` is the run that was last started or skipped, or the moment the schedule was set.
    #[must_use]
    pub fn due(
        &self,
        handled: Timestamp,
        now: Timestamp,
        tz: &TimeZone,
        jitter_seed: u64,
    ) -> Option<Timestamp> {
        const HOUR: i64 = 3600;
        // Look back in growing steps, so that a long pause of a frequent schedule is not walked run by run.
        for back in [HOUR, 25 * HOUR, 8 * 24 * HOUR, 64 * 24 * HOUR, i64::MAX] {
            let from = before(now, back).max(handled);
            let runs = std::iter::successors(self.next_after(from, tz, jitter_seed), |run| {
                self.next_after(*run, tz, jitter_seed)
            });
            let newest = runs.take_while(|run| *run <= now).last();
            if newest.is_some() || from == handled {
                return newest;
            }
        }
        None
    }

    /// The first due time strictly after `after`, without jitter.
    fn due_after(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        match &self.rule {
            Rule::Off => None,
            Rule::EverySeconds(step) => {
                let next = after
                    .as_second()
                    .div_euclid(*step)
                    .checked_add(1)?
                    .checked_mul(*step)?;
                Timestamp::from_second(next).ok()
            }
            Rule::EveryDays(days) => civil_after(after, tz, |civil| {
                let date = civil.date().tomorrow().ok()?;
                let into = days_since_1970(date).rem_euclid(*days);
                let ahead = if into == 0 { 0 } else { days - into };
                let date = date.checked_add(Span::new().try_days(ahead).ok()?).ok()?;
                Some(date.to_datetime(Time::midnight()))
            }),
            Rule::Cron(cron) => civil_after(after, tz, |civil| cron.next_after(civil)),
        }
    }
}

fn every(interval: &str, text: &str) -> Result<Rule, ScheduleError> {
    let unknown = || ScheduleError::Unknown(text.to_owned());
    let unit = interval.chars().last().ok_or_else(unknown)?;
    let digits = interval.strip_suffix(unit).ok_or_else(unknown)?;
    let count: u32 = digits.parse().map_err(|_| unknown())?;
    let per_day = match unit {
        'm' => 24 * 60,
        'h' => 24,
        'd' => 1,
        _ => return Err(unknown()),
    };
    if count == 0 || count > EVERY_DAYS_MAX * per_day {
        return Err(ScheduleError::Interval(text.to_owned()));
    }
    Ok(match unit {
        'm' => Rule::EverySeconds(i64::from(count) * 60),
        'h' => Rule::EverySeconds(i64::from(count) * 3600),
        _ => Rule::EveryDays(i64::from(count)),
    })
}

fn cron_rule(fields: &str, text: &str) -> Result<Rule, ScheduleError> {
    fields
        .parse()
        .map(Rule::Cron)
        .map_err(|source| ScheduleError::Cron {
            text: text.to_owned(),
            source,
        })
}

/// The first moment after `after` at which a civil time is due; `next` gives the first civil time strictly after another.
fn civil_after(
    after: Timestamp,
    tz: &TimeZone,
    next: impl Fn(DateTime) -> Option<DateTime>,
) -> Option<Timestamp> {
    // Civil time may run back by hours at a change: begin a day early and drop what is not after.
    let start = tz
        .to_datetime(after)
        .checked_sub(Span::new().days(1))
        .ok()?;
    std::iter::successors(next(start), |civil| next(*civil))
        .map_while(|civil| first_occurrence(civil, tz))
        .find(|moment| *moment > after)
}

/// The moment of a civil time: the earlier of two, or the end of the gap that skips it.
fn first_occurrence(civil: DateTime, tz: &TimeZone) -> Option<Timestamp> {
    use jiff::tz::AmbiguousOffset;
    match tz.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok(),
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok(),
        AmbiguousOffset::Gap { before, after } => gap_end(civil, before, after, tz),
    }
}

/// The transition that makes `civil` not exist.
fn gap_end(civil: DateTime, before: Offset, after: Offset, tz: &TimeZone) -> Option<Timestamp> {
    // Read with the offset of after the change, the time lies before it, at most a gap's length.
    let early = after.to_timestamp(civil).ok()?;
    let transition = tz
        .following(early)
        .next()
        .map(|transition| transition.timestamp());
    let late = before.to_timestamp(civil).ok()?;
    Some(transition.filter(|moment| *moment <= late).unwrap_or(late))
}

fn days_since_1970(date: Date) -> i64 {
    let seconds = Offset::UTC
        .to_timestamp(date.to_datetime(Time::midnight()))
        .map_or(0, Timestamp::as_second);
    seconds.div_euclid(24 * 3600)
}

fn before(moment: Timestamp, seconds: i64) -> Timestamp {
    moment
        .checked_sub(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MIN)
}

/// Adds the domain's share of the jitter that the interval allows, in whole seconds.
fn with_jitter(due: Timestamp, following: Option<Timestamp>, seed: u64) -> Timestamp {
    const SHARES: i64 = 1 << 20;
    let interval = following.map_or(0, |following| following.as_second() - due.as_second());
    let bound = (interval / 10).clamp(0, JITTER_SECONDS_MAX);
    let share = i64::try_from(mix(seed) % (1 << 20)).unwrap_or(0);
    let jitter = SignedDuration::from_secs(bound * share / SHARES);
    due.checked_add(jitter).unwrap_or(due)
}

/// Spreads a seed evenly (SplitMix64's finisher).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
