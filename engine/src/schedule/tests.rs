//! The scheduler against a slow, obvious model, and its promises across daylight-saving changes.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// Due times without jitter.
fn dues(schedule: &str, from: &str, tz: &TimeZone, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule).unwrap();
    std::iter::successors(schedule.due_after(at(from), tz), |due| {
        schedule.due_after(*due, tz)
    })
    .take(count)
    .map(|due| due.to_string())
    .collect()
}

#[test]
fn the_named_schedules_are_due_on_the_hour_at_midnight_and_on_sundays() {
    let utc = TimeZone::UTC;
    assert_eq!(
        dues("@hourly", "2026-03-01T10:15:00Z", &utc, 1),
        ["2026-03-01T11:00:00Z"]
    );
    assert_eq!(
        dues("@daily", "2026-03-01T00:00:00Z", &utc, 1),
        ["2026-03-02T00:00:00Z"]
    );
    assert_eq!(
        dues("@weekly", "2026-03-01T00:00:00Z", &utc, 1),
        ["2026-03-08T00:00:00Z"]
    );
    assert_eq!(
        dues("every 15m", "2026-03-01T00:00:00Z", &utc, 1),
        ["2026-03-01T00:15:00Z"]
    );
    assert_eq!(
        dues("every 1d", "2026-03-01T12:00:00Z", &zone("Asia/Tokyo"), 1),
        ["2026-03-01T15:00:00Z"]
    );
    assert_eq!(
        dues("off", "2026-03-01T00:00:00Z", &utc, 1),
        Vec::<String>::new()
    );
    assert!(Schedule::parse("off").unwrap().is_off());
}

#[test]
fn a_time_in_the_gap_is_due_once_at_its_end() {
    // Clocks go from 02:00 to 03:00 on 29 March 2026 in Vienna.
    let vienna = zone("Europe/Vienna");
    let wanted = [
        "2026-03-28T01:30:00Z",
        "2026-03-29T01:00:00Z",
        "2026-03-30T00:30:00Z",
    ];
    assert_eq!(
        dues("30 2 * * *", "2026-03-28T00:00:00Z", &vienna, 3),
        wanted
    );
    let quarter = dues("*/15 2 * * *", "2026-03-28T22:00:00Z", &vienna, 2);
    assert_eq!(quarter, ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
}

#[test]
fn a_time_in_the_overlap_is_due_once() {
    // 02:00–03:00 occurs twice on 25 October 2026 in Vienna.
    let vienna = zone("Europe/Vienna");
    let wanted = [
        "2026-10-24T00:30:00Z",
        "2026-10-25T00:30:00Z",
        "2026-10-26T01:30:00Z",
    ];
    assert_eq!(
        dues("30 2 * * *", "2026-10-24T00:00:00Z", &vienna, 3),
        wanted
    );
}

#[test]
fn both_day_fields_restricted_means_either() {
    // The 13th, and Fridays.
    let wanted = [
        "2026-02-13T00:00:00Z",
        "2026-02-20T00:00:00Z",
        "2026-02-27T00:00:00Z",
    ];
    assert_eq!(
        dues("0 0 13 * fri", "2026-02-07T00:00:00Z", &TimeZone::UTC, 3),
        wanted
    );
    assert_eq!(
        dues("0 0 29 2 *", "2096-03-01T00:00:00Z", &TimeZone::UTC, 1),
        ["2104-02-29T00:00:00Z"]
    );
}

#[test]
fn what_is_no_schedule_is_refused_with_the_part_that_is_wrong() {
    for bad in [
        "",
        "daily",
        "@yearly",
        "every",
        "every 0m",
        "every 5",
        "every 5s",
        "every -5m",
        "every 9999d",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-1 * * * *",
        "a * * * *",
        "1, * * * *",
        "jan * * * *",
        "* * * * * *",
        "@yearly * * * *",
        "L * * * *",
        "0 0 31 2 *",
        "+1 * * * *",
    ] {
        assert!(Schedule::parse(bad).is_err(), "{bad:?}");
    }
    let error = Schedule::parse("0 25 * * *").unwrap_err().to_string();
    assert!(error.contains("hour field `25`"), "{error}");
    assert!(time_zone("Mars/Olympus").is_err());
    assert!(time_zone("UTC").is_ok());
}

#[test]
fn missed_runs_are_caught_up_once_by_the_newest() {
    let schedule = Schedule::parse("every 15m").unwrap();
    let utc = TimeZone::UTC;
    let handled = at("2026-01-01T00:20:00Z");
    let due = |now: &str| schedule.due(handled, at(now), &utc, 0);
    assert_eq!(due("2026-01-01T00:29:59Z"), None);
    assert!(due("2026-01-01T00:32:00Z").is_some());
    let long_after = due("2026-06-01T12:07:00Z").unwrap();
    assert!(long_after >= at("2026-06-01T12:00:00Z") && long_after <= at("2026-06-01T12:01:30Z"));
    let yearly = Schedule::parse("0 0 1 1 *").unwrap();
    let newest = yearly
        .due(
            at("2020-06-01T00:00:00Z"),
            at("2026-11-01T00:00:00Z"),
            &utc,
            0,
        )
        .unwrap();
    assert!(newest.to_string().starts_with("2026-01-01T00:"));
}

#[test]
fn jitter_is_bounded_deterministic_and_spread() {
    let tz = TimeZone::UTC;
    let schedule = Schedule::parse("@daily").unwrap();
    let start = at("2026-01-01T12:00:00Z");
    let due = at("2026-01-02T00:00:00Z");
    let mut shares = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let run = schedule.next_after(start, &tz, seed).unwrap();
        assert_eq!(schedule.next_after(start, &tz, seed), Some(run));
        let late = run.as_second() - due.as_second();
        assert!((0..=JITTER_SECONDS_MAX).contains(&late), "{late}");
        shares.insert(late);
    }
    assert!(shares.len() > 50);
}

/// The model: walks minute by minute over elapsed time, and remembers which civil minutes it has served.
fn model_dues(cron: &Cron, from: Timestamp, hours: i64, tz: &TimeZone) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let start = before(from, 3 * 3600);
    let mut served = tz.to_datetime(before(start, 60));
    for minute in 0..(hours + 3) * 60 {
        let moment = start
            .checked_add(SignedDuration::from_mins(minute))
            .unwrap();
        let civil = tz.to_datetime(moment);
        // Every civil minute that has come since the last, skipped ones included; none twice.
        let mut due = false;
        while served < civil {
            served = served.checked_add(SignedDuration::from_mins(1)).unwrap();
            let before = served.checked_sub(SignedDuration::from_mins(1)).unwrap();
            due |= cron.next_after(before) == Some(served);
        }
        if due && moment > from {
            found.push(moment);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn due_times_agree_with_the_model_across_clock_changes(
        zone_index in 0usize..6,
        day in 0i64..730,
        minute in prop_oneof![Just("*/7".to_owned()), (0u8..60).prop_map(|m| m.to_string()), Just("0,30".to_owned())],
        hour in prop_oneof![Just("*".to_owned()), (0u8..24).prop_map(|h| h.to_string()), Just("1-3".to_owned())],
        days in prop_oneof![Just("* * *"), Just("* * 0"), Just("29 * *"), Just("1-7 * 0")],
    ) {
        let names = ["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "UTC"];
        let tz = time_zone(names[zone_index]).unwrap();
        // Half of the cases start at a clock change.
        let base = at("2025-01-01T00:00:00Z").checked_add(SignedDuration::from_hours(day * 24)).unwrap();
        let change = tz.following(base).take(1).map(|t| t.timestamp()).find(|t| t.as_second() % 60 == 0).unwrap_or(base);
        let from = if day % 2 == 0 { before(change, 6 * 3600) } else { base };
        let text = format!("{minute} {hour} {days}");
        let schedule = Schedule::parse(&text).unwrap();
        let Rule::Cron(cron) = &schedule.rule else { unreachable!() };
        let model = model_dues(cron, from, 72, &tz);
        let ours: Vec<Timestamp> = std::iter::successors(schedule.due_after(from, &tz), |due| schedule.due_after(*due, &tz))
            .take_while(|due| due.as_second() < from.as_second() + 72 * 3600)
            .collect();
        let model: Vec<Timestamp> = model.into_iter().filter(|m| m.as_second() < from.as_second() + 72 * 3600).collect();
        let first = ours.iter().zip(&model).find(|(ours, model)| ours != model);
        prop_assert!(ours == model, "{text} in {}: {} and {} dues, first {first:?}", names[zone_index], ours.len(), model.len());
        // With jitter: every due time has exactly one run, not before it and before the next due time.
        let seed = u64::from(u32::try_from(day).unwrap());
        let mut last = from;
        for pair in ours.windows(2) {
            let run = schedule.next_after(before(pair[0], 1).max(last), &tz, seed).unwrap();
            if run < pair[0] { last = run; continue; }
            prop_assert!(run >= pair[0] && run < pair[1]);
            last = run;
        }
    }
}
