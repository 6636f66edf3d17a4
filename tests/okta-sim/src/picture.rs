//! Tells whether an org has everything that it had, although what was recreated has a new id.
//!
//! Each object is known by its name, each relation by the names of its two ends; in what is compared,
//! ids are replaced by these names. Read from the simulator itself: the product has no part in it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::OktaSim;

/// The types with a name of their own, and where it is.
const NAMED: [(&str, &[&str]); 4] = [
    ("user", &["/profile/login"]),
    ("group", &["/type", "/profile/name"]),
    ("group_rule", &["/name"]),
    ("app", &["/label"]),
];

/// Relations, whose id is `PARENT/KEY`.
const RELATIONS: [&str; 3] = ["group_member", "app_user", "app_group_assignment"];

/// What is compared beyond the name. Not an app's `name`, which Okta makes up when it is created.
const COMPARED: [(&str, &[&str]); 6] = [
    ("user", &["/profile", "/type"]),
    ("group", &["/profile"]),
    ("group_rule", &["/status", "/conditions", "/actions"]),
    (
        "app",
        &[
            "/status",
            "/signOnMode",
            "/visibility/hide",
            "/settings",
            "/_links/accessPolicy/href",
        ],
    ),
    ("app_user", &["/scope", "/profile"]),
    ("app_group_assignment", &["/priority", "/profile"]),
];

/// Types that survive, but may name what did not.
const REFERRING: [&str; 7] = [
    "policy_okta_sign_on",
    "policy_password",
    "policy_mfa_enroll",
    "policy_access",
    "policy_profile_enrollment",
    "policy_idp_discovery",
    "policy_rule",
];

/// An org without its ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture(BTreeMap<String, usize>);

impl Picture {
    /// Takes a picture of the org as it is now.
    #[must_use]
    pub fn of(okta: &OktaSim) -> Self {
        let mut dumps: BTreeMap<&str, BTreeMap<String, Value>> = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (object_type, pointers) in NAMED {
            let dump = okta.dump(object_type);
            for (id, object) in &dump {
                let parts: Vec<_> = pointers
                    .iter()
                    .map(|pointer| text(object, pointer))
                    .collect();
                names.insert(id.clone(), format!("{object_type} {}", parts.join(" ")));
            }
            dumps.insert(object_type, dump);
        }
        for object_type in RELATIONS.into_iter().chain(REFERRING) {
            dumps.insert(object_type, okta.dump(object_type));
        }
        let mut lines = BTreeMap::new();
        for (object_type, dump) in &dumps {
            for (id, object) in dump {
                *lines
                    .entry(line(object_type, id, object, &names))
                    .or_default() += 1;
            }
        }
        Self(lines)
    }

    /// How many objects and relations are in the picture.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().sum()
    }

    /// Whether the picture shows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What this picture shows, and the other does not or less often.
    #[must_use]
    pub fn missing_in(&self, other: &Self) -> Vec<&str> {
        let shown = |line: &String| other.0.get(line).copied().unwrap_or_default();
        let missing = self.0.iter().filter(|(line, count)| shown(line) < **count);
        missing.map(|(line, _)| line.as_str()).collect()
    }
}

fn line(object_type: &str, id: &str, object: &Value, names: &BTreeMap<String, String>) -> String {
    let ends: Vec<_> = id.split('/').map(|end| name(end, names)).collect();
    let mut line = format!("{object_type}: {}", ends.join(" / "));
    let compared = COMPARED.iter().find(|(name, _)| *name == object_type);
    let compared = compared.map(|(_, pointers)| *pointers);
    let compared = match compared {
        None if REFERRING.contains(&object_type) => &["/conditions", "/settings", "/actions"],
        other => other.unwrap_or_default(),
    };
    // A deactivated user cannot be changed, not even to name a manager who has a new id.
    if text(object, "/status") == "DEPROVISIONED" {
        return line;
    }
    for value in compared
        .iter()
        .filter_map(|pointer| object.pointer(pointer))
    {
        line.push(' ');
        line.push_str(&without_ids(&without_nulls(value).to_string(), names));
    }
    line
}

/// Okta treats a property that is null as one that is absent.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(name, value)| (name.clone(), without_nulls(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn name<'a>(id: &'a str, names: &'a BTreeMap<String, String>) -> &'a str {
    names.get(id).map_or(id, String::as_str)
}

/// Okta's ids stand out: twenty letters and digits, between others. Each is replaced by its name.
fn without_ids(json: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphanumeric()) {
        let (before, word) = rest.split_at(start);
        let end = word
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        text.push_str(before);
        text.push_str(name(word, names));
        rest = after;
    }
    text.push_str(rest);
    text
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Picture;
    use crate::OktaSim;

    #[test]
    fn what_is_recreated_with_another_id_is_not_missing() {
        let okta = OktaSim::with_users(30);
        let admin = okta.admin();
        let profile = json!({"profile": {"name": "Short-lived", "description": "A test's own"}});
        let id = admin.post("/api/v1/groups", profile.clone()).id();
        let before = Picture::of(&okta);
        assert!(admin.delete_group(&id).is_success());
        let without = Picture::of(&okta);
        assert_eq!(before.len(), without.len() + 1);
        assert_eq!(before.missing_in(&without).len(), 1);
        assert_ne!(admin.post("/api/v1/groups", profile).id(), id);
        assert!(before.missing_in(&Picture::of(&okta)).is_empty());
    }

    #[test]
    fn a_relation_and_a_value_that_are_gone_are_missing() {
        let okta = OktaSim::with_users(30);
        let before = Picture::of(&okta);
        let member = okta.ids("group_member").remove(0);
        let path = format!("/api/v1/groups/{}", member.replace('/', "/users/"));
        assert!(okta.admin().delete(&path).is_success());
        let missing = Picture::of(&okta);
        let missing = before.missing_in(&missing);
        assert!(
            missing
                .iter()
                .any(|line| line.starts_with("group_member: ")),
            "{missing:?}"
        );
        let user = okta.ids("user").remove(1);
        let title = json!({"profile": {"title": "Another"}});
        assert!(
            okta.admin()
                .post(&format!("/api/v1/users/{user}"), title)
                .is_success()
        );
        let after = Picture::of(&okta);
        assert!(
            before
                .missing_in(&after)
                .iter()
                .any(|line| line.starts_with("user: "))
        );
    }
}
