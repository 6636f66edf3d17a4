//! What of an object can be written, and how two objects of a type differ in it.

use std::collections::BTreeMap;

use crate::canonical::Json;
use crate::catalogue::{Entry, ObjectType, UpdateStyle};
use crate::id::hex;

use super::path::{is_nothing, remove, same, set, steps, text_at};
use super::{AttributeChange, JsonText};

/// States of a user that count as equal: none of them can be set, and all of them can sign in or soon will.
const USER_IN_USE: &[&str] = &[
    "ACTIVE",
    "PROVISIONED",
    "PASSWORD_EXPIRED",
    "RECOVERY",
    "LOCKED_OUT",
];

/// Reads a canonical body; an empty one is an empty object.
pub(crate) fn parse(body: &[u8]) -> Json {
    if body.is_empty() {
        return Json::Object(BTreeMap::new());
    }
    Json::parse(body).unwrap_or(Json::Null)
}

/// Takes away what cannot be written, links included.
pub(crate) fn writable(entry: &Entry, json: &Json) -> Json {
    let mut left = json.clone();
    for path in entry.read_only {
        remove(&mut left, &steps(path));
    }
    // Which objects are Okta's own is Okta's affair.
    for path in ["_links", "_embedded", "_link", "system"] {
        remove(&mut left, &steps(path));
    }
    if entry.name == "user" {
        // A user's type is chosen at creation; another one later would erase attributes.
        remove(&mut left, &steps("type"));
        remove(&mut left, &steps("credentials"));
    }
    if entry.name == "app" {
        // The link is kept in the body as a reference; the rest of the list says who may do what.
        remove(&mut left, &steps("name"));
    }
    left
}

/// What identifies the state of a live object between planning and applying.
///
/// Left out is what cannot be written, and `priority`, which moves when a neighbour is created.
pub(crate) fn fingerprint(object_type: ObjectType, body: &[u8]) -> String {
    let mut json = writable(object_type.entry(), &parse(body));
    remove(&mut json, &steps("priority"));
    let hash = blake3::hash(&json.to_bytes());
    hex(hash.as_bytes().get(..16).unwrap_or_default())
}

/// One property that is different: its path of keys, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: Vec<String>,
    pub(crate) from: Option<Json>,
    pub(crate) to: Option<Json>,
}

impl Difference {
    pub(crate) fn change(&self) -> AttributeChange {
        let text = |json: &Option<Json>| {
            json.as_ref()
                .map(|json| JsonText::from_bytes(&json.to_bytes()))
        };
        AttributeChange {
            path: self.path.join("."),
            from: text(&self.from),
            to: text(&self.to),
        }
    }
}

/// Every property in which `to` differs from `from`, objects taken apart and arrays as wholes.
pub(crate) fn differences(from: &Json, to: &Json) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(&mut Vec::new(), Some(from), Some(to), &mut found);
    found
}

fn compare(
    path: &mut Vec<String>,
    from: Option<&Json>,
    to: Option<&Json>,
    found: &mut Vec<Difference>,
) {
    if same(from, to) {
        return;
    }
    let empty = BTreeMap::new();
    let (before, after) = match (from, to) {
        (Some(Json::Object(a)), Some(Json::Object(b))) => (a, b),
        (Some(Json::Object(a)), None) => (a, &empty),
        (None, Some(Json::Object(b))) => (&empty, b),
        _ => {
            found.push(Difference {
                path: path.clone(),
                from: from.cloned(),
                to: to.cloned(),
            });
            return;
        }
    };
    for (key, value) in before {
        path.push(key.clone());
        compare(path, Some(value), after.get(key), found);
        path.pop();
    }
    for (key, value) in after {
        if !before.contains_key(key) {
            path.push(key.clone());
            compare(path, None, Some(value), found);
            path.pop();
        }
    }
}

/// The differences that bring `live` to the snapshot's values: what the snapshot does not have stays.
pub(crate) fn additions(entry: &Entry, live: &Json, wanted: &Json) -> Vec<Difference> {
    let (live, wanted) = (writable(entry, live), writable(entry, wanted));
    let mut found = differences(&live, &wanted);
    found.retain(|difference| difference.to.as_ref().is_some_and(|to| !is_nothing(to)));
    if let Some(lifecycle) = entry.lifecycle {
        found.retain(|difference| difference.path.join(".") != lifecycle.path);
    }
    found
}

/// The body of an update: for a type that is replaced the whole live object with the changes in it,
/// for one that merges the changes alone.
pub(crate) fn update_body(entry: &Entry, live: &Json, changes: &[Difference]) -> Json {
    let mut body = match entry.update {
        UpdateStyle::Merge(_) => Json::Object(BTreeMap::new()),
        UpdateStyle::Replace(_) | UpdateStyle::Never => live.clone(),
    };
    for change in changes {
        let keys: Vec<&str> = change.path.iter().map(String::as_str).collect();
        set(&mut body, &keys, change.to.clone());
    }
    body
}

/// Whether two states of an object count as equal when planning.
pub(crate) fn same_status(object_type: ObjectType, one: &str, other: &str) -> bool {
    one == other
        || (object_type.name() == "user"
            && USER_IN_USE.contains(&one)
            && USER_IN_USE.contains(&other))
}

/// Whether a user's state is one of those that can sign in or soon will.
pub(crate) fn is_in_use(status: &str) -> bool {
    USER_IN_USE.contains(&status)
}

/// The state of an object, where its type has one.
pub(crate) fn status<'j>(entry: &Entry, json: &'j Json) -> Option<&'j str> {
    text_at(json, entry.lifecycle?.path)
}

/// The name for people: the first of the catalogue's places that holds a text.
#[must_use]
pub fn name_of(object_type: ObjectType, body: &[u8]) -> Option<String> {
    let json = parse(body);
    name_in(object_type.entry(), &json)
}

/// The name for people of a parsed object.
pub(crate) fn name_in(entry: &Entry, json: &Json) -> Option<String> {
    entry
        .name_paths
        .iter()
        .find_map(|path| text_at(json, path))
        .map(str::to_owned)
}

/// Whether the org makes the object itself; `Some(updatable)` where it does.
pub(crate) fn system_mark(entry: &Entry, json: &Json) -> Option<bool> {
    entry.system.iter().find_map(|mark| {
        let value = super::path::at(json, mark.path)?.to_bytes();
        mark.values
            .iter()
            .any(|text| text.as_bytes() == value)
            .then_some(mark.updatable)
    })
}
