//! Five-field cron expressions: minute, hour, day of month, month, day of week.
//!
//! Read and matched by croner: `*`, numbers, names (`JAN`, `MON`), ranges `a-b`, steps `*/n` or `a-b/n`, and lists of
//! these; also its `L` (last), `W` (nearest weekday) and `#` (nth weekday). Sunday is 0 and 7. Where both day fields
//! are restricted (neither is `*`), either suffices. Only civil times are asked of it: what a clock change does to one
//! is decided by the schedule, in one way for every form.

use std::str::FromStr;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron(Box<croner::Cron>);

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

/// The fields in their order: name, smallest and largest value.
const FIELDS: [(&str, u32, u32); 5] = [
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
];

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(CronError::Fields);
        }
        // Each field by itself first: the parser's own errors do not say which one is wrong.
        for (place, (text, (field, low, high))) in fields.iter().zip(FIELDS).enumerate() {
            let alone = (0..FIELDS.len()).map(|other| if other == place { *text } else { "*" });
            let alone: Vec<&str> = alone.collect();
            if is_loose(place, text) || parse(&alone).is_none() {
                return Err(CronError::Field {
                    field,
                    text: (*text).to_owned(),
                    low,
                    high,
                });
            }
        }
        parse(&fields)
            .map(|cron| Self(Box::new(cron)))
            .ok_or(CronError::Fields)
    }
}

/// What the parser lets pass and nobody means: empty places in a list, names where there are none.
fn is_loose(place: usize, text: &str) -> bool {
    let takes_letters = place > 1;
    text.split(',').any(str::is_empty) || (!takes_letters && text.contains(char::is_alphabetic))
}

fn parse(fields: &[&str]) -> Option<croner::Cron> {
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    parser.parse(&fields.join(" ")).ok()
}

impl Cron {
    /// The first civil minute that matches, strictly after `civil`; `None` if none ever comes.
    pub(super) fn next_after(&self, civil: DateTime) -> Option<DateTime> {
        // UTC has no clock changes: every civil time stands for itself.
        let start = civil.to_zoned(TimeZone::UTC).ok()?;
        let next = self.0.find_next_occurrence(&start, false).ok()?;
        Some(next.datetime())
    }
}
