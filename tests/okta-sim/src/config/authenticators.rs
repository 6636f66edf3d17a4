//! Authenticators: one of each key, never deleted, off only while no policy uses them.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::json::{at, object_at, text};
use super::shelf::Record;
use super::table::Kind;
use crate::wire::Refusal;

impl ConfigStore {
    pub(crate) fn check_authenticator_off(&self, record: &Record) -> Result<(), Refusal> {
        let key = text(&record.body, "key");
        if matches!(key, "okta_password" | "okta_email") {
            return Err(Refusal::validation(
                "key",
                "Deactivation is not supported for this authenticator",
            ));
        }
        let used = self.shelf.all(Kind::Policy).iter().any(|policy| {
            let entries = at(&policy.body, "settings.authenticators").and_then(Value::as_array);
            entries.into_iter().flatten().any(|entry| {
                let own = entry
                    .get("id")
                    .and_then(Value::as_str)
                    .is_none_or(|id| id == record.id);
                let off = entry
                    .pointer("/enroll/self")
                    .is_none_or(|how| how == "NOT_ALLOWED");
                own && !off && entry.get("key").is_some_and(|wanted| wanted == key)
            })
        });
        if used {
            return Err(Refusal {
                status: 403,
                code: "E0000148",
                summary: "Cannot modify this authenticator because it is used in a policy."
                    .to_owned(),
                causes: Vec::new(),
            });
        }
        Ok(())
    }

    pub(crate) fn authenticator(
        &self,
        draft: &mut Map<String, Value>,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        let key = text(draft, "key").to_owned();
        let many = matches!(key.as_str(), "custom_app" | "external_idp");
        let taken = self
            .shelf
            .all(Kind::Authenticator)
            .iter()
            .any(|other| text(&other.body, "key") == key);
        if before.is_none() && taken && !many {
            return Err(Refusal {
                status: 409,
                code: "E0000157",
                summary: "Another authenticator with this key is already active.".to_owned(),
                causes: Vec::new(),
            });
        }
        draft.insert("type".to_owned(), json!(authenticator_type(&key)));
        if let Some(configuration) = object_at(draft, "provider.configuration") {
            configuration.remove("secretKey");
            configuration.remove("sharedSecret");
        }
        Ok(())
    }
}

/// The type that goes with an authenticator's key.
pub(crate) fn authenticator_type(key: &str) -> &'static str {
    match key {
        "okta_password" => "password",
        "okta_email" => "email",
        "phone_number" => "phone",
        "security_question" => "security_question",
        "external_idp" | "smart_card_idp" => "federated",
        "tac" => "tac",
        "custom_app" | "duo" | "google_otp" | "okta_verify" | "symantec_vip" => "app",
        _ => "security_key",
    }
}
