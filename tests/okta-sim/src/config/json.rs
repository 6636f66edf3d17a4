//! Small helpers over JSON bodies.

use serde_json::{Map, Value};

/// The value at a dotted path, `channel.config.uri`.
pub(crate) fn at<'a>(body: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut keys = path.split('.');
    let mut value = body.get(keys.next()?)?;
    for key in keys {
        value = value.get(key)?;
    }
    Some(value)
}

/// The object at a dotted path, to change it.
pub(crate) fn object_at<'a>(
    body: &'a mut Map<String, Value>,
    path: &str,
) -> Option<&'a mut Map<String, Value>> {
    let mut object = body;
    for key in path.split('.') {
        object = object.get_mut(key)?.as_object_mut()?;
    }
    Some(object)
}

/// The text of a property, empty where there is none.
pub(crate) fn text<'a>(body: &'a Map<String, Value>, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Every string at a path in which `[]` goes through the items of an array.
pub(crate) fn strings_at<'a>(body: &'a Map<String, Value>, path: &str) -> Vec<&'a str> {
    let mut keys = path.split('.');
    let mut values: Vec<&Value> = keys.next().map(|key| step(body, key)).unwrap_or_default();
    for key in keys {
        values = values
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|object| step(object, key))
            .collect();
    }
    values.into_iter().filter_map(Value::as_str).collect()
}

fn step<'a>(object: &'a Map<String, Value>, key: &str) -> Vec<&'a Value> {
    match key.strip_suffix("[]") {
        None => object.get(key).into_iter().collect(),
        Some(key) => object
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .collect(),
    }
}

/// Sets the properties that `body` lacks or has as null, down through objects.
pub(crate) fn fill(body: &mut Map<String, Value>, defaults: &Value) {
    let Some(defaults) = defaults.as_object() else {
        return;
    };
    for (key, default) in defaults {
        match body.get_mut(key) {
            Some(Value::Object(inner)) => fill(inner, default),
            Some(Value::Null) | None => {
                body.insert(key.clone(), default.clone());
            }
            Some(_) => {}
        }
    }
}

/// Lays `patch` over `body`, property by property.
pub(crate) fn merge(body: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (key, value) in patch {
        match (body.get_mut(key), value) {
            (Some(Value::Object(inner)), Value::Object(patch)) => merge(inner, patch),
            _ => {
                body.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{at, fill, merge, strings_at};
    use serde_json::{Map, Value, json};

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    #[test]
    fn paths_go_through_objects_and_arrays() {
        let body = object(json!({"a": {"b": [{"c": "1"}, {"c": "2"}, {"d": "3"}], "e": ["4"]}}));
        assert_eq!(strings_at(&body, "a.b[].c"), ["1", "2"]);
        assert_eq!(strings_at(&body, "a.e[]"), ["4"]);
        assert!(strings_at(&body, "a.x[].c").is_empty());
        assert_eq!(at(&body, "a.e"), Some(&json!(["4"])));
    }

    #[test]
    fn fill_keeps_and_merge_replaces_what_is_there() {
        let mut filled = object(json!({"a": {"b": 1, "n": null}}));
        fill(&mut filled, &json!({"a": {"b": 2, "c": 3, "n": 4}, "d": 5}));
        assert_eq!(
            filled,
            object(json!({"a": {"b": 1, "c": 3, "n": 4}, "d": 5}))
        );
        let mut merged = object(json!({"a": {"b": 1, "c": 2}}));
        merge(&mut merged, &object(json!({"a": {"b": 9}})));
        assert_eq!(merged, object(json!({"a": {"b": 9, "c": 2}})));
    }
}
