//! Five-field cron expressions: minute, hour, day of month, month, day of week.
//!
//! Each field is `*`, a number, a name (`JAN`, `MON`), a range `a-b`, a step `*/n` or `a-b/n`, or a list of
//! these. Sunday is 0 and 7. Where both day fields are restricted (neither begins with `*`), either suffices.

use std::str::FromStr;

use jiff::civil::{Date, Time, time};

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    /// One bit per allowed value, from bit 0.
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether a day matches when either of the two day fields does.
    either_day: bool,
}

/// Why an expression is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// There are not five fields.
    #[error("a cron expression has five fields: minute hour day month weekday")]
    Fields,
    /// One field is not understood.
    #[error(
        "the {field} field `{text}` is not understood (allowed: {low}-{high}, `*`, lists, ranges and steps)"
    )]
    Field {
        /// Which field.
        field: &'static str,
        /// Its text.
        text: String,
        /// The smallest value.
        low: u32,
        /// The largest value.
        high: u32,
    },
}

struct Field {
    name: &'static str,
    low: u32,
    high: u32,
    names: &'static [&'static str],
    /// The value of the first name.
    names_from: u32,
}

const MINUTE: Field = Field {
    name: "minute",
    low: 0,
    high: 59,
    names: &[],
    names_from: 0,
};
const HOUR: Field = Field {
    name: "hour",
    low: 0,
    high: 23,
    names: &[],
    names_from: 0,
};
const DAY: Field = Field {
    name: "day",
    low: 1,
    high: 31,
    names: &[],
    names_from: 0,
};
const MONTH: Field = Field {
    name: "month",
    low: 1,
    high: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
    names_from: 1,
};
const WEEKDAY: Field = Field {
    name: "weekday",
    low: 0,
    high: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    names_from: 0,
};

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = fields.as_slice() else {
            return Err(CronError::Fields);
        };
        let sundays = WEEKDAY.parse(weekdays)?;
        Ok(Self {
            minutes: MINUTE.parse(minutes)?,
            hours: HOUR.parse(hours)?,
            days: DAY.parse(days)?,
            months: MONTH.parse(months)?,
            weekdays: sundays | (sundays >> 7 & 1),
            either_day: !days.starts_with('*') && !weekdays.starts_with('*'),
        })
    }
}

impl Field {
    /// The allowed values as bits.
    fn parse(&self, text: &str) -> Result<u64, CronError> {
        let refused = || CronError::Field {
            field: self.name,
            text: text.to_owned(),
            low: self.low,
            high: self.high,
        };
        let mut bits = 0;
        for part in text.split(',') {
            let (range, step) = match part.split_once('/') {
                Some((range, step)) => (range, step.parse::<u32>().ok().filter(|step| *step > 0)),
                None => (part, Some(1)),
            };
            let step = step.ok_or_else(refused)?;
            let (low, high) = if range == "*" {
                (self.low, self.high)
            } else if let Some((low, high)) = range.split_once('-') {
                (
                    self.value(low).ok_or_else(refused)?,
                    self.value(high).ok_or_else(refused)?,
                )
            } else if part.contains('/') {
                (self.value(range).ok_or_else(refused)?, self.high)
            } else {
                let one = self.value(range).ok_or_else(refused)?;
                (one, one)
            };
            if low > high {
                return Err(refused());
            }
            let mut value = low;
            while value <= high {
                bits |= 1 << value;
                value = value.saturating_add(step);
            }
        }
        Ok(bits)
    }

    fn value(&self, text: &str) -> Option<u32> {
        let named = (self.names_from..)
            .zip(self.names)
            .find(|(_, name)| name.eq_ignore_ascii_case(text))
            .map(|(value, _)| value);
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        named
            .or(number)
            .filter(|value| (self.low..=self.high).contains(value))
    }
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits.checked_shr(value).unwrap_or(0) & 1 == 1)
}

impl Cron {
    /// Whether `date` is one of its days.
    pub(super) fn matches_day(&self, date: Date) -> bool {
        let day = has(self.days, date.day());
        let weekday = has(self.weekdays, date.weekday().to_sunday_zero_offset());
        let either = if self.either_day {
            day || weekday
        } else {
            day && weekday
        };
        has(self.months, date.month()) && either
    }

    /// The first matching minute of `date`, or the first strictly after `from`.
    pub(super) fn next_in_day(&self, date: Date, from: Option<Time>) -> Option<Time> {
        if !self.matches_day(date) {
            return None;
        }
        let first = from.map_or(0, |time| {
            i16::from(time.hour()) * 60 + i16::from(time.minute()) + 1
        });
        (first..24 * 60)
            .filter_map(|minute| {
                Some((
                    i8::try_from(minute / 60).ok()?,
                    i8::try_from(minute % 60).ok()?,
                ))
            })
            .find(|(hour, minute)| has(self.hours, *hour) && has(self.minutes, *minute))
            .map(|(hour, minute)| time(hour, minute, 0, 0))
    }
}
