//! The org's clock, and how Okta writes times.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

/// The org's clock: the machine's, moved by what tests add; or standing still until moved.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrgClock {
    frozen_at: Option<i64>,
    ahead: i64,
}

impl OrgClock {
    /// A clock that stands at `ms` until it is moved.
    pub(crate) fn frozen(ms: i64) -> Self {
        Self {
            frozen_at: Some(ms),
            ahead: 0,
        }
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.frozen_at.unwrap_or_else(machine_now) + self.ahead
    }

    /// Now, at the whole second, as objects carry it.
    pub(crate) fn second(&self) -> i64 {
        self.now().div_euclid(1000) * 1000
    }

    /// Moves the clock forward (or back).
    pub(crate) fn advance(&mut self, ms: i64) {
        self.ahead += ms;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one owner of time in the simulator"
)]
fn machine_now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Appends `2013-06-24T16:39:19.000Z`.
pub(crate) fn push_time(out: &mut String, ms: i64) {
    let days = ms.div_euclid(86_400_000);
    let rest = ms.rem_euclid(86_400_000);
    let (year, month, day) = civil(days);
    push_padded(out, year, 4);
    out.push('-');
    push_padded(out, month, 2);
    out.push('-');
    push_padded(out, day, 2);
    out.push('T');
    push_padded(out, rest / 3_600_000, 2);
    out.push(':');
    push_padded(out, rest / 60_000 % 60, 2);
    out.push(':');
    push_padded(out, rest / 1000 % 60, 2);
    out.push('.');
    push_padded(out, rest % 1000, 3);
    out.push('Z');
}

/// `2013-06-24T16:39:19.000Z`.
pub(crate) fn time_text(ms: i64) -> String {
    let mut out = String::with_capacity(24);
    push_time(&mut out, ms);
    out
}

/// Reads an RFC 3339 time.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    text.parse::<Timestamp>()
        .ok()
        .map(|time| time.as_millisecond())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, for the `Date` header.
pub(crate) fn http_date(ms: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let days = ms.div_euclid(86_400_000);
    let rest = ms.rem_euclid(86_400_000);
    let (year, month, day) = civil(days);
    let weekday = usize::try_from(days.rem_euclid(7))
        .ok()
        .and_then(|n| DAYS.get(n))
        .unwrap_or(&"");
    let name = usize::try_from(month - 1)
        .ok()
        .and_then(|n| MONTHS.get(n))
        .unwrap_or(&"");
    format!(
        "{weekday}, {day:02} {name} {year:04} {:02}:{:02}:{:02} GMT",
        rest / 3_600_000,
        rest / 60_000 % 60,
        rest / 1000 % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

/// Appends a non-negative number with leading zeros.
pub(crate) fn push_padded(out: &mut String, value: i64, width: u32) {
    let mut unit = 10_i64.pow(width.saturating_sub(1));
    while unit > 0 {
        let digit = u32::try_from(value / unit % 10).unwrap_or(0);
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::{http_date, parse_time, time_text};

    #[test]
    fn times_are_written_as_okta_writes_them() {
        for text in [
            "1970-01-01T00:00:00.000Z",
            "2024-02-29T23:59:59.999Z",
            "2026-11-21T04:05:06.070Z",
        ] {
            assert_eq!(parse_time(text).map(time_text).as_deref(), Some(text));
        }
        assert_eq!(http_date(784_111_777_000), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
