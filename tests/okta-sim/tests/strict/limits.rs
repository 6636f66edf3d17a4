use std::time::Duration;

use okta_sim::{OktaSim, RateLimits};

use crate::common::{ask_token, get, send};

#[test]
fn a_token_sees_half_of_the_bucket_and_is_stopped_at_its_end() {
    let sim = OktaSim::builder()
        .users(20)
        .rate_limits(RateLimits::Published)
        .frozen_at(1_800_000_000_500)
        .start()
        .unwrap();
    let app = sim.ids("app").remove(0);
    for left in (0..50).rev() {
        let path = if left % 2 == 0 {
            "/api/v1/apps?limit=1".to_owned()
        } else {
            format!("/api/v1/apps/{app}/users")
        };
        let answer = get(&sim, &path);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-rate-limit-limit"], "50");
        assert_eq!(answer.headers["x-rate-limit-remaining"], left.to_string());
        assert_eq!(answer.headers["x-rate-limit-reset"], "1800000061");
    }
    let stopped = get(&sim, "/api/v1/apps");
    assert_eq!((stopped.status, stopped.code()), (429, "E0000047"));
    assert!(!stopped.headers.contains_key("retry-after"));
    assert_eq!(
        get(&sim, &format!("/api/v1/apps/{app}")).status,
        200,
        "a bucket of its own"
    );
    let token = ask_token(&sim, sim.client_secret(), "okta.apps.read");
    let bearer = format!("Bearer {}", token.body["access_token"].as_str().unwrap());
    assert_eq!(
        send(&sim, &bearer, "GET", "/api/v1/apps", None)
            .unwrap()
            .status,
        200,
        "another token"
    );
    sim.advance(Duration::from_secs(60));
    assert_eq!(get(&sim, "/api/v1/apps").status, 200);
}

#[test]
fn without_limits_there_are_no_headers() {
    let sim = OktaSim::with_users(20);
    assert!(
        !get(&sim, "/api/v1/users")
            .headers
            .contains_key("x-rate-limit-limit")
    );
}

#[test]
fn the_concurrency_limit_answers_with_zeros() {
    let sim = OktaSim::builder()
        .users(20)
        .concurrent_max(0)
        .start()
        .unwrap();
    let answer = get(&sim, "/api/v1/users");
    assert_eq!(
        (answer.status, answer.headers["x-rate-limit-limit"].as_str()),
        (429, "0")
    );
}
