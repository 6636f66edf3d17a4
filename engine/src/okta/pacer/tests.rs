//! The pacer's buckets and windows.

use super::*;
use crate::okta::testing::{Ears, TestClock};

fn headers(limit: u32, remaining: u32, reset: i64) -> Option<RateHeaders> {
    Some(RateHeaders {
        limit,
        remaining,
        reset,
    })
}

#[test]
fn buckets_are_those_of_oktas_table() {
    let get = |path| bucket(&http::Method::GET, path);
    assert_eq!(
        get("/api/v1/apps?limit=200"),
        get("/api/v1/apps/0oa1/users?limit=500")
    );
    assert_ne!(get("/api/v1/apps"), get("/api/v1/apps/0oa1"));
    assert_eq!(get("/api/v1/groups"), get("/api/v1/groups/00g1/users"));
    assert_ne!(
        get("/api/v1/users/00u1"),
        bucket(&http::Method::POST, "/api/v1/users/00u1")
    );
    assert_eq!(get("/api/v1/zones"), get("/api/v1/meta/types/user"));
    assert_ne!(get("/api/v1/logs"), get("/api/v1/zones"));
    assert_eq!(
        bucket(&http::Method::POST, "/oauth2/v1/token"),
        "/oauth2/v1"
    );
}

#[test]
fn an_org_without_headers_is_not_paced() {
    let (pacer, clock, ears) = (
        Pacer::new(50),
        TestClock::at("2026-05-01T12:00:00Z"),
        Ears::default(),
    );
    let start = clock.now();
    for _ in 0..1000 {
        pacer.enter("b", clock.as_ref(), &ears).unwrap();
        pacer.leave("b", clock.now(), None, None);
    }
    assert_eq!(clock.now(), start);
}

#[test]
fn no_window_sees_more_than_the_share() {
    for (limit, share) in [(10, 50), (600, 50), (20, 10), (7, 100), (1, 1)] {
        let (pacer, clock, ears) = (
            Pacer::new(share),
            TestClock::at("2026-05-01T12:00:00Z"),
            Ears::default(),
        );
        let allowed = (limit * u32::from(share) / 100).max(1);
        let (mut window_ends, mut used) = (0, 0);
        for _ in 0..allowed * 3 + 1 {
            pacer.enter("b", clock.as_ref(), &ears).unwrap();
            let now = clock.now();
            // The server's window begins with the first request and lasts a minute.
            if now.as_second() >= window_ends {
                window_ends = now.as_second() + 60;
                used = 0;
            }
            used += 1;
            assert!(used <= allowed, "{used} of {limit} at {share} %");
            pacer.leave(
                "b",
                now,
                headers(limit, limit - used, window_ends),
                Some(now),
            );
        }
    }
}

#[test]
fn others_are_left_the_last_tenth() {
    let (pacer, clock, ears) = (
        Pacer::new(50),
        TestClock::at("2026-05-01T12:00:00Z"),
        Ears::default(),
    );
    let start = clock.now();
    pacer.enter("b", clock.as_ref(), &ears).unwrap();
    // Somebody else has used up nearly all of it.
    pacer.leave(
        "b",
        start,
        headers(100, 5, start.as_second() + 30),
        Some(start),
    );
    pacer.enter("b", clock.as_ref(), &ears).unwrap();
    assert!(clock.now().duration_since(start).as_secs() >= 31);
}

#[test]
fn the_first_request_of_a_bucket_goes_alone() {
    let mut bucket = Bucket::default();
    let now = "2026-05-01T12:00:00Z".parse().unwrap();
    assert_eq!(bucket.decide(now, 50), Decision::Go);
    bucket.enter();
    assert_eq!(bucket.decide(now, 50), Decision::Learn);
    bucket.in_flight -= 1;
    bucket.learn(now, headers(4, 3, now.as_second() + 60), Some(now));
    assert_eq!(bucket.decide(now, 50), Decision::Go);
}
