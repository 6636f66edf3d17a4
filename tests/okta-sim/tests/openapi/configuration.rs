//! The configuration resources.

use http::Method;
use serde_json::{Value, json};

use super::checked::Checked;

/// Reads, writes and deletes of every type.
pub(crate) fn exercise(checked: &mut Checked) {
    checked.read_configuration();
    checked.write_flat_types();
    checked.write_hooks_and_roles();
    checked.write_servers();
    checked.write_policies();
}

impl Checked<'_> {
    fn read_configuration(&mut self) {
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
        let group = self.some("group");
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
                "people": {"groups": {"include": [group]}},
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
        let group = self.some("group");
        let people = json!({"people": {"groups": {"include": [group]}}});
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
