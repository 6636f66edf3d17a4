//! Policies and their rules: types, priorities, the system's own.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::calls::{read_only, stamp};
use super::json::{at, fill, object_at, strings_at, text};
use super::priority::{CATCH_ALL, Place, gapless, gapped};
use super::providers::digest;
use super::shelf::Record;
use super::table::{Kind, POLICY_TYPES, POLICY_TYPES_ABSENT};
use crate::wire::{Refusal, Request, World};

/// The catalogue's name for a policy type.
pub(crate) fn catalogue_type(policy_type: &str) -> &'static str {
    match policy_type {
        "OKTA_SIGN_ON" => "policy_okta_sign_on",
        "PASSWORD" => "policy_password",
        "MFA_ENROLL" => "policy_mfa_enroll",
        "ACCESS_POLICY" => "policy_access",
        "PROFILE_ENROLLMENT" => "policy_profile_enrollment",
        "IDP_DISCOVERY" => "policy_idp_discovery",
        _ => "policy",
    }
}

/// The types whose rules start at 0 and keep gaps.
pub(crate) fn is_newer(policy_type: &str) -> bool {
    matches!(policy_type, "ACCESS_POLICY" | "PROFILE_ENROLLMENT")
}

/// Lists show what a policy applies to; a single policy does not, as recorded.
pub(crate) fn embed(body: &mut Map<String, Value>) {
    if text(body, "type") == "ACCESS_POLICY" {
        body.insert("_embedded".to_owned(), json!({"resourceType": "APP"}));
    }
}

/// Refuses to create what only Okta creates.
pub(crate) fn check_create(request: &Request) -> Result<(), Refusal> {
    let body = request.body.as_ref().and_then(Value::as_object);
    let Some(body) = body else { return Ok(()) };
    is_not_system(body)?;
    let wanted = text(body, "type");
    if POLICY_TYPES_ABSENT.contains(&wanted) || wanted == "IDP_DISCOVERY" {
        return Err(Refusal::validation(
            "type",
            "Policies of this type cannot be created",
        ));
    }
    if !wanted.is_empty() && !POLICY_TYPES.contains(&wanted) {
        return Err(Refusal::validation("type", "Invalid policy type"));
    }
    Ok(())
}

fn is_not_system(body: &Map<String, Value>) -> Result<(), Refusal> {
    if body.get("system") == Some(&Value::Bool(true)) {
        return Err(Refusal::validation(
            "system",
            "System policies and rules cannot be created",
        ));
    }
    Ok(())
}

/// A priority is a whole number, at least `least`.
pub(crate) fn check_priority(draft: &Map<String, Value>, least: u64) -> Result<(), Refusal> {
    match draft.get("priority") {
        None | Some(Value::Null) => Ok(()),
        Some(priority) if priority.as_u64().is_some_and(|priority| priority >= least) => Ok(()),
        Some(_) => Err(Refusal::validation("priority", "The priority is not valid")),
    }
}

impl ConfigStore {
    /// The type of a policy; empty if there is none.
    pub(crate) fn policy_type(&self, policy: &str) -> String {
        self.shelf
            .get(Kind::Policy, policy)
            .map(|record| text(&record.body, "type").to_owned())
            .unwrap_or_default()
    }

    pub(crate) fn check_rule_create(&self, request: &Request, policy: &str) -> Result<(), Refusal> {
        if self.policy_type(policy) == "PROFILE_ENROLLMENT" {
            return Err(Refusal::validation(
                "type",
                "Rules of this type cannot be created",
            ));
        }
        match request.body.as_ref().and_then(Value::as_object) {
            Some(body) => is_not_system(body),
            None => Ok(()),
        }
    }

    pub(crate) fn policy(
        &self,
        draft: &mut Map<String, Value>,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        check_priority(draft, 1)?;
        if let Some(before) = before.filter(|before| before.is_system()) {
            unchanged(draft, before, &["name", "conditions", "status"])?;
            draft.remove("priority");
        }
        let system = before.is_some_and(Record::is_system);
        draft.insert("system".to_owned(), json!(system));
        match text(draft, "type") {
            "MFA_ENROLL" => {
                self.add_everyone(draft);
                self.complete_enrollment(draft)?;
            }
            "PASSWORD" => {
                self.add_everyone(draft);
                fill(draft, &password_defaults());
            }
            "OKTA_SIGN_ON" => self.add_everyone(draft),
            _ => {
                draft.insert("conditions".to_owned(), Value::Null);
            }
        }
        Ok(())
    }

    /// Documented for enrollment policies and assumed for sign-on and password policies: no group means everyone.
    fn add_everyone(&self, draft: &mut Map<String, Value>) {
        if strings_at(draft, "conditions.people.groups.include[]").is_empty() {
            fill(
                draft,
                &json!({"conditions": {"people": {"groups": {"include": []}}}}),
            );
            if let Some(groups) = object_at(draft, "conditions.people.groups") {
                groups.insert("include".to_owned(), json!([self.everyone]));
            }
        }
    }

    /// An enrollment policy shows every active authenticator, those it does not name as not allowed.
    fn complete_enrollment(&self, draft: &mut Map<String, Value>) -> Result<(), Refusal> {
        let given = at(draft, "settings.authenticators")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let active: Vec<(&str, &str)> = self
            .shelf
            .all(Kind::Authenticator)
            .iter()
            .filter(|record| record.is_active())
            .map(|record| (text(&record.body, "key"), record.id.as_str()))
            .collect();
        let is_for = |entry: &Value, key: &str, id: &str| {
            entry.get("key").is_some_and(|wanted| wanted == key)
                && entry.get("id").is_none_or(|wanted| wanted == id)
        };
        for entry in &given {
            if !active.iter().any(|(key, id)| is_for(entry, key, id)) {
                return Err(Refusal::validation(
                    "settings.authenticators",
                    "The authenticator does not exist or is not active",
                ));
            }
        }
        let entries: Vec<Value> = active
            .iter()
            .map(|(key, id)| {
                let known = given.iter().find(|entry| is_for(entry, key, id)).cloned();
                known.unwrap_or_else(|| {
                    let mut entry = json!({"key": key, "enroll": {"self": "NOT_ALLOWED"}});
                    if let Some(entry) = entry.as_object_mut().filter(|_| *key == "custom_app") {
                        entry.insert("id".to_owned(), json!(id));
                    }
                    entry
                })
            })
            .collect();
        draft.insert(
            "settings".to_owned(),
            json!({"type": "AUTHENTICATORS", "authenticators": entries}),
        );
        Ok(())
    }

    pub(crate) fn rule(
        &self,
        draft: &mut Map<String, Value>,
        policy: &str,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        let policy_type = self.policy_type(policy);
        let newer = is_newer(&policy_type);
        let rule_type = if policy_type == "OKTA_SIGN_ON" {
            "SIGN_ON"
        } else {
            policy_type.as_str()
        };
        if !matches!(text(draft, "type"), "" | "SIGN_ON") && text(draft, "type") != rule_type
            || (text(draft, "type") == "SIGN_ON" && rule_type != "SIGN_ON")
        {
            return Err(Refusal::validation(
                "type",
                "The rule's type does not fit its policy",
            ));
        }
        draft.insert("type".to_owned(), json!(rule_type));
        check_priority(draft, u64::from(!newer))?;
        if let Some(before) = before.filter(|before| before.is_system()) {
            unchanged(draft, before, &["name", "conditions", "status"])?;
            draft.remove("priority");
        } else {
            let conditions = match policy_type.as_str() {
                "ACCESS_POLICY" => json!({
                    "people": {"users": {"exclude": []}},
                    "network": {"connection": "ANYWHERE"},
                    "riskScore": {"level": "ANY"},
                    "userType": {"include": [], "exclude": []},
                }),
                "IDP_DISCOVERY" => json!({"network": {"connection": "ANYWHERE"}}),
                _ => {
                    json!({"people": {"users": {"exclude": []}}, "network": {"connection": "ANYWHERE"}})
                }
            };
            fill(draft, &json!({"conditions": conditions}));
        }
        draft.insert(
            "system".to_owned(),
            json!(before.is_some_and(Record::is_system)),
        );
        if !draft.contains_key("actions") {
            return Err(Refusal::validation(
                "actions",
                "The field cannot be left blank",
            ));
        }
        Ok(())
    }

    /// The rule that Okta adds to a new policy of the newer types.
    pub(crate) fn add_catch_all(&mut self, world: &mut dyn World, policy: &str) {
        let policy_type = self.policy_type(policy);
        let actions = match policy_type.as_str() {
            "ACCESS_POLICY" => access_actions(),
            "PROFILE_ENROLLMENT" => enrollment_actions(),
            _ => return,
        };
        self.add_system_rule(
            world,
            policy,
            system_rule("Catch-all Rule", &policy_type, CATCH_ALL, actions),
        );
    }

    /// A rule that Okta adds together with its policy.
    pub(crate) fn add_system_rule(
        &mut self,
        world: &mut dyn World,
        policy: &str,
        mut body: Map<String, Value>,
    ) {
        let prefix = if is_newer(&self.policy_type(policy)) {
            "rul"
        } else {
            "0pr"
        };
        body.insert("id".to_owned(), json!(world.new_id(prefix)));
        stamp(Kind::Rule.resource(), &mut body, &world.now(), true);
        self.shelf.add(Kind::Rule, policy, body);
    }

    /// Gives a new or moved policy or rule its priority, and the others theirs.
    pub(crate) fn place(&mut self, kind: Kind, id: &str, wanted: Option<u64>) {
        let Some(record) = self.shelf.get(kind, id) else {
            return;
        };
        let places = self.places(kind, &record.parent, text(&record.body, "type"));
        let policy_type = self.ordering_type(kind, record);
        let placed = match (kind, is_newer(&policy_type)) {
            (Kind::Policy, true) => places
                .into_iter()
                .map(|place| Place {
                    priority: 1,
                    ..place
                })
                .collect(),
            (Kind::Rule, true) => gapped(places, id, wanted),
            (Kind::Policy | Kind::Rule | Kind::ServerPolicy | Kind::ServerRule, _) => {
                gapless(places, Some((id, wanted)))
            }
            _ => return,
        };
        self.apply(kind, placed);
    }

    /// Closes the gap that a deleted policy or rule leaves, where there must be none.
    pub(crate) fn close_ranks(&mut self, kind: Kind, removed: &Record) {
        let ordered = matches!(
            kind,
            Kind::Policy | Kind::Rule | Kind::ServerPolicy | Kind::ServerRule
        );
        if !ordered || is_newer(&self.ordering_type(kind, removed)) {
            return;
        }
        let places = self.places(kind, &removed.parent, text(&removed.body, "type"));
        self.apply(kind, gapless(places, None));
    }

    fn ordering_type(&self, kind: Kind, record: &Record) -> String {
        match kind {
            Kind::Rule => self.policy_type(&record.parent),
            _ => text(&record.body, "type").to_owned(),
        }
    }

    fn places(&self, kind: Kind, parent: &str, of_type: &str) -> Vec<Place> {
        self.shelf
            .children(kind, parent)
            .filter(|record| text(&record.body, "type") == of_type)
            .map(|record| Place {
                id: record.id.clone(),
                system: record.is_system(),
                priority: record.priority(),
            })
            .collect()
    }

    fn apply(&mut self, kind: Kind, places: Vec<Place>) {
        for place in places {
            if let Some(record) = self.shelf.get_mut(kind, &place.id) {
                record
                    .body
                    .insert("priority".to_owned(), json!(place.priority));
            }
        }
    }
}

/// Refuses changes to what is fixed in a system policy or rule, and takes over what a request left out.
fn unchanged(
    draft: &mut Map<String, Value>,
    before: &Record,
    keys: &[&str],
) -> Result<(), Refusal> {
    for key in keys {
        let was = before.body.get(*key).unwrap_or(&Value::Null);
        match draft.get(*key) {
            None | Some(Value::Null) => {
                draft.insert((*key).to_owned(), was.clone());
            }
            Some(now) if now == was => {}
            Some(_) => return Err(read_only()),
        }
    }
    Ok(())
}

/// The body of a rule that Okta makes.
pub(crate) fn system_rule(
    name: &str,
    policy_type: &str,
    priority: u64,
    actions: Value,
) -> Map<String, Value> {
    let rule_type = if policy_type == "OKTA_SIGN_ON" {
        "SIGN_ON"
    } else {
        policy_type
    };
    let mut body = Map::new();
    for (key, value) in [
        ("name", json!(name)),
        ("type", json!(rule_type)),
        ("status", json!("ACTIVE")),
        ("priority", json!(priority)),
        ("system", json!(true)),
        ("conditions", Value::Null),
        ("actions", actions),
    ] {
        body.insert(key.to_owned(), value);
    }
    body
}

/// What a new access policy's catch-all rule does.
pub(crate) fn access_actions() -> Value {
    json!({"appSignOn": {
        "access": "ALLOW",
        "verificationMethod": {
            "factorMode": "2FA",
            "type": "ASSURANCE",
            "reauthenticateIn": "PT2H",
            "constraints": [{"knowledge": {"types": ["password"], "reauthenticateIn": "PT2H"}}],
        },
        "keepMeSignedIn": {"postAuth": "NOT_ALLOWED"},
    }})
}

/// What a new profile enrollment policy's rule does.
pub(crate) fn enrollment_actions() -> Value {
    json!({"profileEnrollment": {
        "access": "ALLOW",
        "preRegistrationInlineHooks": null,
        "profileAttributes": [{"name": "email", "label": "Email", "required": true}],
        "targetGroupIds": null,
        "unknownUserAction": "DENY",
        "activationRequirements": {"emailVerification": true},
        "uiSchemaId": format!("uis{}", digest("ui schema", "default", 17)),
    }})
}

/// What a password policy has where a request says nothing.
pub(crate) fn password_defaults() -> Value {
    json!({
        "conditions": {"authProvider": {"provider": "OKTA"}},
        "settings": {
            "password": {
                "complexity": {
                    "minLength": 8,
                    "minLowerCase": 1,
                    "minUpperCase": 1,
                    "minNumber": 1,
                    "minSymbol": 0,
                    "excludeUsername": true,
                    "dictionary": {"common": {"exclude": false}},
                    "excludeAttributes": [],
                },
                "age": {"maxAgeDays": 0, "expireWarnDays": 0, "minAgeMinutes": 0, "historyCount": 4},
                "lockout": {
                    "maxAttempts": 10,
                    "autoUnlockMinutes": 0,
                    "userLockoutNotificationChannels": [],
                    "showLockoutFailures": false,
                },
            },
            "recovery": {"factors": {
                "recovery_question": {"status": "ACTIVE", "properties": {"complexity": {"minLength": 4}}},
                "okta_email": {
                    "status": "ACTIVE",
                    "properties": {"recoveryToken": {"tokenLifetimeMinutes": 60}},
                },
                "okta_sms": {"status": "INACTIVE"},
                "okta_call": {"status": "INACTIVE"},
            }},
            "delegation": {"options": {"skipUnlock": false}},
        },
    })
}
