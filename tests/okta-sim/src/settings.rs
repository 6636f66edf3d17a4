//! The org's general settings.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    clock::time_text,
    org::Core,
    person::GENERATED_FROM_MS,
    response::{Outcome, Response, no_such_method},
    users::body,
    wire::{Refusal, Request},
};

/// What a write can set.
const WRITABLE: &[&str] = &[
    "companyName",
    "website",
    "phoneNumber",
    "endUserSupportHelpURL",
    "supportPhoneNumber",
    "address1",
    "address2",
    "city",
    "state",
    "country",
    "postalCode",
];

/// The settings.
#[derive(Debug, Clone)]
pub(crate) struct OrgSettings {
    doc: Map<String, Value>,
    last_updated: i64,
}

impl OrgSettings {
    /// The settings of a generated org.
    pub(crate) fn generated() -> Self {
        let doc = json!({
            "companyName": "Acme Corporation", "website": "https://www.acme.example", "phoneNumber": "+1 555 0100",
            "endUserSupportHelpURL": "https://help.acme.example", "supportPhoneNumber": "+1 555 0199",
            "address1": "1 Harbour Street", "address2": null, "city": "Boston", "state": "MA", "country": "US",
            "postalCode": "02110",
        });
        Self {
            doc: doc.as_object().cloned().unwrap_or_default(),
            last_updated: GENERATED_FROM_MS,
        }
    }

    /// The first label of the org's host name.
    pub(crate) fn subdomain(&self) -> &'static str {
        "acme"
    }
}

/// Answers `/api/v1/org`.
pub(crate) fn route(core: &mut Core, request: &Request) -> Outcome {
    let method = request.method.as_str();
    if !matches!(method, "GET" | "PUT" | "POST") {
        return Err(no_such_method());
    }
    if method != "GET" {
        let body = body(request)?;
        let now = core.clock.second();
        for key in WRITABLE {
            match body.get(*key) {
                Some(value) if value.is_string() || value.is_null() => {
                    core.settings.doc.insert((*key).to_owned(), value.clone());
                }
                Some(_) => return Err(Refusal::validation(key, "The value must be a text.")),
                None if method == "PUT" => {
                    core.settings.doc.insert((*key).to_owned(), Value::Null);
                }
                None => {}
            }
        }
        core.settings.last_updated = now;
    }
    Ok(Response::json(200, &core.settings_value(&request.base_url)))
}

impl Core {
    fn settings_value(&self, base: &str) -> Value {
        let mut value = self.settings.doc.clone();
        value.insert("id".to_owned(), json!(self.org_id_text()));
        value.insert("subdomain".to_owned(), json!(self.settings.subdomain()));
        value.insert("status".to_owned(), json!("ACTIVE"));
        value.insert("expiresAt".to_owned(), Value::Null);
        value.insert("created".to_owned(), json!(time_text(GENERATED_FROM_MS)));
        value.insert(
            "lastUpdated".to_owned(),
            json!(time_text(self.settings.last_updated)),
        );
        value.insert(
            "_links".to_owned(),
            json!({
                "preferences": {"href": format!("{base}/api/v1/org/preferences")},
                "contacts": {"href": format!("{base}/api/v1/org/contacts")},
                "oktaSupport": {"href": format!("{base}/api/v1/org/privacy/oktaSupport")},
                "oktaCommunication": {"href": format!("{base}/api/v1/org/privacy/oktaCommunication")},
                "uploadLogo": {"href": format!("{base}/api/v1/org/logo"), "hints": {"allow": ["POST"]}},
            }),
        );
        Value::Object(value)
    }

    /// The settings, by the org's id.
    pub(crate) fn dump_settings(&self, base: &str) -> BTreeMap<String, Value> {
        BTreeMap::from([(self.org_id_text(), self.settings_value(base))])
    }
}
