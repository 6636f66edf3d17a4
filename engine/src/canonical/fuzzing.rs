//! What must hold of any bytes that are taken for JSON, told by a slow reader that shares nothing with ours.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{
    DEPTH_MAX, Json, Split, array_items, array_items_in, canonical, canonical_json, top_level_str,
};
use crate::catalogue;

/// Canonical JSON is what the slow reader makes of it, and canonical already.
pub(crate) fn json(data: &[u8]) -> bool {
    let found = canonical_json(data).ok();
    assert_eq!(found, reference(data), "as the slow reader has it");
    let Some(found) = found else {
        assert!(Json::parse(data).is_err(), "both readers refuse");
        return false;
    };
    assert_eq!(canonical_json(&found).as_ref(), Ok(&found), "idempotent");
    let parsed = Json::parse(data).map(|json| json.to_bytes());
    assert_eq!(parsed.as_ref(), Ok(&found), "both readers agree");
    true
}

/// An object of any type, divided by the catalogue, is canonical in both parts and not divided further. The first byte is the type.
pub(crate) fn object(data: &[u8]) -> bool {
    let Some((place, raw)) = data.split_first() else {
        return false;
    };
    let mut types = catalogue::all().filter(|of_type| !of_type.entry().bare_relation);
    let Some(object_type) = types.nth(usize::from(*place) % 32) else {
        return false;
    };
    let Ok(Split { body, observed }) = canonical(object_type, raw) else {
        return false;
    };
    assert_eq!(canonical_json(&body).as_ref(), Ok(&body));
    assert!(observed.is_empty() || canonical_json(&observed).as_ref() == Ok(&observed));
    let again = canonical(object_type, &body);
    let whole = Split {
        body,
        observed: Vec::new(),
    };
    assert_eq!(again, Ok(whole), "what was kept is kept");
    true
}

/// A page is divided into its items as the slow reader divides it, or it or one of its items is refused.
pub(crate) fn page(data: &[u8]) -> bool {
    let slow = std::str::from_utf8(data)
        .ok()
        .and_then(|text| serde_json::from_str::<Vec<&RawValue>>(text).ok())
        .filter(|items| items.iter().all(|item| item.get().starts_with('{')));
    let quick = array_items(data);
    if let Some(slow) = &slow {
        let slow: Vec<&[u8]> = slow.iter().map(|item| item.get().as_bytes()).collect();
        assert_eq!(quick.as_ref(), Ok(&slow));
    } else if let Ok(items) = &quick {
        assert!(
            items.iter().any(|item| canonical_json(item).is_err()),
            "what no reader takes is noticed at one of its items"
        );
    }
    let nested = array_items_in(data, "value");
    if reference(data).is_some()
        && let Ok(items) = nested
    {
        assert!(items.iter().all(|item| canonical_json(item).is_ok()));
    }
    slow.is_some()
}

/// One field of an object is found where the slow reader finds it.
pub(crate) fn field(data: &[u8]) -> bool {
    let found = top_level_str(data, "id");
    if reference(data).is_none() {
        return false;
    }
    let slow = std::str::from_utf8(data)
        .ok()
        .and_then(|text| serde_json::from_str::<Members<'_>>(text).ok())
        .and_then(|members| members.0.into_iter().find(|(key, _)| key == "id"))
        .and_then(|(_, value)| serde_json::from_str::<String>(value.get()).ok());
    assert_eq!(found.as_deref(), slow.as_deref());
    slow.is_some()
}

/// The members of an object as serde_json reads them, the text of each value untouched.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Canonical JSON, slowly: each level is read by serde_json from the text that the level above it left untouched.
fn reference(data: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(data).ok()?;
    let text = text.trim_matches([' ', '\n', '\r', '\t']);
    serde_json::from_str::<&RawValue>(text).ok()?;
    reference_value(text, 0).map(String::into_bytes)
}

fn reference_value(text: &str, depth: usize) -> Option<String> {
    let deeper = depth < DEPTH_MAX;
    match text.bytes().next()? {
        b'{' => {
            let mut members: Vec<(String, String)> = serde_json::from_str::<Members<'_>>(text)
                .ok()
                .filter(|_| deeper)?
                .0
                .into_iter()
                .map(|(key, value)| Some((escaped(&key), reference_value(value.get(), depth + 1)?)))
                .collect::<Option<_>>()?;
            members.sort();
            if members
                .windows(2)
                .any(|pair| matches!(pair, [(one, _), (other, _)] if one == other))
            {
                return None;
            }
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| format!("\"{key}\":{value}"))
                .collect();
            Some(format!("{{{}}}", members.join(",")))
        }
        b'[' => {
            let items: Vec<String> = serde_json::from_str::<Vec<&RawValue>>(text)
                .ok()
                .filter(|_| deeper)?
                .into_iter()
                .map(|item| reference_value(item.get(), depth + 1))
                .collect::<Option<_>>()?;
            Some(format!("[{}]", items.join(",")))
        }
        b'"' => serde_json::from_str::<String>(text)
            .ok()
            .map(|text| format!("\"{}\"", escaped(&text))),
        _ => Some(text.to_owned()),
    }
}

/// What stands between the quotes of a string.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
    out
}
