//! The filter expressions that lists of zones and trusted origins accept: `property eq value`, joined by `and` or `or`.

use serde_json::{Map, Value};

use crate::wire::Refusal;

/// A parsed filter: any of these groups, in each of which every term holds.
#[derive(Debug)]
pub(crate) struct Filter {
    any: Vec<Vec<(String, String)>>,
}

impl Filter {
    /// Parses an expression over `properties`.
    ///
    /// # Errors
    ///
    /// 400 `E0000053` for any other operator or property.
    pub(crate) fn parse(expression: &str, properties: &[&str]) -> Result<Self, Refusal> {
        let plain = expression.replace(['(', ')'], "");
        let any = plain
            .split(" or ")
            .map(|group| {
                group
                    .split(" and ")
                    .map(|term| parse_term(term, properties))
                    .collect()
            })
            .collect::<Option<Vec<Vec<(String, String)>>>>();
        any.map(|any| Self { any }).ok_or_else(|| Refusal {
            status: 400,
            code: "E0000053",
            summary: "Invalid filter".to_owned(),
            causes: Vec::new(),
        })
    }

    /// Whether a body satisfies it. `type` is that of any of the body's `scopes` where it has some.
    pub(crate) fn matches(&self, body: &Map<String, Value>) -> bool {
        self.any
            .iter()
            .any(|group| group.iter().all(|(key, wanted)| holds(body, key, wanted)))
    }
}

fn parse_term(term: &str, properties: &[&str]) -> Option<(String, String)> {
    let (key, value) = term.trim().split_once(" eq ")?;
    let key = key.trim();
    properties
        .contains(&key)
        .then(|| (key.to_owned(), value.trim().trim_matches('"').to_owned()))
}

fn holds(body: &Map<String, Value>, key: &str, wanted: &str) -> bool {
    let is_wanted = |value: &Value| match value {
        Value::String(text) => text == wanted,
        Value::Bool(flag) => flag.to_string() == wanted,
        _ => false,
    };
    match body.get("scopes").and_then(Value::as_array) {
        Some(scopes) if key == "type" => scopes
            .iter()
            .filter_map(|scope| scope.get("type"))
            .any(is_wanted),
        _ => body.get(key).is_some_and(is_wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::Filter;
    use serde_json::{Map, Value, json};

    fn body(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn terms_join_by_and_and_or() {
        let filter = Filter::parse(r#"(id eq "a" or id eq "b") "#, &["id"]).unwrap();
        assert!(filter.matches(&body(json!({"id": "b"}))));
        assert!(!filter.matches(&body(json!({"id": "c"}))));
        let filter = Filter::parse(
            "usage eq \"POLICY\" and system eq false",
            &["usage", "system"],
        )
        .unwrap();
        assert!(filter.matches(&body(json!({"usage": "POLICY", "system": false}))));
        assert!(!filter.matches(&body(json!({"usage": "POLICY", "system": true}))));
    }

    #[test]
    fn unknown_properties_and_operators_are_refused() {
        assert_eq!(
            Filter::parse("name eq \"x\"", &["id"]).unwrap_err().code,
            "E0000053"
        );
        assert!(Filter::parse("id gt \"x\"", &["id"]).is_err());
    }
}
