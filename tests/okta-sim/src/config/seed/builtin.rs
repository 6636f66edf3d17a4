//! What Okta puts into every org.

use serde_json::{Map, Value, json};

use super::Seeder;
use crate::config::authenticators::authenticator_type;
use crate::config::calls::stamp;
use crate::config::json::fill as fill_in;
use crate::config::policies::{access_actions, enrollment_actions, password_defaults, system_rule};
use crate::config::priority::CATCH_ALL;
use crate::config::providers::digest;
use crate::config::table::Kind;
use crate::wire::World;

/// Puts it in, what others name first.
pub(super) fn fill(seeder: &mut Seeder) {
    zones(seeder);
    behaviors(seeder);
    authenticators(seeder);
    default_server(seeder);
    policies(seeder);
}

impl Seeder<'_, '_> {
    /// Puts a body in as it is, with an id and timestamps, and gives the id.
    fn put(&mut self, kind: Kind, parent: &str, prefix: &str, body: Value) -> String {
        let id = self.world.new_id(prefix);
        let mut body = body.as_object().cloned().unwrap_or_default();
        body.insert("id".to_owned(), json!(id));
        body.entry("status").or_insert(json!("ACTIVE"));
        stamp(kind.resource(), &mut body, &self.world.now(), true);
        self.store.shelf.add(kind, parent, body);
        id
    }

    fn put_rule(&mut self, policy: &str, prefix: &str, body: Map<String, Value>) {
        self.put(Kind::Rule, policy, prefix, Value::Object(body));
    }
}

fn zones(seeder: &mut Seeder) {
    for (name, kind, usage, rest) in [
        (
            "LegacyIpZone",
            "IP",
            "POLICY",
            json!({"gateways": [], "proxies": null}),
        ),
        (
            "BlockedIpZone",
            "IP",
            "BLOCKLIST",
            json!({"gateways": [], "proxies": null}),
        ),
        (
            "DefaultExemptIpZone",
            "IP",
            "POLICY",
            json!({"gateways": [], "proxies": null, "useAsExemptList": true}),
        ),
        (
            "DefaultEnhancedDynamicZone",
            "DYNAMIC_V2",
            "BLOCKLIST",
            json!({
                "asns": {"include": [], "exclude": []},
                "locations": {"include": [], "exclude": []},
                "ipServiceCategories": {"include": ["ALL_ANONYMIZERS"], "exclude": []},
            }),
        ),
    ] {
        let mut body = rest.as_object().cloned().unwrap_or_default();
        fill_in(
            &mut body,
            &json!({"name": name, "type": kind, "usage": usage, "system": true}),
        );
        seeder.put(Kind::Zone, "", "nzo", Value::Object(body));
    }
}

fn behaviors(seeder: &mut Seeder) {
    let history =
        |max: u64| json!({"maxEventsUsedForEvaluation": max, "minEventsNeededForEvaluation": 0});
    let mut city = history(20);
    let mut country = history(15);
    if let (Some(city), Some(country)) = (city.as_object_mut(), country.as_object_mut()) {
        city.insert("granularity".to_owned(), json!("CITY"));
        country.insert("granularity".to_owned(), json!("COUNTRY"));
    }
    for (name, kind, settings) in [
        ("New City", "ANOMALOUS_LOCATION", city),
        ("New Country", "ANOMALOUS_LOCATION", country),
        ("New Device", "ANOMALOUS_DEVICE", history(20)),
        ("New IP", "ANOMALOUS_IP", history(50)),
        ("Velocity", "VELOCITY", json!({"velocityKph": 805})),
    ] {
        seeder.put(
            Kind::Behavior,
            "",
            "bhv",
            json!({"name": name, "type": kind, "settings": settings}),
        );
    }
}

fn authenticators(seeder: &mut Seeder) {
    for (key, name, status, settings) in [
        ("okta_password", "Password", "ACTIVE", None),
        (
            "okta_email",
            "Email",
            "ACTIVE",
            Some(json!({"allowedFor": "any", "tokenLifetimeInMinutes": 5})),
        ),
        (
            "okta_verify",
            "Okta Verify",
            "ACTIVE",
            Some(json!({
                "channelBinding": {"style": "NUMBER_CHALLENGE", "required": "HIGH_RISK_ONLY"},
                "compliance": {"fips": "OPTIONAL"},
                "userVerification": "PREFERRED",
            })),
        ),
        (
            "phone_number",
            "Phone",
            "ACTIVE",
            Some(json!({"allowedFor": "any"})),
        ),
        (
            "security_question",
            "Security Question",
            "ACTIVE",
            Some(json!({"allowedFor": "recovery"})),
        ),
        ("webauthn", "Passkeys (FIDO2 WebAuthn)", "ACTIVE", None),
        ("google_otp", "Google Authenticator", "INACTIVE", None),
    ] {
        let mut body = Map::new();
        for (property, value) in [
            ("key", key),
            ("name", name),
            ("status", status),
            ("type", authenticator_type(key)),
        ] {
            body.insert(property.to_owned(), json!(value));
        }
        if let Some(settings) = settings {
            body.insert("settings".to_owned(), settings);
        }
        seeder.put(Kind::Authenticator, "", "aut", Value::Object(body));
    }
}

fn default_server(seeder: &mut Seeder) {
    let now = seeder.world.now();
    let server = seeder.put(
        Kind::Server,
        "",
        "aus",
        json!({
            "name": "default",
            "description": "Default Authorization Server for your Applications",
            "audiences": ["api://default"],
            "issuerMode": "DYNAMIC",
            "credentials": {"signing": {
                "kid": digest("signing", "default", 43),
                "rotationMode": "AUTO",
                "lastRotated": now,
            }},
            "default": true,
        }),
    );
    seeder.store.add_server_parts(seeder.world, &server);
    let policy = seeder.make(
        Kind::ServerPolicy,
        &[&server],
        json!({
            "type": "OAUTH_AUTHORIZATION_POLICY",
            "name": "Default Policy",
            "description": "Default policy for all clients",
            "conditions": {"clients": {"include": ["ALL_CLIENTS"]}},
        }),
    );
    seeder.make(
        Kind::ServerRule,
        &[&server, &policy],
        json!({
            "type": "RESOURCE_ACCESS",
            "name": "Default Policy Rule",
            "conditions": {
                "people": {"users": {"include": [], "exclude": []}, "groups": {"include": ["EVERYONE"], "exclude": []}},
                "grantTypes": {"include": ["authorization_code", "client_credentials", "implicit"]},
                "scopes": {"include": ["*"]},
            },
        }),
    );
}

fn policies(seeder: &mut Seeder) {
    let everyone = json!({"people": {"groups": {"include": [seeder.seeds.everyone]}}});
    let default = |kind: &str, name: &str, conditions: &Value| {
        json!({
            "type": kind,
            "name": name,
            "description": "The default policy applies in all situations if no other policy applies.",
            "priority": 1,
            "system": true,
            "conditions": conditions,
        })
    };

    let sign_on = seeder.put(
        Kind::Policy,
        "",
        "00p",
        default("OKTA_SIGN_ON", "Default Policy", &everyone),
    );
    let actions = json!({"signon": {
        "access": "ALLOW",
        "requireFactor": false,
        "primaryFactor": "PASSWORD_IDP_ANY_FACTOR",
        "rememberDeviceByDefault": false,
        "session": {
            "usePersistentCookie": false,
            "maxSessionIdleMinutes": 120,
            "maxSessionLifetimeMinutes": 1440,
        },
    }});
    seeder.put_rule(
        &sign_on,
        "0pr",
        system_rule("Default Rule", "OKTA_SIGN_ON", 1, actions),
    );

    let mut password = default("PASSWORD", "Default Policy", &everyone);
    if let Some(password) = password.as_object_mut() {
        fill_in(password, &password_defaults());
    }
    let password = seeder.put(Kind::Policy, "", "00p", password);
    let actions = json!({
        "passwordChange": {"access": "ALLOW"},
        "selfServicePasswordReset": {
            "access": "ALLOW",
            "requirement": {"primary": {"methods": ["email"]}, "stepUp": {"required": false}, "accessControl": "LEGACY"},
        },
        "selfServiceUnlock": {"access": "DENY"},
    });
    seeder.put_rule(
        &password,
        "0pr",
        system_rule("Default Rule", "PASSWORD", 1, actions),
    );

    let mut enroll = default("MFA_ENROLL", "Default Policy", &everyone);
    let entry = |key: &str, how: &str| json!({"key": key, "enroll": {"self": how}});
    let authenticators = json!({"settings": {"type": "AUTHENTICATORS", "authenticators": [
        entry("okta_password", "REQUIRED"),
        entry("okta_email", "REQUIRED"),
        entry("okta_verify", "OPTIONAL"),
        entry("phone_number", "OPTIONAL"),
        entry("security_question", "NOT_ALLOWED"),
        entry("webauthn", "NOT_ALLOWED"),
    ]}});
    if let Some(enroll) = enroll.as_object_mut() {
        fill_in(enroll, &authenticators);
    }
    let enroll = seeder.put(Kind::Policy, "", "00p", enroll);
    let actions = json!({"enroll": {"self": "CHALLENGE"}});
    seeder.put_rule(
        &enroll,
        "0pr",
        system_rule("Default Rule", "MFA_ENROLL", 1, actions),
    );

    let discovery = default("IDP_DISCOVERY", "Idp Discovery Policy", &Value::Null);
    let discovery = seeder.put(Kind::Policy, "", "00p", discovery);
    let actions = json!({"idp": {"providers": [{"type": "OKTA"}], "idpSelectionType": "SPECIFIC"}});
    seeder.put_rule(
        &discovery,
        "0pr",
        system_rule("Default Rule", "IDP_DISCOVERY", 1, actions),
    );

    let access = default("ACCESS_POLICY", "Any two factors", &Value::Null);
    let access = seeder.put(Kind::Policy, "", "rst", access);
    seeder.put_rule(
        &access,
        "rul",
        system_rule(
            "Catch-all Rule",
            "ACCESS_POLICY",
            CATCH_ALL,
            access_actions(),
        ),
    );

    let enrollment = default("PROFILE_ENROLLMENT", "Default Policy", &Value::Null);
    let enrollment = seeder.put(Kind::Policy, "", "rst", enrollment);
    seeder.put_rule(
        &enrollment,
        "rul",
        system_rule(
            "Catch-all Rule",
            "PROFILE_ENROLLMENT",
            CATCH_ALL,
            enrollment_actions(),
        ),
    );
}
