//! Lists and their pages.

use std::collections::BTreeSet;

use http::Method;
use serde_json::json;

use super::{Sim, id};
use crate::config::table::Kind;

#[test]
fn behaviors_page_at_ten_by_name() {
    let mut sim = Sim::new();
    let reply = sim.call(Method::GET, "/api/v1/behaviors", None).unwrap();
    let page = reply.body.unwrap();
    let last = page.as_array().unwrap().last().unwrap()["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let next = reply.page.unwrap().next.unwrap();
    assert!(next.contains("limit=10"), "{next}");
    let decoded = percent_encoding::percent_decode_str(&next)
        .decode_utf8_lossy()
        .into_owned();
    assert!(decoded.contains(&format!("after={last}")), "{decoded}");
    let (items, sizes) = sim.pages("/api/v1/behaviors");
    assert_eq!(sizes, [10, 2]);
    assert_eq!(items.iter().map(id).collect::<BTreeSet<_>>().len(), 12);
}

#[test]
fn zones_page_at_twenty_unless_a_limit_says_otherwise() {
    let mut sim = Sim::with_users(100_000);
    let (zones, sizes) = sim.pages("/api/v1/zones");
    assert_eq!(
        (zones.len(), sizes.as_slice()),
        (58, [20, 20, 18].as_slice())
    );
    assert_eq!(sim.pages("/api/v1/zones?limit=200").1, [58]);
    assert_eq!(sim.pages("/api/v1/zones?limit=-1").1, sizes);
}

#[test]
fn the_least_number_of_requests_is_what_following_the_links_takes() {
    let mut sim = Sim::with_users(100_000);
    let least = sim.store.minimum_requests();
    for (object_type, list) in [
        ("network_zone", "zones?limit=200"),
        ("behavior", "behaviors"),
        ("idp", "idps?limit=200"),
        ("authorization_server", "authorizationServers"),
        ("policy_access", "policies?type=ACCESS_POLICY&limit=200"),
        ("event_hook", "eventHooks"),
    ] {
        let pages = sim.pages(&format!("/api/v1/{list}")).1.len();
        assert_eq!(least.get(object_type), Some(&pages), "{object_type}");
    }
    assert_eq!(
        least.get("policy_rule"),
        Some(&sim.store.shelf.all(Kind::Policy).len())
    );
    assert_eq!(
        least.get("as_scope"),
        Some(&sim.store.ids("authorization_server").len())
    );
    assert_eq!(least.len(), 21);
}

#[test]
fn servers_and_providers_end_with_an_empty_page() {
    let mut sim = Sim::new();
    let (items, sizes) = sim.pages("/api/v1/authorizationServers?limit=200");
    assert_eq!(sizes, [items.len(), 0]);
    let (items, sizes) = sim.pages("/api/v1/idps?limit=2");
    assert_eq!(items.len(), 3);
    assert_eq!(sizes, [2, 1, 0]);
}

#[test]
fn limits_are_kept() {
    let mut sim = Sim::new();
    for target in [
        "/api/v1/idps?limit=201",
        "/api/v1/idps?limit=0",
        "/api/v1/trustedOrigins?limit=1000",
        "/api/v1/authorizationServers?limit=x",
        "/api/v1/authorizationServers/default/scopes?limit=201",
    ] {
        assert_eq!(
            sim.refused(Method::GET, target, None),
            (400, "E0000001"),
            "{target}"
        );
    }
    assert_eq!(
        sim.pages("/api/v1/trustedOrigins?limit=2").1.first(),
        Some(&2)
    );
}

#[test]
fn a_cursor_that_was_never_issued_is_refused() {
    let mut sim = Sim::new();
    for list in ["zones", "behaviors", "idps", "trustedOrigins", "iam/roles"] {
        let target = format!("/api/v1/{list}?after=nonsense");
        assert_eq!(
            sim.refused(Method::GET, &target, None),
            (400, "E0000029"),
            "{list}"
        );
    }
    let next = sim
        .call(Method::GET, "/api/v1/idps?limit=1", None)
        .unwrap()
        .page
        .unwrap()
        .next
        .unwrap();
    assert!(sim.call(Method::GET, &next, None).is_ok());
    sim.store.expire_cursors();
    assert_eq!(sim.refused(Method::GET, &next, None), (400, "E0000029"));
}

#[test]
fn filters_stay_in_the_next_link() {
    let mut sim = Sim::new();
    let (items, sizes) = sim.pages("/api/v1/idps?type=OIDC&limit=1");
    assert_eq!(sizes, [1, 1, 0]);
    assert!(items.iter().all(|idp| idp["type"] == "OIDC"));
    let (items, _) = sim.pages("/api/v1/zones?filter=usage%20eq%20%22BLOCKLIST%22&limit=1");
    assert!(items.len() >= 2 && items.iter().all(|zone| zone["usage"] == "BLOCKLIST"));
    assert_eq!(
        sim.refused(
            Method::GET,
            "/api/v1/zones?filter=name%20sw%20%22a%22",
            None
        ),
        (400, "E0000053")
    );
}

#[test]
fn roles_are_wrapped_and_paged_in_the_body_on_the_admin_host() {
    let mut sim = Sim::new();
    for n in 0..101 {
        let role = json!({"label": format!("r{n}"), "description": "d", "permissions": ["okta.users.read"]});
        sim.post("/api/v1/iam/roles", role);
    }
    let reply = sim.call(Method::GET, "/api/v1/iam/roles", None).unwrap();
    let links = reply.page.unwrap();
    assert!(links.admin_host && links.next.is_none());
    let body = reply.body.unwrap();
    assert_eq!(body["roles"].as_array().unwrap().len(), 100);
    let next = body["_links"]["next"]["href"].as_str().unwrap();
    let path = next
        .strip_prefix("https://acme-admin.okta.com")
        .unwrap()
        .to_owned();
    let rest = sim.get(&path);
    assert_eq!(rest["roles"].as_array().unwrap().len(), 3);
    assert!(rest["_links"].get("next").is_none());
}

#[test]
fn policies_need_a_type_that_the_org_has() {
    let mut sim = Sim::new();
    assert_eq!(
        sim.refused(Method::GET, "/api/v1/policies", None),
        (400, "E0000001")
    );
    assert_eq!(
        sim.refused(Method::GET, "/api/v1/policies?type=NOPE", None),
        (400, "E0000001")
    );
    assert_eq!(
        sim.refused(Method::GET, "/api/v1/policies?type=ENTITY_RISK", None),
        (401, "E0000015")
    );
    let (policies, _) = sim.pages("/api/v1/policies?type=PASSWORD");
    assert!(policies.iter().all(|policy| policy["type"] == "PASSWORD"));
    let (active, _) = sim.pages("/api/v1/policies?type=PASSWORD&status=INACTIVE");
    assert!(active.is_empty());
}

#[test]
fn access_policies_carry_more_in_lists() {
    let mut sim = Sim::new();
    let (policies, _) = sim.pages("/api/v1/policies?type=ACCESS_POLICY");
    let first = policies.first().unwrap();
    assert_eq!(first["_embedded"]["resourceType"], "APP");
    assert!(
        sim.get(&format!("/api/v1/policies/{}", id(first)))
            .get("_embedded")
            .is_none()
    );
}
