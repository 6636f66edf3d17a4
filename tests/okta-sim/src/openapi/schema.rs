//! Checks values against the document's schemas: the part of OpenAPI 3.0 that it uses.
//!
//! Null counts as absent, and properties that a schema does not know are allowed: Okta adds properties at any time
//! and may leave null ones out.

use serde_json::{Map, Value};

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To Okta: nothing that is read-only.
    Request,
    /// From Okta: nothing that is write-only.
    Response,
}

/// The document's schemas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schemas<'a> {
    document: &'a Value,
}

/// What was found wrong: where and what.
type Wrong = Vec<(String, String)>;

/// The schemas that nest at most this deep; deeper ones go in circles.
const DEPTH_MAX: usize = 64;

impl<'a> Schemas<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        Self { document }
    }

    /// Follows `$ref` to what it names.
    pub(super) fn resolve(&self, mut part: &'a Value) -> &'a Value {
        for _ in 0..DEPTH_MAX {
            let target = part
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|name| self.document.pointer(name.trim_start_matches('#')));
            match target {
                Some(target) => part = target,
                None => break,
            }
        }
        part
    }

    /// Checks a body.
    pub(super) fn check(
        &self,
        schema: &'a Value,
        value: &Value,
        place: &str,
        direction: Direction,
        wrong: &mut Wrong,
    ) {
        let mut walk = Walk {
            schemas: *self,
            direction,
            chosen: Vec::new(),
            wrong,
        };
        walk.check(schema, value, place, DEPTH_MAX);
    }

    /// Checks a query parameter's text.
    pub(super) fn check_text(&self, schema: &'a Value, text: &str, place: &str, wrong: &mut Wrong) {
        let schema = self.resolve(schema);
        let value = match schema.get("type").and_then(Value::as_str) {
            Some("integer" | "number" | "boolean") => {
                serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
            }
            // Arrays in queries are written in several ways; none of them is checked.
            Some("array" | "object") => return,
            _ => Value::String(text.to_owned()),
        };
        self.check(schema, &value, place, Direction::Request, wrong);
    }

    /// Whether a flag such as `readOnly` is set on a schema or on a part of it.
    fn is_set(&self, schema: &'a Value, flag: &str, depth: usize) -> bool {
        let own = schema.get(flag) == Some(&Value::Bool(true));
        if own || depth == 0 {
            return own;
        }
        let resolved = self.resolve(schema);
        let parts = resolved.get("allOf").and_then(Value::as_array);
        resolved.get(flag) == Some(&Value::Bool(true))
            || parts
                .into_iter()
                .flatten()
                .any(|part| self.is_set(part, flag, depth - 1))
    }
}

/// One walk through a value and its schema.
#[derive(Debug)]
struct Walk<'a, 'w> {
    schemas: Schemas<'a>,
    direction: Direction,
    /// The schemas whose variant is chosen already; seen again as a part of the variant, they stand for themselves.
    chosen: Vec<*const Value>,
    wrong: &'w mut Wrong,
}

impl<'a> Walk<'a, '_> {
    fn say(&mut self, place: &str, what: impl Into<String>) {
        let finding = (place.to_owned(), what.into());
        if !self.wrong.contains(&finding) {
            self.wrong.push(finding);
        }
    }

    fn check(&mut self, schema: &'a Value, value: &Value, place: &str, depth: usize) {
        let schema = self.schemas.resolve(schema);
        if depth == 0 || value.is_null() {
            return;
        }
        if let Some(variant) = self.variant(schema, value, place) {
            self.chosen.push(std::ptr::from_ref(schema));
            self.check(variant, value, place, depth - 1);
            self.chosen.pop();
            return;
        }
        for part in parts(schema, "allOf") {
            self.check(part, value, place, depth - 1);
        }
        let has_mapping = schema.get("discriminator").is_some();
        for word in ["oneOf", "anyOf"] {
            let choices = parts(schema, word);
            if !choices.is_empty() && !has_mapping && !self.any_fits(choices, value, place, depth) {
                self.say(place, "fits none of its variants");
            }
        }
        self.check_type(schema, value, place);
        self.check_bounds(schema, value, place);
        match value {
            Value::Object(object) => self.check_object(schema, object, place, depth),
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (n, item) in items.iter().enumerate() {
                        self.check_inner(schema, item, &format!("{place}[{n}]"), depth);
                    }
                }
            }
            _ => {}
        }
    }

    /// Checks a value inside another: variants are chosen anew there.
    fn check_inner(&mut self, schema: &'a Value, value: &Value, place: &str, depth: usize) {
        let chosen = std::mem::take(&mut self.chosen);
        self.check(schema, value, place, depth - 1);
        self.chosen = chosen;
    }

    /// The schema that the discriminator chooses for this value.
    fn variant(&mut self, schema: &'a Value, value: &Value, place: &str) -> Option<&'a Value> {
        let discriminator = schema.get("discriminator")?;
        if self.chosen.contains(&std::ptr::from_ref(schema)) {
            return None;
        }
        let property = discriminator.get("propertyName")?.as_str()?;
        let mapping = discriminator.get("mapping")?.as_object()?;
        let key = value.get(property)?.as_str()?;
        let Some(name) = mapping.get(key).and_then(Value::as_str) else {
            self.say(
                &format!("{place}.{property}"),
                "is none of the documented variants",
            );
            return None;
        };
        self.schemas.document.pointer(name.trim_start_matches('#'))
    }

    fn any_fits(&self, choices: &'a [Value], value: &Value, place: &str, depth: usize) -> bool {
        choices.iter().any(|choice| {
            let mut wrong = Vec::new();
            let mut walk = Walk {
                schemas: self.schemas,
                direction: self.direction,
                chosen: self.chosen.clone(),
                wrong: &mut wrong,
            };
            walk.check(choice, value, place, depth - 1);
            wrong.is_empty()
        })
    }

    fn check_type(&mut self, schema: &'a Value, value: &Value, place: &str) {
        let fits = match schema.get("type").and_then(Value::as_str) {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("number") => value.is_number(),
            Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            _ => true,
        };
        if !fits {
            let wanted = schema
                .get("type")
                .and_then(Value::as_str)
                .unwrap_or_default();
            self.say(place, format!("is not of type {wanted}"));
        }
    }

    fn check_bounds(&mut self, schema: &'a Value, value: &Value, place: &str) {
        let allowed = parts(schema, "enum");
        if !allowed.is_empty() && !allowed.contains(value) {
            self.say(place, "is not one of the documented values");
        }
        if let Some(number) = value.as_f64() {
            if let Some(least) = bound(schema, "minimum").filter(|&least| number < least) {
                self.say(place, format!("is less than {least}"));
            }
            if let Some(most) = bound(schema, "maximum").filter(|&most| number > most) {
                self.say(place, format!("is more than {most}"));
            }
        }
        if let Some(text) = value.as_str() {
            let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            let limit = |key: &str| schema.get(key).and_then(Value::as_u64);
            if limit("minLength").is_some_and(|least| length < least) {
                self.say(place, "is too short");
            }
            if limit("maxLength").is_some_and(|most| length > most) {
                self.say(place, "is too long");
            }
            let is_time = schema
                .get("format")
                .is_some_and(|format| format == "date-time");
            if is_time && text.parse::<jiff::Timestamp>().is_err() {
                self.say(place, "is not a date and time");
            }
        }
    }

    fn check_object(
        &mut self,
        schema: &'a Value,
        object: &Map<String, Value>,
        place: &str,
        depth: usize,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let (forbidden, what) = match self.direction {
            Direction::Request => ("readOnly", "is read-only"),
            Direction::Response => ("writeOnly", "is write-only"),
        };
        for (key, value) in object {
            let place = format!("{place}.{key}");
            match properties.and_then(|properties| properties.get(key)) {
                Some(schema) if self.schemas.is_set(schema, forbidden, DEPTH_MAX) => {
                    if !value.is_null() {
                        self.say(&place, what);
                    }
                }
                Some(schema) => self.check_inner(schema, value, &place, depth),
                None => {
                    if let Some(schema) = schema
                        .get("additionalProperties")
                        .filter(|more| more.is_object())
                    {
                        self.check_inner(schema, value, &place, depth);
                    }
                }
            }
        }
        let optional = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        for key in parts(schema, "required").iter().filter_map(Value::as_str) {
            let known = properties.and_then(|properties| properties.get(key));
            let may_lack = known.is_some_and(|schema| {
                self.schemas.is_set(schema, optional, DEPTH_MAX)
                    || self.schemas.is_set(schema, "nullable", DEPTH_MAX)
            });
            if !may_lack && object.get(key).is_none_or(Value::is_null) {
                self.say(&format!("{place}.{key}"), "is required");
            }
        }
    }
}

/// The items of an array in a schema, none where there is no such array.
fn parts<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// A numeric bound. The document also writes bounds of lengths with these words; those stand on strings.
fn bound(schema: &Value, key: &str) -> Option<f64> {
    schema.get(key).and_then(Value::as_f64)
}
