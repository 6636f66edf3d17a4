use okta_sim::OktaSim;
use serde_json::{Value, json};

use crate::common::{call, get, list_all};

fn group(sim: &OktaSim, name: &str) -> String {
    let answer = call(
        sim,
        "POST",
        "/api/v1/groups",
        Some(&json!({"profile": {"name": name}})),
    );
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.body["id"].as_str().unwrap().to_owned()
}

fn active_users(sim: &OktaSim, department: &str) -> Vec<String> {
    let of = |user: &Value| {
        user["profile"]["department"] == department && user["status"] != "DEPROVISIONED"
    };
    sim.dump("user")
        .into_iter()
        .filter(|(_, user)| of(user))
        .map(|(id, _)| id)
        .collect()
}

fn rule(name: &str, expression: &str, group: &str) -> Value {
    json!({
        "type": "group_rule", "name": name,
        "conditions": {"expression": {"type": "urn:okta:expression:1.0", "value": expression}},
        "actions": {"assignUserToGroups": {"groupIds": [group]}},
    })
}

#[test]
fn groups_of_other_kinds_are_not_written_to_and_names_are_unique() {
    let sim = OktaSim::with_users(2000);
    let groups = sim.dump("group");
    let of = |kind: &str| {
        groups
            .iter()
            .find(|(_, group)| group["type"] == kind)
            .unwrap()
            .0
            .clone()
    };
    let user = sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap()
        .0;
    for kind in ["BUILT_IN", "APP_GROUP"] {
        let id = of(kind);
        let member = call(
            &sim,
            "PUT",
            &format!("/api/v1/groups/{id}/users/{user}"),
            None,
        );
        assert_eq!(member.status, 501, "{kind}");
        assert_eq!(
            call(
                &sim,
                "PUT",
                &format!("/api/v1/groups/{id}"),
                Some(&json!({"profile": {"name": "x"}}))
            )
            .status,
            403
        );
    }
    assert_eq!(
        call(
            &sim,
            "DELETE",
            &format!("/api/v1/groups/{}", of("BUILT_IN")),
            None
        )
        .status,
        403
    );
    let name = groups[&of("OKTA_GROUP")]["profile"]["name"].clone();
    let twice = call(
        &sim,
        "POST",
        "/api/v1/groups",
        Some(&json!({"profile": {"name": name}})),
    );
    assert_eq!((twice.status, twice.code()), (400, "E0000001"));
}

#[test]
fn a_rule_begins_inactive_applies_when_active_and_breaks_with_its_group() {
    let sim = OktaSim::with_users(250);
    let target = group(&sim, "Chosen");
    let made = call(
        &sim,
        "POST",
        "/api/v1/groups/rules",
        Some(&rule("Choose", "user.department==\"Sales\"", &target)),
    )
    .body;
    assert_eq!(
        (made["status"].as_str(), made["allGroupsValid"].as_bool()),
        (Some("INACTIVE"), Some(true))
    );
    let path = format!("/api/v1/groups/rules/{}", made["id"].as_str().unwrap());
    assert!(list_all(&sim, &format!("/api/v1/groups/{target}/users")).is_empty());
    assert_eq!(
        call(&sim, "POST", &format!("{path}/lifecycle/activate"), None).status,
        204
    );
    let mut members = list_all(&sim, &format!("/api/v1/groups/{target}/users"));
    members.sort();
    assert_eq!(members, active_users(&sim, "Sales"));
    assert_eq!(
        call(
            &sim,
            "PUT",
            &path,
            Some(&rule("Renamed", "user.department==\"Legal\"", &target))
        )
        .status,
        400,
        "active"
    );

    let leaver = members[0].clone();
    call(
        &sim,
        "POST",
        &format!("/api/v1/users/{leaver}"),
        Some(&json!({"profile": {"department": "Legal"}})),
    );
    assert!(!list_all(&sim, &format!("/api/v1/groups/{target}/users")).contains(&leaver));
    let removed = members[1].clone();
    assert_eq!(
        call(
            &sim,
            "DELETE",
            &format!("/api/v1/groups/{target}/users/{removed}"),
            None
        )
        .status,
        204
    );
    assert_eq!(
        get(&sim, &path).body["conditions"]["people"]["users"]["exclude"],
        json!([removed])
    );

    assert_eq!(
        call(&sim, "POST", &format!("{path}/lifecycle/deactivate"), None).status,
        204
    );
    let other = group(&sim, "Other");
    let retargeted = call(
        &sim,
        "PUT",
        &path,
        Some(&rule("Choose", "user.department==\"Sales\"", &other)),
    );
    assert_eq!(retargeted.code(), "E0000001", "actions are immutable");
    assert_eq!(
        call(&sim, "DELETE", &format!("/api/v1/groups/{target}"), None).status,
        204
    );
    assert_eq!(get(&sim, &path).body["status"], "INVALID");
    assert_eq!(
        call(&sim, "POST", &format!("{path}/lifecycle/activate"), None).status,
        400
    );
    assert_eq!(call(&sim, "DELETE", &path, None).status, 202);
    let dangling = rule(
        "Dangling",
        &format!("isMemberOfAnyGroup(\"{target}\")"),
        &other,
    );
    assert_eq!(
        call(&sim, "POST", "/api/v1/groups/rules", Some(&dangling)).status,
        400
    );
}

#[test]
fn generated_rules_hold_for_their_members() {
    let sim = OktaSim::with_users(250);
    let rules = sim.dump("group_rule");
    let (mut checked, members) = (0, sim.ids("group_member"));
    for rule in rules.values().filter(|rule| rule["status"] == "ACTIVE") {
        let text = rule["conditions"]["expression"]["value"].as_str().unwrap();
        let Some(department) = text.strip_prefix("user.department==\"") else {
            continue;
        };
        let target = rule["actions"]["assignUserToGroups"]["groupIds"][0]
            .as_str()
            .unwrap();
        let found: Vec<String> = members
            .iter()
            .filter_map(|id| id.strip_prefix(&format!("{target}/")))
            .map(str::to_owned)
            .collect();
        assert_eq!(found, active_users(&sim, department.trim_end_matches('"')));
        checked += 1;
    }
    assert!(checked > 1);
}

#[test]
fn assignments_follow_groups_and_their_members() {
    let sim = OktaSim::with_users(60);
    let app = sim
        .dump("app")
        .into_iter()
        .find(|(_, app)| {
            app["signOnMode"] == "OPENID_CONNECT"
                && app["status"] == "ACTIVE"
                && app["name"] == "oidc_client"
        })
        .unwrap()
        .0;
    let chosen = group(&sim, "Chosen");
    let assigned = |user: &str| get(&sim, &format!("/api/v1/apps/{app}/users/{user}"));
    let body = json!({"profile": {"login": "n@x.example", "email": "n@x.example", "firstName": "N", "lastName": "X"}});
    let user = call(&sim, "POST", "/api/v1/users?activate=false", Some(&body)).body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(assigned(&user).status, 404);
    assert_eq!(
        call(
            &sim,
            "PUT",
            &format!("/api/v1/apps/{app}/groups/{chosen}"),
            Some(&json!({"priority": 3}))
        )
        .body["priority"],
        3
    );
    assert_eq!(
        call(
            &sim,
            "PUT",
            &format!("/api/v1/groups/{chosen}/users/{user}"),
            None
        )
        .status,
        204
    );
    let through = assigned(&user).body;
    assert_eq!(
        (
            through["scope"].as_str(),
            through["profile"]["given_name"].as_str()
        ),
        (Some("GROUP"), Some("N"))
    );
    assert!(
        through["_links"]["group"]["href"]
            .as_str()
            .unwrap()
            .ends_with(&chosen)
    );
    assert_eq!(
        call(
            &sim,
            "DELETE",
            &format!("/api/v1/apps/{app}/users/{user}"),
            None
        )
        .status,
        403
    );
    let direct = call(
        &sim,
        "POST",
        &format!("/api/v1/apps/{app}/users"),
        Some(&json!({"id": user, "scope": "USER", "profile": {"nickname": "enn"}})),
    );
    assert_eq!(
        (direct.status, direct.body["scope"].as_str()),
        (200, Some("USER"))
    );
    assert_eq!(
        call(
            &sim,
            "POST",
            &format!("/api/v1/apps/{app}/users"),
            Some(&json!({"id": user}))
        )
        .code(),
        "E0000062"
    );
    let strange = call(
        &sim,
        "POST",
        &format!("/api/v1/apps/{app}/users/{user}"),
        Some(&json!({"profile": {"shoeSize": 1}})),
    );
    assert_eq!(strange.code(), "E0000001");
    assert_eq!(
        call(
            &sim,
            "DELETE",
            &format!("/api/v1/apps/{app}/users/{user}"),
            None
        )
        .status,
        204
    );
    assert_eq!(assigned(&user).body["scope"], "GROUP");
    assert_eq!(
        call(&sim, "DELETE", &format!("/api/v1/groups/{chosen}"), None).status,
        204
    );
    assert_eq!(assigned(&user).status, 404);
    assert_eq!(
        get(&sim, &format!("/api/v1/apps/{app}/groups/{chosen}")).status,
        404
    );
}

#[test]
fn an_apps_policy_is_linked_by_put_and_shown_in_its_links() {
    let sim = OktaSim::with_users(250);
    let app = sim
        .dump("app")
        .into_iter()
        .find(|(_, app)| app["name"] == "bookmark")
        .unwrap()
        .0;
    let policy = sim.ids("policy_access").pop().unwrap();
    let path = format!("/api/v1/apps/{app}");
    let before = get(&sim, &path).body["lastUpdated"].clone();
    assert_eq!(
        call(&sim, "PUT", &format!("{path}/policies/{policy}"), None).status,
        204
    );
    let after = get(&sim, &path).body;
    assert!(
        after["_links"]["accessPolicy"]["href"]
            .as_str()
            .unwrap()
            .ends_with(&policy)
    );
    assert_eq!(after["lastUpdated"], before);
    assert_eq!(
        call(&sim, "PUT", &format!("{path}/policies/rst0"), None).status,
        404
    );
}

#[test]
fn types_schemas_and_mappings_follow_each_other() {
    let sim = OktaSim::with_users(60);
    let made = call(
        &sim,
        "POST",
        "/api/v1/meta/types/user",
        Some(&json!({"name": "robot", "displayName": "Robot"})),
    );
    assert_eq!(
        (made.status, made.body["default"].as_bool()),
        (200, Some(false))
    );
    let id = made.body["id"].as_str().unwrap();
    let schema = made.body["_links"]["schema"]["href"]
        .as_str()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let custom = json!({"definitions": {"custom": {"id": "#custom", "type": "object", "properties": {"model": {"title": "Model", "type": "string", "maxLength": 5}}}}});
    let path = format!("/api/v1/meta/schemas/user/{schema}");
    assert_eq!(
        call(&sim, "POST", &path, Some(&custom)).body["definitions"]["custom"]["properties"]["model"]
            ["title"],
        "Model"
    );
    let mut body = json!({"type": {"id": id}, "profile": {"login": "r2@x.example", "email": "r2@x.example", "firstName": "R", "lastName": "2", "model": "D2"}});
    let robot = call(&sim, "POST", "/api/v1/users?activate=false", Some(&body));
    assert_eq!(
        (robot.status, robot.body["type"]["id"].as_str()),
        (200, Some(id))
    );
    body["profile"]["model"] = json!("longer");
    assert_eq!(
        call(&sim, "POST", "/api/v1/users?activate=false", Some(&body)).status,
        400
    );
    assert_eq!(
        call(
            &sim,
            "DELETE",
            &format!("/api/v1/meta/types/user/{id}"),
            None
        )
        .status,
        400,
        "in use"
    );
    let gone = json!({"definitions": {"custom": {"properties": {"model": null}}}});
    let left = call(&sim, "POST", &path, Some(&gone)).body;
    assert!(
        left["definitions"]["custom"]["properties"]
            .get("model")
            .is_none()
    );
    let mapped = sim
        .dump("profile_mapping")
        .values()
        .any(|mapping| mapping["source"]["id"] == id);
    assert!(mapped);
}

#[test]
fn reads_that_are_not_content_do_not_move_last_updated() {
    let sim = OktaSim::builder()
        .users(60)
        .membership_delay(std::time::Duration::from_secs(4))
        .frozen_at(1_800_000_000_000)
        .start()
        .unwrap();
    let chosen = group(&sim, "Chosen");
    let user = sim
        .dump("user")
        .into_iter()
        .find(|(_, user)| user["status"] == "ACTIVE")
        .unwrap();
    sim.advance(std::time::Duration::from_secs(60));
    call(
        &sim,
        "PUT",
        &format!("/api/v1/groups/{chosen}/users/{}", user.0),
        None,
    );
    assert_eq!(
        get(&sim, &format!("/api/v1/users/{}", user.0)).body["lastUpdated"],
        user.1["lastUpdated"]
    );
    let read = || get(&sim, &format!("/api/v1/groups/{chosen}")).body;
    assert_eq!(
        read()["lastMembershipUpdated"],
        read()["lastUpdated"],
        "not yet written"
    );
    sim.advance(std::time::Duration::from_secs(4));
    assert_eq!(read()["lastMembershipUpdated"], "2027-01-15T08:01:00.000Z");
    assert_eq!(read()["lastUpdated"], "2027-01-15T08:00:00.000Z");
}

#[test]
fn an_apps_schema_takes_custom_attributes_and_changes_of_its_own_base() {
    let sim = OktaSim::with_users(60);
    let apps = sim.dump("app");
    let of = |name: &str| apps.iter().find(|(_, app)| app["name"] == name).unwrap().0;
    let path = format!("/api/v1/meta/schemas/apps/{}/default", of("oidc_client"));
    let change = json!({"definitions": {
        "base": {"properties": {"name": {"required": false, "title": "Name", "type": "string"}}},
        "custom": {"properties": {"shoeSize": {"title": "Shoe size", "type": "integer"}}},
    }});
    let changed = call(&sim, "POST", &path, Some(&change));
    assert_eq!(changed.status, 200, "{}", changed.body);
    assert_eq!(
        changed.body["definitions"]["base"]["required"],
        json!(["userName"])
    );
    assert_eq!(
        changed.body["definitions"]["custom"]["properties"]["shoeSize"]["type"],
        "integer"
    );
    assert_eq!(get(&sim, &path).body, changed.body);
    let system = format!("/api/v1/meta/schemas/apps/{}/default", of("saasure"));
    assert_eq!(get(&sim, &system).status, 404);
}
