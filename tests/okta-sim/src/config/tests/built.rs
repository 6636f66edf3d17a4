//! What an org begins with.

use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::{BASE, Sim, id};
use crate::config::ConfigStore;

const TYPES: &[&str] = &[
    "network_zone",
    "trusted_origin",
    "behavior",
    "authenticator",
    "idp",
    "authorization_server",
    "as_scope",
    "as_claim",
    "as_policy",
    "as_policy_rule",
    "policy_okta_sign_on",
    "policy_password",
    "policy_mfa_enroll",
    "policy_access",
    "policy_profile_enrollment",
    "policy_idp_discovery",
    "policy_rule",
    "event_hook",
    "inline_hook",
    "custom_role",
];

#[test]
fn even_the_smallest_org_has_some_of_every_type() {
    let sim = Sim::with_users(2);
    for object_type in TYPES {
        assert!(!sim.store.ids(object_type).is_empty(), "{object_type}");
    }
    assert!(sim.store.dump("user", BASE).is_empty());
}

#[test]
fn the_same_seed_makes_the_same_org_and_more_users_make_more() {
    let (a, b, big) = (
        Sim::with_users(250),
        Sim::with_users(250),
        Sim::with_users(100_000),
    );
    let (mut small_sum, mut big_sum) = (0, 0);
    for object_type in TYPES {
        assert_eq!(
            a.store.dump(object_type, BASE),
            b.store.dump(object_type, BASE)
        );
        small_sum += a.store.ids(object_type).len();
        big_sum += big.store.ids(object_type).len();
    }
    assert!(
        big_sum > 3 * small_sum && big_sum > 600,
        "{small_sum} and {big_sum}"
    );
}

#[test]
fn the_seed_leaves_no_trace_in_the_log() {
    let mut sim = Sim::new();
    assert!(sim.org.events.is_empty());
    assert!(sim.store.take_changes().is_empty());
}

#[test]
fn rules_name_zones_groups_users_apps_providers_and_behaviors() {
    let sim = Sim::with_users(100_000);
    let rules = serde_json::to_string(&sim.store.dump("policy_rule", BASE)).unwrap();
    for word in [
        "\"nzo0",
        "\"group",
        "\"user0",
        "\"app",
        "\"0oa0",
        "\"bhv0",
        "\"user_type",
    ] {
        assert!(rules.contains(word), "{word}");
    }
}

#[test]
fn a_dump_shows_what_get_shows() {
    let mut sim = Sim::new();
    for (object_type, path) in [
        ("network_zone", "zones"),
        ("policy_access", "policies"),
        ("idp", "idps"),
    ] {
        for (id, dumped) in sim.store.dump(object_type, BASE) {
            assert_eq!(sim.get(&format!("/api/v1/{path}/{id}")), dumped);
        }
    }
}

#[test]
fn no_secret_of_a_hook_is_ever_shown() {
    let sim = Sim::with_users(100_000);
    for object_type in ["event_hook", "inline_hook"] {
        for (id, hook) in sim.store.dump(object_type, BASE) {
            let config = &hook["channel"]["config"];
            assert_eq!(config["authScheme"]["key"], "Authorization", "{id}");
            assert!(config["authScheme"].get("value").is_none(), "{id}");
            let headers = config["headers"].as_array().unwrap();
            assert!(
                headers.iter().all(|header| header.get("value").is_none()),
                "{id}"
            );
        }
    }
}

#[test]
fn every_org_has_its_system_objects() {
    let mut sim = Sim::new();
    let (zones, _) = sim.pages("/api/v1/zones?filter=system%20eq%20true");
    let names: BTreeSet<&str> = zones
        .iter()
        .filter_map(|zone| zone["name"].as_str())
        .collect();
    let expected = [
        "BlockedIpZone",
        "DefaultEnhancedDynamicZone",
        "DefaultExemptIpZone",
        "LegacyIpZone",
    ];
    assert_eq!(names, BTreeSet::from(expected));
    for policy_type in [
        "OKTA_SIGN_ON",
        "PASSWORD",
        "MFA_ENROLL",
        "ACCESS_POLICY",
        "PROFILE_ENROLLMENT",
        "IDP_DISCOVERY",
    ] {
        let default = sim.store.default_policy(policy_type).unwrap().to_owned();
        let rules = sim.get(&format!("/api/v1/policies/{default}/rules"));
        let system: Vec<&Value> = rules
            .as_array()
            .unwrap()
            .iter()
            .filter(|rule| rule["system"] == true)
            .collect();
        assert_eq!(system.len(), 1, "{policy_type}");
        assert_eq!(
            rules.as_array().unwrap().last(),
            system.first().copied(),
            "{policy_type}"
        );
    }
    let server = sim.get("/api/v1/authorizationServers/default");
    assert_eq!(server["issuer"], format!("{BASE}/oauth2/default"));
    assert_ne!(id(&server), "default");
}

#[test]
fn scopes_are_read_for_get_and_manage_for_the_rest() {
    let scope = |method: Method, target: &str| {
        ConfigStore::required_scopes(&Sim::request(method, target, None))
    };
    assert_eq!(
        scope(Method::GET, "/api/v1/zones"),
        Some("okta.networkZones.read")
    );
    assert_eq!(
        scope(Method::DELETE, "/api/v1/zones/nzo1"),
        Some("okta.networkZones.manage")
    );
    assert_eq!(
        scope(Method::GET, "/api/v1/iam/roles/cr01/permissions"),
        Some("okta.roles.read")
    );
    assert_eq!(
        scope(Method::POST, "/api/v1/authorizationServers/aus1/scopes"),
        Some("okta.authorizationServers.manage")
    );
    assert_eq!(scope(Method::GET, "/api/v1/users"), None);
}
