use std::time::Duration;

use okta_sim::OktaSim;
use serde_json::json;

use crate::common::{call, get};

fn types(page: &serde_json::Value) -> Vec<String> {
    let events = page.as_array().unwrap();
    events
        .iter()
        .map(|event| event["eventType"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn polling_shows_events_after_their_delay_and_never_ends() {
    let sim = OktaSim::builder()
        .users(60)
        .log_delay(Duration::from_secs(5))
        .frozen_at(1_800_000_000_000)
        .start()
        .unwrap();
    let poll = get(
        &sim,
        "/api/v1/logs?since=2027-01-15T07:00:00.000Z&sortOrder=ASCENDING&limit=1000",
    );
    assert!(types(&poll.body).is_empty());
    let next = poll.next().unwrap();
    call(
        &sim,
        "POST",
        "/api/v1/groups",
        Some(&json!({"profile": {"name": "Chosen"}})),
    );
    assert!(
        types(&get(&sim, &next).body).is_empty(),
        "not yet delivered"
    );
    sim.advance(Duration::from_secs(5));
    let page = get(&sim, &next);
    assert_eq!(types(&page.body), ["group.lifecycle.create"]);
    assert_eq!(page.body[0]["target"][0]["type"], "UserGroup");
    assert!(types(&get(&sim, &page.next().unwrap()).body).is_empty());
    let bounded = get(
        &sim,
        "/api/v1/logs?since=2027-01-15T07:00:00.000Z&until=2027-01-15T09:00:00.000Z",
    );
    assert_eq!((types(&bounded.body).len(), bounded.next()), (1, None));
    let filtered = get(
        &sim,
        "/api/v1/logs?since=2027-01-15T07:00:00.000Z&filter=eventType%20eq%20%22user.lifecycle.create%22",
    );
    assert!(types(&filtered.body).is_empty());
    let refused = get(
        &sim,
        "/api/v1/logs?filter=published%20gt%20%222020-01-01T00:00:00Z%22",
    );
    assert_eq!(refused.code(), "E0000053");
}

#[test]
fn every_kind_of_change_is_told() {
    let sim = OktaSim::with_users(60);
    let user = sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap()
        .0;
    let app = sim
        .dump("app")
        .into_iter()
        .find(|(_, app)| app["name"] == "oidc_client" && app["status"] == "ACTIVE")
        .unwrap()
        .0;
    let group = call(
        &sim,
        "POST",
        "/api/v1/groups",
        Some(&json!({"profile": {"name": "Chosen"}})),
    )
    .body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    call(
        &sim,
        "PUT",
        &format!("/api/v1/apps/{app}/groups/{group}"),
        Some(&json!({})),
    );
    call(
        &sim,
        "PUT",
        &format!("/api/v1/groups/{group}/users/{user}"),
        None,
    );
    call(
        &sim,
        "POST",
        &format!("/api/v1/users/{user}"),
        Some(&json!({"profile": {"title": "x"}})),
    );
    call(
        &sim,
        "POST",
        "/api/v1/zones",
        Some(
            &json!({"type": "IP", "name": "Office", "status": "ACTIVE", "gateways": [{"type": "CIDR", "value": "192.0.2.0/24"}]}),
        ),
    );
    assert!(sim.admin().delete_group(&group).is_success());
    assert!(sim.admin().delete_user(&user).is_success());
    assert!(sim.admin().delete_app(&app).is_success());
    let events = sim.events();
    for wanted in [
        "group.lifecycle.create",
        "group.application_assignment.add",
        "group.user_membership.add",
        "user.account.update_profile",
        "zone.create",
        "group.application_assignment.remove",
        "group.lifecycle.delete",
        "user.lifecycle.deactivate",
        "user.lifecycle.delete.completed",
        "application.lifecycle.deactivate",
        "application.lifecycle.delete",
        "app.oauth2.client.lifecycle.delete",
    ] {
        assert!(
            events.contains_key(wanted),
            "{wanted} is not among {events:?}"
        );
    }
    let log = get(&sim, "/api/v1/logs?limit=1000").body;
    let actors: Vec<&str> = log
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["actor"]["id"].as_str())
        .collect();
    assert!(!actors.is_empty());
}

#[test]
fn search_sees_a_change_after_its_delay() {
    let sim = OktaSim::builder()
        .users(60)
        .search_delay(Duration::from_secs(2))
        .frozen_at(1_800_000_000_000)
        .start()
        .unwrap();
    let user = sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap()
        .0;
    call(
        &sim,
        "POST",
        &format!("/api/v1/users/{user}"),
        Some(&json!({"profile": {"title": "Gardener"}})),
    );
    let found = || {
        get(
            &sim,
            "/api/v1/users?search=profile.title%20eq%20%22Gardener%22",
        )
        .ids()
    };
    assert!(found().is_empty());
    sim.advance(Duration::from_secs(2));
    assert_eq!(found(), [user]);
}
