//! What goes wrong in the org.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use okta_sim::{AdminAnswer, OktaSim};
use serde_json::Value;

/// How much is deleted.
const GROUPS: usize = 3;
const USERS: usize = 25;
const APPS: usize = 2;

/// Deletes groups with their rules, users and apps; says which.
pub(crate) fn strike(okta: &OktaSim) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let (rules, groups) = doomed_groups(okta);
    let admin = okta.admin();
    for (id, name) in &rules {
        must(&admin.delete_rule(id))?;
        said.push(format!("deleted the group rule {id} {name}"));
    }
    for (id, name) in &groups {
        must(&admin.delete_group(id))?;
        said.push(format!("deleted the group {id} {name}"));
    }
    let apps = doomed_apps(okta);
    for (id, label) in &apps {
        must(&admin.delete_app(id))?;
        said.push(format!("deleted the app {id} {label}"));
    }
    let users = doomed_users(okta);
    for id in users.keys() {
        must(&admin.delete_user(id))?;
    }
    let logins: Vec<_> = users.values().map(String::as_str).collect();
    said.push(format!(
        "deleted {} users: {}",
        users.len(),
        logins.join(", ")
    ));
    ensure!(
        groups.len() == GROUPS && users.len() == USERS && apps.len() == APPS,
        "the org is too small for the disaster"
    );
    Ok(said)
}

fn must(answer: &AdminAnswer) -> Result<()> {
    ensure!(
        answer.is_success(),
        "the org refused: {} {}",
        answer.status,
        answer.body
    );
    Ok(())
}

/// Groups with members, those first that rules put people into; and all rules that name them.
fn doomed_groups(okta: &OktaSim) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let all_rules = okta.dump("group_rule");
    let targets = |rule: &Value| -> Vec<String> {
        strings(rule.pointer("/actions/assignUserToGroups/groupIds"))
    };
    let ruled: Vec<String> = all_rules.values().flat_map(targets).collect();
    let members = okta.ids("group_member");
    let populated = |id: &String| members.iter().any(|member| member.starts_with(id.as_str()));
    let mut candidates: Vec<(String, String)> = okta
        .dump("group")
        .into_iter()
        .filter(|(_, group)| text(group, "/type") == "OKTA_GROUP")
        .filter(|(id, _)| populated(id))
        .map(|(id, group)| (id, text(&group, "/profile/name")))
        .collect();
    candidates.sort_by_key(|(id, _)| (!ruled.contains(id), id.clone()));
    let groups: BTreeMap<_, _> = candidates.into_iter().take(GROUPS).collect();
    let rules = all_rules
        .into_iter()
        .filter(|(_, rule)| {
            targets(rule)
                .iter()
                .any(|target| groups.contains_key(target))
        })
        .map(|(id, rule)| (id, text(&rule, "/name")))
        .collect();
    (rules, groups)
}

/// Apps that people and groups are assigned to.
fn doomed_apps(okta: &OktaSim) -> BTreeMap<String, String> {
    let assigned = okta.ids("app_group_assignment");
    let is_assigned = |id: &String| assigned.iter().any(|one| one.starts_with(id.as_str()));
    let apps = okta.dump("app").into_iter();
    apps.filter(|(id, _)| is_assigned(id))
        .take(APPS)
        .map(|(id, app)| (id, text(&app, "/label")))
        .collect()
}

/// Users of whom Okta lets everything be put back: who was deactivated would stay away, who was
/// suspended must be active first, and into an app's own groups only that app puts people.
fn doomed_users(okta: &OktaSim) -> BTreeMap<String, String> {
    let groups = okta.dump("group");
    let of_an_app = |member: &String| {
        let group = member.split('/').next().and_then(|id| groups.get(id));
        group.is_some_and(|group| text(group, "/type") == "APP_GROUP")
    };
    let members = okta.ids("group_member").into_iter().filter(of_an_app);
    let kept: BTreeSet<String> = members
        .filter_map(|member| member.split('/').nth(1).map(str::to_owned))
        .collect();
    let users = okta.dump("user").into_iter();
    users
        .filter(|(id, user)| text(user, "/status") == "ACTIVE" && !kept.contains(id))
        .step_by(5)
        .take(USERS)
        .map(|(id, user)| (id, text(&user, "/profile/login")))
        .collect()
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use okta_sim::picture::Picture;

    use super::{OktaSim, strike};

    #[test]
    fn the_disaster_takes_what_it_says_and_all_that_hung_on_it() {
        let okta = OktaSim::with_users(400);
        let before = Picture::of(&okta);
        let said = strike(&okta).unwrap();
        for word in ["the group rule ", "the group ", "the app ", "25 users"] {
            assert!(
                said.iter().any(|line| line.contains(word)),
                "{word}: {said:?}"
            );
        }
        let after = Picture::of(&okta);
        let missing = before.missing_in(&after);
        for object_type in [
            "user",
            "group",
            "group_rule",
            "app",
            "group_member",
            "app_user",
        ] {
            let start = format!("{object_type}: ");
            assert!(
                missing.iter().any(|line| line.starts_with(&start)),
                "{object_type}"
            );
        }
    }
}
