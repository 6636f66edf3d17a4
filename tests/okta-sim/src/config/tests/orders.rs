//! Policies, rules and their priorities.

use http::Method;
use serde_json::{Value, json};

use super::{Sim, id};

fn rule(name: &str, priority: Option<u64>) -> Value {
    let mut rule = json!({"name": name, "actions": {"appSignOn": {"access": "ALLOW"}}});
    if let Some(priority) = priority {
        rule["priority"] = json!(priority);
    }
    rule
}

/// The priorities in a list, by name.
fn priorities(sim: &mut Sim, target: &str) -> Vec<(String, u64)> {
    let mut found: Vec<(String, u64)> = sim
        .get(target)
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            (
                item["name"].as_str().unwrap().to_owned(),
                item["priority"].as_u64().unwrap(),
            )
        })
        .collect();
    found.sort_by_key(|item| item.1);
    found
}

#[test]
fn classic_policies_stay_gapless_with_the_default_last() {
    let mut sim = Sim::new();
    let list = "/api/v1/policies?type=OKTA_SIGN_ON";
    let before = priorities(&mut sim, list);
    let made = sim.post(
        "/api/v1/policies",
        json!({"type": "OKTA_SIGN_ON", "name": "First", "priority": 1}),
    );
    let after = priorities(&mut sim, list);
    assert_eq!(after.first(), Some(&("First".to_owned(), 1)));
    assert_eq!(
        after.iter().map(|item| item.1).collect::<Vec<_>>(),
        (1..=after.len() as u64).collect::<Vec<_>>()
    );
    assert_eq!(
        after.last().map(|item| item.0.as_str()),
        Some("Default Policy")
    );
    assert_eq!(
        sim.delete(&format!("/api/v1/policies/{}", id(&made)))
            .unwrap(),
        204
    );
    assert_eq!(priorities(&mut sim, list), before);
    assert_eq!(
        made["conditions"]["people"]["groups"]["include"],
        json!(["everyone"])
    );
}

#[test]
fn a_new_access_policy_has_its_catch_all_and_rules_keep_gaps() {
    let mut sim = Sim::new();
    let made = sim.post(
        "/api/v1/policies",
        json!({"type": "ACCESS_POLICY", "name": "Mine"}),
    );
    assert!(id(&made).starts_with("rst"));
    let rules = format!("/api/v1/policies/{}/rules", id(&made));
    assert_eq!(
        priorities(&mut sim, &rules),
        [("Catch-all Rule".to_owned(), 99)]
    );
    let first = sim.post(&rules, rule("a", None));
    assert_eq!(
        (&first["priority"], &first["type"]),
        (&json!(0), &json!("ACCESS_POLICY"))
    );
    sim.post(&rules, rule("b", Some(5)));
    sim.post(&rules, rule("c", Some(5)));
    sim.post(&rules, rule("d", None));
    let expected = [
        ("a", 0),
        ("c", 5),
        ("b", 6),
        ("d", 7),
        ("Catch-all Rule", 99),
    ];
    let now = priorities(&mut sim, &rules);
    assert_eq!(
        now,
        expected.map(|(name, priority)| (name.to_owned(), priority))
    );
    sim.delete(&format!("{rules}/{}", id(&first))).unwrap();
    assert_eq!(
        priorities(&mut sim, &rules).first(),
        Some(&("c".to_owned(), 5))
    );
    assert_eq!(
        sim.get(&format!("/api/v1/policies/{}", id(&made)))["lastUpdated"],
        made["lastUpdated"]
    );
}

#[test]
fn system_policies_and_rules_are_neither_made_deleted_nor_switched_off() {
    let mut sim = Sim::new();
    let post = Method::POST;
    let system = json!({"type": "PASSWORD", "name": "x", "system": true});
    assert_eq!(
        sim.refused(post.clone(), "/api/v1/policies", Some(system)),
        (400, "E0000001")
    );
    let discovery = json!({"type": "IDP_DISCOVERY", "name": "x"});
    assert_eq!(
        sim.refused(post.clone(), "/api/v1/policies", Some(discovery)),
        (400, "E0000001")
    );
    let policy = format!(
        "/api/v1/policies/{}",
        sim.store.default_policy("ACCESS_POLICY").unwrap()
    );
    assert_eq!(sim.delete(&policy).unwrap_err().status, 403);
    assert_eq!(
        sim.refused(
            post.clone(),
            &format!("{policy}/lifecycle/deactivate"),
            None
        )
        .0,
        403
    );

    let rules = sim.get(&format!("{policy}/rules"));
    let mut catch_all = rules.as_array().unwrap().first().unwrap().clone();
    let path = format!("{policy}/rules/{}", id(&catch_all));
    assert_eq!(sim.delete(&path).unwrap_err().status, 403);
    catch_all["actions"]["appSignOn"]["verificationMethod"]["factorMode"] = json!("1FA");
    let replaced = sim.put(&path, catch_all.clone());
    assert_eq!(replaced["actions"], catch_all["actions"]);
    assert_eq!(
        (&replaced["priority"], &replaced["system"]),
        (&json!(99), &json!(true))
    );
    catch_all["name"] = json!("Other");
    assert_eq!(sim.refused(Method::PUT, &path, Some(catch_all)).0, 403);
}

#[test]
fn profile_enrollment_takes_no_further_rule() {
    let mut sim = Sim::new();
    let made = sim.post(
        "/api/v1/policies",
        json!({"type": "PROFILE_ENROLLMENT", "name": "Mine"}),
    );
    let rules = format!("/api/v1/policies/{}/rules", id(&made));
    assert_eq!(
        sim.refused(Method::POST, &rules, Some(rule("a", None))),
        (400, "E0000001")
    );
    let only = sim.get(&rules).as_array().unwrap().first().unwrap().clone();
    let mut changed = only.clone();
    changed["actions"]["profileEnrollment"]["targetGroupIds"] = json!(["group2"]);
    let replaced = sim.put(&format!("{rules}/{}", id(&only)), changed);
    assert_eq!(
        replaced["actions"]["profileEnrollment"]["targetGroupIds"],
        json!(["group2"])
    );
}

#[test]
fn enrollment_policies_name_only_active_authenticators_and_list_all() {
    let mut sim = Sim::new();
    let policy = |key: &str| {
        json!({"type": "MFA_ENROLL", "name": "Mine", "settings": {"type": "AUTHENTICATORS", "authenticators": [
            {"key": key, "enroll": {"self": "REQUIRED"}},
        ]}})
    };
    for key in ["google_otp", "duo"] {
        assert_eq!(
            sim.refused(Method::POST, "/api/v1/policies", Some(policy(key))),
            (400, "E0000001"),
            "{key}"
        );
    }
    let made = sim.post("/api/v1/policies", policy("webauthn"));
    let entries = made["settings"]["authenticators"].as_array().unwrap();
    assert_eq!(entries.len(), 6);
    let required = entries
        .iter()
        .filter(|entry| entry["enroll"]["self"] == "REQUIRED")
        .count();
    assert_eq!(required, 1);
}

#[test]
fn a_rule_has_the_type_of_its_policy() {
    let mut sim = Sim::new();
    let made = sim.post(
        "/api/v1/policies",
        json!({"type": "OKTA_SIGN_ON", "name": "Mine"}),
    );
    let rules = format!("/api/v1/policies/{}/rules", id(&made));
    let mut body =
        json!({"name": "a", "type": "PASSWORD", "actions": {"signon": {"access": "DENY"}}});
    assert_eq!(
        sim.refused(Method::POST, &rules, Some(body.clone())),
        (400, "E0000001")
    );
    body["type"] = json!("SIGN_ON");
    let reply = sim
        .call(Method::POST, &format!("{rules}?activate=false"), Some(body))
        .unwrap();
    let rule = reply.body.unwrap();
    assert_eq!((reply.status, &rule["status"]), (200, &json!("INACTIVE")));
    assert_eq!(
        sim.step(&format!("{rules}/{}/lifecycle/activate", id(&rule))),
        204
    );
    assert_eq!(
        sim.event_types(),
        [
            "policy.lifecycle.create",
            "policy.rule.add",
            "policy.rule.activate"
        ]
    );
    let last = sim.org.events.last().unwrap();
    assert_eq!(
        last.targets
            .iter()
            .map(|target| target.kind.as_str())
            .collect::<Vec<_>>(),
        ["PolicyRule", "PolicyEntity"]
    );
}

#[test]
fn server_policies_and_their_rules_are_gapless_and_answer_201() {
    let mut sim = Sim::new();
    let policies = "/api/v1/authorizationServers/default/policies";
    let policy = json!({"name": "Mine", "description": "d", "priority": 1, "conditions": {"clients": {"include": ["ALL_CLIENTS"]}}});
    let reply = sim.call(Method::POST, policies, Some(policy)).unwrap();
    assert_eq!(reply.status, 201);
    let made = reply.body.unwrap();
    let expected = [("Mine", 1), ("Default Policy", 2)];
    assert_eq!(
        priorities(&mut sim, policies),
        expected.map(|(name, priority)| (name.to_owned(), priority))
    );
    let rules = format!("{policies}/{}/rules", id(&made));
    let rule = |group: &str| {
        json!({
            "name": "r", "type": "RESOURCE_ACCESS",
            "conditions": {
                "people": {"groups": {"include": [group]}, "users": {}},
                "grantTypes": {"include": ["implicit"]}, "scopes": {},
            },
        })
    };
    assert_eq!(
        sim.refused(Method::POST, &rules, Some(rule("gone"))),
        (400, "E0000001")
    );
    let made = sim.post(&rules, rule("EVERYONE"));
    assert_eq!(made["conditions"]["scopes"]["include"], json!([]));
    assert_eq!(made["priority"], 1);
}

#[test]
fn while_priorities_are_reconciled_writes_are_refused() {
    let mut sim = Sim::new();
    sim.store.reconcile_priorities(1);
    let policy = json!({"type": "ACCESS_POLICY", "name": "Mine"});
    assert_eq!(
        sim.refused(Method::POST, "/api/v1/policies", Some(policy.clone())),
        (423, "E0000239")
    );
    assert_eq!(sim.post("/api/v1/policies", policy)["name"], "Mine");
}
