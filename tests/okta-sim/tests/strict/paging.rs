use std::collections::BTreeSet;

use okta_sim::OktaSim;
use serde_json::Value;

use crate::common::{get, list_all};

#[test]
fn the_plain_user_list_leaves_deprovisioned_users_out_and_the_filter_finds_them() {
    let sim = OktaSim::with_users(250);
    let plain = list_all(&sim, "/api/v1/users?limit=200");
    let gone = list_all(
        &sim,
        "/api/v1/users?filter=status%20eq%20%22DEPROVISIONED%22",
    );
    let all: BTreeSet<String> = plain.iter().chain(&gone).cloned().collect();
    assert!(!gone.is_empty());
    assert_eq!(plain.len() + gone.len(), all.len());
    assert_eq!(all, sim.ids("user").into_iter().collect());
    let statuses: BTreeSet<String> = sim
        .dump("user")
        .values()
        .map(|user| user["status"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(statuses.len(), 8, "{statuses:?}");
}

#[test]
fn limits_out_of_bounds_and_strange_cursors_are_refused() {
    let sim = OktaSim::with_users(250);
    for path in [
        "users?limit=201",
        "users?limit=x",
        "apps?limit=201",
        "groups/rules?limit=0",
    ] {
        let answer = get(&sim, &format!("/api/v1/{path}"));
        assert_eq!((answer.status, answer.code()), (400, "E0000001"), "{path}");
    }
    let next = get(&sim, "/api/v1/users?limit=100").next().unwrap();
    let cursor = next
        .split("after=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let elsewhere = get(&sim, &format!("/api/v1/groups?after={cursor}"));
    assert_eq!((elsewhere.status, elsewhere.code()), (400, "E0000031"));
    let apps = get(&sim, "/api/v1/apps?after=0oa1");
    assert_eq!((apps.status, apps.code()), (400, "E0000029"));
    let app = sim.ids("app").remove(0);
    let small = get(&sim, &format!("/api/v1/apps/{app}/groups?limit=19"));
    assert_eq!((small.status, small.code()), (400, "E0000001"));
}

#[test]
fn links_of_mappings_lose_their_filters_and_a_full_last_page_is_followed_by_an_empty_one() {
    let sim = OktaSim::with_users(250);
    let all = list_all(&sim, "/api/v1/mappings?limit=200");
    let source = get(&sim, &format!("/api/v1/mappings/{}", all[0])).body["source"]["id"].clone();
    let source = source.as_str().unwrap();
    let page = get(&sim, &format!("/api/v1/mappings?limit=1&sourceId={source}"));
    assert!(!page.next().unwrap().contains("sourceId"));
    assert!(page.body[0].get("properties").is_none());
    let last = get(
        &sim,
        &format!("/api/v1/mappings?limit={}", all.len().min(200)),
    );
    let after = get(&sim, &last.next().unwrap());
    assert_eq!(after.body, Value::Array(Vec::new()));
}

#[test]
fn the_same_users_and_seed_make_the_same_org_and_two_users_suffice() {
    let strip = |sim: &OktaSim, kind: &str| {
        let text = serde_json::to_string(&sim.dump(kind)).unwrap();
        text.replace(sim.url(), "")
    };
    let (one, two) = (OktaSim::with_users(60), OktaSim::with_users(60));
    let other = OktaSim::builder().users(60).seed(2).start().unwrap();
    for kind in [
        "user",
        "group",
        "app",
        "app_user",
        "group_rule",
        "profile_mapping",
        "policy_access",
    ] {
        assert!(!one.ids(kind).is_empty(), "{kind}");
        assert_eq!(strip(&one, kind), strip(&two, kind), "{kind}");
        assert_ne!(strip(&one, kind), strip(&other, kind), "{kind}");
    }
    let least = OktaSim::with_users(2);
    assert_eq!(list_all(&least, "/api/v1/users").len(), 2);
    assert!(!least.ids("app").is_empty() && !least.ids("group_rule").is_empty());
}

#[test]
fn lists_show_the_same_objects_as_single_reads() {
    let sim = OktaSim::with_users(60);
    for (kind, path) in [
        ("group", "groups"),
        ("app", "apps"),
        ("group_rule", "groups/rules"),
    ] {
        for (id, object) in sim.dump(kind).iter().take(5) {
            assert_eq!(
                &get(&sim, &format!("/api/v1/{path}/{id}")).body,
                object,
                "{kind}"
            );
        }
    }
    let member = sim.ids("app_user").remove(0);
    let (app, user) = member.split_once('/').unwrap();
    let single = get(&sim, &format!("/api/v1/apps/{app}/users/{user}")).body;
    assert_eq!(single, sim.dump("app_user")[&member]);
    let listed = get(&sim, &format!("/api/v1/apps/{app}/users?limit=500")).body;
    assert!(listed.as_array().unwrap().contains(&single));
}

#[test]
fn search_and_filter_read_what_they_may() {
    let sim = OktaSim::with_users(250);
    let found = list_all(
        &sim,
        "/api/v1/users?search=profile.department%20eq%20%22Sales%22%20and%20status%20eq%20%22ACTIVE%22",
    );
    let users = sim.dump("user");
    let expected = users
        .values()
        .filter(|user| user["profile"]["department"] == "Sales" && user["status"] == "ACTIVE")
        .count();
    assert!(expected > 0);
    assert_eq!(found.len(), expected);
    for (query, code) in [
        ("filter=profile.department%20eq%20%22Sales%22", "E0000053"),
        ("filter=status%20gt%20%22A%22", "E0000053"),
        ("search=status%20ne%20%22A%22", "E0000031"),
        (
            "search=status%20pr&filter=status%20eq%20%22ACTIVE%22",
            "E0000033",
        ),
    ] {
        let answer = get(&sim, &format!("/api/v1/users?{query}"));
        assert_eq!((answer.status, answer.code()), (400, code), "{query}");
    }
}
