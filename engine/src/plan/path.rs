//! Walking JSON by the catalogue's paths.
//!
//! A path is keys joined by dots; `[]` after a key steps into each element of an array, and `*` into
//! each value of an object.

use std::collections::BTreeMap;

use crate::canonical::Json;

/// One step of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// Into the property with this name.
    Key(&'a str),
    /// Into each element of an array.
    Each,
    /// Into each value of an object.
    Any,
}

/// Takes a path apart.
pub(crate) fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.') {
        let key = part.trim_end_matches("[]");
        match key {
            "" => {}
            "*" => steps.push(Step::Any),
            key => steps.push(Step::Key(key)),
        }
        for _ in 0..(part.len() - key.len()) / 2 {
            steps.push(Step::Each);
        }
    }
    steps
}

/// Gives every value the path leads to.
pub(crate) fn visit<'j>(json: &'j Json, path: &[Step<'_>], take: &mut dyn FnMut(&'j Json)) {
    let Some((step, rest)) = path.split_first() else {
        take(json);
        return;
    };
    match (step, json) {
        (Step::Key(key), Json::Object(fields)) => {
            if let Some(value) = fields.get(*key) {
                visit(value, rest, take);
            }
        }
        (Step::Each, Json::Array(items)) => items.iter().for_each(|item| visit(item, rest, take)),
        (Step::Any, Json::Object(fields)) => {
            fields.values().for_each(|value| visit(value, rest, take));
        }
        _ => {}
    }
}

/// Gives every value the path leads to, to be changed in place.
pub(crate) fn visit_mut(json: &mut Json, path: &[Step<'_>], change: &mut dyn FnMut(&mut Json)) {
    let Some((step, rest)) = path.split_first() else {
        change(json);
        return;
    };
    match (step, json) {
        (Step::Key(key), Json::Object(fields)) => {
            if let Some(value) = fields.get_mut(*key) {
                visit_mut(value, rest, change);
            }
        }
        (Step::Each, Json::Array(items)) => {
            items
                .iter_mut()
                .for_each(|item| visit_mut(item, rest, change));
        }
        (Step::Any, Json::Object(fields)) => {
            fields
                .values_mut()
                .for_each(|value| visit_mut(value, rest, change));
        }
        _ => {}
    }
}

/// Takes away every property the path leads to.
pub(crate) fn remove(json: &mut Json, path: &[Step<'_>]) {
    let Some((last, rest)) = path.split_last() else {
        return;
    };
    if let Step::Key(key) = last {
        visit_mut(json, rest, &mut |holder| {
            if let Json::Object(fields) = holder {
                fields.remove(*key);
            }
        });
    }
}

/// The value at a path of keys alone.
pub(crate) fn at<'j>(json: &'j Json, path: &str) -> Option<&'j Json> {
    let mut found = None;
    visit(json, &steps(path), &mut |value| {
        found = found.or(Some(value))
    });
    found
}

/// The string at a path of keys alone.
pub(crate) fn text_at<'j>(json: &'j Json, path: &str) -> Option<&'j str> {
    match at(json, path)? {
        Json::String(text) => Some(text),
        _ => None,
    }
}

/// Puts a value at a path of keys, making the objects on the way; `None` takes it away.
pub(crate) fn set(json: &mut Json, keys: &[&str], value: Option<Json>) {
    let Some((key, rest)) = keys.split_first() else {
        *json = value.unwrap_or(Json::Null);
        return;
    };
    if !matches!(json, Json::Object(_)) {
        if value.is_none() {
            return;
        }
        *json = Json::Object(BTreeMap::new());
    }
    let Json::Object(fields) = json else {
        return;
    };
    if rest.is_empty() {
        match value {
            Some(value) => drop(fields.insert((*key).to_owned(), value)),
            None => drop(fields.remove(*key)),
        }
    } else if value.is_some() || fields.contains_key(*key) {
        set(
            fields.entry((*key).to_owned()).or_insert(Json::Null),
            rest,
            value,
        );
    }
}

/// Whether a value says nothing: null, or an empty object or array.
pub(crate) fn is_nothing(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.values().all(is_nothing),
        _ => false,
    }
}

/// Whether two values say the same, absent, null and empty counting as equal.
pub(crate) fn same(one: Option<&Json>, other: Option<&Json>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(value), None) | (None, Some(value)) => is_nothing(value),
        (Some(Json::Object(a)), Some(Json::Object(b))) => {
            a.iter().all(|(key, value)| same(Some(value), b.get(key)))
                && b.iter()
                    .all(|(key, value)| a.contains_key(key) || is_nothing(value))
        }
        (Some(Json::Array(a)), Some(Json::Array(b))) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(Some(a), Some(b)))
        }
        (Some(a), Some(b)) => a == b || (is_nothing(a) && is_nothing(b)),
    }
}

/// Leaves out every property that is null, at any depth of objects.
pub(crate) fn without_nulls(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            fields.retain(|_, value| *value != Json::Null);
            fields.values_mut().for_each(without_nulls);
        }
        Json::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
