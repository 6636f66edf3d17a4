//! What single types do beyond the table.

use serde_json::{Map, Value, json};

use super::ConfigStore;
use super::calls::{Target, read_only, stamp};
use super::json::{at, fill, object_at, strings_at, text};
use super::shelf::Record;
use super::table::{Kind, POLICY_TYPES, POLICY_TYPES_ABSENT};
use super::{policies, roles};
use crate::wire::{Refusal, Request, World};

impl ConfigStore {
    /// Refuses a list that lacks what it needs.
    pub(crate) fn check_list(&self, request: &Request, kind: Kind) -> Result<(), Refusal> {
        if kind != Kind::Policy {
            return Ok(());
        }
        match request.param("type") {
            Some(wanted) if POLICY_TYPES.contains(&wanted) => Ok(()),
            Some(wanted) if POLICY_TYPES_ABSENT.contains(&wanted) => Err(feature_absent()),
            Some(_) => Err(Refusal::validation("type", "Invalid policy type")),
            None => Err(Refusal::validation(
                "type",
                "The field cannot be left blank",
            )),
        }
    }

    /// Refuses a create that the org cannot do whatever the body.
    pub(crate) fn check_create(
        &mut self,
        request: &Request,
        target: &Target,
    ) -> Result<(), Refusal> {
        self.check_reconciling(target.kind())?;
        match target.kind() {
            Kind::Policy => policies::check_create(request),
            Kind::Rule => self.check_rule_create(request, target.parent()),
            Kind::Role => request
                .body
                .as_ref()
                .and_then(Value::as_object)
                .map_or(Ok(()), |body| roles::requested(body).map(drop)),
            _ => Ok(()),
        }
    }

    /// 423 `E0000239` while the test wants priorities to be reconciled.
    pub(crate) fn check_reconciling(&mut self, kind: Kind) -> Result<(), Refusal> {
        let concerned = matches!(
            kind,
            Kind::Policy | Kind::Rule | Kind::ServerPolicy | Kind::ServerRule
        );
        if !concerned || self.reconciling == 0 {
            return Ok(());
        }
        self.reconciling -= 1;
        Err(Refusal {
            status: 423,
            code: "E0000239",
            summary: "Priorities are being reconciled. Try again later.".to_owned(),
            causes: Vec::new(),
        })
    }

    /// Refuses to delete what is in use. Documented for zones alone; everything else leaves dangling ids.
    pub(crate) fn check_delete(&self, kind: Kind, id: &str) -> Result<(), Refusal> {
        if kind == Kind::Zone && self.zone_is_used(id) {
            return Err(Refusal::validation(
                "id",
                "The zone is used by a policy or rule",
            ));
        }
        Ok(())
    }

    fn zone_is_used(&self, id: &str) -> bool {
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

    /// Refuses a step in a lifecycle.
    pub(crate) fn check_step(&self, kind: Kind, id: &str, step: &str) -> Result<(), Refusal> {
        let Some(record) = self.shelf.get(kind, id) else {
            return Ok(());
        };
        match kind {
            Kind::Policy | Kind::Rule if record.is_system() => Err(read_only()),
            Kind::Authenticator if step == "deactivate" => self.check_authenticator_off(record),
            _ => Ok(()),
        }
    }

    fn check_authenticator_off(&self, record: &Record) -> Result<(), Refusal> {
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

    /// The first characters of a new object's id.
    pub(crate) fn prefix(&self, target: &Target, draft: &Map<String, Value>) -> &'static str {
        match target.kind() {
            Kind::Policy if policies::is_newer(text(draft, "type")) => "rst",
            Kind::Rule if policies::is_newer(&self.policy_type(target.parent())) => "rul",
            _ => target.resource.prefix,
        }
    }

    /// Checks what only this type asks for, and completes the body with what the server adds.
    pub(crate) fn prepare(
        &self,
        world: &dyn World,
        request: &Request,
        target: &Target,
        draft: &mut Map<String, Value>,
        before: Option<&Record>,
    ) -> Result<(), Refusal> {
        match target.kind() {
            Kind::Zone => zone(draft, before),
            Kind::Origin => {
                let caller = json!(request.caller);
                if before.is_none() {
                    draft.insert("createdBy".to_owned(), caller.clone());
                } else if let Some(creator) = before.and_then(|before| before.body.get("createdBy"))
                {
                    draft.insert("createdBy".to_owned(), creator.clone());
                }
                draft.insert("lastUpdatedBy".to_owned(), caller);
                Ok(())
            }
            Kind::Behavior => behavior(draft),
            Kind::Authenticator => self.authenticator(draft, before),
            Kind::IdentityProvider => {
                provider(draft, before);
                Ok(())
            }
            Kind::Server => {
                server(draft, before, &world.now());
                Ok(())
            }
            Kind::Scope => scope(draft, before),
            Kind::Claim => self.claim(draft, target.parent(), before),
            Kind::ServerPolicy => {
                fill(
                    draft,
                    &json!({"type": "OAUTH_AUTHORIZATION_POLICY", "system": false}),
                );
                policies::check_priority(draft, 1)
            }
            Kind::ServerRule => self.server_rule(draft, target),
            Kind::Policy => self.policy(draft, before),
            Kind::Rule => self.rule(draft, target.parent(), before),
            Kind::EventHook => event_hook(draft, before, &request.caller),
            Kind::InlineHook => inline_hook(draft, before),
            Kind::Role => {
                fill(draft, &json!({"isCloneable": false}));
                Ok(())
            }
        }
    }

    /// What comes to be with an object.
    pub(crate) fn after_create(
        &mut self,
        world: &mut dyn World,
        request: &Request,
        target: &Target,
        id: &str,
    ) {
        match target.kind() {
            Kind::Server => self.add_server_parts(world, id),
            Kind::Policy => self.add_catch_all(world, id),
            Kind::Role => {
                let labels = request
                    .body
                    .as_ref()
                    .and_then(Value::as_object)
                    .map(roles::requested);
                for label in labels.and_then(Result::ok).unwrap_or_default() {
                    self.grants.put(id, &label, Value::Null, &world.now());
                }
            }
            _ => {}
        }
    }

    /// What follows from a replace.
    pub(crate) fn after_replace(
        &self,
        world: &mut dyn World,
        kind: Kind,
        id: &str,
        before: &Record,
    ) {
        let Some(record) = self.shelf.get(kind, id) else {
            return;
        };
        if kind == Kind::Zone {
            match (text(&before.body, "usage"), text(&record.body, "usage")) {
                ("POLICY", "BLOCKLIST") => self.emit(world, kind, id, "zone.make_blacklist"),
                ("BLOCKLIST", "POLICY") => self.emit(world, kind, id, "zone.remove_blacklist"),
                _ => {}
            }
        }
        let events = kind.resource().events;
        match (text(&before.body, "status"), text(&record.body, "status")) {
            ("ACTIVE", "INACTIVE") => self.emit(world, kind, id, events.deactivate),
            ("INACTIVE", "ACTIVE") => self.emit(world, kind, id, events.activate),
            _ => {}
        }
    }

    /// What goes with an object.
    pub(crate) fn after_delete(&mut self, removed: &Record, kind: Kind) {
        let id = removed.id.as_str();
        match kind {
            Kind::Server => {
                self.shelf.remove_children(Kind::Scope, id);
                self.shelf.remove_children(Kind::Claim, id);
                for policy in self.shelf.remove_children(Kind::ServerPolicy, id) {
                    self.shelf.remove_children(Kind::ServerRule, &policy);
                }
            }
            Kind::ServerPolicy => {
                self.shelf.remove_children(Kind::ServerRule, id);
            }
            Kind::Policy => {
                self.shelf.remove_children(Kind::Rule, id);
            }
            Kind::Role => self.grants.forget(id),
            _ => {}
        }
        self.close_ranks(kind, removed);
    }

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

    /// Reading a provider's client secret leaves an event in the log, as the documentation says.
    pub(crate) fn note_secret_read(&self, world: &mut dyn World, id: &str) {
        let kind = Kind::IdentityProvider;
        let secret = "protocol.credentials.client.client_secret";
        let record = self.shelf.get(kind, id);
        if record.is_some_and(|record| at(&record.body, secret).is_some()) {
            self.emit(world, kind, id, "system.idp.lifecycle.read_client_secret");
        }
    }

    /// Puts a finished body on the shelf.
    pub(crate) fn add(&mut self, kind: Kind, parent: &str, body: Value) {
        if let Value::Object(body) = body {
            self.shelf.add(kind, parent, body);
        }
    }

    fn authenticator(
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

    fn claim(
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

    fn server_rule(&self, draft: &mut Map<String, Value>, target: &Target) -> Result<(), Refusal> {
        let server = target
            .parents
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        self.check_scope_names(draft, "conditions.scopes.include[]", server)?;
        policies::check_priority(draft, 1)?;
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

    /// A rule that Okta adds together with its policy.
    pub(crate) fn add_system_rule(
        &mut self,
        world: &mut dyn World,
        policy: &str,
        mut body: Map<String, Value>,
    ) {
        let prefix = if policies::is_newer(&self.policy_type(policy)) {
            "rul"
        } else {
            "0pr"
        };
        body.insert("id".to_owned(), json!(world.new_id(prefix)));
        stamp(Kind::Rule.resource(), &mut body, &world.now(), true);
        self.shelf.add(Kind::Rule, policy, body);
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

/// 401 `E0000015`: not an authentication failure, but a feature that the org lacks.
fn feature_absent() -> Refusal {
    Refusal {
        status: 401,
        code: "E0000015",
        summary: "You do not have permission to access the feature you are requesting".to_owned(),
        causes: Vec::new(),
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

fn zone(draft: &mut Map<String, Value>, before: Option<&Record>) -> Result<(), Refusal> {
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

fn behavior(draft: &mut Map<String, Value>) -> Result<(), Refusal> {
    let history =
        json!({"settings": {"maxEventsUsedForEvaluation": 20, "minEventsNeededForEvaluation": 0}});
    match text(draft, "type") {
        "VELOCITY" => fill(draft, &json!({"settings": {"velocityKph": 805}})),
        "ANOMALOUS_LOCATION" => {
            fill(draft, &history);
            if at(draft, "settings.granularity").is_none() {
                return Err(Refusal::validation(
                    "settings.granularity",
                    "The field cannot be left blank",
                ));
            }
        }
        "ANOMALOUS_IP" => fill(
            draft,
            &json!({"settings": {"maxEventsUsedForEvaluation": 50, "minEventsNeededForEvaluation": 0}}),
        ),
        _ => fill(draft, &history),
    }
    // Recorded: sent as 20, answered as 20.0.
    if let Some(settings) = object_at(draft, "settings")
        && let Some(radius) = settings.get("radiusKilometers").and_then(Value::as_f64)
    {
        settings.insert("radiusKilometers".to_owned(), json!(radius));
    }
    Ok(())
}

fn provider(draft: &mut Map<String, Value>, before: Option<&Record>) {
    // The client's secret is answered in clear, as recorded; a private key never is.
    if let Some(signing) = object_at(draft, "protocol.credentials.signing") {
        signing.remove("privateKey");
    }
    fill(
        draft,
        &json!({"policy": {
            "accountLink": {"action": "AUTO"},
            "subject": {"matchType": "USERNAME"},
            "maxClockSkew": 0,
            "trustClaims": false,
            "transformedUsernameMatchingEnabled": false,
        }}),
    );
    for (path, keys) in [
        ("policy.accountLink", ["filter"].as_slice()),
        ("policy.subject", ["filter", "matchAttribute"].as_slice()),
    ] {
        if let Some(part) = object_at(draft, path) {
            for key in keys {
                part.entry(*key).or_insert(Value::Null);
            }
        }
    }
    if text(draft, "type") == "SAML2" {
        let kept = |path: &str, made: String| {
            before
                .and_then(|before| at(&before.body, path).cloned())
                .unwrap_or(Value::String(made))
        };
        let name = text(draft, "name").to_owned();
        let audience = kept(
            "protocol.credentials.trust.audience",
            format!(
                "https://www.okta.com/saml2/service-provider/sp{}",
                digest("audience", &name, 18)
            ),
        );
        let kid = kept(
            "protocol.credentials.signing.kid",
            digest("signing", &name, 43),
        );
        fill(
            draft,
            &json!({"protocol": {"credentials": {
                "trust": {"audience": audience, "revocationCacheLifetime": 0},
                "signing": {"kid": kid},
            }}}),
        );
        if let Some(trust) = object_at(draft, "protocol.credentials.trust") {
            trust.entry("revocation").or_insert(Value::Null);
        }
    }
}

/// Letters that stand for a key or a name that the server makes.
pub(crate) fn digest(purpose: &str, of: &str, letters: usize) -> String {
    blake3::hash(format!("{purpose}\n{of}").as_bytes())
        .to_hex()
        .chars()
        .take(letters)
        .collect()
}

fn server(draft: &mut Map<String, Value>, before: Option<&Record>, now: &str) {
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

fn scope(draft: &mut Map<String, Value>, before: Option<&Record>) -> Result<(), Refusal> {
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

fn event_hook(
    draft: &mut Map<String, Value>,
    before: Option<&Record>,
    caller: &str,
) -> Result<(), Refusal> {
    channel(draft, before.is_none())?;
    fill(
        draft,
        &json!({"channel": {"config": {"headers": [], "method": "POST"}}}),
    );
    draft.entry("description").or_insert(Value::Null);
    if let Some(events) = object_at(draft, "events") {
        events.entry("filter").or_insert(Value::Null);
    }
    let Some(before) = before else {
        draft.insert("createdBy".to_owned(), json!(caller));
        draft.insert("verificationStatus".to_owned(), json!("UNVERIFIED"));
        return Ok(());
    };
    if before.body.get("channel") != draft.get("channel") {
        draft.insert("verificationStatus".to_owned(), json!("UNVERIFIED"));
    }
    Ok(())
}

fn inline_hook(draft: &mut Map<String, Value>, before: Option<&Record>) -> Result<(), Refusal> {
    let version = text(draft, "version").to_owned();
    if version.is_empty() {
        let kept = before.and_then(|before| before.body.get("version"));
        let blank = || Refusal::validation("version", "The field cannot be left blank");
        draft.insert("version".to_owned(), kept.ok_or_else(blank)?.clone());
    }
    let is_http = at(draft, "channel.type").is_some_and(|channel| channel == "HTTP");
    if is_http
        && at(draft, "channel.config.uri")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
    {
        return Err(Refusal::validation(
            "channel.config.uri",
            "The field cannot be left blank",
        ));
    }
    channel(draft, false)?;
    fill(
        draft,
        &json!({"channel": {"version": "1.0.0", "config": {"headers": [], "method": "POST"}}}),
    );
    if let Some(config) = object_at(draft, "channel.config") {
        config.remove("clientSecret");
    }
    Ok(())
}

/// Takes the secrets out of a hook's channel: they are written and never read.
///
/// A new event hook with an authentication scheme needs its secret; a replace may leave it out (assumed).
fn channel(draft: &mut Map<String, Value>, needs_secret: bool) -> Result<(), Refusal> {
    let Some(config) = object_at(draft, "channel.config") else {
        return Err(Refusal::validation(
            "channel.config",
            "The field cannot be left blank",
        ));
    };
    if let Some(scheme) = config.get_mut("authScheme").and_then(Value::as_object_mut) {
        let secret = scheme.remove("value");
        if needs_secret
            && secret
                .as_ref()
                .and_then(Value::as_str)
                .is_none_or(str::is_empty)
        {
            return Err(Refusal::validation(
                "channel.config.authScheme.value",
                "The field cannot be left blank",
            ));
        }
    }
    let headers = config.get_mut("headers").and_then(Value::as_array_mut);
    for header in headers
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
    {
        header.remove("value");
    }
    Ok(())
}
