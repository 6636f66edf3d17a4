//! Network zones.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::json::{fill, strings_at, text};
use super::shelf::Record;
use super::table::Kind;
use crate::wire::Refusal;

impl ConfigStore {
    pub(crate) fn zone_is_used(&self, id: &str) -> bool {
        let places = [
            "conditions.network.include[]",
            "conditions.network.exclude[]",
        ];
        self.shelf.all(Kind::Rule).iter().any(|rule| {
            places
                .iter()
                .any(|path| strings_at(&rule.body, path).contains(&id))
        })
    }
}

pub(crate) fn zone(draft: &mut Map<String, Value>, before: Option<&Record>) -> Result<(), Refusal> {
    if before.is_some_and(|before| before.is_system() && before.name() != text(draft, "name")) {
        return Err(Refusal::validation(
            "name",
            "The name of a system zone cannot be changed",
        ));
    }
    let exempt = before.is_some_and(|before| before.name() == "DefaultExemptIpZone");
    if exempt
        && draft
            .get("proxies")
            .and_then(Value::as_array)
            .is_some_and(|proxies| !proxies.is_empty())
    {
        return Err(Refusal::validation(
            "proxies",
            "The exempt zone takes no proxies",
        ));
    }
    fill(draft, &json!({"usage": "POLICY", "system": false}));
    if let Some(before) = before {
        draft.insert("system".to_owned(), json!(before.is_system()));
    }
    if text(draft, "type") == "IP" {
        draft.entry("proxies").or_insert(Value::Null);
        for list in ["gateways", "proxies"] {
            normalise_ranges(draft.get_mut(list));
        }
    }
    Ok(())
}

/// A range of one address comes back with both its ends, as recorded.
fn normalise_ranges(addresses: Option<&mut Value>) {
    for address in addresses
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let Some(address) = address.as_object_mut() else {
            continue;
        };
        let value = text(address, "value");
        if text(address, "type") == "RANGE" && !value.contains('-') {
            let both = format!("{value}-{value}");
            address.insert("value".to_owned(), json!(both));
        }
    }
}
