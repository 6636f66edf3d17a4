//! Timestamps of the form that Okta writes, as milliseconds since 1970, without loss.

/// Reads `"2026-01-31T23:59:59.000Z"`, quotes included; any other form is `None`.
pub(super) fn parse_quoted(raw: &[u8]) -> Option<i64> {
    let raw: &[u8; 26] = raw.try_into().ok()?;
    let [
        b'"',
        y0,
        y1,
        y2,
        y3,
        b'-',
        mo0,
        mo1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        mi0,
        mi1,
        b':',
        s0,
        s1,
        b'.',
        f0,
        f1,
        f2,
        b'Z',
        b'"',
    ] = raw
    else {
        return None;
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let month = number(&[*mo0, *mo1])?;
    let day = number(&[*d0, *d1])?;
    let (hour, minute, second) = (
        number(&[*h0, *h1])?,
        number(&[*mi0, *mi1])?,
        number(&[*s0, *s1])?,
    );
    let millis = number(&[*f0, *f1, *f2])?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let days = days_from_civil(year, month, day);
    valid.then(|| (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millis)
}

/// The bytes that [`write`] writes: years have four digits.
pub(super) const LENGTH: usize = 24;

/// Writes what [`parse_quoted`] read, without quotes.
pub(super) fn write(out: &mut Vec<u8>, moment: i64) {
    let (year, month, day) = civil_from_days(moment.div_euclid(86_400_000));
    let rest = moment.rem_euclid(86_400_000);
    let [y0, y1] = digits(year / 100);
    let [y2, y3] = digits(year);
    let [mo0, mo1] = digits(month);
    let [d0, d1] = digits(day);
    let [h0, h1] = digits(rest / 3_600_000);
    let [mi0, mi1] = digits(rest / 60_000 % 60);
    let [s0, s1] = digits(rest / 1000 % 60);
    let [f0, f1] = digits(rest % 1000 / 10);
    let [_, f2] = digits(rest % 10);
    let text: [u8; LENGTH] = [
        y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', h0, h1, b':', mi0, mi1, b':', s0, s1,
        b'.', f0, f1, f2, b'Z',
    ];
    out.extend_from_slice(&text);
}

/// The last two digits of a number that is not negative.
fn digits(value: i64) -> [u8; 2] {
    let value = u8::try_from(value % 100).unwrap_or_default();
    [b'0' + value / 10, b'0' + value % 10]
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + i64::from(digit - b'0'))
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970 of a date of the Gregorian calendar. Years begin in March here, so that leap days end them.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_moment_comes_back_as_it_was_written(moment in -62_135_596_800_000i64..253_402_300_800_000) {
            let mut text = vec![b'"'];
            write(&mut text, moment);
            text.push(b'"');
            prop_assert_eq!(parse_quoted(&text), Some(moment));
            let known = jiff::Timestamp::from_millisecond(moment).map(crate::clock::to_text).unwrap_or_default();
            prop_assert_eq!(String::from_utf8_lossy(&text), format!("\"{known}\""));
        }
    }

    #[test]
    fn what_is_no_such_moment_stays_text() {
        for text in [
            "\"2026-02-30T00:00:00.000Z\"",
            "\"2026-13-01T00:00:00.000Z\"",
            "\"2026-01-01T24:00:00.000Z\"",
            "\"2026-01-01T00:00:60.000Z\"",
            "\"2026-01-01T00:00:00Z\"",
            "\"2026-01-01 00:00:00.000Z\"",
            "null",
            "\"\"",
            "\"2026-00-10T00:00:00.000Z\"",
            "\"2026-01-00T00:00:00.000Z\"",
        ] {
            assert_eq!(parse_quoted(text.as_bytes()), None, "{text}");
        }
        assert!(parse_quoted(b"\"2024-02-29T12:00:00.001Z\"").is_some());
    }
}
