//! Small orgs made up at random, of which something is lost at random.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::plan::{IdMap, Mode};
use crate::testing::fake::Fake;

use super::tests::{as_it_was, restore_and_prove_in};

/// The states of users, by number.
const STATES: [&str; 3] = ["ACTIVE", "STAGED", "SUSPENDED"];

/// What an org is made of. Indices choose among what there is.
#[derive(Debug, Clone)]
struct Recipe {
    groups: usize,
    zones: Vec<bool>,
    access: usize,
    users: Vec<(usize, Option<Index>)>,
    apps: Vec<(Index, bool)>,
    members: BTreeSet<(usize, usize)>,
    app_groups: BTreeSet<(usize, usize)>,
    app_users: BTreeSet<(usize, usize)>,
    rules: Vec<GroupRule>,
    policies: Vec<Policy>,
}

#[derive(Debug, Clone)]
struct GroupRule {
    asks: BTreeSet<usize>,
    assigns: BTreeSet<usize>,
    excludes: BTreeSet<usize>,
    active: bool,
}

#[derive(Debug, Clone)]
struct Policy {
    groups: BTreeSet<usize>,
    /// Zones and excluded users of each rule.
    rules: Vec<(BTreeSet<usize>, BTreeSet<usize>)>,
}

/// The most of anything.
const MOST: usize = 4;

fn some(from: usize) -> impl Strategy<Value = BTreeSet<usize>> {
    btree_set(0..MOST, from..3)
}

fn pairs() -> impl Strategy<Value = BTreeSet<(usize, usize)>> {
    btree_set((0..MOST, 0..MOST), 0..6)
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let rule =
        (some(1), some(1), some(0), any::<bool>()).prop_map(|(asks, assigns, excludes, active)| {
            GroupRule {
                asks,
                assigns,
                excludes,
                active,
            }
        });
    let policy = (some(0), vec((some(0), some(0)), 0..3))
        .prop_map(|(groups, rules)| Policy { groups, rules });
    let things = (
        1..=MOST,
        vec(any::<bool>(), 1..=MOST),
        1..=3usize,
        vec((0..STATES.len(), any::<Option<Index>>()), 1..=MOST),
        vec((any::<Index>(), any::<bool>()), 0..3),
    );
    let ties = (
        pairs(),
        pairs(),
        pairs(),
        vec(rule, 0..3),
        vec(policy, 0..4),
    );
    (things, ties).prop_map(|(things, ties)| {
        let (groups, zones, access, users, apps) = things;
        let (members, app_groups, app_users, rules, policies) = ties;
        Recipe {
            groups,
            zones,
            access,
            users,
            apps,
            members,
            app_groups,
            app_users,
            rules,
            policies,
        }
    })
}

/// The org, and everything of it that can be lost.
struct Made {
    org: Fake,
    things: Vec<(&'static str, String)>,
}

/// The ids that numbers stand for; numbers of what there is not stand for nothing.
fn ids<'a>(numbers: &BTreeSet<usize>, of: &'a [String]) -> Vec<&'a str> {
    numbers
        .iter()
        .filter_map(|number| of.get(*number))
        .map(String::as_str)
        .collect()
}

fn list(ids: &[&str]) -> String {
    serde_json::to_string(ids).unwrap()
}

fn make(recipe: &Recipe) -> Made {
    let org = Fake::default();
    let mut things = Vec::new();
    let user_type = org.put("user_type", None, r#"{"name":"user","default":true}"#);
    org.put(
        "group",
        None,
        r#"{"type":"BUILT_IN","profile":{"name":"Everyone"}}"#,
    );
    let groups: Vec<String> = (0..recipe.groups)
        .map(|n| {
            let text = format!(r#"{{"type":"OKTA_GROUP","profile":{{"name":"G{n}"}}}}"#);
            org.put("group", None, &text)
        })
        .collect();
    let mut users: Vec<String> = Vec::new();
    for (n, (state, manager)) in recipe.users.iter().enumerate() {
        let manager = manager.filter(|_| !users.is_empty());
        let manager = manager.map_or("nobody", |index| index.get(&users).as_str());
        let text = format!(
            r#"{{"status":"{}","type":{{"id":"{user_type}"}},"profile":{{"login":"u{n}@example.com","managerId":"{manager}"}}}}"#,
            STATES[*state]
        );
        users.push(org.put("user", None, &text));
    }
    let zones: Vec<String> = recipe
        .zones
        .iter()
        .enumerate()
        .map(|(n, active)| {
            let status = if *active { "ACTIVE" } else { "INACTIVE" };
            let text =
                format!(r#"{{"name":"Z{n}","type":"IP","status":"{status}","system":false}}"#);
            org.put("network_zone", None, &text)
        })
        .collect();
    let mut access = Vec::new();
    for n in 1..=recipe.access {
        let text = format!(
            r#"{{"type":"ACCESS_POLICY","name":"A{n}","status":"ACTIVE","system":false,"priority":{n}}}"#
        );
        let id = org.put("policy_access", None, &text);
        org.put("policy_rule", Some(&id), r#"{"name":"Catch-all Rule","system":true,"priority":99,"type":"ACCESS_POLICY","status":"ACTIVE","actions":{"appSignOn":{"access":"ALLOW"}}}"#);
        access.push(id);
    }
    org.put(
        "policy_access",
        None,
        r#"{"type":"ACCESS_POLICY","name":"Default","status":"ACTIVE","system":true,"priority":9}"#,
    );
    let mut apps = Vec::new();
    for (n, (policy, active)) in recipe.apps.iter().enumerate() {
        let (policy, status) = (
            policy.get(&access),
            if *active { "ACTIVE" } else { "INACTIVE" },
        );
        let app = org.put("app", None, &format!(r#"{{"name":"oidc_client","label":"App {n}","signOnMode":"OPENID_CONNECT","status":"{status}","credentials":{{"oauthClient":{{"client_id":"client-{n}","token_endpoint_auth_method":"none"}}}},"_links":{{"accessPolicy":{{"href":"https://org/api/v1/policies/{policy}"}}}}}}"#));
        org.put("app_user_schema", Some(&app), r#"{"definitions":{"base":{"properties":{}},"custom":{"properties":{"level":{"type":"string"}}}}}"#);
        org.put("profile_mapping", None, &format!(r#"{{"source":{{"id":"{app}"}},"target":{{"id":"{user_type}"}},"properties":{{"level":{{"expression":"appuser.level"}}}}}}"#));
        apps.push(app);
    }
    for (relation, pairs, parents, keys, body) in [
        ("group_member", &recipe.members, &groups, &users, "{}"),
        (
            "app_group_assignment",
            &recipe.app_groups,
            &apps,
            &groups,
            r#"{"priority":0,"profile":{"role":"r"}}"#,
        ),
        (
            "app_user",
            &recipe.app_users,
            &apps,
            &users,
            r#"{"scope":"USER","profile":{"level":"gold"}}"#,
        ),
    ] {
        for (parent, key) in pairs {
            if let (Some(parent), Some(key)) = (parents.get(*parent), keys.get(*key)) {
                org.put_relation(relation, parent, key, body);
            }
        }
    }
    for (n, rule) in recipe.rules.iter().enumerate() {
        let asks: Vec<String> = ids(&rule.asks, &groups)
            .iter()
            .map(|id| format!(r#"\"{id}\""#))
            .collect();
        let (assigns, excludes) = (ids(&rule.assigns, &groups), ids(&rule.excludes, &users));
        if asks.is_empty() || assigns.is_empty() {
            continue;
        }
        let text = format!(
            r#"{{"type":"group_rule","name":"Rule {n}","status":"{}","conditions":{{"people":{{"users":{{"exclude":{}}}}},"expression":{{"type":"urn:okta:expression:1.0","value":"isMemberOfAnyGroup({})"}}}},"actions":{{"assignUserToGroups":{{"groupIds":{}}}}}}}"#,
            if rule.active { "ACTIVE" } else { "INACTIVE" },
            list(&excludes),
            asks.join(","),
            list(&assigns)
        );
        things.push(("group_rule", org.put("group_rule", None, &text)));
    }
    for (policy, place) in recipe.policies.iter().zip(1..) {
        let text = format!(
            r#"{{"type":"OKTA_SIGN_ON","name":"P{place}","status":"ACTIVE","system":false,"priority":{place},"conditions":{{"people":{{"groups":{{"include":{}}}}}}}}}"#,
            list(&ids(&policy.groups, &groups))
        );
        let id = org.put("policy_okta_sign_on", None, &text);
        for ((of, excluded), place) in policy.rules.iter().zip(1..) {
            let text = format!(
                r#"{{"name":"R{place}","system":false,"priority":{place},"type":"SIGN_ON","status":"ACTIVE","conditions":{{"network":{{"connection":"ZONE","include":{}}},"people":{{"users":{{"exclude":{}}}}}}},"actions":{{"signon":{{"access":"ALLOW"}}}}}}"#,
                list(&ids(of, &zones)),
                list(&ids(excluded, &users))
            );
            things.push(("policy_rule", org.put("policy_rule", Some(&id), &text)));
        }
        things.push(("policy_okta_sign_on", id));
    }
    for (object_type, all) in [
        ("group", groups),
        ("user", users),
        ("network_zone", zones),
        ("policy_access", access),
        ("app", apps),
    ] {
        things.extend(all.into_iter().map(|id| (object_type, id)));
    }
    org.keep_order();
    org.later(100);
    Made { org, things }
}

/// The org as it must be afterwards: as it was, but for users that were suspended, and lost.
fn expected(made: &Made, lost: &BTreeSet<&(&'static str, String)>) -> BTreeMap<String, String> {
    let mut objects = as_it_was(&made.org, &IdMap::default());
    for (object_type, id) in lost {
        if let Some(text) = objects.get_mut(&format!("{object_type}/{id}")) {
            *text = text.replace("\"status\":\"SUSPENDED\"", "\"status\":\"STAGED\"");
        }
    }
    objects
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_a_random_org_loses_comes_back_and_nothing_else_changes(
        recipe in recipe(),
        lost in vec(any::<Index>(), 1..8),
        forgotten in any::<bool>(),
        additive in any::<bool>(),
    ) {
        let made = make(&recipe);
        let target = made.org.model();
        let lost: BTreeSet<&(&'static str, String)> =
            lost.iter().map(|index| index.get(&made.things)).collect();
        let before = expected(&made, &lost);
        for (object_type, id) in &lost {
            match forgotten {
                true => made.org.delete_and_forget(object_type, id),
                false => made.org.delete(object_type, id),
            }
        }
        made.org.later(100);
        let mode = if additive { Mode::Additive } else { Mode::Missing };
        let (_, _, ids) = restore_and_prove_in(mode, &target, &made.org);
        prop_assert_eq!(as_it_was(&made.org, &ids), before);
    }
}
