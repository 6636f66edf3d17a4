//! Every configuration endpoint against Okta's own OpenAPI document, where that is at hand.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::collections::BTreeSet;
use std::path::Path;

use http::Method;
use okta_sim::config::{ConfigStore, Seeds};
use okta_sim::openapi::{Checker, Sent};
use okta_sim::wire::{LogEvent, Request, World};
use serde_json::{Value, json};

/// The document, or a word that it is absent.
fn document() -> Option<Checker> {
    let checker = Checker::open_above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    if checker.is_none() {
        println!("skipped: Okta's OpenAPI document is not at hand");
    }
    checker
}

/// An org in which every user, group, app and user type exists.
#[derive(Debug, Default)]
struct Org {
    made: u64,
}

impl World for Org {
    fn now(&self) -> String {
        format!(
            "2026-05-01T00:{:02}:{:02}.000Z",
            self.made / 60 % 60,
            self.made % 60
        )
    }

    fn new_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:0>17}", self.made)
    }

    fn org_id(&self) -> String {
        "00o00000000000000000".to_owned()
    }

    fn emit(&mut self, _event: LogEvent) {}

    fn exists(&self, object_type: &str, _id: &str) -> bool {
        matches!(object_type, "group" | "user" | "app" | "user_type")
    }
}

/// Calls that are checked both ways.
struct Checked<'a> {
    checker: &'a Checker,
    org: Org,
    store: ConfigStore,
    breaches: BTreeSet<String>,
    operations: BTreeSet<String>,
}

impl Checked<'_> {
    fn call(&mut self, method: Method, target: &str, body: Option<Value>) -> Option<Value> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query: Vec<(String, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| {
                let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
                (key.to_owned(), value.into_owned())
            })
            .collect();
        let request = Request {
            method: method.clone(),
            segments: path
                .split('/')
                .filter(|part| !part.is_empty())
                .map(str::to_owned)
                .collect(),
            query: query.clone(),
            body: body.clone(),
            base_url: "https://acme.okta.com".to_owned(),
            caller: "00u00000000000000000".to_owned(),
        };
        let answer = self.store.handle(&mut self.org, &request).unwrap();
        let reply = answer.unwrap_or_else(|refusal| unreachable!("{method} {target}: {refusal:?}"));
        let sent = Sent {
            method: method.as_str(),
            path,
            query: &query,
            body: body.as_ref(),
        };
        let asked = self.checker.check_request(sent);
        let answered = self
            .checker
            .check_response(sent, reply.status, reply.body.as_ref());
        self.breaches
            .extend(asked.iter().chain(&answered).map(ToString::to_string));
        self.operations
            .extend(self.checker.operation(method.as_str(), path));
        if let Some(next) = reply.page.and_then(|page| page.next) {
            self.call(Method::GET, &next, None);
        }
        reply.body
    }

    fn list(&mut self, target: &str) -> Vec<Value> {
        let body = self.call(Method::GET, target, None).unwrap();
        let items = body
            .as_array()
            .or_else(|| body.get("roles").and_then(Value::as_array));
        items.unwrap().clone()
    }

    /// Lists, reads every item, and gives the items' paths.
    fn read(&mut self, target: &str) -> Vec<String> {
        let path = target.split('?').next().unwrap().to_owned();
        let items = self.list(target);
        let paths: Vec<String> = items
            .iter()
            .map(|item| format!("{path}/{}", id(item)))
            .collect();
        for path in &paths {
            self.call(Method::GET, path, None);
        }
        paths
    }

    fn make(&mut self, target: &str, body: &Value) -> String {
        let made = self.call(Method::POST, target, Some(body.clone())).unwrap();
        format!("{}/{}", target.split('?').next().unwrap(), id(&made))
    }

    /// Replaces, switches and deletes what was made.
    fn live_and_die(&mut self, path: &str, replacement: &Value, steps: &[&str], delete: bool) {
        self.call(Method::PUT, path, Some(replacement.clone()));
        for step in steps {
            self.call(Method::POST, &format!("{path}/lifecycle/{step}"), None);
        }
        if delete {
            self.call(Method::DELETE, path, None);
        }
    }

    fn read_everything(&mut self) {
        for list in [
            "zones",
            "trustedOrigins",
            "behaviors",
            "authenticators",
            "idps",
            "eventHooks",
            "inlineHooks",
        ] {
            self.read(&format!("/api/v1/{list}"));
        }
        for role in self.read("/api/v1/iam/roles") {
            self.call(Method::GET, &format!("{role}/permissions"), None);
        }
        for policy_type in [
            "OKTA_SIGN_ON",
            "PASSWORD",
            "MFA_ENROLL",
            "ACCESS_POLICY",
            "PROFILE_ENROLLMENT",
            "IDP_DISCOVERY",
        ] {
            for policy in self.read(&format!("/api/v1/policies?type={policy_type}")) {
                self.read(&format!("{policy}/rules"));
            }
        }
        for server in self.read("/api/v1/authorizationServers?limit=200") {
            self.read(&format!("{server}/scopes"));
            self.read(&format!("{server}/claims"));
            for policy in self.read(&format!("{server}/policies")) {
                self.read(&format!("{policy}/rules"));
            }
        }
    }

    fn write_flat_types(&mut self) {
        for (list, body, deleted) in [
            (
                "zones",
                json!({"name": "Z", "type": "IP", "gateways": [{"type": "RANGE", "value": "192.0.2.1"}]}),
                true,
            ),
            (
                "trustedOrigins",
                json!({"name": "O", "origin": "https://o.example.com", "scopes": [{"type": "CORS"}]}),
                true,
            ),
            (
                "behaviors",
                json!({
                    "name": "B",
                    "type": "ANOMALOUS_LOCATION",
                    "settings": {"granularity": "LAT_LONG", "radiusKilometers": 20},
                }),
                true,
            ),
            (
                "authenticators",
                json!({"key": "tac", "name": "Temporary code"}),
                false,
            ),
            ("idps", provider(), true),
        ] {
            let path = self.make(&format!("/api/v1/{list}"), &body);
            self.live_and_die(&path, &body, SWITCHED, deleted);
        }
    }

    fn write_hooks_and_roles(&mut self) {
        let hook = json!({
            "name": "E",
            "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.create"]},
            "channel": channel(false),
        });
        let path = self.make("/api/v1/eventHooks", &hook);
        self.live_and_die(
            &path,
            &hook,
            &["verify", "deactivate", "activate", "deactivate"],
            true,
        );

        let hook = json!({
            "name": "I",
            "type": "com.okta.oauth2.tokens.transform",
            "version": "1.0.1",
            "channel": channel(true),
        });
        let path = self.make("/api/v1/inlineHooks", &hook);
        self.call(Method::POST, &path, Some(json!({"name": "I1"})));
        let replacement = json!({"name": "I2", "version": "1.0.1", "channel": channel(true)});
        self.live_and_die(&path, &replacement, SWITCHED, true);

        let role = json!({"label": "R", "description": "d", "permissions": ["okta.users.read"]});
        let path = self.make("/api/v1/iam/roles", &role);
        let permission = format!("{path}/permissions/okta.groups.read");
        self.call(Method::POST, &permission, None);
        self.call(Method::GET, &permission, None);
        self.call(
            Method::PUT,
            &permission,
            Some(json!({"conditions": {"include": {}}})),
        );
        self.call(Method::DELETE, &permission, None);
        self.live_and_die(
            &path,
            &json!({"label": "R2", "description": "d"}),
            &[],
            true,
        );
    }

    fn write_servers(&mut self) {
        let server = json!({
            "name": "S",
            "description": "d",
            "audiences": ["api://s"],
            "issuerMode": "ORG_URL",
            "credentials": {"signing": {"rotationMode": "AUTO"}},
        });
        let path = self.make("/api/v1/authorizationServers", &server);
        let scope = json!({"name": "s:read", "consent": "IMPLICIT"});
        let one = self.make(&format!("{path}/scopes"), &scope);
        self.live_and_die(&one, &scope, &[], true);
        let claim = json!({
            "name": "c",
            "claimType": "RESOURCE",
            "valueType": "EXPRESSION",
            "value": "user.department",
            "conditions": {"scopes": []},
            "alwaysIncludeInToken": true,
        });
        let one = self.make(&format!("{path}/claims"), &claim);
        self.live_and_die(&one, &claim, &[], true);
        let policy = json!({
            "type": "OAUTH_AUTHORIZATION_POLICY",
            "name": "p",
            "description": "d",
            "priority": 1,
            "conditions": {"clients": {"include": ["ALL_CLIENTS"]}},
        });
        let one = self.make(&format!("{path}/policies"), &policy);
        let rule = json!({
            "type": "RESOURCE_ACCESS",
            "name": "r",
            "priority": 1,
            "conditions": {
                "people": {"groups": {"include": ["00g1"]}},
                "grantTypes": {"include": ["authorization_code"]},
                "scopes": {"include": ["*"]},
            },
            "actions": {"token": {"accessTokenLifetimeMinutes": 60}},
        });
        let of_policy = self.make(&format!("{one}/rules"), &rule);
        self.live_and_die(&of_policy, &rule, SWITCHED, true);
        self.live_and_die(&one, &policy, SWITCHED, true);
        self.live_and_die(&path, &server, SWITCHED, true);
    }

    fn write_policies(&mut self) {
        let people = json!({"people": {"groups": {"include": ["00g1"]}}});
        let authenticators = json!([{"key": "okta_password", "enroll": {"self": "REQUIRED"}}]);
        for (policy_type, more, rule_type, actions) in [
            (
                "OKTA_SIGN_ON",
                json!({"conditions": people}),
                "SIGN_ON",
                json!({"signon": {"access": "DENY"}}),
            ),
            (
                "PASSWORD",
                json!({"conditions": people, "settings": {"password": {"complexity": {"minLength": 12}}}}),
                "PASSWORD",
                json!({"passwordChange": {"access": "ALLOW"}}),
            ),
            (
                "MFA_ENROLL",
                json!({
                    "conditions": people,
                    "settings": {"type": "AUTHENTICATORS", "authenticators": authenticators},
                }),
                "MFA_ENROLL",
                json!({"enroll": {"self": "CHALLENGE"}}),
            ),
            (
                "ACCESS_POLICY",
                json!({}),
                "ACCESS_POLICY",
                json!({"appSignOn": {"access": "DENY"}}),
            ),
        ] {
            let mut policy = json!({"type": policy_type, "name": "P", "description": "d"});
            policy
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let path = self.make("/api/v1/policies?activate=true", &policy);
            let rule = json!({
                "type": rule_type,
                "name": "r",
                "conditions": {"network": {"connection": "ANYWHERE"}},
                "actions": actions,
            });
            let one = self.make(&format!("{path}/rules?activate=true"), &rule);
            self.live_and_die(&one, &rule, SWITCHED, true);
            self.live_and_die(&path, &policy, SWITCHED, true);
        }
        let policy = json!({"type": "PROFILE_ENROLLMENT", "name": "P"});
        let path = self.make("/api/v1/policies", &policy);
        self.live_and_die(&path, &policy, SWITCHED, true);
    }
}

/// Off, on, and off for the delete that follows.
const SWITCHED: &[&str] = &["deactivate", "activate", "deactivate"];

fn id(object: &Value) -> &str {
    object.get("id").and_then(Value::as_str).unwrap()
}

fn channel(with_method: bool) -> Value {
    let mut config = json!({
        "uri": "https://example.com/hook",
        "authScheme": {"type": "HEADER", "key": "Authorization", "value": "secret"},
    });
    if with_method {
        config
            .as_object_mut()
            .unwrap()
            .insert("method".to_owned(), json!("POST"));
    }
    json!({"type": "HTTP", "version": "1.0.0", "config": config})
}

fn provider() -> Value {
    let endpoint = |path: &str, binding: &str| json!({"url": format!("https://idp.example.com/{path}"), "binding": binding});
    json!({
        "name": "P",
        "type": "OIDC",
        "issuerMode": "ORG_URL",
        "protocol": {
            "type": "OIDC",
            "endpoints": {
                "authorization": endpoint("authorize", "HTTP-REDIRECT"),
                "token": endpoint("token", "HTTP-POST"),
                "jwks": endpoint("keys", "HTTP-REDIRECT"),
            },
            "scopes": ["openid"],
            "credentials": {"client": {"client_id": "c", "client_secret": "secret"}},
        },
        "policy": {
            "provisioning": {"action": "AUTO", "groups": {"action": "NONE"}},
            "accountLink": {"action": "AUTO"},
            "subject": {"matchType": "USERNAME", "userNameTemplate": {"template": "idpuser.email"}},
        },
    })
}

#[test]
fn every_configuration_endpoint_keeps_to_the_document() {
    let Some(checker) = document() else { return };
    let mut org = Org::default();
    let ids = |prefix: &str| (0..4).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    let seeds = Seeds {
        user_count: 20_000,
        seed: 1,
        everyone: "00g0".to_owned(),
        groups: ids("00g"),
        users: ids("00u"),
        apps: ids("0oa"),
        user_types: ids("oty"),
    };
    let store = ConfigStore::new(&mut org, &seeds);
    let mut checked = Checked {
        checker: &checker,
        org,
        store,
        breaches: BTreeSet::new(),
        operations: BTreeSet::new(),
    };
    checked.read_everything();
    checked.write_flat_types();
    checked.write_hooks_and_roles();
    checked.write_servers();
    checked.write_policies();
    assert!(checked.breaches.is_empty(), "{:#?}", checked.breaches);
    assert!(
        checked.operations.len() >= 85,
        "{} {:#?}",
        checked.operations.len(),
        checked.operations
    );
}
