//! Authorization servers, their scopes, claims and rules.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::calls::Target;
use super::json::{at, fill, strings_at, text};
use super::policies::check_priority;
use super::providers::digest;
use super::shelf::Record;
use super::table::Kind;
use crate::wire::{Refusal, World};

impl ConfigStore {
    /// The scopes and claims that every authorization server has from the start.
    pub(crate) fn add_server_parts(&mut self, world: &mut dyn World, server: &str) {
        for (name, display, publish) in SYSTEM_SCOPES {
            let body = json!({
                "id": world.new_id("scp"),
                "name": name,
                "displayName": display,
                "description": format!("This is the scope {name} that every server has."),
                "system": true,
                "metadataPublish": publish,
                "consent": "IMPLICIT",
                "optional": false,
                "apiResourceId": null,
                "default": false,
            });
            self.add(Kind::Scope, server, body);
        }
        let sub = json!({
            "id": world.new_id("ocl"),
            "name": "sub",
            "status": "ACTIVE",
            "claimType": "RESOURCE",
            "valueType": "EXPRESSION",
            "value": "(appuser != null) ? appuser.userName : app.clientId",
            "conditions": {"scopes": []},
            "system": true,
            "alwaysIncludeInToken": true,
            "apiResourceId": null,
        });
        self.add(Kind::Claim, server, sub);
        for (name, scope) in SYSTEM_CLAIMS {
            let body = json!({
                "id": world.new_id("ocl"),
                "name": name,
                "status": "ACTIVE",
                "claimType": "IDENTITY",
                "valueType": "SYSTEM",
                "conditions": {"scopes": [scope]},
                "system": true,
                "alwaysIncludeInToken": false,
                "apiResourceId": null,
            });
            self.add(Kind::Claim, server, body);
        }
    }

    pub(crate) fn claim(
        &self,
        draft: &mut Map<String, Value>,
        server: &str,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        let own = before.map(|record| record.id.as_str());
        let taken = self.shelf.children(Kind::Claim, server).any(|other| {
            own != Some(other.id.as_str())
                && ["name", "claimType"]
                    .iter()
                    .all(|key| text(&other.body, key) == text(draft, key))
        });
        if taken {
            let cause = "An object with this field already exists in the current organization";
            return Err(Refusal::validation("name", cause));
        }
        if text(draft, "valueType") != "SYSTEM" && text(draft, "value").is_empty() {
            return Err(Refusal::validation(
                "value",
                "The field cannot be left blank",
            ));
        }
        if before.is_some_and(|before| before.is_system() && before.name() != text(draft, "name")) {
            return Err(Refusal::validation(
                "name",
                "The name of a system claim cannot be changed",
            ));
        }
        self.check_scope_names(draft, "conditions.scopes[]", server)?;
        fill(
            draft,
            &json!({
                "conditions": {"scopes": []},
                "system": false,
                "alwaysIncludeInToken": false,
                "apiResourceId": null,
            }),
        );
        if let Some(before) = before {
            draft.insert("system".to_owned(), json!(before.is_system()));
        }
        Ok(())
    }

    pub(crate) fn server_rule(
        &self,
        draft: &mut Map<String, Value>,
        target: &Target,
    ) -> Result<(), Refusal> {
        let server = target
            .parents
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        self.check_scope_names(draft, "conditions.scopes.include[]", server)?;
        check_priority(draft, 1)?;
        fill(
            draft,
            &json!({
                "system": false,
                "conditions": {"people": {"users": {"exclude": []}}, "scopes": {"include": []}},
                "actions": {"token": {
                    "accessTokenLifetimeMinutes": 60,
                    "refreshTokenLifetimeMinutes": 0,
                    "refreshTokenWindowMinutes": 10080,
                }},
            }),
        );
        Ok(())
    }

    /// Scopes are named by name, and must exist in the same server (assumed).
    fn check_scope_names(
        &self,
        draft: &Map<String, Value>,
        path: &str,
        server: &str,
    ) -> Result<(), Refusal> {
        for name in strings_at(draft, path) {
            let known = self
                .shelf
                .children(Kind::Scope, server)
                .any(|scope| scope.name() == name);
            if name != "*" && !known {
                return Err(Refusal::validation(
                    "conditions.scopes",
                    &format!("Unknown scope: {name}"),
                ));
            }
        }
        Ok(())
    }
}

const SYSTEM_SCOPES: &[(&str, &str, &str)] = &[
    ("openid", "openid", "ALL_CLIENTS"),
    ("profile", "profile", "ALL_CLIENTS"),
    ("email", "email", "ALL_CLIENTS"),
    ("address", "address", "ALL_CLIENTS"),
    ("phone", "phone", "ALL_CLIENTS"),
    ("offline_access", "offline_access", "ALL_CLIENTS"),
    ("device_sso", "device_sso", "NO_CLIENTS"),
];

const SYSTEM_CLAIMS: &[(&str, &str)] = &[
    ("name", "profile"),
    ("family_name", "profile"),
    ("given_name", "profile"),
    ("middle_name", "profile"),
    ("nickname", "profile"),
    ("preferred_username", "profile"),
    ("zoneinfo", "profile"),
    ("locale", "profile"),
    ("updated_at", "profile"),
    ("email", "email"),
    ("email_verified", "email"),
    ("address", "address"),
    ("phone_number", "phone"),
];

pub(crate) fn server(draft: &mut Map<String, Value>, before: Option<&Record>, now: &str) {
    let mode = at(draft, "credentials.signing.rotationMode")
        .and_then(Value::as_str)
        .unwrap_or("AUTO")
        .to_owned();
    let seconds = now.get(..19).unwrap_or(now);
    let mut signing = json!({
        "kid": digest("signing", &format!("{} {now}", text(draft, "name")), 43),
        "rotationMode": mode,
        "lastRotated": format!("{seconds}.000Z"),
    });
    if let Some(Value::Object(kept)) =
        before.and_then(|before| at(&before.body, "credentials.signing"))
    {
        let mut kept = kept.clone();
        kept.insert("rotationMode".to_owned(), json!(mode));
        signing = Value::Object(kept);
    }
    draft.insert("credentials".to_owned(), json!({"signing": signing}));
    fill(draft, &json!({"issuerMode": "ORG_URL"}));
    if before.is_none() {
        draft.insert("default".to_owned(), json!(false));
    }
}

pub(crate) fn scope(
    draft: &mut Map<String, Value>,
    before: Option<&Record>,
) -> Result<(), Refusal> {
    if before.is_some_and(|before| before.is_system() && before.name() != text(draft, "name")) {
        return Err(Refusal::validation(
            "name",
            "The name of a system scope cannot be changed",
        ));
    }
    fill(
        draft,
        &json!({
            "consent": "IMPLICIT",
            "default": false,
            "metadataPublish": "NO_CLIENTS",
            "optional": false,
            "system": false,
            "apiResourceId": null,
        }),
    );
    if let Some(before) = before {
        draft.insert("system".to_owned(), json!(before.is_system()));
    }
    Ok(())
}
