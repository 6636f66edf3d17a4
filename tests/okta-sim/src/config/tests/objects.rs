//! Single objects: what is checked, added, hidden and refused.

use http::Method;
use serde_json::{Value, json};

use super::{Sim, id};

fn zone(name: &str) -> Value {
    json!({"name": name, "type": "IP", "gateways": [{"type": "RANGE", "value": "192.168.2.1"}]})
}

fn event_hook() -> Value {
    json!({
        "name": "audit",
        "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.create"]},
        "channel": {"type": "HTTP", "version": "1.0.0", "config": {
            "uri": "https://example.com/a",
            "authScheme": {"type": "HEADER", "key": "Authorization", "value": "hush"},
        }},
    })
}

#[test]
fn a_zone_is_created_changed_switched_off_and_deleted() {
    let mut sim = Sim::new();
    let made = sim.post("/api/v1/zones", zone("Lab"));
    assert_eq!(made["gateways"][0]["value"], "192.168.2.1-192.168.2.1");
    assert_eq!(
        (&made["status"], &made["system"], &made["proxies"]),
        (&json!("ACTIVE"), &json!(false), &Value::Null)
    );
    assert!(made["_links"]["deactivate"].is_object());
    let path = format!("/api/v1/zones/{}", id(&made));

    let mut changed = zone("Lab 2");
    changed["usage"] = json!("BLOCKLIST");
    changed["id"] = json!("ignored");
    let replaced = sim.put(&path, changed);
    assert_eq!(id(&replaced), id(&made));
    assert_eq!(replaced["created"], made["created"]);
    assert_ne!(replaced["lastUpdated"], made["lastUpdated"]);

    assert_eq!(sim.delete(&path).unwrap_err().code, "E0000001");
    assert_eq!(sim.step(&format!("{path}/lifecycle/deactivate")), 200);
    assert_eq!(sim.delete(&path).unwrap(), 204);
    assert_eq!(sim.refused(Method::GET, &path, None), (404, "E0000007"));
    assert_eq!(
        sim.event_types(),
        [
            "zone.create",
            "zone.update",
            "zone.make_blacklist",
            "zone.deactivate",
            "zone.delete"
        ]
    );
    assert!(
        sim.org
            .events
            .iter()
            .all(|event| event.targets[0].id == id(&made))
    );
    let changes = sim.store.take_changes();
    assert_eq!(
        changes
            .iter()
            .map(|change| change.created)
            .collect::<Vec<_>>(),
        [true, false]
    );
}

#[test]
fn bodies_are_checked() {
    let mut sim = Sim::new();
    let post = Method::POST;
    for (path, body) in [
        ("zones", json!({"type": "IP"})),
        ("zones", json!({"name": "", "type": "IP"})),
        ("zones", json!({"name": "a", "type": "MOON"})),
        (
            "trustedOrigins",
            json!({"name": "a", "origin": "https://a.example.com"}),
        ),
        (
            "behaviors",
            json!({"name": "a", "type": "ANOMALOUS_LOCATION", "settings": {}}),
        ),
        ("authenticators", json!({"key": "nokia", "name": "a"})),
        ("idps", json!({"name": "a", "type": "OIDC"})),
        ("authorizationServers", json!({"name": "a"})),
        (
            "authorizationServers/default/scopes",
            json!({"description": "a"}),
        ),
        (
            "authorizationServers/default/claims",
            json!({"name": "a", "claimType": "RESOURCE", "valueType": "GROUPS"}),
        ),
        ("eventHooks", json!({"name": "a"})),
        (
            "inlineHooks",
            json!({"name": "a", "type": "com.okta.import.transform", "version": "1.0.0"}),
        ),
        ("iam/roles", json!({"label": "a", "description": "b"})),
        (
            "iam/roles",
            json!({"label": "a", "description": "b", "permissions": ["read everything"]}),
        ),
    ] {
        let target = format!("/api/v1/{path}");
        assert_eq!(
            sim.refused(post.clone(), &target, Some(body.clone())),
            (400, "E0000001"),
            "{path} {body}"
        );
    }
    assert_eq!(
        sim.refused(post.clone(), "/api/v1/zones", None),
        (400, "E0000003")
    );
    assert_eq!(
        sim.refused(post, "/api/v1/zones", Some(json!([]))),
        (400, "E0000003")
    );
    assert!(sim.org.events.is_empty());
}

#[test]
fn names_are_unique_and_types_immutable() {
    let mut sim = Sim::new();
    let made = sim.post("/api/v1/zones", zone("Lab"));
    assert_eq!(
        sim.refused(Method::POST, "/api/v1/zones", Some(zone("Lab"))),
        (400, "E0000001")
    );
    let path = format!("/api/v1/zones/{}", id(&made));
    assert_eq!(sim.put(&path, zone("Lab"))["name"], "Lab");
    let other = json!({"name": "Lab", "type": "DYNAMIC"});
    assert_eq!(
        sim.refused(Method::PUT, &path, Some(other)),
        (400, "E0000001")
    );
    let role = json!({"label": "Helpers", "description": "d", "permissions": ["okta.users.read"]});
    sim.post("/api/v1/iam/roles", role.clone());
    let refusal = sim
        .call(Method::POST, "/api/v1/iam/roles", Some(role))
        .unwrap_err();
    assert!(
        refusal.causes[0].contains("There is already an admin role with this name."),
        "{refusal:?}"
    );
}

#[test]
fn system_objects_are_updated_and_never_deleted() {
    let mut sim = Sim::new();
    let (zones, _) = sim.pages("/api/v1/zones?filter=system%20eq%20true");
    let blocked = zones
        .iter()
        .find(|zone| zone["name"] == "BlockedIpZone")
        .unwrap();
    let path = format!("/api/v1/zones/{}", id(blocked));
    sim.step(&format!("{path}/lifecycle/deactivate"));
    assert_eq!(sim.delete(&path).unwrap_err().code, "E0000111");
    let mut body = blocked.clone();
    body["gateways"] = json!([{"type": "CIDR", "value": "203.0.113.0/24"}]);
    assert_eq!(sim.put(&path, body)["system"], true);
    assert_eq!(
        sim.delete("/api/v1/authorizationServers/default")
            .unwrap_err()
            .code,
        "E0000111"
    );
    let scopes = sim.get("/api/v1/authorizationServers/default/scopes");
    let openid = scopes
        .as_array()
        .unwrap()
        .iter()
        .find(|scope| scope["name"] == "openid")
        .unwrap();
    let path = format!("/api/v1/authorizationServers/default/scopes/{}", id(openid));
    assert_eq!(sim.delete(&path).unwrap_err().code, "E0000111");
    let mut made = openid.clone();
    made["name"] = json!("mine");
    let made = sim.post("/api/v1/authorizationServers/default/scopes", made);
    assert_eq!(made["system"], false);
}

#[test]
fn a_zone_in_use_cannot_be_deleted() {
    let mut sim = Sim::new();
    let made = id(&sim.post("/api/v1/zones", zone("Lab")));
    let policy = sim
        .store
        .default_policy("ACCESS_POLICY")
        .unwrap()
        .to_owned();
    let rules = format!("/api/v1/policies/{policy}/rules");
    let rule = sim.post(
        &rules,
        json!({
            "name": "Lab only",
            "conditions": {"network": {"connection": "ZONE", "include": [made]}},
            "actions": {"appSignOn": {"access": "ALLOW"}},
        }),
    );
    sim.step(&format!("/api/v1/zones/{made}/lifecycle/deactivate"));
    assert_eq!(
        sim.delete(&format!("/api/v1/zones/{made}"))
            .unwrap_err()
            .status,
        400
    );
    assert_eq!(sim.delete(&format!("{rules}/{}", id(&rule))).unwrap(), 204);
    assert_eq!(sim.delete(&format!("/api/v1/zones/{made}")).unwrap(), 204);
}

#[test]
fn what_a_rule_names_must_exist_when_it_is_written_and_may_go_later() {
    let mut sim = Sim::new();
    let policy = id(&sim.post(
        "/api/v1/policies",
        json!({"type": "OKTA_SIGN_ON", "name": "Mine"}),
    ));
    let rules = format!("/api/v1/policies/{policy}/rules");
    let rule = |conditions: Value| json!({"name": "r", "type": "SIGN_ON", "conditions": conditions, "actions": {"signon": {"access": "DENY"}}});
    for conditions in [
        json!({"people": {"groups": {"include": ["gone"]}}}),
        json!({"people": {"users": {"exclude": ["gone"]}}}),
        json!({"network": {"connection": "ZONE", "include": ["gone"]}}),
        json!({"risk": {"behaviors": ["gone"]}}),
        json!({"identityProvider": {"idpIds": ["gone"]}}),
    ] {
        assert_eq!(
            sim.refused(Method::POST, &rules, Some(rule(conditions.clone()))),
            (400, "E0000001"),
            "{conditions}"
        );
    }
    let good = json!({
        "people": {"groups": {"include": ["group1"]}},
        "network": {"connection": "ZONE", "include": ["ALL_ZONES"]},
    });
    let made = sim.post(&rules, rule(good));
    sim.org.known.remove("group/group1");
    let kept = sim.get(&format!("{rules}/{}", id(&made)));
    assert_eq!(
        kept["conditions"]["people"]["groups"]["include"],
        json!(["group1"])
    );
}

#[test]
fn origins_answer_who_made_them_and_behaviors_their_own_time_format() {
    let mut sim = Sim::new();
    let scopes = json!([{"type": "CORS"}]);
    let made = sim.post(
        "/api/v1/trustedOrigins",
        json!({"name": "a", "origin": "https://a.example.com", "scopes": scopes}),
    );
    assert_eq!(
        (&made["createdBy"], &made["lastUpdatedBy"]),
        (&json!("user0"), &json!("user0"))
    );
    let behavior = sim.post(
        "/api/v1/behaviors",
        json!({"name": "b", "type": "ANOMALOUS_LOCATION", "settings": {"granularity": "LAT_LONG", "radiusKilometers": 20}}),
    );
    assert_eq!(behavior["settings"]["radiusKilometers"].to_string(), "20.0");
    let created = behavior["created"].as_str().unwrap();
    assert!(
        created.starts_with("2026-05-01 ") && created.ends_with(".0"),
        "{created}"
    );
}

#[test]
fn an_authenticator_is_one_of_its_key_and_is_never_deleted() {
    let mut sim = Sim::new();
    let duo = json!({
        "key": "duo",
        "name": "Duo",
        "provider": {"type": "DUO", "configuration": {"host": "https://duo.example.com", "secretKey": "hush"}},
    });
    let made = sim.post("/api/v1/authenticators?activate=false", duo.clone());
    assert_eq!(
        (&made["status"], &made["type"]),
        (&json!("INACTIVE"), &json!("app"))
    );
    assert!(made["provider"]["configuration"].get("secretKey").is_none());
    assert_eq!(
        sim.refused(Method::POST, "/api/v1/authenticators", Some(duo)),
        (409, "E0000157")
    );
    let path = format!("/api/v1/authenticators/{}", id(&made));
    assert_eq!(sim.refused(Method::DELETE, &path, None), (405, "E0000022"));

    let all = sim.get("/api/v1/authenticators");
    let by_key = |key: &str| {
        let found = all
            .as_array()
            .unwrap()
            .iter()
            .find(|found| found["key"] == key)
            .unwrap();
        format!(
            "/api/v1/authenticators/{}/lifecycle/deactivate",
            found["id"].as_str().unwrap()
        )
    };
    assert_eq!(
        sim.refused(Method::POST, &by_key("okta_password"), None),
        (400, "E0000001")
    );
    assert_eq!(
        sim.refused(Method::POST, &by_key("okta_verify"), None),
        (403, "E0000148")
    );
    assert_eq!(sim.step(&by_key("security_question")), 200);
}

#[test]
fn providers_show_the_client_secret_and_get_what_the_server_makes() {
    let mut sim = Sim::new();
    let saml = json!({
        "name": "Partner",
        "type": "SAML2",
        "protocol": {"type": "SAML2", "credentials": {"trust": {"issuer": "https://idp.example.com", "kid": "k"}}},
    });
    let made = sim.post("/api/v1/idps", saml.clone());
    let trust = made["protocol"]["credentials"]["trust"].clone();
    assert!(
        trust["audience"]
            .as_str()
            .unwrap()
            .starts_with("https://www.okta.com/saml2/service-provider/")
    );
    let path = format!("/api/v1/idps/{}", id(&made));
    assert_eq!(
        sim.put(&path, saml)["protocol"]["credentials"]["trust"],
        trust
    );
    assert!(
        made["_links"]["acs"]["href"]
            .as_str()
            .unwrap()
            .ends_with(&id(&made))
    );

    let (idps, _) = sim.pages("/api/v1/idps?type=OIDC");
    let secret = &idps.first().unwrap()["protocol"]["credentials"]["client"]["client_secret"];
    assert_eq!(secret.as_str().map(str::len), Some(32));
    let reads = |sim: &Sim| {
        sim.event_types()
            .iter()
            .filter(|event| event.ends_with("read_client_secret"))
            .count()
    };
    assert_eq!(reads(&sim), idps.len());
    sim.get(&path);
    assert_eq!(reads(&sim), idps.len());
    assert_eq!(sim.delete(&path).unwrap(), 204);
}

#[test]
fn hooks_hide_their_secret_need_verifying_again_and_are_deleted_inactive() {
    let mut sim = Sim::new();
    let mut without = event_hook();
    without["channel"]["config"]["authScheme"]
        .as_object_mut()
        .unwrap()
        .remove("value");
    assert_eq!(
        sim.refused(Method::POST, "/api/v1/eventHooks", Some(without)),
        (400, "E0000001")
    );
    let made = sim.post("/api/v1/eventHooks", event_hook());
    assert_eq!(made["verificationStatus"], "UNVERIFIED");
    assert!(!made.to_string().contains("hush"));
    let path = format!("/api/v1/eventHooks/{}", id(&made));
    assert_eq!(sim.step(&format!("{path}/lifecycle/verify")), 200);
    assert_eq!(
        sim.put(&path, event_hook())["verificationStatus"],
        "VERIFIED"
    );
    let mut moved = event_hook();
    moved["channel"]["config"]["uri"] = json!("https://example.com/b");
    assert_eq!(sim.put(&path, moved)["verificationStatus"], "UNVERIFIED");
    assert_eq!(sim.delete(&path).unwrap_err().status, 400);
    sim.step(&format!("{path}/lifecycle/deactivate"));
    assert_eq!(sim.delete(&path).unwrap(), 204);

    let inline = json!({
        "name": "tokens",
        "type": "com.okta.oauth2.tokens.transform",
        "version": "1.0.1",
        "channel": {"type": "HTTP", "version": "1.0.0", "config": {
            "uri": "https://example.com/t",
            "authScheme": {"type": "HEADER", "key": "Authorization", "value": "hush"},
        }},
    });
    let made = sim.post("/api/v1/inlineHooks", inline);
    assert!(!made.to_string().contains("hush"));
    let path = format!("/api/v1/inlineHooks/{}", id(&made));
    assert_eq!(
        sim.put(&path, json!({"name": "tokens", "channel": made["channel"]}))["version"],
        "1.0.1"
    );
    let merged = sim.post(&path, json!({"name": "more tokens"}));
    assert_eq!(
        (&merged["name"], &merged["channel"]),
        (&json!("more tokens"), &made["channel"])
    );
    let other = json!({"name": "x", "type": "com.okta.import.transform", "version": "1", "channel": made["channel"]});
    assert_eq!(
        sim.refused(Method::PUT, &path, Some(other)),
        (400, "E0000001")
    );
}

#[test]
fn a_server_comes_with_its_parts_and_keeps_its_time_when_they_change() {
    let mut sim = Sim::new();
    let reply = sim
        .call(
            Method::POST,
            "/api/v1/authorizationServers",
            Some(json!({"name": "API", "audiences": ["api://a"]})),
        )
        .unwrap();
    assert_eq!(reply.status, 201);
    let made = reply.body.unwrap();
    let path = format!("/api/v1/authorizationServers/{}", id(&made));
    assert_eq!(
        made["issuer"],
        format!("https://acme.okta.com/oauth2/{}", id(&made))
    );
    let claims = sim.get(&format!("{path}/claims"));
    assert!(
        claims
            .as_array()
            .unwrap()
            .iter()
            .all(|claim| claim["system"] == true)
    );
    let sub = claims
        .as_array()
        .unwrap()
        .iter()
        .find(|claim| claim["name"] == "sub")
        .unwrap()
        .clone();
    let mut changed = sub.clone();
    changed["value"] = json!("appuser.email");
    let replaced = sim.put(&format!("{path}/claims/{}", id(&sub)), changed);
    assert_eq!(
        (&replaced["value"], &replaced["system"]),
        (&json!("appuser.email"), &json!(true))
    );

    let scope = json!({"name": "orders:read"});
    let reply = sim
        .call(Method::POST, &format!("{path}/scopes"), Some(scope))
        .unwrap();
    assert_eq!(reply.status, 201);
    let claim = json!({
        "name": "dept", "claimType": "RESOURCE", "valueType": "EXPRESSION", "value": "user.department",
        "conditions": {"scopes": ["orders:write"]},
    });
    assert_eq!(
        sim.refused(Method::POST, &format!("{path}/claims"), Some(claim)),
        (400, "E0000001")
    );
    assert_eq!(sim.get(&path)["lastUpdated"], made["lastUpdated"]);

    assert_eq!(sim.step(&format!("{path}/lifecycle/deactivate")), 204);
    assert_eq!(sim.delete(&path).unwrap(), 204);
    assert_eq!(
        sim.refused(Method::GET, &format!("{path}/scopes"), None),
        (404, "E0000007")
    );
}

#[test]
fn an_identical_put_moves_last_updated() {
    let mut sim = Sim::new();
    let all = sim.get("/api/v1/authenticators");
    let first = all.as_array().unwrap().first().unwrap();
    let path = format!("/api/v1/authenticators/{}", id(first));
    let again = sim.put(&path, first.clone());
    assert_ne!(again["lastUpdated"], first["lastUpdated"]);
    assert_eq!(again["created"], first["created"]);
}

#[test]
fn roles_go_by_id_or_label_and_their_permissions_apart() {
    let mut sim = Sim::new();
    let role = json!({"label": "Desk", "description": "d", "permissions": ["okta.users.read", "okta.groups.read"]});
    let made = sim.post("/api/v1/iam/roles", role);
    assert!(made.get("permissions").is_none());
    assert!(
        made["_links"]["permissions"]["href"]
            .as_str()
            .unwrap()
            .starts_with("https://acme-admin.okta.com/")
    );
    assert_eq!(sim.get("/api/v1/iam/roles/Desk"), made);
    let path = format!("/api/v1/iam/roles/{}/permissions", id(&made));
    let permissions = sim.get(&path);
    assert_eq!(permissions["permissions"].as_array().unwrap().len(), 2);
    assert_eq!(sim.step(&format!("{path}/okta.apps.read")), 204);
    assert_eq!(
        sim.get(&format!("{path}/okta.apps.read"))["conditions"],
        Value::Null
    );
    assert_eq!(sim.delete(&format!("{path}/okta.users.read")).unwrap(), 204);
    assert_eq!(
        sim.delete(&format!("{path}/okta.users.read"))
            .unwrap_err()
            .code,
        "E0000007"
    );
    assert_eq!(
        sim.event_types(),
        [
            "iam.role.create",
            "iam.role.permissions.add",
            "iam.role.permissions.delete"
        ]
    );
    let label = json!({"label": "Front desk", "description": "d"});
    assert_eq!(
        sim.put(&format!("/api/v1/iam/roles/{}", id(&made)), label)["label"],
        "Front desk"
    );
}

#[test]
fn a_recreated_object_has_a_new_id() {
    let mut sim = Sim::new();
    let first = sim.post("/api/v1/zones", zone("Lab"));
    sim.step(&format!(
        "/api/v1/zones/{}/lifecycle/deactivate",
        id(&first)
    ));
    sim.delete(&format!("/api/v1/zones/{}", id(&first)))
        .unwrap();
    let mut again = zone("Lab");
    again["id"] = first["id"].clone();
    assert_ne!(id(&sim.post("/api/v1/zones", again)), id(&first));
}
