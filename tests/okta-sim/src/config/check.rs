//! What a body must satisfy before it is stored.

use serde_json::{Map, Value};

use super::json::{at, strings_at, text};
use super::shelf::Record;
use super::table::Resource;
use crate::wire::Refusal;

/// Takes from a request's body what the resource lets a request set.
///
/// # Errors
///
/// 400 `E0000003` where there is no JSON object.
pub(crate) fn draft(
    resource: &Resource,
    body: Option<&Value>,
) -> Result<Map<String, Value>, Refusal> {
    let Some(Value::Object(body)) = body else {
        return Err(Refusal {
            status: 400,
            code: "E0000003",
            summary: "The request body was not well-formed.".to_owned(),
            causes: Vec::new(),
        });
    };
    let settable = body
        .iter()
        .filter(|(key, _)| resource.fields.contains(&key.as_str()));
    Ok(settable
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect())
}

/// Checks the properties that must be there and those of few allowed values.
pub(crate) fn properties(resource: &Resource, draft: &Map<String, Value>) -> Result<(), Refusal> {
    for path in resource.required {
        let missing = match at(draft, path) {
            None | Some(Value::Null) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(_) => false,
        };
        if missing {
            return Err(Refusal::validation(path, "The field cannot be left blank"));
        }
    }
    for (key, allowed) in resource.enums {
        match draft.get(*key) {
            None | Some(Value::Null) => {}
            Some(Value::String(value)) if allowed.contains(&value.as_str()) => {}
            Some(_) => {
                return Err(Refusal::validation(
                    key,
                    "The value is not one of the allowed values",
                ));
            }
        }
    }
    if let Some(Value::String(name)) = draft.get("name")
        && name.chars().count() > NAME_CHARS_MAX
    {
        return Err(Refusal::validation("name", "The field is too long"));
    }
    Ok(())
}

/// The longest name; the document has 100 to 255 for most types, one for all is assumed here.
const NAME_CHARS_MAX: usize = 255;

/// Checks that a replace changes nothing that cannot change, and takes over what it left out of it.
pub(crate) fn immutable(
    resource: &Resource,
    draft: &mut Map<String, Value>,
    previous: &Record,
) -> Result<(), Refusal> {
    for key in resource.immutable {
        let Some(before) = previous.body.get(*key) else {
            continue;
        };
        match draft.get(*key) {
            None | Some(Value::Null) => {
                draft.insert((*key).to_owned(), before.clone());
            }
            Some(now) if now == before => {}
            Some(_) => return Err(Refusal::validation(key, "The field cannot be changed")),
        }
    }
    Ok(())
}

/// Checks that no sibling has the same name, label or origin.
pub(crate) fn unique<'a>(
    resource: &Resource,
    draft: &Map<String, Value>,
    siblings: impl Iterator<Item = &'a Record> + Clone,
    own: Option<&str>,
) -> Result<(), Refusal> {
    for key in resource.unique {
        let wanted = text(draft, key);
        let taken = siblings
            .clone()
            .any(|other| own != Some(other.id.as_str()) && text(&other.body, key) == wanted);
        if taken && !wanted.is_empty() {
            let cause = match *key {
                "label" => "There is already an admin role with this name.",
                _ => "An object with this field already exists in the current organization",
            };
            return Err(Refusal::validation(key, cause));
        }
    }
    Ok(())
}

/// The ids that a body names, with the catalogue type of each; words such as `ALL_ZONES` and `EVERYONE` are no ids.
pub(crate) fn named<'a>(
    resource: &'static Resource,
    draft: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'static str, &'static str, &'a str)> {
    resource.references.iter().flat_map(move |reference| {
        strings_at(draft, reference.path)
            .into_iter()
            .filter(|id| !id.starts_with("ALL_") && *id != "EVERYONE")
            .map(|id| (reference.path, reference.to, id))
    })
}

/// 400 `E0000001` for a reference to what does not exist.
pub(crate) fn dangling(path: &str, id: &str) -> Refusal {
    Refusal::validation(&path.replace("[]", ""), &format!("Invalid id: {id}"))
}
